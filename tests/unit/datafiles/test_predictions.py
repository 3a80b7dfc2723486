"""Predictions as files: what is read back is what was written, to the bit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import IndexSignature, InputSignature, OutputSignature, Signature
from rnnspec.datafiles import predictions
from rnnspec.datafiles.predictions import Predictions, as_data, check_format, predictions_of
from rnnspec.runtime.data.batches import CheckedInputs
from rnnspec.runtime.data.class_names import counted_steps
from rnnspec.runtime.data.validate import check_inputs

ROW, NUMBER = OutputSignature("kind", (3,)), OutputSignature("size", (1,))
STEPS = OutputSignature("tags", (Name("time"), 2), is_sequence=True, index=0)
ODD = np.array([[0.1, -0.0, 1e-45], [1 / 3, np.nan, np.inf], [3.4028235e38, -1e-38, 16777217.0]])


def found(outputs: Sequence[OutputSignature], arrays: Sequence[Any], real: Any = None, **names: tuple[str, ...]) -> Predictions:
    given = arrays if len(outputs) > 1 else arrays[0]
    return predictions_of(
        tuple(outputs), given, [real if output.is_sequence else None for output in outputs], names, dict.fromkeys(names, 0.5)
    )


def as_csv(outputs: Sequence[OutputSignature], arrays: Sequence[Any], real: Any = None, **names: tuple[str, ...]) -> str:
    return predictions.as_csv(found(outputs, arrays, real, **names))


def encode(ending: str, outputs: Sequence[OutputSignature], arrays: Sequence[Any], real: Any = None) -> bytes:
    return predictions.encode(ending, found(outputs, arrays, real))


def read(text: str) -> tuple[list[str], list[list[float]]]:
    heading, *rows = csv.reader(io.StringIO(text))
    return heading, [[float(cell) for cell in row] for row in rows]


def same(one: Any, other: Any) -> None:
    """Signs of zeros, and which bits are no number, too."""
    assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_text_reads_back_to_the_same_bits(dtype: type[np.floating[Any]]) -> None:
    with np.errstate(over="ignore", under="ignore"):
        array = ODD.astype(dtype)
    heading, rows = read(as_csv([ROW], [array]))
    assert heading == ["kind.0", "kind.1", "kind.2"]
    same(np.array(rows), array.astype(np.float64))
    same(np.array(rows).astype(dtype), array)


def test_outputs_side_by_side() -> None:
    assert as_csv([ROW, NUMBER], [np.eye(3), np.array([[0.5], [1.5], [2]])]) == (
        "kind.0,kind.1,kind.2,size\n1.0,0.0,0.0,0.5\n0.0,1.0,0.0,1.5\n0.0,0.0,1.0,2.0\n"
    )


def test_a_line_for_each_real_step() -> None:
    array = np.arange(12.0).reshape(2, 3, 2)
    assert as_csv([STEPS], [array], np.array([[True, False, True], [False, True, False]])) == (
        "sample,step,tags.0,tags.1\n0,0,0.0,1.0\n0,2,4.0,5.0\n1,1,8.0,9.0\n"
    )
    heading, rows = read(as_csv([STEPS], [array]))
    assert heading == ["sample", "step", "tags.0", "tags.1"]
    assert [row[:2] for row in rows] == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    same([row[2:] for row in rows], array.reshape(6, 2))


def test_axes_and_nothing() -> None:
    heading, rows = read(as_csv([OutputSignature("m", (2, 2))], [np.arange(8.0).reshape(2, 2, 2)]))
    assert (heading, rows[1]) == (["m.0.0", "m.0.1", "m.1.0", "m.1.1"], [4, 5, 6, 7])
    assert as_csv([ROW], [np.zeros((0, 3))]) == "kind.0,kind.1,kind.2\n"
    assert as_csv([STEPS], [np.zeros((2, 0, 2))]) == "sample,step,tags.0,tags.1\n"


def test_names_of_classes_stand_behind_their_output() -> None:
    """In every form that has room for them: of the largest of several numbers, of one number whether it is above one half."""
    kinds, sizes = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]), np.array([[0.75], [0.5]])
    given = found([ROW, NUMBER], [kinds, sizes], kind=("a", "b", "c"), size=("small", "large"))
    assert predictions.as_csv(given).splitlines() == [
        "kind.0,kind.1,kind.2,kind.class,size,size.class",
        "0.1,0.7,0.2,b,0.75,large",
        "0.5,0.25,0.25,a,0.5,small",
    ]
    assert as_data(given)[0] == {"kind": [0.1, 0.7, 0.2], "kind.class": "b", "size": 0.75, "size.class": "large"}
    with np.load(io.BytesIO(predictions.encode(".npz", given)), allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file.files if "class" in name} == {
            "kind.class": ["b", "a"],
            "size.class": ["large", "small"],
        }
    steps = found([STEPS], [np.eye(2)[[[0, 1, 1]]]], np.array([[True, False, True]]), tags=("x", "y"))
    assert predictions.as_csv(steps) == "sample,step,tags.0,tags.1,tags.class\n0,0,1.0,0.0,x\n0,2,0.0,1.0,y\n"
    assert as_data(steps) == [{"tags": [[1.0, 0.0], [0.0, 1.0]], "tags.class": ["x", "y"]}]


def test_a_prediction_of_nan_has_no_class() -> None:
    """Nor has one number: `nan > 0.5` is false, and isn't class 0."""
    kinds, sizes = np.array([[0.1, np.nan, 0.2], [0.5, 0.25, np.inf]]), np.array([[np.nan], [0.5]])
    given = found([ROW, NUMBER], [kinds, sizes], kind=("a", "b", "c"), size=("small", "large"))
    assert predictions.as_csv(given).splitlines()[1:] == ["0.1,nan,0.2,,nan,", "0.5,0.25,inf,c,0.5,small"]
    assert [(row["kind.class"], row["size.class"]) for row in as_data(given)] == [(None, None), ("c", "small")]


