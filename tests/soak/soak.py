"""What must hold however often it is tried: interrupts, forks and other threads at any moment.

`test_soak.py` runs it in processes of its own. `python -m tests.soak.soak NAME ROUNDS` prints `ok` and counts at its end. No outcome
depends on when something happens.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnspec

WORDS = 9000
SPEC = f"""model Soak {{
    input words: int[time]
    Embedding({WORDS}, 8)
    LSTM(12, return_sequences = true)
    BatchNormalization()
    GRU(5)
    Dense(1, kernel_constraint = NonNeg())
    train {{ loss = mse  optimizer = Adam(learning_rate = 0.01) }}
}}"""
"""With what a step changes: a table whose updates are late, statistics, a constraint."""

FLOATS = """model Floats {
    input x: float[time, 3]
    LSTM(6, return_sequences = true)
    Dense(2)
}"""

PATIENCE = 120
"""Seconds after which a thread or a child counts as hanging: a hundred thousand times what it needs."""


def data(seed: int = 0) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    drawn = np.random.default_rng(seed)
    return drawn.integers(0, WORDS, (6, 7)).astype(np.int32), drawn.normal(size=(6, 1))


def same(first: rnnspec.Model, second: rnnspec.Model) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first.get_weights(), second.get_weights(), strict=True))


def elsewhere(work: Callable[[], Any]) -> Any:
    """What `work` gives in another thread, which finds no lock that this one forgot."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not given:
        faulthandler.dump_traceback(all_threads=True)
        raise AssertionError("another thread hangs, or has failed")
    return given[0]


class Interrupter:
    """One interrupt at a random moment of some work. `seconds`: how long such work has taken so far."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seconds = 0.01
        self.interrupted = self.whole = 0
        self._raised = False
        signal.signal(signal.SIGALRM, self.interrupt)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        self._raised = True
        raise KeyboardInterrupt

    def during(self, work: Callable[[], Any]) -> bool:
        """Whether the work came to its end."""
        self._raised = caught = False
        began = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-6, 1.2 * self.seconds))
            try:
                work()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.seconds += 0.1 * (time.perf_counter() - began - self.seconds)
        except KeyboardInterrupt:
            caught = True
            self.seconds *= 1.05
        assert caught == self._raised, "an interrupt was swallowed"
        self.interrupted += caught
        self.whole += not caught
        return not caught


def advanced(twin: rnnspec.Model, model: rnnspec.Model, most: int, step: Callable[[rnnspec.Model], Any]) -> int:
    """Steps that the undisturbed twin takes to be where the model is."""
    for steps in range(most + 1):
        if same(model, twin):
            return steps
        if steps < most:
            step(twin)
    raise AssertionError(f"the weights are none that {most} steps could have given")


def without_random(saved: bytes) -> dict[str, bytes]:
    """A file's members, but for where the random stream stands, which a training that is broken off has drawn from, and their digests."""
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name not in ("manifest.json", "training.json")}


def interrupted_steps(rounds: int) -> str:
    """`train_on_batch`, `fit`, `predict`, `save`, a stream: a step was made or it wasn't, and nobody waits for ever."""
    model, twin = (rnnspec.compile(SPEC, seed=0) for _ in range(2))
    x, y = data()
    model.threads = twin.threads = 2
    expected: Any = None

    def step(of: rnnspec.Model) -> None:
        of.train_on_batch(x, y)

    def epochs() -> None:
        model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=False)

    def saved() -> None:
        model.save(path)

    step(model), step(twin)
    model.predict(x)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.rnnc")
        model.save(path)
        kinds = {"step": Interrupter(1), "fit": Interrupter(2), "predict": Interrupter(3), "save": Interrupter(4)}
        for turn in range(rounds):
            name = ("step", "fit", "predict", "save")[turn % 4]
            interrupter = kinds[name]
            signal.signal(signal.SIGALRM, interrupter.interrupt)
            match name:
                case "step":
                    whole = interrupter.during(lambda: step(model))
                    steps = advanced(twin, model, 1, step)
                    assert steps == 1 or not whole
                case "fit":
                    whole = interrupter.during(epochs)
                    steps = advanced(twin, model, 3, step)
                    assert steps == 3 or not whole
                case "predict":
                    expected = twin.predict(x)
                    interrupter.during(lambda: model.predict(x))
                    assert np.array_equal(model.predict(x), expected)
                case _:
                    old = path.read_bytes()
                    whole = interrupter.during(saved)
                    now = path.read_bytes()
                    twin.save(folder + "/twin.rnnc")
                    new = Path(folder, "twin.rnnc").read_bytes()
                    assert without_random(now) == without_random(new) or (now == old and not whole)
            if turn % 7 == 0:
                assert np.array_equal(elsewhere(lambda: model.predict(x)), twin.predict(x))
                elsewhere(lambda: model.set_weights(model.get_weights()) or True)
        assert sorted(each.name for each in Path(folder).iterdir() if not each.name.startswith(".")) == ["model.rnnc", "twin.rnnc"]
    return ", ".join(f"{name} {each.interrupted} of {each.interrupted + each.whole}" for name, each in kinds.items())


