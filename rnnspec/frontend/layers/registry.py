"""Layers: a call in the spec and what flows into it, to a layer of the graph and what flows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, bind
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.misplaced_arguments import inner_arguments
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, Report, Scope, Symbol, describe
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layers import (
    Activation,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    GlobalPooling,
    LocalPoolingKind,
    Masking,
    Merge,
    MergeKind,
    Pointwise,
    PoolingKind,
    RepeatVector,
    ShapeKind,
    SpatialDropout,
    TimeDistributed,
)
from rnnspec.frontend.graph.regularized_outputs import activity_regularizer
from rnnspec.frontend.layers.attention import make_attention, make_dot
from rnnspec.frontend.layers.checks import BuiltLayer, InputSpans, ShapeRules, one, unknown_layer
from rnnspec.frontend.layers.normalization import batch_normalization, layer_normalization
from rnnspec.frontend.layers.recurrent import STACK, RecurrentMaker
from rnnspec.frontend.layers.steps import joined_steps, make_prelu, make_softmax
from rnnspec.frontend.layers.weight_options import activity_of
from rnnspec.frontend.layers.windows import make_convolution, make_local_pooling, make_reshaping
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

Maker: TypeAlias = Callable[[str, Bindings, ast.Call, GraphValue], BuiltLayer]
JoinMaker: TypeAlias = Callable[[str, Bindings, ast.Call, tuple[GraphValue, ...]], BuiltLayer]

ACTIVATION_LAYERS = {"Activation": None, "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu"}
"""Layers that are an activation, and which; None where an argument says."""

POINTWISE = frozenset({"Dense", "Dropout", "GaussianNoise", "LayerNormalization", "PReLU", "Softmax", *ACTIVATION_LAYERS})
"""Layers that make a `Pointwise`."""


class LayerMaker:
    """Makes the layers of a model or of a block's use.

    `prefix` stands before the layers' names. `look_up` finds a named value of the graph. Where what
    flows in is unknown (None), a layer is still checked for itself, but not against its input.
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
        self._cells = cells
        self._scope = scope
        self._names = names
        self._origins = origins
        self._look_up = look_up
        self._report = report
        self._checks = ShapeRules(names, origins, report)
        self._recurrent = RecurrentMaker(cells, names, origins, self._checks, look_up, report)
        self._makers: Mapping[str, Maker] = {
            "Conv1D": partial(make_convolution, self._checks),
            **dict.fromkeys((kind.value for kind in LocalPoolingKind), partial(make_local_pooling, self._checks)),
            **dict.fromkeys((kind.value for kind in ShapeKind), partial(make_reshaping, self._checks)),
            "Embedding": self._embedding,
            "Masking": self._masking,
            "Dense": self._dense,
            "Dropout": self._dropout,
            "GaussianNoise": self._gaussian_noise,
            "LayerNormalization": self._layer_normalization,
            "BatchNormalization": self._batch_normalization,
            "PReLU": partial(make_prelu, self._checks),
            "Softmax": partial(make_softmax, self._checks),
            "RepeatVector": self._repeat_vector,
            "SpatialDropout1D": self._spatial_dropout,
            "TimeDistributed": self._time_distributed,
            **dict.fromkeys((kind.value for kind in PoolingKind), self._pooling),
            **dict.fromkeys(ACTIVATION_LAYERS, self._activation),
        }
        self._join_makers: Mapping[str, JoinMaker] = {
            "Attention": partial(make_attention, self._checks),
            "Dot": partial(make_dot, self._checks),
            **dict.fromkeys((kind.value for kind in MergeKind), self._merge),
        }

    def make(self, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None = None) -> BuiltLayer:
        """The layer of a call; `given_name`: of a shared layer. Raises `CheckError` or `AlreadyReported`."""
        type_name = call.callee.text
        if type_name == STACK or type_name in self._cells:
            return self._recurrent.layer(call, self._scope, operands, given_name)
        if type_name not in LAYERS:
            raise unknown_layer(type_name, call.callee.span, {*LAYERS, *self._cells})
        bindings = bind(type_name, LAYERS[type_name].arguments, call, self._scope, self._report, inner_arguments(call, self._cells))
        if bindings is None:
            raise AlreadyReported
        if type_name == "Bidirectional":
            return self._recurrent.bidirectional(bindings, call, operands, given_name)
        name = self._name(type_name, bindings, call, given_name)
        if operands is None:
            raise AlreadyReported
        if type_name in self._join_makers:
            return self._join_makers[type_name](name, bindings, call, operands)
        return self._makers[type_name](name, bindings, call, one(call, operands))

    def _name(self, type_name: str, bindings: Bindings, call: ast.Call, given_name: str | None) -> str:
        name = bindings.word("name") or given_name or self._names.automatic(type_name)
        return self._names.take(name, call.callee.span)

    def _embedding(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        value = operand.type
        if not value.ids or value.steps is None:
            raise CheckError(errors.layers.NeedsIds(span=call.callee.span, found=str(value), secondary=self._origins.label(operand)))
        input_dim, output_dim = bindings.whole("input_dim"), bindings.whole("output_dim")
        shape = (input_dim, output_dim)
        table = self._checks.weight(name, "embeddings", shape, bindings, call)
        mask_zero = bindings.flag("mask_zero")
        steps = value.steps.masking(0.0) if mask_zero else value.steps
        output = GraphTensor((value.shape[0], output_dim), steps, computed=name)
        return BuiltLayer(
            Embedding(name, input_dim, output_dim, mask_zero, table, activity_of(bindings, output, self._report)), (operand,), (output,)
        )

    def _masking(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        self._checks.numbers(call, operand)
        value = self._checks.sequence(call, operand)
        if not value.source or value.steps is None:
            raise CheckError(errors.layers.MaskTooLate(span=call.callee.span, layer=value.computed))
        mask_value = bindings.real("mask_value")
        return BuiltLayer(Masking(name, mask_value), (operand,), (replace(value, steps=value.steps.masking(mask_value)),))

    def _dense(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        features, units = self._checks.numbers(call, operand), bindings.whole("units")
        kernel = self._checks.weight(name, "kernel", (features, units), bindings, call)
        bias = None
        if bindings.flag("use_bias"):
            bias = self._checks.weight(name, "bias", (units,), bindings, call)
        output = operand.type.with_features(units).by(name)
        layer = Dense(name, units, bindings.configured("activation"), kernel, bias, activity_of(bindings, output, self._report))
        return BuiltLayer(layer, (operand,), (output,))

    def _dropout(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        self._checks.numbers(call, operand)
        return BuiltLayer(Dropout(name, bindings.real("rate")), (operand,), (operand.type.by(name),))

    def _gaussian_noise(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        self._checks.numbers(call, operand)
        return BuiltLayer(GaussianNoise(name, bindings.real("stddev")), (operand,), (operand.type.by(name),))

    def _activation(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        self._checks.numbers(call, operand)
        kind = call.callee.text
        fixed = ACTIVATION_LAYERS[kind]
        if fixed is None:
            activation = bindings.configured("activation")
        else:
            activation = Config(fixed, tuple((key, value) for key, value in bindings.plain() if key != "name"))
        return BuiltLayer(Activation(name, kind, activation), (operand,), (operand.type.by(name),))

    def _layer_normalization(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        width = self._checks.numbers(call, operand)
        self._checks.last_axis(call, bindings, operand)
        layer = layer_normalization(name, width, bindings, call, self._checks)
        return BuiltLayer(layer, (operand,), (operand.type.by(name),))

    def _batch_normalization(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        width = self._checks.numbers(call, operand)
        self._checks.last_axis(call, bindings, operand)
        layer = batch_normalization(name, width, bindings, call, self._checks)
        return BuiltLayer(layer, (operand,), (operand.type.by(name),))

    def _pooling(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        width = self._checks.numbers(call, operand)
        self._checks.sequence(call, operand)
        layer = GlobalPooling(name, PoolingKind(call.callee.text), bindings.flag("keepdims"))
        output = (
            GraphTensor((1, width), StepMask((), 1), computed=name) if layer.keepdims else GraphTensor((width,), computed=name, ended=name)
        )
        return BuiltLayer(layer, (operand,), (output,))

    def _repeat_vector(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        width, count = self._checks.numbers(call, operand), bindings.whole("n")
        self._checks.row(call, operand)
        return BuiltLayer(RepeatVector(name, count), (operand,), (GraphTensor((count, width), StepMask((), count), computed=name),))

    def _spatial_dropout(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        self._checks.numbers(call, operand)
        value = self._checks.sequence(call, operand)
        return BuiltLayer(SpatialDropout(name, bindings.real("rate")), (operand,), (value.by(name),))

    def _time_distributed(self, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
        value, given = self._checks.sequence(call, operand), bindings.given("layer")
        if isinstance(given.value, Symbol) and given.value.name in {*LAYERS, *self._cells}:
            raise CheckError(errors.layers.LayerNotCalled(span=given.span, name=given.value.name))
        if not isinstance(given.value, CallValue):
            raise CheckError(errors.layers.NotDistributed(span=given.span, found=describe(given.value)))
        inner = given.value.call
        if inner.callee.text in {*LAYERS, *self._cells} - POINTWISE:
            raise CheckError(errors.layers.NotDistributed(span=inner.callee.span, found=inner.callee.text))
        row = GraphValue(operand.number, GraphTensor(value.shape[1:], computed=value.computed, source=value.source))
        maker = LayerMaker(self._cells, given.value.scope, self._names.inside(name), self._origins, self._look_up, self._report)
        made = maker.make(inner, (row,))
        if not isinstance(made.layer, Pointwise):
            raise CheckError(errors.layers.NotDistributed(span=inner.callee.span, found=inner.callee.text))
        if activity_regularizer(made.layer) is not None:
            what, help_ = "an `activity_regularizer` inside of TimeDistributed", f"{inner.callee.text} works on a sequence by itself"
            raise CheckError(errors.syntax.NotYet(span=inner.callee.span, what=what, help=help_))
        return BuiltLayer(TimeDistributed(name, made.layer), (operand,), (value.with_features(made.results[0].features).by(name),))

    def _merge(self, name: str, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...]) -> BuiltLayer:
        """Sequences keep the steps that are real in one of them."""
        kind = MergeKind(call.callee.text)
        for operand in operands:
            self._checks.numbers(call, operand)
        axes = [kind is MergeKind.CONCATENATE and self._checks.of_steps(call, bindings, operand) for operand in operands]
        over_steps = any(axes)
        values = [operand.type for operand in operands]
        shown = ", ".join(map(str, values))
        least, most = (2, 2) if kind is MergeKind.SUBTRACT else (2, len(values))

        def misfit(problem: str, help_: str = "") -> CheckError:
            return CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer=kind.value, problem=problem, help=help_))

        if not least <= len(values) <= most:
            expected = "two values" if kind is MergeKind.SUBTRACT else "two values or more"
            raise misfit(f"expects {expected}, got {len(values)}", f"write `[a, b] -> {kind.value}()`")
        if len({value.sequence for value in values}) > 1:
            raise misfit(f"a sequence and a row: {shown}")
        if not over_steps and len({value.shape[:-1] for value in values}) > 1:
            raise misfit(f"sequences of different lengths: {shown}", "the same name of a dimension is the same length")
        if len({value.flipped for value in values}) > 1:
            raise CheckError(
                errors.syntax.NotYet(span=call.callee.span, what="merging a sequence in reversed order with one in its own order")
            )
        if values[0].flipped and not over_steps and len({value.steps for value in values}) > 1:
            raise CheckError(
                errors.syntax.NotYet(span=call.callee.span, what="merging sequences in reversed order that mask different steps")
            )
        widths = {value.features for value in values}
        if (over_steps or kind is not MergeKind.CONCATENATE) and len(widths) > 1:
            raise misfit(f"different numbers of features: {shown}")
        if over_steps:
            return BuiltLayer(Merge(name, kind, over_steps=True), operands, (joined_steps(values).by(name),))
        features = sum(value.features for value in values) if kind is MergeKind.CONCATENATE else values[0].features
        output = values[0].with_features(features).by(name)
        for value in values[1:]:
            if output.steps is not None and value.steps is not None:
                output = replace(output, steps=output.steps.either(value.steps))
        return BuiltLayer(Merge(name, kind), operands, (output,))


def takes_several(type_name: str) -> bool:
    """Whether a layer takes a list of values."""
    return type_name in {"Attention", "Dot", *(kind.value for kind in MergeKind)}
