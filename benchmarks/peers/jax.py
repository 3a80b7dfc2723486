"""JAX: `lax.scan` under `jit`, with the input's part before the loop or in it, and steps unrolled or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from benchmarks.peers import Call, Settings, Task
from benchmarks.workloads import LAYERS_OF_A_STACK, Array

Traced: TypeAlias = Any
Step: TypeAlias = Callable[[Traced, Traced, Traced], tuple[Traced, Traced]]
"""(z, h, c) to (h, c)."""

Forward: TypeAlias = Callable[..., Traced]
"""(weights, the inputs one by one) to the output."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`hoisted`: the input's part is one product before the loop."""

    hoisted: bool
    unroll: int

    def __str__(self) -> str:
        return f"{'hoisted' if self.hoisted else 'all in the loop'}, unroll {self.unroll}"


def settings(task: Task) -> Settings:
    work = task.work
    if work.kind in ("samples", "speech"):
        return {}
    if work.kind == "stream":
        return {"jit": lambda: streaming(task)}
    network = {
        "text": text,
        "tags": tags,
        "language": language,
        "translation": translation,
        "sequences": sequences,
        "classes": classes,
    }[work.kind]
    finish = training if work.train else predicting

    def setting(scan: Scan) -> Callable[[], Call]:
        return lambda: finish(network(task, scan), task)

    return {str(scan): setting(scan) for scan in (Scan(True, 1), Scan(True, 5), Scan(False, 1), Scan(False, 5))}


def predicting(forward: Forward, task: Task) -> Call:
    compiled = jax.jit(forward)
    weights = jax.device_put(list(task.weights))

    def call(x: Array) -> Array:
        return np.asarray(compiled(weights, x))

    return call


def training(forward: Forward, task: Task) -> Call:
    def loss(weights: Sequence[Traced], y: Traced, *inputs: Traced) -> Traced:
        output = forward(weights, *inputs)
        if task.work.kind == "text":
            return (jnp.maximum(output, 0) - output * y + jnp.log1p(jnp.exp(-jnp.abs(output)))).mean()
        losses = -jnp.take_along_axis(jax.nn.log_softmax(output), y[..., None], -1)[..., 0]
        return losses.mean(where=inputs[0] != 0 if task.work.kind == "tags" else None)

    def step(weights: Traced, means: Traced, variances: Traced, count: Traced, y: Traced, *inputs: Traced) -> Traced:
        value, gradients = jax.value_and_grad(loss)(weights, y, *inputs)
        rate = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = [mean + 0.1 * (gradient - mean) for mean, gradient in zip(means, gradients, strict=True)]
        variances = [variance + 0.001 * (gradient * gradient - variance) for variance, gradient in zip(variances, gradients, strict=True)]
        weights = [
            weight - rate * mean / (jnp.sqrt(variance) + 1e-7) for weight, mean, variance in zip(weights, means, variances, strict=True)
        ]
        return value, (weights, means, variances, count + 1)

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))
    zeros = [np.zeros_like(weight) for weight in task.weights]
    state = jax.device_put((list(task.weights), zeros, zeros, np.float32(1)))

    def call(*given: Array) -> float:
        nonlocal state
        value, state = compiled(*state, given[-1], *given[:-1])
        return float(jax.block_until_ready((value, state))[0])

    return call


def streaming(task: Task) -> Call:
    weights = jax.device_put(list(task.weights))
    project, step = lstm(weights[:3])
    state = jnp.zeros((1, task.work.units)), jnp.zeros((1, task.work.units))

    @jax.jit
    def compiled(x: Traced, h: Traced, c: Traced) -> Traced:
        h, c = step(project(x), h, c)
        return h @ weights[3] + weights[4], h, c

    def call(x: Array) -> Array:
        nonlocal state
        y, *state = compiled(x, *state)
        return np.asarray(y)

    return call


def sequences(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], x: Traced) -> Traced:
        return stack(task, weights, x.swapaxes(0, 1), scan)[1].swapaxes(0, 1)

    return forward


def classes(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], x: Traced) -> Traced:
        return stack(task, weights[:-2], x.swapaxes(0, 1), scan)[0] @ weights[-2] + weights[-1]

    return forward


def stack(task: Task, weights: Sequence[Traced], x: Traced, scan: Scan) -> tuple[Traced, Traced]:
    """The last output and all of them; of several layers on each other where the workload has them."""
    below = LAYERS_OF_A_STACK - 1 if task.work.stacked else 0
    for number in range(below):
        x = run(task, weights[3 * number : 3 * number + 3], x, scan)[1]
    return run(task, weights[3 * below :], x, scan)


def text(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], ids: Traced) -> Traced:
        last = [last for last, _ in both_ways(task, weights, ids, scan)]
        return jnp.concatenate(last, 1) @ weights[-2] + weights[-1]

    return forward


def tags(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], ids: Traced) -> Traced:
        every = [every for _, every in both_ways(task, weights, ids, scan)]
        return (jnp.concatenate(every, 2) @ weights[-2] + weights[-1]).swapaxes(0, 1)

    return forward


