"""Layers: a call in the spec and what flows into it, to a layer of the graph and what flows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

from rnnspec.diagnostics import Label, nearest
from rnnspec.frontend import ast
from rnnspec.frontend.activities import activity_regularizer
from rnnspec.frontend.arguments import Bindings, bind
from rnnspec.frontend.catalogue import KERAS_LAYERS_NOT_YET, LAYERS
from rnnspec.frontend.cells import BoundCell, bind_cell, instantiate
from rnnspec.frontend.equations import ELEMENT_LIMIT
from rnnspec.frontend.errors.flows import InitialStates, MergeMisfit, TakesOne
from rnnspec.frontend.errors.layers import (
    FeaturesNotFixed,
    InnerOption,
    LayerNotCalled,
    LayerTooLarge,
    MaskTooLate,
    NeedsFeatures,
    NeedsIds,
    NeedsRow,
    NeedsSequence,
    NotDistributed,
    NotRecurrent,
)
from rnnspec.frontend.errors.names import UnknownLayer, WrongValue
from rnnspec.frontend.errors.syntax import NotYet
from rnnspec.frontend.graph import (
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flowing,
    GlobalPooling,
    Layer,
    LayerNormalization,
    LayerWeight,
    Masking,
    Merge,
    MergeKind,
    MergeMode,
    Pointwise,
    PoolingKind,
    PReLU,
    Recurrent,
    RepeatVector,
    SpatialDropout,
    Steps,
    TimeDistributed,
    Value,
)
from rnnspec.frontend.naming import LayerNames
from rnnspec.frontend.values import Applied, Fault, Given, Report, Scope, Suppressed, Symbol, describe
from rnnspec.frontend.weight_options import activity_of, cell_weights, constraint_of, regularizer_of
from rnnspec.runtime.signature import Configured, InitializerPart
from rnnspec.source import Span


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the inputs are declared, for remarks on them."""

    inputs: Mapping[str, tuple[Span, Flowing]]

    def label(self, value: Value) -> tuple[Label, ...]:
        """A remark on the input that a value is the content of; on the only one, whatever the value."""
        name = value.type.source or (next(iter(self.inputs)) if len(self.inputs) == 1 else "")
        if name not in self.inputs:
            return ()
        span, type_ = self.inputs[name]
        return (Label(span, f"this input is {type_}"),)


@dataclass(frozen=True, slots=True)
class Made:
    """A layer with what it takes and what it gives; `operands` are those it was given, then initial states."""

    layer: Layer
    operands: tuple[Value, ...]
    results: tuple[Flowing, ...]


Maker: TypeAlias = Callable[[str, Bindings, ast.Call, Value], Made]

ACTIVATION_LAYERS = {"Activation": None, "Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu"}
"""Layers that are an activation, and which; None where an argument says."""

