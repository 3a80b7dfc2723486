"""How a training looks, on a terminal and elsewhere."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.progress import EpochLines, ProgressBar, epoch_line, progress, value_text
from tests.unit.runtime.fake import executable, model, signature
from tests.unit.training.test_fit import X, Y, classifier


def test_epoch_line() -> None:
    assert epoch_line(2, 60, {"loss": 0.41234, "accuracy": 0.9}) == "epoch  3/60: loss 0.4123, accuracy 0.9000"
    assert epoch_line(0, 1, {"loss": float("nan")}) == "epoch 1/1: loss nan"
    assert epoch_line(0, 1, {"loss": 1.0, "f1_score": np.array([0.5, 1.0])}) == "epoch 1/1: loss 1.0000, f1_score [0.5000, 1.0000]"


def test_a_line_has_the_first_of_many_numbers() -> None:
    assert value_text(np.float64(0.25)) == "0.2500"
    assert value_text(np.zeros(0)) == "[]"
    assert value_text(np.ones(10)) == f"[{', '.join(['1.0000'] * 10)}]"
    assert value_text(np.ones(13)) == f"[{', '.join(['1.0000'] * 10)}, and 3 more]"


class Watching(Callback):
    """Keeps what it is told after updates."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.seen.append((logs or {})["precision"])


def test_a_metric_is_computed_of_totals_for_whom_it_is_shown_to() -> None:
    """Once an update for all callbacks that look at updates, and once an epoch."""
    made = model(signature(width=4))
    made.configure("mse", "SGD", ["precision"])
    y = np.eye(4)[np.arange(len(X)) % 4]
    results: list[object] = []
    of_totals = executable(made).result
    executable(made).result = lambda *given: results.append(of_totals(*given)) or results[-1]  # type: ignore[method-assign]
    made.fit(X, y, 5, 2, verbose=False, callbacks=[Callback()])
    assert len(results) == 2
    results.clear()
    watching = [Watching(), Watching()]
    made.fit(X, y, 5, 1, verbose=False, callbacks=watching)
    updates = -(-len(X) // 5)
    assert len(results) == updates + 1
    assert watching[0].seen == watching[1].seen == results[:updates]


def test_lines_elsewhere() -> None:
    out = io.StringIO()
    shown = progress(Console(file=out))
    assert isinstance(shown, EpochLines)
    classifier().fit(X, Y, epochs=2, verbose=False, callbacks=[shown])
    lines = out.getvalue().splitlines()
    assert [line[:10] for line in lines] == ["epoch 1/2:", "epoch 2/2:"]


def test_a_bar_on_a_terminal() -> None:
    """The lines stay above the bar, which is full in the end."""
    out = io.StringIO()
    shown = progress(Console(file=out, force_terminal=True, width=200))
    assert isinstance(shown, ProgressBar)
    classifier().fit(X, Y, 5, 2, verbose=False, callbacks=[shown])
    text = out.getvalue()
    assert "epoch 1/2: loss " in text
    assert "epoch 2/2: loss " in text
    assert "4/4" in text


def test_a_narrow_bar_loses_no_number() -> None:
    out = io.StringIO()
    shown = progress(Console(file=out, force_terminal=True, width=40))
    shown.set_params({"epochs": 1, "steps": 1234})
    shown.on_train_begin()
    shown.on_batch_end(0, {"loss": 0.4123, "accuracy": 0.9012})
    shown.close()
    assert "…" not in out.getvalue()
    assert all(text in out.getvalue() for text in ("0.4123", "0.9012", "/1234"))
