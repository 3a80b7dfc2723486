"""What a column of data may be for, beside a model's inputs and outputs."""

from __future__ import annotations

COLUMNS = "columns"
"""What a spec's setting `data` calls."""

KINDS = ("x", "y", "length", "mask", "sample_weight")
"""Of an input, or of an output; of each set by itself."""

CUTS = ("split", "test")
"""The set of each sample."""

GROUP_BY, ORDER_BY = "group_by", "order_by"
"""The key of the rows that are one sequence, and what sorts them."""

ROWS = (GROUP_BY, ORDER_BY)

WHOLE = (*CUTS, *ROWS, "classes")
"""Of no input or output alone."""
