"""The command's data files: every form, and one message for everything that isn't one."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import InputSignature, OutputSignature, Signature
from rnnspec.datafiles import arrays, content
from rnnspec.datafiles.formats import read_tables
from rnnspec.datafiles.roles import Roles
from rnnspec.datafiles.sets import DataFile, DataSet, bound

X = np.arange(24.0).reshape(4, 2, 3)
FLAT = np.arange(18.0).reshape(6, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.npz"


def load_data(path: Path, axes: int = 3, outputs: tuple[str, ...] = ("word", "tags", "size", "a", "b", "c", "other")) -> DataFile:
    """The sets of a file for a model with one input of steps, which has so many axes with the samples in front."""
    signature = Signature(
        "Tiny",
        "float32",
        (InputSignature("series", (Name("time"), 3)[: axes - 1]),),
        tuple(OutputSignature(name, (2,)) for name in outputs),
        (),
    )
    if axes == 2:
        signature = replace(signature, inputs=(InputSignature("series", (Name("time"),), integer=True, vocabulary=9),))
    roles = Roles(signature)
    return bound(read_tables([str(path)], roles.is_wanted), signature, roles, {})


def the(values: Any) -> Any:
    """What is of the only input."""
    assert values is not None
    return values["series"]


def listed(values: Any) -> list[Any]:
    assert isinstance(values, list)
    return [value.tolist() for value in values]


def test_padded(path: Path) -> None:
    np.savez(path, x=X, y=np.arange(4), mask=np.ones((4, 2)))
    data = load_data(path)
    assert data.path == str(path)
    assert list(data.sets) == ["whole"]
    assert data.for_training is data.for_testing
    np.testing.assert_array_equal(the(data.for_training.x), X)
    assert data.for_training.y is not None
    assert the(data.for_training.mask) is not None
    assert data.for_training.samples == 4
    assert data.classes == {}
    first = data.for_training.first(2)
    assert (first.samples, len(first.y or []) if isinstance(first.y, list) else len(first.y), the(first.mask).shape) == (2, 2, (2, 2))  # type: ignore[arg-type,union-attr]


def test_ragged(path: Path) -> None:
    np.savez(path, x=FLAT, length=np.array([2, 0, 4], np.uint8), y=np.array([7, 8, 9]), classes=np.array(["a", "b"]))
    data = load_data(path)
    assert listed(the(data.for_training.x)) == [FLAT[:2].tolist(), [], FLAT[2:].tolist()]
    assert np.asarray(data.for_training.y).tolist() == [7, 8, 9]
    assert data.classes == {"": ("a", "b")}
    assert data.for_training.first(1).samples == 1
    assert data.for_training.first(9).samples == 3


def test_ragged_with_a_target_for_each_step(path: Path) -> None:
    np.savez(path, x=FLAT, length=np.array([2, 0, 4]), y=np.arange(6))
    assert listed(load_data(path).for_training.y) == [[0, 1], [], [2, 3, 4, 5]]


def test_sample_weights(path: Path) -> None:
    """In the forms of targets: of samples or steps, of a set, of one of several outputs."""
    np.savez(path, x=X, y=np.arange(4), sample_weight=np.arange(4) / 2, test=[False, True, False, True])
    data = load_data(path)
    assert np.asarray(data.for_training.weights).tolist() == [0.0, 1.0]
    assert np.asarray(data.for_testing.weights).tolist() == [0.5, 1.5]
    np.savez(path, x=FLAT, length=[2, 0, 4], y=np.arange(6), sample_weight=np.arange(6) / 2)
    assert listed(load_data(path).for_training.weights) == [[0.0, 0.5], [], [1.0, 1.5, 2.0, 2.5]]
    np.savez(path, **{"x_train": FLAT, "length_train": [2, 0, 4], "y_train.word": np.arange(6), "sample_weight_train.word": [1, 2, 3]})
    weights = load_data(path).for_training.weights
    assert isinstance(weights, dict)
    assert np.asarray(weights["word"]).tolist() == [1, 2, 3]
    np.savez(path, x=X, y=np.arange(4))
    assert load_data(path).for_training.weights is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "sample_weight": np.ones(3)}, "x has 4 samples, sample_weight has shape (3,)"),
        (
            {"x": FLAT, "length": [2, 0, 4], "sample_weight": np.ones(4)},
            "sample_weight has shape (4,); expected 3 samples or 6 steps in front",
        ),
        (
            {"x": X, "sample_weight": np.ones(4), "sample_weight.word": np.ones(4)},
            "sample_weight is for one output, sample_weight.word for several; it has both",
        ),
    ],
)
def test_sample_weights_that_do_not_fit(path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(path, **arrays)
    with pytest.raises(ValueError) as raised:
        load_data(path)
    assert str(raised.value) == f"{path}: {message}"


def test_targets_of_several_outputs(path: Path) -> None:
    """Each of a sample or of a step; no set takes another's."""
    np.savez(path, **{"x": FLAT, "length": [2, 0, 4], "y.word": [7, 8, 9], "y.tags": np.arange(6), "y_train.other": [1]})
    with pytest.warns(UserWarning, match=r"not used: y_train\.other \(there is no x_train\); "):
        data = load_data(path).for_training
    assert isinstance(data.y, dict)
    assert list(data.y) == ["word", "tags"]
    assert np.asarray(data.y["word"]).tolist() == [7, 8, 9]
    assert listed(data.targets_of("tags")) == [[0, 1], [], [2, 3, 4, 5]]
    assert data.targets_of("other") is None
    first = data.first(1)
    assert (np.asarray(first.targets_of("word")).tolist(), listed(first.targets_of("tags"))) == ([7], [[0, 1]])
    np.savez(path, **{"x": X, "y.word": np.arange(4), "y.size": X[:, 0], "test": [False, True, False, True]})
    data = load_data(path)
    assert np.asarray(data.for_testing.targets_of("word")).tolist() == [1, 3]
    np.testing.assert_array_equal(np.asarray(data.for_training.targets_of("size")), X[[0, 2], 0])
    np.savez(path, **{"x_train": X, "y_train.word": np.arange(4), "x_test": X[:1], "y_test": np.arange(1)})
    data = load_data(path)
    assert isinstance(data.for_training.y, dict)
    assert np.asarray(data.for_testing.targets_of("word")).tolist() == [0]


