"""The arguments of what the library declares as text, for those who read or write other tools' files."""

from __future__ import annotations

from rnnspec.frontend.binding.bind import declared_equations
from rnnspec.frontend.binding.equation_arguments import equation_arguments
from rnnspec.frontend.binding.values import NOTHING_OWN
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, Family


def activation_arguments(name: str) -> tuple[ArgumentSpec, ...]:
    """The arguments of an activation of the library, after its value; none for those that are operations."""
    return library_arguments(Family.ACTIVATION, name)


def library_arguments(family: Family, name: str) -> tuple[ArgumentSpec, ...]:
    """The arguments of an activation, a loss or a metric of the library; none for what isn't text there."""
    if family not in (Family.ACTIVATION, Family.LOSS, Family.METRIC):
        return ()
    declared = declared_equations(family, name, NOTHING_OWN)
    return () if declared is None else tuple(equation_arguments(declared))
