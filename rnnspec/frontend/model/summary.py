"""A graph's layer table."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import assert_never

from rnnspec.contract.model_source import LayerRow, MaskRow
from rnnspec.frontend.graph.graph import Application, Graph, GraphTensor, LossWeights, StepMask
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import MaskedSteps, MaskFate
from rnnspec.frontend.model.mask_warnings import dropped

_MASKED_STEPS: Mapping[MaskedSteps, str] = MappingProxyType(
    {
        MaskedSteps.ZERO: "zero",
        MaskedSteps.FIRST_ROW: "row 0",
        MaskedSteps.HELD: "held",
        MaskedSteps.COMPUTED: "computed from what was there",
        MaskedSteps.COMPUTED_APART: "computed from what was there",
        MaskedSteps.UNCHANGED: "as before",
        MaskedSteps.UNCHANGED_APART: "as before",
        MaskedSteps.NONE_MASKED: "none is masked",
    }
)


def layer_rows(graph: Graph) -> tuple[LayerRow, ...]:
    """One row a layer: type, output shape, what becomes of the mask, number of weights; then one for each loss that has weights."""
    rows: dict[str, LayerRow] = {}
    for application in graph.applications:
        layer = application.layer
        shapes = ", ".join(_shape(result.type) for result in application.results)
        weights = sum(prod(weight.shape) for weight in layer.weights)
        row = LayerRow(layer.name, rules_of(layer).show(layer).kind, shapes, _mask(application), weights)
        rows.setdefault(layer.name, row)
    return (*rows.values(), *(_loss_row(loss) for loss in graph.losses))


def _loss_row(loss: LossWeights) -> LayerRow:
    """The row of an output's loss, under the name that its weights begin with."""
    name = loss.weights[0].path.rpartition("/")[0]
    return LayerRow(name, "loss", "(batch, 1)", "", sum(prod(weight.shape) for weight in loss.weights))


def mask_rows(graph: Graph) -> tuple[MaskRow, ...]:
    """One row a use of a layer: what becomes of the masks, and what masked steps hold afterwards."""
    rows: list[MaskRow] = []
    for application in graph.applications:
        steps = application.operands[0].type.steps
        after = application.results[0].type.steps
        taken = "" if steps is None else _sources(steps)
        given = "" if after is None else _sources(after)
        rows.append(MaskRow(application.layer.name, taken, given, _mask(application), _masked_output(application)))
    return tuple(rows)


def _sources(steps: StepMask) -> str:
    """`story where not all 0`, of sequences one after the other `story then query`."""
    parts = [name + "".join(f" where not all {value:g}" for value in values) for name, values in steps.sources]
    joins = [" then ".join(map(_sources, join)) for join in steps.joins]
    joins += list(dict.fromkeys(f"windows of {name}" for each in steps.windows for name in each.inputs))
    parts += joins if len(parts) + len(joins) < 2 else [f"({join})" for join in joins]
    return " or ".join(parts) or "all steps"


def _masked_output(application: Application) -> str:
    if application.results[0].type.steps is None:
        return ""
    return _MASKED_STEPS[rules_of(application.layer).masked_steps(application.layer, application)]


def _shape(value: GraphTensor) -> str:
    return f"({', '.join(map(str, ('batch', *value.shape)))})"


def _mask(application: Application) -> str:
    """A sequence's own mask, given in a call, goes the same way as one that the spec makes."""
    if dropped(application) is not None:
        return "dropped"
    fate = rules_of(application.layer).mask(application.layer).fate
    match fate:
        case MaskFate.CREATED:
            return "created"
        case MaskFate.PASSED | MaskFate.ATTENDED:
            return "passed on" if application.operands[0].type.sequence else ""
        case MaskFate.CONSUMED:
            return "consumed"
        case MaskFate.DROPPED:
            return "dropped" if any(operand.type.sequence for operand in application.operands) else ""
        case _:
            assert_never(fate)
