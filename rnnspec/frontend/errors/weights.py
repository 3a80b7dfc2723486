"""E06xx: what training does to a weight."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class NoSuchWeight(Diagnostic):
    """An option for one weight, such as `bias_regularizer`, on a cell that doesn't have this weight."""

    code = "E0601"
    title = "the cell {cell} has no weight `{weight}`"
    label = "`{option}` is about that weight"

    cell: str
    weight: str
    option: str


@frozen(kw_only=True)
class NeedsMatrix(Diagnostic):
    """An `OrthogonalRegularizer` of something other than a matrix."""

    code = "E0602"
    title = "OrthogonalRegularizer needs a matrix"
    label = "{what} is {shape}"

    what: str
    shape: str


@frozen(kw_only=True)
class UnfitAxis(Diagnostic):
    """A constraint's `axis` that its weight doesn't have, or that is listed twice."""

    code = "E0603"
    title = "`axis` doesn't fit the weight `{weight}`"
    label = "{problem}"

    weight: str
    problem: str


@frozen(kw_only=True)
class UnfitMoments(Diagnostic):
    """A `mean` and a `variance` in a spec that don't fit each other, or the features that they are of."""

    code = "E0604"
    title = "`mean` and `variance` don't fit {layer}"
    label = "{problem}"

    layer: str
    problem: str