def test_as_many_steps_as_samples_means_samples(path: Path) -> None:
    np.savez(path, x=FLAT[:2], length=np.array([1, 1]), y=np.array([4, 5]))
    assert np.asarray(load_data(path).for_training.y).tolist() == [4, 5]


def test_no_targets_and_no_samples(path: Path) -> None:
    np.savez(path, x=FLAT, length=np.array([6]))
    assert load_data(path).for_training.y is None
    assert load_data(path).for_training.first(1).y is None
    np.savez(path, x=np.zeros((0, 3)), length=np.zeros(0, int), y=np.zeros(0))
    assert load_data(path).for_training.samples == 0


def test_two_sets(path: Path) -> None:
    np.savez(path, x_train=X[:3], y_train=np.arange(3), x_test=FLAT, length_test=np.array([6]), y_test=np.array([1]))
    data = load_data(path)
    assert (data.for_training.samples, data.for_testing.samples) == (3, 1)
    np.savez(path, x_train=X)
    with pytest.raises(ValueError) as raised:
        _ = load_data(path).for_testing
    assert str(raised.value) == f"{path}: there is no test set; it has train"


def test_one_set_cut_in_two(path: Path) -> None:
    np.savez(path, x=X, y=np.arange(4), mask=np.ones((4, 2)), test=np.array([True, False, False, True]))
    data = load_data(path)
    assert np.asarray(data.for_training.y).tolist() == [1, 2]
    np.testing.assert_array_equal(the(data.for_testing.x), X[[0, 3]])
    assert data.for_testing.mask is not None
    assert the(data.for_testing.mask).shape == (2, 2)
    np.savez(path, x=FLAT, length=np.array([2, 0, 4]), y=np.arange(6), test=np.array([True, False, True]))
    data = load_data(path)
    assert listed(data.for_testing.y) == [[0, 1], [2, 3, 4, 5]]
    assert listed(the(data.for_training.x)) == [[]]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no x": ({"frames": X, "y": X}, "expected the key x or series, or x_train and x_test; found frames, y"),
    "empty": ({}, "expected the key x or series, or x_train and x_test; found none"),
    "number": ({"x": 3}, "x is a single number"),
    "samples": ({"x": X, "y": np.arange(3)}, "x has 4 samples, y has shape (3,)"),
    "no samples in y": ({"x_train": X, "y_train": 3}, "x_train has 4 samples, y_train has shape ()"),
    "both": (
        {"x": FLAT, "length": [6], "mask": [[1]]},
        "mask is for padded arrays; by its length, x is sequences one after the other",
    ),
    "lengths of floats": (
        {"x_test": FLAT, "length_test": [6.0]}, "length_test should be whole numbers from 0, one a sample; it is float64 of shape (1,)",
    ),
    "one length": ({"x": FLAT, "length": 6}, "length should be whole numbers from 0, one a sample; it is int64 of shape ()"),
    "negative": ({"x": FLAT, "length": [7, -1]}, "length should be whole numbers from 0; sample 1 has -1"),
    "wrapping": (
        {"x": FLAT, "length": np.array([2**64 - 1, 7], np.uint64)},
        "length adds up to 18446744073709551622 steps, x has 6",
    ),
    "wrapping and right": (
        {"x_test": FLAT, "length_test": np.array([2**63, 2**63, 6], np.uint64)},
        "length_test adds up to 18446744073709551622 steps, x_test has 6",
    ),
    "bools": ({"x": FLAT, "length": [True]}, "length should be whole numbers from 0, one a sample; it is bool of shape (1,)"),
    "a length for each step": (
        {"x": FLAT, "length": [[2, 4]]}, "length should be whole numbers from 0, one a sample; it is int64 of shape (1, 2)",
    ),
    "sum": ({"x": FLAT, "length": [2, 3]}, "length adds up to 5 steps, x has 6"),
    "flat without lengths": (
        {"x_train": FLAT, "y_train": np.arange(2)},
        "x_train has 6 samples, y_train has shape (2,); sequences one after the other need length_train",
    ),
    "cut twice": (
        {"x": X, "x_train": X, "x_test": X, "test": np.zeros(4, bool)}, "test cuts x in two, and there is x_train and x_test as well",
    ),
    "classes of numbers": (
        {"x": X, "classes": [0.5]}, "classes should be names as text or whole numbers, one a class; it is float64 of shape (1,)",
    ),
    "classes in a table": (
        {"x": X, "classes": [["a", "b"]]}, "classes should be names as text or whole numbers, one a class; it is <U1 of shape (1, 2)",
    ),
    "sum of bytes": ({"x": np.zeros((44, 3)), "length": np.array([200, 100], np.uint8)}, "length adds up to 300 steps, x has 44"),
    "targets": ({"x": FLAT, "length": [2, 4], "y": np.arange(3)}, "y has shape (3,); expected 2 samples or 6 steps in front"),
    "targets of outputs": ({"x": X, "y.word": np.arange(3)}, "x has 4 samples, y.word has shape (3,)"),
    "targets of outputs in steps": (
        {"x_test": FLAT, "length_test": [2, 4], "y_test.a": np.arange(2), "y_test.b": 3},
        "y_test.b has shape (); expected 2 samples or 6 steps in front",
    ),
    "one and several outputs": (
        {"x": X, "y": np.arange(4), "y.word": np.arange(4), "y.size": np.arange(4)},
        "y is for one output, y.word, y.size for several; it has both",
    ),
    "test set": ({"x": X, "test": np.zeros(3, bool)}, "test should be bool of shape (4,); it is bool of shape (3,)"),
    "test numbers": ({"x": X, "test": np.zeros(4)}, "test should be bool of shape (4,); it is float64 of shape (4,)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refusal(path: Path, name: str) -> None:
    arrays, message = WRONG[name]
    np.savez(path, **arrays)
    with pytest.raises(ValueError) as raised:
        load_data(path)
    assert str(raised.value) == f"{path}: {message}"


@pytest.mark.parametrize("count", [-1, 1.5])
def test_first_refuses(count: Any) -> None:
    with pytest.raises(ValueError, match="count: expected a whole number of at least 0"):
        DataSet({"series": X}).first(count)


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=X[:1], y=np.arange(1))
    return buffer.getvalue()


