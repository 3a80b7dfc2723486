"""Callbacks of `Model.fit` and `Model.evaluate`, with Keras's names, arguments and meaning (keras.callbacks, 3.15).

A list of them is an argument of `fit` and `evaluate`, or stands in a spec's train section, `callbacks = [EarlyStopping(patience = 3)]`.
One of your own is an object of a class that inherits `Callback`.

>>> import numpy as np
>>> import rnnspec
>>> from rnnspec.callbacks import Callback, EarlyStopping
>>> class Count(Callback):
...     updates = 0
...
...     def on_train_batch_end(self, batch, logs=None):
...         self.updates += 1
>>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
>>> model = rnnspec.compile(spec, seed=1)
>>> count = Count()
>>> x, y = np.ones((8, 5, 3)), np.ones((8, 1))
>>> history = model.fit(x, y, 4, 3, verbose=False, callbacks=[count, EarlyStopping("loss", patience=2)])
>>> count.updates, history.epoch
(6, [0, 1, 2])
"""

from __future__ import annotations

from typing import NoReturn

from rnnspec.training.backup import BackupAndRestore
from rnnspec.training.callbacks import Callback, History
from rnnspec.training.constructors import absent
from rnnspec.training.log_callbacks import CSVLogger, TensorBoard
from rnnspec.training.model_checkpoint import ModelCheckpoint
from rnnspec.training.monitors import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau
from rnnspec.training.simple_callbacks import LambdaCallback, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "callback", name)