def interrupted_compiles(rounds: int) -> str:
    """A spec compiles after an interrupted compilation, also in another thread; garbage is collected."""
    interrupter = Interrupter(5)
    x = np.ones((2, 3, 3), np.float32)
    expected = rnnspec.compile(FLOATS, seed=0).predict(x)
    for turn in range(rounds):
        interrupter.during(lambda: rnnspec.compile(FLOATS, seed=0).predict(x))
        assert gc.isenabled()
        if turn % 5 == 0:
            assert np.array_equal(elsewhere(lambda: rnnspec.compile(FLOATS, seed=0).predict(x)), expected)
    return f"{interrupter.interrupted} of {rounds}"


def saves_in_handlers(rounds: int) -> str:
    """A handler that saves while the main thread trains has whole weights, with all updates made."""
    model, twin = (rnnspec.compile(SPEC, seed=0) for _ in range(2))
    x, y = data()
    chance = random.Random(6)
    found: list[list[NDArray[Any]]] = []
    signal.signal(signal.SIGTERM, lambda *_: found.append(model.get_weights()))
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    known = [twin.get_weights()]
    for _ in range(rounds):
        began = time.perf_counter()
        model.train_on_batch(x, y)
        seconds = time.perf_counter() - began
        twin.train_on_batch(x, y)
        known = [*known[-1:], twin.get_weights()]
        found.clear()
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 1.2 * seconds))
        model.train_on_batch(x, y)
        signal.setitimer(signal.ITIMER_REAL, 0)
        twin.train_on_batch(x, y)
        known = [*known[-1:], twin.get_weights()]
        for weights in found:
            assert any(all(map(np.array_equal, weights, each)) for each in known), "a handler saw half of an update"
        assert same(model, twin)
    return f"{rounds}"


