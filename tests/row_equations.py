"""Losses and metrics in native code, beside a model that hands its input on: rows in, each row's numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.executable import CallRequest, Executable
from rnnspec.contract.objective import OutputObjective, RowEquations
from rnnspec.contract.signature import Config

Array = NDArray[Any]


def config(name: str, options: Mapping[str, Any]) -> Config:
    """A loss or a metric with arguments as JSON has them."""
    plain = {key: tuple(cast("list[float]", value)) if isinstance(value, list) else value for key, value in options.items()}
    return Config(name, tuple(plain.items()))


@cache
def handing_on(width: int, dtype: str) -> Executable:
    """The native code of a model that gives its input."""
    return rnnspec.compile(f"model M {{ input p: float[{width}] Activation(linear) }}", dtype=dtype)._executable  # pyright: ignore[reportPrivateUsage]


def _request(equations: RowEquations, family: str, prediction: Array, target: Array) -> CallRequest:
    dtype = prediction.dtype
    columns = 1 if equations.target == "class" else prediction.shape[1]
    chosen = {"loss": equations.config} if family == "loss" else {"metrics": (equations.config,)}
    objective = (OutputObjective("activation", columns, **chosen),)  # pyright: ignore[reportArgumentType]
    targets = {"activation": np.ascontiguousarray(target.reshape(-1, columns), dtype)}
    return CallRequest({"p": np.ascontiguousarray(prediction)}, (), np.zeros(0, dtype), 0, objective=objective, targets=targets)


def loss_rows(name: str, options: Mapping[str, Any], prediction: Array, target: Array, weights: Array) -> tuple[Array, Array]:
    """Each row's loss (rows,), and the gradient of their weighted sum by the prediction, of its shape."""
    native = handing_on(prediction.shape[1], prediction.dtype.name)
    equations = native.equations("loss", config(name, options), prediction.shape[1])
    (losses,), tape = native.record(_request(equations, "loss", prediction, target))
    cotangent = np.ascontiguousarray(weights[:, None], prediction.dtype)
    _, gradients = native.backward(tape, [cotangent], np.zeros(0, prediction.dtype), 0, input_gradients=True)
    return losses[:, 0], gradients["p"]


def equation_rows(objective: OutputObjective, prediction: Array, target: Array) -> tuple[tuple[Array, ...], Array]:
    """What an objective's loss and metrics give for each row, (rows, columns), and the loss's derivative by the prediction."""
    if not len(prediction):
        one = np.ones((1, prediction.shape[1]), prediction.dtype)
        numbers, slopes = equation_rows(objective, one, np.zeros((1, target.shape[1])))
        return tuple(each[:0] for each in numbers), slopes[:0]
    native = handing_on(prediction.shape[1], prediction.dtype.name)
    alone = replace(objective, output="activation", shown=False)
    targets = {"activation": np.ascontiguousarray(target, prediction.dtype)}
    none = np.zeros(0, prediction.dtype)
    request = CallRequest({"p": np.ascontiguousarray(prediction)}, (), none, 0, objective=(alone,), targets=targets)
    if objective.loss is None:
        return native.forward(request), np.zeros_like(prediction)
    numbers, tape = native.record(request)
    ones = [np.ones_like(each) for each in numbers]
    _, gradients = native.backward(tape, ones, none, 0, input_gradients=True)
    return numbers, gradients["p"]


def metric_value(name: str, options: Mapping[str, Any], prediction: Array, target: Array, weights: Array) -> Array:
    """A metric of the library, of all rows with their weights: a row."""
    return of_rows(handing_on(prediction.shape[1], prediction.dtype.name), config(name, options), prediction, target, weights)


def of_rows(native: Executable, metric: Config, prediction: Array, target: Array, weights: Array) -> Array:
    """A metric that a model knows, of all rows with their weights: a row."""
    equations = native.equations("metric", metric, prediction.shape[1])
    (numbers,) = native.forward(_request(equations, "metric", prediction, target))
    sums = (numbers.astype(np.float64) * weights[:, None]).sum(axis=0)
    return np.ravel(native.result(equations.config, prediction.shape[1], sums) if equations.totals else sums / weights.sum())


def written(name: str, options: Mapping[str, Any]) -> str:
    """A loss or a metric as a spec names it."""
    given = ", ".join(f"{key} = {_literal(value)}" for key, value in options.items())
    return f"{name}({given})" if given else name


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, cast('list[object]', value)))}]"
    words = {"None": "none", "True": "true", "False": "false"}
    return f'"{value}"' if isinstance(value, str) else words.get(str(value), str(value))
