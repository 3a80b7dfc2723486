"""Optimizer trajectories against Keras 3.15: five given gradients, two weights, every option."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.training.optimizers import OPTIMIZERS, WeightExtent
from tests.keras_cases import Case, load


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("case", load("optimizers"), ids=lambda case: case.name)
def test_trajectory(case: Case, dtype: str, tolerance: float) -> None:
    starts = case.listed("start")
    stops = np.cumsum([start.size for start in starts])
    optimizer = OPTIMIZERS[case.about["optimizer"]](**case.about["options"])
    optimizer.bind([WeightExtent(int(stop) - start.size, int(stop)) for start, stop in zip(starts, stops, strict=True)], np.dtype(dtype))

    weights = np.concatenate([start.ravel() for start in starts]).astype(dtype)
    steps = len(case.arrays["gradients/0"])
    for step in range(steps):
        optimizer.step(weights, np.concatenate([gradients[step].ravel() for gradients in case.listed("gradients")]).astype(dtype))
        expected = np.concatenate([after[step].ravel() for after in case.listed("after")])
        np.testing.assert_allclose(weights, expected, rtol=0.0, atol=tolerance * np.abs(expected).max(), err_msg=f"after step {step}")
    assert optimizer.iterations == steps
