"""Where a mask is lost on its way: of one that the spec makes a warning with the path that it took, of a caller's a note for the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import Report
from rnnspec.frontend.graph.graph import Application, Drop, GraphOutput, GraphValue
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import MaskAdvice, MaskFate
from rnnspec.source import Span

_LONGEST_PATH = 20
"""Layers of a path that are shown, at its beginning and its end."""


def dropped(application: Application) -> GraphValue | None:
    """The first value whose mask a layer drops."""
    if _leaves_out(application) or any(result.type.masked for result in application.results):
        return None
    return next((operand for operand in application.operands if operand.type.masked), None)


def _leaves_out(application: Application) -> bool:
    """Whether a layer leaves masked steps out itself. Any other one that takes a mask and doesn't hand it on drops it."""
    return rules_of(application.layer).mask(application.layer).fate in (MaskFate.CONSUMED, MaskFate.ATTENDED)


def callers_drops(applications: Sequence[Application], spans: Sequence[Span], outputs: Sequence[GraphOutput]) -> tuple[Drop, ...]:
    """What drops a caller's mask on the way to an output. `spans`: where each layer is used."""
    needed, drops = {output.value for output in outputs}, dict[Drop, None]()
    for application, span in zip(applications[::-1], spans[::-1], strict=True):
        if needed.isdisjoint(application.results):
            continue
        needed.update(application.operands)
        if _leaves_out(application) or any(map(_may_be_masked, application.results)):
            continue
        line, _ = span.source.position(span.start)
        layer = application.layer.name if application.layer.name == span.text else f"{span.text} {application.layer.name}"
        for operand in filter(_may_be_masked, application.operands):
            if operand.type.steps is not None:
                drops[Drop(operand.type.steps, layer, f"line {line}", _advice(application))] = None
    return tuple(drops)[::-1]


def _may_be_masked(value: GraphValue) -> bool:
    return value.type.steps is not None and not value.type.steps.is_whole


def _advice(application: Application) -> str:
    """Two ways not to drop a mask."""
    advice = rules_of(application.layer).mask(application.layer).advice
    match advice:
        case MaskAdvice.CARRY | MaskAdvice.CARRY_ENDS | MaskAdvice.SAME_MASK:
            without = "give samples of one length without a mask"
        case MaskAdvice.CONSUME:
            without = "give samples without a mask"
        case _:
            assert_never(advice)
    return f"{advice.value}, or {without}."


def warn_of_dropped(applications: Sequence[Application], spans: Sequence[Span], report: Report) -> None:
    """`spans`: where each layer is used."""
    made = {result.number: place for place, application in enumerate(applications) for result in application.results}
    for application, span in zip(applications, spans, strict=True):
        value = dropped(application)
        if value is not None:
            places = [*_places(value, made, applications, spans), span]
            steps = [_step(place, span) for place in places]
            path = " -> ".join(
                steps if len(steps) <= _LONGEST_PATH else [*steps[: _LONGEST_PATH // 2], "...", *steps[-_LONGEST_PATH // 2 :]]
            )
            first = (Label(places[0], "the mask comes from here"),)
            advice = rules_of(application.layer).mask(application.layer).advice
            remedy = f"; {advice.value[0].lower()}{advice.value[1:]}" if advice.carries else ""
            report.add(errors.layers.MaskDropped(span=span, layer=span.text, secondary=first, help=f"its path: {path} drops it{remedy}"))


def _places(value: GraphValue, made: Mapping[int, int], applications: Sequence[Application], spans: Sequence[Span]) -> list[Span]:
    """What the mask of a value went through, from where it was made; `made`: the place of what made each value, by its number."""
    places: list[Span] = []
    before: GraphValue | None = value
    while before is not None:
        place = made[before.number]
        places.append(spans[place])
        before = next((operand for operand in applications[place].operands if operand.type.masked), None)
    return places[::-1]


def _step(place: Span, end: Span) -> str:
    """`LSTM line 5`, with the file if it is another than that of the end."""
    line, _ = place.source.position(place.start)
    return f"{place.text} line {line}{'' if place.source == end.source else f' of {place.source.path}'}"
