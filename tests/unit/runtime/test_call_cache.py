"""Calls of known shapes: the batch that checks gave, and the direct call; for all others none."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from rnnspec.contract.executable import Array, FastPath
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.shape_cache import ShapeCache
from rnnspec.contract.signature import Clock, InputSignature, Signature
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.model.call_cache import MOST_SHAPES, CallCache
from rnnspec.runtime.model.weights import Parameters
from tests.unit.runtime.fake import FakeExecutable, signature


def sequence(batch: int = 2, time: int = 4) -> np.ndarray:
    return np.ones((batch, time, 3), np.float32)


class PreparedCall:
    """A prepared call that gives itself for each array, as long as the weights are those it was made with."""

    def __init__(self, parameters: Parameters) -> None:
        self.outputs = {"dense": np.zeros((2, 4), np.float32)}
        self._parameters = parameters
        self.version = -1

    def set_weights(self, weights: Array, version: int) -> None:
        self.version = version

    def fast_path(self, shown: Sequence[Array], version: Array, *, clocks: Sequence[Clock] = (), stay: bool = False) -> FastPath:
        return lambda *_: self if self.version == self._parameters.version else None


class Repeating(FakeExecutable):
    """Makes a prepared call for each batch; `made` are those that live."""

    def __init__(self, described: Signature, parameters: Parameters) -> None:
        super().__init__(described)
        self._parameters = parameters
        self.made: weakref.WeakSet[PreparedCall] = weakref.WeakSet()

    def prepare_call(self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool) -> PreparedCall:
        prepared = PreparedCall(self._parameters)
        self.made.add(prepared)
        return prepared


def cache(described: Signature) -> tuple[CallCache, Repeating, Parameters]:
    parameters = Parameters(described.weights, described.dtype)
    executable = Repeating(described, parameters)
    return CallCache(described, executable, parameters), executable, parameters


def known(*kept: np.ndarray, mask_values: tuple[float, ...] = ()) -> CallCache:
    described = signature(dtype="float32", mask_values=mask_values)
    calls, _, _ = cache(described)
    for x in kept:
        calls.keep(x, check_inputs(described, x).batch())
    return calls


def test_a_known_shape_gives_the_very_indices_of_the_checked_batch() -> None:
    x = sequence()
    found, checked = known(sequence()).batch(x), check_inputs(signature(dtype="float32"), x).batch()
    assert found is not None
    assert np.shares_memory(found.inputs["x"], x)
    x.shape = (x.size,)
    assert found.inputs["x"].shape == sequence().shape, "nobody else changes it"
    assert found.indices[0] is checked.indices[0]
    assert (found.size, found.reals, found.borrowed) == (checked.size, checked.reals, checked.borrowed)


def test_inputs_by_name_are_found_too() -> None:
    found = known(sequence()).batch({"x": sequence()})
    assert found is not None and found.inputs["x"].shape == (2, 4, 3)


@pytest.mark.parametrize(
    "x",
    [
        sequence(time=5),
        sequence(batch=3),
        sequence().astype(np.float64),
        sequence().astype(">f4"),
        sequence()[:, ::-1],
        np.asfortranarray(sequence()),
        sequence().tolist(),
        list(sequence()),
        np.ma.masked_array(sequence()),
        {"y": sequence()},
        {"x": sequence(), "y": sequence()},
        {"x": sequence().tolist()},
        None,
    ],
    ids=lambda x: type(x).__name__,
)
def test_whatever_is_to_be_looked_at_is_unknown(x: object) -> None:
    assert known(sequence()).batch(x) is None


def test_models_that_mask_and_ids_are_always_looked_at() -> None:
    assert known(sequence(), mask_values=(0.0,)).batch(sequence()) is None
    described = signature(inputs=(InputSignature("x", ("time",), integer=True, vocabulary=5),))
    ids, (plain, _, _) = np.zeros((2, 4), np.int32), cache(described)
    plain.keep(ids, check_inputs(described, ids).batch())
    assert plain.batch(ids) is None


def test_many_shapes_are_forgotten_and_large_ones_never_kept() -> None:
    plain = known(*(sequence(time=time) for time in range(1, MOST_SHAPES + 2)))
    assert [plain.batch(sequence(time=time)) is not None for time in range(1, MOST_SHAPES + 2)] == [False, *[True] * MOST_SHAPES]
    assert known(sequence(time=2**18)).batch(sequence(time=2**18)) is None


def test_an_index_is_kept_for_its_sizes_or_says_that_it_is_not() -> None:
    def index(time: int) -> PackedIndex:
        return check_inputs(signature(dtype="float32"), sequence(time=time)).batch().indices[0]

    assert index(4).kept and index(4) is index(4)
    assert not index(2**18).kept


def infer(calls: CallCache, x: np.ndarray) -> object:
    """As a model does: the direct call's outputs, None where there is none yet."""
    if (outputs := calls.outputs(x)) is None:
        batch = calls.batch(x)
        assert batch is not None
        calls.repeat(x, batch)
    return outputs


def test_the_second_inference_of_a_shape_makes_the_next_ones_direct() -> None:
    described, x, other = signature(dtype="float32"), sequence(), sequence(time=5)
    calls, executable, parameters = cache(described)
    for each in (x, other):
        calls.keep(each, check_inputs(described, each).batch())
    assert [infer(calls, x) is not None for _ in range(4)] == [False, False, True, True]
    assert len(executable.made) == 1
    assert calls.outputs(x, most=2) is not None
    assert calls.outputs(x, most=1) is None, "more samples than are taken at once"
    assert calls.outputs({"x": x}) is not None
    assert calls.outputs(x, lengths=[4, 4]) is None, "another call, which makes packing indices"
    assert [infer(calls, other) is not None for _ in range(3)] == [False, False, True]
    parameters.change(lambda weights: weights.fill(1))
    assert infer(calls, x) is None
    assert not executable.made, "nothing of the old weights is held, of no shape"
    assert [infer(calls, x) is not None for _ in range(3)] == [False, True, True]
    assert [infer(calls, other) is not None for _ in range(3)] == [False, False, True]


def test_weights_that_change_all_the_time_make_no_direct_call() -> None:
    described, x = signature(dtype="float32"), sequence()
    calls, executable, parameters = cache(described)
    calls.keep(x, check_inputs(described, x).batch())
    for _ in range(5):
        assert infer(calls, x) is None
        parameters.change(lambda weights: weights.fill(1))
    assert not executable.made


def test_what_is_forgotten_takes_its_direct_call_along() -> None:
    described, x = signature(dtype="float32"), sequence()
    calls, executable, _ = cache(described)
    calls.keep(x, check_inputs(described, x).batch())
    assert [infer(calls, x) is not None for _ in range(3)] == [False, False, True]
    for time in range(10, 10 + MOST_SHAPES):
        calls.keep(sequence(time=time), check_inputs(described, sequence(time=time)).batch())
    assert calls.outputs(x) is None
    assert calls.batch(x) is None
    assert not executable.made


def test_the_first_goes_first() -> None:
    kept = ShapeCache[int, str](2)
    assert [kept.keep(number, str(number)) for number in (1, 2)] == ["1", "2"]
    assert kept.get(1) == "1"
    kept.keep(1, "one")
    kept.keep(3, "3")
    assert dict(kept) == {2: "2", 3: "3"}
