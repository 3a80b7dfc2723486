"""Metrics and losses by name: the metric behind `accuracy`, and the form of targets that each needs."""

from __future__ import annotations

ACCURACY = "accuracy"
"""The name that stands for one of several metrics, by the loss and the width."""

SEQUENCE_LOSSES = frozenset({"ctc"})
"""The losses whose targets are a sequence of labels for each sample, beside which there are no metrics of rows."""


def is_accuracy(name: str) -> bool:
    """Whether a name is one of those for `accuracy`."""
    return name in (ACCURACY, "acc", "Accuracy")


def computed_metric(name: str, width: int, classes: bool) -> str:
    """The metric behind `accuracy`, as Keras resolves it, for predictions (rows, `width`); any other name is returned unchanged.

    `classes`: whether the targets are class numbers.
    """
    if not is_accuracy(name):
        return name
    return "binary_accuracy" if width == 1 else "sparse_categorical_accuracy" if classes else "categorical_accuracy"


def kind_of_targets(classes: bool) -> str:
    """The form of targets in words."""
    return "class numbers" if classes else "one value for each output"
