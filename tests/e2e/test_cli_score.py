"""`rnnspec score` in this process: the numbers of `predict`, what is kept of an earlier run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from tests.e2e.conftest import Workplace

SPEC = """\
model Stars {
    input review: text[words], size: float[2]

    r = review -> Embedding(50, 4) -> GRU(4)
    [r, size] -> Concatenate() -> Dense(3, activation = softmax, name = "stars")
}
"""
SERIES = 'model Series { input x: float[time, 2]  GRU(3, return_sequences = true)  Dense(1, name = "level") }'
RANDOM = np.random.default_rng(2)


@pytest.fixture
def series(workplace: Workplace) -> Workplace:
    """A workplace with `series.rnnc` and three files of JSON lines in `in`, one of them in a folder below."""
    rnnspec.compile(SERIES, seed=1).save(workplace.folder / "series.rnnc")
    for place, name in enumerate(("a", "b", "deep/c")):
        rows = [{"id": f"{name}{row}", "x": RANDOM.normal(size=(row % 3 + 1, 2)).tolist(), "more": row} for row in range(4 + place)]
        write_lines(workplace.folder / f"in/{name}.jsonl", rows)
    return workplace


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def score(workplace: Workplace, *options: str) -> str:
    return workplace.succeeds("score", "series.rnnc", "--data", "in/**/*.jsonl", "--out", "out", "--id", "id", *options).out


def test_the_scores_are_those_of_predict(series: Workplace) -> None:
    """In the files' order, with the columns to keep in front; columns of nothing are left aside without a warning."""
    done = series.succeeds("score", "series.rnnc", "--data", "in/**/*.jsonl", "--out", "out", "--id", "id")
    assert done.out == "3 files with 15 samples scored, 0 kept\n"
    assert "warning" not in done.err
    rows = [row for name in ("a", "b", "deep/c") for row in lines(series.folder / f"in/{name}.jsonl")]
    write_lines(series.folder / "whole.jsonl", [{"x": row["x"]} for row in rows])
    series.succeeds("predict", "series.rnnc", "--data", "whole.jsonl", "-o", "predicted.jsonl")
    found = [row for name in ("a", "b", "deep/c") for row in lines(series.folder / f"out/{name}.jsonl")]
    assert [row.pop("id") for row in found] == [row["id"] for row in rows]
    assert found == lines(series.folder / "predicted.jsonl")


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_each_format_has_the_numbers_of_predict(series: Workplace, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    series.succeeds("score", "series.rnnc", "-d", "in/b.jsonl", "-o", "out", "--output-format", ending)
    series.succeeds("predict", "series.rnnc", "-d", "in/b.jsonl", "-o", f"b.{ending}")
    assert (series.folder / f"out/b.{ending}").read_bytes() == (series.folder / f"b.{ending}").read_bytes()


def test_texts_beside_numbers_and_columns_of_other_names(workplace: Workplace) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    model.adapt({"review": ["a good film", "a bad one"]})
    model.save(workplace.folder / "stars.rnnc")
    (workplace.folder / "r.csv").write_text("no,words,w,h,y\n7,a good film,1,2,oops\n8,bad,3,4,\n", encoding="utf-8")
    options = ("--columns", "review=words", "--columns", "size=w,h", "--id", "no")
    workplace.succeeds("score", "stars.rnnc", "-d", "r.csv", "-o", "out", *options)
    heading, *rows = (workplace.folder / "out/r.csv").read_text(encoding="utf-8").splitlines()
    assert heading == "no,stars.0,stars.1,stars.2"
    expected = model.predict({"review": ["a good film", "bad"], "size": np.array([[1, 2], [3, 4]])})
    assert [[float(cell) for cell in row.split(",")] for row in rows] == [[7, *expected[0].tolist()], [8, *expected[1].tolist()]]


def test_a_run_goes_on_where_it_was(series: Workplace) -> None:
    score(series)
    before = {path: path.stat().st_mtime_ns for path in (series.folder / "out").rglob("*.jsonl")}
    (series.folder / "out/b.jsonl").unlink()
    changed = series.folder / "in/a.jsonl"
    changed.write_text(changed.read_text(encoding="utf-8") * 2, encoding="utf-8")
    assert score(series) == "2 files with 13 samples scored, 1 kept\n"
    assert len(lines(series.folder / "out/a.jsonl")) == 8
    kept = series.folder / "out/deep/c.jsonl"
    assert kept.stat().st_mtime_ns == before[kept]
    assert score(series) == "0 files with 0 samples scored, 3 kept\n"


def test_predictions_of_another_run_are_refused(series: Workplace) -> None:
    score(series)
    rnnspec.compile(SERIES, seed=2).save(series.folder / "series.rnnc")
    options = ("score", "series.rnnc", "--data", "in/**/*.jsonl", "--out", "out")
    message = "error: out: its predictions are of another run: of another model; choose another folder, or `--overwrite` to do all again\n"
    assert series.refuses(*options, "--id", "id") == message
    assert score(series, "--overwrite") == "3 files with 15 samples scored, 0 kept\n"
    assert "with another `ids`" in series.refuses(*options)
    assert "with another `ending`" in series.refuses(*options, "--id", "id", "--output-format", "csv")
    assert score(series, "--overwrite", "--output-format", "csv") == "3 files with 15 samples scored, 0 kept\n"
    assert not list((series.folder / "out").rglob("*.jsonl"))


def test_a_fault_in_one_file_leaves_the_others_scored(series: Workplace) -> None:
    write_lines(series.folder / "in/d.jsonl", [{"id": 1, "x": [[1, "two"]]}])
    write_lines(series.folder / "in/e.jsonl", [{"id": 1, "y": [[1, 2]]}])
    message = series.refuses("score", "series.rnnc", "--data", "in/**/*.jsonl", "--out", "out", "--id", "id")
    first, second = message.splitlines()[-2:]
    assert first == f"error: {series.folder}/in/d.jsonl: line 1, column x: expected a number, got 'two'"
    assert second.startswith(f"{series.folder}/in/e.jsonl: expected the key x, or x_train and x_test; found id, y")
    assert len([*(series.folder / "out").rglob("*.jsonl")]) == 3
    write_lines(series.folder / "in/d.jsonl", [{"id": 1, "x": [[1, 2]]}])
    (series.folder / "in/e.jsonl").unlink()
    assert score(series) == "1 files with 1 samples scored, 3 kept\n"


REFUSED = {
    "no match": (("-d", "in/*.csv"), "in/*.csv: no file is called so"),
    "a folder": (("-d", "in"), "in: it is a folder: name its files, 'in/*.parquet'"),
    "two of a name": (("-d", "in/a.jsonl", "-d", "other/a.jsonl"), "the predictions of both would be called a"),
    "foreign files": (("-d", "in/a.jsonl", "-o", "other"), "other: there are files in the folder which no run"),
    "no such column to keep": (("-d", "in/a.jsonl", "--id", "name"), "there is no key `name`; found id, x, more"),
    "targets": (("-d", "in/a.jsonl", "--columns", "y=more"), "y is no input; to score, inputs alone are read"),
    "an engine alone": (("-d", "in/a.jsonl", "--workers", "2"), "the engine local is this process alone"),
    "nobody": (
        ("-d", "in/a.jsonl", "--engine", "dask", "--address", "127.0.0.1:1"),
        "--address 127.0.0.1:1: no dask cluster answers there",
    ),
    "no address": (("-d", "in/a.jsonl", "--engine", "ray", "--address", "there"), "--address there: expected the address of a cluster"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_told(series: Workplace, name: str) -> None:
    options, message = REFUSED[name]
    if "--address" in options:
        pytest.importorskip("distributed" if "dask" in options else "ray")
    write_lines(series.folder / "other/a.jsonl", [])
    assert message in series.refuses("score", "series.rnnc", *(() if "-o" in options else ("-o", "out")), *options)
    assert not (series.folder / "out/a.jsonl").exists()


def test_results_for_programs(series: Workplace) -> None:
    assert json.loads(score(series, "--json")) == {"files": 3, "kept": 0, "samples": 15}
