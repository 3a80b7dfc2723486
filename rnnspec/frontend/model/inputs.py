"""The inputs of a model: their shapes, and how texts become ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import Extent, TextSignature
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, bind
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.values import CheckError, Report, Scope, Symbol, describe
from rnnspec.frontend.catalogue.texts import TEXT
from rnnspec.frontend.graph.graph import Application, GraphInput, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.syntax import ast

_RESERVED_EXTENTS = re.compile(r"batch|rows|tokens(_\d+)?")


def input_type(item: ast.Input, scope: Scope, report: Report) -> GraphTensor | None:
    """The type of an input's value; None for a faulty one, which is reported."""
    with report.catching():
        element = item.element.text
        if element not in ("float", "int", "text"):
            raise CheckError(errors.layers.UnknownElement(span=item.element.span, name=element))
        extents = tuple(_extent(dimension, scope) for dimension in item.dimensions)
        ids = element != "float"
        least, limit = int(element == "text"), 1 if ids else 2
        if not least <= len(extents) <= limit:
            dimensions = "one dimension" if least else "at most one dimension" if ids else "at most two dimensions"
            problem = f"an input of {element}s has {dimensions} besides the batch, not {len(extents)}"
            raise CheckError(errors.layers.UnfitInput(span=item.element.span.to(item.span), problem=problem))
        name = item.name.text
        steps = StepMask(((name, ()),)) if len(extents) == limit else None
        return GraphTensor(extents if extents or ids else (1,), steps, ids=ids, source=name)
    return None


def _extent(expression: ast.Expression, scope: Scope) -> Extent:
    value = evaluate(expression, scope).value
    if isinstance(value, Symbol) and not _RESERVED_EXTENTS.fullmatch(value.name):
        return Name(value.name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31:
        return value
    if isinstance(value, Symbol):
        problem = f"`{value.name}` has another meaning" + (": the batch dimension is implicit" if value.name == "batch" else "")
    else:
        problem = f"a dimension is a name or a whole number of at least 1, not {describe(value)}"
    raise CheckError(errors.layers.UnfitInput(span=expression.span, problem=problem))


def text_of(item: ast.Input, type_: GraphTensor, scope: Scope, report: Report) -> tuple[TextSignature | None, int | None]:
    """The settings of an input of texts, and its `max_tokens`; nothing for an input of numbers, or for a faulty one, which is reported."""
    element = item.element.text
    if element != "text":
        if item.settings is not None:
            report.add(errors.texts.SettingsOfNoText(span=item.settings.span, element=element))
        return None, None
    call = item.settings or ast.Call(item.element.span, item.element, ())
    bound = bind("text", TEXT, call, scope, report)
    if bound is None:
        return None, None
    written = {each.name.text for each in call.arguments if each.name is not None}
    steps, shape = type_.shape[0], f"text[{type_.shape[0]}]"
    if not isinstance(steps, int):
        if "padding" in written:
            reason = "texts of any length aren't padded; a number of steps, as in `text[400]`, is a length to pad to"
            report.add(errors.texts.TextSettingUnused(span=bound.span("padding"), name="padding", shape=shape, reason=reason))
    elif "maxlen" in written:
        reason = f"every text has {steps} steps"
        report.add(errors.texts.TextSettingUnused(span=bound.span("maxlen"), name="maxlen", shape=shape, reason=reason))
    vocabulary = bound.span("vocabulary")
    text = TextSignature(
        bound.word("standardize"),
        bound.word("split") or "",
        steps if isinstance(steps, int) else _whole_or_none(bound, "maxlen"),
        bound.word("padding") or "",
        bound.word("truncating") or "",
        bound.word("vocabulary"),
        vocabulary.source.position(vocabulary.start)[0],
    )
    return text, _whole_or_none(bound, "max_tokens")


def _whole_or_none(bound: Bindings, name: str) -> int | None:
    return None if bound.given(name).value is None else bound.whole(name)


def tables_of(value: GraphValue, applications: Sequence[Application]) -> list[LayerWeight]:
    """The tables that a value's ids are looked up in."""
    tables = [rules_of(each.layer).table(each.layer) for each in applications if value in each.operands]
    return [table for table in tables if table is not None]


def check_tokens(items: Sequence[ast.Input], inputs: Sequence[GraphInput], applications: Sequence[Application], report: Report) -> None:
    """Reports inputs of texts that may have more tokens than a layer that looks them up has rows."""
    written = {item.name.text: item for item in items}
    for source in inputs:
        for table in tables_of(source.value, applications):
            settings, rows = written[source.name].settings, table.shape[0]
            if source.max_tokens is not None and settings is not None and source.max_tokens > rows:
                layer = table.path.rpartition("/")[0]
                report.add(
                    errors.texts.TokensBeyondTable(span=settings.span, input=source.name, tokens=source.max_tokens, layer=layer, rows=rows)
                )
