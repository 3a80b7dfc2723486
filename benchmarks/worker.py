"""One peer's process: loads a workload, then does as it is told, a line of JSON each way. `python -m benchmarks.worker PEER`."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from benchmarks.peers import Call, Task, settings
from benchmarks.workloads import TRAIN_STEPS, Array, workload

SAMPLE = 1e-3
"""Seconds that one measured time takes at least: shorter calls are measured several at once."""


class Worker:
    """The settings of one peer for one workload, built when they are first checked."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._calls: dict[str, Call] = {}

    def versions(self, packages: list[str]) -> dict[str, str]:
        from importlib import metadata  # which a first result, `cold`, doesn't wait for

        return {name: metadata.version(name) for name in packages}

    def load(self, name: str, data: str) -> list[str]:
        """The names of the settings."""
        with np.load(data) as arrays:
            held = {key: arrays[key] for key in arrays.files}
        self._work = workload(name)
        self._inputs, self._y = tuple(held[given] for given in self._work.inputs), held["y"]
        weights = [held[f"w{number}"] for number in range(len(held) - len(self._inputs) - 1)]
        self._settings = settings(self._peer, Task(self._work, weights))
        return list(self._settings)

    def check(self, setting: str, to: str) -> float:
        """Builds a setting, writes what it gives to a file for the reference to judge; the seconds to the first result."""
        begun = time.perf_counter()
        call = self._settings[setting]()
        first = call(*self._arguments())
        seconds = time.perf_counter() - begun
        self._calls[setting] = call
        if to:
            np.save(to, self._results(call, np.asarray(first)))
        return seconds

    def _results(self, call: Call, first: Array) -> Array:
        if self._work.train:
            return np.array([first, *(call(*self._arguments()) for _ in range(TRAIN_STEPS - 1))], np.float64)
        if self._work.kind == "stream":
            (x,) = self._inputs
            return np.stack([first, *(np.asarray(call(x[:, step])) for step in range(1, self._work.time))], axis=1)
        return first

    def _arguments(self) -> tuple[Array, ...]:
        if self._work.train:
            return *self._inputs, self._y
        return (self._inputs[0][:, 0].copy(),) if self._work.kind == "stream" else self._inputs

    def time(self, setting: str, seconds: float, processor: bool) -> tuple[list[float], float]:
        """Seconds a call, or a step of one that takes several, measured for so long and twice at least; the share of a core that it had.

        Calls before it aren't counted. `processor`: seconds of the processor's time rather than of the clock on the wall.
        """
        clock = time.process_time if processor else time.perf_counter
        call, arguments = self._calls[setting], self._arguments()
        single = _measured(call, arguments, 1, clock)
        repeats = max(1, round(SAMPLE / single)) if single < SAMPLE else 1
        _measured(call, arguments, repeats, clock)
        steps = self._work.steps_of_a_call
        times: list[float] = []
        begun, used = time.perf_counter(), time.process_time()
        while len(times) < 2 or time.perf_counter() < begun + seconds:
            times.append(_measured(call, arguments, repeats, clock) / steps)
        return times, (time.process_time() - used) / (time.perf_counter() - begun)


def _measured(call: Call, arguments: tuple[Array, ...], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds a call, the loop's own 20 ns included."""
    gc.disable()
    try:
        if len(arguments) == 1:
            (x,) = arguments
            begun = clock()
            for _ in range(repeats):
                call(x)
        else:
            begun = clock()
            for _ in range(repeats):
                call(*arguments)
        return (clock() - begun) / repeats
    finally:
        gc.enable()


def private_output() -> TextIO:
    """The standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def serve(worker: Worker, answers: TextIO) -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        do: Callable[..., Any] = getattr(worker, name)
        try:
            answer = {"result": do(*arguments)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


def first_result(peer: str, name: str, data: str) -> None:
    """From a fresh process to a first result: what `cold` measures from outside."""
    worker = Worker(peer)
    worker.check(worker.load(name, data)[0], "")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        first_result(*sys.argv[1:])
    else:
        serve(Worker(sys.argv[1]), private_output())
