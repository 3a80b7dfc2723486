"""Losses and metrics in the tensor IR: an output's rows and their targets to each row's numbers."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.contract.objective import OutputObjective, loss_name, metrics_name
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.values import OwnEquations
from rnnspec.frontend.cells.row_functions import loss_step, metric_steps
from rnnspec.frontend.lowering.cell_step import StepLowering
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, RowValue
from rnnspec.ir.builder import Builder
from rnnspec.ir.interpret import Array, Packing, interpret
from rnnspec.ir.ops import Result, Role, Value
from rnnspec.ir.types import DType, TensorType


def results(tools: Tools, objective: OutputObjective, flow: Flow, target: Value | None, own: OwnEquations) -> Iterator[tuple[str, Value]]:
    """The results of an output's objective, under their names; `target` is padded, [batch, w] or [batch, time, w], as the output is.

    Its steps are in the order of the layer's own: a sequence that is shown reversed isn't turned round.
    """
    computed = tools.computed(flow)
    builder = tools.builder
    values = {"prediction": computed.value}
    if target is not None:
        rows = target if isinstance(computed, RowValue) else builder.pack(target, tools.index(computed.steps))
        values["target"] = builder.stop_gradient(rows)

    def padded(value: Value) -> Value:
        return value if isinstance(computed, RowValue) else tools.padded(tools.sequence(value, computed.steps))

    width, count = tools.features(computed.value), builder.tensor(computed.value).shape[0]
    if objective.loss is not None:
        yield loss_name(objective.output), padded(tools.run(loss_step(objective.loss, width, own), dict(values), count))
    if objective.metrics:
        numbers = [tools.run(metric_steps(metric, width, own).rows, dict(values), count) for metric in objective.metrics]
        side_by_side = builder.concat(numbers, 1) if len(numbers) > 1 else numbers[0]
        yield metrics_name(objective.output), padded(builder.stop_gradient(side_by_side))
    if objective.shown:
        yield objective.output, tools.exit(flow)


def metric_result(metric: Config, width: int, own: OwnEquations, totals: Array) -> Array:
    """The value of a metric from its totals, side by side, in float64: a row."""
    step = metric_steps(metric, width, own).result
    if step is None:
        raise InternalError(f"the metric {metric.name} has no totals")
    builder = Builder()
    size = sum(state.width for state in step.states)
    given = builder.parameter(Role.INPUT, "totals", TensorType(DType.F64, (size,)))
    parts = builder.split(given, [state.width for state in step.states], 0) if len(step.states) > 1 else [given]
    values = {state.name: part for state, part in zip(step.states, parts, strict=True)}
    value = StepLowering(builder, DType.F64, {}, values, {}).value_of(step)
    function = builder.function("result", [Result(Role.OUTPUT, "value", value)])
    value = interpret(function, {"totals": totals})[Role.OUTPUT, "value"]
    if isinstance(value, Packing):
        raise InternalError(f"the metric {metric.name} gives an index")
    return value
