"""E023x: layers that change the shape of a sequence."""

from __future__ import annotations

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class LengthNotFixed(Diagnostic):
    """A sequence of symbolic length where a layer needs the number of steps when the spec is compiled."""

    code = "E0230"
    title = "{layer} expects a sequence of fixed length"
    label = "needs a fixed number of steps, got `{extent}`"
    advice = "write the input's length as a number, as in `float[20, 12]`"

    layer: str
    extent: Dim


@frozen(kw_only=True)
class WindowTooLong(Diagnostic):
    """A convolution or pooling window longer than the sequence, or a stride and a dilation that are both above 1."""

    code = "E0231"
    title = "the windows of {layer} don't fit"
    label = "{problem}"

    layer: str
    problem: str


@frozen(kw_only=True)
class ReshapeMisfit(Diagnostic):
    """A target shape or a permutation that doesn't fit the operand's dimensions."""

    code = "E0232"
    title = "{layer} can't give this shape"
    label = "{problem}"

    layer: str
    problem: str


@frozen(kw_only=True)
class NothingLeft(Diagnostic):
    """A layer that takes steps away, over a sequence of a fixed length that has no more of them."""

    code = "E0234"
    title = "{layer} leaves no step of the sequence"
    label = "takes off {count} of {length} steps"

    layer: str
    count: int
    length: int


@frozen(kw_only=True)
class TooManySteps(Diagnostic):
    """A layer that adds steps, over a sequence that gets longer than a dimension may be."""

    code = "E0235"
    title = "{layer} makes too many steps"
    label = "{length} is more than 2^31 - 1"

    layer: str
    length: int


@frozen(kw_only=True)
class SliceMisfit(Diagnostic):
    """A slice that there isn't, or of which nobody knows the length before a call."""

    code = "E0236"
    title = "{layer} can't take these {what}"
    label = "{problem}"

    layer: str
    what: str
    problem: str
