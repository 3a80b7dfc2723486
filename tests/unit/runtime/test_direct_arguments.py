"""Direct calls with ids, several inputs, masks, lengths and other dtypes: what the way around gives, to the bit, and its errors."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.dimensions import Steps, Tokens
from rnnspec.runtime.native import prepared_call
from rnnspec.runtime.native.prepared_call import most_sizes
from tests.unit.runtime.test_direct import counted, off_by_one_byte

BODIES: dict[str, str] = {
    "ids": "input w: int[time]\n w -> Embedding(9, 3) -> GRU(4)",
    "masked ids": "input w: int[time]\n w -> Embedding(9, 3, mask_zero = true) -> LSTM(4, return_sequences = true) -> Dense(2)",
    "floats": "input a: float[time, 3]\n a -> LSTM(4)",
    "states": ("input a: float[time, 3]\n s, h, c = a -> Masking() -> LSTM(4, return_sequences = true, return_state = true)\n output s, h"),
    "both ways": ("input a: float[time, 3]\n a -> Masking(mask_value = 0.5) -> Bidirectional(GRU(3, return_sequences = true)) -> GRU(2)"),
    "backwards": "input a: float[time, 3]\n a -> GRU(3, go_backwards = true, return_sequences = true)",
    "two": (
        "input a: float[time, 3], b: float[time, 2]\n "
        "p = a -> GRU(3, return_sequences = true)\n "
        "q = b -> GRU(3, return_sequences = true)\n "
        "[p, q] -> Add() -> LSTM(2)"
    ),
    "all kinds": (
        "input a: float[time, 3], w: int[time], r: float[2]\n "
        "p = a -> Masking() -> GRU(3)\n "
        "q = w -> Embedding(9, 4, mask_zero = true) -> GRU(3)\n "
        "[p, q, r] -> Concatenate() -> Dense(2)"
    ),
    "initial state": "input a: float[time, 3], r: float[2]\n a -> GRU(2, initial_state = r)",
    "windows": "input w: int[time]\n w -> Embedding(9, 3) -> Conv1D(4, 2) -> GRU(3)",
    "windows with a mask": (
        "input a: float[time, 3]\n p = a -> Masking()\n "
        "p -> Conv1D(4, 2, carry_mask = true) -> GRU(3, return_sequences = true)\n q = MaxPooling1D(2, carry_mask = true) -> GRU(2)\n "
        "r = p -> AveragePooling1D(3, strides = 2, padding = same, carry_mask = true) -> LSTM(2, return_sequences = true)\n output q, r"
    ),
    "windows that look back": (
        "input a: float[time, 3]\n a -> Masking() -> Conv1D(4, 3, dilation_rate = 2, padding = causal, carry_mask = true) "
        "-> GRU(3, return_sequences = true)"
    ),
    "windows over reversed steps": (
        "input a: float[time, 3]\n a -> Masking() -> GRU(3, go_backwards = true, return_sequences = true) "
        "-> Conv1D(4, 3, strides = 2, padding = same, carry_mask = true) -> GRU(2)"
    ),
    "other numbers of steps": (
        "input a: float[time, 3]\n p = a -> Masking()\n q = p -> ZeroPadding1D([2, 1], carry_mask = true) -> GRU(2)\n "
        "r = p -> Cropping1D(1, carry_mask = true) -> GRU(2)\n [q, r] -> Concatenate()"
    ),
    "attention": (
        "input a: float[time, 3]\n p = a -> Masking() -> GRU(4, return_sequences = true)\n "
        "[p, p] -> Attention() -> GlobalAveragePooling1D()"
    ),
    "attention to the past": (
        "input a: float[time, 3]\n p = a -> Masking() -> GRU(4, return_sequences = true)\n [p, p] -> Attention(use_causal_mask = true) "
        "-> GRU(2)"
    ),
    "attention of rows": (
        "input w: int[time], a: float[time, 3], r: float[4]\n k = w -> Embedding(9, 4, mask_zero = true)\n "
        "q = a -> Masking() -> Dense(4)\n [q, k] -> Attention() -> LSTM(2)\n"
    ),
}
DUE: dict[str, str] = {
    "due": "input a: float[time, 3]\n a -> Conv1D(2, 3, strides = 2) -> GRU(3, return_sequences = true) -> MaxPooling1D(2)",
    "due, masked": (
        "input w: int[time]\n p = w -> Embedding(9, 3, mask_zero = true)\n q = p -> AveragePooling1D(3, strides = 2) -> LSTM(2)\n "
        "r = p -> GRU(2, return_sequences = true)\n output q, r"
    ),
}
"""Streams whose outputs fall due only now and then."""

BATCH, TIME = 3, 5


@cache
def model_of(name: str, dtype: str = "float32") -> rnnspec.Model:
    return rnnspec.compile(f"model Case {{\n {(BODIES | DUE)[name]}\n}}", dtype=dtype, seed=1)


def inputs_of(name: str, seed: int, dtype: str = "float32") -> dict[str, Any]:
    """Random values of which some steps are masked: at the end, at the beginning, in between, all of a row or none."""
    random = np.random.default_rng(seed)
    real = random.random((BATCH, TIME)) < random.random((BATCH, 1)) * 1.5
    given: dict[str, Any] = {}
    for source in model_of(name, dtype).signature.inputs:
        if source.integer:
            given[source.name] = np.where(real, random.integers(1, 9, (BATCH, TIME)), 0).astype(np.int32)
        elif source.is_sequence:
            value = 0.5 if name == "both ways" else 0.0
            given[source.name] = np.where(real[..., None], random.normal(size=(BATCH, TIME, source.shape[1])), value).astype(dtype)
        else:
            given[source.name] = random.normal(size=(BATCH, *source.shape)).astype(dtype)
    return given


def alone(given: dict[str, Any]) -> Any:
    return next(iter(given.values())) if len(given) == 1 else given


def around(model: rnnspec.Model, x: Any, mask: Any = None, lengths: Any = None) -> Any:
    """The way that checks everything in Python."""
    output, _ = model.forward(x, mask=mask, lengths=lengths, record=True)
    return output


def same(one: Any, other: Any) -> bool:
    ones, others = (each if isinstance(each, tuple) else (each,) for each in (one, other))
    return all(a is b or np.array_equal(a, b, equal_nan=True) for a, b in zip(ones, others, strict=True))


@pytest.mark.parametrize("steps", ["time", "4"])
def test_one_text_is_direct_and_follows_its_vocabulary(steps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way around takes two texts; an array and a mapping are as direct as a list, and other things get their errors."""
    spec = f"model Tone {{ input t: text[{steps}]  Embedding(9, 4, mask_zero = true)  LSTM(4) }}"
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(spec, seed=1)
        model.adapt(["so good", "so bad"])
        for text in ("so good", "so strange", "", "\u00e9t\u00e9 so"):
            expected = model.predict([text, text])[:1]
            for given in ([text], [text], [text], np.array([text]), np.array([text], object), {"t": [text]}):
                assert np.array_equal(model.predict(given), expected)
            assert np.array_equal(model.forward([text]), expected)
            model.set_vocabulary(["bad", "so", "good"] if "[UNK]" in model.get_vocabulary() else ["so"])
        assert len([each for each in seen if each is not None]) >= 15
    for wrong in ("so good", b"so good", [b"so good"], ["\ud800"], [1.5], [["so"]]):
        fresh = rnnspec.compile(spec, seed=1)
        fresh.adapt(["so good", "so bad"])
        with pytest.raises(ValueError) as expected_error:
            fresh.predict(wrong)
        with pytest.raises(ValueError) as raised:
            model.predict(wrong)
        assert str(raised.value) == str(expected_error.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BODIES)
