"""What a library's step says of steps that masks or windows leave out, as sentences of its header and its readme."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.contract.signature import EVERY_STEP, Clock
from rnnspec.deploy.step_layout import StepLayout


def left_out(layout: StepLayout) -> Iterator[str]:
    """A sentence a line: which steps are masked and what they give, which outputs have values when; none if every step counts."""
    names = {each.source: each.name for each in layout.inputs}
    if layout.masked:
        masks = " or ".join(f"all of `{names[name]}` is {value:g}" for name, value in layout.masked)
        yield f"A step in which {masks} is masked: states that it would change stay, and the outputs show what they do at masked steps."
    if held := {each.output for each in layout.held}:
        shown = ", ".join(f"`{each.name}`" for each in layout.outputs if each.source in held)
        yield f"There {shown} repeats the last real step's value."
    for clock in layout.clocks:
        if due := [each.name for each, own in zip(layout.outputs, layout.due, strict=True) if own == clock]:
            yield f"{', '.join(f'`{name}`' for name in due)}: {_steps(clock)}; at all other steps all of it is NaN."


def _steps(clock: Clock) -> str:
    assert clock != EVERY_STEP
    if clock.period == 1:
        return f"there is a value from step {clock.first} of a sequence on"
    return f"there is a value at step {clock.first} of a sequence, counted from 1, and every {clock.period} steps from there"
