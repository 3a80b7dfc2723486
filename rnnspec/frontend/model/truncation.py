"""The check of `truncate` in a train section against the model."""

from __future__ import annotations

from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.signature import Config
from rnnspec.contract.truncation import truncation_problem
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import Report
from rnnspec.frontend.cells.equation_checks import has_states
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.signature import signature
from rnnspec.frontend.syntax import ast, standard_library


def check_truncate(graph: Graph, train: ast.Train, report: Report) -> None:
    """Reports a `truncate` that the model's sequences can't be cut for."""
    if not graph.train.truncate:
        return
    given = graph.train.loss if isinstance(graph.train.loss, tuple) else (graph.train.loss,) * len(graph.outputs)
    losses = {output.name: loss for output, loss in zip(graph.outputs, given, strict=True) if loss is not None}
    whole = [name for name, loss in losses.items() if _is_of_sequences(loss, graph)]
    if problem := truncation_problem(signature(graph, "float32"), losses, whole):
        place = next(setting for setting in train.settings if setting.name.text == "truncate")
        report.add(errors.layers.TruncateRefused(span=place.name.span, problem=problem))


def _is_of_sequences(loss: Config, graph: Graph) -> bool:
    return loss.name in SEQUENCE_LOSSES or has_states(standard_library.losses(graph.own.losses)[loss.name])
