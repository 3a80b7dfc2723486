"""Losses, with Keras's names, arguments and formulas (keras.losses, 3.15).

A spec names one, `loss = huber(delta = 2.0)`, or writes its equations; `Model.configure` takes a name, an object, or one for each output.

An argument that no such loss can have is a ValueError, which says what it may be; `configure` holds what depends on the model's width.

>>> import rnnspec
>>> from rnnspec.losses import Huber
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
>>> model.configure(loss=Huber(delta=2.0), optimizer="Adam")
"""

from __future__ import annotations

from typing import NoReturn

from rnnspec.training.constructors import absent
from rnnspec.training.losses import (
    CRF,
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Pinball,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)

__all__ = [
    "CRF",
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Pinball",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "loss", name)
