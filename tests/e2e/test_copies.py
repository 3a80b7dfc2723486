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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import Model, Tuning
from rnnspec.callbacks import Callback
from rnnspec.contract.executable import Array
from rnnspec.contract.thread_count import default_threads
from rnnspec.diagnostics import SpecWarning, UnsavedWarning
from rnnspec.driver import compilation, source_files
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.schedules import LearningRateSchedule
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


class Faster(SGD):
    """An optimizer of one's own, which a model's file can't hold."""


@dataclass(frozen=True)
class Halved(LearningRateSchedule):
    """A schedule of one's own."""

    first: float

    def __call__(self, step: int) -> float:
        return self.first * 0.5**step


TRAINED: dict[str, Callable[[], Mapping[str, Any]]] = {
    "the spec's optimizer": dict,
    "momentum": lambda: {"optimizer": SGD(learning_rate=0.1, momentum=0.9)},
    "gathered gradients": lambda: {"optimizer": SGD(learning_rate=0.1, gradient_accumulation_steps=4)},
    "a schedule of one's own": lambda: {"optimizer": SGD(learning_rate=Halved(0.5), momentum=0.9)},
    "an optimizer of one's own": lambda: {"optimizer": Faster(learning_rate=0.1, momentum=0.9)},
    "all of one's own": lambda: {"loss": Scaled(2.0), "optimizer": Faster(learning_rate=Halved(0.5), momentum=0.9)},
}


@pytest.mark.parametrize("kind", ["copy", "deepcopy", "pickle 5"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_training_goes_on_to_the_bit_in_a_copy(kind: str, name: str) -> None:
    """With the optimizer's state, and with the numbers that dropout draws."""
    model = rnnspec.compile(SPEC, seed=3)
    if given := TRAINED[name]():
        model.configure(**given)
    for _ in range(3):
        model.train_on_batch(X, Y)
    copies = [COPIES[kind](model), COPIES[kind](COPIES[kind](model))]
    assert all(found.iterations == model.iterations for found in copies)
    losses = [model.train_on_batch(X, Y) for _ in range(3)]
    for found in copies:
        assert [found.train_on_batch(X, Y) for _ in range(3)] == losses
        assert same(found, model)


def test_gathered_gradients_are_kept_before_the_first_update() -> None:
    model = rnnspec.compile(SPEC.replace("learning_rate = 0.01", "gradient_accumulation_steps = 2"), seed=3)
    model.train_on_batch(X, Y)
    copies = [pickle.loads(pickle.dumps(model)), rnnspec.load(saved(model))]
    for each in (model, *copies):
        each.train_on_batch(X, Y)
    assert model.iterations == 1
    assert all(found.iterations == 1 and same(found, model) for found in copies)


def test_an_optimizer_of_ones_own_is_named_where_it_cannot_be_saved() -> None:
    """Its file could be written, and then not be loaded."""
    model = rnnspec.compile(SPEC, seed=3)
    model.configure(optimizer=Faster(learning_rate=0.5))
    model.train_on_batch(X, Y)
    with pytest.warns(UnsavedWarning, match=r"^the optimizer Faster can't be written to a model's file"):
        content = saved(model)
    found = rnnspec.load(content)
    assert same(found, model)
    assert found.iterations == 0


def test_a_copy_keeps_the_tuning_and_late_updates() -> None:
    """The tuning comes first: an optimizer's state is laid out by it."""
    spec = "model Table { input t: int[time]  Embedding(50, 4)  LSTM(3)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
    model = rnnspec.compile(spec, seed=1, tuning=Tuning(large_table=10))
    ids = np.arange(12).reshape(4, 3)
    model.train_on_batch(ids, Y)
    found = pickle.loads(pickle.dumps(model))
    assert found.tuning == model.tuning
    for each in (model, found):
        each.train_on_batch(ids + 20, Y)
    assert same(found, model)


def test_a_model_is_copied_in_the_midst_of_its_training() -> None:
    """By a callback: the copy is a model that isn't being trained, and is what the model was at that moment."""
    copies: list[Model] = []

    class Copying(Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            copies.extend(COPIES[kind](self.model) for kind in ("deepcopy", "pickle 5"))

    model = rnnspec.compile(SPEC, seed=3)
    model.fit(X, Y, batch_size=2, epochs=2, verbose=False, callbacks=[Copying()])
    assert [found.iterations for found in copies] == [2, 2, 4, 4]
    assert same(copies[0], copies[1]) and same(copies[3], model) and not same(copies[0], model)
    copies[0].configure(loss="mae")
    copies[0].fit(X, Y, batch_size=2, verbose=False)


def test_models_are_pickled_by_several_threads_while_one_trains() -> None:
    model = rnnspec.compile(SPEC, seed=3)

    def copied(_: int) -> bool:
        found = pickle.loads(pickle.dumps(model))
        return all(np.isfinite(value).all() for value in found.get_weights())

    with ThreadPoolExecutor(3) as pool:
        training = pool.submit(model.fit, X, Y, epochs=30, verbose=False)
        assert all(pool.map(copied, range(8)))
        training.result()
    assert model.iterations == 30


def test_a_pickle_of_another_version_is_told() -> None:
    model = rnnspec.compile(SPEC, seed=3)
    restore, (content, beside) = model.__reduce__()
    for other in (None, 3, {**beside, "rnnspec": "9.0", "more": 1}, {**beside, "rnnspec": "9.0", "tuning": {"other": 1}}):
        with pytest.raises(
            ValueError, match=r"this model was pickled by rnnspec .*, and version .* can't read it: pickle it with this one"
        ):
            restore(content, other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^<model>: truncated, damaged or not a compiled model"):
        restore(content[:-100], beside)
    for end in (1, 100, len(content)):
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            pickle.loads(pickle.dumps(model)[:-end])


def test_a_file_that_cannot_be_written_to_leaves_the_model_as_it_was(model: Model, tmp_path: Path) -> None:
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(ValueError, match="closed file"):
        model.save(closed)
    (tmp_path / "there").write_bytes(b"there")
    with (tmp_path / "there").open("rb") as only_read, pytest.raises(io.UnsupportedOperation, match="write"):
        model.save(only_read)
    with (tmp_path / "there").open("ab") as only_written, pytest.raises(io.UnsupportedOperation, match="read"):
        rnnspec.load(only_written)  # type: ignore[arg-type]
    assert (tmp_path / "there").read_bytes() == b"there"
    assert same(rnnspec.load(saved(model)), model)


def test_what_cannot_be_pickled_is_not_lost_silently(model: Model) -> None:
    class Local(Scaled):
        pass

    found = copy.deepcopy(model)
    found.configure(loss=Local(2.0))
    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(found)
    assert copy.copy(found).evaluate(X, Y) == found.evaluate(X, Y)


def test_a_copy_of_a_stateful_model_goes_on_with_its_states() -> None:
    """As a model that was saved and loaded, and with states of its own."""
    model = rnnspec.compile("model Stateful {\n    input x: float[time, 2]\n    LSTM(3, stateful = true)\n}\n", seed=1)
    first = model.predict(X)
    found, loaded = copy.deepcopy(model), rnnspec.load(saved(model))
    second = model.predict(X)
    assert not np.array_equal(second, first)
    assert np.array_equal(found.predict(X), second) and np.array_equal(loaded.predict(X), second)
    found.reset_states()
    assert np.array_equal(found.predict(X), first)
    assert not np.array_equal(model.predict(X), first)


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
