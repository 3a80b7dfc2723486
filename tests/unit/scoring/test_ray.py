"""Files scored by workers of Ray, one of which is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnspec
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.engines import DEATHS, Engine, ray_session
from tests.unit.scoring.partitions import FILES, SPEC, planned, work_of_a_dying_worker, write_data, written

pytest.importorskip("ray")

ENGINE = Engine(EngineName.ray, workers=2)


def test_a_killed_worker_costs_its_partition_which_is_done_again(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "marks").mkdir()
    list(Engine(EngineName.local).run(planned(tmp_path, "here")))
    found = list(ENGINE.run(planned(tmp_path, "there", ENGINE), work_of_a_dying_worker(tmp_path / "marks", 1)))
    assert [each.problem for each in found] == [""] * FILES
    assert len(list((tmp_path / "marks").iterdir())) == 1
    assert written(tmp_path / "there") == written(tmp_path / "here")


def test_a_partition_whose_workers_all_die_is_given_up(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "marks").mkdir()
    found = list(ENGINE.run(planned(tmp_path, "there", ENGINE), work_of_a_dying_worker(tmp_path / "marks", 99)))
    problems = [each.problem for each in found if each.problem]
    assert len(problems) == 1
    assert "p1.jsonl: worker after worker that scored it has died" in problems[0]
    assert len(list((tmp_path / "marks").iterdir())) == DEATHS
    assert len(written(tmp_path / "there")) == FILES - 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data's own, of its own settings
def test_batches_of_a_dataset_give_the_predictions_of_the_whole() -> None:
    ray = pytest.importorskip("ray")
    model = rnnspec.compile(SPEC, seed=3)
    rows = [{"id": row, "x": [[row / 9, 1.0]] * (row % 4 + 1)} for row in range(11)]
    whole = model.predict([row["x"] for row in rows]).tolist()
    with ray_session(ENGINE):
        ray.data.DataContext.get_current().enable_progress_bars = False
        found = model.map_batches(ray.data.from_items(rows), ids="id", batch_size=4).take_all()
    assert sorted((row["id"], [*row["y"]]) for row in found) == [*enumerate(whole)]
    with pytest.raises(TypeError, match="expected a Dataset of Ray, got list"):
        model.map_batches(rows)
