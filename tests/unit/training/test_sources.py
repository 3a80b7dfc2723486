"""Batches from anywhere train as the same samples in arrays do, and nothing that a source does makes anything hang or be lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.data import Batch
from rnnspec.diagnostics import ClassWarning
from rnnspec.runtime.data import prefetch
from rnnspec.runtime.data.prefetch import prefetched
from rnnspec.training.callbacks import Callback
from rnnspec.training.model import Model
from tests.unit.runtime.fake import model, signature

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(12, 6, 3))
Y = RANDOM.integers(0, 4, 12)
LENGTHS = RANDOM.integers(1, 7, 12)
WEIGHTS = RANDOM.uniform(0.5, 2.0, 12)
STARTS = (0, 4, 8)


def made() -> Model:
    settings = TrainSettings(
        Config("sparse_categorical_crossentropy"), Config("SGD", (("learning_rate", 0.1),)), (Config("accuracy"),), batch_size=4
    )
    return model(signature(train=settings), softmax=True, seed=0)


def batch(start: int) -> tuple[Any, Any]:
    return X[start : start + 4], Y[start : start + 4]


def pairs() -> Iterator[tuple[Any, Any]]:
    return map(batch, STARTS)


class Indexed:
    """As Keras's PyDataset: a length, an index and hooks."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        self.told.append(number)
        return batch(STARTS[number])

    def on_epoch_begin(self) -> None:
        self.told.append("begin")

    def on_epoch_end(self) -> None:
        self.told.append("end")


class Endless(Indexed):
    """As a PyDataset without an end."""

    num_batches = None

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        return super().__getitem__(number % 3)


class Tensor:
    """As PyTorch's: what numpy takes for an array."""

    def __init__(self, values: Any) -> None:
        self.values, self.ndim = values, values.ndim

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


class Loader:
    """As PyTorch's DataLoader: it has a length and is gone through, and its batches are lists of tensors."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[list[Tensor]]:
        return ([Tensor(values) for values in pair] for pair in pairs())


def overwritten() -> Iterator[tuple[Any, Any]]:
    """One buffer for all batches."""
    x, y = np.empty((4, 6, 3)), np.empty(4, np.int64)
    for start in STARTS:
        x[:], y[:] = batch(start)
        yield x, y


def endless() -> Iterator[tuple[Any, Any]]:
    while True:
        yield from pairs()


KINDS: dict[str, tuple[Callable[[], object], dict[str, Any]]] = {
    "callable": (lambda: pairs, {}),
    "a buffer that is overwritten": (lambda: overwritten, {}),
    "list": (lambda: list(pairs()), {}),
    "indexed": (Indexed, {}),
    "loader": (Loader, {}),
    "iterator that goes on": (endless, {"steps_per_epoch": 3}),
    "indexed without an end": (Endless, {"steps_per_epoch": 3}),
    "begun anew": (lambda: pairs, {"steps_per_epoch": 3}),
    "named parts": (lambda: [Batch(*pair) for pair in pairs()], {}),
}


def in_arrays(**settings: Any) -> tuple[dict[str, Any], bytes]:
    return trained(X, Y, **settings)


def trained(*data: Any, **settings: Any) -> tuple[dict[str, Any], bytes]:
    of = made()
    history = of.fit(*data, **{"epochs": 2, "seed": 3, "shuffle": False, "verbose": False} | settings)
    return history.history, b"".join(value.tobytes() for value in of.get_weights())


@pytest.mark.parametrize("quick", [0.0, 60.0], ids=["by a thread", "the later passes here"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_train_to_the_bits_of_arrays(kind: str, quick: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "QUICK", quick)
    source, settings = KINDS[kind]
    assert trained(source(), epochs=3, **settings) == in_arrays(epochs=3)


@pytest.mark.parametrize(("quick", "here"), [(0.0, 0), (60.0, 2)])
def test_a_pass_is_drawn_where_it_is_used_if_the_one_before_was_quick(quick: float, here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "QUICK", quick)
    threads: list[str] = []

    def told() -> Iterator[Any]:
        threads.append(threading.current_thread().name)
        yield from pairs()

    made().fit(told, epochs=3, verbose=False)
    assert threads == ["rnnspec batches"] * (3 - here) + [threading.current_thread().name] * here


def test_a_source_that_changes_its_model_where_it_is_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "QUICK", 60.0)
    of, passes = made(), iter(range(9))

    def changing() -> Iterator[Any]:
        yield batch(0)
        if next(passes):
            of.fit(X, Y, verbose=False)

    with pytest.raises(RuntimeError, match="can't be changed by what gives its batches") as found:
        of.fit(changing, epochs=3, verbose=False)
    assert found.value.__notes__ == ["raised for batch 1"]
    of.fit(X, Y, verbose=False)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_on_batches(kind: str) -> None:
    source, settings = KINDS[kind]
    given = {"validation_steps": 3} if settings else {}
    expected = in_arrays(validation_data=(X, Y))
    assert trained(X, Y, validation_data=source() if kind != "list" else (X, Y), **(given if kind != "list" else {})) == expected


@pytest.mark.parametrize(("passes", "steps", "known"), [([3, 0], None, 1), ([3, 2], 3, 2), ([3, 0, 3], None, 1)])
def test_validation_that_ends_early_ends_training(passes: list[int], steps: int | None, known: int) -> None:
    """An epoch that nothing could be validated on isn't in the history; 0 would be the best loss of all."""
    given = iter(passes)
    source = (batch(STARTS[number % 3]) for number in range(sum(passes)))

    def held_out() -> Iterator[Any]:
        if steps is not None:
            return source
        return iter([batch(start) for start in STARTS][: next(given)])

    with pytest.warns(UserWarning, match="^validation, the batches ended with number . of epoch 2 of 9: training ends here"):
        history = made().fit(X, Y, epochs=9, verbose=False, validation_data=source if steps else held_out, validation_steps=steps)
    assert len(history.history["val_loss"]) == len(history.history["loss"]) == known
    assert min(history.history["val_loss"]) > 0.1


