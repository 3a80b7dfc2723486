"""What callbacks, a generator and a schedule cost beside a plain `fit`: `python -m benchmarks.fit`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

import rnnspec
from benchmarks.environments import BUILD, pin
from benchmarks.workloads import Array
from rnnspec.callbacks import Callback, CSVLogger, EarlyStopping, ReduceLROnPlateau, TerminateOnNaN
from rnnspec.optimizers import Adam
from rnnspec.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule, OneCycle

SPEC = """
model Fit {{
    input x: float[time, {features}]
    {cell}({units})
    Dense(10, activation = softmax)
}}
"""

WORKLOADS = {
    "W5a-train": {"cell": "LSTM", "features": 80, "units": 128, "batch": 32, "time": 100},
    "small GRU": {"cell": "GRU", "features": 8, "units": 32, "batch": 32, "time": 20},
}

HEADINGS = ["workload", "with", "us a step", "more, us", "times"]

STEPS = 20
"""Batches an epoch."""

Fit = Callable[[int], None]
"""Trains so many epochs."""


def main(
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 20,
    seconds: Annotated[float, typer.Option(help="How long a turn is, about.")] = 0.5,
    to: Annotated[Path, typer.Option(help="Folder for fit.md.")] = BUILD,
) -> None:
    """Epochs of `fit` in turns, one core; the differences are the medians of the rounds' differences, the last column of their ratios."""
    pin(1)
    console = Console()
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    for name, sizes in WORKLOADS.items():
        for line in _measured(sizes, rounds, seconds):
            rows.append([name, *line])
            console.print(" | ".join(rows[-1]), soft_wrap=True)
    to.mkdir(parents=True, exist_ok=True)
    (to / "fit.md").write_text("".join(f"| {' | '.join(row)} |\n" for row in rows))


class Watch(Callback):
    """Looks at each batch's loss, as people do."""

    last = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keeps it."""
        self.last = (logs or {}).get("loss", self.last)


def _measured(sizes: Mapping[str, int | str], rounds: int, seconds: float) -> Iterator[list[str]]:
    batch = int(sizes["batch"])
    random = np.random.default_rng(0)
    x = random.normal(size=(STEPS * batch, int(sizes["time"]), int(sizes["features"]))).astype(np.float32)
    y = random.integers(0, 10, STEPS * batch).astype(np.int32)
    with TemporaryDirectory() as folder:
        ways = _ways(SPEC.format(**sizes), x, y, batch, Path(folder))
        for fit in ways.values():
            fit(1)
        epochs = max(2, round(seconds / min(_seconds(fit, 2) / 2 for fit in ways.values())))
        times = {way: np.empty(rounds) for way in ways}
        for turn in range(rounds):
            for way, fit in ways.items():
                times[way][turn] = _seconds(fit, epochs) / (epochs * STEPS) * 1e6
    plain = times["nothing"]
    for way, found in times.items():
        yield [way, f"{np.median(found):.1f}", f"{np.median(found - plain):+.1f}", f"{np.median(found / plain):.3f}"]


def _seconds(fit: Fit, epochs: int) -> float:
    begun = time.perf_counter()
    fit(epochs)
    return time.perf_counter() - begun


def _ways(source: str, x: Array, y: Array, batch: int, folder: Path) -> dict[str, Fit]:
    """Each way with a model of its own."""

    def batches() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(x), batch):
            yield x[start : start + batch], y[start : start + batch]

    def way(*callbacks: Callback, rate: float | LearningRateSchedule = 1e-3, generator: bool = False) -> Fit:
        model = rnnspec.compile(source, seed=0)
        model.configure(loss="sparse_categorical_crossentropy", optimizer=Adam(learning_rate=rate))

        def fit(epochs: int) -> None:
            if generator:
                model.fit(batches, epochs=epochs, steps_per_epoch=STEPS, verbose=False, callbacks=list(callbacks))
            else:
                model.fit(x, y, batch, epochs, verbose=False, callbacks=list(callbacks))

        return fit

    return {
        "nothing": way(),
        "nothing, again": way(),
        "five callbacks": way(
            EarlyStopping("loss", patience=1000000),
            ReduceLROnPlateau("loss", patience=1000000),
            CSVLogger(folder / "log.csv"),
            TerminateOnNaN(),
            Watch(),
        ),
        "a generator": way(generator=True),
        "ExponentialDecay": way(rate=ExponentialDecay(1e-3, 1000, 0.9)),
        "CosineDecay": way(rate=CosineDecay(1e-3, 100000)),
        "OneCycle": way(rate=OneCycle(1e-3, 100000)),
    }


if __name__ == "__main__":
    typer.run(main)
