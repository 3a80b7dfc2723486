"""What comes in from Python: every refusal word for word, what is taken without a copy, and what is never looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import InputSignature, Signature
from rnnspec.runtime.data import batches as module
from rnnspec.runtime.data.batches import CheckedInputs, full_index
from rnnspec.runtime.data.columns import PaddedArray
from rnnspec.runtime.data.not_numbers import TEXTS
from rnnspec.runtime.data.validate import check_inputs, whole_number
from tests.unit.runtime.fake import signature

FRAMES = InputSignature("x", (Name("time"), 3))
IDS = InputSignature("words", (Name("time"),), integer=True, vocabulary=10)
ROW = InputSignature("row", (3,))
FIXED = InputSignature("x", (4, 3))

X = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


def checked(
    x: object,
    mask: object = None,
    lengths: object = None,
    *,
    spec: InputSignature = FRAMES,
    dtype: str = "float32",
    masked: tuple[float, ...] = (),
) -> CheckedInputs:
    """`masked`: the values that mask a step of the input."""
    return check_inputs(signature(dtype=dtype, inputs=(spec,), mask_values=masked), x, mask, lengths)


def two_inputs(row: InputSignature = ROW) -> Signature:
    return signature(dtype="float32", inputs=(FRAMES, row))


WRONG: dict[str, tuple[InputSignature, object, dict[str, object], str]] = {
    "rank": (FRAMES, X[0, 0], {}, "input x: expected shape (batch, time, 3), got (3,)"),
    "no batch axis": (
        FRAMES, X[0], {}, "input x: expected shape (batch, time, 3), got (4, 3); a single sample needs a batch axis: x[None]",
    ),
    "too many axes": (FRAMES, X[None], {}, "input x: expected shape (batch, time, 3), got (1, 2, 4, 3); there is an axis too many: x[0]"),
    "width": (FRAMES, X[..., :2], {}, "input x: expected 3 features, got 2 (expected shape (batch, time, 3), got (2, 4, 2))"),
    "fixed time": (FIXED, X[:, :2], {}, "input x: expected 4 steps, got 2 (expected shape (batch, 4, 3), got (2, 2, 3))"),
    "fixed time, list": (FIXED, [X[0], X[1, :3]], {}, "input x, sample 1: expected 4 steps, got 3"),
    "row": (ROW, X, {}, "input row: expected shape (batch, 3), got (2, 4, 3)"),
    "row width": (ROW, X[0, :, :1], {}, "input row: expected 3 features, got 1 (expected shape (batch, 3), got (4, 1))"),
    "nothing": (FRAMES, None, {}, "input x: expected numbers, got objects (NoneType)"),
    "object": (FRAMES, {1, 2}, {}, "input x: expected numbers, got objects (set)"),
    "text": (FRAMES, np.full((2, 4, 3), "a"), {}, f"input x: expected numbers, got dtype <U1; {TEXTS}"),
    "complex": (
        FRAMES, X * 1j, {}, "input x: expected numbers, got dtype complex64; give the real and the imaginary part as numbers of their own",
    ),
    "dates": (
        FRAMES, X.astype("datetime64[D]"), {}, "input x: expected numbers, got dtype datetime64[D]; "
        'make numbers of dates: `(x - np.min(x)) / np.timedelta64(1, "D")` are days from the first',
    ),
    "structured": (
        FRAMES, np.zeros((2, 4, 3), [("a", "f4")]), {}, "input x: expected numbers, got dtype [('a', '<f4')]; "
        "`numpy.lib.recfunctions.structured_to_unstructured(x)` makes an axis of the fields",
    ),
    "objects": (
        FRAMES, np.array([X[0], X[1, :2]], dtype=object), {},
        "input x: expected numbers, got dtype object; arrays of different lengths go into a list",
    ),
    "masked array": (FRAMES, np.ma.array(X), {}, "input x: a masked array; give its data, and its steps' mask as mask="),
    "sample shape": (FRAMES, [X[0], X[1, :, :2]], {}, "input x, sample 1: expected shape (time, 3), got shape (4, 2)"),
    "sample rank": (FRAMES, [X[0], X[1, 0]], {}, "input x, sample 1: expected shape (time, 3), got shape (3,)"),
    "sample text": (FRAMES, [X[0], "abc"], {}, f"input x, sample 1: expected numbers, got dtype <U3; {TEXTS}"),
    "sample ids rank": (IDS, [[1, 2], [[3]]], {}, "input words, sample 1: expected shape (time,), got shape (1, 1)"),
    "too large": (
        FRAMES, np.where(np.arange(24).reshape(2, 4, 3) == 19, 1e300, 0.0), {},
        "input x, sample 1, step 2, feature 1: expected a value that float32 holds, got 1e+300",
    ),
    "too large, list": (
        FRAMES, [X[0, :1], np.array([[0.0, 0.0, 0.0], [0.0, -1e39, 0.0]])], {},
        "input x, sample 1, step 1, feature 1: expected a value that float32 holds, got -1e+39",
    ),
    "too large, row": (ROW, [[1e39, 0, 0]], {}, "input row, sample 0, feature 0: expected a value that float32 holds, got 1e+39"),
    "id above": (IDS, [[1, 2], [3, 10]], {}, "input words, sample 1, step 1: expected a whole number in 0..9 (vocabulary size 10), got 10"),
    "id below": (
        IDS, np.array([[0, -1]]), {}, "input words, sample 0, step 1: expected a whole number in 0..9 (vocabulary size 10), got -1",
    ),
    "id fraction": (
        IDS, np.array([[0.0, 1.5]]), {}, "input words, sample 0, step 1: expected a whole number in 0..9 (vocabulary size 10), got 1.5",
    ),
    "id nan": (
        IDS, np.array([[np.nan]]), {}, "input words, sample 0, step 0: expected a whole number in 0..9 (vocabulary size 10), got nan",
    ),
    "id infinite": (
        IDS, np.array([[1, np.inf]], np.float16), {},
        "input words, sample 0, step 1: expected a whole number in 0..9 (vocabulary size 10), got inf",
    ),
    "id unsigned": (
        IDS, np.array([[2**64 - 1]], np.uint64), {},
        "input words, sample 0, step 0: expected a whole number in 0..9 (vocabulary size 10), got 18446744073709551615",
    ),
    "id after an empty sample": (
        IDS, [[], [1], [], [2, 3, 11]], {},
        "input words, sample 3, step 2: expected a whole number in 0..9 (vocabulary size 10), got 11",
    ),
    "id without vocabulary": (
        replace(IDS, vocabulary=None), [[2**31]], {},
        "input words, sample 0, step 0: expected a whole number in 0..2147483647, got 2147483648",
    ),
    "ids of truth": (IDS, np.array([[True]]), {}, "input words: expected token ids, got dtype bool"),
    "mask shape": (FRAMES, X, {"mask": np.ones((2, 3))}, "mask: expected shape (2, 4) for input x, got (2, 3)"),
    "mask of a list": (FRAMES, [X[0], X[1, :2]], {"mask": np.ones((2, 2))}, "mask: expected shape (2, 4) for input x, got (2, 2)"),
    "mask value": (FRAMES, X, {"mask": [[1, 1, 1, 0], [0, 2, 0, 0]]}, "mask: expected 0 or 1 at sample 1, step 1 of input x, got 2"),
    "mask nan": (FRAMES, X, {"mask": np.full((2, 4), np.nan)}, "mask: expected 0 or 1 at sample 0, step 0 of input x, got nan"),
    "mask text": (FRAMES, X, {"mask": "yes"}, "mask: expected numbers, got dtype <U3"),
    "mask of a row": (ROW, X[0], {"mask": np.ones((4, 1))}, "mask: model Fake has no sequence input that it could apply to"),
    "mask by wrong name": (FRAMES, X, {"mask": {"y": np.ones((2, 4))}}, "mask: y isn't a sequence input; x is"),
    "lengths shape": (FRAMES, X, {"lengths": [4]}, "lengths: expected shape (2,) for input x, got (1,)"),
    "lengths number": (FRAMES, X, {"lengths": 4}, "lengths: expected shape (2,) for input x, got ()"),
    "lengths above": (FRAMES, X, {"lengths": [4, 5]}, "lengths: expected 0 to 4 for sample 1 of input x, got 5"),
    "lengths of a list": (FRAMES, [X[0], X[1, :2]], {"lengths": [4, 3]}, "lengths: expected 0 to 2 for sample 1 of input x, got 3"),
    "lengths below": (FRAMES, X, {"lengths": [-1, 4]}, "lengths: expected 0 to 4 for sample 0 of input x, got -1"),
    "lengths float": (FRAMES, X, {"lengths": [1.0, 2.0]}, "lengths: expected integers, got dtype float64"),
    "lengths bool": (FRAMES, X, {"lengths": [True, False]}, "lengths: expected integers, got dtype bool"),
    "lengths of a row": (ROW, X[0], {"lengths": [1]}, "lengths: model Fake has no sequence input that it could apply to"),
    "unknown name": (FRAMES, {"y": X}, {}, "the inputs of model Fake are x; missing: x; unknown: y"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refusal(name: str) -> None:
    spec, x, steps, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        checked(x, **steps, spec=spec)
    assert str(raised.value) == message


def test_refusals_of_several_inputs() -> None:
    row = np.zeros((2, 3), np.float32)
    for x, message in (
        (X, "model Fake has 2 inputs: pass a list of them, or a mapping with the keys x, row"),
        ({"x": X}, "the inputs of model Fake are x, row; missing: row"),
        ({"x": X, "row": row, "z": row}, "the inputs of model Fake are x, row; unknown: z"),
        ({"x": X, "row": row[:1]}, "input row has 1 samples, input x has 2"),
    ):
        with pytest.raises(ValueError) as raised:
            check_inputs(two_inputs(), x)
        assert str(raised.value) == message


def test_dimensions_of_one_name_have_one_length() -> None:
    with pytest.raises(ValueError) as raised:
        check_inputs(two_inputs(InputSignature("row", (Name("time"),))), {"x": X, "row": np.zeros((2, 5), np.float32)})
    assert str(raised.value) == "dimension time is 4 in input x and 5 in input row"
    check_inputs(two_inputs(InputSignature("row", (Name("time"),))), {"x": X, "row": np.zeros((2, 4), np.float32)})


def test_step_limit() -> None:
    huge = np.broadcast_to(np.float32(0), (2**16, 2**15, 3))
    with pytest.raises(ValueError) as raised:
        checked(huge)
    assert str(raised.value) == "input x: 65536 samples of 32768 steps are too many, a call takes fewer than 2147483648 steps in all"


@pytest.mark.parametrize("shape", [(2**31, 0, 3), (0, 2**31, 3)])
def test_step_limit_of_nothing(shape: tuple[int, int, int]) -> None:
    """An array without memory may have more samples or steps than any index."""
    with pytest.raises(ValueError, match=f"{shape[0]} samples of {shape[1]} steps are too many"):
        checked(np.zeros(shape, np.float32))


def test_step_limit_of_a_call_not_of_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_LIMIT", 8)
    with pytest.raises(ValueError, match="2 samples of 4 steps are too many"):
        checked(X)
    several = check_inputs(signature(dtype="float32"), X, at_once=False)
    assert several.batch(slice(0, 1)).size == 1
    with pytest.raises(ValueError, match="2 samples of 4 steps are too many"):
        several.batch()


def test_step_limit_of_padded_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list's batch is as long as its longest sample, however little there is in it."""
    rows = checked([np.zeros((4, 3))] + [np.zeros((0, 3))] * 3)
    monkeypatch.setattr(module, "STEP_LIMIT", 16)
    with pytest.raises(ValueError, match="4 samples of 4 steps are too many"):
        rows.batch()
    assert rows.batch(slice(0, 3)).size == 3


