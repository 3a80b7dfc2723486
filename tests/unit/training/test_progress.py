"""How a training looks, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.pace import Pace, duration
from rnnspec.training.progress import EpochLines, NotebookBar, ProgressBar, epoch_line, evaluation, progress, value_text
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
    assert value_text(np.full(13, 1 / 3), short=False) == f"[{', '.join([repr(1 / 3)] * 13)}]"


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


class Clock(Callback):
    """A clock that stands still but for a second for each update and ten for each validation."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.now += 1.0

    def on_test_end(self, logs: Logs | None = None) -> None:
        self.now += 10.0


def test_lines_elsewhere_lose_no_digit() -> None:
    """A line an epoch with its seconds, its updates a second and what remains."""
    out, clock = io.StringIO(), Clock()
    shown = progress(Console(file=out), clock=clock)
    assert isinstance(shown, EpochLines)
    history = classifier().fit(X, Y, 5, 3, validation_split=0.1, verbose=False, callbacks=[clock, shown]).history
    paces = ["12 s, 1 batches/s, 24 s left", "12 s, 1 batches/s, 12 s left", "12 s, 1 batches/s"]
    assert out.getvalue().splitlines() == [
        f"epoch {epoch + 1}/3: {', '.join(f'{name} {values[epoch]!r}' for name, values in history.items())} ({pace})"
        for epoch, pace in enumerate(paces)
    ]


def test_a_bar_on_a_terminal() -> None:
    """The lines stay above the bar, which is full in the end."""
    out, clock = io.StringIO(), Clock()
    shown = progress(Console(file=out, force_terminal=True, width=200), clock=clock)
    assert isinstance(shown, ProgressBar)
    history = classifier().fit(X, Y, 5, 2, verbose=False, callbacks=[clock, shown]).history
    text = out.getvalue()
    assert f"epoch 1/2: loss {history['loss'][0]:.4f}, accuracy {history['accuracy'][0]:.4f} (2.0 s, 1 batches/s, 2.0 s left)" in text
    assert "epoch 2/2: loss " in text
    assert "4/4" in text
    assert isinstance(progress(Console(file=out, force_terminal=True), lines=True), EpochLines)


class Shown(list[str]):
    """IPython's display, and the handle that it gives: all that was shown."""

    def display(self, made: NotebookBar, *, display_id: bool) -> Shown:
        assert display_id
        self.update(made)
        return self

    def update(self, made: NotebookBar) -> None:
        self.append(made._repr_html_())


def test_a_notebook_has_one_output_that_changes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown, clock = Shown(), Clock()
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.display))  # type: ignore[arg-type]
    bar = progress(Console(force_jupyter=True), clock=clock)
    assert isinstance(bar, NotebookBar)
    classifier().fit(X, Y, 5, 2, verbose=False, callbacks=[clock, bar])
    assert len(shown) == 1 + 4 + 2 + 1 and not capsys.readouterr().out
    assert [html[: html.index(" style")] for html in shown[:3]] == [f'<progress value="{n}" max="4"' for n in range(3)]
    assert "epoch 1/2: loss " in shown[1] and "(1 batches/s, 3.0 s left)" in shown[1]
    assert "(2.0 s, 1 batches/s, 2.0 s left)" in shown[3] and 'value="4" max="4"' in shown[-1]
    bar.set_params({"epochs": 1, "steps": None})
    bar.on_train_begin()
    assert shown[-1].startswith("<progress style")
    bar.close()
    assert shown[-1].startswith('<progress value="1" max="1"')
    classifier().fit(X, Y, 5, 1, verbose=False, callbacks=[progress(Console(force_jupyter=True), lines=True)])
    assert capsys.readouterr().out.startswith("epoch 1/1: loss ")


