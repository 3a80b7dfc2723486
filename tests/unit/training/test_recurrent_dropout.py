"""Dropout inside a recurrent layer: one draw a call, the same at every step, per gate with recurrent dropout; and its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.ir.random import uniform
from rnnspec.training.model import Model

Array = NDArray[Any]

ROWS, WIDTH, TIME = 300, 40, 4
SHOW = """
cell Show(units) {
    weight kernel [features, units] = identity
    state h [units]
    h' = x @ kernel
    return h'
}
"""
GATED = """
cell Gated(units) {
    weight kernel [features, 2 * units]    = zeros
    weight recurrent_kernel [units, 2 * units] = zeros
    state h [units], c [units]
    a, b = split(x @ kernel + h @ recurrent_kernel, 2)
    h' = a
    c' = b
    return concat(h', c')
}
"""
"""Both gates pass on what they get."""


def compiled(cell: str, layer: str, seed: int = 0, features: int = WIDTH) -> Model:
    spec = f"{cell}\nmodel Drop {{ input x: float[time, {features}] {layer} }}"
    return rnnspec.compile(spec, dtype="float64", seed=seed)


def gated(options: str) -> Model:
    """The same from the input and from the state in both gates."""
    model = compiled(GATED, f"Gated({WIDTH}, return_sequences = true, {options})")
    both = np.concatenate([np.eye(WIDTH)] * 2, axis=1)
    model.set_weights([both, both])
    return model


def check_fraction(kept: Array, rate: float) -> None:
    """Within six standard deviations."""
    assert abs(kept.mean() - (1 - rate)) < 6 * math.sqrt(rate * (1 - rate) / kept.size)


def agreement(one: Array, other: Array) -> float:
    return float(np.mean(one == other))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_features_of_the_input_are_dropped_once_for_all_steps(rate: float) -> None:
    model = compiled(SHOW, f"Show({WIDTH}, return_sequences = true, dropout = {rate})")
    x = np.random.default_rng(0).uniform(1, 2, size=(ROWS, TIME, WIDTH))
    shown = model.forward(x, training=True)
    factor = shown / x
    kept = factor[:, 0] != 0
    np.testing.assert_allclose(factor[:, 0][kept], 1 / (1 - rate), rtol=1e-12)
    np.testing.assert_allclose(factor, np.repeat(factor[:, :1], TIME, axis=1), rtol=1e-12)
    check_fraction(kept, rate)
    assert abs(agreement(kept[:-1], kept[1:]) - (rate**2 + (1 - rate) ** 2)) < 0.03, "each sample has its own"


def test_each_call_draws_anew_and_a_seed_repeats_them() -> None:
    x = np.ones((ROWS, 1, WIDTH))
    first, second = (compiled(SHOW, f"Show({WIDTH}, dropout = 0.5)") for _ in range(2))
    calls = [first.forward(x, training=True) for _ in range(3)]
    assert abs(agreement(calls[0] != 0, calls[1] != 0) - 0.5) < 0.03
    assert all(np.array_equal(second.forward(x, training=True), call) for call in calls)
    many = np.mean([first.forward(x, training=True) for _ in range(200)], axis=0)
    assert abs(many.mean() - 1) < 6 / math.sqrt(200 * x.size), "expected value"


def test_a_rows_draw_is_its_own_however_it_is_masked() -> None:
    """Packing sorts rows by their length; the draw goes by the caller's row."""
    x = np.ones((ROWS, TIME, WIDTH))
    full, cut = (compiled(SHOW, f"Show({WIDTH}, return_sequences = true, dropout = 0.5)") for _ in range(2))
    lengths = np.random.default_rng(1).integers(1, TIME + 1, ROWS)
    assert np.array_equal(cut.forward(x, lengths=lengths, training=True)[:, 0], full.forward(x, training=True)[:, 0])


