"""Losses and metrics in the tensor IR: an output's rows and their targets to each row's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnspec.contract.objective import OutputObjective, loss_name, metrics_name
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.values import OwnEquations
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.cells.row_functions import loss_step, metric_steps
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.lowering.cell_step import StepLowering
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, RowValue
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Function, Result, Role, Value
from rnnspec.ir.types import BATCH, DType, TensorType


def weights_of(loss: Config, output: str, width: int, own: OwnEquations) -> tuple[LayerWeight, ...]:
    """The weights of an output's loss, under "crf/dense/transitions"."""
    return tuple(
        LayerWeight(f"{loss.name}/{output}/{weight.name}", weight.shape, weight.initializer, weight.trainable)
        for weight in loss_step(loss, width, own).weights
    )


def results(
    tools: Tools,
    objective: OutputObjective,
    flow: Flow,
    target: Value | None,
    own: OwnEquations,
    weights: Sequence[LayerWeight],
) -> Iterator[tuple[str, Value]]:
    """The results of an output's objective, under their names; `target` is padded, [batch, w] or [batch, time, w], as the output is.

    Its steps are in the order of the layer's own: a sequence that is shown reversed isn't turned round. `weights`: those of the loss.
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
    if objective.loss is not None and (step := loss_step(objective.loss, width, own)).states:
        yield loss_name(objective.output), _of_sequences(tools, step, weights, computed, values)
    elif objective.loss is not None:
        yield loss_name(objective.output), padded(tools.run(loss_step(objective.loss, width, own), dict(values), count))
    if objective.metrics:
        numbers = [tools.run(metric_steps(metric, width, own).rows, dict(values), count) for metric in objective.metrics]
        side_by_side = builder.concat(numbers, 1) if len(numbers) > 1 else numbers[0]
        yield metrics_name(objective.output), padded(builder.stop_gradient(side_by_side))
    if objective.shown:
        yield objective.output, tools.exit(flow)


def _of_sequences(tools: Tools, step: Step, weights: Sequence[LayerWeight], flow: Computed, rows: Mapping[str, Value]) -> Value:
    """The loss of each sequence, [batch, 1]: what the equations give after its last real step, and 0 where there is none.

    A sequence that is shown reversed is walked as it is shown, so that a step's neighbours are those that a reader sees.
    """
    if isinstance(flow, RowValue):
        raise InternalError(f"the loss {step.cell} takes sequences")
    builder, index = tools.builder, tools.index(flow.steps)
    starts = [tools.constant(0.0, (BATCH, width)) for width in (*(state.width for state in step.states), 1)]
    names = [*(state.name for state in step.states), "loss"]
    inits = [builder.sort_rows(start, index) for start in starts]
    scan = builder.scan(index, inits, list(rows.values()), reverse=flow.flip, carried_names=names, slice_names=list(rows))
    values = dict(zip((*(state.name for state in step.states), *rows), (*scan.carried[:-1], *scan.slices), strict=True))
    own = {weight.name: tools.weights[full.path] for weight, full in zip(step.weights, weights, strict=True)}
    after, loss = StepLowering(scan, tools.dtype, own, values, {}).run(step)
    result = scan.finish([*after, loss], [], final_names=[f"{name}_final" for name in names])
    return builder.restore_rows(result.finals[-1], index)


def result_function(metric: Config, width: int, own: OwnEquations) -> Function:
    """The value of a metric, a row, as a function of its totals, side by side, in float64."""
    step = metric_steps(metric, width, own).result
    if step is None:
        raise InternalError(f"the metric {metric.name} has no totals")
    builder = Builder()
    size = sum(state.width for state in step.states)
    given = builder.parameter(Role.INPUT, "totals", TensorType(DType.F64, (size,)))
    parts = builder.split(given, [state.width for state in step.states], 0) if len(step.states) > 1 else [given]
    values = {state.name: part for state, part in zip(step.states, parts, strict=True)}
    value = StepLowering(builder, DType.F64, {}, values, {}).value_of(step)
    return builder.function("result", [Result(Role.OUTPUT, "value", value)])
