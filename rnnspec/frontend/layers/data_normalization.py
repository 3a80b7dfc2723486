"""Normalization: each feature by the mean and the variance of the data, which `adapt` computes or the spec gives (Keras 3.15)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError, LocatedValue
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import flag, option, shown
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value

SMALLEST = 1e-7
"""Keras's least deviation that Normalization divides by."""


@frozen
class Normalization(Layer):
    """Less the mean and over the deviation; `invert`: times the deviation and more by the mean. `together`: one of each for all features.

    `given`: the mean and the variance of each feature, as the spec has them; without them they are weights that `adapt` sets, and
    `count`, Keras's, is one that nothing reads.
    """

    invert: bool
    together: bool
    given: tuple[tuple[float, ...], tuple[float, ...]] | None
    mean: LayerWeight | None
    variance: LayerWeight | None
    count: LayerWeight | None


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width = checks.numbers(call, operand)
    together = bindings.given("axis").value is None
    if not together:
        checks.last_axis(call, bindings, operand)
    given = _given(bindings, call, width, together)

    def adapted(own: str, shape: tuple[int, ...], initializer: str) -> LayerWeight | None:
        if given is not None:
            return None
        return replace(checks.plain_weight(name, own, shape, Config(initializer), call), trainable=False)

    shape = () if together else (width,)
    weights = adapted("mean", shape, "zeros"), adapted("variance", shape, "ones"), adapted("count", (), "zeros")
    layer = Normalization(name, bindings.flag("invert"), together, given, *weights)
    return BuiltLayer(layer, (operand,), (operand.type.by(name),))


def _given(bindings: Bindings, call: ast.Call, width: int, together: bool) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The mean and the variance of each feature, where the spec has them; one number is that of all."""
    mean, variance = bindings.given("mean"), bindings.given("variance")
    if mean.value is None and variance.value is None:
        return None
    for one, other, named in ((mean, variance, "variance"), (variance, mean, "mean")):
        if other.value is None:
            raise CheckError(errors.weights.UnfitMoments(span=one.span, layer=call.callee.text, problem=f"there is no `{named}` beside it"))
    found = _numbers(mean), _numbers(variance)
    if len(found[0]) != len(found[1]):
        problem = f"`mean` has {len(found[0])} numbers, `variance` {len(found[1])}"
        raise CheckError(errors.weights.UnfitMoments(span=variance.span, layer=call.callee.text, problem=problem))
    if isinstance(mean.value, tuple) and (together or len(found[0]) != width):
        expected = "one number, with `axis = none`" if together else f"one number, or {width}, one for each feature"
        problem = f"expected {expected}, got a list of {len(found[0])}"
        raise CheckError(errors.weights.UnfitMoments(span=mean.span, layer=call.callee.text, problem=problem))
    if wrong := [number for number in found[1] if number < 0]:
        problem = f"a variance is at least 0, not {wrong[0]:g}"
        raise CheckError(errors.weights.UnfitMoments(span=variance.span, layer=call.callee.text, problem=problem))
    return found


def _numbers(given: LocatedValue) -> tuple[float, ...]:
    items = [item.value for item in given.value] if isinstance(given.value, tuple) else [given.value]
    return tuple(float(item) for item in items if isinstance(item, int | float))


def _lower(tools: Tools, layer: Normalization, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    b = tools.builder
    mean, deviation = _moments(tools, layer)

    def normalized(value: Value) -> Value:
        middle, scale = b.broadcast_like(mean, value), b.broadcast_like(deviation, value)
        return b.add(middle, b.mul(value, scale)) if layer.invert else b.div(b.sub(value, middle), scale)

    return (tools.at_every_step(operands[0], normalized),)


def _moments(tools: Tools, layer: Normalization) -> tuple[Value, Value]:
    """The mean and the deviation, which is at least `SMALLEST`, as its square is below the root: there its slope is 0, not 0 / 0."""
    b = tools.builder
    if layer.given is not None:
        mean, variance = layer.given
        return _row(tools, mean), _row(tools, [max(math.sqrt(each), SMALLEST) for each in variance])
    if layer.mean is None or layer.variance is None:
        raise InternalError(f"{layer.name} has no moments")
    variance = tools.weights[layer.variance.path]
    return tools.weights[layer.mean.path], b.sqrt(b.max(variance, b.constant_like(SMALLEST * SMALLEST, variance)))


def _row(tools: Tools, numbers: Sequence[float]) -> Value:
    """Numbers of the spec, as few constants as there are runs of the same one."""
    runs: list[tuple[float, int]] = []
    for number in numbers:
        if runs and runs[-1][0] == number:
            runs[-1] = number, runs[-1][1] + 1
        else:
            runs.append((number, 1))
    parts = [tools.constant(number, (count,)) for number, count in runs]
    return parts[0] if len(parts) == 1 else tools.builder.concat(parts, 0)


def _show(layer: Normalization) -> rules.Shown:
    given = () if layer.given is None else (option("mean", layer.given[0]), option("variance", layer.given[1]))
    return shown(layer, "Normalization", "axis = none" if layer.together else "", *given, flag("invert", layer.invert))


NORMALIZATION = LayerRules(
    layer=Normalization,
    names=("Normalization",),
    check=OfOne(_check),
    lower=_lower,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=lambda layer: None if layer.mean is None or layer.variance is None else (layer.mean, layer.variance),
    ending=rules.ends_in_unknown,
    show=_show,
    results=rules.one_result,
)
