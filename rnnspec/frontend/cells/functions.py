"""The functions that a cell's equations can call, besides the activations of the catalogue."""

from __future__ import annotations

from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.cells.cell_ir import Elementwise, Reduction

ELEMENTARY = frozenset({"abs", "exp", "log", "sqrt"})
"""Elementwise functions of one argument."""

REDUCTIONS = {kind.value: kind for kind in Reduction}
"""Reductions over the units, of one argument; `min` and `max` with two arguments are elementwise."""

PAIRS = {kind.value: kind for kind in (Elementwise.MIN, Elementwise.MAX)}

FUNCTIONS = frozenset({*ELEMENTARY, *REDUCTIONS, *PAIRS, *ACTIVATIONS, "clip", "concat", "split"})
