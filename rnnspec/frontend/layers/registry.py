"""The layers there are: one line a layer, and the way from a call in the spec, or from a layer of the graph, to its rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.call_data import call_of
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.values import AlreadyReported, Report, Scope
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.graph.graph import GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.activation import ACTIVATION, PRELU, STEP_SOFTMAX
from rnnspec.frontend.layers.attention import ATTENTION, DOT
from rnnspec.frontend.layers.bidirectional import BIDIRECTIONAL
from rnnspec.frontend.layers.checks import BuiltLayer, InputSpans, ShapeRules, one, unknown_layer
from rnnspec.frontend.layers.convolution import CONVOLUTION
from rnnspec.frontend.layers.data_normalization import NORMALIZATION
from rnnspec.frontend.layers.dense import DENSE
from rnnspec.frontend.layers.dropout import ALPHA_DROPOUT, DROPOUT, GAUSSIAN_DROPOUT, GAUSSIAN_NOISE, SPATIAL_DROPOUT
from rnnspec.frontend.layers.embedding import EMBEDDING
from rnnspec.frontend.layers.last import LAST
from rnnspec.frontend.layers.masking import MASKING
from rnnspec.frontend.layers.merge import MERGE
from rnnspec.frontend.layers.normalization import BATCH_NORMALIZATION, LAYER_NORMALIZATION, UNIT_NORMALIZATION
from rnnspec.frontend.layers.number_of_steps import CROPPING, UP_SAMPLING, ZERO_PADDING
from rnnspec.frontend.layers.pooling import GLOBAL_POOLING, LOCAL_POOLING
from rnnspec.frontend.layers.recurrent import RECURRENT
from rnnspec.frontend.layers.repeat import REPEAT_VECTOR
from rnnspec.frontend.layers.reshape import RESHAPING
from rnnspec.frontend.layers.rules import CheckContext, LayerRules, OfCall, OfOne, OfSeveral
from rnnspec.frontend.layers.slices import SLICE, STEP_SLICE
from rnnspec.frontend.layers.time_distributed import TIME_DISTRIBUTED
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

ALL: tuple[LayerRules[Any], ...] = (
    ACTIVATION,
    ALPHA_DROPOUT,
    ATTENTION,
    BATCH_NORMALIZATION,
    BIDIRECTIONAL,
    CONVOLUTION,
    CROPPING,
    DENSE,
    DOT,
    DROPOUT,
    EMBEDDING,
    GAUSSIAN_DROPOUT,
    GAUSSIAN_NOISE,
    GLOBAL_POOLING,
    LAST,
    LAYER_NORMALIZATION,
    LOCAL_POOLING,
    MASKING,
    MERGE,
    NORMALIZATION,
    PRELU,
    RECURRENT,
    REPEAT_VECTOR,
    RESHAPING,
    SLICE,
    SPATIAL_DROPOUT,
    STEP_SLICE,
    STEP_SOFTMAX,
    TIME_DISTRIBUTED,
    UNIT_NORMALIZATION,
    UP_SAMPLING,
    ZERO_PADDING,
)

_BY_CLASS: Mapping[type[Layer], LayerRules[Any]] = MappingProxyType({rules.layer: rules for rules in ALL})

_BY_NAME: Mapping[str, LayerRules[Any]] = MappingProxyType({name: rules for rules in ALL for name in rules.names})


def rules_of(layer: Layer) -> LayerRules[Any]:
    """The rules of a layer of the graph."""
    rules = _BY_CLASS.get(type(layer))
    if rules is None:
        raise InternalError(f"{type(layer).__name__} isn't in the registry of layers")
    return rules


def takes_several(type_name: str) -> bool:
    """Whether a layer of this type in the spec takes a list of values."""
    return type_name in _BY_NAME and isinstance(_BY_NAME[type_name].check, OfSeveral)


class LayerMaker:
    """Makes the layers of a model or of a block's use.

    `look_up` finds a named value of the graph. Where the value that flows in is unknown (None), a layer is still checked
    for itself, but not against its input.
    """

    def __init__(
        self,
        cells: Mapping[str, ast.Cell],
        scope: Scope,
        names: LayerNames,
        origins: InputSpans,
        look_up: Callable[[str, Span], GraphValue],
        report: Report,
    ) -> None:
        shapes = ShapeRules(names, origins, report, scope.own.functions)
        self._context = CheckContext(cells, scope, names, origins, shapes, look_up, report, self._rules, self._inner)

    def make(self, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None = None) -> BuiltLayer:
        """The layer of a call; `given_name`: of a shared layer. Raises `CheckError` or `AlreadyReported`."""
        rules = self._rules(call.callee.text)
        if rules is None:
            raise unknown_layer(call.callee.text, call.callee.span, {*LAYERS, *self._context.cells})
        if isinstance(rules.check, OfCall):
            return rules.check.check(self._context, call, operands, given_name)
        bindings = self._context.bindings(call)
        name = self._context.name(call, bindings, given_name)
        if operands is None:
            raise AlreadyReported
        match rules.check:
            case OfOne(check):
                made = check(self._context.shapes, name, bindings, call, one(call, operands))
            case OfSeveral(check):
                made = check(self._context.shapes, name, bindings, call, operands)
            case _:
                assert_never(rules.check)
        return replace(made, call=call_of(call.callee.text, bindings.values))

    def _rules(self, type_name: str) -> LayerRules[Any] | None:
        """Of a type in the spec: every cell is a recurrent layer."""
        return RECURRENT if type_name in self._context.cells else _BY_NAME.get(type_name)

    def _inner(self, call: ast.Call, scope: Scope, names: LayerNames, operand: GraphValue) -> BuiltLayer:
        context = self._context
        return LayerMaker(context.cells, scope, names, context.origins, context.look_up, context.report).make(call, (operand,))
