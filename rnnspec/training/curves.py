"""The curves of a training, an SVG with a panel for the loss and for each metric."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from rnnspec.file_kinds import curves_problem
from rnnspec.frozen import frozen
from rnnspec.svg import FAINT, Svg, add_title, dot, drawing, finished, line, text
from rnnspec.training.log_callbacks import path_of
from rnnspec.training.progress import MOST_NUMBERS

VALIDATION = "val_"
COLOURS = ("#1b4f9c", "#e4572e", "#4f8a10", "#8d6cab", "#b8860b", "#0a8f8f", "#c2185b", "#6b7480", "#7a4b22", "#9acd32")
TRAINED, HELD_OUT = COLOURS[:2]

WIDTH, HEIGHT, GAP = 460, 250, 10
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 42, 36
"""Pixels of a panel, and what of them lies around its field."""

DOTTED = 60
"""The most epochs of which each is marked."""

DRAWN = 1000
"""Points of a line; of more, the smallest and the largest of each stretch are drawn."""

Numbers = NDArray[np.float64]


@frozen
class Curve:
    """A line of a panel: its label in the legend, empty for one that needs none, and a value for each epoch; NaN is a gap."""

    label: str
    values: Numbers
    colour: str
    dashed: bool


@frozen
class Panel:
    """The curves of one quantity."""

    title: str
    curves: tuple[Curve, ...]


def check_ending(path: str | os.PathLike[str]) -> Path:
    """The path; ValueError for one that isn't an SVG's."""
    place = path_of("plot: path", path)
    if problem := curves_problem(place):
        raise ValueError(problem)
    return place


def draw(epochs: Sequence[int], history: Mapping[str, Sequence[Any]], names: Sequence[str] | None = None) -> Svg:
    """The curves of all names, or of the chosen ones with their validation; ValueError for what can't be drawn."""
    if not epochs:
        raise ValueError("plot: there are no epochs, and so no curves")
    if names is not None:
        if isinstance(names, str):
            raise ValueError(f"plot: names: expected a list of names, got {names!r}: put it into a list, [...]")
        for name in names:
            if name not in history:
                raise ValueError(f"plot: names: there is no {name!r} in the history, which has {', '.join(history)}")
    found = {name: _numbers(name, values, len(epochs)) for name, values in history.items() if names is None or _is_chosen(name, names)}
    if not found:
        raise ValueError("plot: there are no values, and so no curves")
    panels = [_panel(name, found) for name in dict.fromkeys(_quantity(name, found) for name in found)]
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    svg = drawing(columns * WIDTH + GAP, rows * HEIGHT + GAP)
    svg.set("role", "img")
    add_title(svg, f"Training curves: {', '.join(panel.title for panel in panels)}")
    for place, panel in enumerate(panels):
        _draw_panel(svg, panel, epochs, GAP / 2 + place % columns * WIDTH, GAP / 2 + place // columns * HEIGHT)
    return finished(svg)


def _is_chosen(name: str, names: Sequence[str]) -> bool:
    return name in names or name.removeprefix(VALIDATION) in names


def _quantity(name: str, names: Mapping[str, object]) -> str:
    """The name of the panel that a value is in: validation's is that of training, if there is one."""
    plain = name.removeprefix(VALIDATION)
    return plain if plain in names else name


def _numbers(name: str, values: Sequence[Any], epochs: int) -> Numbers:
    """The values as (epochs, numbers); ValueError, naming the value, if they are no such array."""
    advice = "names=[...] chooses what is drawn"
    if len(values) != epochs:
        raise ValueError(f"plot: {name} has {len(values)} values, there are {epochs} epochs: {advice}")
    try:
        array = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"plot: {name} isn't numbers: {advice}") from None
    return array.reshape(epochs, -1)


def _panel(quantity: str, found: Mapping[str, Numbers]) -> Panel:
    sides = [(quantity, "training", TRAINED), (f"{VALIDATION}{quantity}", "validation", HELD_OUT)]
    sides = [side for side in sides if side[0] in found]
    count = max(found[name].shape[1] for name, *_ in sides)
    if count == 1:
        alone = len(sides) == 1
        return Panel(
            quantity,
            tuple(Curve("" if alone else label, found[name][:, 0], colour, place > 0) for place, (name, label, colour) in enumerate(sides)),
        )
    shown = min(count, MOST_NUMBERS)
    curves = [
        Curve(str(number) if place == 0 else "", found[name][:, number], COLOURS[number], place > 0)
        for place, (name, *_) in enumerate(sides)
        for number in range(min(shown, found[name].shape[1]))
    ]
    more = f", the first {shown} of {count} numbers" if shown < count else ""
    return Panel(f"{quantity}{more}{', validation dashed' if len(sides) > 1 else ''}", tuple(curves))


