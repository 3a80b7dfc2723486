"""A model as a function of JAX's programs has the model's own numbers, under each of its transformations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnspec
import rnnspec.jax

SPEC = "model T { input x: float[time, 3]  LSTM(8, return_sequences = true)  LSTM(4)  Dense(2) }"
X = np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)
LENGTHS = np.array([6, 5, 4, 3, 2])


@pytest.fixture(scope="module")
def model() -> rnnspec.Model:
    return rnnspec.compile(SPEC, seed=1)


@pytest.fixture(scope="module")
def f(model: rnnspec.Model) -> Any:
    return rnnspec.jax.function(model)


def squares(values: Any) -> Any:
    return (values**2).sum()


def test_values_are_the_models(model: rnnspec.Model, f: Any) -> None:
    for given in (f, jax.jit(f)):
        assert np.array_equal(given(X), model.predict(X))
        assert np.array_equal(given(X, lengths=LENGTHS), model.predict(X, lengths=LENGTHS))
    mask = np.arange(6) < LENGTHS[:, None]
    assert np.array_equal(f(X, mask=mask), model.predict(X, mask=mask))


def test_gradients_are_the_models(model: rnnspec.Model, f: Any) -> None:
    y, tape = model.forward(X, record=True)
    expected = model.backward(tape, 2 * y)
    by_weights = jax.grad(lambda weights: squares(f(X, weights)))
    for found in (by_weights(f.weights), jax.jit(by_weights)(f.weights)):
        assert all(np.array_equal(found[name], value) for name, value in expected.weights.items())
    assert np.array_equal(jax.jit(jax.grad(lambda x: squares(f(x))))(X), expected.inputs["x"])


def test_gradients_are_differences(f: Any) -> None:
    weights = f.weights
    kernel = weights["lstm/kernel"]
    slope = jax.grad(lambda weights: squares(f(X, weights)))(weights)["lstm/kernel"][1, 2]
    moved = [squares(f(X, {**weights, "lstm/kernel": kernel.at[1, 2].add(step)})) for step in (0.01, -0.01)]
    assert abs((moved[0] - moved[1]) / 0.02 - slope) < 1e-3


def test_a_part_of_the_weights(model: rnnspec.Model, f: Any) -> None:
    bias = {"dense/bias": jnp.asarray(model.weights["dense/bias"]) + 1}
    assert np.allclose(f(X, bias), model.predict(X) + 1)
    assert list(jax.grad(lambda weights: squares(f(X, weights)))(bias)) == ["dense/bias"]
    with pytest.raises(ValueError, match="weights: model T has no weight other; there are lstm/kernel"):
        f(X, {"other": 1.0})


def test_the_models_own_weights_are_those_of_the_call() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    f = jax.jit(rnnspec.jax.function(model))
    before = f(X)
    model.set_weights([2 * value for value in model.get_weights()])
    assert np.array_equal(f(X), model.predict(X)) and not np.array_equal(f(X), before)


def test_vmap_over_the_batch_and_over_batches(model: rnnspec.Model, f: Any) -> None:
    assert np.array_equal(jax.vmap(f)(X), model.predict(X))
    assert np.array_equal(f(X[0]), model.predict(X)[0])
    several = jax.jit(jax.vmap(f))(jnp.stack([X, 2 * X]))
    assert np.array_equal(several[0], model.predict(X)) and np.array_equal(several[1], model.predict(2 * X))
    of_lengths = jax.vmap(lambda x, length: f(x, lengths=length))(X, LENGTHS)
    assert np.array_equal(of_lengths, model.predict(X, lengths=LENGTHS))
    nested = jax.vmap(jax.vmap(f))(jnp.stack([X, 2 * X]))
    assert np.array_equal(nested, several)


def test_vmap_over_weights(model: rnnspec.Model, f: Any) -> None:
    several = jax.tree.map(lambda value: jnp.stack([value, 2 * value]), f.weights)
    found = jax.vmap(f, in_axes=(None, 0))(X, several)
    assert np.array_equal(found[0], model.predict(X)) and not np.array_equal(found[1], found[0])


def test_gradients_of_each_sample(model: rnnspec.Model, f: Any) -> None:
    each = jax.jit(jax.vmap(jax.grad(lambda weights, x: squares(f(x, weights))), in_axes=(None, 0)))(f.weights, X)
    whole = jax.grad(lambda weights: squares(f(X, weights)))(f.weights)
    assert all(value.shape == (5, *whole[name].shape) for name, value in each.items())
    assert all(np.allclose(value.sum(axis=0), whole[name], atol=1e-4) for name, value in each.items())


def test_several_inputs_and_outputs_and_ids() -> None:
    spec = """
    model Two { input ids: int[time]  input x: float[3]
      h = ids -> Embedding(9, 4) -> GRU(3)
      a = [h, x] -> Concatenate() -> Dense(2)
      b = h -> Dense(1)
      output a, b }
    """
    model = rnnspec.compile(spec, seed=1)
    f = rnnspec.jax.function(model)
    ids, x = np.arange(8).reshape(2, 4), np.ones((2, 3), np.float32)
    for found, wanted in zip(jax.jit(f)({"ids": ids, "x": x}), model.predict([ids, x]), strict=True):
        assert np.array_equal(found, wanted)
    (y, _), tape = model.forward([ids, x], record=True)
    slopes = jax.grad(lambda x: squares(f([ids, x])[0]))(x)
    assert np.array_equal(slopes, model.backward(tape, [2 * y, np.zeros((2, 1), np.float32)]).inputs["x"])
    with pytest.raises(ValueError, match="x: expected arrays by the names ids, x"):
        f(x)


def test_second_derivatives_and_complex_numbers_are_errors(f: Any) -> None:
    with pytest.raises(ValueError, match="do not support JVP"):
        jax.grad(lambda x: squares(jax.grad(lambda x: squares(f(x)))(x)))(X)
    with pytest.raises(TypeError, match="x has complex numbers"):
        f(X.astype(np.complex64))


def test_what_is_no_pure_function_is_refused() -> None:
    with pytest.raises(ValueError, match="model S is stateful: a function that carries states from call to call isn't pure"):
        rnnspec.jax.function(rnnspec.compile("model S { input x: float[time, 2]  LSTM(3, stateful = true) }"))
    with pytest.raises(ValueError, match="model D is of float64"):
        rnnspec.jax.function(rnnspec.compile("model D { input x: float[time, 2]  LSTM(3) }", dtype="float64"))
    with pytest.raises(ValueError, match="model W takes texts"):
        rnnspec.jax.function(rnnspec.compile("model W { input t: text[time](max_tokens = 9)  Embedding(9, 2)  LSTM(3) }"))
