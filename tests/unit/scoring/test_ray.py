"""Files scored by workers of Ray, one of which is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnnspec
from rnnspec.scoring.engine_name import EngineName
from rnnspec.scoring.engines import DEATHS, Engine, ray_session
from tests.unit.scoring.partitions import FILES, SPEC, planned, work_of_dying_workers, write_data, written

pytest.importorskip("ray.data")

ENGINE = Engine(EngineName.ray, workers=2)


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    with ray_session(ENGINE) as ray:
        yield ray


@pytest.mark.usefixtures("session")
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
    assert sorted(path.name for path in (tmp_path / "marks").iterdir()) == ["p1-0", *(f"p3-{death}" for death in range(DEATHS))]
    whole = written(tmp_path / "here")
    del whole["p3.jsonl"]
    assert written(tmp_path / "there") == whole


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data's own, of its own settings
def test_batches_of_a_dataset_give_the_predictions_of_the_whole(session: Any) -> None:
    model = rnnspec.compile(SPEC, seed=3)
    rows = [{"id": row, "x": [[row / 9, 1.0]] * (row % 4 + 1)} for row in range(11)]
    whole = model.predict([row["x"] for row in rows]).tolist()
    session.data.DataContext.get_current().enable_progress_bars = False
    found = model.map_batches(session.data.from_items(rows), ids="id", batch_size=4).take_all()
    assert sorted((row["id"], [*row["y"]]) for row in found) == [*enumerate(whole)]
    with pytest.raises(TypeError, match="expected a Dataset of Ray, got list"):
        model.map_batches(rows)