def forks(rounds: int) -> str:
    """A child that was forked while other threads train, predict and compile can do all of that."""
    model = rnnspec.compile(SPEC, seed=0)
    busy_model = rnnspec.compile(SPEC, seed=1)
    x, y = data()
    model.train_on_batch(x, y)
    stop = threading.Event()
    failed: list[str] = []

    def repeated(work: Callable[[], Any]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException:
            failed.append(traceback.format_exc())

    stream = rnnspec.compile(FLOATS, seed=2).stream(2)
    works = (
        lambda: model.train_on_batch(x, y),
        lambda: model.predict(x),
        lambda: busy_model.fit(x, y, verbose=False),
        lambda: rnnspec.compile(FLOATS, seed=0).predict(np.ones((1, 2, 3), np.float32)),
        lambda: stream.step(np.ones((2, 3))),
    )
    threads = [threading.Thread(target=repeated, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    chance = random.Random(7)
    for turn in range(rounds):
        time.sleep(chance.uniform(0, 0.004))
        child = os.fork()
        if not child:
            code = 1
            try:
                faulthandler.dump_traceback_later(PATIENCE, exit=True)
                weights = model.get_weights()
                assert all(np.isfinite(weight).all() for weight in weights)
                model.predict(x)
                model.train_on_batch(x, y)
                model.set_weights(weights)
                stream.step(np.ones((2, 3)))
                if turn % 5 == 0:
                    busy_model.fit(x, y, verbose=False)
                    rnnspec.compile(FLOATS, seed=turn).predict(np.ones((1, 2, 3), np.float32))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"child {turn} ended with {status}"
        assert not failed, failed[0]
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    return f"{rounds}"


def changed_ids(rounds: int) -> str:
    """Ids that another thread changes all the time are the old ones, the new ones, or refused."""
    model = rnnspec.compile(SPEC, seed=0)
    x, y = data()
    shared = x.copy()
    stop = threading.Event()

    def change() -> None:
        place = 0
        while not stop.is_set():
            place = (place + 1) % shared.size
            kept = shared.flat[place]
            shared.flat[place] = (2**28, -(2**31), WORDS)[place % 3]
            shared.flat[place] = kept

    thread = threading.Thread(target=change, daemon=True)
    sys.setswitchinterval(1e-5)
    thread.start()
    refused = 0
    for turn in range(rounds):
        try:
            match turn % 4:
                case 0:
                    model.predict(shared)
                case 1:
                    model.fit(shared, y, batch_size=2, verbose=False)
                case 2:
                    model.evaluate(shared, y)
                case _:
                    output, tape = model.forward(shared, record=True)
                    model.backward(tape, np.ones_like(output))
        except ValueError as error:
            assert "input words" in str(error), error
            refused += 1
    stop.set()
    thread.join(PATIENCE)
    assert np.array_equal(shared, x)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    return f"{rounds}, {refused} refused"


def shared_streams(rounds: int) -> str:
    """A stream that several threads step while others change the weights goes on, and is right afterwards."""
    model = rnnspec.compile(FLOATS, seed=0)
    weights = model.get_weights()
    stream = model.stream(2)
    failed: list[str] = []
    x = np.ones((2, 3), np.float32)

    def repeated(work: Callable[[int], Any]) -> None:
        try:
            for turn in range(rounds):
                work(turn)
        except BaseException:
            failed.append(traceback.format_exc())

    works: list[Callable[[int], Any]] = [
        lambda _: stream.step(x),
        lambda _: stream.step(x.astype(np.float64)),
        lambda _: stream.state,
        lambda turn: stream.reset([turn % 2]),
        lambda _: model.set_weights(weights),
        lambda _: model.predict(x[:, None]),
    ]
    threads = [threading.Thread(target=repeated, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20 * PATIENCE)
        assert not thread.is_alive()
    assert not failed, failed[0]
    stream.reset()
    steps = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    streamed = np.stack([stream.step(steps[:, time]) for time in range(5)], 1)
    assert np.array_equal(streamed, model.predict(steps))
    return f"{rounds} of each thread"


COMMAND_SPEC = """model Killed {
    input words: int[time]
    Embedding(40, 3)
    LSTM(3)
    Dropout(0.3)
    Dense(1)
    train { loss = mse  optimizer = Adam(learning_rate = 0.01)  batch_size = 3  epochs = 4 }
}"""


def command(words: list[str], killed_at: int | None, counted: list[int] | None = None) -> int:
    """The end of `rnnspec` in a fork, negative if a signal ended it; `killed_at`: the call of a function at which it kills itself.

    Calls of Python's functions and of those in C are counted, from the first callback of the training on: updates, writes and renames too.
    """
    from rnnspec.cli import main as command_main
    from rnnspec.training.backup import Checkpoints

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        calls = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")
            if calls == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

        begin = Checkpoints.on_train_begin

        def counting(self: Any, logs: Any = None) -> None:
            sys.setprofile(count)
            begin(self, logs)

        Checkpoints.on_train_begin = counting
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.argv = ["rnnspec", *words]
        code: Any = 1
        try:
            command_main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.setprofile(None)
            os.write(writing, str(calls).encode())
            os._exit(code)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        content = pipe.read()
    if counted is not None:
        counted.append(int(content))
    return os.waitstatus_to_exitcode(status)


def killed_trainings(rounds: int) -> str:
    """`rnnspec train` with checkpoints, killed at any moment and resumed, perhaps killed again: the bits of an undisturbed one."""
    random_, counted, killed = random.Random(5), list[int](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec, examples, whole = folder / "spec.rnn", folder / "data.npz", folder / "whole.rnnc"
        spec.write_text(COMMAND_SPEC, encoding="utf-8")
        drawn = np.random.default_rng(0)
        np.savez(examples, x=drawn.integers(0, 40, (8, 4)).astype(np.int32), y=drawn.normal(size=(8, 1)))
        given = ["train", str(spec), "-d", str(examples), "--seed", "1", "--checkpoint", "every=1", "--keep", "2", "--resume"]
        for _ in range(2):  # the second has what is compiled once from the cache
            assert command([*given, "-o", str(whole)], None, counted) == 0
        plain = folder / "plain.rnnc"
        assert command(["train", str(spec), "-d", str(examples), "--seed", "1", "-o", str(plain)], None) == 0
        assert plain.read_bytes() == whole.read_bytes()
        for turn in range(rounds):
            output = folder / f"killed-{turn}.rnnc"
            words = [*given, "-o", str(output)]
            while random_.random() < 0.7 or killed <= turn:
                ended = command(words, random_.randint(1, counted[-1]))
                assert ended in (0, -signal.SIGKILL), ended
                killed += ended != 0
                epochs = sorted(path.name for path in Path(f"{output}.checkpoints").glob("epoch-*"))
                assert len(epochs) <= 3, epochs
            assert command(words, None) == 0
            assert output.read_bytes() == whole.read_bytes(), f"round {turn}: other bits than those of the undisturbed training"
            output.unlink()
        assert sorted(path.name for path in folder.iterdir()) == ["data.npz", "plain.rnnc", "spec.rnn", "whole.rnnc"]
    return f"{killed} kills in {rounds} trainings, of {counted[-1]} moments"


SOAKS: dict[str, Callable[[int], str]] = {
    "interrupted_steps": interrupted_steps,
    "interrupted_compiles": interrupted_compiles,
    "saves_in_handlers": saves_in_handlers,
    "forks": forks,
    "changed_ids": changed_ids,
    "shared_streams": shared_streams,
    "killed_trainings": killed_trainings,
}


def main(name: str, rounds: str) -> None:
    def unraisable(problem: Any) -> None:
        """An interrupt in a destructor is printed and forgotten by Python: here it ends the process."""
        print(problem.object, file=sys.stderr)
        traceback.print_exception(problem.exc_value)
        os._exit(3)

    sys.unraisablehook = unraisable
    print(f"ok: {SOAKS[name](int(rounds))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
