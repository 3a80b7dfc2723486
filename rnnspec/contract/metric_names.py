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


# fmt: off
_LARGER = frozenset(
    [
        "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy", "top_k_categorical_accuracy",
        "sparse_top_k_categorical_accuracy", "cosine_similarity", "r2_score", "pearson_correlation",
        "concordance_correlation", "precision", "recall", "fbeta_score", "f1_score", "sensitivity_at_specificity",
        "specificity_at_sensitivity", "precision_at_recall", "recall_at_precision", "auc", "iou", "mean_iou", "one_hot_iou",
        "one_hot_mean_iou", "binary_iou",
    ]
)
_SMALLER = frozenset(
    [
        "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
        "root_mean_squared_error", "huber", "log_cosh", "pinball", "hinge", "squared_hinge", "categorical_hinge", "poisson",
        "kl_divergence", "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
        "categorical_focal_crossentropy", "sparse_categorical_crossentropy", "categorical_generalized_cross_entropy", "dice",
        "tversky", "perplexity",
    ]
)
# fmt: on


def better(metric: str) -> str | None:
    """Which way a metric of the library is better, "max" or "min", as Keras's metrics say; None for counts and for any other name."""
    return "max" if metric in _LARGER else "min" if metric in _SMALLER else None


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
