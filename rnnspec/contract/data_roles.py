"""What a column of data may be for, beside a model's inputs and outputs."""

from __future__ import annotations

COLUMNS = "columns"
"""What a spec's setting `data` calls."""

KINDS = ("x", "y", "length", "mask", "sample_weight")
"""Of an input, or of an output; of each set by itself."""

CUTS = ("split", "test")
"""The set of each sample."""

WHOLE = (*CUTS, "classes")
"""Of no input or output alone."""
