"""Dense: a product of the features with a kernel, a bias, an activation."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.signature import Config
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.printed_values import configured
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, OfOne
from rnnspec.frontend.layers.show import chosen, shown
from rnnspec.frontend.layers.weight_options import activity_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value


@frozen
class Dense(Layer):
    """The kernel is (features, units)."""

    units: int
    activation: Config
    kernel: LayerWeight
    bias: LayerWeight | None
    activity_regularizer: Config | None = None


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    features, units = checks.numbers(call, operand), bindings.whole("units")
    kernel = checks.weight(name, "kernel", (features, units), bindings, call)
    bias = None
    if bindings.flag("use_bias"):
        bias = checks.weight(name, "bias", (units,), bindings, call)
    output = operand.type.with_features(units).by(name)
    layer = Dense(name, units, checks.activation(bindings, units), kernel, bias, activity_of(bindings, output, checks.report))
    return BuiltLayer(layer, (operand,), (output,))


def _lower(tools: Tools, layer: Dense, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    def product(value: Value) -> Value:
        result = tools.builder.matmul(value, tools.weights[layer.kernel.path])
        if layer.bias is not None:
            result = tools.builder.add(result, tools.builder.broadcast_like(tools.weights[layer.bias.path], result))
        return tools.activated(layer.activation, result)

    result = tools.at_every_step(operands[0], product)
    tools.observe(layer.activity_regularizer, result)
    return (result,)


def _show(layer: Dense) -> rules.Shown:
    options = f"activation = {configured(layer.activation)}", chosen("activity_regularizer", layer.activity_regularizer)
    return shown(layer, "Dense", *options)


DENSE = LayerRules(
    layer=Dense,
    names=("Dense",),
    check=OfOne(_check),
    lower=_lower,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=lambda layer: rules.observed(layer.activity_regularizer),
    pointwise=True,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=lambda layer: layer.activation,
    show=_show,
    results=rules.one_result,
)
