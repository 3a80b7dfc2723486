"""Predictions of a part of a table, of whichever kind, and of a Parquet file in parts."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.datafiles.formats import Reading
from rnnspec.scoring import partition
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.engines import Engine
from rnnspec.scoring.folder import files_of, plan
from rnnspec.scoring.partition import How, ModelFile, score_partition
from tests.unit.scoring.partitions import SPEC, planned, write_data, written

ROWS = [{"id": f"r{row}", "x": [[row / 9, 1.0]] * (row % 4 + 1), "size": row} for row in range(11)]
X = [row["x"] for row in ROWS]


@pytest.fixture(scope="module")
def model() -> rnnspec.Model:
    return rnnspec.compile(SPEC, seed=3)


def test_records_and_arrays(model: rnnspec.Model) -> None:
    whole = model.predict(X)
    score = model.scorer(ids="id")
    assert score(ROWS) == [{"id": row["id"], "y": y} for row, y in zip(ROWS, whole.tolist(), strict=True)]
    assert score([]) == []
    padded = np.zeros((11, 4, 2), np.float32)
    for row, steps in enumerate(X):
        padded[row, : len(steps)] = steps
    found = model.scorer(columns={"x": "series", "length": "steps"})({"series": padded, "steps": np.array([*map(len, X)])})
    assert [*found] == ["y"]
    assert np.array_equal(found["y"], whole)


def test_frames_in_spark_s_manner(model: rnnspec.Model) -> None:
    """One after the other, each drawn when its predictions are asked for; an empty one has the same columns and types."""
    pandas = pytest.importorskip("pandas")
    drawn: list[int] = []

    def frames() -> Iterator[Any]:
        for start in (0, 4, 4, 9):
            drawn.append(start)
            yield pandas.DataFrame(ROWS).iloc[start : {0: 4, 9: 11}.get(start, 4 if len(drawn) == 2 else 9)]

    found = model.scorer(ids=["id", "size"]).map_in_pandas(frames())
    first = next(found)
    assert drawn == [0]
    parts = [first, *found]
    assert [len(part) for part in parts] == [4, 0, 5, 2]
    assert all(part.dtypes.equals(first.dtypes) for part in parts)
    whole = pandas.concat(parts)
    assert whole["y"].tolist() == model.predict(X).tolist()
    assert whole["size"].tolist() == whole.index.tolist() == [*range(11)]


def test_copies_of_a_scorer_share_a_model(model: rnnspec.Model) -> None:
    """So that a worker that gets a function with each part makes the model once."""
    content = pickle.dumps(model.scorer(ids="id"))
    first, second = pickle.loads(content), pickle.loads(content)
    assert first.model is second.model
    assert first(ROWS) == model.scorer(ids="id")(ROWS)


def test_names_of_classes_and_steps() -> None:
    spec = 'model Tags { input x: float[time, 2]  GRU(3, return_sequences = true)  Dense(2, activation = softmax, name = "tag") }'
    tagger = rnnspec.compile(spec, seed=1)
    tagger.set_classes(["no", "yes"])
    (row,) = tagger.scorer()([{"x": [[1, 2], [3, 4], [5, 6]]}])
    assert row["tag"] == tagger.predict([[[1, 2], [3, 4], [5, 6]]])[0].tolist()
    assert row["tag.class"] == tagger.predict_classes([[[1, 2], [3, 4], [5, 6]]])[0].tolist()


def test_what_cannot_be_scored(model: rnnspec.Model) -> None:
    with pytest.raises(ValueError, match="the partition: row 1, column x: expected a number, got 'b'"):
        model.scorer()([{"x": [[1, 2]]}, {"x": [[1, "b"]]}])
    with pytest.raises(ValueError, match="row 1: there is no 'x', other rows have it"):
        model.scorer()([{"x": [[1, 2]]}, {}])
    with pytest.raises(ValueError, match="there is no column `id`; found x"):
        model.scorer(ids="id")([{"x": [[1, 2]]}])
    with pytest.raises(ValueError, match="the column y would stand beside the predictions"):
        model.scorer(ids="y")([{"x": [[1, 2]], "y": 1}])
    with pytest.raises(ValueError, match="group_by makes sequences of rows, which partitions may cut"):
        model.scorer(columns={"group_by": "id", "x": ["a", "b"]})([{"id": 1, "a": 1, "b": 2}])
    with pytest.raises(TypeError, match="expected a DataFrame of pandas, a dict of arrays or a list of dicts, got int"):
        model.scorer()(3)
    stateful = rnnspec.compile("model S { input x: float[time, 2]  GRU(2, stateful = true) }", seed=1)
    with pytest.raises(ValueError, match="model S is stateful: what it gives for a sample depends on those before"):
        stateful.scorer()


def test_a_parquet_file_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: rnnspec.Model) -> None:
    """No more rows at once than that; row and sample numbers go on, and the columns to keep have their types."""
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    monkeypatch.setattr(partition, "ROWS_AT_ONCE", 4)
    model.save(tmp_path / "m.rnnc")
    rows = pyarrow.table({"id": pyarrow.array([None] * 5 + [*range(6)], pyarrow.int32()), "x": X})
    parquet.write_table(rows, tmp_path / "rows.parquet", row_group_size=6)

    def scored(ending: str) -> Path:
        how = How((), ("id",), Reading(), ending)
        files = files_of([str(tmp_path / "rows.parquet")])
        (each,) = plan(files, tmp_path / ending[1:], ModelFile.of(tmp_path / "m.rnnc", None), how, overwrite=False).partitions
        assert score_partition(each).samples == 11
        return Path(each.target)

    found = parquet.ParquetFile(scored(".parquet"))
    assert found.metadata.num_row_groups == 3
    assert found.read().column("id").equals(rows.column("id"))
    assert found.read().column("y").to_pylist() == model.predict(X).tolist()
    assert found.schema_arrow.field("id").type == pyarrow.int32()
    text = scored(".csv").read_text(encoding="utf-8").splitlines()
    assert text[0] == "id,y.0,y.1"
    assert len(text) == 12


def test_a_parquet_file_s_faults_have_the_row_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: rnnspec.Model) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    monkeypatch.setattr(partition, "ROWS_AT_ONCE", 4)
    model.save(tmp_path / "m.rnnc")
    parquet.write_table(pyarrow.table({"x": [*X[:9], [[1.0]], X[10]]}), tmp_path / "rows.parquet")
    files = files_of([str(tmp_path / "rows.parquet")])
    how = How((), (), Reading(), ".parquet")
    (each,) = plan(files, tmp_path / "out", ModelFile.of(tmp_path / "m.rnnc", None), how, overwrite=False).partitions
    assert "rows.parquet: row 9, column x" in score_partition(each).problem
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rnnspec-score.json"]


def test_what_changed_since_the_run_began_is_told(tmp_path: Path) -> None:
    write_data(tmp_path)
    first, second, *_ = planned(tmp_path, "out")
    with Path(first.source).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert score_partition(first).problem.endswith("p0.jsonl: it was changed while it was scored: run the same again")
    Path(second.source).unlink()
    assert score_partition(second).problem == f"{second.source}: No such file or directory"
    rnnspec.compile(SPEC, seed=4).save(tmp_path / "m.rnnc")
    partition.model_of.cache_clear()
    assert score_partition(second).problem.endswith("m.rnnc: the model isn't the one that the run began with")
    assert not written(tmp_path / "out")


def test_a_worker_with_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    first, *_ = planned(tmp_path, "out")
    monkeypatch.setattr(partition, "__version__", "0.0.1")
    assert f"a worker has rnnspec 0.0.1, the run is of {rnnspec.__version__}: install the same" in score_partition(first).problem


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("dask", "distributed"), ("ray", "ray")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(ValueError, match=rf"--engine {name}: it isn't installed: pip install 'rnnspec\[{name}\]'"):
            Engine(EngineName(name)).check()


def test_an_empty_part_has_predictions_of_rows_and_sequences() -> None:
    """A filter leaves partitions without rows, whose columns pandas gives any type."""
    pandas = pytest.importorskip("pandas")
    spec = "model Two { input x: float[time, 2], row: float[3]  h = x -> GRU(4)  [h, row] -> Concatenate() -> Dense(2) }"
    score = rnnspec.compile(spec, seed=0).scorer(ids="n")
    frame = pandas.DataFrame({"x": [[[1.0, 2.0]]], "row": [[1.0, 2.0, 3.0]], "n": [4]})
    for empty in (frame.iloc[:0], pandas.DataFrame({"x": [], "row": [], "n": []})):
        assert [*score(empty).columns] == [*score(frame).columns]
        assert len(score(empty)) == 0


def test_two_columns_of_one_name_are_refused_where_they_are_read(model: rnnspec.Model) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="there are two columns x: leave one"):
        model.scorer()(pandas.DataFrame([[X[0], X[1]]], columns=["x", "x"]))
    assert len(model.scorer()(pandas.DataFrame([[X[0], 1, 2]], columns=["x", "other", "other"]))) == 1


def test_columns_and_ids_of_another_kind_are_named(model: rnnspec.Model) -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="ids: expected the name of a column"):
        model.scorer(ids=wrong)
    with pytest.raises(TypeError, match="columns: expected a dict"):
        model.scorer(columns=wrong)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("", "an empty name"), ("/", "it is a folder"), (".", "it is a folder"), ("in/**x/*.csv", "stands alone between slashes")],
)
def test_names_that_are_no_files_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        files_of([pattern])
