"""Models in files that are open, in bytes, pickled, copied and sent to other processes."""

from __future__ import annotations

import copy
import gzip
import io
import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import Model
from rnnspec.contract.executable import Array
from rnnspec.contract.thread_count import default_threads
from rnnspec.diagnostics import SpecWarning
from rnnspec.driver import compilation, source_files
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.training.optimizers import SGD

SPEC = """
model Copied(units = 3) {
    input x: float[time, 2]
    LSTM(units)
    Dropout(0.5)
    Dense(1)
    train { loss = mse  optimizer = Adam(learning_rate = 0.01)  metrics = [mae] }
}
"""

X, Y = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32), np.ones((4, 1), np.float32)

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": lambda model, protocol=protocol: pickle.loads(pickle.dumps(model, protocol)) for protocol in range(2, 6)},
}


@pytest.fixture(scope="module")
def model() -> Model:
    return rnnspec.compile(SPEC, seed=3)


def saved(model: Model) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def same(one: Model, other: Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


# Files and bytes


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_a_model_is_its_files_bytes(model: Model, tmp_path: Path, kind: Callable[[bytes], Any]) -> None:
    model.save(tmp_path / "model.rnnc")
    content = saved(model)
    assert content == (tmp_path / "model.rnnc").read_bytes()
    found = rnnspec.load(kind(content))
    assert np.array_equal(found.predict(X), model.predict(X))
    assert saved(found) == content


class Trickle(io.RawIOBase):
    """A file that takes and gives a few bytes at a time, and can't be rewound."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.content[: min(len(buffer), 1000)]
        buffer[: len(part)] = part
        del self.content[: len(part)]
        return len(part)

    def write(self, content: Any) -> int:
        self.content += bytes(content)[:100]
        return min(len(content), 100)


def test_files_of_all_kinds(model: Model, tmp_path: Path) -> None:
    trickle = Trickle()
    model.save(trickle)
    assert bytes(trickle.content) == saved(model)
    assert same(rnnspec.load(Trickle(saved(model))), model)
    with gzip.open(tmp_path / "model.gz", "wb") as packed:
        model.save(packed)
    with gzip.open(tmp_path / "model.gz") as packed:
        assert same(rnnspec.load(packed), model)
    with (tmp_path / "model.rnnc").open("wb") as file:
        file.write(b"before")
        model.save(file)
    with (tmp_path / "model.rnnc").open("rb") as file:
        file.seek(6)
        assert same(rnnspec.load(file), model)
    one, other = socket.socketpair()
    with one, other, one.makefile("wb") as writer, other.makefile("rb") as reader:
        model.save(writer)
        writer.close()
        one.close()
        assert same(rnnspec.load(reader), model)


def test_what_is_no_file_is_told(model: Model, tmp_path: Path) -> None:
    for wrong in (3, None, [], object()):
        with pytest.raises(TypeError, match="expected a path or a binary file to write to, got"):
            model.save(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected a path, a model file's bytes or a binary file, got"):
            rnnspec.load(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got one of text: open it with mode 'wb'"):
        model.save(io.StringIO())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got one of text: open it with mode 'rb'"):
        rnnspec.load(io.StringIO())  # type: ignore[arg-type]


def test_a_message_names_the_file_or_says_that_it_has_no_name(tmp_path: Path) -> None:
    (tmp_path / "broken.rnnc").write_bytes(b"broken")
    with (tmp_path / "broken.rnnc").open("rb") as file, pytest.raises(ValueError, match=r"broken\.rnnc: truncated, damaged"):
        rnnspec.load(file)
    with pytest.raises(ValueError, match=r"^<model>: truncated, damaged"):
        rnnspec.load(b"broken")


# Copies


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_the_same_model_with_weights_of_its_own(kind: str) -> None:
    model = rnnspec.compile(SPEC, units=4, seed=3)
    found: Model = COPIES[kind](model)
    assert found.source == model.source
    assert found.predict(X).tobytes() == model.predict(X).tobytes()
    found.train_on_batch(X, Y)
    assert not same(found, model)


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_goes_on_with_the_same_random_numbers(kind: str, begun: bool) -> None:
    """As a training model would that never stopped, and not with the very same stream."""
    model = rnnspec.compile(SPEC, seed=3)
    if begun:
        model.forward(X, training=True)
    found: Model = COPIES[kind](model)
    again: Model = COPIES[kind](found)
    expected = [model.forward(X, training=True).tobytes() for _ in range(3)]
    assert len(set(expected)) == 3
    assert [found.forward(X, training=True).tobytes() for _ in range(3)] == expected
    assert [again.forward(X, training=True).tobytes() for _ in range(3)] == expected


def test_a_copy_keeps_the_threads_that_were_chosen(model: Model) -> None:
    found = copy.deepcopy(model)
    assert found.threads == default_threads()
    found.threads = default_threads() + 2
    assert copy.copy(found).threads == pickle.loads(pickle.dumps(found)).threads == default_threads() + 2


@dataclass
class Scaled:
    """A loss of one's own."""

    factor: float
    classes: bool = False
    from_logits: bool = False

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        error = predictions - targets
        return self.factor * (error * error).mean(axis=1), self.factor * 2 * error / error.shape[1]


CHOSEN: dict[str, Mapping[str, Any]] = {
    "loss": {"loss": "mae"},
    "a loss of one's own": {"loss": Scaled(3.0)},
    "optimizer": {"optimizer": SGD(learning_rate=0.5, momentum=0.9)},
    "metrics": {"metrics": ["mse", "mae"]},
    "no metrics": {"metrics": []},
    "weighted metrics": {"weighted_metrics": ["mse", "mae"]},
    "loss weight": {"loss_weights": 0.25},
    "all": {"loss": Scaled(2.0), "optimizer": "sgd", "metrics": ["mse"], "loss_weights": 2.0},
}


@pytest.mark.parametrize("kind", ["copy", "deepcopy", "pickle 5"])
@pytest.mark.parametrize("name", CHOSEN)
def test_a_copy_keeps_what_configure_chose(kind: str, name: str) -> None:
    model = rnnspec.compile(SPEC.replace("Dropout(0.5)", ""), seed=3)
    model.configure(**copy.deepcopy(CHOSEN[name]))
    copies = [COPIES[kind](model), COPIES[kind](COPIES[kind](model))]
    for found in copies:
        assert found.evaluate(X, Y) == model.evaluate(X, Y)
    losses = [model.train_on_batch(X, Y) for _ in range(3)]
    for found in copies:
        assert [found.train_on_batch(X, Y) for _ in range(3)] == losses
        assert same(found, model)


def test_what_configure_chose_later_counts() -> None:
    model = rnnspec.compile(SPEC, seed=3)
    model.configure(optimizer=SGD(learning_rate=0.5))
    model.configure(loss="mae")
    model.configure(metrics=["mse"])
    found = pickle.loads(pickle.dumps(model))
    assert found.evaluate(X, Y) == model.evaluate(X, Y)
    assert list(found.evaluate(X, Y)) != list(rnnspec.compile(SPEC).evaluate(X, Y))
    assert found.train_on_batch(X, Y) == model.train_on_batch(X, Y)
    assert same(found, model)


def test_an_optimizers_state_starts_anew_in_a_copy() -> None:
    """Unlike a model that was saved and loaded, which goes on."""
    model = rnnspec.compile(SPEC.replace("Dropout(0.5)", ""), seed=3)
    for _ in range(3):
        model.train_on_batch(X, Y)
    found, loaded = copy.deepcopy(model), rnnspec.load(saved(model))
    assert (found.iterations, loaded.iterations) == (0, 3)
    for each in (found, loaded, model):
        each.train_on_batch(X, Y)
    assert same(loaded, model)
    assert not same(found, model)


def test_what_cannot_be_pickled_is_not_lost_silently(model: Model) -> None:
    class Local(Scaled):
        pass

    found = copy.deepcopy(model)
    found.configure(loss=Local(2.0))
    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(found)
    assert copy.copy(found).evaluate(X, Y) == found.evaluate(X, Y)


def test_a_copy_of_a_stateful_model_starts_from_zeros(tmp_path: Path) -> None:
    model = rnnspec.compile("model Stateful {\n    input x: float[time, 2]\n    LSTM(3, stateful = true)\n}\n", seed=1)
    first = model.predict(X)
    assert not np.array_equal(model.predict(X), first)
    assert np.array_equal(copy.deepcopy(model).predict(X), first)


def test_a_copy_warns_nobody() -> None:
    with pytest.warns(SpecWarning):
        model = rnnspec.compile("model Warned {\n    input x: float[time, 2]\n    unused = LSTM(2)\n    x -> Dense(1)\n}\n")
    for kind in ("copy", "deepcopy", "pickle 5"):
        assert same(COPIES[kind](model), model)


def test_a_copy_needs_none_of_the_files_that_a_model_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "part.rnn").write_text("block Part(sizes) {\n    Dense(sizes)\n}\n")
    (tmp_path / "main.rnn").write_text('import "part.rnn"\nmodel Main(sizes) {\n    input x: float[3]\n    Part(sizes)\n}\n')
    model = rnnspec.compile(tmp_path / "main.rnn", sizes=2, seed=1)
    for name in ("part.rnn", "main.rnn"):
        (tmp_path / name).unlink()
    for kind in ("copy", "deepcopy", "pickle 5"):
        assert same(COPIES[kind](model), model)


