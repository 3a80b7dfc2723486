"""Metrics and losses by name: the metrics behind `accuracy` and `crossentropy`, and the form of targets that each needs."""

from __future__ import annotations

from types import MappingProxyType

COMPUTED = MappingProxyType(
    {
        "accuracy": ("binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
        "crossentropy": ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"),
    }
)
"""Names that stand for one of several metrics, by the width and the targets: of one unit, of several, of class numbers."""

SHORT = MappingProxyType({"acc": "accuracy", "ce": "crossentropy"})

SEQUENCE_LOSSES = frozenset({"ctc"})
"""The losses whose targets are a sequence of labels for each sample, beside which there are no metrics of rows."""


def computed_name(name: str) -> str | None:
    """The one of `COMPUTED` that a spelling stands for; None for the name of anything else."""
    plain = name.lower()
    found = SHORT.get(plain, plain)
    return found if found in COMPUTED else None


def computed_metric(name: str, width: int, classes: bool) -> str:
    """The metric behind `accuracy` or `crossentropy`, as Keras resolves it, for predictions (rows, `width`); any other name as it is.

    `classes`: whether the targets are class numbers.
    """
    found = computed_name(name)
    if found is None:
        return name
    one, several, of_classes = COMPUTED[found]
    return one if width == 1 else of_classes if classes else several


def kind_of_targets(classes: bool) -> str:
    """The form of targets in words."""
    return "class numbers" if classes else "one value for each output"
