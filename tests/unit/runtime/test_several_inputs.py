"""Several inputs: masks and lengths by name, lists, lengths that are one, and indices over one, two or no input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnspec.contract.dimensions import Name
from rnnspec.contract.packing import pack
from rnnspec.contract.signature import IndexSignature, InputSignature, OutputSignature, Signature
from rnnspec.runtime.data import batches as module
from rnnspec.runtime.data.batches import CallBatch, CheckedInputs
from rnnspec.runtime.data.validate import check_inputs

A = InputSignature("a", (Name("time"), 3))
B = InputSignature("b", (Name("time"), 2))
LATER = InputSignature("later", (Name("steps"), 2))
WORDS = InputSignature("words", (Name("time"),), integer=True, vocabulary=10)
ROW = InputSignature("row", (3,))
FIXED = InputSignature("fixed", (4, 2))

RANDOM = np.random.default_rng(5)
VALUES: dict[str, Any] = {
    "a": RANDOM.normal(size=(3, 4, 3)),
    "b": RANDOM.normal(size=(3, 4, 2)),
    "later": RANDOM.normal(size=(3, 6, 2)),
    "words": RANDOM.integers(1, 10, size=(3, 4)),
    "row": RANDOM.normal(size=(3, 3)),
    "fixed": RANDOM.normal(size=(3, 4, 2)),
}


def over(*sources: str, length: int = 0, **masked: tuple[float, ...]) -> IndexSignature:
    """An index over inputs that mask nothing, or the given values."""
    return IndexSignature((*((name, ()) for name in sources), *masked.items()), length)


def signature(inputs: tuple[InputSignature, ...], *indices: IndexSignature) -> Signature:
    return Signature("Graph", "float64", inputs, (OutputSignature("y", (1,)),), (), indices=indices)


def checked(
    inputs: tuple[InputSignature, ...], *indices: IndexSignature, mask: object = None, lengths: object = None, **values: object
) -> CheckedInputs:
    given_values = {spec.name: values.get(spec.name, VALUES[spec.name]) for spec in inputs}
    return check_inputs(signature(inputs, *indices), given_values, mask, lengths)


def reals(batch: CallBatch) -> list[list[list[int]] | None]:
    return [None if real is None else real.astype(int).tolist() for real in batch.reals]


# Masks and lengths by name


def test_masks_by_name() -> None:
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    batch = checked((A, LATER), over("a"), over("later"), mask={"a": mask}).batch()
    assert reals(batch) == [mask.astype(int).tolist(), None]
    assert [(index.time, index.tokens) for index in batch.indices] == [(4, 7), (6, 18)]
    assert batch.indices[0].source.tolist() == pack(mask).source.tolist()
    assert set(batch.inputs) == {"a", "later"}


def test_lengths_by_name_beside_masks_of_another_input() -> None:
    mask = np.ones((3, 4), bool)
    mask[2, 1] = False
    batch = checked((A, LATER), over("a"), over("later"), mask={"a": mask}, lengths={"later": [6, 0, 2]}).batch()
    assert reals(batch) == [mask.astype(int).tolist(), [[1] * 6, [0] * 6, [1, 1, 0, 0, 0, 0]]]
    both = checked((A, LATER), over("a"), mask={"a": mask}, lengths={"a": [4, 2, 4], "later": [6, 6, 6]}).batch()
    assert reals(both) == [[[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1]]]


def test_one_sequence_beside_rows_needs_no_name() -> None:
    for lengths in ([1, 4, 0], {"a": [1, 4, 0]}):
        assert reals(checked((ROW, A), over("a"), lengths=lengths).batch()) == [[[1, 0, 0, 0], [1] * 4, [0] * 4]]


REFUSED: dict[str, tuple[tuple[InputSignature, ...], dict[str, Any], str]] = {
    "mask without a name": (
        (A, LATER), {"mask": np.ones((3, 4))},
        "mask: model Graph has 2 sequence inputs: pass a mapping with some of the keys a, later",
    ),
    "lengths without a name": (
        (A, B, LATER), {"lengths": [1, 2, 3]},
        "lengths: model Graph has 3 sequence inputs: pass a mapping with some of the keys a, b, later",
    ),
    "mask of an unknown input": ((A, LATER), {"mask": {"c": 1}}, "mask: c isn't a sequence input; a, later are"),
    "mask of several unknown inputs": ((A, LATER), {"mask": {"c": 1, "d": 1}}, "mask: c, d aren't sequence inputs; a, later are"),
    "mask of a row": ((A, ROW), {"mask": {"row": np.ones((3, 3))}}, "mask: row isn't a sequence input; a is"),
    "lengths of a row": ((A, LATER, ROW), {"lengths": {"row": [1, 2, 3]}}, "lengths: row isn't a sequence input; a, later are"),
    "mask shape": ((A, LATER), {"mask": {"later": np.ones((3, 4))}}, "mask: expected shape (3, 6) for input later, got (3, 4)"),
    "mask value": (
        (A, LATER), {"mask": {"later": np.full((3, 6), 2)}}, "mask: expected 0 or 1 at sample 0, step 0 of input later, got 2",
    ),
    "lengths shape": ((A, LATER), {"lengths": {"later": [1]}}, "lengths: expected shape (3,) for input later, got (1,)"),
    "lengths above": ((A, LATER), {"lengths": {"later": [6, 7, 1]}}, "lengths: expected 0 to 6 for sample 1 of input later, got 7"),
    "lengths of a list": (
        (A, LATER), {"lengths": {"later": [2, 1, 1]}, "later": [[[1, 2]], [[1, 2]], [[1, 2]]]},
        "lengths: expected 0 to 1 for sample 0 of input later, got 2",
    ),
    "samples": ((A, LATER), {"later": VALUES["later"][:2]}, "input later has 2 samples, input a has 3"),
    "samples of a row": ((ROW, A), {"row": VALUES["row"][:1]}, "input a has 3 samples, input row has 1"),
    "samples of a list": ((A, B), {"b": [[[1, 2]]] * 2}, "input b has 2 samples, input a has 3"),
    "one length": ((A, B), {"b": VALUES["b"][:, :3]}, "dimension time is 4 in input a and 3 in input b"),
    "one length of ids": ((A, WORDS), {"words": VALUES["words"][:, :1]}, "dimension time is 4 in input a and 1 in input words"),
    "one length of lists": (
        (A, B), {"a": [VALUES["a"][0]] * 3, "b": [VALUES["b"][0, :3]] * 3}, "dimension time is 4 in input a and 3 in input b",
    ),
    "one length of each sample of lists": (
        (A, B), {"a": [VALUES["a"][0, :2], *VALUES["a"][1:]], "b": [VALUES["b"][0, :3], *VALUES["b"][1:]]},
        "dimension time of sample 0 is 2 in input a and 3 in input b",
    ),
    "one length of each sample of ids": (
        (WORDS, ROW, A), {"words": [[1, 2, 3, 4], [1, 2], [1]], "a": [VALUES["a"][0], VALUES["a"][1, :2], VALUES["a"][2, :2]]},
        "dimension time of sample 2 is 1 in input words and 2 in input a",
    ),
    "one length of a list and an array": (
        (A, B), {"b": [VALUES["b"][0, :3]] * 3}, "dimension time is 4 in input a and 3 in input b",
    ),
    "fixed length": (
        (A, FIXED), {"fixed": VALUES["fixed"][:, :3]},
        "input fixed: expected 4 steps, got 3 (expected shape (batch, 4, 2), got (3, 3, 2))",
    ),
    "id in the second input": (
        (A, WORDS), {"words": [[1, 2, 3, 4], [1, 2, 3, 10], [1, 1, 1, 1]]},
        "input words, sample 1, step 3: expected a whole number in 0..9 (vocabulary size 10), got 10",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name: str) -> None:
    inputs, options, message = REFUSED[name]
    with pytest.raises(ValueError) as raised:
        checked(inputs, *(over(spec.name) for spec in inputs if spec.is_sequence), **options)
    assert str(raised.value) == message


def test_inputs_are_a_list_too() -> None:
    made_for = signature((A, LATER), over("a"))
    both = {name: VALUES[name] for name in ("a", "later")}
    listed, named = (check_inputs(made_for, given).batch().inputs for given in (list(both.values()), both))
    for name, array in named.items():
        np.testing.assert_array_equal(listed[name], array)


def test_inputs_are_a_mapping() -> None:
    made_for = signature((A, LATER), over("a"))
    for x, message in (
        (VALUES["a"], "model Graph has 2 inputs: pass a list of them, or a mapping with the keys a, later"),
        ([VALUES["a"]], "model Graph has 2 inputs: pass a list of them, or a mapping with the keys a, later"),
        ({"a": VALUES["a"]}, "the inputs of model Graph are a, later; missing: later"),
        ({**VALUES}, "the inputs of model Graph are a, later; unknown: b, words, row, fixed"),
        ({"a": VALUES["a"], "b": VALUES["b"]}, "the inputs of model Graph are a, later; missing: later; unknown: b"),
    ):
        with pytest.raises(ValueError) as raised:
            check_inputs(made_for, x)
        assert str(raised.value) == message


def test_step_limits_are_each_inputs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_LIMIT", 18)
    with pytest.raises(ValueError, match="input later: 3 samples of 6 steps are too many, a call takes fewer than 18 steps in all"):
        checked((A, LATER), over("a"), over("later"))
    with pytest.raises(ValueError, match="3 samples of 6 steps are too many"):
        checked((ROW,), over(length=6)).batch()
    assert checked((ROW,), over(length=5)).batch().indices[0].tokens == 15


# Indices


def test_an_index_over_two_inputs_counts_what_one_of_them_does() -> None:
    one, other = RANDOM.random((2, 3, 4)) < 0.5
    batch = checked((A, B), over("a"), over("a", "b"), over("b"), mask={"a": one, "b": other}).batch()
    expected = [one, one | other, other]
    assert reals(batch) == [real.astype(int).tolist() for real in expected]
    assert [index.tokens for index in batch.indices] == [int(real.sum()) for real in expected]
    assert reals(checked((A, B), over("a", "b"), mask={"a": one}).batch()) == [None]
    assert reals(checked((B, A), over("a", "b"), mask={"b": one}).batch()) == [None]


def test_each_index_masks_values_of_its_own() -> None:
    """The same input, with and without what a layer masks in it."""
    words = np.array([[1, 0, 2, 3], [0, 0, 0, 0], [3, 3, 3, 0]])
    batch = checked((WORDS, A), over("words"), over(words=(0.0,)), over("a"), words=words, lengths={"words": [4, 4, 3]}).batch()
    assert reals(batch) == [
        [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]],
        [[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]],
        None,
    ]
    values = np.array([[[1.0, 1.0], [2.0, 2.0], [1.0, 2.0], [0.0, 0.0]]] * 3)
    both = IndexSignature((("b", (1.0,)), ("b", (2.0,))))
    batch = checked((B,), over(b=(1.0,)), over(b=(1.0, 2.0)), both, b=values).batch()
    assert [real[0] for real in reals(batch) if real is not None] == [[0, 1, 1, 1], [0, 0, 1, 1]]
    assert batch.reals[2] is None


def test_an_index_of_no_input_counts_all_its_steps() -> None:
    batch = checked((ROW, A), over(length=5), over("a"), lengths=[0, 1, 2]).batch(slice(1, 3))
    assert [(index.batch, index.time, index.tokens) for index in batch.indices] == [(2, 5, 10), (2, 4, 3)]
    assert batch.reals[0] is None


def test_ids_that_one_index_masks_count_in_another() -> None:
    """What a step holds is looked at unless it is masked for all."""
    words = np.array([[1, 99, 2, 3]] * 3)
    masked = {"words": [[1, 0, 1, 1]] * 3}
    assert checked((WORDS, A), over("words"), words=words, mask=masked).batch().inputs["words"].tolist() == [[1, 0, 2, 3]] * 3
    with pytest.raises(ValueError, match=r"input words, sample 0, step 1: expected a whole number in 0\.\.9"):
        checked((WORDS, A), over("words"), words=words, mask={"a": [[1, 0, 1, 1]] * 3})
    with pytest.raises(ValueError, match=r"input words, sample 0, step 1: expected a whole number in 0\.\.9"):
        checked((WORDS, A), over("words"), over(words=(99.0,)), words=words)


def test_time_of_an_index() -> None:
    found = checked((A, LATER, ROW), over("a"), over("later"), over(length=7), over("later", "later"))
    assert [found.time_of(number) for number in range(4)] == [4, 6, 7, 6]


def test_samples_of_an_index_are_as_long_as_the_longest_source() -> None:
    """Where all of them are lists; else all samples are padded to one length."""
    ragged_a, ragged_b = lists(VALUES["a"], [4, 4, 2]), lists(VALUES["b"], [4, 4, 2])
    indices = (over("a"), over("a", "b"), over(length=3))
    mask = {"a": [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], "b": [[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]}
    found = checked((A, B), *indices, a=ragged_a, b=ragged_b, mask=mask)
    assert [None if each is None else each.tolist() for each in map(found.lengths_of, range(3))] == [[4, 4, 2], [4, 4, 2], None]
    present = found.present_steps(1)
    assert present is not None
    assert present.astype(int).tolist() == [1, 1, 1, 1, *[1, 0, 0, 1], 1, 1]
    assert checked((A, B), *indices, a=ragged_a, b=ragged_b).present_steps(0) is None
    assert checked((A, B), over("a", "b"), a=ragged_a).lengths_of(0) is None


# Lists


def lists(array: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    return [row[:length] for row, length in zip(array, lengths, strict=True)]


def test_lists_of_one_length_pad_alike() -> None:
    """What is masked in one of them or the other is a matter of masks."""
    ragged_a, ragged_b, masked = lists(VALUES["a"], [4, 1, 2]), lists(VALUES["b"], [4, 1, 2]), {"b": [2, 1, 0]}
    found = checked((A, B), over("a"), over("b"), over("a", "b"), a=ragged_a, b=ragged_b, lengths=masked)
    batch = found.batch()
    grids = [np.arange(4) < np.array(lengths)[:, None] for lengths in ([4, 1, 2], [2, 1, 0])]
    assert reals(batch) == [each.astype(int).tolist() for each in (*grids, grids[0] | grids[1])]
    short = found.batch(np.array([0, 2]), full_time=False)
    assert short.inputs["a"].shape == (*short.inputs["b"].shape[:2], 3) == (2, 4, 3)
    shorter = found.batch(np.array([2]), full_time=False)
    assert (shorter.inputs["a"].shape, shorter.inputs["b"].shape) == ((1, 2, 3), (1, 2, 2))
    assert [(index.time, index.tokens) for index in shorter.indices] == [(2, 2), (2, 0), (2, 2)]


def test_lists_of_different_lengths_pad_apart() -> None:
    found = checked((A, LATER), over("a"), over("later"), a=lists(VALUES["a"], [4, 1, 2]), later=lists(VALUES["later"], [1, 6, 2]))
    chosen = found.batch(np.array([2, 0]), full_time=False)
    assert (chosen.inputs["a"].shape, chosen.inputs["later"].shape) == ((2, 4, 3), (2, 2, 2))
    assert reals(chosen) == [[[1, 1, 0, 0], [1, 1, 1, 1]], [[1, 1], [1, 0]]]
    np.testing.assert_array_equal(chosen.inputs["later"][1], [VALUES["later"][0, 0], [0, 0]])


def test_a_list_beside_an_array_of_the_same_length() -> None:
    found = checked((A, B), over("a"), over("b"), over("a", "b"), a=lists(VALUES["a"], [4, 1, 2]), lengths={"b": [0, 3, 4]})
    chosen = found.batch(np.array([1]), full_time=False)
    assert reals(chosen) == [[[1, 0, 0, 0]], [[1, 1, 1, 0]], [[1, 1, 1, 0]]]
    assert chosen.inputs["a"].shape == (1, 4, 3)


def test_lists_with_masks_by_name() -> None:
    found = checked((A, LATER), over("a"), over("later"), a=lists(VALUES["a"], [4, 1, 2]), mask={"a": [[0, 1, 1, 1]] * 3})
    assert reals(found.batch()) == [[[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], None]


@given(st.data())
def test_an_index_is_the_union_of_its_sources(data: st.DataObject) -> None:
    """Padded or in lists, whatever rows are chosen and whether they are padded to the longest of all."""
    time, samples = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values: dict[str, Any] = {"a": random.normal(size=(samples, time, 3)), "b": random.integers(0, 2, (samples, time, 2)).astype(float)}
    expected: dict[str, np.ndarray] = {}
    lengths = random.integers(0, time + 1, samples)
    lengths[random.integers(samples)] = time
    for name in "ab":
        real = np.arange(time) < lengths[:, None]
        expected[name] = real & (values[name] != 0).any(axis=2) if name == "b" else real
        if data.draw(st.booleans()):
            values[name] = lists(values[name], lengths.tolist())
        else:
            values[name] = np.where(real[..., None], values[name], 0.0)
            expected[name] = expected[name] if name == "b" else np.ones((samples, time), bool)
    indices = (IndexSignature((("a", ()), ("b", (0.0,)))), IndexSignature((("b", (0.0,)),)))
    rows = np.array(data.draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=4)))
    batch = checked((A, B), *indices, **values).batch(rows, full_time=data.draw(st.booleans()))
    for index, real, wanted in zip(batch.indices, batch.reals, (expected["a"] | expected["b"], expected["b"]), strict=True):
        found = np.ones((len(rows), index.time), bool) if real is None else real
        assert found.tolist() == wanted[rows][:, : index.time].tolist()
        assert not wanted[rows][:, index.time :].any()
        assert index.tokens == wanted[rows].sum()