@pytest.mark.parametrize("value", [-1, 1.0, "1", None, True, np.float64(1)])
def test_whole_number_refuses(value: object) -> None:
    with pytest.raises(ValueError) as raised:
        whole_number("epochs", value, 0)
    assert str(raised.value) == f"epochs: expected a whole number of at least 0, got {value!r}"


def test_whole_number() -> None:
    value = whole_number("epochs", np.int8(3), 3)
    assert value == 3
    assert type(value) is int


# Without a copy


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_well_formed_float_input_is_not_copied(dtype: str) -> None:
    x = X.astype(dtype)
    x.flags.writeable = False
    batch = checked(x, dtype=dtype, lengths=[4, 2]).batch()
    assert np.shares_memory(batch.inputs["x"], x)
    assert batch.inputs["x"].__array_interface__["data"] == x.__array_interface__["data"]
    assert batch.borrowed == {"x"}


def test_well_formed_ids_are_copied_a_batch_at_a_time() -> None:
    words = np.array([[1, 2], [3, 4]], np.int32)
    inputs = checked(words, spec=IDS)
    assert isinstance(inputs.columns["words"], PaddedArray) and np.shares_memory(inputs.columns["words"].array, words)
    for rows in (slice(None), slice(1, 2), np.array([1, 0])):
        batch = inputs.batch(rows)
        assert not np.shares_memory(batch.inputs["words"], words)
        np.testing.assert_array_equal(batch.inputs["words"], words[rows])
        assert not batch.borrowed


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize("wrong", [-1, 10, 2**28])
def test_ids_that_change_after_the_check_are_the_old_ones_or_refused(dtype: type[np.generic], wrong: int) -> None:
    words = np.array([[1, 2], [3, 4]], dtype)
    inputs = checked(words, spec=IDS)
    before = inputs.batch()
    words[1, 0] = wrong
    assert before.inputs["words"].tolist() == [[1, 2], [3, 4]]
    for rows in (slice(None), np.array([1, 0])):
        try:
            assert inputs.batch(rows).inputs["words"].tolist() == np.array([[1, 2], [3, 4]])[rows].tolist()
        except ValueError as error:
            assert "input words: its ids were changed while they were in use: expected a whole number in 0.." in str(error)
            assert f"got {wrong}" in str(error)
    assert inputs.batch(slice(0, 1)).inputs["words"].tolist() == [[1, 2]]


