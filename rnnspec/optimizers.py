"""Optimizers, with Keras's names, arguments and formulas (keras.optimizers, 3.15).

A spec names one, `optimizer = Adam(0.01)`; `Model.configure` takes a name or an object, which then trains that model, and no other.

>>> import rnnspec
>>> from rnnspec.optimizers import Adam
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
>>> optimizer = Adam(learning_rate=0.01)
>>> model.configure(loss="mse", optimizer=optimizer)
>>> model.optimizer is optimizer
True
>>> optimizer.learning_rate = 0.001
>>> model.learning_rate
0.001
"""

from __future__ import annotations

from typing import NoReturn

from rnnspec.training.constructors import absent
from rnnspec.training.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Muon,
    Nadam,
    Optimizer,
    RMSprop,
)

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "optimizer", name)