def test_damage_is_a_value_error(path: Path) -> None:
    """Cut anywhere, or with any byte changed, a file is refused by name or still reads; nothing else comes out."""
    content = npz()
    refused = 0
    for place in range(0, len(content), 3):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]):
            path.write_bytes(damaged)
            try:
                with warnings.catch_warnings(action="ignore"):
                    load_data(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                refused += 1
    assert refused > len(content) / 3


def test_nothing_is_unpickled(path: Path) -> None:
    np.savez(path, x=np.array([None, {}], dtype=object))
    with pytest.raises(ValueError, match=r"not a readable \.npz file: x holds Python objects: save it with a dtype") as raised:
        load_data(path)
    assert "allow_pickle" not in str(raised.value)
    np.savez(path, x=X, classes=np.array(["a", "b"], dtype=object))
    with pytest.raises(ValueError, match=r"classes holds Python objects: save it as text, `np.array\(names, dtype=str\)`"):
        load_data(path)
    path.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match=r"not a readable \.npz file: it is no archive of arrays$"):
        load_data(path)


READ = "what is read is x, y, length, mask and sample_weight, each also with _train, _val or _test, and test, split and classes"
UNUSED: dict[str, tuple[list[str], str]] = {
    "misspelt": (["x_train", "y_train", "lengths_train"], "lengths_train (did you mean `length_train`?)"),
    "capital": (["x", "Y"], "Y (did you mean `y`?)"),
    "validation": (["x", "y", "x_valid", "y_valid"], "x_valid (did you mean `x_val`?), y_valid (did you mean `y_val`?)"),
    "no inputs": (["x_train", "y_test", "y_val.word"], "y_test (there is no x_test), y_val.word (there is no x_val)"),
    "no cut": (["x_train", "test"], "test (there is no x)"),
    "both": (["x", "y", "x_train", "x_test"], "x (there are x_train and x_test), y (there are x_train and x_test)"),
    "else": (["x", "123"], "123"),
    "many": (["x", *(f"{number}" for number in range(10, 30))], f"{', '.join(map(str, range(10, 22)))} and 8 more"),
}


