"""Where a mask is lost on its way: of one that the spec makes a warning with the path that it took, of a caller's a note for the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import Report
from rnnspec.frontend.graph.graph import Application, Drop, GraphOutput, GraphValue
from rnnspec.frontend.graph.layers import Attention, Bidirectional, Convolution, GlobalPooling, LocalPooling, Merge, Recurrent
from rnnspec.source import Span

CARRY = "Write `carry_mask = true` in it: its windows then leave masked steps out, and the mask goes on"

CONSUMERS = (Recurrent, Bidirectional, GlobalPooling, Attention)
"""Layers that leave masked steps out themselves. Any other one that takes a mask and doesn't hand it on drops it."""


_LONGEST_PATH = 20
"""Layers of a path that are shown, at its beginning and its end."""


def dropped(application: Application) -> GraphValue | None:
    """The first value whose mask a layer drops."""
    if isinstance(application.layer, CONSUMERS) or any(result.type.masked for result in application.results):
        return None
    return next((operand for operand in application.operands if operand.type.masked), None)


def callers_drops(applications: Sequence[Application], spans: Sequence[Span], outputs: Sequence[GraphOutput]) -> tuple[Drop, ...]:
    """What drops a caller's mask on the way to an output. `spans`: where each layer is used."""
    needed, drops = {output.value for output in outputs}, dict[Drop, None]()
    for application, span in zip(applications[::-1], spans[::-1], strict=True):
        if needed.isdisjoint(application.results):
            continue
        needed.update(application.operands)
        if isinstance(application.layer, CONSUMERS) or any(map(_may_be_masked, application.results)):
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
    """What to do instead of dropping a mask."""
    match application.layer:
        case Convolution() | LocalPooling():
            return f"{CARRY}, or give samples of one length without a mask."
        case Merge():
            return "Merge values that have the same mask, or give samples of one length without a mask."
        case _:
            return "Put a layer before it that consumes the mask, as a cell or GlobalAveragePooling1D does, or give samples without a mask."


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
            remedy = f"; {CARRY[0].lower()}{CARRY[1:]}" if isinstance(application.layer, Convolution | LocalPooling) else ""
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
