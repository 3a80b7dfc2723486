"""A linear-chain conditional random field once more, by every sequence of classes there is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Field(NamedTuple):
    """The scores of one sample: of classes at each step, (steps, classes), of neighbours, and of the first and the last class."""

    prediction: Array
    transitions: Array
    first: Array
    last: Array


def of_steps(field: Field, real: Array) -> Field:
    """The field of some of the steps, one after the other; `real`: bools (steps,)."""
    return Field(field.prediction[real], field.transitions, field.first, field.last)


def score(field: Field, labels: Sequence[int]) -> float:
    """The score of one sequence of classes."""
    if not labels:
        return 0.0
    steps = sum(field.prediction[step, label] for step, label in enumerate(labels))
    pairs = sum(field.transitions[pair] for pair in itertools.pairwise(labels))
    return float(steps + pairs + field.first[labels[0]] + field.last[labels[-1]])


def all_scores(field: Field) -> dict[tuple[int, ...], float]:
    """The score of every sequence of classes."""
    steps, classes = field.prediction.shape
    return {labels: score(field, labels) for labels in itertools.product(range(classes), repeat=steps)}


def by_sequences(field: Field, labels: Sequence[int]) -> tuple[float, Field]:
    """The loss of one sample, and its gradient by each score; both 0 without a step."""
    scores = all_scores(field)
    total = float(np.logaddexp.reduce(list(scores.values())))
    gradient = Field(*map(np.zeros_like, field))
    for each, share in [*((each, np.exp(own - total)) for each, own in scores.items()), (tuple(labels), -1.0)]:
        for step, label in enumerate(each):
            gradient.prediction[step, label] += share
        for pair in itertools.pairwise(each):
            gradient.transitions[pair] += share
        if each:
            gradient.first[each[0]] += share
            gradient.last[each[-1]] += share
    return total - score(field, labels), gradient
