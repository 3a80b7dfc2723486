"""Products with matrices that are computed of weights: made once for all calls, in the backward pass as in the forward one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec

STEP = 1e-6


@pytest.mark.parametrize("matrix", ["exp(kernel)", "clip(kernel, -0.31, 0.42)", "tanh(kernel * 2)", "sqrt(kernel * kernel + 1)"])
def test_gradients_are_differences(matrix: str) -> None:
    model = rnnspec.compile(
        f"""
        cell Case(units) {{
            weight kernel [features, units] = glorot_uniform
            weight own [units, units] = orthogonal
            state h [units]
            h' = tanh(0.3 * (x @ {matrix}) + h @ {matrix.replace("kernel", "own")} * 0.2)
            return h'
        }}
        model M {{ input x: float[time, 3] Case(4) }}
        """,
        dtype="float64",
        seed=3,
    )
    random = np.random.default_rng(0)
    x: NDArray[Any] = random.normal(size=(2, 5, 3))
    output, tape = model.forward(x, record=True)
    cotangent = random.normal(size=output.shape)
    gradients: dict[str, NDArray[Any]] = model.backward(tape, cotangent).weights
    before: dict[str, NDArray[Any]] = {name: np.array(value) for name, value in model.weights.items()}
    for name, value in before.items():
        along = random.normal(size=np.shape(value))
        sides: list[float] = []
        for sign in (1, -1):
            model.set_weights({**before, name: value + sign * STEP * along})
            sides.append(float((model.forward(x) * cotangent).sum()))
        assert (gradients[name] * along).sum() == pytest.approx((sides[0] - sides[1]) / (2 * STEP), rel=1e-5, abs=1e-7)
