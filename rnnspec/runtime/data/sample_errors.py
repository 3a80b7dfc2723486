"""Faults of one sample: errors that say by fields, too, where they are, for who knows where the samples came from."""

from __future__ import annotations


class SampleError(ValueError):
    """What is wrong in one sample of the data of a call.

    `part`: the argument, as its text begins: `input x`, `targets`, `targets of word`. `sample`, `step`, `feature`: numbers from 0; None
    where it is of all. `problem`: what is expected and found. `before`: what stands in front of its text, such as "validation, ".
    """

    part: str = ""
    sample: int = 0
    step: int | None = None
    feature: int | None = None
    problem: str = ""
    before: str = ""


def sample_error(
    part: str, sample: int, problem: str, *, step: int | None = None, feature: int | None = None, steps: str = "step", before: str = ""
) -> SampleError:
    """The error of one sample; `steps`: what a step is called."""
    places = [("sample", sample), (steps, step), ("feature", feature)]
    where = ", ".join(f"{axis} {number}" for axis, number in places if number is not None)
    error = SampleError(f"{before}{part}, {where}: {problem}")  # whose fields a pickle keeps
    error.part, error.sample, error.step, error.feature, error.problem, error.before = part, sample, step, feature, problem, before
    return error


def told_of(what: str, error: ValueError) -> ValueError:
    """The same fault with `what` in front of its text."""
    if not isinstance(error, SampleError):
        return ValueError(f"{what}{error}")
    told = SampleError(f"{what}{error}")
    told.__dict__.update(vars(error), before=f"{what}{error.before}")
    return told
