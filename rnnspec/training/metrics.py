"""Metrics, by Keras's names and arguments (keras.src.metrics, 3.15); their equations are text, `rnnspec/stdlib/metrics.rnn`.

A metric is a mean over counted rows, or is computed of sums over them. The objects here name one, with its arguments; every loss is a
metric, too, the mean of its rows:

>>> from rnnspec.training.metrics import Precision
>>> Precision(thresholds=0.7)
Precision(thresholds=0.7, top_k=None, class_id=None)

A metric of one's own is text in a spec, `metric hits { ... }`, or an object in Python with `name` and `rows`, see `Metric`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.frozen import frozen
from rnnspec.locks import LLVM
from rnnspec.training.constructors import absent, check_equation_arguments, clear_arguments

Numbers = float | Sequence[float] | None


@runtime_checkable
class Metric(Protocol):
    """A metric that is written in Python: a mean over rows."""

    @property
    def name(self) -> str:
        """The name in logs."""
        ...

    def rows(self, predictions: Array, targets: Array) -> Array:
        """Each row's value, (rows,), of predictions (rows, width) and targets as the output's loss takes them."""
        ...


def values_of_rows(metric: Metric, predictions: Array, targets: Array) -> Array:
    """Each row's value of a metric in Python, (rows, 1); ValueError, naming the metric, for anything but a number a row.

    The metric gets copies: what it writes into them is its own.
    """
    given: object = metric.rows(predictions.copy(), targets.copy())
    expected = f"expected each row's value, shape {predictions.shape[:1]}"
    try:
        values: Array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError):
        raise ValueError(f"metric {metric.name}: what rows gave is no array; {expected}") from None
    if values.dtype.kind not in "biuf":
        raise ValueError(f"metric {metric.name}: rows gave an array of dtype {values.dtype}; {expected}")
    if values.shape not in (predictions.shape[:1], (len(predictions), 1)):
        raise ValueError(f"metric {metric.name}: rows gave shape {values.shape}; {expected}")
    return values.reshape(len(predictions), 1)


class NamedMetric:
    """A metric whose equations are text: its name, and its arguments in its fields."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_equation_arguments("metric", self)

    @property
    def config(self) -> Config:
        """The metric as the compiler looks it up."""
        given: list[tuple[str, Any]] = [(each.name, getattr(self, each.name)) for each in fields(cast(Any, self))]
        return Config(
            self.name,
            tuple((name, tuple(cast(Sequence[Any], value)) if isinstance(value, list | tuple) else value) for name, value in given),
        )


@frozen
class MetricNames:
    """The metrics of each output. `of_all`: one list for all outputs, which counts for those with a loss."""

    each: tuple[tuple[Config | Metric, ...], ...]
    of_all: bool = False


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A message on an unknown name: whether Keras has it, or what was probably meant, and all there are."""
    with LLVM:  # a fork waits for who imports
        from rnnspec.training.keras_advice import unknown_name

    return unknown_name(kind, name, known)


@clear_arguments("metric")
@frozen(slots=False)
class BinaryAccuracy(NamedMetric):
    """The share of units on the target's side of the threshold."""

    name: ClassVar[str] = "binary_accuracy"
    threshold: float = 0.5


@clear_arguments("metric")
@frozen(slots=False)
class CategoricalAccuracy(NamedMetric):
    """1 where the largest prediction is at the largest target."""

    name: ClassVar[str] = "categorical_accuracy"


@clear_arguments("metric")
@frozen(slots=False)
class SparseCategoricalAccuracy(NamedMetric):
    """1 where the largest prediction is at the target's class."""

    name: ClassVar[str] = "sparse_categorical_accuracy"


@clear_arguments("metric")
@frozen(slots=False)
class TopKCategoricalAccuracy(NamedMetric):
    """1 where the largest target is among the k largest predictions."""

    name: ClassVar[str] = "top_k_categorical_accuracy"
    k: int = 5


@clear_arguments("metric")
@frozen(slots=False)
class SparseTopKCategoricalAccuracy(NamedMetric):
    """1 where the target's class is among the k largest predictions, or among the first k class numbers that are predicted."""

    name: ClassVar[str] = "sparse_top_k_categorical_accuracy"
    k: int = 5
    from_sorted_ids: bool = False


@clear_arguments("metric")
@frozen(slots=False)
class Perplexity(NamedMetric):
    """The exponential of the mean crossentropy (Jelinek et al. 1977)."""

    name: ClassVar[str] = "perplexity"
    from_logits: bool = False
    ignore_class: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class CosineSimilarity(NamedMetric):
    """The cosine of the angle between the rows."""

    name: ClassVar[str] = "cosine_similarity"


@clear_arguments("metric")
@frozen(slots=False)
class RootMeanSquaredError(NamedMetric):
    """The root of the mean of squared differences."""

    name: ClassVar[str] = "root_mean_squared_error"


@clear_arguments("metric")
@frozen(slots=False)
class R2Score(NamedMetric):
    """The share of the targets' variance that the predictions explain (Wright 1921).

    With `num_regressors` it is the adjusted one, where each unit of each row is a sample, as in Keras.
    """

    name: ClassVar[str] = "r2_score"
    class_aggregation: str | None = "uniform_average"
    num_regressors: int = 0


@clear_arguments("metric")
@frozen(slots=False)
class PearsonCorrelation(NamedMetric):
    """The correlation of the row's units (Pearson 1895)."""

    name: ClassVar[str] = "pearson_correlation"


@clear_arguments("metric")
@frozen(slots=False)
class ConcordanceCorrelation(NamedMetric):
    """The agreement of the row's units (Lin 1989), as Keras has it: its covariance takes the prediction's mean for both."""

    name: ClassVar[str] = "concordance_correlation"


