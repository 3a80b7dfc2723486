"""Metrics, with Keras's names, arguments and formulas (keras.metrics, 3.15).

A spec names them, `metrics = [mae, accuracy]`, or writes their equations; `Model.configure` takes names and objects. Every loss of rows is
a metric too.

An argument that no such metric can have is a ValueError, which says what it may be; `configure` holds what depends on the model's width.

>>> import rnnspec
>>> from rnnspec.metrics import Precision
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1, activation = sigmoid) }", seed=1)
>>> model.configure(loss="binary_crossentropy", metrics=[Precision(thresholds=0.7)])
"""

from __future__ import annotations

from typing import NoReturn

from rnnspec.training.constructors import absent
from rnnspec.training.metrics import (
    AUC,
    BinaryAccuracy,
    BinaryIoU,
    CategoricalAccuracy,
    ConcordanceCorrelation,
    ConfusionMatrix,
    CosineSimilarity,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    IoU,
    MeanIoU,
    Metric,
    OneHotIoU,
    OneHotMeanIoU,
    PearsonCorrelation,
    Perplexity,
    Precision,
    PrecisionAtRecall,
    R2Score,
    Recall,
    RecallAtPrecision,
    RootMeanSquaredError,
    SensitivityAtSpecificity,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    SpecificityAtSensitivity,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
)

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "IoU",
    "MeanIoU",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Perplexity",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "metric", name)
