"""Learning-rate schedules, with Keras's names, arguments and numbers (keras.optimizers.schedules, 3.15), and PyTorch's one-cycle.

An optimizer takes one in the place of a number. Its step is the number of batches trained so far, in all epochs and calls.

>>> import numpy as np
>>> import rnnspec
>>> from rnnspec.optimizers import SGD
>>> from rnnspec.schedules import PiecewiseConstantDecay
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
>>> model.configure(loss="mse", optimizer=SGD(PiecewiseConstantDecay([3], [0.1, 0.01])))
>>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), batch_size=2, verbose=False)
>>> model.learning_rate
0.01
"""

from __future__ import annotations

from typing import NoReturn

from rnnspec.training.constructors import absent
from rnnspec.training.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "learning-rate schedule", name)
