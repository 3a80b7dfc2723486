"""NaN and infinity in the steps that a model computes with: one such number spoils a loss and, by it, all weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature
from rnnspec.runtime.data.batches import CheckedInputs, Mask
from rnnspec.runtime.data.columns import PART, Column, entry_error, first_wrong, values_of
from rnnspec.runtime.data.validate import in_any


def bounds(values: Array) -> tuple[float, float]:
    """The least and the largest number, NaN for both if one is NaN; 0 and 0 of none."""
    return (float(np.minimum.reduce(values, axis=None)), float(np.maximum.reduce(values, axis=None))) if values.size else (0.0, 0.0)


def is_finite(values: Array) -> bool:
    """Whether all numbers are finite; no array is made."""
    return all(map(math.isfinite, bounds(values)))


def refuse_not_finite(signature: tuple[InputSignature, ...], inputs: CheckedInputs) -> None:
    """ValueError, naming sample, step and feature, for a number that isn't finite in a step that isn't masked."""
    for spec in signature:
        if spec.integer:
            continue
        column, real = inputs.columns[spec.name], unmasked_steps(inputs, spec.name)
        values = values_of(column)
        rows = max(PART // max(values[:1].size, 1), 1)
        for start in range(0, len(values), rows):
            part = values[start : start + rows]
            found = not_finite(column, part, None if real is None else real[start : start + rows], start)
            if found is not None:
                advice = "mask the step, or write allow_nan = true (in Python allow_nan=True) to let it through"
                problem = f"expected a finite number, got {found[1]}; {advice}"
                raise entry_error(f"input {spec.name}", column, found[0], problem, sequence=spec.is_sequence)


def not_finite(column: Column, part: Array, real: Mask | None, first: int) -> tuple[tuple[int, ...], Any] | None:
    """The entry and the value of the first number that isn't finite in a part of a column from `first` on, and in its `real` steps.

    None if there is none; all steps are real without `real`.
    """
    if is_finite(part):
        return None
    wrong = ~np.isfinite(part)
    if real is not None:
        wrong &= real[..., None]
    return first_wrong(column, wrong, first=first)


def unmasked_steps(inputs: CheckedInputs, name: str) -> Mask | None:
    """The steps of an input that are unmasked for some layer, laid out as its column; None where all are."""
    return in_any(inputs.sequences[name].present.values()) if name in inputs.sequences else None
