"""Files scored by workers of Ray, one of which is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnspec.scoring.engines import DEATHS, Engine, EngineName
from tests.unit.scoring.partitions import FILES, planned, work_of_a_dying_worker, write_data, written

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
    assert "p1.jsonl: each of 4 workers that scored it has died" in problems[0]
    assert len(list((tmp_path / "marks").iterdir())) == DEATHS + 1
    assert len(written(tmp_path / "there")) == FILES - 1
