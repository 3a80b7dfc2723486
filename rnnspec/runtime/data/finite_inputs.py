"""NaN and infinity in the steps that a model computes with: one such number spoils a loss and, by it, all weights."""

from __future__ import annotations

import math

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature
from rnnspec.runtime.data.batches import CheckedInputs, Mask
from rnnspec.runtime.data.columns import PART, Column, RaggedArray, entry_error


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
        column = inputs.columns[spec.name]
        real = real_steps(inputs, spec.name)
        values = column.flat if isinstance(column, RaggedArray) else column.array
        rows = max(PART // max(values[:1].size, 1), 1)
        for start in range(0, len(values), rows):
            part = values[start : start + rows]
            if not is_finite(part):
                _refuse(spec, column, part, None if real is None else real[start : start + rows], start)


def real_steps(inputs: CheckedInputs, name: str) -> Mask | None:
    """The steps of an input that are unmasked for some layer, laid out as its column; None where all are."""
    real: Mask | None = None
    for mask in inputs.sequences[name].present.values() if name in inputs.sequences else (None,):
        if mask is None:
            return None
        real = mask if real is None else real | mask
    return real


def _refuse(spec: InputSignature, column: Column, part: Array, real: Mask | None, start: int) -> None:
    wrong = ~np.isfinite(part)
    if real is not None:
        wrong &= real[..., None]
    if wrong.any():
        first, *others = (int(number) for number in np.argwhere(wrong)[0])
        advice = "mask the step, or write allow_nan = true (in Python allow_nan=True) to let it through"
        problem = f"expected a finite number, got {part[(first, *others)]}; {advice}"
        raise entry_error(f"input {spec.name}", column, (start + first, *others), problem, sequence=spec.is_sequence)
