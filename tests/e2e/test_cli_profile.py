"""`rnnspec profile`."""

from __future__ import annotations

import json

from tests.e2e.conftest import Workplace

QUICK = ("profile", "trend.rnn", "--batch", "4", "--time", "6", "--seconds", "0")


def test_a_prediction(workplace: Workplace) -> None:
    shown = workplace.succeeds(*QUICK).out
    assert "Trend, float32, batch 4, batch*time 24, tokens 24, steps 6" in shown
    for part in ("@forward.prepare", "pack_panels", "@forward", "scan", "rows x 4 x 4 x 4", "each call", "Gflop/s", "workspace"):
        assert part in shown
    assert "@backward" not in shown


def test_training(workplace: Workplace) -> None:
    for option in ("--training", "--train"):
        shown = workplace.succeeds(*QUICK, option).out
        for part in ("@record", "@backward", "outer", "gradient.lstm", "the optimizer's update"):
            assert part in shown


def test_json(workplace: Workplace) -> None:
    found = json.loads(workplace.succeeds(*QUICK, "--json", "--real", "0.5", "--dtype", "float64", "-P", "units=8").out)
    assert found["dtype"] == "float64"
    assert found["sizes"] == {"batch": 4, "batch*time": 24, "tokens": 12, "steps": 6}
    assert found["memory"]["tape"] == 0
    step = next(kernel for kernel in found["functions"][1]["kernels"] if kernel["name"] == "2.0")
    assert step["work"]["matmul"] == 2 * 12 * 8 * 32


def test_sizes_that_are_none(workplace: Workplace) -> None:
    assert "--batch" in workplace.refuses("profile", "trend.rnn", "--batch", "0")
    assert "--real" in workplace.refuses("profile", "trend.rnn", "--real", "1.5")


def test_a_spec_with_an_error(workplace: Workplace) -> None:
    (workplace.folder / "wrong.rnn").write_text("model Wrong { input x: float[time, 3] LSTN(4) }", encoding="utf-8")
    assert "LSTN" in workplace.refuses("profile", "wrong.rnn")
