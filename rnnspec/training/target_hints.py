"""Advice on targets that don't fit their loss: class numbers, one-hot rows, steps."""

from __future__ import annotations

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.training.target_rules import TargetRule

Shape = tuple[int, ...]

_STEPS = "the output is one row a sample: `return_sequences = true` in the last recurrent layer gives one a step"
ONE_STEP = "the output is a sequence, and needs a target for each step: without `return_sequences = true` it is one row a sample"


def hint_for_shape(rule: TargetRule, width: int, lead: Shape, sequence: bool, found: Shape, y: str) -> str:
    """A hint on targets `y` of the wrong shape; `lead`: (samples,) or (samples, steps).

    Empty if nothing simple fits.
    """
    if rule.classes and found == (*lead, width):
        return f"; these are one row a class: `{y}.argmax(axis=-1)` gives class numbers, and the loss categorical_crossentropy takes rows"
    if rule.is_one_of_several and width > 1 and found in (lead, (*lead, 1)):
        numbers = "np.asarray(y, int)" if found == lead else "np.asarray(y, int)[..., 0]"
        return (
            f"; these are class numbers: `np.eye({width})[{numbers}]` makes rows of them, "
            "and the loss sparse_categorical_crossentropy takes class numbers"
        )
    if rule.is_yes_or_no and width == 1 and found == (*lead, 2):
        return f"; these are two columns for two classes: `{y}[..., 1]` is the one that the output stands for"
    if sequence and len(lead) == 2 and found in (lead[:1], (lead[0], 1), (lead[0], width)) and lead[1] > 1:
        return f"; {ONE_STEP}"
    if not sequence and len(found) >= 2 and found[:1] == lead and (rule.classes or len(found) == 3):
        return f"; {_STEPS}"
    if not sequence and not rule.classes and width > 1 and found == (width, *lead):
        return f"; the samples are the first axis: `{y}.T`"
    return ""


def hint_for_classes(values: Array, width: int, y: str) -> str:
    """A hint on the counted class numbers, of which some aren't below `width`; `y` is "" where the targets aren't one array."""
    if y and values.size and values.min() == 1 and values.max() == width:
        return f"; classes are counted from 0: `{y} - 1`"
    return ""


def hint_for_probabilities(values: Array, y: str) -> str:
    """A hint on counted binary targets other than 0 and 1; `y` as for `hint_for_classes`."""
    found = set(np.unique(values[:1000]).tolist()) if y else set[float]()
    if found == {1.0, 2.0}:
        return f"; no and yes are 0 and 1: `{y} - 1`"
    if found == {-1.0, 1.0}:
        return f"; no and yes are 0 and 1: `({y} + 1) / 2`"
    return ""