def test_what_belongs_to_the_samples_comes_with_them() -> None:
    parts = [slice(start, start + 4) for start in STARTS]
    given = [Batch(X[part], Y[part], WEIGHTS[part], lengths=LENGTHS[part]) for part in parts]
    assert trained(given) == in_arrays(sample_weight=WEIGHTS, lengths=LENGTHS)
    masks = np.arange(6) < LENGTHS[:, None]
    assert trained([Batch(X[part], Y[part], WEIGHTS[part], masks[part]) for part in parts]) == trained(given)
    lists = [([x[:n] for x, n in zip(X[part], LENGTHS[part], strict=True)], Y[part], WEIGHTS[part]) for part in parts]
    assert trained(lists) == trained(given)


def test_class_weights_are_of_each_batch() -> None:
    assert trained(pairs, class_weight={1: 3.0}) == in_arrays(class_weight={1: 3.0})


def test_evaluate_and_predict() -> None:
    of = made()
    expected = of.evaluate(X, Y)
    for source in (pairs(), pairs, Indexed(), Loader(), list(pairs())):
        assert of.evaluate(source) == expected
    assert of.evaluate(endless(), steps=3) == expected
    inputs = (x for x, _ in pairs()), ((x,) for x, _ in pairs()), (Batch(x) for x, _ in pairs())
    outputs = of.forward(X)
    for source in (pairs(), pairs, Indexed(), Loader(), *inputs):
        np.testing.assert_array_equal(of.predict(source), outputs)
    np.testing.assert_array_equal(of.predict(endless(), steps=2), outputs[:8])


def test_predictions_of_different_lengths_end_in_zeros() -> None:
    of = model(signature(sequence=True), seed=0)
    outputs = of.predict(iter([X[:4, :2], X[4:]]))
    np.testing.assert_array_equal(outputs[4:], of.predict(X[4:]))
    np.testing.assert_array_equal(outputs[:4, :2], of.predict(X[:4, :2]))
    assert not outputs[:4, 2:].any()


