"""Where a mask that the spec makes is lost on its way: a warning with the path that it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.graph import Application, Value
from rnnspec.frontend.graph_layers import Attention, Bidirectional, GlobalPooling, Recurrent
from rnnspec.frontend.values import Report
from rnnspec.source import Span

CONSUMERS = (Recurrent, Bidirectional, GlobalPooling, Attention)
"""Layers that leave masked steps out themselves. Any other one that takes a mask and doesn't hand it on drops it."""


_LONGEST_PATH = 20
"""Layers of a path that are shown, at its beginning and its end."""


def dropped(application: Application) -> Value | None:
    """The first value whose mask a layer drops."""
    if isinstance(application.layer, CONSUMERS) or any(result.type.masked for result in application.results):
        return None
    return next((operand for operand in application.operands if operand.type.masked), None)


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
            report.add(errors.layers.MaskDropped(span=span, layer=span.text, secondary=first, help=f"its path: {path} drops it"))


def _places(value: Value, made: Mapping[int, int], applications: Sequence[Application], spans: Sequence[Span]) -> list[Span]:
    """What the mask of a value went through, from where it was made; `made`: the place of what made each value, by its number."""
    places: list[Span] = []
    before: Value | None = value
    while before is not None:
        place = made[before.number]
        places.append(spans[place])
        before = next((operand for operand in applications[place].operands if operand.type.masked), None)
    return places[::-1]


def _step(place: Span, end: Span) -> str:
    """`LSTM line 5`, with the file if it is another than that of the end."""
    line, _ = place.source.position(place.start)
    return f"{place.text} line {line}{'' if place.source == end.source else f' of {place.source.path}'}"
