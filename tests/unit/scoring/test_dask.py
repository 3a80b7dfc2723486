"""Files scored by workers of Dask, one of which is killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import rnnspec
from benchmarks.scoring import measure_scoring
from benchmarks.workloads import workload
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.engines import DEATHS, Engine
from tests.unit.scoring.partitions import FILES, SPEC, planned, work_of_dying_workers, write_data, written

pytest.importorskip("distributed")

ENGINE = Engine(EngineName.dask, workers=2)


def test_a_killed_worker_costs_its_partition_which_is_done_again(tmp_path: Path) -> None:
    """But for one that costs every worker, which is given up alone."""
    write_data(tmp_path)
    (tmp_path / "marks").mkdir()
    list(Engine(EngineName.local).run(planned(tmp_path, "here")))
    work = work_of_dying_workers(tmp_path / "marks", {"p1": 1, "p3": 99})
    found = list(ENGINE.run(planned(tmp_path, "there", ENGINE), work))
    assert len(found) == FILES
    problems = [each.problem for each in found if each.problem]
    assert len(problems) == 1
    assert "p3.jsonl: worker after worker that scored it has died" in problems[0]
    deaths = sorted(path.name for path in (tmp_path / "marks").iterdir())
    assert deaths[0] == "p1-0"
    assert DEATHS // 2 <= len(deaths) - 1 <= DEATHS  # the scheduler may have suspected it of the other's death
    whole = written(tmp_path / "here")
    del whole["p3.jsonl"]
    assert written(tmp_path / "there") == whole


def test_data_frames_and_bags_give_the_predictions_of_the_whole() -> None:
    bag, config, frame = (pytest.importorskip(f"dask.{name}") for name in ("bag", "config", "dataframe"))
    pandas = pytest.importorskip("pandas")
    model = rnnspec.compile(SPEC, seed=3)
    rows = [{"id": row, "x": [[row / 9, 1.0]] * (row % 4 + 1), "other": "text"} for row in range(11)]
    whole = model.predict([row["x"] for row in rows]).tolist()
    with config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        table = frame.from_pandas(pandas.DataFrame(rows, index=range(20, 31)), npartitions=3)
        found = model.map_partitions(table, ids="id").compute()
        assert found.index.tolist() == [*range(20, 31)]
        assert found.columns.tolist() == ["id", "y"]
        assert found["y"].tolist() == whole
        records = model.map_partitions(bag.from_sequence(rows, npartitions=4), ids=["id", "other"]).compute()
    assert records == [{"id": row["id"], "other": "text", "y": y} for row, y in zip(rows, whole, strict=True)]
    with pytest.raises(TypeError, match="expected a DataFrame or a Bag of Dask, got list"):
        model.map_partitions(rows)


def test_the_benchmark_scores_on_one_worker_and_on_two() -> None:
    """No time is compared here."""
    found = measure_scoring(replace(workload("W4a"), batch=2, time=3, real=3, units=2, vocabulary=9), files=2, batches=1, rounds=1)
    assert found.samples == 4
    assert sorted(found.seconds) == [1, 2]
    assert found.speedup > 0
