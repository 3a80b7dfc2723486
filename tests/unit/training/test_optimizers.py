"""Optimizers beyond Keras's trajectories: settings that can't be, clipping at its edges, what isn't trained, size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnspec.training.optimizers import CHUNK, OPTIMIZERS, SGD, Adam, AdamW, Ftrl, Lion, Muon, Optimizer, RMSprop, WeightExtent
from rnnspec.training.whole_optimizers import WholeOptimizer

WHOLE = [WeightExtent(0, 4)]

WHOLE_ONES = {name for name, made in OPTIMIZERS.items() if issubclass(made, WholeOptimizer)}
"""Optimizers that look at a whole weight."""


def stepped(
    optimizer: Optimizer, gradient: Any, extents: list[WeightExtent] | None = None, start: float = 0.0, dtype: str = "float64"
) -> np.ndarray:
    values = np.array(gradient, dtype)
    weights = np.full(values.shape, start, dtype)
    optimizer.bind(extents or [WeightExtent(0, values.size)], np.dtype(dtype))
    optimizer.step(weights, values)
    return weights


WRONG: dict[str, tuple[type[Optimizer], dict[str, Any], str]] = {
    "rate below": (SGD, {"learning_rate": -0.1}, "SGD: learning_rate: expected a finite number from 0, got -0.1"),
    "rate nan": (Adam, {"learning_rate": math.nan}, "Adam: learning_rate: expected a finite number from 0, got nan"),
    "rate infinite": (Adam, {"learning_rate": math.inf}, "Adam: learning_rate: expected a finite number from 0, got inf"),
    "rate text": (AdamW, {"learning_rate": "0.1"}, "AdamW: learning_rate: expected a finite number from 0, got '0.1'"),
    "rate none": (SGD, {"learning_rate": None}, "SGD: learning_rate: expected a finite number from 0, got None"),
    "rate true": (SGD, {"learning_rate": True}, "SGD: learning_rate: expected a finite number from 0, got True"),
    "momentum": (SGD, {"momentum": 1.1}, "SGD: momentum: expected a finite number from 0 to 1, got 1.1"),
    "rho": (RMSprop, {"rho": -1}, "RMSprop: rho: expected a finite number from 0 to 1, got -1"),
    "rho above": (RMSprop, {"rho": 1.1}, "RMSprop: rho: expected a finite number from 0 to 1, got 1.1"),
    "epsilon": (RMSprop, {"epsilon": -1e-7}, "RMSprop: epsilon: expected a finite number from 0, got -1e-07"),
    "beta": (Adam, {"beta_1": 1.0}, "Adam: beta_1: expected a finite number from 0 to below 1, got 1.0"),
    "other beta": (AdamW, {"beta_2": 1}, "AdamW: beta_2: expected a finite number from 0 to below 1, got 1"),
    "decay": (AdamW, {"weight_decay": -1}, "AdamW: weight_decay: expected a finite number from 0, got -1"),
    "clipnorm": (SGD, {"clipnorm": 0}, "SGD: clipnorm: expected a finite number above 0, got 0"),
    "clipvalue": (SGD, {"clipvalue": -1.0}, "SGD: clipvalue: expected a finite number above 0, got -1.0"),
    "global_clipnorm": (SGD, {"global_clipnorm": math.inf}, "SGD: global_clipnorm: expected a finite number above 0, got inf"),
    "averages": (Adam, {"ema_momentum": 1.5}, "Adam: ema_momentum: expected a finite number from 0 to 1, got 1.5"),
    "overwriting": (Adam, {"ema_overwrite_frequency": 3}, "Adam: ema_overwrite_frequency needs use_ema: without it there are no averages"),
    "gathering": (
        Adam, {"gradient_accumulation_steps": 1}, "Adam: gradient_accumulation_steps: expected a whole number of at least 2, got 1",
    ),
    "scaling": (
        Adam, {"loss_scale_factor": 2}, "Adam: loss_scale_factor: float32 and float64 need no scaling of the loss: leave it out, got 2",
    ),
    "a rate by which nothing is divided": (Ftrl, {"learning_rate": 0.0}, "Ftrl: learning_rate: expected a finite number above 0, got 0.0"),
    "a positive power": (Ftrl, {"learning_rate_power": 0.5}, "Ftrl: learning_rate_power: expected a finite number to 0, got 0.5"),
    "lion's beta": (Lion, {"beta_1": 0.0}, "Lion: beta_1: expected a finite number above 0 to 1, got 0.0"),
    "expressions": (
        Muon, {"exclude_layers": ["("]},
        "Muon: exclude_layers: '(' is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    "a text for a list": (Muon, {"exclude_layers": "lstm"}, "Muon: exclude_layers: expected a list of different texts, got 'lstm'"),
    "no decay": (AdamW, {"weight_decay": None}, "AdamW: weight_decay: expected a finite number from 0, got None"),
    "two clippings": (
        Adam, {"clipnorm": 1, "global_clipnorm": 1},
        "Adam: only one of clipnorm, clipvalue and global_clipnorm can be set, got clipnorm and global_clipnorm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_cannot_be(name: str) -> None:
    make, options, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        make(**options)
    assert str(raised.value) == message


def test_settings_become_floats() -> None:
    """numpy's float64 scalars would make float32 updates differ from those of the same Python number."""
    given = Adam(learning_rate=np.float64(0.1), beta_1=np.float32(0.5), clipnorm=2)
    assert {type(value) for value in (given.learning_rate, given.beta_1, given.clipnorm)} == {float}
    gradient = np.random.default_rng(0).normal(size=100)
    plain = stepped(Adam(learning_rate=0.1), gradient, dtype="float32")
    assert stepped(Adam(learning_rate=np.float64(0.1)), gradient, dtype="float32").tobytes() == plain.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clipping", [{}, {"clipnorm": 1.0}, {"clipvalue": 1.0}, {"global_clipnorm": 1.0}])