def test_lines_of_json() -> None:
    """A line a sample with all digits; JSON has no number that isn't finite."""
    lines = encode(".jsonl", [ROW], [ODD.astype(np.float64)]).decode().splitlines()
    assert json.loads(lines[0]) == {"kind": ODD[0].tolist()}
    assert json.loads(lines[1]) == {"kind": [1 / 3, None, None]}
    assert len(lines) == 3


def test_arrays() -> None:
    array = ODD.astype(np.float32)
    found = np.load(io.BytesIO(encode(".npy", [ROW], [array])), allow_pickle=False)
    assert found.dtype == np.float32
    same(found, array)
    names = ("file", "allow_pickle", "kind")
    outputs = [OutputSignature(name, (3,)) for name in names]
    with np.load(io.BytesIO(encode(".npz", outputs, [array, array + 1, array[:1]])), allow_pickle=False) as several:
        assert several.files == list(names)
        same(several["allow_pickle"], array + 1)
    assert encode(".csv", [ROW], [array]) == as_csv([ROW], [array]).encode()


REFUSED: dict[str, tuple[str, list[OutputSignature], str]] = {
    "two arrays": (".npy", [ROW, NUMBER], "a .npy file holds one array, the model's outputs are kind, size: write .npz or .jsonl"),
    "rows and steps": (
        ".csv",
        [ROW, STEPS],
        "a .csv file has one line for all outputs, and kind, tags don't have the same steps: write .npz or .jsonl",
    ),
    "other steps": (
        ".csv",
        [STEPS, OutputSignature("later", ("time-1", 2), is_sequence=True, index=1)],
        "a .csv file has one line for all outputs, and tags, later don't have the same steps: write .npz or .jsonl",
    ),
    "reversed": (
        ".csv",
        [STEPS, OutputSignature("back", (Name("time"), 2), is_sequence=True, index=0, flip=True)],
        "a .csv file has one line for all outputs, and tags, back don't have the same steps: write .npz or .jsonl",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_outputs_that_do_not_go_into_a_file(name: str) -> None:
    ending, outputs, message = REFUSED[name]
    with pytest.raises(ValueError) as raised:
        check_format(ending, outputs)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("ending", "outputs"), [(".npz", [ROW, STEPS]), (".csv", [ROW, NUMBER]), (".csv", [STEPS]), (".npy", [STEPS]), ("", [ROW, STEPS])]
)
def test_outputs_that_do(ending: str, outputs: Sequence[OutputSignature]) -> None:
    check_format(ending, outputs)


def test_steps_that_count() -> None:
    """Of a reversed output reversed; of a row none."""
    back = OutputSignature("back", (Name("time"), 2), is_sequence=True, index=0, flip=True)
    signature = Signature(
        "M", "float32", (InputSignature("x", (Name("time"), 1)),), (STEPS, back, ROW), (), indices=(IndexSignature((("x", ()),)),)
    )
    checked: CheckedInputs = check_inputs(signature, [np.ones((1, 1)), np.ones((3, 1))])
    forth, reversed_, none = counted_steps(signature, checked)
    assert forth is not None and reversed_ is not None
    assert forth.tolist() == [[True, False, False], [True, True, True]]
    assert reversed_.tolist() == [[False, False, True], [True, True, True]]
    assert none is None
    assert counted_steps(signature, check_inputs(signature, np.ones((2, 3, 1)))) == [None, None, None]
