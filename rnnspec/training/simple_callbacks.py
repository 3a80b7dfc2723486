"""Callbacks that keep nothing: functions as hooks, and an end at the first loss that isn't finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rnnspec.runtime.data.validate import true_or_false
from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.constructors import clear_arguments

_Hook = Callable[..., Any] | None


@clear_arguments("callback")
class LambdaCallback(Callback):
    """Functions as hooks, as Keras's LambdaCallback: each is called with what the hook of its name gets.

    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.callbacks import LambdaCallback
    >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> shown = LambdaCallback(on_epoch_begin=lambda epoch, logs: print("epoch", epoch))
    >>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=2, verbose=False, callbacks=[shown])
    epoch 0
    epoch 1
    """

    def __init__(
        self,
        on_epoch_begin: _Hook = None,
        on_epoch_end: _Hook = None,
        on_train_begin: _Hook = None,
        on_train_end: _Hook = None,
        on_train_batch_begin: _Hook = None,
        on_train_batch_end: _Hook = None,
        *,
        on_batch_begin: _Hook = None,
        on_batch_end: _Hook = None,
        on_test_begin: _Hook = None,
        on_test_end: _Hook = None,
        on_test_batch_begin: _Hook = None,
        on_test_batch_end: _Hook = None,
    ) -> None:
        given = {name: function for name, function in locals().items() if name.startswith("on_") and function is not None}
        for name, function in given.items():
            if not callable(function):
                raise ValueError(f"LambdaCallback: {name}: expected a function, got {function!r}")
            setattr(self, name, function)


@clear_arguments("callback")
class TerminateOnNaN(Callback):
    """Stops the training at the first batch after which the epoch's loss isn't finite, as Keras's TerminateOnNaN.

    `raise_error`: RuntimeError instead, without `on_train_end` of any callback.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = true_or_false("TerminateOnNaN: raise_error", raise_error)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Looks at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"the loss is {loss} after batch {batch}")
        print(f"batch {batch}: the loss is {loss}, training ends")
        self.model.stop_training = True
