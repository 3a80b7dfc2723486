"""One workload on all peers: the same data and weights, each output judged, times taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import rnnspec
from benchmarks.environments import BUILD, file_stem
from benchmarks.processes import PeerError, Process, Turn
from benchmarks.reference import reference
from benchmarks.workloads import Array, Workload, draw

TOLERANCE = 1e-5
"""How far a float32 result may be from the float64 one, relative to the largest value."""

TRIAL = 0.1
"""Seconds for each setting of a peer, twice, before the fastest is chosen."""

UNDISTURBED, TRIES = 0.97, 3
"""A turn that had less of its core is tried again, so often in all."""

SETTLED = 0.3
"""Seconds after which threads that wait for more work in a loop have given up: before the next peer's turn, with several threads."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One peer's turns at a workload. `error`: see TOLERANCE; `first`: seconds to build and to call once."""

    peer: str
    setting: str
    error: float
    first: float
    versions: dict[str, str]
    turns: list[Turn] = field(default_factory=list[Turn])

    @property
    def right(self) -> bool:
        return self.error <= TOLERANCE

    def percentile(self, percent: float) -> float:
        """Of all calls of all turns."""
        return float(np.percentile(np.concatenate([turn.times for turn in self.turns]), percent))

    @property
    def medians(self) -> Array:
        """One a turn."""
        return np.array([np.median(turn.times) for turn in self.turns])

    @property
    def share(self) -> float:
        """Of the core, in the middle turn."""
        return float(np.median([turn.share for turn in self.turns]))


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: so many turns of so many seconds.

    `processor`: by the processor's time, which leaves out what others do on the core; for one thread.
    """

    rounds: int
    seconds: float
    processor: bool


def ratio(slower: Measured, faster: Measured) -> float:
    """How many times as long, round by round, in the middle: what slows the machine down for a while slows both."""
    return float(np.median(slower.medians / faster.medians))


def measure(work: Workload, peers: Sequence[str], plan: Plan, say: Say) -> list[Measured]:
    """The peers that can do a workload, in the order given; a wrong one isn't timed."""
    folder = BUILD / "data"
    folder.mkdir(parents=True, exist_ok=True)
    expected = prepare(work, folder / f"{work.name}.npz")
    with ExitStack() as stack:
        running: list[tuple[Process, Measured]] = []
        for peer in peers:
            process = stack.enter_context(Process(peer, work.threads))
            try:
                found = _best_setting(process, work, folder, expected, replace(plan, seconds=TRIAL), say)
            except PeerError as error:
                say(f"{work.name}: {error}")
                continue
            if found is not None:
                running.append((process, found))
        for _ in range(plan.rounds):
            for process, found in running:
                if found.right:
                    found.turns.append(_turn(process, found.setting, work, plan))
        return [found for _, found in running]


def _turn(process: Process, setting: str, work: Workload, plan: Plan) -> Turn:
    """Again if others had the core for a part of it; after the last try the least disturbed one."""
    turns: list[Turn] = []
    while not turns or (len(turns) < TRIES and turns[-1].share < UNDISTURBED and not plan.processor):
        turns.append(process.time(setting, plan.seconds, plan.processor))
        if work.threads > 1:
            time.sleep(SETTLED)
    return max(turns, key=lambda turn: turn.share)


def prepare(work: Workload, path: Path) -> Array:
    """Writes data and weights, and gives the reference."""
    model = rnnspec.compile(work.spec, parameters=work.parameters, seed=0)
    random = np.random.default_rng(1)
    weights = {name: _drawn(name, value, random) for name, value in model.weights.items()}
    data = draw(work)
    np.savez(path, **data, **{f"w{number}": weight for number, weight in enumerate(weights.values())})  # pyright: ignore[reportArgumentType]
    return reference(work, data, weights)


def _drawn(name: str, initial: Array, random: np.random.Generator) -> Array:
    """Not quite as it begins, so that every weight counts.

    A norm's gain of one makes a recurrence chaotic: everybody's float32 result is 1e-4 off after 100 steps.
    """
    scale = 0.3 if name.endswith("_gain") else 1.0
    return (scale * initial + 0.05 * random.normal(size=initial.shape)).astype(np.float32)


def _best_setting(process: Process, work: Workload, folder: Path, expected: Array, plan: Plan, say: Say) -> Measured | None:
    """The fastest of those that are right, or a wrong one if all are; None if there is none."""
    versions = process.versions()
    tried: list[tuple[float, Measured]] = []
    for setting in process.load(work.name, folder / f"{work.name}.npz"):
        answer = folder / f"{work.name}-{file_stem(process.peer)}.npy"
        try:
            first = process.check(setting, answer)
            error = distance(np.load(answer), expected)
            found = Measured(process.peer, setting, error, first, versions)
            turns = [_turn(process, setting, work, plan) for _ in range(2)] if found.right else []
        except PeerError as failure:
            say(f"{work.name}, {setting}: {failure}")
            continue
        fastest = min((min(turn.times) for turn in turns), default=np.inf)
        say(f"{work.name}: {process.peer}, {setting}: {fastest:.3g} s, error {error:.1e}, first result after {first:.2f} s")
        tried.append((fastest, found))
    return min(tried, key=lambda pair: pair[0])[1] if tried else None


def distance(found: Array, expected: Array) -> float:
    """The largest difference, relative to the largest expected value; infinite for another shape."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())