def test_a_model_with_a_list_for_a_parameter() -> None:
    """Such a model isn't kept in the cache."""
    model = rnnspec.compile("model Listed(sizes) {\n    input x: float[3]\n    Dense(2)\n}\n", sizes=(2, 3.5), seed=1)
    assert same(copy.deepcopy(model), model)


def test_weights_as_they_are_shown(model: Model) -> None:
    for kind in ("deepcopy", "pickle 5"):
        found = COPIES[kind](model.weights)
        assert list(found) == list(model.weights)
        assert all(np.array_equal(found[name], value) for name, value in model.weights.items())


@pytest.mark.parametrize("kind", COPIES)
def test_streams_and_tapes_say_what_to_do(model: Model, kind: str) -> None:
    stream = rnnspec.compile("model Step {\n    input x: float[time, 2]\n    LSTM(3, return_sequences = true)\n}\n", seed=1).stream()
    _, tape = model.forward(X, record=True)
    with pytest.raises(TypeError, match=r"a stream can't be pickled or copied: .* with `model\.stream\(\)`"):
        COPIES[kind](stream)
    with pytest.raises(TypeError, match=r"a tape can't be pickled or copied: call forward\(record=True\) again"):
        COPIES[kind](tape)


def test_a_model_of_a_compilation_alone_says_so() -> None:
    built = compilation.build(source_files.read_spec(SPEC), {}, "float32")
    executable = NativeExecutable(built.signature, built.compilation.native, built.compilation.print, scores=built.compilation)
    with pytest.raises(TypeError, match=r"only models that rnnspec\.compile or rnnspec\.load gave can be copied or pickled"):
        copy.copy(Model(built.signature, executable, built.source, seed=1))


# Other processes


def trained(model: Model) -> tuple[int, Model]:
    """In another process."""
    model.train_on_batch(X, Y)
    return os.getpid(), model


def test_a_pool_of_processes_that_share_nothing(model: Model) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ((process, found),) = pool.map(trained, [model])
    assert process != os.getpid()
    _, expected = trained(copy.deepcopy(model))
    assert same(found, expected)
