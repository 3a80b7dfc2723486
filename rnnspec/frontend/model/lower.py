"""Layer graph to tensor IR: `@forward` over packed tokens, padded form at the entry and the exit only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from math import prod
from typing import Literal, TypeAlias

from rnnspec.contract.dimensions import Tokens
from rnnspec.contract.location import UNKNOWN, told_with
from rnnspec.contract.objective import Objective, OutputObjective, target_name
from rnnspec.contract.signature import EVERY_STEP
from rnnspec.frontend.cells.row_functions import activation_step
from rnnspec.frontend.graph.graph import ONE_STEP, Graph, StepMask, StepPairs, Windowed
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.random_draws import Draws
from rnnspec.frontend.lowering.sequence_values import Flow, PaddedSequence, RowValue
from rnnspec.frontend.model import objectives
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.regularized_outputs import activities
from rnnspec.frontend.model.streaming import clock_of, time_of
from rnnspec.frontend.syntax.standard_library import functions
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Function, Module, Result, Role, Value
from rnnspec.ir.types import BATCH, Dim, DType, TensorType

Precision: TypeAlias = Literal["float32", "float64"]

DTYPES: dict[str, DType] = {"float32": DType.F32, "float64": DType.F64}


def lower(
    graph: Graph,
    *,
    dtype: Precision,
    training: bool,
    streaming: bool = False,
    activities: bool = False,
    objective: Objective = (),
    frozen: Collection[str] = (),
) -> Module:
    """The module of a model; `training`: what only training does is done; `streaming` carries every recurrent layer over calls.

    `activities`: what activity regularizers look at follows the outputs. `objective`: its results stand in the place of the outputs, and
    the targets are further inputs. `frozen`: the paths of weights that stay as they are, moving statistics among them.
    """
    return Module(graph.model, (_Lowering(graph, DTYPES[dtype], training, streaming, activities, objective, frozen).function(),))


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        dtype: DType,
        training: bool,
        streaming: bool,
        observed: bool,
        objective: Objective,
        frozen: Collection[str],
    ) -> None:
        self._objective = objective
        self._graph = graph
        self._dtype = dtype
        self._training = training
        self._b = Builder()
        self._weights: dict[str, Value] = {}
        self._flows: dict[int, Flow] = {}
        self._inputs: dict[str, Value] = {}
        self._targets: dict[str, Value] = {}
        self._masks: dict[str, Value] = {}
        self._numbers = {steps: number for number, steps in enumerate(sequences(graph))}
        self._indices: dict[StepMask | StepPairs, Value] = {}
        self._masked: dict[Windowed, Value] = {}
        draws = Draws(self._b, self._parameters())
        observed_values: list[Value] | None = [] if observed else None
        equations = partial(activation_step, functions=functions(graph.own.functions))
        asked = dtype, training, streaming, draws
        self._tools = Tools(self._b, self._weights, self._index, *asked, {}, {}, observed_values, equations, frozenset(frozen))

    def function(self) -> Function:
        uses: Counter[str] = Counter()
        for application in self._graph.applications:
            uses[application.layer.name] += 1
            tools = replace(self._tools, use=uses[application.layer.name])
            operands = [self._flows[operand.number] for operand in application.operands]
            with self._b.at(application.location), told_with(application.location):
                results = rules_of(application.layer).lower(tools, application.layer, operands)
            self._flows.update((value.number, flow) for value, flow in zip(application.results, results, strict=True))
        made = {value.number: application.location for application in self._graph.applications for value in application.results}
        outputs: list[tuple[str, Value]] = []
        for each in self._objective:
            output = next(output for output in self._graph.outputs if output.name == each.output)
            with self._b.at(made.get(output.value.number, UNKNOWN)):
                flow, target = self._flows[output.value.number], self._targets.get(each.output)
                outputs += objectives.results(self._tools, each, flow, target, self._graph.own, self._loss_weights(each))
        for output in () if self._objective else self._graph.outputs:
            with self._b.at(made.get(output.value.number, UNKNOWN)):
                outputs.append((output.name, self._tools.exit(self._flows[output.value.number])))
        if self._tools.activities is not None:
            outputs += [(activity.name, value) for activity, value in zip(activities(self._graph), self._tools.activities, strict=True)]
        results = [Result(Role.OUTPUT, name, value) for name, value in outputs]
        results += [Result(Role.UPDATE, name, value) for name, value in self._tools.updates.items()]
        results += [Result(Role.STATE, name, value) for name, value in self._tools.states.items()]
        return self._b.function("forward", results)

    def _parameters(self) -> Value | None:
        """Declares the function's parameters; the key of its draws, if there are any."""
        for source in self._graph.inputs:
            self._b.location = source.location
            type_ = source.value.type
            dtype = DType.I32 if type_.ids else self._dtype
            extents: tuple[Dim, ...] = (*(type_.shape or (1,)), 1) if type_.ids else type_.shape
            value = self._b.parameter(Role.INPUT, source.name, TensorType(dtype, (BATCH, *extents)))
            self._inputs[source.name] = value
            steps = ONE_STEP if type_.ids and type_.steps is None else type_.steps
            self._flows[source.value.number] = RowValue(value) if steps is None else PaddedSequence(value, steps)
            if type_.sequence:
                mask = TensorType(DType.I1, (BATCH, type_.shape[0]))
                self._masks[source.name] = self._b.parameter(Role.MASK, f"{source.name}.mask", mask)
        for each in self._objective:
            if each.loss is None and not each.metrics:
                continue
            output = next(output for output in self._graph.outputs if output.name == each.output)
            shape = (BATCH, *output.value.type.shape[:-1], each.target)
            name = target_name(each.output)
            self._targets[each.output] = self._b.parameter(Role.INPUT, name, TensorType(self._dtype, shape))
        locations = {application.layer.name: application.location for application in reversed(self._graph.applications)}
        for owner, weight in ((layer, weight) for layer in self._graph.layers for weight in layer.weights):
            self._b.location = locations[owner.name]
            self._weights[weight.path] = self._b.parameter(Role.WEIGHT, weight.path, TensorType(self._dtype, _matrix_shape(weight)))
        self._b.location = UNKNOWN
        for weight in (weight for each in self._objective for weight in self._loss_weights(each)):
            self._weights[weight.path] = self._b.parameter(Role.WEIGHT, weight.path, TensorType(self._dtype, _matrix_shape(weight)))
        if self._training and any(rules_of(layer).draws(layer) for layer in self._graph.layers):
            return self._b.parameter(Role.KEY, f"{self._graph.inputs[0].name}.key", TensorType(DType.I32, ()))
        return None

    def _loss_weights(self, objective: OutputObjective) -> tuple[LayerWeight, ...]:
        """The weights of an output's loss."""
        if objective.loss is None:
            return ()
        return next((loss.weights for loss in self._graph.losses if loss.output == objective.output), ())

    def _index(self, steps: StepMask | StepPairs) -> Value:
        """The packing index of a sequence's real steps, or of pairs of two sequences' steps."""
        if steps not in self._indices:
            tokens = Tokens(self._numbers[steps])
            if isinstance(steps, StepPairs):
                self._indices[steps] = self._b.pairs(self._index(steps.queries), self._index(steps.keys), tokens, causal=steps.causal)
                return self._indices[steps]
            self._indices[steps] = self._b.index(self._due(steps) or self._real(steps), tokens)
        return self._indices[steps]

    def _due(self, steps: StepMask) -> Value | None:
        """In a stream the mask of windows, which is the caller's to make; None for steps of inputs."""
        if not self._tools.streaming or steps.is_masked:
            return None
        clock = clock_of(steps)
        if clock != EVERY_STEP:
            mask = TensorType(DType.I1, (BATCH, time_of(steps)))
            return self._b.parameter(Role.DUE, f"due.{self._numbers[steps]}", mask)
        return self._b.constant(1.0, TensorType(DType.I1, (BATCH, time_of(steps)))) if steps.windows else None

    def _real(self, steps: StepMask) -> Value:
        """The mask of a sequence."""
        masks = [self._mask(name, values) for name, values in steps.sources]
        masks += [self._b.concat([self._real(part) for part in join], 1) for join in steps.joins]
        masks += [self._windowed(windows) for windows in steps.windows]
        mask = masks[0] if masks else self._b.constant(1.0, TensorType(DType.I1, (BATCH, steps.length)))
        for other in masks[1:]:
            mask = self._b.or_(mask, other)
        return mask

    def _windowed(self, over: Windowed) -> Value:
        """The mask of windows; each once, since there may be many ways to it."""
        if over not in self._masked:
            self._masked[over] = self._b.window_mask(self._real(over.steps), over.windows, flip=over.flip)
        return self._masked[over]

    def _mask(self, name: str, values: tuple[float, ...]) -> Value:
        mask = self._masks[name]
        for value in values:
            mask = self._b.and_(mask, self._b.mask(self._inputs[name], value))
        return mask


def _matrix_shape(weight: LayerWeight) -> tuple[int, ...]:
    """A kernel over several steps has their rows below each other."""
    shape = weight.shape
    if weight.flat:
        return (prod(shape),)
    return (prod(shape[:-1]), shape[-1]) if len(shape) > 2 else shape
