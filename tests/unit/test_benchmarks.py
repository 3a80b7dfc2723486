"""The benchmarks' own parts: what they time isn't timed here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import rnnspec
from benchmarks import c_step, environments, sizes
from benchmarks.chart import chart
from benchmarks.measure import TOLERANCE, Measured, Plan, distance, prepare, ratio
from benchmarks.processes import Turn
from benchmarks.reference import reference
from benchmarks.results import Row, as_data, disturbed, markdown, scaling, shown
from benchmarks.worker import Worker
from benchmarks.workloads import GROUPS, WORKLOADS, Workload, draw, workload
from rnnspec.contract.target_names import BUILD_TARGET_NAMES
from rnnspec.driver import commands

SHAPES = [
    work
    for work in WORKLOADS.values()
    if work.name in ("W1a", "W2b", "W3g", "W4a", "W4a-train", "W6a", "W6b-train", "W7a", "W7b", "W7c", "W7d")
]
every_shape = pytest.mark.parametrize("work", SHAPES, ids=lambda work: work.name)


def small(work: Workload) -> Workload:
    sizes = replace(work, name="small", batch=min(work.batch, 3), time=6, real=6, units=4, vocabulary=min(work.vocabulary, 30))
    return sizes if work.kind == "stream" else replace(sizes, features=5)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Workload]]:
    rows = dict(WORKLOADS)
    monkeypatch.setattr("benchmarks.workloads.WORKLOADS", rows)
    yield rows


@pytest.mark.parametrize("work", WORKLOADS.values(), ids=lambda work: work.name)
def test_every_spec_takes_its_sizes(work: Workload) -> None:
    assert commands.check(work.spec, work.parameters).rows


def test_groups_name_workloads_and_threads_are_part_of_a_name() -> None:
    for name in [name for group in GROUPS.values() for name in group]:
        assert workload(name).name == name
    assert workload("W3a@2") == replace(WORKLOADS["W3a"], name="W3a@2", threads=2)


@every_shape
def test_a_worker_gives_what_the_reference_gives(work: Workload, table: dict[str, Workload], tmp_path: Path) -> None:
    table["small"] = small(work)
    data, answer = tmp_path / "data.npz", tmp_path / "answer.npy"
    expected = prepare(table["small"], data)
    worker = Worker("rnnspec")
    for setting in worker.load("small", str(data)):
        worker.check(setting, str(answer))
        assert distance(np.load(answer), expected) <= TOLERANCE
        times, share = worker.time(setting, 0.0, True)
        assert min(times) > 0 and share > 0


def test_numpy_by_hand_gives_what_the_reference_gives(table: dict[str, Workload], tmp_path: Path) -> None:
    table["small"] = small(WORKLOADS["W1a"])
    data, answer = tmp_path / "data.npz", tmp_path / "answer.npy"
    expected = prepare(table["small"], data)
    worker = Worker("numpy")
    assert worker.load("small", str(data)) == ["by hand"]
    worker.check("by hand", str(answer))
    assert distance(np.load(answer), expected) <= TOLERANCE


def test_losses_of_the_reference_are_those_of_a_float64_model_in_training() -> None:
    work = small(WORKLOADS["W4a-train"])
    model = rnnspec.compile(work.spec, parameters=work.parameters, seed=0, dtype="float64")
    data = draw(work)
    expected = reference(work, data, dict(model.weights))
    losses = [model.train_on_batch(data["x"], data["y"]) for _ in expected]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    assert len(set(losses)) == len(losses)


def test_texts_are_padded_and_padding_more_changes_no_word() -> None:
    short, long = draw(WORKLOADS["W4a"])["x"], draw(WORKLOADS["W4a-padded"])["x"]
    real = short != 0
    assert 0.45 < real.mean() < 0.55
    assert (real == (np.arange(200) < real.sum(1)[:, None])).all()
    np.testing.assert_array_equal(long[:, :200], short)
    assert not long[:, 200:].any()


def test_a_result_of_another_shape_is_wrong() -> None:
    assert distance(np.zeros((2, 1)), np.ones(2)) == np.inf
    assert distance(np.array([1.0, 3.0]), np.array([1.0, 4.0])) == 0.25


def measured(peer: str, *times: float, error: float = 0.0, share: float = 1.0) -> Measured:
    return Measured(peer, "as it is", error, 1.0, {peer: "1.0"}, [Turn([time, time], share) for time in times])


ROWS = [
    Row("A", "work of A", 1, [measured("rnnspec", 0.001, 0.004), measured("torch", 0.002, 0.008), measured("jax", 0.003, 0.009)]),
    Row("B", "work of B", 1, [measured("rnnspec", 5e-7, share=0.5), measured("jax", error=0.1)]),
]


def test_a_ratio_is_taken_turn_by_turn() -> None:
    assert ratio(measured("torch", 2, 80, 3), measured("rnnspec", 1, 40, 1)) == 2


def test_the_table_shows_the_best_peer_and_what_is_wrong() -> None:
    heading, _, first, second = markdown(ROWS).splitlines()
    assert heading == "| workload |  | rnnspec | torch | jax | best peer / rnnspec |"
    assert first == "| A | work of A | 2.5 ms (1…4) | 5 ms (2…8) | 6 ms (3…9) | 2.00 (torch) |"
    assert second == "| B | work of B | 0.5 µs (0.5…0.5) | - | wrong: 1.0e-01 | - |"


def test_growth_is_shown_with_padding_and_with_the_length() -> None:
    rows = [
        Row("W4a", "", 1, [measured("rnnspec", 0.01), measured("jax", 0.02)]),
        Row("W4a-padded", "", 1, [measured("rnnspec", 0.0102), measured("jax", 0.2), measured("torch", 1.0)]),
        Row("T1000", "", 1, [measured("rnnspec", 0.003)]),
    ]
    assert scaling(rows) == ["W4a-padded takes, of W4a's time: rnnspec 1.02, jax 10.00", "T1000, a step: rnnspec 3 µs"]
    assert scaling(ROWS) == []


def test_disturbed_times_are_named() -> None:
    assert disturbed(ROWS).endswith("B rnnspec (50%)")
    assert disturbed(ROWS[:1]) == ""


def test_results_are_data() -> None:
    data: dict[str, Any] = json.loads(json.dumps(as_data(ROWS, Plan(2, 0.1, False), [0.0, 1.0])))
    assert data["versions"] == {peer: {peer: "1.0"} for peer in ("rnnspec", "torch", "jax")}
    assert [(row["best_peer"], row["gain"]) for row in data["workloads"]] == [("torch", 2.0), (None, None)]
    assert data["workloads"][0]["peers"][1] == {
        "peer": "torch", "setting": "as it is", "error": 0.0, "first": 1.0,
        "p10": 0.002, "p50": 0.005, "p90": 0.008, "medians": [0.002, 0.008], "shares": [1.0, 1.0],
    }  # fmt: skip


def test_times_have_three_digits() -> None:
    assert [shown(time) for time in (12.3456, 0.0123456, 1e-6, 1.234e-7)] == ["12.3 s", "12.3 ms", "1 µs", "0.123 µs"]


def test_the_longest_bar_of_a_workload_is_its_slowest_peer_and_others_are_in_proportion() -> None:
    svg = ElementTree.fromstring(chart(ROWS))
    bars = [bar for bar in svg.iter("{http://www.w3.org/2000/svg}rect") if len(bar)]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [bar[0].text for bar in bars] == [
        "A, rnnspec (as it is): 2.5 ms",
        "A, torch (as it is): 5 ms",
        "A, jax (as it is): 6 ms",
        "B, rnnspec (as it is): 0.5 µs",
    ]
    assert widths[2] == widths[3] == max(widths)
    assert widths[0] / widths[2] == pytest.approx(2.5 / 6, abs=1e-3)


def test_this_project_in_another_checkout_is_a_peer(tmp_path: Path) -> None:
    other = f"rnnspec@{tmp_path / 'before'}"
    assert not environments.is_installed(other), "there is nothing"
    (tmp_path / "before" / "benchmarks").mkdir(parents=True)
    (tmp_path / "before" / "benchmarks" / "worker.py").touch()
    assert environments.is_installed(other)
    assert environments.python_of(other) == environments.python_of("rnnspec")
    assert environments.root_of(other) == tmp_path / "before" and environments.root_of("rnnspec") == environments.ROOT
    assert environments.variables(1, environments.root_of(other))["PYTHONPATH"] == str(tmp_path / "before")
    assert (environments.program_of(other), environments.file_stem(other)) == ("rnnspec", "rnnspec-before")
    assert not environments.is_installed("nobody")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: cc")
def test_a_librarys_step_is_timed_beside_plain_c(tmp_path: Path) -> None:
    times = c_step.measured(5, tmp_path / "net", turns=3)
    assert len(times.library) == len(times.plain) == len(times.ratios) == 3
    assert 0 < times.difference < c_step.LARGEST_DIFFERENCE
    assert c_step.Times((2.0,), (5.0,), 0.0).ratios == (2.5,)


def test_the_table_of_sizes_is_the_readmes() -> None:
    """Two targets of it; code is the same wherever it is made."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").splitlines()
    lines = sizes.measured(("cortex-m0plus", "wasm32-simd"))
    first = readme.index(lines[0])
    shown = readme[first : readme.index("", first)]
    assert [line for line in shown if line in lines] == [*lines[:2], lines[3], lines[2]]
    assert len(shown) == 2 + len(BUILD_TARGET_NAMES)