@clear_arguments("metric")
@frozen(slots=False)
class TruePositives(NamedMetric):
    """How many units are said to be 1 and are."""

    name: ClassVar[str] = "true_positives"
    thresholds: Numbers = None


@clear_arguments("metric")
@frozen(slots=False)
class FalsePositives(NamedMetric):
    """How many units are said to be 1 and aren't."""

    name: ClassVar[str] = "false_positives"
    thresholds: Numbers = None


@clear_arguments("metric")
@frozen(slots=False)
class TrueNegatives(NamedMetric):
    """How many units are said to be 0 and are."""

    name: ClassVar[str] = "true_negatives"
    thresholds: Numbers = None


@clear_arguments("metric")
@frozen(slots=False)
class FalseNegatives(NamedMetric):
    """How many units are said to be 0 and aren't."""

    name: ClassVar[str] = "false_negatives"
    thresholds: Numbers = None


@clear_arguments("metric")
@frozen(slots=False)
class Precision(NamedMetric):
    """The share of what is said to be 1 that is. With `top_k` it is the k largest that are said to be 1."""

    name: ClassVar[str] = "precision"
    thresholds: Numbers = None
    top_k: int | None = None
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class Recall(NamedMetric):
    """The share of what is 1 that is said to be."""

    name: ClassVar[str] = "recall"
    thresholds: Numbers = None
    top_k: int | None = None
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class FBetaScore(NamedMetric):
    """Each class's F score, or their mean."""

    name: ClassVar[str] = "fbeta_score"
    average: str | None = None
    beta: float = 1.0
    threshold: float | None = None


@clear_arguments("metric")
@frozen(slots=False)
class F1Score(NamedMetric):
    """The F score that weighs precision and recall alike."""

    name: ClassVar[str] = "f1_score"
    average: str | None = None
    threshold: float | None = None


@clear_arguments("metric")
@frozen(slots=False)
class SensitivityAtSpecificity(NamedMetric):
    """The best recall of the 1s at thresholds that find that share of the 0s."""

    name: ClassVar[str] = "sensitivity_at_specificity"
    specificity: float
    num_thresholds: int = 200
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class SpecificityAtSensitivity(NamedMetric):
    """The best share of 0s at thresholds that find that share of the 1s."""

    name: ClassVar[str] = "specificity_at_sensitivity"
    sensitivity: float
    num_thresholds: int = 200
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class PrecisionAtRecall(NamedMetric):
    """The best precision at thresholds with that recall."""

    name: ClassVar[str] = "precision_at_recall"
    recall: float
    num_thresholds: int = 200
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class RecallAtPrecision(NamedMetric):
    """The best recall at thresholds with that precision."""

    name: ClassVar[str] = "recall_at_precision"
    precision: float
    num_thresholds: int = 200
    class_id: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class AUC(NamedMetric):
    """The area under a curve of thresholds: ROC (Green and Swets 1966), PR (Davis and Goadrich 2006) or PRGAIN (Flach and Kull 2015).

    `thresholds` of one's own rise. With `multi_label` each unit has its own curve.
    """

    name: ClassVar[str] = "auc"
    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"
    thresholds: Numbers = None
    multi_label: bool = False
    label_weights: Numbers = None
    from_logits: bool = False


@clear_arguments("metric")
@frozen(slots=False)
class ConfusionMatrix(NamedMetric):
    """How often each class was predicted for each: the numbers of the first true class, those of the second, and so on."""

    name: ClassVar[str] = "confusion_matrix"


@clear_arguments("metric")
@frozen(slots=False)
class IoU(NamedMetric):
    """The overlap of the listed classes with sparse_y_pred = false."""

    name: ClassVar[str] = "iou"
    num_classes: int
    target_class_ids: int | Sequence[int]
    ignore_class: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class MeanIoU(NamedMetric):
    """The overlap of all classes with sparse_y_pred = false."""

    name: ClassVar[str] = "mean_iou"
    num_classes: int
    ignore_class: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class OneHotIoU(NamedMetric):
    """The overlap of the listed classes, targets one-hot."""

    name: ClassVar[str] = "one_hot_iou"
    num_classes: int
    target_class_ids: int | Sequence[int]
    ignore_class: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class OneHotMeanIoU(NamedMetric):
    """The overlap of all classes, targets one-hot."""

    name: ClassVar[str] = "one_hot_mean_iou"
    num_classes: int
    ignore_class: int | None = None


@clear_arguments("metric")
@frozen(slots=False)
class BinaryIoU(NamedMetric):
    """The overlap of 0s and 1s, unit by unit."""

    name: ClassVar[str] = "binary_iou"
    target_class_ids: int | Sequence[int] | None = None
    threshold: float = 0.5


METRICS: dict[str, type[NamedMetric]] = {
    made.name: made
    for made in (
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        Perplexity,
        CosineSimilarity,
        RootMeanSquaredError,
        R2Score,
        PearsonCorrelation,
        ConcordanceCorrelation,
        TruePositives,
        FalsePositives,
        TrueNegatives,
        FalseNegatives,
        Precision,
        Recall,
        FBetaScore,
        F1Score,
        SensitivityAtSpecificity,
        SpecificityAtSensitivity,
        PrecisionAtRecall,
        RecallAtPrecision,
        AUC,
        ConfusionMatrix,
        IoU,
        MeanIoU,
        OneHotIoU,
        OneHotMeanIoU,
        BinaryIoU,
    )
}
"""By the names in a spec."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "metric", name)
