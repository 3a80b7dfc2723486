"""Layers: a call in the spec to a layer of the graph, given what flows into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from rnnspec.diagnostics import Label, nearest
from rnnspec.frontend import ast
from rnnspec.frontend.arguments import Bindings, bind
from rnnspec.frontend.catalogue import KERAS_LAYERS_NOT_YET, LAYERS
from rnnspec.frontend.cells import BoundCell, bind_cell, instantiate
from rnnspec.frontend.equations import ELEMENT_LIMIT
from rnnspec.frontend.errors.layers import (
    FeaturesNotFixed,
    InnerOption,
    LayerNotCalled,
    LayerTooLarge,
    MaskTooLate,
    NeedsFeatures,
    NeedsIds,
    NeedsSequence,
    NotMerged,
    NotRecurrent,
)
from rnnspec.frontend.errors.names import UnknownLayer
from rnnspec.frontend.errors.syntax import NotYet
from rnnspec.frontend.graph import (
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flowing,
    Layer,
    LayerWeight,
    Masking,
    MergeMode,
    Recurrent,
    gives_two,
)
from rnnspec.frontend.naming import LayerNames
from rnnspec.frontend.values import Applied, Fault, Report, Scope, Suppressed, Symbol, describe
from rnnspec.runtime.signature import Configured, InitializerPart
from rnnspec.source import Span


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the model's input is declared, for remarks on it."""

    span: Span
    value: Flowing