def test_ids_whose_masked_steps_were_looked_at_are_copied_then() -> None:
    words = np.array([[1, 0], [3, 4]], np.int32)
    inputs = checked(words, spec=IDS, masked=(0.0,))
    words[:] = 0
    batch = inputs.batch()
    assert batch.inputs["words"].tolist() == [[1, 0], [3, 4]]
    assert batch.indices[0].tokens == 3


def test_shapes_that_another_thread_changes_are_those_of_the_check() -> None:
    values = np.zeros((2, 4, 3), np.float32)
    inputs = checked(values, spec=FRAMES)
    values.shape = (4, 2, 3)
    assert inputs.batch().inputs["x"].shape == (2, 4, 3)


def test_an_owned_batch_shares_nothing_with_the_caller() -> None:
    owned = checked(X).batch().owned()
    assert not np.shares_memory(owned.inputs["x"], X)
    assert not owned.borrowed
    np.testing.assert_array_equal(owned.inputs["x"], X)
    converted = checked(X.astype(np.float64)).batch()
    assert converted.owned().inputs["x"] is converted.inputs["x"]


def misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


STRANGE: dict[str, Any] = {
    "fortran order": np.asfortranarray(X),
    "transposed": np.ascontiguousarray(X.transpose(2, 1, 0)).transpose(2, 1, 0),
    "every other": np.repeat(X, 2, axis=1)[:, ::2],
    "reversed": X[::-1].copy()[::-1],
    "broadcast": np.broadcast_to(X[:1, :1], X.shape),
    "big-endian": X.astype(">f4"),
    "misaligned": misaligned(X),
    "float16": X.astype(np.float16),
    "float64": X.astype(np.float64),
    "longdouble": X.astype(np.longdouble),
    "int8": X.astype(np.int8),
    "uint64": X.astype(np.uint64),
    "bool": X > 3,
    "nested lists": X.tolist(),
    "read only": np.frombuffer(X.tobytes(), np.float32).reshape(X.shape),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_native_code_gets_contiguous_arrays_of_its_dtype(name: str, dtype: str) -> None:
    given = STRANGE[name]
    values = checked(given, dtype=dtype).batch().inputs["x"]
    assert values.dtype == np.dtype(dtype)
    assert values.dtype.isnative
    assert values.flags.c_contiguous
    assert values.flags.aligned
    np.testing.assert_array_equal(values, np.asarray(given).astype(dtype))


STRANGE_IDS: dict[str, Any] = {
    "int8": np.array([[1, 9], [0, 3]], np.int8),
    "uint8": np.array([[1, 9], [0, 3]], np.uint8),
    "int64": np.array([[1, 9], [0, 3]]),
    "big-endian": np.array([[1, 9], [0, 3]], ">i4"),
    "float16": np.array([[1, 9], [0, 3]], np.float16),
    "float64": np.array([[1.0, 9.0], [0.0, 3.0]]),
    "fortran order": np.asfortranarray(np.array([[1, 9], [0, 3]], np.int32)),
    "list": [[1, 9], [0, 3]],
    "negative zero": np.array([[1.0, 9.0], [-0.0, 3.0]]),
}


@pytest.mark.parametrize("name", STRANGE_IDS)
@pytest.mark.parametrize("vocabulary", [10, 10**6, None])
def test_ids_of_any_number_type(name: str, vocabulary: int | None) -> None:
    values = checked(STRANGE_IDS[name], spec=replace(IDS, vocabulary=vocabulary)).batch().inputs["words"]
    assert values.dtype == np.int32
    assert values.flags.c_contiguous
    assert values.tolist() == [[1, 9], [0, 3]]


def test_nan_and_infinity_pass() -> None:
    x = X.copy()
    x[0, 0] = [np.nan, np.inf, -np.inf]
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(checked(x, dtype=dtype).batch().inputs["x"], x)


# Lists of different lengths


def test_a_list_is_padded_with_zeros() -> None:
    batch = checked([X[0, :2], X[1], np.zeros((0, 3))]).batch()
    assert (batch.size, batch.indices[0].time) == (3, 4)
    expected = np.zeros((3, 4, 3), np.float32)
    expected[0, :2], expected[1] = X[0, :2], X[1]
    np.testing.assert_array_equal(batch.inputs["x"], expected)
    assert batch.reals[0] is not None
    assert batch.reals[0].tolist() == [[True, True, False, False], [True] * 4, [False] * 4]


def test_a_batch_is_as_long_as_its_longest_sample_where_that_is_wanted() -> None:
    inputs = checked([X[0, :1], X[1], X[0, :2]])
    chosen = np.array([2, 0])
    assert inputs.batch(chosen, full_time=False).indices[0].time == 2
    assert inputs.batch(chosen).indices[0].time == 4
    np.testing.assert_array_equal(inputs.batch(chosen, full_time=False).inputs["x"][0], X[0, :2])


def test_samples_of_one_length_need_no_mask() -> None:
    assert checked([X[0], X[1]]).batch().reals == (None,)
    assert checked([X[0], X[1, :3]]).batch(slice(0, 1)).reals == (None,)


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4, 3)), np.zeros((0, 0, 3))])
def test_no_samples(empty: object) -> None:
    batch = checked(empty).batch()
    assert batch.size == 0
    assert (batch.indices[0].batch, batch.indices[0].tokens) == (0, 0)


