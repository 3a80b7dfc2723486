"""Sequences with a step in each row: which rows are a sample, in which order, and where each value came from."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import InputSignature, OutputSignature, Signature
from rnnspec.datafiles.formats import read_tables
from rnnspec.datafiles.groups import Keys
from rnnspec.datafiles.predictions import Predictions, as_csv, as_data, encode, predictions_of
from rnnspec.datafiles.roles import Roles
from rnnspec.datafiles.sets import DataFile, bound
from rnnspec.datafiles.table import Column, Table
from rnnspec.runtime.data.sample_errors import sample_error

TIME = Name("time")
SERIES, SITE = InputSignature("series", (TIME, 2)), InputSignature("site", (1,))
STEPS = OutputSignature("tags", (TIME, 3), is_sequence=True)
ROW = OutputSignature("total", (1,))
GIVEN = {"series": ["a", "b"], "site": ["site"], "y": ["y"], "group_by": ["ride"]}
LINES = "ride,t,a,b,site,y\nA,2,1,2,7,5\nA,1,3,4,7,6\nB,1,5,6,8,7\nA,3,9,0,7,8\n"


def load(
    path: Path, content: str, given: Mapping[str, Sequence[str]] = GIVEN, output: OutputSignature = STEPS, inputs: Any = (SERIES, SITE)
) -> DataFile:
    """The sets of a text for a model with these inputs and this output."""
    path.write_text(content, encoding="utf-8")
    signature = Signature("Tiny", "float32", inputs, (output,), ())
    roles = Roles(signature, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bound(read_tables([str(path)], roles.is_wanted), signature, roles, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rides.csv"


def plain(values: Any) -> list[Any]:
    return [np.asarray(each).tolist() for each in values]


def test_rows_of_a_key_are_a_sample(path: Path) -> None:
    """Samples in the order of their first rows, steps in that of the file."""
    data = load(path, LINES).for_training
    assert plain(data.x["series"]) == [[[1, 2], [3, 4], [9, 0]], [[5, 6]]]
    assert plain(data.x["site"]) == [[7], [8]]
    assert plain(data.y) == [[5, 6, 8], [7]]
    assert data.keys is not None
    assert (data.keys.names, data.keys.of_samples) == (("ride",), (["A", "B"],))


def test_steps_are_sorted(path: Path) -> None:
    data = load(path, LINES, {**GIVEN, "order_by": ["t"]}).for_training
    assert plain(data.x["series"]) == [[[3, 4], [1, 2], [9, 0]], [[5, 6]]]
    assert plain(data.y) == [[6, 5, 8], [7]]
    assert data.keys is not None and data.keys.of_steps == [[1, 2, 3], [1]]


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (("10", "9", "-1.5"), [2, 1, 0]),
        (("2024-01-10", "2024-01-09", "2023-12-31"), [2, 1, 0]),
        (("2024-01-01T10:00:00", "2024-01-01T09:00", "2024-01-01 09:30"), [1, 2, 0]),
        (("2024-01-01T10:00+02:00", "2024-01-01T09:00+00:00", "2024-01-01T07:00Z"), [2, 0, 1]),
    ],
)
def test_what_sorts_is_a_number_or_a_time(path: Path, times: Sequence[str], order: list[int]) -> None:
    """And not the text: 10 is behind 9."""
    lines = "".join(f"A,{time},{place},0,1\n" for place, time in enumerate(times))
    data = load(path, f"ride,t,a,b,site\n{lines}", {"series": ["a", "b"], "group_by": ["ride"], "order_by": ["t"]}).for_training
    assert plain(data.x["series"])[0] == [[place, 0] for place in order]


def test_a_key_of_several_columns(path: Path) -> None:
    given = {"series": ["a", "b"], "site": ["site"], "group_by": ["ride", "t"]}
    data = load(path, LINES, given).for_training
    assert [len(each) for each in data.x["series"]] == [1, 1, 1, 1]
    assert data.keys is not None and data.keys.of_samples == (["A", "A", "B", "A"], ["2", "1", "1", "3"])


def test_targets_of_samples_and_sets_of_samples(path: Path) -> None:
    lines = "ride,a,b,site,y,part\nA,1,2,7,5,train\nB,3,4,7,6,test\nA,5,6,7,5,train\n"
    file = load(path, lines, {**GIVEN, "split": ["part"]}, ROW)
    train, test = file.for_training, file.for_testing
    assert (plain(train.x["series"]), plain(train.y)) == ([[[1, 2], [5, 6]]], [5])
    assert (plain(test.x["series"]), plain(test.y)) == ([[[3, 4]]], [6])
    assert test.keys is not None and test.keys.of_samples == (["B"],)


def test_masks_weights_and_names_of_steps(path: Path) -> None:
    lines = "ride,a,b,site,y,mask,w\nA,1,2,7,up,1,2\nA,1,2,7,down,0,1\nB,1,2,7,up,true,3\n"
    data = load(path, lines, {**GIVEN, "sample_weight": ["w"]}).for_training
    assert data.y == [["up", "down"], ["up"]]
    assert data.mask is not None and data.mask["series"].tolist() == [[True, False], [True, False]]
    assert plain(data.weights) == [[2, 1], [3]]


def test_json_lines_of_steps(tmp_path: Path) -> None:
    rows = [{"ride": 1, "a": 1, "b": 2.5, "site": 0, "y": 1}, {"ride": 2, "a": 3, "b": 4, "site": 0, "y": 0}]
    content = "".join(f"{json.dumps(row)}\n" for row in [*rows, {**rows[0], "a": 9}])
    data = load(tmp_path / "rides.jsonl", content).for_training
    assert plain(data.x["series"]) == [[[1, 2.5], [9, 2.5]], [[3, 4]]]
    assert data.keys is not None and data.keys.of_samples == ([1, 2],)


@pytest.mark.parametrize("key", ["[1]", "{}", "NaN"])
def test_a_key_is_a_text_or_a_number(tmp_path: Path, key: str) -> None:
    path = tmp_path / "rides.jsonl"
    with pytest.raises(ValueError, match="line 1, column ride: expected a text or a number, the key of a sequence, got"):
        load(path, f'{{"ride": {key}, "a": 1, "b": 2, "site": 0, "y": 1}}\n')


def test_arrays_of_steps() -> None:
    """As Parquet has them; days are as pyarrow gives them."""
    days = [date(2024, 1, day) for day in (2, 1, 1)]
    floats = {
        name: np.array(each, float) for name, each in {"a": [1, 2, 3], "b": [0, 0, 1], "site": [np.nan, np.nan, 8], "y": [1, 2, 0]}.items()
    }
    columns = {name: Column("rides.parquet", name, each) for name, each in {"ride": ["A", "A", "B"], "t": days, **floats}.items()}
    signature = Signature("Tiny", "float32", (SERIES, SITE), (STEPS,), ())
    roles = Roles(signature, {**GIVEN, "order_by": ["t"]})
    data = bound(Table("rides.parquet", columns, tuple(columns), "column"), signature, roles, {}).for_training
    assert plain(data.x["series"]) == [[[2, 0], [1, 0]], [[3, 1]]]
    assert plain(data.y) == [[2, 1], [0]]
    assert str(data.origin.told(sample_error("input series", 0, "no", step=0, feature=1))) == "rides.parquet: row 1, column b: no"


WRONG: dict[str, tuple[str, Mapping[str, Sequence[str]], str]] = {
    "two values of a sample": (
        LINES.replace("3,4,7", "3,4,9"), GIVEN,
        "line 3, column site: expected one value for all rows of a sample: it is '9', in its first row '7'",
    ),
    "twice": (LINES.replace("A,3", "A,2"), {**GIVEN, "order_by": ["t"]}, "line 5, column t: the sequence A has '2' twice"),
    "no key": (LINES.replace("B,1", ",1"), GIVEN, "line 4, column ride: it is empty, a sequence's key is expected"),
    "no number to sort by": (LINES.replace("B,1", "B,x"), {**GIVEN, "order_by": ["t"]}, "line 4, column t: expected a number, got 'x'"),
    "nan to sort by": (
        LINES.replace("B,1", "B,nan"), {**GIVEN, "order_by": ["t"]}, "line 4, column t: expected a number to sort by, got nan",
    ),
    "no time": (
        "ride,t,a,b,site,y\nA,31.12.2024,1,2,7,5\n", {**GIVEN, "order_by": ["t"]},
        "line 2, column t: expected a number to sort by, or a date or time such as 2024-05-31 or 2024-05-31T08:30:00, got '31.12.2024'",
    ),
    "a zone": (
        "ride,t,a,b,site,y\nA,2024-01-01T00:00Z,1,2,7,5\nA,2024-01-02,1,2,7,5\n", {**GIVEN, "order_by": ["t"]},
        "line 3, column t: expected a time with a zone, as in the first, got '2024-01-02'",
    ),
    "rubbish": (LINES.replace("5,6,8", "5,six,8"), GIVEN, "line 4, column b: expected a number, got 'six'"),
    "no column": (LINES.replace("ride", "rid"), GIVEN, "there is no column `ride`; found rid, t, a, b, site, y"),
    "lengths": (LINES.replace("t,", "length,"), GIVEN, "group_by says how long sequences are, and length is there for it as well"),
    "order alone": (
        LINES, {"series": ["a"], "site": ["site"], "order_by": ["t"]},
        "order_by sorts the rows of a sample, and there is no group_by that says which these are",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refusal(path: Path, name: str) -> None:
    content, given, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        load(path, content, given)
    assert str(raised.value) == f"{path}: {message}"


def test_a_model_without_sequences(path: Path) -> None:
    with pytest.raises(ValueError, match="group_by makes sequences of rows, and model Tiny takes none of numbers"):
        load(path, LINES, {"site": ["a"], "group_by": ["ride"]}, ROW, (SITE,))


def test_errors_of_samples_name_the_line(path: Path) -> None:
    """Of the step, in the order that they were sorted to, and of the column among those side by side."""
    data = load(path, LINES, {**GIVEN, "order_by": ["t"]}).for_training
    for error, place in (
        (sample_error("input series", 0, "no", step=0, feature=1), "line 3, column b"),
        (sample_error("input series", 0, "no", step=2, feature=0), "line 5, column a"),
        (sample_error("input series", 1, "no"), "line 4, column a"),
        (sample_error("targets", 0, "no", step=1), "line 2, column y"),
        (sample_error("input site", 1, "no", feature=0), "line 4, column site"),
    ):
        assert str(data.origin.told(error)) == f"{path}: {place}: no"
    assert str(data.only(np.array([1])).origin.told(sample_error("targets", 0, "no", step=0))) == f"{path}: line 4, column y: no"


# Predictions


def predictions(output: OutputSignature, keys: Keys, **given: Any) -> Predictions:
    values = np.arange(4.0).reshape(2, 2, 1) if output.is_sequence else np.arange(2.0).reshape(2, 1)
    real = np.array([[True, True], [True, False]]) if output.is_sequence else None
    return predictions_of((output,), given.get("values", values), (real,), {}, {}, keys)


KEYS = Keys("rides.csv", ("ride",), (["A", "B"],), TIME, "t", [[10, 20], [datetime(2024, 1, 1, tzinfo=UTC)]])


def test_predictions_keep_the_keys() -> None:
    steps = OutputSignature("out", (TIME, 1), is_sequence=True)
    found = predictions(steps, KEYS)
    assert as_csv(found) == "ride,t,out\nA,10,0.0\nA,20,1.0\nB,2024-01-01 00:00:00+00:00,2.0\n"
    assert as_data(found) == [
        {"ride": "A", "t": [10, 20], "out": [0.0, 1.0]},
        {"ride": "B", "t": ["2024-01-01T00:00:00+00:00"], "out": [2.0]},
    ]
    with np.load(io.BytesIO(encode(".npz", found))) as archive:
        assert archive["ride"].tolist() == ["A", "B"]
    assert as_csv(predictions(OutputSignature("out", (1,)), KEYS)) == "ride,out\nA,0.0\nB,1.0\n"


def test_steps_of_another_length_have_numbers() -> None:
    """Those behind strides, and those in reversed order, aren't the file's."""
    for output in (
        OutputSignature("out", (Name("other"), 1), is_sequence=True),
        OutputSignature("out", (TIME, 1), is_sequence=True, flip=True),
    ):
        found = predictions(output, KEYS)
        assert as_csv(found).startswith("ride,step,out\nA,0,0.0\n")
        assert "t" not in as_data(found)[0]


@pytest.mark.parametrize("name", ["out", "step"])
def test_a_key_called_as_a_prediction_is_refused(name: str) -> None:
    keys = Keys("rides.csv", (name,), (["A", "B"],), TIME)
    with pytest.raises(ValueError, match=f"rides.csv: the column {name} would stand beside the predictions"):
        predictions(OutputSignature("out", (1,)), keys)