class LayerChain:
    """Makes the layers of a sequential model one after the other.

    After a fault what flows on is unknown: later layers are still checked for themselves, but not
    against their input.
    """

    def __init__(self, cells: Mapping[str, ast.Cell], scope: Scope, origin: Origin | None, report: Report) -> None:
        self.layers: list[Layer] = []
        self._cells = cells
        self._scope = scope
        self._origin = origin
        self._report = report
        self._names = LayerNames()
        self._value = None if origin is None else origin.value
        self._makers: Mapping[str, Callable[[str, Bindings, ast.Call, Flowing], Layer]] = {
            "Embedding": self._embedding,
            "Masking": self._masking,
            "Dense": self._dense,
            "Dropout": self._dropout,
            "Activation": self._activation,
        }

    def add(self, call: ast.Call) -> None:
        layer: Layer | None = None
        with self._report.catching():
            if self._value is not None and self.layers and gives_two(last := self.layers[-1]):
                self._value = None
                secondary = (Label(self._names.place(last.name), "gives two values"),)
                self._report.add(NotMerged(span=call.callee.span, secondary=secondary))
            layer = self._layer(call)
        if layer is not None:
            self.layers.append(layer)
        self._value = None if layer is None else layer.output

    def lose_track(self) -> None:
        """What flows on from here is unknown, and why is reported."""
        self._value = None

    def _layer(self, call: ast.Call) -> Layer | None:
        type_name = call.callee.text
        if type_name in self._cells:
            return self._recurrent_layer(call)
        if type_name not in LAYERS:
            raise _unknown(call, {*LAYERS, *self._cells})
        bindings = bind(type_name, LAYERS[type_name].arguments, call, self._scope, self._report)
        if bindings is None:
            raise Suppressed
        if type_name == "Bidirectional":
            return self._bidirectional(bindings, call)
        name = self._name(type_name, bindings, call)
        return None if self._value is None else self._makers[type_name](name, bindings, call, self._value)

    def _name(self, type_name: str, bindings: Bindings, call: ast.Call) -> str:
        name = bindings.word("name") or self._names.automatic(type_name)
        return self._names.take(name, call.callee.span)

    def _embedding(self, name: str, bindings: Bindings, call: ast.Call, value: Flowing) -> Embedding:
        if not value.ids:
            raise Fault(NeedsIds(span=call.callee.span, found=str(value), secondary=self._input_label()))
        input_dim, output_dim = bindings.whole("input_dim"), bindings.whole("output_dim")
        shape = (input_dim, output_dim)
        table = self._weight(name, "embeddings", shape, bindings.configured("embeddings_initializer"), call)
        mask_zero = bindings.flag("mask_zero")
        output = Flowing((value.shape[0], output_dim), sequence=True, masked=mask_zero)
        return Embedding(name, input_dim, output_dim, mask_zero, table, output)

    def _masking(self, name: str, bindings: Bindings, call: ast.Call, value: Flowing) -> Masking:
        self._numbers(call, value)
        self._sequence(call, value)
        computed = [layer for layer in self.layers if not isinstance(layer, Masking)]
        if computed:
            raise Fault(MaskTooLate(span=call.callee.span, layer=computed[0].name))
        output = Flowing(value.shape, sequence=True, masked=True)
        return Masking(name, bindings.real("mask_value"), output)

    def _dense(self, name: str, bindings: Bindings, call: ast.Call, value: Flowing) -> Dense:
        features, units = self._numbers(call, value), bindings.whole("units")
        kernel = self._weight(name, "kernel", (features, units), bindings.configured("kernel_initializer"), call)
        bias = None
        if bindings.flag("use_bias"):
            bias = self._weight(name, "bias", (units,), bindings.configured("bias_initializer"), call)
        return Dense(name, units, bindings.configured("activation"), kernel, bias, value.with_features(units))

    def _dropout(self, name: str, bindings: Bindings, call: ast.Call, value: Flowing) -> Dropout:
        self._numbers(call, value)
        return Dropout(name, bindings.real("rate"), value)

    def _activation(self, name: str, bindings: Bindings, call: ast.Call, value: Flowing) -> Activation:
        self._numbers(call, value)
        return Activation(name, bindings.configured("activation"), value)

    def _recurrent_layer(self, call: ast.Call) -> Recurrent | None:
        cell = bind_cell(self._cells[call.callee.text], call, self._scope, self._report)
        if cell is None:
            raise Suppressed
        name = self._name(call.callee.text, cell.options, call)
        return None if self._value is None else self._recurrent(name, name, cell, call, self._value)

    def _recurrent(self, name: str, path: str, cell: BoundCell, call: ast.Call, value: Flowing) -> Recurrent:
        features = self._numbers(call, value)
        self._sequence(call, value)
        step = instantiate(cell, features, self._report)
        if step is None:
            raise Suppressed
        weights = tuple(LayerWeight(f"{path}/{weight.name}", weight.shape, weight.initializer, weight.trainable) for weight in step.weights)
        sequences, backwards = cell.options.flag("return_sequences"), cell.options.flag("go_backwards")
        if sequences:
            shape, masked, flipped = (value.shape[0], step.width), value.masked, value.flipped is not backwards
            output = Flowing(shape, sequence=True, masked=masked, flipped=flipped)
        else:
            output = Flowing((step.width,), sequence=False)
        return Recurrent(name, step, sequences, backwards, cell.options.flag("zero_output_for_mask"), weights, output)

    def _bidirectional(self, bindings: Bindings, call: ast.Call) -> Bidirectional | None:
        given = bindings.given("layer")
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
        if cell.options.flag("go_backwards"):
            raise Fault(InnerOption(span=cell.options.span("go_backwards"), option="go_backwards"))
        inner_name = cell.options.word("name") or self._names.automatic(inner.callee.text)
        name = self._name("Bidirectional", bindings, call)
        if self._value is None:
            return None
        forward_name, backward_name = f"forward_{inner_name}", f"backward_{inner_name}"
        forward = self._recurrent(forward_name, f"{name}/{forward_name}", cell, inner, self._value)
        backward = self._recurrent(backward_name, f"{name}/{backward_name}", cell, inner, self._value)
        mode = MergeMode(bindings.word("merge_mode") or "none")
        width = forward.output.features * (2 if mode is MergeMode.CONCAT else 1)
        return Bidirectional(name, forward, backward, mode, forward.output.with_features(width))

    def _weight(self, layer: str, name: str, shape: tuple[int, ...], initializer: Configured, call: ast.Call) -> LayerWeight:
        if prod(shape) > ELEMENT_LIMIT:
            raise Fault(LayerTooLarge(span=call.span, layer=call.callee.text, shape=str(list(shape))))
        return LayerWeight(f"{layer}/{name}", shape, (InitializerPart(0, shape[-1], initializer),))

    def _numbers(self, call: ast.Call, value: Flowing) -> int:
        """The number of features of what flows in, which must be numbers."""
        layer, span = call.callee.text, call.callee.span
        if value.ids:
            help_ = "put an Embedding before it"
            raise Fault(NeedsFeatures(span=span, layer=layer, found=str(value), secondary=self._input_label(), help=help_))
        extent = value.shape[-1]
        if isinstance(extent, int):
            return extent
        example = ", ".join(map(str, (*value.shape[:-1], 12) if value.sequence else (extent, 12)))
        help_ = f"write `float[{example}]` if each frame has 12 features"
        raise Fault(FeaturesNotFixed(span=span, layer=layer, extent=extent, secondary=self._input_label(), help=help_))

    def _sequence(self, call: ast.Call, value: Flowing) -> None:
        if value.sequence:
            return
        last = next((layer for layer in reversed(self.layers) if isinstance(layer, Recurrent | Bidirectional)), None)
        if last is None:
            help_, labels = f"write `float[time, {value.shape[-1]}]` if it is a sequence", self._input_label()
        else:
            help_ = "write `return_sequences = true` there for all steps"
            labels = (Label(self._names.place(last.name), "gives only its last step"),)
        raise Fault(NeedsSequence(span=call.callee.span, layer=call.callee.text, found=str(value), secondary=labels, help=help_))

    def _input_label(self) -> tuple[Label, ...]:
        return () if self._origin is None else (Label(self._origin.span, f"this input is {self._origin.value}"),)


def _unknown(call: ast.Call, known: set[str]) -> Fault:
    name = call.callee.text
    if name in KERAS_LAYERS_NOT_YET:
        return Fault(NotYet(span=call.callee.span, what=f"the layer {name}"))
    help_ = nearest(name, known) or f"there are {', '.join(sorted(known))}"
    return Fault(UnknownLayer(span=call.callee.span, name=name, help=help_))