def test_a_zero_gradient_moves_nothing_but_decay(name: str, clipping: dict[str, float]) -> None:
    decayed = 1 - 0.001 * 0.004 if name in ("AdamW", "Muon") else 0.0 if name == "Ftrl" else 1.0
    np.testing.assert_allclose(stepped(OPTIMIZERS[name](**clipping), np.zeros(4), start=1.0), decayed, rtol=1e-15)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "Ftrl"])
def test_a_rate_of_zero_moves_nothing(name: str) -> None:
    assert stepped(OPTIMIZERS[name](learning_rate=0), [1, -2, 3], start=1.0).tolist() == [1, 1, 1]


def test_clipping_by_each_weights_norm() -> None:
    found = stepped(SGD(learning_rate=1, clipnorm=1.0), [3, 4, 0.3, 0.4], [WeightExtent(0, 2), WeightExtent(2, 4)])
    np.testing.assert_allclose(found, [-0.6, -0.8, -0.3, -0.4], rtol=1e-15)


def test_clipping_by_the_norm_of_all() -> None:
    found = stepped(SGD(learning_rate=1, global_clipnorm=1.0), [3, 0, 0, 4], [WeightExtent(0, 2), WeightExtent(2, 4)])
    np.testing.assert_allclose(found, [-0.6, 0, 0, -0.8], rtol=1e-15)
    found = stepped(SGD(learning_rate=1, global_clipnorm=10.0), [3, 0, 0, 4], [WeightExtent(0, 2), WeightExtent(2, 4)])
    assert found.tolist() == [-3, 0, 0, -4]


def test_clipping_by_value() -> None:
    assert stepped(SGD(learning_rate=1, clipvalue=1.0), [3, -4, 0.5, -0.25]).tolist() == [-1, 1, -0.5, 0.25]