def both_ways(task: Task, weights: Sequence[Traced], ids: Traced, scan: Scan) -> list[tuple[Traced, Traced]]:
    """A text's layer in each of its directions, masked where an id is 0."""
    table, *rest = weights
    ids = ids.swapaxes(0, 1)
    words, mask = table[ids], ids[:, :, None] != 0
    return [run(task, rest[3 * way : 3 * way + 3], words, scan, mask, reverse=way == 1) for way in range(task.work.directions)]


def language(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], ids: Traced) -> Traced:
        _, every = run(task, weights[1:4], weights[0][ids.T], scan)
        return every.swapaxes(0, 1) @ weights[-2] + weights[-1]

    return forward


def translation(task: Task, scan: Scan) -> Forward:
    def forward(weights: Sequence[Traced], source: Traced, target: Traced) -> Traced:
        state, encoded = run_from(task, weights[1:4], weights[0][source.T], scan)
        _, decoded = run_from(task, weights[5:8], weights[4][target.T], scan, state)
        decoded, encoded = decoded.swapaxes(0, 1), encoded.swapaxes(0, 1)
        seen = jax.nn.softmax(decoded @ encoded.swapaxes(1, 2)) @ encoded
        return jnp.concatenate([decoded, seen], 2) @ weights[-2] + weights[-1]

    return forward


def run(task: Task, weights: Sequence[Traced], x: Traced, scan: Scan, mask: Traced = None, reverse: bool = False) -> tuple[Traced, Traced]:
    """The last output and all of them, from x (time, batch, features); none but the last of a text's."""
    (last, _), every = run_from(task, weights, x, scan, mask=mask, reverse=reverse)
    return last, every


def run_from(
    task: Task, weights: Sequence[Traced], x: Traced, scan: Scan, state: Traced = None, *, mask: Traced = None, reverse: bool = False
) -> tuple[Traced, Traced]:
    """The last state and all outputs; from zeros without a `state`."""
    project, step = {"lstm": lstm, "gru": gru, "peephole_lstm": peephole_lstm, "layer_norm_lstm": layer_norm_lstm}[task.work.cell](weights)
    zeros = jnp.zeros((x.shape[1], task.work.units))

    def body(state: Traced, given: Traced) -> Traced:
        z, real = given
        after = step(z if scan.hoisted else project(z), *state)
        if real is not None:
            after = [jnp.where(real, new, old) for new, old in zip(after, state, strict=True)]
        return tuple(after), None if task.work.kind == "text" else after[0]

    given = project(x) if scan.hoisted else x
    return lax.scan(body, (zeros, zeros) if state is None else state, (given, mask), reverse=reverse, unroll=scan.unroll)


def lstm(weights: Sequence[Traced]) -> tuple[Callable[[Traced], Traced], Step]:
    kernel, recurrent_kernel, bias = weights

    def step(z: Traced, h: Traced, c: Traced) -> tuple[Traced, Traced]:
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    return lambda x: x @ kernel + bias, step


def gru(weights: Sequence[Traced]) -> tuple[Callable[[Traced], Traced], Step]:
    kernel, recurrent_kernel, bias = weights

    def step(x: Traced, h: Traced, c: Traced) -> tuple[Traced, Traced]:
        xz, xr, xh = jnp.split(x, 3, -1)
        hz, hr, hh = jnp.split(h @ recurrent_kernel + bias[1], 3, -1)
        z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
        return z * h + (1 - z) * jnp.tanh(xh + r * hh), c

    return lambda x: x @ kernel + bias[0], step


def peephole_lstm(weights: Sequence[Traced]) -> tuple[Callable[[Traced], Traced], Step]:
    kernel, recurrent_kernel, bias, peephole = weights

    def step(z: Traced, h: Traced, c: Traced) -> tuple[Traced, Traced]:
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, -1)
        c = jax.nn.sigmoid(f + peephole[1] * c) * c + jax.nn.sigmoid(i + peephole[0] * c) * jnp.tanh(g)
        return jax.nn.sigmoid(o + peephole[2] * c) * jnp.tanh(c), c

    return lambda x: x @ kernel + bias, step


def layer_norm_lstm(weights: Sequence[Traced]) -> tuple[Callable[[Traced], Traced], Step]:
    kernel, recurrent_kernel, input_gain, input_bias, gain, bias, cell_gain, cell_bias = weights

    def step(z: Traced, h: Traced, c: Traced) -> tuple[Traced, Traced]:
        i, f, g, o = jnp.split(z + layer_norm(h @ recurrent_kernel, gain, bias), 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(layer_norm(c, cell_gain, cell_bias)), c

    return lambda x: layer_norm(x @ kernel, input_gain, input_bias), step


def layer_norm(x: Traced, gain: Traced, bias: Traced) -> Traced:
    difference = x - x.mean(-1, keepdims=True)
    return difference * lax.rsqrt((difference * difference).mean(-1, keepdims=True) + 1e-5) * gain + bias