def test_an_evaluation_is_shown_if_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A line with all digits where there is no terminal; a bar and a short line on one."""
    made = classifier()
    quiet = made.evaluate(X, Y, 5)
    assert not capsys.readouterr().out
    assert made.evaluate(X, Y, 5, verbose=1) == quiet
    assert capsys.readouterr().out.startswith(f"evaluation: loss {quiet['loss']!r}, accuracy {quiet['accuracy']!r} (")
    out, clock = io.StringIO(), Clock()
    for lines in (False, True):
        made.evaluate(X, Y, 5, callbacks=[clock, evaluation(Console(file=out, force_terminal=True, width=200), lines=lines, clock=clock)])
        assert f"evaluation: loss {quiet['loss']:.4f}, accuracy {quiet['accuracy']:.4f} (10 s, 0.2 batches/s)" in out.getvalue()
        assert ("2/2" in out.getvalue()) is not lines
        out.truncate(0)
    with pytest.raises(ValueError, match="verbose: expected True, False, 0, 1 or 2, got 3"):
        made.evaluate(X, Y, verbose=3)


def test_a_prediction_is_shown_if_it_is_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar on a terminal, of arrays and of what gives batches; nothing elsewhere."""
    made = classifier()
    quiet = made.predict(X)
    assert np.array_equal(made.predict(X, 5, verbose=1), quiet) and not capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert np.array_equal(made.predict(X, 5, verbose=1), quiet)
    assert "2/2" in capsys.readouterr().out
    assert np.array_equal(made.predict((X[start : start + 5] for start in (0, 5)), steps=2, verbose=1), quiet)
    assert "2/2" in capsys.readouterr().out
    with pytest.raises(ValueError, match="verbose: expected True, False, 0, 1 or 2, got 'no'"):
        made.predict(X, verbose="no")  # type: ignore[arg-type]


def test_what_remains_is_told_by_the_last_epochs() -> None:
    """The first one compiles, and counts only while there is no other."""
    clock = Clock()
    pace = Pace(clock)
    pace.begin({"epochs": 10, "steps": 4})
    texts: list[str] = []
    for epoch, seconds in ((6, 8.0), (7, 2.0), (8, 2.0), (9, 2.0)):
        pace.begin_epoch(epoch)
        texts.append(pace.text(within=True))
        pace.count_batch()
        clock.now += seconds
        texts.append(pace.text(within=True))
        pace.end_epoch()
        texts.append(pace.text())
    assert texts[:3] == ["", "0.125 batches/s, 2 min 00 s left", "8.0 s, 0.125 batches/s, 24 s left"]
    assert texts[3:6] == ["24 s left", "0.5 batches/s, 22 s left", "2.0 s, 0.5 batches/s, 4.0 s left"]
    assert texts[6:] == [
        "4.0 s left",
        "0.5 batches/s, 2.0 s left",
        "2.0 s, 0.5 batches/s, 2.0 s left",
        "2.0 s left",
        "0.5 batches/s, 0.0 s left",
        "2.0 s, 0.5 batches/s",
    ]


def test_durations() -> None:
    given = [0.0, 0.0421, 0.99, 1.25, 9.94, 9.96, 59.4, 59.6, 185.0, 3599.6, 7500.0, 360000.0]
    found = [
        "0.0 s",
        "0.042 s",
        "0.99 s",
        "1.2 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1 min 00 s",
        "3 min 05 s",
        "1 h 00 min",
        "2 h 05 min",
        "100 h 00 min",
    ]
    assert list(map(duration, given)) == found


def test_a_narrow_bar_loses_no_number() -> None:
    out = io.StringIO()
    shown = progress(Console(file=out, force_terminal=True, width=40))
    shown.set_params({"epochs": 1, "steps": 1234})
    shown.on_train_begin()
    shown.on_batch_end(0, {"loss": 0.4123, "accuracy": 0.9012})
    shown.close()
    assert "…" not in out.getvalue()
    assert all(text in out.getvalue() for text in ("0.4123", "0.9012", "/1234"))