@pytest.mark.parametrize("name", UNUSED)
def test_a_key_that_is_not_used_is_told(path: Path, name: str) -> None:
    keys, told = UNUSED[name]
    np.savez(path, **dict.fromkeys(keys, X))
    with pytest.warns(UserWarning) as warned:
        load_data(path)
    assert [str(each.message) for each in warned] == [f"{path}: not used: {told}; {READ}"]


def test_other_keys_are_not_read(path: Path) -> None:
    np.savez(path, x=X, meta=np.array([{"who": "me"}], dtype=object), y_hat=np.array([None]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README", b"text")
    with pytest.warns(UserWarning, match="not used: meta, y_hat"):
        assert load_data(path).for_training.samples == 4


def test_a_key_twice(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", buffer.getvalue())
        archive.writestr("x", buffer.getvalue())
    with pytest.raises(ValueError, match=r"not a readable \.npz file: it has x twice$"):
        load_data(path)


def test_padded_with_lengths(path: Path) -> None:
    """As many rows as lengths, not of as many steps as these add up to; with a mask if there is one."""
    np.savez(path, x=X, y=X[..., 0], length=np.array([2, 0, 1, 2], np.uint8), mask=[[1, 1], [1, 1], [1, 1], [0, 1]])
    for axes in (3,):
        data = load_data(path, axes).for_testing
        np.testing.assert_array_equal(the(data.x), X)
        assert data.lengths is not None
        assert the(data.lengths).tolist() == [2, 0, 1, 2]
        assert data.mask is not None
        assert [data.steps_of(sample, "series") for sample in range(4)] == [2, 0, 1, 1]
        assert data.first(2).lengths is not None
    np.savez(path, x=X, length=[2, 0, 1, 2], test=[True, False, False, True])
    data = load_data(path)
    assert [the(part.lengths).tolist() for part in data.sets.values()] == [[0, 1], [2, 2]]


def test_the_number_of_axes_tells_padded_data(path: Path) -> None:
    """Four samples of one step, one after the other, or padded to two."""
    np.savez(path, x=X[:, 0], length=[1, 1, 1, 1], y=np.arange(4))
    assert [listed(the(load_data(path, axes).for_training.x)) for axes in (3,)] == [[[row.tolist()] for row in X[:, 0]]]
    padded = load_data(path, 2).for_training
    np.testing.assert_array_equal(the(padded.x), X[:, 0])
    assert padded.lengths is not None


LENGTHS: dict[str, tuple[list[int], str]] = {
    "samples": ([2, 2, 2], "x_train is padded, of 4 samples; length_train has 3"),
    "steps": ([2, 1, 3, 4], "x_train is padded to 2 steps; in length_train sample 2 has 3"),
    "wrapping": ([2, 1, 0, 2**64 - 1], "x_train is padded to 2 steps; in length_train sample 3 has 18446744073709551615"),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_do_not_fit_padded_data(path: Path, name: str) -> None:
    lengths, message = LENGTHS[name]
    np.savez(path, x_train=X, length_train=np.array(lengths, np.uint64))
    with pytest.raises(ValueError) as raised:
        load_data(path, 3)
    assert str(raised.value) == f"{path}: {message}"


def test_missing_targets_are_named(path: Path) -> None:
    np.savez(path, x_train=X, mask_train=np.ones((4, 2)), x_test=X, y_test=np.arange(4))
    data = load_data(path)
    assert data.with_targets(data.for_testing) is data.for_testing
    with pytest.raises(ValueError) as raised:
        data.with_targets(data.for_training)
    found = "found x_train, mask_train, x_test, y_test"
    assert str(raised.value) == f"{path}: the targets should be in y_train; {found}"
    np.savez(path, x=X, test=np.array([True, False, False, True]))
    data = load_data(path)
    with pytest.raises(ValueError, match="the targets should be in y; found x, test"):
        data.with_targets(data.for_training)


def test_missing_targets_of_several_outputs_are_named(path: Path) -> None:
    for given in ({"y_test": np.arange(4)}, {"y_test.a": np.arange(4)}, {f"y_test.{name}": np.arange(4) for name in "abc"}):
        np.savez(path, **{"x_test": X, **given})
        data = load_data(path)
        with pytest.raises(ValueError) as raised:
            data.with_targets(data.for_testing, ["a", "b"])
        assert str(raised.value) == f"{path}: the targets should be in y_test.a, y_test.b; found x_test, {', '.join(given)}"
    np.savez(path, **{"x": X, "y.b": np.arange(4), "y.a": np.arange(4)})
    data = load_data(path)
    assert data.with_targets(data.for_testing, ["a", "b"]) is data.for_testing


def test_classes_of_any_text(path: Path) -> None:
    for given in (["1", "2"], np.array([b"1", b"2"]), [1, 2], np.array([1, 2], np.uint8)):
        np.savez(path, x=X, classes=given)
        assert load_data(path).classes == {"": ("1", "2")}


@pytest.mark.parametrize("member", ["x", "y.npy", "y.word", "classes"])
def test_a_member_that_is_no_array(path: Path, member: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, pickle.dumps([1, 2]))
    with pytest.raises(ValueError) as raised:
        load_data(path)
    assert str(raised.value) == f"{path}: not a readable .npz file: {member.removesuffix('.npy')} isn't an array in numpy's format"


def test_other_files(path: Path, tmp_path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match=r"not a readable \.npz file: it is a single array"):
        load_data(path)
    for damaged in (b"", b"PK\x03\x04", b"hello", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not a readable \.npz file"):
            load_data(path)
    with pytest.raises(FileNotFoundError):
        load_data(tmp_path / "absent.npz")
    with pytest.raises(IsADirectoryError):
        load_data(tmp_path)


# Numbers that would begin again, and files from strangers

WRAPPING = {
    "two's complement": ([2**64 - 1, 7], np.uint64, 2**64 + 6),
    "half": ([2**63, 2**63, 6], np.uint64, 2**64 + 6),
    "of 32 bits": ([2**32, 6], np.uint64, 2**32 + 6),
    "signed": ([2**63 - 1, 2**63 - 1, 8], np.int64, 2**64 + 6),
}


@pytest.mark.parametrize("name", WRAPPING)
def test_lengths_do_not_begin_again_where_a_type_ends(path: Path, name: str) -> None:
    """Each of these adds up to the six steps there are in integers of so many bits."""
    lengths, dtype, total = WRAPPING[name]
    np.savez(path, x=FLAT, length=np.array(lengths, dtype), y=np.arange(len(lengths)))
    with pytest.raises(ValueError, match=f"length adds up to {total} steps, x has 6"):
        load_data(path)


def test_nor_where_steps_take_no_bytes(path: Path) -> None:
    np.savez(path, x=np.zeros((2**62, 0), np.int8), length=np.full(5, 2**62))
    with pytest.raises(ValueError, match=f"length adds up to {5 * 2**62} steps, x has {2**62}"):
        load_data(path)


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HEADERS = {
    "a number of 400 digits": header(f"({10**400},)"),
    "no bytes, 70 bits": header(f"({2**70}, 0)"),
    "brackets": header("(" * 200),
    "more brackets": header("(" * 4000 + ")" * 4000),
    "negative": header("(-1,)"),
    "a fraction": header("(1.5,)"),
    "a text": header("'a'"),
    "no type": header("(1,)", "'zz'"),
    "a type of 4 GB": header("(1,)", "('<f4', (1000000000,))"),
    "a type without end": header("(1,)", f"('<f4', ({10**30},))"),
    "cut": header("(1,)")[:20],
    "no data": header("(3,)"),
    "a million million": header("(1000000000000,)"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_arrays_that_are_none(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", HEADERS[name])
    with pytest.raises(ValueError, match=r"data\.npz: not a readable \.npz file: ."):
        load_data(path)


def test_nothing_larger_than_the_machine_is_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(path, x=np.zeros(10 * 2**20, np.int8), y=np.zeros(10 * 2**20, np.int8))
    monkeypatch.setattr(arrays, "large_limit", lambda: 2**20)
    with pytest.raises(ValueError, match=r"its arrays are 20 MiB, the most that is read here are 1$"):
        load_data(path)
    monkeypatch.setattr(content, "large_limit", lambda: path.stat().st_size - 1)
    with pytest.raises(OSError, match="it is larger than 0 MiB"):
        load_data(path)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "zeros.npz").symlink_to("/dev/zero")
    for name in ("pipe.npz", "zeros.npz"):
        with pytest.raises(OSError, match="not a regular file"):
            load_data(tmp_path / name)
