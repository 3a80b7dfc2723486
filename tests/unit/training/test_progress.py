"""How a training looks, on a terminal and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from rnnspec.training.progress import EpochLines, ProgressBar, epoch_line, progress
from tests.unit.training.test_fit import X, Y, classifier


def test_epoch_line() -> None:
    assert epoch_line(2, 60, {"loss": 0.41234, "accuracy": 0.9}) == "epoch  3/60: loss 0.4123, accuracy 0.9000"
    assert epoch_line(0, 1, {"loss": float("nan")}) == "epoch 1/1: loss nan"


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
    shown.on_train_begin(1, 1234)
    shown.on_batch_end(0, {"loss": 0.4123, "accuracy": 0.9012})
    shown.on_train_end()
    assert "…" not in out.getvalue()
    assert all(text in out.getvalue() for text in ("0.4123", "0.9012", "/1234"))
