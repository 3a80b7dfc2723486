"""The functions of the language, which equations can call besides those that are text."""

from __future__ import annotations

from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.cells.cell_ir import Elementwise, Reduction

ELEMENTARY = frozenset(
    {"abs", "cos", "erf", "exp", "expm1", "floor", "log", "log1p", "round", "sigmoid", "sin", "sqrt", "stop_gradient", "tanh"}
)
"""Of one value, elementwise; the names are those of the IR's kinds."""

REDUCTIONS = {kind.value: kind for kind in Reduction}
"""Reductions over the units, of one argument; `min` and `max` with two arguments are elementwise."""

PAIRS = {kind.value: kind for kind in (Elementwise.MIN, Elementwise.MAX, Elementwise.POW)}
"""Of two values, elementwise."""

TOTAL = "total"
"""The sum of a row over all rows, of metrics alone."""

FUNCTIONS = frozenset({*ELEMENTARY, *REDUCTIONS, *PAIRS, *ACTIVATIONS, "clip", "concat", "positions", "sort", "split", "where", "width"})

RESERVED = (FUNCTIONS - ACTIVATIONS.keys()) | (ELEMENTARY & ACTIVATIONS.keys()) | {TOTAL, "linear"}
"""Names that no function of a spec can have. `linear` is what a layer without an activation has."""