def test_values_of_any_kind_are_the_bits_of_the_way_around(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(f"model Case {{\n {BODIES[name]}\n}}", dtype=dtype, seed=1)
        for seed in range(8):
            given = inputs_of(name, seed, dtype)
            assert same(model.predict(alone(given)), around(model, alone(given)))
        assert len([each for each in seen if each is not None]) == 6


@pytest.mark.parametrize("name", [name for name in BODIES if name != "windows"])
def test_masks_and_lengths_are_the_bits_of_the_way_around(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(f"model Case {{\n {BODIES[name]}\n}}", seed=1)
        names = [source.name for source in model.signature.inputs if source.is_sequence]
        for seed in range(8):
            random = np.random.default_rng(seed)
            x = alone(inputs_of(name, seed))
            masks = {each: random.random((BATCH, TIME)) < 0.7 for each in names}
            lengths = {each: random.integers(0, TIME + 1, BATCH) for each in names}
            lists = {each: value.tolist() for each, value in lengths.items()}
            for mask, many in ((masks, None), (None, lengths), (masks, lists), ({names[0]: masks[names[0]].astype(np.int64)}, lists)):
                if len(names) == 1:
                    mask, many = (None if each is None else each[names[0]] for each in (mask, many))
                assert same(model.predict(x, mask=mask, lengths=many), around(model, x, mask, many))
        assert len([each for each in seen if each is not None]) == 30


FORMS: Mapping[str, Callable[[np.ndarray], Any]] = {
    "wide": lambda x: x.astype(np.int64 if x.dtype.kind == "i" else np.float64),
    "columns": np.asfortranarray,
    "part": lambda x: np.concatenate([x, x], axis=-1)[..., : x.shape[-1]],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "wide and turned": lambda x: np.asfortranarray(x.astype(np.int64)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["ids", "states", "two", "all kinds"])
def test_other_dtypes_and_layouts(name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(f"model Case {{\n {BODIES[name]}\n}}", seed=1)
        for seed in range(4):
            given = {name: FORMS[form](value) for name, value in inputs_of(name, seed).items()}
            assert same(model.predict(alone(given)), around(model, alone(given)))
            assert same(model.predict(list(given.values()) if len(given) > 1 else given), around(model, alone(given)))
        assert len([each for each in seen if each is not None]) == 6


def test_one_sample_in_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(f"model Case {{\n {BODIES['masked ids']}\n}}", seed=1)
        for ids in ([1, 2, 3], [4, 0, 5], [0, 0, 0]):
            for x in (np.array([ids]), [np.array(ids)], [ids]):
                assert same(model.predict(x), around(model, np.array([ids])))
        assert len([each for each in seen if each is not None]) == 7
        for wrong in ([[1, 2, 9]], [[1, 2, -1]], [[1, 2, 2**70]], [[1, 2, "3"]], [[1, 2, None]]):
            with pytest.raises(ValueError, match="input w"):
                model.predict(wrong)


WRONG: Mapping[str, Callable[[dict[str, Any]], tuple[Any, Any, Any]]] = {
    "another id": lambda given: ({**given, "w": given["w"] + 9}, None, None),
    "an id below": lambda given: ({**given, "w": given["w"] - 1}, None, None),
    "a name less": lambda given: ({"a": given["a"], "w": given["w"]}, None, None),
    "a name more": lambda given: ({**given, "z": 1}, None, None),
    "another name": lambda given: ({"a": given["a"], "w": given["w"], "z": given["r"]}, None, None),
    "names of no kind": lambda given: ({1: given["a"], 2: given["w"], (): given["r"]}, None, None),
    "too large": lambda given: ({**given, "a": np.full((BATCH, TIME, 3), 1e300)}, None, None),
    "other samples": lambda given: ({**given, "r": given["r"][:2]}, None, None),
    "a mask of no input": lambda given: (given, {"r": np.ones((BATCH, TIME), bool)}, None),
    "a mask without a name": lambda given: (given, np.ones((BATCH, TIME), bool), None),
    "a mask of other steps": lambda given: (given, {"a": np.ones((BATCH, TIME + 1), bool)}, None),
    "a mask of other numbers": lambda given: (given, {"a": np.full((BATCH, TIME), 2)}, None),
    "a length beyond": lambda given: (given, None, {"w": [1, 2, TIME + 1]}),
    "a length below": lambda given: (given, None, {"w": np.array([1, 2, -1])}),
    "a length too few": lambda given: (given, None, {"w": [1, 2]}),
    "a length of no number": lambda given: (given, None, {"w": [1, 2, None]}),
    "a fraction": lambda given: (given, None, {"w": [1, 2, 0.5]}),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_those_of_the_way_around(name: str) -> None:
    model, given = model_of("all kinds"), inputs_of("all kinds", 0)
    full = {"a": np.ones((BATCH, TIME), bool), "w": np.ones((BATCH, TIME), bool)}
    for _ in range(3):
        model.predict(given, mask=full, lengths={"a": [TIME] * BATCH})
    x, mask, lengths = WRONG[name](given)
    with pytest.raises(ValueError) as expected:
        around(model, x, mask, lengths)
    with pytest.raises(ValueError) as raised:
        model.predict(x, mask=mask, lengths=lengths)
    assert str(raised.value) == str(expected.value)


def test_keys_whose_comparison_makes_a_call_of_its_own() -> None:
    """The call that is under way isn't another's: it gives what its own arguments give, with weights of one moment."""
    model = rnnspec.compile(f"model Case {{\n {BODIES['two']}\n}}", seed=1)
    given = inputs_of("two", 0)
    for _ in range(3):
        expected = model.predict(given)

    class Key(str):
        def __eq__(self, other: object) -> bool:
            model.predict({name: 2 * value for name, value in given.items()})
            model.set_weights(model.get_weights())
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    keyed = {Key("a"): given["a"], Key("b"): given["b"]}
    assert np.array_equal(model.predict(keyed), expected)
    assert np.array_equal(model.predict(given), expected)


def test_masks_of_no_effect_are_warned_of_first() -> None:
    model = rnnspec.compile("model Case {\n input a: float[time, 3]\n Conv1D(2, 1) LSTM(2)\n}", seed=1)
    x = np.ones((2, 4, 3), np.float32)
    for _ in range(4):
        model.predict(x, lengths=[4, 4])
    with pytest.warns(rnnspec.diagnostics.MaskWarning):
        model.predict(x, lengths=[4, 2])


def test_arrays_that_no_call_takes_are_looked_at_by_the_way_around() -> None:
    model = model_of("ids")
    ids = inputs_of("ids", 0)["w"]
    for _ in range(3):
        expected = model.predict(ids)
    for x in (ids.astype(np.float64), ids.astype(np.uint8), ids.astype(">i4"), off_by_one_byte(ids), ids.tolist()):
        assert np.array_equal(model.predict(x), expected)
    with pytest.raises(ValueError, match="expected token ids, got dtype bool"):
        model.predict(ids > 0)


STREAMED = ["ids", "masked ids", "floats", "states", "two", "all kinds", "initial state", *DUE]


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("name", STREAMED)
def test_steps_are_direct_and_the_bits_of_the_way_around(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(f"model Case {{\n {(BODIES | DUE)[name]}\n}}", seed=1)
        given = inputs_of(name, 3)
        sequences = {source.name for source in model.signature.inputs if source.is_sequence}
        stream, other = model.stream(BATCH), model.stream(BATCH)
        for turn in range(3 * TIME):
            step = {each: value[:, turn % TIME] if each in sequences else value for each, value in given.items()}
            slow = {each: value.tolist() if value.dtype.kind == "f" else value.astype(float) for each, value in step.items()}
            assert same(stream.step(alone(step)), other.step(slow))
            assert all(np.array_equal(value, other.state[each]) for each, value in stream.state.items())
            if turn == 7:
                stream.reset([1]), other.reset([1])
        assert len([each for each in seen if each is not None]) == 3 * TIME - 1


def test_a_step_of_ids_in_a_list_or_a_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        stream, other = (rnnspec.compile(f"model Case {{\n {BODIES['ids']}\n}}", seed=1).stream(2) for _ in range(2))
        for ids in ([1, 2], (3, 4), [np.int64(5), 6], np.array([7, 8])):
            assert np.array_equal(stream.step(ids), other.step(np.array(ids, float)))
        assert len([each for each in seen if each is not None]) == 3
        for wrong in ([1, 9], [1, -1], [1, 2**70], [1], [1, 2, 3], [1, "2"], [1, None]):
            with pytest.raises(ValueError, match=r"input w|batch of 2"):
                stream.step(wrong)
        assert np.array_equal(stream.step([1, 2]), other.step([1, 2]))


def test_nothing_is_left_behind() -> None:
    """References to what is in lists and mappings are given back, also where a call is refused."""
    model, given = model_of("all kinds"), inputs_of("all kinds", 0)
    mask, lengths = {"a": np.ones((BATCH, TIME), bool)}, {"w": [1, 2, 3]}
    wrong = {**given, "w": given["w"] + 9}
    watched = [None, np.ndarray, dict, list, *given.values(), wrong["w"], mask["a"], lengths["w"], given, wrong, mask, lengths]

    def calls() -> None:
        for _ in range(100):
            model.predict(given)
            model.predict(given, mask=mask, lengths=lengths)
            with pytest.raises(ValueError):
                model.predict(wrong)

    calls()
    gc.collect()
    before = [sys.getrefcount(each) for each in watched]
    calls()
    gc.collect()
    assert max(abs(sys.getrefcount(each) - then) for each, then in zip(watched, before, strict=True)) < 60


CONVOLVED = """model Convolved {
    input x: float[time, 3]

    Conv1D(8, 3, padding = "causal")
    MaxPooling1D(2)
    GRU(4)
}
"""


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.parametrize("masked", [False, True])
def test_no_sample_has_no_step(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution drops masks, so that its index is made once, and of no sample: nothing may be read behind its offsets."""
    sizes: list[tuple[int, int]] = []

    def noted(*arguments: Any) -> Mapping[Any, int]:
        found = most_sizes(*arguments)
        sizes.extend((found[Tokens(number)], found[Steps(number)]) for number in range(len(arguments[2])))
        return found

    monkeypatch.setattr(prepared_call, "most_sizes", noted)
    model = rnnspec.compile(CONVOLVED, seed=0)
    given = {"mask": np.zeros((0, 8), bool)} if masked else {}
    for _ in range(4):
        assert model.forward(np.zeros((0, 8, 3), np.float32), **given).shape == (0, 4)
    assert set(sizes) <= {(0, 0)}
    assert bool(sizes) == masked