def test_nothing_is_dropped_outside_of_training() -> None:
    x = np.random.default_rng(0).normal(size=(5, TIME, WIDTH))
    options = "dropout = 0.5, recurrent_dropout = 0.5"
    plain, dropping = (compiled("", f"LSTM(6{more})") for more in ("", f", {options}"))
    for model in (plain, dropping):
        model.set_weights(plain.get_weights())
    assert np.array_equal(dropping.forward(x), plain.forward(x))
    assert np.array_equal(dropping.predict(x), plain.forward(x))
    assert not np.array_equal(dropping.forward(x, training=True), plain.forward(x))


def test_without_recurrent_dropout_the_gates_share_a_draw() -> None:
    first = gated("dropout = 0.5").forward(np.ones((ROWS, 1, WIDTH)), training=True)[:, 0]
    assert np.array_equal(first[:, :WIDTH], first[:, WIDTH:])
    check_fraction(first != 0, 0.5)


def test_with_recurrent_dropout_each_gate_has_a_draw_of_its_own() -> None:
    """Of the input and of the state, each shared over time: h' of two steps of ones is 1 + what the state's mask leaves of 1, 2, ...."""
    model = gated("recurrent_dropout = 0.5")
    shown = model.forward(np.ones((ROWS, TIME, WIDTH)), training=True)
    of_h, of_c = shown[..., :WIDTH], shown[..., WIDTH:]
    assert np.array_equal(of_h[:, 0], np.ones((ROWS, WIDTH))), "the input isn't dropped"
    mask_h, mask_c = of_h[:, 1] - 1, of_c[:, 1] - 1
    assert set(np.unique(mask_h)) == set(np.unique(mask_c)) == {0.0, 2.0}
    check_fraction(mask_h != 0, 0.5)
    assert abs(agreement(mask_h, mask_c) - 0.5) < 0.03
    for step in range(1, TIME):
        np.testing.assert_allclose(of_h[:, step], 1 + mask_h * of_h[:, step - 1], rtol=1e-12)
        np.testing.assert_allclose(of_c[:, step], 1 + mask_c * of_h[:, step - 1], rtol=1e-12)


def test_both_drop_apart() -> None:
    model = gated("dropout = 0.5, recurrent_dropout = 0.2")
    shown = model.forward(np.ones((ROWS, 1, WIDTH)), training=True)[:, 0]
    one, other = shown[:, :WIDTH], shown[:, WIDTH:]
    assert set(np.unique(one)) == {0.0, 2.0}
    assert abs(agreement(one, other) - 0.5) < 0.03


def test_the_two_directions_draw_apart() -> None:
    layer = f"Bidirectional(Show({WIDTH}, dropout = 0.5), merge_mode = none)"
    forward, backward = compiled(SHOW, layer).forward(np.ones((ROWS, 1, WIDTH)), training=True)
    assert abs(agreement(forward, backward) - 0.5) < 0.03


# Keras's cells, with the same draws in numpy

UNITS, FEATURES, SAMPLES = 3, 4, 5
RATE, RECURRENT_RATE = 0.3, 0.4


def sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def lstm(weights: list[Array], x: Array, mask: Array, masks_x: list[Array], masks_h: list[Array]) -> Array:
    kernels, recurrent = (np.split(weight, 4, axis=1) for weight in weights[:2])
    biases = np.split(weights[2], 4)
    h = c = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        i, f, g, o = (
            (x[:, step] * masks_x[gate]) @ kernels[gate] + (h * masks_h[gate]) @ recurrent[gate] + biases[gate] for gate in range(4)
        )
        real = mask[:, step : step + 1]
        after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h, c = np.where(real, sigmoid(o) * np.tanh(after), h), np.where(real, after, c)
    return h


def gru(weights: list[Array], x: Array, mask: Array, masks_x: list[Array], masks_h: list[Array]) -> Array:
    kernels, recurrent = (np.split(weight, 3, axis=1) for weight in weights[:2])
    biases = [np.split(row, 3) for row in weights[2]]
    h = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        xz, xr, xh = ((x[:, step] * masks_x[gate]) @ kernels[gate] + biases[0][gate] for gate in range(3))
        hz, hr, hh = ((h * masks_h[gate]) @ recurrent[gate] + biases[1][gate] for gate in range(3))
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = np.where(mask[:, step : step + 1], z * h + (1 - z) * np.tanh(xh + r * hh), h)
    return h


