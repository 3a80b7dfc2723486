"""E023x: layers that change the shape of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthNotFixed(Diagnostic):
    code = "E0230"
    title = "{layer} expects a sequence of fixed length"
    label = "needs a fixed number of steps, got `{extent}`"
    advice = "write the input's length as a number, as in `float[20, 12]`"

    layer: str
    extent: Dim


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTooLong(Diagnostic):
    code = "E0231"
    title = "the windows of {layer} don't fit"
    label = "{problem}"

    layer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReshapeMisfit(Diagnostic):
    code = "E0232"
    title = "{layer} can't give this shape"
    label = "{problem}"

    layer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingLeft(Diagnostic):
    code = "E0234"
    title = "{layer} leaves no step of the sequence"
    label = "takes off {count} of {length} steps"

    layer: str
    count: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManySteps(Diagnostic):
    code = "E0235"
    title = "{layer} makes too many steps"
    label = "{length} is more than 2^31 - 1"

    layer: str
    length: int
