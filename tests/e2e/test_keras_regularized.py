"""Training steps with regularizers and constraints against Keras 3.15: every loss and every weight after three updates.

Keras computes with what masked steps of an input hold; here it never reaches a result, so they are 0
in these tests. Where that makes a difference the expected numbers are those of the numpy oracle, which
is held to Keras's own (`tests/fixtures/keras/make_regularized.py`).
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from tests import reference
from tests.keras_cases import Case, load

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}
RATE = 0.1
CASES = load("regularized")


def named(case: Case) -> str:
    return case.name


def without_masked(case: Case) -> dict[str, NDArray[np.floating]]:
    """The inputs with 0 at every step that the caller masks."""
    inputs = dict(case.named_inputs)
    for name, mask in case.masks.items():
        if inputs[name].dtype.kind == "f":
            inputs[name] = np.where(mask[..., None], inputs[name], 0.0)
    return inputs


def expected_of(case: Case, inputs: dict[str, NDArray[np.floating]]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The losses before each update, and the weights after the last one."""
    if all(np.array_equal(inputs[name], x) for name, x in case.named_inputs.items()):
        return case.arrays["losses"], case.listed("after")
    weights, losses = case.listed("weight"), []
    for _ in case.arrays["losses"]:
        loss, weights = reference.train_step(
            case.graph, weights, inputs, case.masks, lambda flow: mean_squared_error(flow, case.arrays["y"]), RATE
        )
        losses.append(loss)
    return np.asarray(losses), weights


def mean_squared_error(flow: reference.Flow, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the real steps."""
    losses = ((flow.value - y) ** 2).mean(axis=-1)
    return losses.mean() if flow.mask is None else np.where(flow.mask, losses, 0).sum() / flow.mask.sum()


@pytest.mark.every(4)
@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("case", CASES, ids=named)
def test_training_steps(case: Case, dtype: str) -> None:
    model = rnnspec.compile(case.about["spec"], dtype=dtype)
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    inputs = without_masked(case)
    losses, after = expected_of(case, inputs)
    found: list[float] = []
    for _ in losses:
        evaluated = model.evaluate(inputs, case.arrays["y"], mask=case.masks or None)["loss"]
        found.append(model.train_on_batch(inputs, case.arrays["y"], mask=case.masks or None))
        assert evaluated == pytest.approx(found[-1], rel=TOLERANCE[dtype])
    np.testing.assert_allclose(found, losses, rtol=TOLERANCE[dtype])
    for name, values in zip(case.about["weights"], after, strict=True):
        scale = max(np.abs(values).max(), 1e-30)
        np.testing.assert_allclose(model.weights[name], values, rtol=0.0, atol=TOLERANCE[dtype] * scale, err_msg=name)