def test_what_is_not_trained_stays_and_does_not_count() -> None:
    extents = [WeightExtent(0, 2), WeightExtent(2, 4, trainable=False), WeightExtent(4, 6)]
    for options in ({"global_clipnorm": 5.0}, {"clipnorm": 5.0}, {"weight_decay": 0.5}):
        found = stepped(SGD(learning_rate=1, **options), [3, 0, 100, 100, 0, 4], extents, start=1.0)
        assert found[2:4].tolist() == [1, 1]
        assert found[0] == (-2 if "weight_decay" not in options else -2.5)
    frozen = Adam(clipnorm=1.0)
    assert stepped(frozen, [1, 2], [WeightExtent(0, 2, trainable=False)], start=1.0).tolist() == [1, 1]
    assert stepped(frozen, np.zeros(0), []).tolist() == []


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clipping", [{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}, {"clipvalue": 1.0}])
def test_infinite_and_nan_gradients_warn_of_nothing(name: str, clipping: dict[str, float]) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        found = stepped(OPTIMIZERS[name](**clipping), [bad, 1.0])
        assert found.shape == (2,)
        if math.isnan(bad):
            assert np.isnan(found[0])


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in WHOLE_ONES])
def test_pieces_of_a_large_weight_are_updated_alike(name: str) -> None:
    """One weight larger than a piece, and the same numbers as many small weights: the same bits."""
    size = 2 * CHUNK + 5
    gradient = np.random.default_rng(1).normal(size=size)
    whole = stepped(OPTIMIZERS[name](), gradient, dtype="float32")
    split = stepped(
        OPTIMIZERS[name](), gradient, [WeightExtent(start, min(start + 1000, size)) for start in range(0, size, 1000)], dtype="float32"
    )
    gap = stepped(
        OPTIMIZERS[name](), gradient, [WeightExtent(0, 10), WeightExtent(10, 20, trainable=False), WeightExtent(20, size)], dtype="float32"
    )
    assert whole.tobytes() == split.tobytes()
    assert np.delete(whole, slice(10, 20)).tobytes() == np.delete(gap, slice(10, 20)).tobytes()


def test_the_norm_of_a_large_weight_is_taken_over_all_its_pieces() -> None:
    size = 3 * CHUNK + 1
    found = stepped(SGD(learning_rate=1, clipnorm=1.0), np.ones(size))
    np.testing.assert_allclose(found, -1 / math.sqrt(size), rtol=1e-12)


def test_binding_forgets_the_state() -> None:
    optimizer = SGD(learning_rate=1, momentum=0.5)
    weights = np.zeros(4)
    optimizer.bind(WHOLE, weights.dtype)
    for expected in (-1, -2.5, -4.25):
        optimizer.step(weights, np.ones(4))
        assert weights.tolist() == [expected] * 4
    assert optimizer.iterations == 3
    optimizer.bind(WHOLE, weights.dtype)
    optimizer.step(weights, np.ones(4))
    assert weights.tolist() == [-5.25] * 4
    assert optimizer.iterations == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends(name: str) -> None:
    optimizer = OPTIMIZERS[name](learning_rate={"Adagrad": 0.5, "Adadelta": 2.0, "Ftrl": 0.5}.get(name, 0.01))
    weights = np.array([1.0, -2.0, 3.0])
    optimizer.bind([WeightExtent(0, 3)], weights.dtype)
    for _ in range(2000):
        optimizer.step(weights, 2 * weights)
    assert np.abs(weights).max() < 0.02


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_stays_where_it_is_while_other_weights_are_left_out(name: str) -> None:
    """Each weight is updated as if it were alone, by the state of its own updates."""
    random = np.random.default_rng(1)
    start, gradients = random.normal(size=18), random.normal(size=(5, 18))
    extents = [WeightExtent(0, 6, True, "a/kernel", (2, 3)), WeightExtent(6, 18, True, "b/kernel", (3, 4))]
    both, alone = OPTIMIZERS[name](), OPTIMIZERS[name]()
    both.bind(extents, start.dtype)
    alone.bind([replace(extents[0], trainable=False), extents[1]], start.dtype)
    weights, other = start.copy(), start.copy()
    for step, gradient in enumerate(gradients):
        if step in (2, 4):
            both.leave_out_no_more([replace(extents[0], trainable=step == 4), extents[1]], weights)
        before = weights[:6].copy()
        both.step(weights, gradient.copy())
        alone.step(other, gradient.copy())
        assert np.array_equal(weights[:6], before) == (step in (2, 3))
        assert np.array_equal(weights[6:], other[6:])