def test_an_indexed_source_is_shuffled_by_batches_and_told_of_epochs() -> None:
    """As Keras shuffles a PyDataset."""
    source = Indexed()
    trained(source, epochs=6, shuffle=True)
    epochs = [source.told[start : start + 5] for start in range(0, 30, 5)]
    assert all(epoch[0] == "begin" and epoch[4] == "end" and sorted(epoch[1:4]) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    again = Indexed()
    assert trained(again, epochs=6, shuffle=True) == trained(Indexed(), epochs=6, shuffle=True)
    assert again.told == source.told


def test_steps_of_an_epoch_go_over_the_ends_of_passes() -> None:
    source = Indexed()
    trained(source, steps_per_epoch=2, epochs=3)
    assert source.told == ["begin", 0, 1, "end", "begin", 2, 0, "end", "begin", 1, 2, "end"]


def test_no_more_is_drawn_than_an_epoch_has() -> None:
    """A generator that the caller goes on with isn't closed, and has lost nothing."""
    source = endless()
    trained(source, steps_per_epoch=2, epochs=2)
    np.testing.assert_array_equal(next(source)[0], X[4:8])


def test_a_source_that_ends_early_ends_training_and_keeps_the_history() -> None:
    of = made()
    with pytest.warns(UserWarning, match=r"the batches ended with number 1 of epoch 2 of 4: training ends here"):
        history = of.fit(pairs(), steps_per_epoch=2, epochs=4, verbose=False)
    assert history.epoch == [0, 1]
    spent = pairs()
    with pytest.warns(UserWarning, match="number 0 of epoch 2 of 3"):
        history = of.fit(lambda: spent, epochs=3, verbose=False)
    assert history.epoch == [0]


class Shapeless(Indexed):
    num_batches = None


class Empty(Indexed):
    def __len__(self) -> int:
        return 0


def raising(after: int, error: BaseException) -> Iterator[Any]:
    for start in STARTS[:after]:
        yield batch(start)
    raise error


BAD: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "targets beside": (lambda: {"x": pairs(), "y": Y}, "expected numbers, got objects.*is given alone, without targets: `model.fit"),
    "weights beside": (lambda: {"x": pairs, "sample_weight": WEIGHTS}, "sample_weight: function gives batches, they are in its batches"),
    "lengths beside": (lambda: {"x": pairs, "lengths": LENGTHS}, "lengths: function gives batches"),
    "a size": (lambda: {"x": pairs, "batch_size": 4}, "batch_size: function gives batches, its batches are as large as it makes them"),
    "a split": (lambda: {"x": pairs, "validation_split": 0.5}, "validation_split: what function gives can't be split"),
    "gone through once": (lambda: {"x": pairs(), "epochs": 2}, "map can be gone through once, and there are 2 epochs"),
    "validation gone through once": (
        lambda: {"x": X, "y": Y, "epochs": 2, "validation_data": pairs()},
        "validation, map can be gone through once",
    ),
    "no length": (lambda: {"x": Shapeless()}, "Shapeless doesn't say how many batches it has: steps_per_epoch"),
    "steps of arrays": (lambda: {"x": X, "y": Y, "steps_per_epoch": 2}, "steps_per_epoch: it is of what gives batches"),
    "no steps": (lambda: {"x": pairs, "steps_per_epoch": 0}, "steps_per_epoch: expected a whole number of at least 1, got 0"),
    "steps of no validation": (lambda: {"x": pairs, "validation_steps": 1}, "validation_steps is of validation_data that gives batches"),
    "masks of batches": (
        lambda: {"x": pairs, "validation_data": pairs, "validation_lengths": LENGTHS},
        "validation_mask and validation_lengths are for",
    ),
    "wrong targets to validate on": (lambda: {"x": X, "y": Y, "validation_data": (X, Y[:3])}, "^validation, targets: expected shape"),
    "nothing": (lambda: {"x": iter([])}, "list_iterator gave no batch"),
    "nothing to validate on": (lambda: {"x": pairs, "validation_data": Empty()}, "validation, Empty gave no batch"),
    "no batch": (lambda: {"x": iter([X])}, r"batch 0: expected \(x, y\), .* got ndarray"),
    "four values": (lambda: {"x": iter([(X, Y, None, None)])}, "batch 0: expected .* got 4 values"),
    "no iterator": (lambda: {"x": lambda: 3}, "was called for an iterator of batches, and gave int"),
    "no samples": (lambda: {"x": iter([(X[:0], Y[:0])])}, "batch 0: there are no samples"),
    "a bad value": (lambda: {"x": iter([(X, Y + 9)])}, r"batch 0: targets, sample 0: expected a class in 0\.\.3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_refusal_before_the_first_step(name: str) -> None:
    given, message = BAD[name]
    of = made()
    before = of.get_weights()
    with pytest.raises(ValueError, match=message):
        of.fit(**given(), verbose=False)
    assert all(np.array_equal(*pair) for pair in zip(before, of.get_weights(), strict=True))


def test_a_bad_batch_is_named_and_what_was_trained_is_kept() -> None:
    of = made()
    wrong = Y.copy()
    wrong[9] = 7
    with pytest.raises(ValueError, match=r"^batch 2: targets, sample 1: expected a class in 0\.\.3, got 7"):
        of.fit([(X[part], wrong[part]) for part in (slice(0, 4), slice(4, 8), slice(8, 12))], verbose=False, shuffle=False)
    assert of.get_weights()[0].tobytes() != made().get_weights()[0].tobytes()
    of.fit(X, Y, verbose=False)


@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt, SystemExit, OSError, GeneratorExit])
@pytest.mark.parametrize("after", [0, 2])
def test_what_a_source_raises_is_raised(after: int, kind: type[BaseException]) -> None:
    of, error = made(), kind("lost")
    with pytest.raises(kind) as found:
        of.fit(raising(after, error), verbose=False)
    assert found.value is error
    if isinstance(error, Exception):
        assert error.__notes__ == [f"raised for batch {after}"]
    assert not running()


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rnnspec batches"]


