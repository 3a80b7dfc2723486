"""What every peer must give: the tensor IR's interpreter in float64, and Adam by Keras's formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from benchmarks.workloads import TRAIN_STEPS, Array, Workload
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.source_files import parse_all, read_spec
from rnnspec.frontend.model.resolve import resolve
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Module, Role
from rnnspec.training.sequence_losses import CTC, NativeLosses, Sequences

Named = dict[str, Array]


def reference(work: Workload, data: Mapping[str, Array], weights: Mapping[str, Array]) -> Array:
    """The output for the whole input; of training the losses before each of the first `TRAIN_STEPS` updates."""
    tree, _ = parse_all(read_spec(work.spec))
    graph = resolve(tree, work.parameters)
    compilation = Compilation(tree, graph, "float64")
    arguments: Named = {}
    for name in work.inputs:
        given = data[name]
        arguments |= {name: given[..., None] if given.dtype == np.int32 else given, f"{name}.mask": np.ones(given.shape[:2], bool)}
    exact: Named = {name: weight.astype(np.float64) for name, weight in weights.items()}
    if not work.train:
        results = interpret(compilation.module("tensor", False).function("forward"), {**arguments, **exact})
        return next(np.asarray(value) for (role, _), value in results.items() if role is Role.OUTPUT)
    module = compilation.module("tensor.backward", True, objective=compilation.objective)
    if not compilation.objective:
        return _of_sequences(compilation, module, data, arguments, exact)
    y = data["y"].astype(np.float64)
    target = compilation.objective[0].target
    counted = np.ones(1, bool)
    if y.ndim > 1 and work.kind == "tags":
        counted = (data["x"] != 0)[..., None]
    arguments["target/dense"] = y[..., None] if target == 1 and y.shape[-1:] != (1,) else y
    adam = Adam(exact)
    losses: list[float] = []
    for _ in range(TRAIN_STEPS):
        rows, kept = _recorded(module, {**arguments, **exact})
        count = np.broadcast_to(counted, rows.shape).sum()
        losses.append(float((rows * counted).sum() / count))
        adam.update(exact, _gradient(module, {**arguments, **exact, **kept, "loss/dense": np.broadcast_to(counted / count, rows.shape)}))
    return np.array(losses)


def _of_sequences(compilation: Compilation, module: Module, data: Mapping[str, Array], arguments: Named, exact: Named) -> Array:
    """The losses of a spec with connectionist temporal classification, whose native function is given outputs in float64."""
    native = NativeLosses(compilation.sequence_loss)
    labels: Array = data["y"]
    samples, steps = int(data["x"].shape[0]), int(data["x"].shape[1])
    starts: Array = np.arange(samples + 1) * steps
    label_starts: Array = np.append(0, np.cumsum((labels != 0).sum(axis=1)))
    flat = labels[labels != 0].astype(np.int32)
    sequences = Sequences(CTC(), np.arange(samples * steps), starts, flat, label_starts, None)
    adam = Adam(exact)
    losses: list[float] = []
    for _ in range(TRAIN_STEPS):
        output, kept = _recorded(module, {**arguments, **exact})
        loss, cotangent = native.value_and_gradient(sequences, output)
        assert cotangent is not None
        losses.append(loss)
        adam.update(exact, _gradient(module, {**arguments, **exact, **kept, "dense": cotangent}))
    return np.array(losses)


def _recorded(module: Module, arguments: Named) -> tuple[Array, Named]:
    results = interpret(module.function("forward"), arguments)
    output = next(np.asarray(value) for (role, _), value in results.items() if role is Role.OUTPUT)
    return output, {name: cast(Array, value) for (role, name), value in results.items() if role is Role.RESIDUAL}


def _gradient(module: Module, given: Named) -> Named:
    backward = module.function("backward")
    results = interpret(backward, {parameter.value.name: given[parameter.value.name] for parameter in backward.parameters})
    return {name: np.asarray(value) for (_, name), value in results.items()}


class Adam:
    """With Keras's defaults: epsilon 1e-7 beside √v before the bias correction."""

    def __init__(self, weights: Named) -> None:
        self._time = 0
        self._moments = {name: (np.zeros_like(weight), np.zeros_like(weight)) for name, weight in weights.items()}

    def update(self, weights: Named, gradients: Named) -> None:
        self._time += 1
        rate = 0.001 * np.sqrt(1.0 - 0.999**self._time) / (1.0 - 0.9**self._time)
        for name, weight in weights.items():
            mean, variance = self._moments[name]
            mean += 0.1 * (gradients[name] - mean)
            variance += 0.001 * (gradients[name] ** 2 - variance)
            weight -= rate * mean / (np.sqrt(variance) + 1e-7)
