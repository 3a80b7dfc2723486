"""A program with a model as a layer of Keras, run for one back end after the other; it ends with status 0 if all holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

import rnnspec
import rnnspec.keras

model = rnnspec.compile(
    "model T { input x: float[time, 3]  LSTM(8, return_sequences = true)  LSTM(4)  BatchNormalization()  Dense(2) }", seed=1
)
x = np.random.default_rng(0).normal(size=(20, 6, 3)).astype(np.float32)
y = np.stack([x.sum(axis=(1, 2)), -x.sum(axis=(1, 2))], axis=1)

# Values, shapes, masks

layer = rnnspec.keras.Layer(model, name="mine")
assert np.array_equal(keras.ops.convert_to_numpy(layer(x)), model.predict(x))
assert layer.compute_output_shape((None, None, 3)) == layer.compute_output_shape((None, 6, 3)) == (None, 2)
assert len(layer.trainable_variables) == 10 and len(layer.non_trainable_variables) == 2
lengths = np.array([6, 5, 4, 3] * 5)
padded = np.where((np.arange(6) < lengths[:, None])[..., None], x, 0)
masked = keras.Sequential([keras.Input((6, 3)), keras.layers.Masking(), layer])
assert np.array_equal(masked.predict(padded, verbose=0), model.predict(padded, lengths=lengths))
steps = rnnspec.compile("model S { input x: float[time, 3]  GRU(4, return_sequences = true) }", seed=1)
through = keras.Sequential(
    [keras.Input((None, 3)), keras.layers.Masking(), rnnspec.keras.Layer(steps), keras.layers.GlobalAveragePooling1D()]
)
values = steps.predict(padded, lengths=lengths)
wanted = np.stack([row[:length].mean(axis=0) for row, length in zip(values, lengths, strict=True)])
assert np.allclose(through.predict(padded, verbose=0), wanted, atol=1e-6)

# Training, beside Keras's own layers

inputs = keras.Input((None, 3))
whole = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
if keras.backend.backend() != "numpy":  # which has no gradients
    plain = rnnspec.compile("model P { input x: float[time, 3]  LSTM(8, return_sequences = true)  LSTM(4)  Dense(2) }", seed=1)
    theirs = keras.Sequential(
        [keras.Input((6, 3)), keras.layers.LSTM(8, return_sequences=True), keras.layers.LSTM(4), keras.layers.Dense(2)]
    )
    theirs.set_weights(plain.get_weights())
    ours = keras.Sequential([keras.Input((6, 3)), rnnspec.keras.Layer(plain)])
    for each in (theirs, ours):
        each.compile(keras.optimizers.SGD(0.1), "mse")
        each.fit(x, y, epochs=3, verbose=0, shuffle=False, batch_size=20)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True))
    if keras.backend.backend() == "torch":
        import torch

        given = torch.from_numpy(x).requires_grad_()
        (slope,) = torch.autograd.grad(layer(given).sum(), given, create_graph=True)
        try:
            slope.square().sum().backward()
        except RuntimeError as error:
            assert "second derivatives aren't there" in str(error)
        else:
            raise AssertionError("a second derivative was left out")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        given = tf.Variable(x)
        try:
            with tf.GradientTape() as outer:
                with tf.GradientTape() as inner:
                    total = tf.reduce_sum(layer(given))
                norm = tf.reduce_sum(inner.gradient(total, given) ** 2)
            outer.gradient(norm, given)
        except RuntimeError as error:
            assert "second derivatives aren't there" in str(error)
        else:
            raise AssertionError("a second derivative was left out")
    whole.compile("adam", "mse")
    whole.fit(x, y[:, :1], epochs=1, verbose=0)
    assert not np.array_equal(layer.to_model().weights["lstm/kernel"], model.weights["lstm/kernel"])
    assert np.array_equal(layer.to_model().weights["batch_normalization/moving_mean"], model.weights["batch_normalization/moving_mean"])

# Files

with tempfile.TemporaryDirectory() as folder:
    whole.save(Path(folder) / "whole.keras")
    found = keras.models.load_model(Path(folder) / "whole.keras")
assert np.array_equal(found.predict(x, verbose=0), whole.predict(x, verbose=0))
assert np.array_equal(found.get_layer("mine").to_model().predict(x), layer.to_model().predict(x))

# Several inputs and outputs

two = rnnspec.compile(
    "model Two { input ids: int[time]  input x: float[3]\n h = ids -> Embedding(9, 4) -> GRU(3)\n"
    " a = [h, x] -> Concatenate() -> Dense(2)\n b = h -> Dense(1)\n output a, b }",
    seed=1,
)
ids, row = np.arange(8).reshape(2, 4), np.ones((2, 3), np.float32)
given = rnnspec.keras.Layer(two)({"ids": ids, "x": row})
assert all(np.array_equal(keras.ops.convert_to_numpy(a), b) for a, b in zip(given, two.predict([ids, row]), strict=True))
for refused in ("input x: float[time, 2]  LSTM(3, stateful = true)", "input t: text[time](max_tokens = 9)  Embedding(9, 2)  LSTM(3)"):
    try:
        rnnspec.keras.Layer(rnnspec.compile(f"model R {{ {refused} }}"))
    except ValueError as error:
        assert "model R" in str(error)
    else:
        raise AssertionError(refused)
