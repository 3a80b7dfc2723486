"""Fifty updates by each optimizer with each option, against Keras 3.15."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import Config
from rnnspec.training.optimizers import OPTIMIZERS, Optimizer, WeightExtent
from rnnspec.training.settings import make_optimizer
from tests.keras_cases import FOLDER

RECORDED: dict[str, Any] = json.loads((FOLDER / "optimizer_runs.json").read_text(encoding="utf-8"))


def made(case: dict[str, Any]) -> Optimizer:
    """As from a spec, its schedule included."""
    options = dict(case["options"])
    rate = options.get("learning_rate")
    if isinstance(rate, dict):
        options["learning_rate"] = Config(rate["schedule"], tuple((name, value) for name, value in rate.items() if name != "schedule"))
    if "exclude" in options:
        options["exclude_from_weight_decay"] = tuple(options.pop("exclude"))
    return make_optimizer(Config(case["optimizer"], tuple(options.items())))


def extents() -> list[WeightExtent]:
    found, start = list[WeightExtent](), 0
    for name, shape in RECORDED["weights"].items():
        stop = start + int(np.prod(shape))
        found.append(WeightExtent(start, stop, name=name, shape=tuple(shape)))
        start = stop
    return found


def name_of(case: dict[str, Any]) -> str:
    return "-".join([case["optimizer"], *case["options"]])


RUNS = [case for case in RECORDED["runs"] if case["optimizer"] in OPTIMIZERS]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-4)])
@pytest.mark.parametrize("case", RUNS, ids=name_of)
def test_fifty_updates(case: dict[str, Any], dtype: str, tolerance: float) -> None:
    optimizer = made(case)
    optimizer.bind(extents(), np.dtype(dtype))
    weights = np.concatenate(RECORDED["starts"]).astype(dtype)
    expected = iter(case["after"])
    for step, gradient in enumerate(RECORDED["gradients"], 1):
        optimizer.step(weights, np.array(gradient, dtype))
        if step in RECORDED["shown"]:
            np.testing.assert_allclose(weights, next(expected), rtol=tolerance, atol=tolerance, err_msg=f"after {step}")
    if optimizer.use_ema:
        optimizer.finish(weights)
        np.testing.assert_allclose(weights, next(expected), rtol=tolerance, atol=tolerance)
    assert next(expected, None) is None
    assert optimizer.batches == 50


def test_every_optimizer_is_recorded() -> None:
    assert {case["optimizer"] for case in RECORDED["runs"]} >= OPTIMIZERS.keys()