def simple_rnn(weights: list[Array], x: Array, mask: Array, masks_x: list[Array], masks_h: list[Array]) -> Array:
    kernel, recurrent, bias = weights
    h = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        after = np.tanh((x[:, step] * masks_x[0]) @ kernel + (h * masks_h[0]) @ recurrent + bias)
        h = np.where(mask[:, step : step + 1], after, h)
    return h


def gru_reset_before(weights: list[Array], x: Array, mask: Array, masks_x: list[Array], masks_h: list[Array]) -> Array:
    kernels, recurrent, biases = (np.split(weight, 3, axis=-1) for weight in weights)
    h = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        xz, xr, xh = ((x[:, step] * masks_x[gate]) @ kernels[gate] + biases[gate] for gate in range(3))
        z, r = sigmoid(xz + (h * masks_h[2]) @ recurrent[0]), sigmoid(xr + (h * masks_h[1]) @ recurrent[1])
        candidate = np.tanh(xh + (r * (h * masks_h[0])) @ recurrent[2])
        h = np.where(mask[:, step : step + 1], z * h + (1 - z) * candidate, h)
    return h


CELLS: dict[str, tuple[Callable[..., Array], int]] = {
    f"LSTM({UNITS}": (lstm, 4),
    f"GRU({UNITS}": (gru, 3),
    f"GRU({UNITS}, reset_after = false": (gru_reset_before, 3),
    f"SimpleRNN({UNITS}": (simple_rnn, 1),
}
"""A state's draws come first; of several products those of the last come first."""


def draws(key: int, first: int, count: int, width: int, rate: float) -> list[Array]:
    """`count` draws, of the streams from `first` on."""
    return [(uniform(key, first + place, (SAMPLES, width)) >= rate) / (1 - rate) for place in range(count)]


@pytest.mark.parametrize("options", ["dropout", "recurrent_dropout", "both"])
@pytest.mark.parametrize("name", CELLS)
def test_forward_and_backward_are_numpys_with_the_same_draws(name: str, options: str) -> None:
    """The gradient of every weight and of the input along a random direction, by a complex step through the same draws."""
    step, gates = CELLS[name]
    rate = 0.0 if options == "recurrent_dropout" else RATE
    recurrent_rate = 0.0 if options == "dropout" else RECURRENT_RATE
    model = compiled("", f"{name}, dropout = {rate}, recurrent_dropout = {recurrent_rate})", seed=3, features=FEATURES)
    random = np.random.default_rng(5)
    weights = [random.normal(size=weight.shape) for weight in model.get_weights()]
    model.set_weights(weights)
    x = random.normal(size=(SAMPLES, TIME, FEATURES))
    mask = random.random((SAMPLES, TIME)) < 0.7
    x[~mask] = 0
    output, tape = model.forward(x, mask=mask, training=True, record=True)
    if options == "dropout":
        masks_x, masks_h = draws(tape.key, 0, 1, FEATURES, rate) * gates, [np.ones(1)] * gates
    else:
        masks_h = draws(tape.key, 0, gates, UNITS, recurrent_rate)
        masks_x = draws(tape.key, gates, gates, FEATURES, rate) if rate else [np.ones(1)] * gates
    np.testing.assert_allclose(output, step(weights, x, mask, masks_x, masks_h), rtol=0, atol=1e-12)

    cotangent = random.normal(size=output.shape)
    along = [random.normal(size=weight.shape) for weight in weights]
    along_x = random.normal(size=x.shape) * mask[..., None]
    moved = [weight + 1e-100j * direction for weight, direction in zip(weights, along, strict=True)]
    expected = (np.imag(step(moved, x + 1e-100j * along_x, mask, masks_x, masks_h)) * cotangent).sum() / 1e-100
    gradients = model.backward(tape, cotangent)
    slope = sum(float((gradients.weights[key] * direction).sum()) for key, direction in zip(model.weights, along, strict=True))
    assert slope + float((gradients.inputs["x"] * along_x).sum()) == pytest.approx(expected, rel=1e-10)