def test_no_steps() -> None:
    for x in (np.zeros((2, 0, 3)), [[], []], [np.zeros((0, 3)), []]):
        batch = checked(x).batch()
        assert (batch.size, batch.indices[0].time) == (2, 0)
        assert batch.inputs["x"].shape == (2, 0, 3)
        assert (batch.indices[0].tokens, batch.indices[0].steps) == (0, 0)


# Masks and lengths


def real(
    x: object,
    mask: object = None,
    lengths: object = None,
    *,
    spec: InputSignature = FRAMES,
    dtype: str = "float32",
    masked: tuple[float, ...] = (),
) -> object:
    (steps,) = checked(x, mask, lengths, spec=spec, dtype=dtype, masked=masked).batch().reals
    return None if steps is None else steps.astype(int).tolist()


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32, np.uint64])
def test_mask_of_any_number_type(kind: type) -> None:
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0]], kind)
    assert real(X, mask) == [[1, 0, 1, 1], [0, 0, 0, 0]]
    assert real(X, {"x": mask}) == [[1, 0, 1, 1], [0, 0, 0, 0]]
    assert real(X, mask.tolist()) == [[1, 0, 1, 1], [0, 0, 0, 0]]


def test_lengths() -> None:
    for lengths in ([0, 3], np.array([0, 3], np.uint8), np.array([0, 3], np.uint64), {"x": (0, 3)}):
        assert real(X, None, lengths) == [[0, 0, 0, 0], [1, 1, 1, 0]]
    assert real(np.zeros((0, 4, 3)), None, []) is None


