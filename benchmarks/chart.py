"""A run as bars: within a workload a bar's length is the median time."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from benchmarks.environments import AT
from benchmarks.results import Row, headings, shown
from rnnspec.svg import add_title, box, drawing, finished, text

COLOURS = {
    "rnnspec": "#1b4f9c",
    "numpy": "#9aa5b1",
    "torch": "#e4572e",
    "jax": "#76b041",
    "onnxruntime": "#8d6cab",
    "keras": "#d9a404",
}
OTHER = "#888888"
"""This project in another checkout."""

WIDTH, LEFT, RIGHT = 860, 100, 90
BAR, GAP, TOP = 12, 12, 34


def chart(rows: Sequence[Row]) -> str:
    """SVG; rows without a time are left out."""
    rows = [row for row in rows if row.timed]
    height = TOP + sum(BAR * len(row.timed) + GAP for row in rows)
    svg = drawing(WIDTH, height)
    _legend(svg, headings(rows))
    top = TOP
    for row in rows:
        _group(svg, row, top)
        top += BAR * len(row.timed) + GAP
    return finished(svg)


def _colour(peer: str) -> str:
    return OTHER if AT in peer else COLOURS[peer]


def _legend(svg: Element, peers: Sequence[str]) -> None:
    for number, peer in enumerate(peers):
        x = LEFT + number * 110
        box(svg, x, 10, BAR - 2, BAR - 2, _colour(peer))
        text(svg, x + BAR + 2, 19, peer)


def _group(svg: Element, row: Row, top: float) -> None:
    slowest = max(found.percentile(50) for found in row.timed)
    text(svg, LEFT - 8, top + BAR * len(row.timed) / 2 + 4, row.name, anchor="end", weight="bold")
    for number, found in enumerate(row.timed):
        y, time = top + number * BAR, found.percentile(50)
        length = (WIDTH - LEFT - RIGHT) * time / slowest
        bar = box(svg, LEFT, y + 1, length, BAR - 2, _colour(found.peer))
        add_title(bar, f"{row.name}, {found.peer} ({found.setting}): {shown(time)}")
        text(svg, LEFT + length + 5, y + BAR - 2, shown(time))
