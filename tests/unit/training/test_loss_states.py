"""Losses of a spec's own with states: equations of a step, whose value after the last one is the sequence's loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array

VARIATION = """loss variation(weight_of_changes = 0.5) {
    state before [features], begun [1], sum [1]

    change = where(begun > 0, mean(abs(prediction - before)), 0)
    before' = prediction
    begun' = 0 * begun + 1
    sum' = sum + mean(squared(prediction - target)) + weight_of_changes * change
    return sum'
}

"""

LEARNED = """loss learned {
    weight kept [features] = ones frozen
    weight step [features, features] = identity
    weight unread [features] = ones if false
    state sum [features]

    sum' = sum + (prediction * kept - target) @ step + unread
    return sum(squared(sum'))
}

"""

MODEL = """model M {
    input x: float[time, 2]
    GRU(3%s)
    train { loss = %s  optimizer = SGD(learning_rate = 0.1)%s }
}
"""


def compiled(loss: str, name: str, rest: str = "", *, sequence: bool = True) -> rnnspec.Model:
    spec = loss + MODEL % (", return_sequences = true" if sequence else "", name, rest)
    return rnnspec.compile(spec, dtype="float64", seed=1)


def data() -> tuple[Array, Array, Array]:
    random = np.random.default_rng(0)
    mask = random.random((4, 6)) < 0.7
    mask[2] = False
    return random.normal(size=(4, 6, 2)), random.normal(size=(4, 6, 3)), mask


def variation(rows: Array, targets: Array, factor: float = 0.5) -> float:
    changes = np.abs(np.diff(rows, axis=0)).mean(axis=1).sum() if len(rows) else 0.0
    return float(((rows - targets) ** 2).mean(axis=1).sum() + factor * changes)


@pytest.mark.parametrize(("name", "factor"), [("variation", 0.5), ("variation(weight_of_changes = 2)", 2.0)])
def test_a_loss_over_neighbours(name: str, factor: float) -> None:
    model = compiled(VARIATION, name, "  metrics = [mae]")
    x, y, mask = data()
    given = np.asarray(model.forward(x, mask=mask))
    each = [variation(rows[own], targets[own], factor) for rows, targets, own in zip(given, y, mask, strict=True)]
    logs = model.evaluate(x, y, mask=mask)
    assert logs["loss"] == pytest.approx(np.mean(each), rel=1e-12)
    assert logs["mean_absolute_error"] == pytest.approx(np.abs(given - y)[mask].mean(), rel=1e-12)
    assert {name.partition("/")[0] for name in model.weights} == {"gru"}, "no weights but the layer's"
    history = model.fit(x, y, epochs=40, mask=mask, verbose=False).history["loss"]
    assert history[-1] < 0.8 * history[0]


def test_the_gradient_is_the_derivative() -> None:
    model = compiled(VARIATION, "variation")
    x, y, mask = data()
    before = {name: value.copy() for name, value in model.weights.items()}
    model.train_on_batch(x, y, mask=mask)
    slopes = {name: (value - model.weights[name]) / 0.1 for name, value in before.items()}
    random = np.random.default_rng(1)
    for name, value in before.items():
        for place in random.permutation(value.size)[:4]:
            entry = np.unravel_index(place, value.shape)
            sides: list[float] = []
            for sign in (1, -1):
                moved = value.copy()
                moved[entry] += sign * 1e-6
                model.set_weights(before | {name: moved})
                sides.append(model.evaluate(x, y, mask=mask)["loss"])
            assert slopes[name][entry] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_from_python_a_loss_without_weights_goes_with_any_model() -> None:
    model = compiled(VARIATION, "mse")
    x, y, mask = data()
    model.configure(loss="variation")
    given = np.asarray(model.forward(x, mask=mask))
    each = [variation(rows[own], targets[own]) for rows, targets, own in zip(given, y, mask, strict=True)]
    assert model.evaluate(x, y, mask=mask)["loss"] == pytest.approx(np.mean(each), rel=1e-12)


def test_a_frozen_weight_stays() -> None:
    """And one whose condition doesn't hold isn't there; both stand for numbers in the equations."""
    model = compiled(LEARNED, "learned")
    x, y, mask = data()
    assert [name for name in model.weights if name.startswith("learned/")] == ["learned/gru/kept", "learned/gru/step"]
    given = np.asarray(model.forward(x, mask=mask))
    each = [(((rows - targets)[own]).sum(axis=0) ** 2).sum() for rows, targets, own in zip(given, y, mask, strict=True)]
    assert model.train_on_batch(x, y, mask=mask) == pytest.approx(np.mean(each), rel=1e-12)
    assert (model.weights["learned/gru/kept"] == 1).all()
    sums = np.array([(rows - targets)[own].sum(axis=0) for rows, targets, own in zip(given, y, mask, strict=True)])
    slope = 2 * sums.T @ sums / len(sums)
    np.testing.assert_allclose(model.weights["learned/gru/step"], np.eye(3) - 0.1 * slope, rtol=0, atol=1e-12)


def test_an_output_of_one_row_is_refused() -> None:
    with pytest.raises(rnnspec.SpecError, match="variation needs a sequence"):
        compiled(VARIATION, "variation", sequence=False)
    model = compiled(VARIATION, "mse", sequence=False)
    message = r"^loss variation needs a sequence, and the output is one row a sample: `return_sequences = true` gives one a step$"
    with pytest.raises(ValueError, match=message):
        model.configure(loss="variation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "learned"}, "loss learned has weights of its own, which a model has for the outputs that have this loss"),
        ({"metrics": ["learned"]}, r"metric learned: the metric `learned` needs equations of a row"),
    ],
)
def test_from_python_a_loss_with_weights_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        compiled(LEARNED, "mse").configure(**arguments)