def test_mask_and_lengths_together() -> None:
    assert real(X, [[1, 0, 1, 1], [0, 1, 1, 1]], [2, 4]) == [[1, 0, 0, 0], [0, 1, 1, 1]]


def test_mask_and_lengths_of_a_list() -> None:
    x = [X[0, :2], X[1]]
    assert real(x, [[0, 1, 1, 1], [1, 1, 0, 1]]) == [[0, 1, 0, 0], [1, 1, 0, 1]]
    assert real(x, None, [1, 4]) == [[1, 0, 0, 0], [1, 1, 1, 1]]
    assert real(x, [[0, 1, 1, 1], [1, 1, 0, 1]], [1, 3]) == [[0, 0, 0, 0], [1, 1, 0, 0]]


def test_a_full_mask_is_none() -> None:
    assert real(X, np.ones((2, 4))) is None
    assert real(X, None, [4, 4]) is None


def test_masking_needs_every_feature() -> None:
    x = np.ones((1, 4, 3), np.float32)
    x[0, 1] = 0
    x[0, 2, 1] = 0
    x[0, 3] = [np.nan, 0, 0]
    assert real(x, masked=(0.0,)) == [[1, 0, 1, 1]]
    assert real(x, [[0, 1, 1, 1]], masked=(0.0,)) == [[0, 0, 1, 1]]


