"""A run as bars: within a workload a bar's length is the median time."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from benchmarks.environments import AT
from benchmarks.results import Row, headings, shown

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
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=str(WIDTH))
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "11")
    _box(svg, 0, 0, WIDTH, height, "#ffffff")
    _legend(svg, headings(rows))
    top = TOP
    for row in rows:
        _group(svg, row, top)
        top += BAR * len(row.timed) + GAP
    indent(svg)
    return tostring(svg, "unicode") + "\n"


def _colour(peer: str) -> str:
    return OTHER if AT in peer else COLOURS[peer]


def _legend(svg: Element, peers: Sequence[str]) -> None:
    for number, peer in enumerate(peers):
        x = LEFT + number * 110
        _box(svg, x, 10, BAR - 2, BAR - 2, _colour(peer))
        _text(svg, x + BAR + 2, 19, peer)


def _group(svg: Element, row: Row, top: float) -> None:
    slowest = max(found.percentile(50) for found in row.timed)
    _text(svg, LEFT - 8, top + BAR * len(row.timed) / 2 + 4, row.name, anchor="end", weight="bold")
    for number, found in enumerate(row.timed):
        y, time = top + number * BAR, found.percentile(50)
        length = (WIDTH - LEFT - RIGHT) * time / slowest
        bar = _box(svg, LEFT, y + 1, length, BAR - 2, _colour(found.peer))
        SubElement(bar, "title").text = f"{row.name}, {found.peer} ({found.setting}): {shown(time)}"
        _text(svg, LEFT + length + 5, y + BAR - 2, shown(time))


def _box(svg: Element, x: float, y: float, width: float, height: float, colour: str) -> Element:
    return SubElement(svg, "rect", x=f"{x:g}", y=f"{y:g}", width=f"{max(width, 1):.1f}", height=f"{height:g}", fill=colour)


def _text(svg: Element, x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> None:
    element = SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill="#222222")
    element.set("text-anchor", anchor)
    element.set("font-weight", weight)
    element.text = text
