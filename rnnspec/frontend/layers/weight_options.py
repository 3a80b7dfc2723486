"""Regularizers and constraints of weights: which weight an argument is about, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import Report
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.cells.declared_names import every_statement
from rnnspec.frontend.cells.instantiate import BoundCell
from rnnspec.frontend.graph.graph import GraphTensor
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.syntax import ast

CELL_WEIGHTS: Mapping[str, str] = MappingProxyType({"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"})
"""The weights of a cell that its options are about, by the first word of the options: Keras's names, in a user's cell too."""


def regularizer_of(bindings: Bindings, word: str, weight: str, shape: tuple[int, ...], report: Report) -> Config | None:
    """The choice for `<word>_regularizer`; it is reported where it doesn't fit the weight."""
    chosen = bindings.choice(f"{word}_regularizer")
    if chosen is not None and chosen.name == "OrthogonalRegularizer" and len(shape) != 2:
        report.add(
            errors.weights.NeedsMatrix(span=bindings.span(f"{word}_regularizer"), what=f"the weight `{weight}`", shape=str(list(shape)))
        )
    return chosen


def constraint_of(bindings: Bindings, word: str, weight: str, shape: tuple[int, ...], report: Report) -> Config | None:
    """The choice for `<word>_constraint`; it is reported where it doesn't fit the weight."""
    chosen = bindings.choice(f"{word}_constraint")
    axis = None if chosen is None else dict(chosen.arguments).get("axis")
    axes = [one for one in (axis if isinstance(axis, tuple) else (axis,)) if isinstance(one, int)]
    outside = [one for one in axes if not -len(shape) <= one < len(shape)]
    problem = ""
    if outside:
        problem = f"there is no axis {outside[0]} in {list(shape)}"
    elif len({one % len(shape) for one in axes}) < len(axes):
        problem = f"an axis of {list(shape)} is there twice"
    if problem:
        report.add(errors.weights.UnfitAxis(span=bindings.span(f"{word}_constraint"), weight=weight, problem=problem))
    return chosen


def activity_of(bindings: Bindings, output: GraphTensor, report: Report) -> Config | None:
    """The choice for `activity_regularizer`; it is reported where it doesn't fit the layer's output."""
    chosen = bindings.choice("activity_regularizer")
    if chosen is not None and chosen.name == "OrthogonalRegularizer" and output.sequence:
        report.add(errors.weights.NeedsMatrix(span=bindings.span("activity_regularizer"), what="the layer's output", shape=str(output)))
    return chosen


def cell_weights(cell: BoundCell, step: Step, path: str, report: Report) -> tuple[LayerWeight, ...]:
    """The weights of a cell's step under their full names, each with what the layer's options say of it.

    An option about a weight that the cell has in another form only, as `bias` without `use_bias`, says nothing.
    """
    options, definition = cell.options, cell.definition
    declared = {statement.name.text: None for statement in every_statement(definition.statements) if isinstance(statement, ast.Weight)}
    for word, name in CELL_WEIGHTS.items():
        for option in (f"{word}_regularizer", f"{word}_constraint"):
            if options.choice(option) is not None and name not in declared:
                help_ = f"its weights are {', '.join(declared)}" if declared else "it has no weights"
                report.add(
                    errors.weights.NoSuchWeight(
                        span=options.span(option), cell=definition.name.text, weight=name, option=option, help=help_
                    )
                )
    words = {name: word for word, name in CELL_WEIGHTS.items()}
    weights: list[LayerWeight] = []
    for weight in step.weights:
        made = LayerWeight(f"{path}/{weight.name}", weight.shape, weight.initializer, weight.trainable)
        if weight.name in words:
            of = words[weight.name], weight.name, weight.shape, report
            made = replace(made, regularizer=regularizer_of(options, *of), constraint=constraint_of(options, *of))
        weights.append(made)
    return tuple(weights)