def end_threads() -> None:
    """Waits for threads that end by themselves, and no longer than a test may take."""
    for thread in running():
        thread.join(60)
    assert not running()


class Raise(Callback):
    def on_batch_end(self, batch: int, logs: Any) -> None:
        raise KeyboardInterrupt


def test_who_stops_early_leaves_no_thread_and_closes_what_was_begun() -> None:
    closed = threading.Event()

    def begun() -> Iterator[Any]:
        try:
            yield from endless()
        finally:
            closed.set()

    with pytest.raises(KeyboardInterrupt):
        made().fit(begun, steps_per_epoch=1000, verbose=False, callbacks=[Raise()])
    end_threads()
    own = endless()
    with pytest.raises(KeyboardInterrupt):
        made().fit(own, steps_per_epoch=1000, verbose=False, callbacks=[Raise()])
    end_threads()
    next(own)  # which isn't closed: it is the caller's
    with pytest.raises(KeyboardInterrupt):
        made().fit(begun, verbose=False, callbacks=[Raise()])
    assert closed.wait(60)


@pytest.mark.parametrize("call", ["fit", "validate", "evaluate", "report", "predict"])
def test_an_interrupt_comes_through_while_a_source_waits(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that never goes on doesn't keep the caller from doing so: with the usual patience the test would never end."""
    monkeypatch.setattr(prefetch, "PATIENCE", threading.TIMEOUT_MAX)
    let_go = threading.Event()

    def waiting() -> Iterator[Any]:
        yield batch(0)
        signal.pthread_kill(main.ident or 0, signal.SIGINT)  # a real one, which ends a wait, as Ctrl-C's does
        let_go.wait()

    of, main = made(), threading.main_thread()
    calls: dict[str, Callable[[], object]] = {
        "fit": lambda: of.fit(waiting, verbose=False),
        "validate": lambda: of.fit(X, Y, validation_data=waiting, verbose=False),
        "evaluate": lambda: of.evaluate(waiting),
        "report": lambda: of.report(waiting),
        "predict": lambda: of.predict(waiting),
    }
    with pytest.raises(KeyboardInterrupt):
        calls[call]()
    let_go.set()
    end_threads()
    assert np.isfinite(of.fit(X, Y, verbose=False).history["loss"]).all()


def test_an_interrupt_of_a_step_leaves_a_source_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source draws the next batch, and never has it, while the one before is trained on."""
    monkeypatch.setattr(prefetch, "PATIENCE", threading.TIMEOUT_MAX)
    let_go, of = threading.Event(), made()

    def waiting() -> Iterator[Any]:
        yield batch(0)
        let_go.wait()

    with pytest.raises(KeyboardInterrupt):
        of.fit(waiting, verbose=False, callbacks=[Raise()])
    let_go.set()
    end_threads()
    assert of.iterations == 1


@pytest.mark.parametrize("act", ["set_weights", "train_on_batch", "fit"])
def test_a_source_that_changes_its_model_is_refused(act: str) -> None:
    """It would wait for who waits for it."""
    of, weights = made(), made().get_weights()
    acts: dict[str, Callable[[], object]] = {
        "set_weights": lambda: of.set_weights(weights),
        "train_on_batch": lambda: of.train_on_batch(*batch(0)),
        "fit": lambda: of.fit(pairs, verbose=False),
    }

    def changing() -> Iterator[Any]:
        yield batch(0)
        acts[act]()

    def through_another() -> Iterator[Any]:
        yield batch(0)
        made().fit(changing, verbose=False)

    for source in (changing, through_another):
        with pytest.raises(RuntimeError, match="can't be changed by what gives its batches"):
            of.fit(source, verbose=False)
    of.set_weights(weights)


def test_a_source_may_predict_and_train_others() -> None:
    of, other = made(), made()

    def using() -> Iterator[Any]:
        for pair in pairs():
            of.predict(pair[0], lengths=[6] * 4)
            other.train_on_batch(*pair)
            yield pair

    of.fit(using, verbose=False)


def test_a_forks_child_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    items = prefetched(iter(range(9)))
    assert next(items) == 0
    monkeypatch.setattr(prefetch.os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="fork's child"):
        next(items)


def test_a_split_by_classes_is_told() -> None:
    """Keras's split is of the last samples, which in data sorted by class are of a class that training never sees."""
    y = np.repeat([0, 1, 2], 4)
    with pytest.warns(ClassWarning, match=r"class 2 is in what validation_split holds out \(100% of its samples\) and not in the rest"):
        made().fit(X, y, validation_split=1 / 3, verbose=False)
