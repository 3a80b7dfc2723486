"""numpy by hand, as one would write a filter's inner loop: one product of [x, h, 1] and one tanh for all gates."""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Call, Settings, Task
from benchmarks.workloads import Array


def settings(task: Task) -> Settings:
    return {"by hand": lambda: streaming(task)} if task.work.kind == "stream" else {}


def streaming(task: Task) -> Call:
    kernel, recurrent_kernel, bias, dense, dense_bias = task.weights
    units = task.work.units
    order = np.concatenate([np.arange(units) + block * units for block in (0, 1, 3, 2)])  # the three sigmoids together
    weights = np.concatenate([kernel, recurrent_kernel, bias[None]])[:, order]
    weights[:, : 3 * units] *= 0.5  # sigmoid(z) = 0.5 + 0.5 tanh(z / 2)
    left = np.zeros((1, units + 2), np.float32)
    left[0, -1] = 1
    h = left[:, 1:-1]
    z = np.empty((1, 4 * units), np.float32)
    c = np.zeros((1, units), np.float32)
    sigmoids, (i, f, o, g) = z[:, : 3 * units], (z[:, block * units : (block + 1) * units] for block in range(4))

    def call(x: Array) -> Array:
        left[0, 0] = x[0, 0]
        np.dot(left, weights, out=z)
        np.tanh(z, out=z)
        np.multiply(sigmoids, 0.5, out=sigmoids)
        np.add(sigmoids, 0.5, out=sigmoids)
        np.multiply(f, c, out=c)
        np.multiply(i, g, out=i)
        np.add(c, i, out=c)
        np.tanh(c, out=g)
        np.multiply(o, g, out=h)
        return h @ dense + dense_bias

    return call
