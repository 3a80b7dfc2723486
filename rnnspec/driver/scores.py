"""The losses and metrics that training asks for by name, and what they need."""

from __future__ import annotations

from typing import cast

from rnnspec.contract.executable import Array, Family
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.objective import Objective, OutputObjective, RowEquations, TargetKind
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.python_choice import config_of, in_a_line
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.cells.row_functions import loss_step, metric_steps, target_kind, target_width
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.ir.interpret import Packing, interpret
from rnnspec.ir.ops import Function, Role


def equations(graph: Graph, family: Family, given: Config, width: int, classes: bool) -> RowEquations:
    """A loss or a metric, its arguments filled in, for predictions of a width; ValueError as `contract.executable.Scores` has it."""
    own = graph.own
    config = config_of(family, given, own, width, classes)
    try:
        if family == "loss":
            step, declared = loss_step(config, width, own), standard_library.losses(own.losses)[config.name]
            outputs = tuple(output.name for output, loss in zip(graph.outputs, _losses(graph), strict=True) if loss == config)
            with_weights = outputs if step.weights else None
            return RowEquations(config, *_target(declared, config), 1, of_sequences=bool(step.states), outputs=with_weights)
        steps = metric_steps(config, width, own)
    except CheckError as fault:
        raise ValueError(in_a_line(family, config.name, fault)) from None
    declared = standard_library.row_equations(True, own.losses, own.metrics)[config.name]
    columns = (steps.rows.output.shape.dimensions or (1,))[0]
    return RowEquations(config, *_target(declared, config), columns, steps.result is not None)


def _target(declared: ast.Loss | ast.Metric, config: Config) -> tuple[TargetKind, int | None]:
    """What a target must be, and the class of rows without a label."""
    unlabelled = dict(config.arguments)[declared.unlabelled.text] if declared.unlabelled is not None else None
    if not isinstance(unlabelled, int | float | None) or (isinstance(unlabelled, float) and not unlabelled.is_integer()):
        raise ValueError(f"{config.name}: {declared.unlabelled and declared.unlabelled.text} is a class number or none, not {unlabelled!r}")
    return cast(TargetKind, target_kind(declared)), None if unlabelled is None else int(unlabelled)


def result(function: Function, totals: Array) -> float | Array:
    """The value of a metric from its totals, see `result_function`; an array for one of several numbers."""
    value = interpret(function, {"totals": totals})[Role.OUTPUT, "value"]
    if isinstance(value, Packing):
        raise InternalError("a metric gives an index")
    return float(value[0]) if value.shape == (1,) else value


def _losses(graph: Graph) -> tuple[Config | None, ...]:
    """The loss of each output by the train section."""
    losses = graph.train.loss
    return losses if isinstance(losses, tuple) else (losses,) * len(graph.outputs)


def objective_of(graph: Graph) -> Objective:
    """The objective of a graph's train section."""
    made: list[OutputObjective] = []
    for output, loss in zip(graph.outputs, _losses(graph), strict=True):
        if loss is not None and loss.name in SEQUENCE_LOSSES:
            made.append(OutputObjective(output.name, 0, shown=True))
        elif loss is not None:
            declared = standard_library.losses(graph.own.losses)[loss.name]
            made.append(OutputObjective(output.name, target_width(declared, output.value.type.features), loss))
    return tuple(made) if any(each.loss is not None for each in made) else ()
