"""Columns of text files as a model's inputs, targets, weights and sets: found by their names, or by those that were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import Config, InputSignature, OutputSignature, Signature, TextSignature, TrainSettings
from rnnspec.datafiles.formats import read_tables
from rnnspec.datafiles.roles import Roles
from rnnspec.datafiles.sets import DataFile, bound

TIME = Name("time")
TEXT = TextSignature("lower", "word", None, "post", "post", None, 1)
INPUTS = {
    "review": InputSignature("review", (TIME,), integer=True, vocabulary=9, text=TEXT),
    "ids": InputSignature("ids", (TIME,), integer=True, vocabulary=9),
    "frames": InputSignature("frames", (TIME, 2)),
    "level": InputSignature("level", (TIME, 1)),
    "window": InputSignature("window", (2, 2)),
    "row": InputSignature("row", (2,)),
    "size": InputSignature("size", (1,)),
}
OUTPUTS = {
    "kind": OutputSignature("kind", (2,)),
    "tags": OutputSignature("tags", (TIME, 3), is_sequence=True, index=0),
    "value": OutputSignature("value", (1,)),
}


def signature(inputs: Sequence[str], outputs: Sequence[str], loss: str = "mean_squared_error") -> Signature:
    train = TrainSettings(loss=Config(loss) if len(outputs) == 1 else tuple(Config(loss) for _ in outputs))
    return Signature("M", "float32", tuple(INPUTS[each] for each in inputs), tuple(OUTPUTS[each] for each in outputs), (), train)


def load(
    folder: Path,
    written: str,
    inputs: Sequence[str],
    outputs: Sequence[str] = ("kind",),
    *,
    columns: Mapping[str, Sequence[str]] = {},
    classes: Mapping[str, tuple[str, ...]] = {},
    loss: str = "mean_squared_error",
) -> DataFile:
    """A CSV, or lines of JSON, for a model with these inputs and outputs."""
    path = folder / ("t.jsonl" if written.startswith("{") else "t.csv")
    path.write_text(written, encoding="utf-8")
    made = signature(inputs, outputs, loss)
    roles = Roles(made, columns)
    return bound(read_tables([str(path)], roles.is_wanted), made, roles, classes)


def plain(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: plain(each) for name, each in values.items()}
    return [plain(each) for each in values] if isinstance(values, list) else values.tolist() if isinstance(values, np.ndarray) else values


GIVEN: dict[str, tuple[str, str, Any]] = {
    "texts": ("review", 'review\n"[sic] so, good"\n7\n', ["[sic] so, good", "7"]),
    "texts as ids": ("review", '{"x": [1, 2]}\n{"x": [3]}', [[1, 2], [3]]),
    "ids": ("ids", "x\n1 2 3\n[4]\n", [[1, 2, 3], [4]]),
    "ids side by side": ("ids", "x.0,x.1\n1,2\n3,4\n", [[1, 2], [3, 4]]),
    "frames": ("frames", '{"frames": [[1, 2]]}\n{"frames": [[3, 4], [5, 6]]}', [[[1, 2]], [[3, 4], [5, 6]]]),
    "frames in cells": ("frames", 'frames\n"[[1, 2]]"\n"[[3, 4], [5, 6]]"\n', [[[1, 2]], [[3, 4], [5, 6]]]),
    "a number a step": ("level", "level\n1 2.5\n3\n", [[[1], [2.5]], [[3]]]),
    "a window": ("window", "x.0,x.1,x.2,x.3\n1,2,3,4\n", [[[1, 2], [3, 4]]]),
    "a row": ("row", "row.1,row.0\n2,1\n4,3\n", [[1, 2], [3, 4]]),
    "a row in a list": ("row", '{"row": [1, 2]}\n{"row": [3, 4]}', [[1, 2], [3, 4]]),
    "a number": ("size", "size\n1\n2\n", [[1], [2]]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_inputs(tmp_path: Path, name: str) -> None:
    given, written, expected = GIVEN[name]
    assert plain(load(tmp_path, written, [given]).for_testing.x[given]) == expected


def test_an_array_of_numbers_is_a_row_of_one(tmp_path: Path) -> None:
    np.save(tmp_path / "size.npy", np.arange(3.0))
    made = signature(["size"], ["value"])
    table = read_tables([str(tmp_path / "size.npy")], Roles(made).is_wanted)
    assert plain(bound(table, made, Roles(made), {}).for_testing.x) == {"size": [[0], [1], [2]]}


TARGETS: dict[str, tuple[str, str, Any]] = {
    "numbers": ("kind", "size,y\n1,0\n2,1\n", [0, 1]),
    "names": ("kind", "size,kind\n1,up\n2,down\n", ["up", "down"]),
    "values": ("value", "size,value\n1,0.5\n2,2\n", [0.5, 2]),
    "a row": ("kind", "size,y.0,y.1\n1,0,1\n2,1,0\n", [[0, 1], [1, 0]]),
    "a list": ("kind", '{"size": 1, "kind": [0, 1]}\n{"size": 2, "kind": [1, 0]}', [[0, 1], [1, 0]]),
    "steps": ("tags", "size,tags\n1,0 1 2\n2,2\n", [[0, 1, 2], [2]]),
    "names of steps": ("tags", '{"size": 1, "tags": ["B", "I"]}\n{"size": 2, "tags": ["O"]}', [["B", "I"], ["O"]]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(tmp_path: Path, name: str) -> None:
    output, written, expected = TARGETS[name]
    assert plain(load(tmp_path, written, ["size"], [output]).for_testing.y) == expected


def test_labels_of_a_loss_of_paths_are_lists(tmp_path: Path) -> None:
    assert plain(load(tmp_path, "size,tags\n1,1 2\n2,1\n", ["size"], ["tags"], loss="ctc").for_testing.y) == [[1, 2], [1]]


def test_names_of_classes_and_a_slip_among_numbers(tmp_path: Path) -> None:
    """What most values are decides; names that the model knows decide alone, and another is told with its line."""
    written = "size,kind\n1,0\n2,1\n3,l\n"
    with pytest.raises(ValueError, match=r"t\.csv: line 4, column kind: expected a number, got 'l'$"):
        load(tmp_path, written, ["size"])
    with pytest.raises(ValueError, match=r"t\.csv: line 4, column kind: no class is called 'l'; they are 0, 1$"):
        load(tmp_path, written, ["size"], classes={"kind": ("0", "1")})
    assert load(tmp_path, "size,kind\n1,0\n2,1\n", ["size"], classes={"kind": ("0", "1")}).for_testing.y == ["0", "1"]


def test_several_outputs_weights_and_sets(tmp_path: Path) -> None:
    written = "split,size,kind,value,sample_weight.value\ntrain,1,up,3,0.5\nvalid,2,down,4,1\ntest,3,up,5,2\ntrain,4,up,6,1\n"
    data = load(tmp_path, written, ["size"], ["kind", "value"])
    assert {name: each.samples for name, each in data.sets.items()} == {"train": 2, "val": 1, "test": 1}
    assert plain(data.for_training.y) == {"kind": ["up", "up"], "value": [3, 6]}
    assert plain(data.for_training.weights) == {"value": [0.5, 1]}
    assert data.with_targets(data.for_testing, ["kind", "value"]).samples == 1


def test_columns_by_given_names(tmp_path: Path) -> None:
    """A column that was given to something has no meaning of its own any more; the others keep theirs."""
    written = "open,close,y,x,note\n1,2,3,4,a\n5,6,7,8,b\n"
    with pytest.warns(UserWarning, match=r"t\.csv: not used: x, note$"):
        data = load(tmp_path, written, ["row"], ["value"], columns={"row": ["open", "close"]})
    assert plain(data.for_testing.x) == {"row": [[1, 2], [5, 6]]}
    assert plain(data.for_testing.y) == [3, 7]
    with pytest.warns(UserWarning, match=r"t\.csv: not used: y, note$"):
        data = load(tmp_path, written, ["row"], ["value"], columns={"x": ["open", "close"], "value": ["x"]})
    assert plain(data.for_testing.y) == [4, 8]


def test_columns_that_the_spec_names(tmp_path: Path) -> None:
    """The command's go before them; a file that lacks one of them may have the role's own name."""
    made = signature(["size"], ["value"])
    made = replace(made, train=replace(made.train, data=(("size", ("a",)), ("value", ("b",)))))

    def loaded(written: str, **given: Sequence[str]) -> Any:
        path = tmp_path / "t.csv"
        path.write_text(written, encoding="utf-8")
        roles = Roles(made, given)
        data = bound(read_tables([str(path)], roles.is_wanted), made, roles, {})
        return plain(data.for_testing.x["size"]), plain(data.for_testing.y)

    assert loaded("a,b\n1,2\n") == ([[1]], [2])
    assert loaded("b,c\n2,3\n", y=["c"], x=["b"]) == ([[2]], [3])
    assert loaded("x,value\n1,2\n") == ([[1]], [2])
    assert loaded("a\n1\n") == ([[1]], None)
    with pytest.warns(UserWarning, match="not used: y$"):
        assert loaded("a,b,y\n1,2,3\n") == ([[1]], [2])
    with pytest.raises(ValueError, match=r"t\.csv: there is no column `a`; found c$"):
        loaded("c\n1\n")
    with pytest.raises(ValueError, match=r"t\.csv: there is no column `c`; found a, b$"):
        loaded("a,b\n1,2\n", y=["c"])


WRONG: dict[str, tuple[str, dict[str, list[str]], str]] = {
    "no input": ("text,kind\na,b\n", {}, "expected the column x or size, or x_train and x_test; found text, kind; --columns size="),
    "a slip": ("siez,kind\n1,b\n", {}, "found siez, kind; did you mean `siez`?"),
    "a slip in a given name": (
        "length_m,kind\n1,2\n", {"size": ["lenght_m"]}, "there is no column `lenght_m`; did you mean `length_m`? found",
    ),
    "a given name for nothing": (
        "a\n1\n", {"sise": ["a"]}, "--columns: the model has nothing called `sise`; did you mean `size`? there are size, kind,",
    ),
    "twice": ("x,size\n1,2\n", {}, "t.csv: x and size are both x"),
    "given twice": ("a,b\n1,2\n", {"x": ["a"], "size": ["b"]}, "--columns: `size` is given twice"),
    "a gap": ("x.0,x.2\n1,2\n", {}, "t.csv: there is no column x.1; it has x.2"),
    "a name and numbers": ("x,x.0\n1,2\n", {}, "t.csv: x and x.0 are both x"),
    "a text among numbers": ("size,y\n1,2\nbig,3\n", {}, "t.csv: line 3, column size: expected a number, got 'big'"),
    "a text side by side": ("x.0,x.1\n1,2\n1,b\n", {}, "t.csv: line 3, column x.1: expected a number, got 'b'"),
    "another set": ("size,split\n1,train\n2,tset\n", {}, "t.csv: line 3, column split: expected train, val or test, got 'tset'"),
    "two cuts": ("size,split,test\n1,train,0\n", {}, "t.csv: test and split both cut x: it has both"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refusal(tmp_path: Path, name: str) -> None:
    written, columns, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        load(tmp_path, written, ["size"], columns=columns)
    assert message in str(raised.value)


def test_missing_targets_are_named_as_they_were_given(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not used: knd"):
        data = load(tmp_path, "size,knd\n1,2\n", ["size"])
    told = "the targets should be in y; found size, knd; `--columns y=NAME` says which column has them"
    with pytest.raises(ValueError, match=told):
        data.with_targets(data.for_testing)


def test_lengths_of_a_model_without_sequences_are_not_used(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not used: length"):
        data = load(tmp_path, "size,length,y\n1,2,3\n", ["size"])
    assert data.for_testing.lengths is None


def test_files_of_other_numbers_of_rows_are_named(tmp_path: Path) -> None:
    """Not as a shape, which the user of two tables has never seen."""
    one, two = tmp_path / "x.csv", tmp_path / "y.csv"
    one.write_text("x\n1\n2\n", encoding="utf-8")
    for name in ("y", "sample_weight"):
        two.write_text(f"{name}\n1\n2\n3\n", encoding="utf-8")
        with pytest.raises(ValueError) as raised:
            load_all([one, two])
        assert str(raised.value) == f"{two}: {name} has 3 rows, x has 2"


@pytest.mark.parametrize("known", [{}, {"out": ("down", "up")}])
def test_an_empty_cell_is_no_class(tmp_path: Path, known: dict[str, tuple[str, ...]]) -> None:
    path = tmp_path / "y.csv"
    path.write_text("x,y\n1,up\n2,\n3,down\n", encoding="utf-8")
    with pytest.raises(ValueError) as raised:
        load_all([path], known)
    assert str(raised.value) == f"{path}: line 3, column y: it is empty, the name of a class is expected"


def test_a_file_of_sets_for_a_spec_that_names_columns(tmp_path: Path) -> None:
    """Its keys say what they are for."""
    path = tmp_path / "sets.npz"
    np.savez(path, x_train=np.ones((2, 1)), y_train=np.ones(2))
    assert load_all([path], given=(("x", ("a",)), ("y", ("label",)))).for_training.samples == 2


def load_all(paths: list[Path], known: dict[str, tuple[str, ...]] | None = None, given: Any = ()) -> DataFile:
    """The sets of files for a model of one number in and one out, whose spec names the columns `given`."""
    train = TrainSettings(data=given)
    signature = Signature("One", "float32", (InputSignature("x", (1,)),), (OutputSignature("out", (1,)),), (), train)
    roles = Roles(signature)
    return bound(read_tables([str(path) for path in paths], roles.is_wanted), signature, roles, known or {})
