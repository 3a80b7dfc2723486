"""Connectionist temporal classification once more, slow and obvious: by equations, and by every path there is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def collapsed(path: Sequence[int], blank: int) -> tuple[int, ...]:
    """The labels that a path stands for: of equal neighbours one stays, then blanks go."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_paths(logits: Array, labels: Sequence[int], blank: int = 0) -> tuple[float, Array]:
    """The loss of one sample (steps, classes), and its gradient, by the sum over all paths."""
    steps, classes = logits.shape
    probabilities = np.exp(log_softmax(logits))
    total, through = 0.0, np.zeros((steps, classes))
    for path in itertools.product(range(classes), repeat=steps):
        if collapsed(path, blank) == tuple(labels):
            chance = float(np.prod([probabilities[step, label] for step, label in enumerate(path)]))
            total += chance
            for step, label in enumerate(path):
                through[step, label] += chance
    with np.errstate(divide="ignore", invalid="ignore"):
        return -float(np.log(total)), probabilities - through / total


def by_states(logits: Array, labels: Sequence[int], blank: int = 0) -> tuple[float, Array]:
    """The same by equations 6 to 16 of Graves et al. 2006, state by state."""
    steps, classes = logits.shape
    logs = log_softmax(logits)
    states = [blank]
    for label in labels:
        states += [label, blank]
    count = len(states)

    def entered_from(state: int) -> list[int]:
        others = [state, state - 1]
        if state >= 2 and states[state] != blank and states[state] != states[state - 2]:
            others.append(state - 2)
        return [other for other in others if other >= 0]

    def sum_of(values: list[float]) -> float:
        return float(np.logaddexp.reduce(values)) if values else -np.inf

    forward = np.full((steps, count), -np.inf)
    backward = np.full((steps, count), -np.inf)
    if not steps:
        return (0.0 if not labels else np.inf), np.zeros((0, classes))
    for state in range(min(2, count)):
        forward[0, state] = logs[0, states[state]]
    for step in range(1, steps):
        for state in range(count):
            forward[step, state] = sum_of([forward[step - 1, other] for other in entered_from(state)]) + logs[step, states[state]]
    for state in range(max(0, count - 2), count):
        backward[-1, state] = 0.0
    for step in range(steps - 2, -1, -1):
        for state in range(count):
            after = [other for other in range(count) if state in entered_from(other)]
            backward[step, state] = sum_of([backward[step + 1, other] + logs[step + 1, states[other]] for other in after])
    total = sum_of(list(forward[-1, max(0, count - 2) :]))
    gradient = np.exp(logs)
    with np.errstate(invalid="ignore"):
        for step in range(steps):
            for state in range(count):
                gradient[step, states[state]] -= np.exp(forward[step, state] + backward[step, state] - total)
    return -total, gradient


def steps_needed(labels: Sequence[int]) -> int:
    """The steps of the shortest path that stands for the labels."""
    return len(labels) + sum(one == other for one, other in itertools.pairwise(labels))
