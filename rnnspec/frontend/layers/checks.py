"""The checks that makers of layers share: shapes of operands, weights, built layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from rnnspec.contract.signature import Config, InitializerPart
from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding import keras_advice
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.values import CheckError, Report
from rnnspec.frontend.cells.cell_ir import ELEMENT_LIMIT
from rnnspec.frontend.cells.row_functions import activation_step
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers.weight_options import constraint_of, regularizer_of
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.standard_library import functions
from rnnspec.frozen import frozen
from rnnspec.source import Span


@frozen
class InputSpans:
    """Where the inputs are declared, for remarks on them."""

    inputs: Mapping[str, tuple[Span, GraphTensor]]

    def label(self, value: GraphValue) -> tuple[Label, ...]:
        """A remark on the input that a value comes from unchanged; with a single input, a remark on that one."""
        name = value.type.source or (next(iter(self.inputs)) if len(self.inputs) == 1 else "")
        if name not in self.inputs:
            return ()
        span, type_ = self.inputs[name]
        return (Label(span, f"this input is {type_}"),)


@frozen
class BuiltLayer:
    """A checked layer. `operands`: its inputs, then its initial states. `results`: the types of its outputs, then of returned states."""

    layer: Layer
    operands: tuple[GraphValue, ...]
    results: tuple[GraphTensor, ...]
    call: Config = Config("")
    """The layer's type with all its arguments, defaults filled in; an inner layer is one of them."""


class ShapeRules:
    """The shape checks of one model, or of one use of a block."""

    def __init__(self, names: LayerNames, origins: InputSpans, report: Report, own: Mapping[str, ast.Function]) -> None:
        """`own`: the spec's functions."""
        self._names = names
        self._own = own
        self.report = report
        self.origins = origins

    def weight(self, layer: str, name: str, shape: tuple[int, ...], bindings: Bindings, call: ast.Call) -> LayerWeight:
        """A trained weight, with the initializer, regularizer and constraint from the arguments that begin with its name."""
        made = self.plain_weight(layer, name, shape, bindings.configured(f"{name}_initializer"), call)
        of = name, name, shape, self.report
        return replace(made, regularizer=regularizer_of(bindings, *of), constraint=constraint_of(bindings, *of))

    def plain_weight(self, layer: str, name: str, shape: tuple[int, ...], initializer: Config, call: ast.Call) -> LayerWeight:
        """A trained weight with an initializer alone; LayerTooLarge above `ELEMENT_LIMIT` elements."""
        if prod(shape) > ELEMENT_LIMIT:
            raise CheckError(errors.layers.LayerTooLarge(span=call.span, layer=call.callee.text, shape=str(list(shape))))
        return LayerWeight(f"{layer}/{name}", shape, (InitializerPart(0, shape[-1] if shape else 1, initializer),))

    def activation(self, bindings: Bindings, width: int) -> Config:
        """The argument `activation`; `CheckError` for a function of the spec that doesn't fit a row of the width."""
        activation = bindings.configured("activation")
        if activation.name in self._own:
            activation_step(activation, width, functions(self._own), bindings.given("activation").span, self.report)
        return activation

    def numbers(self, call: ast.Call, operand: GraphValue) -> int:
        """The operand's number of features; an error for ids, and for a symbolic number of features."""
        layer, span, value = call.callee.text, call.callee.span, operand.type
        if value.ids:
            help_ = "put an Embedding before it"
            raise CheckError(
                errors.layers.NeedsFeatures(span=span, layer=layer, found=str(value), secondary=self.origins.label(operand), help=help_)
            )
        extent = value.shape[-1]
        if isinstance(extent, int):
            return extent
        example = ", ".join(map(str, (*value.shape[:-1], 12) if value.sequence else (extent, 12)))
        help_ = f"write `float[{example}]` if each frame has 12 features"
        raise CheckError(
            errors.layers.FeaturesNotFixed(span=span, layer=layer, extent=extent, secondary=self.origins.label(operand), help=help_)
        )

    def last_axis(self, call: ast.Call, bindings: Bindings, operand: GraphValue) -> None:
        """Refuses another `axis` than the last one; 0 is the batch."""
        given, last = bindings.integers("axis"), len(operand.type.shape)
        if given not in ((-1,), (last,)):
            help_ = f"write `axis = -1`, or `axis = {last}`"
            raise self._no_axis(call, bindings, operand, "the features, the last axis", "isn't the last", help_)

    def of_steps(self, call: ast.Call, bindings: Bindings, operand: GraphValue) -> bool:
        """Whether `axis` is the steps of a sequence; refuses another one than these and the last."""
        given = bindings.integers("axis")
        if not operand.type.sequence or given in ((-1,), (2,)):
            self.last_axis(call, bindings, operand)
            return False
        if given in ((1,), (-2,)):
            return True
        help_ = "write `axis = -1` for the features, or `axis = 1` for the steps"
        raise self._no_axis(call, bindings, operand, "one axis, the features or the steps", "isn't one of these", help_)

    def _no_axis(self, call: ast.Call, bindings: Bindings, operand: GraphValue, works_on: str, wrong: str, help_: str) -> CheckError:
        shown, layer, found = ", ".join(map(str, bindings.integers("axis"))), call.callee.text, str(operand.type)
        span = bindings.span("axis")
        return CheckError(
            errors.layers.WrongAxis(span=span, layer=layer, given=shown, found=found, works_on=works_on, wrong=wrong, help=help_)
        )

    def row(self, call: ast.Call, operand: GraphValue) -> None:
        """Refuses a sequence: NeedsRow at the layer's name."""
        if operand.type.sequence:
            raise CheckError(errors.layers.NeedsRow(span=call.callee.span, layer=call.callee.text, found=str(operand.type)))

    def sequence(self, call: ast.Call, operand: GraphValue) -> GraphTensor:
        """The operand's type, which must be a sequence's: else NeedsSequence, which says where its steps were lost."""
        value = operand.type
        if value.sequence:
            return value
        if not value.ended:
            help_, labels = f"write `float[time, {value.shape[-1]}]` if it is a sequence", self.origins.label(operand)
        elif value.one_row:
            help_ = "bring it the sequence from before that layer"
            labels = (Label(self._names.place(value.ended), "gives one row for all steps"),)
        else:
            help_ = "write `return_sequences = true` there for all steps"
            labels = (Label(self._names.place(value.ended), "gives only its last step"),)
        raise CheckError(
            errors.layers.NeedsSequence(span=call.callee.span, layer=call.callee.text, found=str(value), secondary=labels, help=help_)
        )


def one(call: ast.Call, operands: tuple[GraphValue, ...]) -> GraphValue:
    """The only operand; TakesOne for any other number of them."""
    if len(operands) == 1:
        return operands[0]
    raise CheckError(errors.flows.TakesOne(span=call.callee.span, layer=call.callee.text, count=len(operands)))


def unknown_layer(name: str, span: Span, known: set[str], otherwise: str = "") -> CheckError:
    """The error for a name that is no layer's, with the nearest one, the advice for Keras's, or `otherwise`."""
    return CheckError(keras_advice.unknown_layer(name, span, known, otherwise))
