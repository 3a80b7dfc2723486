"""A batch like an earlier one is looked at less, and is the same batch, or is refused in the same words."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.runtime.data.batches import ALL_ROWS
from rnnspec.runtime.data.finite_inputs import refuse_not_finite
from rnnspec.runtime.data.sources import Batch
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.training.alike import MOST_KNOWN, Alike
from rnnspec.training.examples import Examples, check_examples
from rnnspec.training.model import Model
from rnnspec.training.settings import make_loss
from tests.unit.runtime.fake import trained as objectives_of

RANDOM = np.random.default_rng(2)

MODELS = {
    "values of samples": ("float[time, 3]", "GRU(2)\n Dense(1)", "mse", lambda: RANDOM.normal(size=5).astype(np.float32)),
    "values of steps": (
        "float[time, 3]",
        "GRU(2, return_sequences = true)",
        "mae",
        lambda: RANDOM.normal(size=(5, 4, 2)),
    ),
    "steps that are shown reversed": (
        "float[time, 3]",
        "GRU(2, return_sequences = true, go_backwards = true)",
        "mse",
        lambda: RANDOM.normal(size=(5, 4, 2)),
    ),
    "classes": ("float[time, 3]", "GRU(4)", "sparse_categorical_crossentropy", lambda: RANDOM.integers(0, 4, (5, 1)).astype(np.uint8)),
    "classes of steps": (
        "float[time, 3]",
        "GRU(4, return_sequences = true)",
        "sparse_categorical_crossentropy",
        lambda: RANDOM.integers(0, 4, (5, 4)),
    ),
    "probabilities": ("float[6]", 'Dense(4, activation = "softmax")', "categorical_crossentropy", lambda: RANDOM.dirichlet(np.ones(4), 5)),
}


def made(name: str, layers: str = "") -> Model:
    given, text, loss, _ = MODELS[name]
    return rnnspec.compile(f"model A {{ input x: {given}\n {layers or text}\n train {{ loss = {loss} optimizer = SGD() }} }}", seed=1)


def batch(name: str) -> Batch:
    given, _, _, targets = MODELS[name]
    return Batch(RANDOM.normal(size=(5, 4, 3) if "time" in given else (5, 6)).astype(np.float32), targets())


class Checks:
    """The whole check of a model's batches, which counts."""

    def __init__(self, model: Model) -> None:
        self._signature = model.signature
        self._objectives = objectives_of(model.signature.outputs, [make_loss(model.signature.train.loss)])
        self.alike = Alike(self, [each.rule for each in self._objectives])
        self.count = 0

    def __call__(self, data: Batch) -> Examples:
        self.count += 1
        return self.whole(data)

    def whole(self, data: Batch) -> Examples:
        inputs = check_inputs(self._signature, data.x, data.mask, data.lengths)
        refuse_not_finite(self._signature.inputs, inputs)
        return check_examples(inputs, self._objectives, self._signature.dtype, data.y, data.sample_weight)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.flags.c_contiguous and one.tobytes() == other.tobytes()
    if is_dataclass(one):
        left_out = ("borrowed", "class_weights")
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one) if each.name not in left_out)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_is_the_same_in_memory_of_its_own(name: str) -> None:
    checks = Checks(made(name))
    checks.alike(batch(name))
    for _ in range(3):
        data: Any = batch(name)
        expected = checks.whole(data).owned().batch(ALL_ROWS)
        found = checks.alike(data)
        data.x[:], data.y[:] = 0, 0
        assert same(found.batch(ALL_ROWS), expected)
        assert found.owned() is found
        assert same(Examples(found.inputs, found.targets).batch(ALL_ROWS), expected)
    assert checks.count == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_data_of_earlier_batches_is_not_kept(name: str) -> None:
    """What a batch was like is remembered, its arrays are let go of."""
    checks, data = Checks(made(name)), batch(name)
    kept = [weakref.ref(array) for array in (data.x, data.y)]
    checks.alike(data)
    del data
    gc.collect()
    assert [array() for array in kept] == [None, None]


WRONG: dict[str, tuple[str, Callable[[Any], None]]] = {
    "NaN in an input": ("classes", lambda data: data.x.__setitem__((3, 2, 1), np.nan)),
    "infinity in an input": ("probabilities", lambda data: data.x.__setitem__((3, 2), -np.inf)),
    "NaN in a target": ("values of steps", lambda data: data.y.__setitem__((3, 2, 1), np.nan)),
    "a target beyond the dtype": ("values of steps", lambda data: data.y.__setitem__((3, 2, 1), 1e300)),
    "a class too large": ("classes", lambda data: data.y.__setitem__((3, 0), 4)),
    "a class below 0": ("classes of steps", lambda data: data.y.__setitem__((3, 0), -1)),
    "no probability": ("probabilities", lambda data: data.y.__setitem__((3, 0), 1.5)),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_as_ever(what: str) -> None:
    name, spoil = WRONG[what]
    checks, data = Checks(made(name)), batch(name)
    checks.alike(batch(name))
    spoil(data)
    with pytest.raises(ValueError) as expected:
        checks.whole(data)
    with pytest.raises(ValueError) as found:
        checks.alike(data)
    assert str(found.value) == str(expected.value)


WHOLE: dict[str, tuple[str, str, Callable[[], Batch]]] = {
    "another dtype": ("classes", "", lambda: Batch(RANDOM.normal(size=(5, 4, 3)), RANDOM.integers(0, 4, 5))),
    "lists": ("classes", "", lambda: Batch(RANDOM.normal(size=(5, 4, 3)).astype(np.float32), [0, 1, 2, 3, 0])),
    "weights": ("classes", "", lambda: Batch(RANDOM.normal(size=(5, 4, 3)).astype(np.float32), np.zeros(5, int), np.ones(5))),
    "lengths": ("classes", "", lambda: Batch(RANDOM.normal(size=(5, 4, 3)).astype(np.float32), np.zeros(5, int), lengths=[1] * 5)),
    "masked values": ("classes", "Masking()\n GRU(4)", lambda: Batch(np.zeros((5, 4, 3), np.float32), np.zeros(5, int))),
    "whole numbers as floats": ("classes", "", lambda: Batch(np.zeros((5, 4, 3), np.float32), np.zeros(5))),
}


@pytest.mark.parametrize("what", WHOLE)
def test_what_is_unusual_is_always_checked_as_a_whole(what: str) -> None:
    name, layers, drawn = WHOLE[what]
    checks = Checks(made(name, layers))
    for _ in range(3):
        checks.alike(drawn())
    assert checks.count == 3


def test_only_so_many_kinds_are_remembered() -> None:
    checks = Checks(made("values of samples"))
    for _ in range(2):
        for time in range(1, MOST_KNOWN + 3):
            checks.alike(Batch(np.zeros((5, time, 3), np.float32), np.zeros(5)))
    assert checks.count == MOST_KNOWN + 4


def test_class_weights_and_parts_of_sequences_hold_for_batches_alike() -> None:
    data = [batch("classes of steps") for _ in range(3)]

    def trained(source: object, y: object = None, **settings: Any) -> bytes:
        model = made("classes of steps", "GRU(4, return_sequences = true, stateful = true)")
        model.configure(truncate=3)
        model.fit(source, y, epochs=2, shuffle=False, verbose=False, class_weight={1: 3.0}, **settings)
        return b"".join(value.tobytes() for value in model.get_weights())

    x, y = (np.concatenate([np.asarray(getattr(each, name)) for each in data]) for name in ("x", "y"))
    assert trained([(each.x, each.y) for each in data]) == trained(x, y, batch_size=5)
