"""Metrics and losses by name: the metric behind `accuracy`, and the form of targets that each needs."""

from __future__ import annotations

CLASS_LOSSES = frozenset({"sparse_categorical_crossentropy"})
"""The losses whose targets are class numbers rather than one value for each of an output's units."""

SEQUENCE_LOSSES = frozenset({"ctc"})
"""The losses whose targets are a sequence of labels for each sample, beside which there are no metrics of rows."""

CLASS_METRICS = frozenset({"sparse_categorical_accuracy"})
"""The metrics of such targets."""


def computed_metric(name: str, width: int, classes: bool) -> str:
    """The metric behind `accuracy`, as Keras resolves it, for predictions (rows, `width`); any other name is returned unchanged.

    `classes`: whether the targets are class numbers.
    """
    if name != "accuracy":
        return name
    return "binary_accuracy" if width == 1 else "sparse_categorical_accuracy" if classes else "categorical_accuracy"


def kind_of_targets(classes: bool) -> str:
    """The form of targets in words."""
    return "class numbers" if classes else "one value for each output"
