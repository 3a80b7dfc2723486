"""Keras on JAX: layers and a cell class as one writes them, called in Keras's way and as one compiled function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import keras
import numpy as np
from keras import ops

from benchmarks.peers import Call, Settings, Task
from benchmarks.workloads import CLASSES, LAYERS_OF_A_STACK, Array

Tensor: TypeAlias = Any
Step: TypeAlias = Callable[..., tuple[Tensor, Tensor]]
"""(x, h, c, the weights one by one) to (h, c)."""


def settings(task: Task) -> Settings:
    if task.work.kind in ("samples", "language", "translation", "tags", "speech"):
        return {}
    if task.work.kind == "stream":
        return {"jit of stateless_call": lambda: streaming(task)}
    if task.work.train:
        return {"train_on_batch": lambda: training(task)}
    return {"predict_on_batch": lambda: network(task).predict_on_batch, "jit of stateless_call": lambda: compiled(task)}


def compiled(task: Task) -> Call:
    forward = stateless(network(task))

    def call(x: Array) -> Array:
        return np.asarray(forward(x))

    return call


def streaming(task: Task) -> Call:
    """With the state as inputs and outputs: JAX's backend doesn't keep that of a stateful layer."""
    step = stateless(network(task))
    state = [np.zeros((1, task.work.units), np.float32)] * 2

    def call(x: Array) -> Array:
        nonlocal state
        y, *state = step((x, *state))
        return np.asarray(y)

    return call


def stateless(model: Any) -> Callable[[Any], Any]:
    weights = [weight.value for weight in model.trainable_variables], [weight.value for weight in model.non_trainable_variables]

    def forward(weights: Any, x: Tensor) -> Tensor:
        return model.stateless_call(*weights, x)[0]

    return partial(jax.jit(forward), weights)


def training(task: Task) -> Call:
    model = network(task)
    logits = {"from_logits": True}
    losses = keras.losses
    loss = losses.BinaryCrossentropy(**logits) if task.work.kind == "text" else losses.SparseCategoricalCrossentropy(**logits)
    model.compile(optimizer=keras.optimizers.Adam(0.001), loss=loss)

    def call(x: Array, y: Array) -> float:
        model.reset_metrics()  # the loss that it returns is a running mean
        return float(model.train_on_batch(x, y))

    return call


def network(task: Task) -> Any:
    work, layers = task.work, keras.layers
    sequence = work.kind == "sequences"
    match work.kind:
        case "stream" | "samples":
            x = keras.Input((1,), 1), keras.Input((work.units,), 1), keras.Input((work.units,), 1)
            y, *state = layers.LSTM(work.units, return_state=True)(layers.Reshape((1, 1))(x[0]), initial_state=x[1:])
            y = layers.Dense(1)(y), *state
        case "text":
            x = keras.Input((work.time,), work.batch, "int32")
            y = layers.Embedding(work.vocabulary, work.features, mask_zero=True)(x)
            encoder = layers.LSTM(work.units)
            y = layers.Dense(1)((layers.Bidirectional(encoder) if work.directions == 2 else encoder)(y))
        case "sequences" | "classes":
            x = keras.Input((work.time, work.features), work.batch)
            y = x
            for _ in range(LAYERS_OF_A_STACK - 1 if work.stacked else 0):
                y = recurrent(task, return_sequences=True)(y)
            y = recurrent(task, return_sequences=sequence)(y)
            y = y if sequence else layers.Dense(CLASSES)(y)
        case "language" | "translation" | "tags" | "speech":
            raise ValueError(f"no network for {work.kind}")
    model = keras.Model(x, y)
    model.set_weights(task.weights)
    return model


def recurrent(task: Task, *, return_sequences: bool) -> Any:
    work, layers = task.work, keras.layers
    if work.cell in ("lstm", "gru"):
        layer = layers.GRU if work.cell == "gru" else layers.LSTM
        return layer(work.units, return_sequences=return_sequences)
    own = task.weights[:-2] if work.kind == "classes" else task.weights
    step = peephole_lstm if work.cell == "peephole_lstm" else layer_norm_lstm
    return layers.RNN(Cell(work.units, [weight.shape for weight in own], step), return_sequences=return_sequences)


class Cell(keras.layers.Layer):
    """A cell as a subclass: its weights and its step."""

    def __init__(self, units: int, shapes: Sequence[tuple[int, ...]], step: Step) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.state_size = [units, units]
        self.shapes, self.step = shapes, step

    def build(self, shape: Any) -> None:
        self.parts = [self.add_weight(shape=size, name=f"weight{number}") for number, size in enumerate(self.shapes)]

    def call(self, x: Tensor, states: Any) -> Any:
        h, c = self.step(x, *states, *self.parts)
        return h, [h, c]


def peephole_lstm(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    kernel, recurrent_kernel, bias, peephole = weights
    i, f, g, o = ops.split(x @ kernel + h @ recurrent_kernel + bias, 4, -1)
    c = ops.sigmoid(f + peephole[1] * c) * c + ops.sigmoid(i + peephole[0] * c) * ops.tanh(g)
    return ops.sigmoid(o + peephole[2] * c) * ops.tanh(c), c


def layer_norm_lstm(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    kernel, recurrent_kernel, input_gain, input_bias, gain, bias, cell_gain, cell_bias = weights
    i, f, g, o = ops.split(normalized(x @ kernel, input_gain, input_bias) + normalized(h @ recurrent_kernel, gain, bias), 4, -1)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(normalized(c, cell_gain, cell_bias)), c


def normalized(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    difference = x - ops.mean(x, -1, keepdims=True)
    return difference * ops.rsqrt(ops.mean(difference * difference, -1, keepdims=True) + 1e-5) * gain + bias