POINTWISE = frozenset({"Dense", "Dropout", "LayerNormalization", "PReLU", *ACTIVATION_LAYERS})
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
        origins: Origins,
        look_up: Callable[[str, Span], Value],
        report: Report,
    ) -> None:
        self._cells = cells
        self._scope = scope
        self._names = names
        self._origins = origins
        self._look_up = look_up
        self._report = report
        self._makers: Mapping[str, Maker] = {
            "Embedding": self._embedding,
            "Masking": self._masking,
            "Dense": self._dense,
            "Dropout": self._dropout,
            "LayerNormalization": self._layer_normalization,
            "PReLU": self._prelu,
            "RepeatVector": self._repeat_vector,
            "SpatialDropout1D": self._spatial_dropout,
            "TimeDistributed": self._time_distributed,
            **dict.fromkeys((kind.value for kind in PoolingKind), self._pooling),
            **dict.fromkeys(ACTIVATION_LAYERS, self._activation),
        }

    def make(self, call: ast.Call, operands: tuple[Value, ...] | None, given_name: str | None = None) -> Made:
        """The layer of a call; `given_name`: of a shared layer. Raises `Fault` or `Suppressed`."""
        type_name = call.callee.text
        if type_name in self._cells:
            return self._recurrent_layer(call, operands, given_name)
        if type_name not in LAYERS:
            raise _unknown(call, {*LAYERS, *self._cells})
        bindings = bind(type_name, LAYERS[type_name].arguments, call, self._scope, self._report)
        if bindings is None:
            raise Suppressed
        if type_name == "Bidirectional":
            return self._bidirectional(bindings, call, operands, given_name)
        name = self._name(type_name, bindings, call, given_name)
        if operands is None:
            raise Suppressed
        if type_name in {kind.value for kind in MergeKind}:
            return self._merge(name, MergeKind(type_name), call, operands)
        return self._makers[type_name](name, bindings, call, _one(call, operands))

    def _name(self, type_name: str, bindings: Bindings, call: ast.Call, given_name: str | None) -> str:
        name = bindings.word("name") or given_name or self._names.automatic(type_name)
        return self._names.take(name, call.callee.span)

    def _embedding(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        value = operand.type
        if not value.ids or value.steps is None:
            raise Fault(NeedsIds(span=call.callee.span, found=str(value), secondary=self._origins.label(operand)))
        input_dim, output_dim = bindings.whole("input_dim"), bindings.whole("output_dim")
        shape = (input_dim, output_dim)
        table = self._weight(name, "embeddings", shape, bindings, call)
        mask_zero = bindings.flag("mask_zero")
        steps = value.steps.masking(0.0) if mask_zero else value.steps
        output = Flowing((value.shape[0], output_dim), steps, computed=name)
        return Made(
            Embedding(name, input_dim, output_dim, mask_zero, table, activity_of(bindings, output, self._report)), (operand,), (output,)
        )

    def _masking(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        self._numbers(call, operand)
        value = self._sequence(call, operand)
        if not value.source or value.steps is None:
            raise Fault(MaskTooLate(span=call.callee.span, layer=value.computed))
        mask_value = bindings.real("mask_value")
        return Made(Masking(name, mask_value), (operand,), (replace(value, steps=value.steps.masking(mask_value)),))

    def _dense(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        features, units = self._numbers(call, operand), bindings.whole("units")
        kernel = self._weight(name, "kernel", (features, units), bindings, call)
        bias = None
        if bindings.flag("use_bias"):
            bias = self._weight(name, "bias", (units,), bindings, call)
        output = operand.type.with_features(units).by(name)
        layer = Dense(name, units, bindings.configured("activation"), kernel, bias, activity_of(bindings, output, self._report))
        return Made(layer, (operand,), (output,))

    def _dropout(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        self._numbers(call, operand)
        return Made(Dropout(name, bindings.real("rate")), (operand,), (operand.type.by(name),))

    def _activation(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        self._numbers(call, operand)
        kind = call.callee.text
        fixed = ACTIVATION_LAYERS[kind]
        if fixed is None:
            activation = bindings.configured("activation")
        else:
            activation = Configured(fixed, tuple((key, value) for key, value in bindings.plain() if key != "name"))
        return Made(Activation(name, kind, activation), (operand,), (operand.type.by(name),))

    def _layer_normalization(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        width = self._numbers(call, operand)
        gamma = beta = None
        if bindings.flag("scale"):
            gamma = self._weight(name, "gamma", (width,), bindings, call)
        if bindings.flag("center"):
            beta = self._weight(name, "beta", (width,), bindings, call)
        return Made(LayerNormalization(name, bindings.real("epsilon"), gamma, beta), (operand,), (operand.type.by(name),))

    def _prelu(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        """Of a sequence the slopes are shared over the time: another slope for each step has no meaning beside a mask."""
        width, given = self._numbers(call, operand), bindings.given("shared_axes")
        axes = [item.value for item in given.value] if isinstance(given.value, tuple) else given.value
        if operand.type.sequence and axes != [1]:
            raise Fault(NotYet(span=call.callee.span, what="a PReLU with a slope for each step", help="write `shared_axes = [1]`"))
        if not operand.type.sequence and axes is not None:
            problem = "none: a row has no axis to share slopes over"
            raise Fault(WrongValue(span=given.span, owner="`shared_axes` of PReLU", expected=problem, found=describe(given.value)))
        shape = (1, width) if operand.type.sequence else (width,)
        alpha = self._weight(name, "alpha", shape, bindings, call)
        return Made(PReLU(name, alpha), (operand,), (operand.type.by(name),))

    def _pooling(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        width = self._numbers(call, operand)
        self._sequence(call, operand)
        return Made(GlobalPooling(name, PoolingKind(call.callee.text)), (operand,), (Flowing((width,), computed=name, ended=name),))

    def _repeat_vector(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        width, count = self._numbers(call, operand), bindings.whole("n")
        self._row(call, operand)
        return Made(RepeatVector(name, count), (operand,), (Flowing((count, width), Steps((), count), computed=name),))

    def _spatial_dropout(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        self._numbers(call, operand)
        value = self._sequence(call, operand)
        return Made(SpatialDropout(name, bindings.real("rate")), (operand,), (value.by(name),))

    def _time_distributed(self, name: str, bindings: Bindings, call: ast.Call, operand: Value) -> Made:
        value, given = self._sequence(call, operand), bindings.given("layer")
        if isinstance(given.value, Symbol) and given.value.name in {*LAYERS, *self._cells}:
            raise Fault(LayerNotCalled(span=given.span, name=given.value.name))
        if not isinstance(given.value, Applied):
            raise Fault(NotDistributed(span=given.span, found=describe(given.value)))
        inner = given.value.call
        if inner.callee.text in {*LAYERS, *self._cells} - POINTWISE:
            raise Fault(NotDistributed(span=inner.callee.span, found=inner.callee.text))
        row = Value(operand.number, Flowing(value.shape[1:], computed=value.computed, source=value.source))
        maker = LayerMaker(self._cells, given.value.scope, self._names.inside(name), self._origins, self._look_up, self._report)
        made = maker.make(inner, (row,))
        if not isinstance(made.layer, Pointwise):
            raise Fault(NotDistributed(span=inner.callee.span, found=inner.callee.text))
        if activity_regularizer(made.layer) is not None:
            what, help_ = "an `activity_regularizer` inside of TimeDistributed", f"{inner.callee.text} works on a sequence by itself"
            raise Fault(NotYet(span=inner.callee.span, what=what, help=help_))
        return Made(TimeDistributed(name, made.layer), (operand,), (value.with_features(made.results[0].features).by(name),))

    def _merge(self, name: str, kind: MergeKind, call: ast.Call, operands: tuple[Value, ...]) -> Made:
        """Sequences keep the steps that are real in one of them."""
        for operand in operands:
            self._numbers(call, operand)
        values = [operand.type for operand in operands]
        shown = ", ".join(map(str, values))
        least, most = (2, 2) if kind is MergeKind.SUBTRACT else (2, len(values))

        def misfit(problem: str, help_: str = "") -> Fault:
            return Fault(MergeMisfit(span=call.callee.span, layer=kind.value, problem=problem, help=help_))

        if not least <= len(values) <= most:
            expected = "two values" if kind is MergeKind.SUBTRACT else "two values or more"
            raise misfit(f"expects {expected}, got {len(values)}", f"write `[a, b] -> {kind.value}()`")
        if len({value.sequence for value in values}) > 1:
            raise misfit(f"a sequence and a row: {shown}")
        if len({value.shape[:-1] for value in values}) > 1:
            raise misfit(f"sequences of different lengths: {shown}", "the same name of a dimension is the same length")
        if len({value.flipped for value in values}) > 1:
            raise Fault(NotYet(span=call.callee.span, what="merging a sequence in reversed order with one in its own order"))
        if values[0].flipped and len({value.steps for value in values}) > 1:
            raise Fault(NotYet(span=call.callee.span, what="merging sequences in reversed order that mask different steps"))
        widths = {value.features for value in values}
        if kind is not MergeKind.CONCATENATE and len(widths) > 1:
            raise misfit(f"different numbers of features: {shown}")
        features = sum(value.features for value in values) if kind is MergeKind.CONCATENATE else values[0].features
        output = values[0].with_features(features).by(name)
        for value in values[1:]:
            if output.steps is not None and value.steps is not None:
                output = replace(output, steps=output.steps.either(value.steps))
        return Made(Merge(name, kind), operands, (output,))

    def _recurrent_layer(self, call: ast.Call, operands: tuple[Value, ...] | None, given_name: str | None) -> Made:
        cell = bind_cell(self._cells[call.callee.text], call, self._scope, self._report)
        if cell is None:
            raise Suppressed
        name = self._name(call.callee.text, cell.options, call, given_name)
        if operands is None:
            raise Suppressed
        source = _one(call, operands)
        states = self._initial_states(cell.options.given("initial_state"), call.callee.text, stateful=cell.options.flag("stateful"))
        layer, results = self._recurrent(name, name, name, cell, call, source, bool(states))
        self._check_states(layer.step.cell, cell.options.given("initial_state"), states, [state.width for state in layer.step.states])
        return Made(layer, (source, *states), results)

    def _recurrent(
        self, owner: str, name: str, path: str, cell: BoundCell, call: ast.Call, operand: Value, initial_state: bool
    ) -> tuple[Recurrent, tuple[Flowing, ...]]:
        features = self._numbers(call, operand)
        value = self._sequence(call, operand)
        step = instantiate(cell, features, self._report)
        if step is None:
            raise Suppressed
        options = cell.options
        if options.flag("return_sequences"):
            output = Flowing(
                (value.shape[0], step.width), value.steps, flipped=value.flipped is not options.flag("go_backwards"), computed=owner
            )
        else:
            output = Flowing((step.width,), computed=owner, ended=owner)
        layer = Recurrent(
            name,
            path,
            step,
            options.flag("return_sequences"),
            options.flag("return_state"),
            options.flag("go_backwards"),
            options.flag("zero_output_for_mask"),
            options.flag("stateful"),
            options.real("dropout"),
            options.real("recurrent_dropout"),
            initial_state,
            cell_weights(cell, step, path, self._report),
            activity_of(options, output, self._report),
        )
        states = [Flowing((state.width,), computed=owner, ended=owner) for state in step.states] if layer.return_state else []
        return layer, (output, *states)

    def _initial_states(self, given: Given, layer: str, *, stateful: bool) -> tuple[Value, ...]:
        match given.value:
            case None:
                return ()
            case _ if stateful:
                problem = "a stateful layer starts from what the call before left"
                raise Fault(InitialStates(span=given.span, layer=layer, problem=problem))
            case Symbol(name):
                return (self._look_up(name, given.span),)
            case tuple() as items if items and all(isinstance(item.value, Symbol) for item in items):
                return tuple(self._look_up(item.value.name, item.span) for item in items if isinstance(item.value, Symbol))
            case _:
                problem = f"expected a value's name, or a list of names, got {describe(given.value)}"
                raise Fault(InitialStates(span=given.span, layer=layer, problem=problem))

    def _check_states(self, layer: str, given: Given, states: Sequence[Value], widths: Sequence[int]) -> None:
        if not states:
            return
        if len(states) != len(widths):
            counts = [f"{len(each)} {word}{'' if len(each) == 1 else 's'}" for word, each in (("state", widths), ("value", states))]
            problem = f"it has {counts[0]}, got {counts[1]}"
            raise Fault(InitialStates(span=given.span, layer=layer, problem=problem))
        for state, width in zip(states, widths, strict=True):
            if state.type.ids or state.type.shape != (width,):
                problem = f"expected float[batch, {width}], got {state.type}"
                raise Fault(InitialStates(span=given.span, layer=layer, problem=problem, secondary=self._origins.label(state)))

    def _bidirectional(self, bindings: Bindings, call: ast.Call, operands: tuple[Value, ...] | None, given_name: str | None) -> Made:
        inner, cell = self._wrapped(bindings.given("layer"))
        other = bindings.given("backward_layer")
        second = (inner, cell) if other.value is None else self._wrapped(other)
        options = cell.options
        if options.flag("go_backwards"):
            raise Fault(InnerOption(span=options.span("go_backwards"), option="go_backwards"))
        if other.value is not None:
            self._check_backward_layer(second[1], cell, other)
        inner_name = options.word("name") or self._names.automatic(inner.callee.text)
        forward_name, backward_name = f"forward_{inner_name}", f"backward_{inner_name}"
        if other.value is not None:
            backward_name = f"backward_{second[1].options.word('name') or self._names.automatic(second[0].callee.text)}"
        name = self._name("Bidirectional", bindings, call, given_name)
        if operands is None:
            raise Suppressed
        source = _one(call, operands)
        if options.given("initial_state").value is not None:
            raise Fault(InnerOption(span=options.span("initial_state"), option="initial_state"))
        states = self._initial_states(bindings.given("initial_state"), "Bidirectional", stateful=options.flag("stateful"))
        given = bool(states)
        forward, results = self._recurrent(name, forward_name, f"{name}/{forward_name}", cell, inner, source, given)
        backward, others = self._recurrent(name, backward_name, f"{name}/{backward_name}", second[1], second[0], source, given)
        backward = replace(backward, go_backwards=True)
        widths = [state.width for layer in (forward, backward) for state in layer.step.states]
        self._check_states("Bidirectional", bindings.given("initial_state"), states, widths)
        mode = MergeMode(bindings.word("merge_mode") or "none")
        outputs = self._merged_directions(mode, call, results[0], replace(others[0], flipped=results[0].flipped))
        layer = Bidirectional(name, forward, backward, mode)
        return Made(layer, (source, *states), (*outputs, *results[1:], *others[1:]))

    def _wrapped(self, given: Given) -> tuple[ast.Call, BoundCell]:
        """A cell with its arguments, given as an argument."""
        if isinstance(given.value, Symbol) and given.value.name in self._cells:
            raise Fault(LayerNotCalled(span=given.span, name=given.value.name))
        if not isinstance(given.value, Applied):
            raise Fault(NotRecurrent(span=given.span, found=f"`{describe(given.value)}`"))
        inner = given.value.call
        if inner.callee.text in LAYERS:
            raise Fault(NotRecurrent(span=inner.callee.span, found=f"`{inner.callee.text}`"))
        if inner.callee.text not in self._cells:
            raise _unknown(inner, set(self._cells))
        cell = bind_cell(self._cells[inner.callee.text], inner, given.value.scope, self._report)
        if cell is None:
            raise Suppressed
        return inner, cell

    def _check_backward_layer(self, backward: BoundCell, forward: BoundCell, given: Given) -> None:
        """Keras asks for `go_backwards`, and for the same of what both must agree in."""
        if not backward.options.flag("go_backwards"):
            raise Fault(NotRecurrent(span=given.span, found="a `backward_layer` without `go_backwards = true`"))
        for option in ("return_sequences", "return_state"):
            if backward.options.flag(option) is not forward.options.flag(option):
                raise Fault(NotRecurrent(span=given.span, found=f"a `backward_layer` with another `{option}` than the layer"))

    def _merged_directions(self, mode: MergeMode, call: ast.Call, forward: Flowing, backward: Flowing) -> tuple[Flowing, ...]:
        if mode is MergeMode.NONE:
            return forward, backward
        if mode is MergeMode.CONCAT:
            return (forward.with_features(forward.features + backward.features),)
        if forward.features != backward.features:
            problem = f"different numbers of features: {forward}, {backward}"
            raise Fault(MergeMisfit(span=call.callee.span, layer="Bidirectional", problem=problem))
        return (forward,)

    def _weight(self, layer: str, name: str, shape: tuple[int, ...], bindings: Bindings, call: ast.Call) -> LayerWeight:
        """A weight that is trained, as the layer's arguments with its name in front say."""
        if prod(shape) > ELEMENT_LIMIT:
            raise Fault(LayerTooLarge(span=call.span, layer=call.callee.text, shape=str(list(shape))))
        initializer = (InitializerPart(0, shape[-1], bindings.configured(f"{name}_initializer")),)
        of = name, name, shape, self._report
        regularizer, constraint = regularizer_of(bindings, *of), constraint_of(bindings, *of)
        return LayerWeight(f"{layer}/{name}", shape, initializer, regularizer=regularizer, constraint=constraint)

    def _numbers(self, call: ast.Call, operand: Value) -> int:
        """The number of features of what flows in, which must be numbers."""
        layer, span, value = call.callee.text, call.callee.span, operand.type
        if value.ids:
            help_ = "put an Embedding before it"
            raise Fault(NeedsFeatures(span=span, layer=layer, found=str(value), secondary=self._origins.label(operand), help=help_))
        extent = value.shape[-1]
        if isinstance(extent, int):
            return extent
        example = ", ".join(map(str, (*value.shape[:-1], 12) if value.sequence else (extent, 12)))
        help_ = f"write `float[{example}]` if each frame has 12 features"
        raise Fault(FeaturesNotFixed(span=span, layer=layer, extent=extent, secondary=self._origins.label(operand), help=help_))

    def _row(self, call: ast.Call, operand: Value) -> None:
        if operand.type.sequence:
            raise Fault(NeedsRow(span=call.callee.span, layer=call.callee.text, found=str(operand.type)))

    def _sequence(self, call: ast.Call, operand: Value) -> Flowing:
        value = operand.type
        if value.sequence:
            return value
        if not value.ended:
            help_, labels = f"write `float[time, {value.shape[-1]}]` if it is a sequence", self._origins.label(operand)
        else:
            help_ = "write `return_sequences = true` there for all steps"
            labels = (Label(self._names.place(value.ended), "gives only its last step"),)
        raise Fault(NeedsSequence(span=call.callee.span, layer=call.callee.text, found=str(value), secondary=labels, help=help_))


def _one(call: ast.Call, operands: tuple[Value, ...]) -> Value:
    if len(operands) == 1:
        return operands[0]
    raise Fault(TakesOne(span=call.callee.span, layer=call.callee.text, count=len(operands)))


def _unknown(call: ast.Call, known: set[str]) -> Fault:
    name = call.callee.text
    if name in KERAS_LAYERS_NOT_YET:
        return Fault(NotYet(span=call.callee.span, what=f"the layer {name}"))
    help_ = nearest(name, known) or f"there are {', '.join(sorted(known))}"
    return Fault(UnknownLayer(span=call.callee.span, name=name, help=help_))