def test_masking_compares_in_the_dtype_of_the_model() -> None:
    x = np.full((1, 1, 3), 0.1)
    assert real(x, masked=(0.1,)) == [[0]]
    assert real(x.astype(np.float32), masked=(0.1,)) == [[0]]
    assert real(x, masked=(0.1,), dtype="float64") == [[0]]
    assert real(x.astype(np.float32), masked=(0.1,), dtype="float64") is None


def test_a_mask_value_that_float32_does_not_hold_masks_nothing_finite() -> None:
    assert real(X, masked=(1e300,)) is None


def test_mask_zero() -> None:
    words = [[1, 0, 2], [0, 0, 0]]
    assert real(words, spec=IDS, masked=(0.0,)) == [[1, 0, 1], [0, 0, 0]]
    assert real(words, None, [2, 3], spec=IDS, masked=(0.0,)) == [[1, 0, 0], [0, 0, 0]]
    assert real(words, spec=IDS) is None


def test_what_masked_steps_hold_is_not_looked_at() -> None:
    words = np.array([[1, 99, -5], [2, 3, 2**40]])
    batch = checked(words, [[1, 0, 0], [1, 1, 0]], spec=IDS).batch()
    assert batch.inputs["words"].tolist() == [[1, 0, 0], [2, 3, 0]]
    batch = checked([[1.0, np.nan], [2.5, 3.0]], [[1, 0], [0, 1]], spec=IDS).batch()
    assert batch.inputs["words"].tolist() == [[1, 0], [0, 3]]
    x = X.astype(np.float64)
    x[1, 2:] = 1e300
    assert real(x, None, [4, 2]) == [[1, 1, 1, 1], [1, 1, 0, 0]]
    with pytest.raises(ValueError, match="sample 1, step 2, feature 0"):
        checked(x, None, [4, 3])


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(0, 6))), st.data())
def test_any_mask_comes_through(mask: np.ndarray, data: st.DataObject) -> None:
    """As a padded array, and as a list of the steps up to some length, in any choice of rows."""
    samples, time = mask.shape
    x = np.arange(samples * time * 3, dtype=np.float32).reshape(samples, time, 3)
    rows = np.array(data.draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=6)))
    lengths = data.draw(hnp.arrays(np.int64, samples, elements=st.integers(0, time)))
    expected = mask & (np.arange(time) < lengths[:, None])
    padded = checked(x, mask, lengths)
    lists = checked([row[:length] for row, length in zip(x, lengths, strict=True)], mask[:, : lengths.max()])
    for inputs in (padded, lists):
        batch = inputs.batch(rows)
        (real_steps,), (index,) = batch.reals, batch.indices
        found = np.ones((len(rows), index.time), bool) if real_steps is None else real_steps
        assert found.tolist() == expected[rows][:, : index.time].tolist()
        assert not expected[rows][:, index.time :].any()
        np.testing.assert_array_equal(batch.inputs["x"][found], x[rows][expected[rows]])
        assert index.tokens == expected[rows].sum()


def test_large_indices_are_not_kept() -> None:
    assert full_index(2, 3) is full_index(2, 3)
    assert full_index(1, module.KEPT_STEPS) is full_index(1, module.KEPT_STEPS)
    assert full_index(1, module.KEPT_STEPS + 1) is not full_index(1, module.KEPT_STEPS + 1)
