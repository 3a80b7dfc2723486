"""A model's losses and optimizer come in with the first use of them, once."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.training import model as module
from rnnspec.training import setup

SPEC = "model M { input x: float[time, 2] LSTM(2) Dense(1) }"


def test_threads_that_come_at_the_same_time_set_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one has found nothing set up, and waits for the first, whose choice stays."""
    inside, second_came = threading.Event(), threading.Event()
    made: list[object] = []
    penalties = setup.penalties

    class Watched:
        """In the place of the lock of imports, which each thread takes before that of changes."""

        def __enter__(self) -> None:
            if threading.current_thread() is not first:
                second_came.set()

        def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
            pass

    def waiting(signature: Any) -> Any:
        made.append(signature)
        inside.set()
        assert second_came.wait(60)
        return penalties(signature)

    monkeypatch.setattr(module, "LLVM", Watched())
    monkeypatch.setattr(setup, "penalties", waiting)
    model = rnnspec.compile(SPEC, seed=1)
    first = threading.Thread(target=lambda: model.configure(loss="mse", optimizer="SGD"))
    first.start()
    assert inside.wait(60)
    model.configure(metrics=["mae"])
    first.join()
    assert len(made) == 1
    model.train_on_batch(np.ones((2, 3, 2)), np.ones((2, 1)))