def _draw_panel(svg: Element, panel: Panel, epochs: Sequence[int], left: float, top: float) -> None:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x0, y0 = left + LEFT, top + TOP
    text(svg, x0, top + 15, panel.title, weight="bold")
    _legend(svg, [curve for curve in panel.curves if curve.label], x0, top + 32)
    counted = [epoch + 1 for epoch in epochs]
    first, last = counted[0], counted[-1]
    finite = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in panel.curves])
    low, high = _range(finite)

    def x_of(epoch: float) -> float:
        return x0 + width * ((epoch - first) / (last - first) if last > first else 0.5)

    def y_of(value: float) -> float:
        return y0 + height * (1 - (value / 2 - low / 2) / (high / 2 - low / 2))  # halves: the difference may be beyond float64

    for tick, words in ticks(low, high):
        line(svg, [(x0, y_of(tick)), (x0 + width, y_of(tick))], FAINT)
        text(svg, x0 - 6, y_of(tick) + 4, words, anchor="end")
    for epoch in _whole_ticks(first, last):
        line(svg, [(x_of(epoch), y0 + height), (x_of(epoch), y0 + height + 4)], FAINT)
        text(svg, x_of(epoch), y0 + height + 16, str(epoch), anchor="middle")
    text(svg, x0 + width / 2, y0 + height + 30, "epoch", anchor="middle")
    if not finite.size:
        text(svg, x0 + width / 2, y0 + height / 2, "no value is finite", anchor="middle")
    for curve in panel.curves:
        for stretch in _stretches(curve.values):
            points = [(x_of(counted[place]), y_of(float(curve.values[place]))) for place in stretch]
            if len(points) > 1:
                line(svg, points, curve.colour, width=1.6, dashed=curve.dashed)
            if len(epochs) <= DOTTED or len(points) == 1:
                for place, (x, y) in zip(stretch, points, strict=True):
                    dot(svg, x, y, curve.colour, f"epoch {counted[place]}, {curve.label or panel.title}: {float(curve.values[place])!r}")


def _legend(svg: Element, curves: Sequence[Curve], x: float, y: float) -> None:
    for curve in curves:
        line(svg, [(x, y - 4), (x + 18, y - 4)], curve.colour, width=2, dashed=curve.dashed)
        text(svg, x + 23, y, curve.label)
        x += 34 + 6.5 * len(curve.label)


def _range(values: Numbers) -> tuple[float, float]:
    """From the lowest to the highest value; of values that are all alike, some room around them."""
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if high / 2 - low / 2 > max(1e-12 * size, 1e-290):
        return low, high
    room = max(0.05 * size, 1e-3 if size < 1e-3 else 0.0)
    return max(low - room, -1.7e308), min(high + room, 1.7e308)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Some five round numbers between two, each as a text with the digits that tell it from the next."""
    step = _round_step((high / 2 - low / 2) / 4)
    found = [place * step for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    largest = max((abs(value) for value in found), default=0.0)
    digits = max(1, math.floor(math.log10(largest / step) + 1e-9) + 2) if largest else 1
    return [(value, f"{value:.{digits}g}") for value in found]


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 with zeros behind or in front that is large enough."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(size * power for size in (1, 2, 5, 10) if size * power >= least * (1 - 1e-9))


def _whole_ticks(first: int, last: int) -> list[int]:
    """The first and the last epoch, and some round numbers between."""
    step = round(_round_step(max((last - first) / 8, 1)))
    between = [epoch for epoch in range(first - first % step, last, step) if min(epoch - first, last - epoch) > 0.6 * step]
    return sorted({first, *between, last})


def _stretches(values: Numbers) -> list[list[int]]:
    """The places of finite values, cut where others lie between them, and thinned where they are many."""
    places = np.flatnonzero(np.isfinite(values))
    stretches = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if places.size else []
    size = -(-2 * len(values) // DRAWN)
    return [_thinned(values, stretch, size) for stretch in stretches]


def _thinned(values: Numbers, places: NDArray[np.intp], size: int) -> list[int]:
    if size <= 2:
        return cast(list[int], places.tolist())
    kept: list[int] = [int(places[0])]
    for start in range(0, len(places), size):
        part = places[start : start + size]
        kept += sorted({int(part[values[part].argmin()]), int(part[values[part].argmax()])})
    return list(dict.fromkeys([*kept, int(places[-1])]))
