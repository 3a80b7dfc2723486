"""E06xx: what training does to a weight."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchWeight(Diagnostic):
    code = "E0601"
    title = "the cell {cell} has no weight `{weight}`"
    label = "`{option}` is about that weight"

    cell: str
    weight: str
    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsMatrix(Diagnostic):
    code = "E0602"
    title = "OrthogonalRegularizer needs a matrix"
    label = "{what} is {shape}"

    what: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitAxis(Diagnostic):
    code = "E0603"
    title = "`axis` doesn't fit the weight `{weight}`"
    label = "{problem}"

    weight: str
    problem: str
