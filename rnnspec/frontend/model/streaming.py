"""Streams of a graph: when the steps of its sequences fall due, what is carried from step to step, and why a graph can't stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import assert_never

from rnnspec.contract.dimensions import AtLeastZero, CeilDiv, Dim, Name, Steps, Sum, Tokens, names_in
from rnnspec.contract.signature import EVERY_STEP, Clock, StateSignature, StreamSignature
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph.graph import ONE_STEP, Application, Graph, GraphValue, StepMask
from rnnspec.frontend.graph.layer import state_of_use
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import MaskedSteps, StreamOperand
from rnnspec.frontend.model.packing import sequences


def held_values(applications: Sequence[Application]) -> dict[GraphValue, bool]:
    """Whether masked steps of a layer's sequence repeat the last real one."""
    held: dict[GraphValue, bool] = {}
    for application in applications:
        masked = rules_of(application.layer).masked_steps(application.layer, application)
        match masked:
            case MaskedSteps.HELD:
                hold = True
            case MaskedSteps.COMPUTED | MaskedSteps.UNCHANGED:
                hold = all(held.get(operand, False) for operand in application.operands)
            case (
                MaskedSteps.ZERO
                | MaskedSteps.FIRST_ROW
                | MaskedSteps.COMPUTED_APART
                | MaskedSteps.UNCHANGED_APART
                | MaskedSteps.NONE_MASKED
            ):
                hold = False
            case _:
                assert_never(masked)
        held.update((result, hold and result.type.sequence) for result in application.results)
    return held


def clock_of_length(length: Dim) -> Clock | None:
    """The clock of a sequence whose length is this for a stream's so many steps; None where that is no clock.

    A window's number of steps is `ceil((time - ahead) / stride)`: it grows by one where a window has all that it sees.
    """
    match length:
        case Name():
            return EVERY_STEP
        case CeilDiv(dividend, divisor):
            clock = clock_of_length(dividend)
            return None if clock is None else Clock(clock.first, clock.period * divisor)
        case AtLeastZero(size):
            return clock_of_length(size)
        case Sum(terms=(first, last)) if first.coefficient == 1 and len(first.factors) == 1 and not last.factors and last.coefficient < 0:
            clock = clock_of_length(first.factors[0])
            return None if clock is None else Clock(clock.first - last.coefficient * clock.period, clock.period)
        case int() | Tokens() | Steps() | Sum():
            return None


def clock_of(steps: StepMask) -> Clock:
    """The clock of a sequence that can stream. InternalError for one that can't."""
    clock = clock_of_length(length) if (length := _own_length(steps)) is not None else EVERY_STEP
    if clock is None:
        raise InternalError(f"a stream of a sequence of {length} steps")
    return clock


def _own_length(steps: StepMask) -> Dim | None:
    """The number of steps that windows have made; None for those of inputs, with what masks them, and for a row's one step."""
    if steps == ONE_STEP:
        return None
    return steps.length if steps.is_whole else steps.windows[0].length if steps.windows else None


def time_of(steps: StepMask) -> Dim:
    """The length of the inputs that the steps of windows come from."""
    length = _own_length(steps)
    return 1 if length is None else names_in(length)[0]


def stream_signature(graph: Graph) -> StreamSignature:
    """A stream's states, those of every layer, and of a cell that gives its last output that one too; and its clocks."""
    held, fixed = held_values(graph.applications), {source.value for source in graph.inputs if not source.value.type.sequence}
    uses: Counter[str] = Counter()
    states: list[StateSignature] = []
    for application in graph.applications:
        layer = application.layer
        operands = [StreamOperand(held.get(operand, False), operand in fixed) for operand in application.operands]
        uses[layer.name] += 1
        own = rules_of(layer).states(layer, application, True)
        refusal = rules_of(layer).stream_refusal(layer, application, operands)
        if not refusal and uses[layer.name] > 1 and rules_of(layer).states(layer, application, False):
            refusal = f"{layer.name} is stateful and used twice, from the end of one sequence on"
        if refusal:
            return StreamSignature(refusal=f"{refusal}{_place(application, graph)}")
        if all(operand.fixed for operand in operands):
            fixed.update(application.results)
        states += [replace(state, name=state_of_use(state.name, uses[layer.name])) for state in own]
    if not any(source.value.type.sequence for source in graph.inputs):
        return StreamSignature(refusal="it has no sequence input")
    for source in graph.inputs:
        if source.value.type.sequence and isinstance(source.value.type.shape[0], int):
            return StreamSignature(refusal=f"input {source.name} has a fixed number of steps; a name, as `time`, is any number")
    clocks = tuple(clock_of(steps) if isinstance(steps, StepMask) else EVERY_STEP for steps in sequences(graph))
    values = _clocks(graph)
    return StreamSignature(tuple(states), "", clocks, tuple(values[output.value] for output in graph.outputs))


def _clocks(graph: Graph) -> Mapping[GraphValue, Clock]:
    """The clock of each value: of a row that of the sequences that it comes from."""
    clocks = {source.value: EVERY_STEP for source in graph.inputs}
    known = {source.value for source in graph.inputs if source.value.type.sequence}
    for application in graph.applications:
        before = [clocks[operand] for operand in application.operands if operand in known]
        for result in application.results:
            steps = result.type.steps
            clocks[result] = clock_of(steps) if steps is not None else reduce(Clock.either, before) if before else EVERY_STEP
            if before:
                known.add(result)
    return clocks


def _place(application: Application, graph: Graph) -> str:
    """Where the spec has the layer: ` (line 5)`, with the file if it isn't the model's; empty where nobody knows."""
    for line in application.location[:1]:
        own = {each.path for source in graph.inputs for each in source.location}
        return f" (line {line.number})" if line.path in own else f" (line {line.number} of {line.path})"
    return ""
