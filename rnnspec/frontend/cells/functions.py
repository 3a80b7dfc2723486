"""The functions that a cell's equations can call, besides the activations of the catalogue."""

from __future__ import annotations

from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.cells.cell_ir import Elementwise, Reduction

ELEMENTARY = frozenset({"abs", "exp", "log", "sqrt"})
"""Of one value, elementwise."""

REDUCTIONS = {kind.value: kind for kind in Reduction}
"""Of one value, over its units. `min` and `max` of two values are elementwise."""

PAIRS = {kind.value: kind for kind in (Elementwise.MIN, Elementwise.MAX)}

FUNCTIONS = frozenset({*ELEMENTARY, *REDUCTIONS, *PAIRS, *ACTIVATIONS, "clip", "concat", "split"})
