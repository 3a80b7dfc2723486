"""Drawings as SVG: shapes and texts of one style, and the text that all of them are."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

INK, FAINT = "#222222", "#dddddd"
"""The colours of texts and of grids."""


class Svg(str):
    """The text of a drawing, which a notebook shows as one."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def drawing(width: float, height: float) -> Element:
    """An empty white drawing of that size in pixels."""
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}")
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "11")
    box(svg, 0, 0, width, height, "#ffffff")
    return svg


def finished(svg: Element) -> Svg:
    """The drawing's text, a line an element."""
    indent(svg)
    return Svg(tostring(svg, "unicode") + "\n")


def box(svg: Element, x: float, y: float, width: float, height: float, colour: str) -> Element:
    """A filled rectangle, at least a pixel wide."""
    return SubElement(svg, "rect", x=f"{x:g}", y=f"{y:g}", width=f"{max(width, 1):.1f}", height=f"{height:g}", fill=colour)


def text(svg: Element, x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> Element:
    """A line of text; characters that no XML may have are replaced."""
    element = SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=INK)
    element.set("text-anchor", anchor)
    element.set("font-weight", weight)
    element.text = _allowed(words)
    return element


def line(svg: Element, points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.0, dashed: bool = False) -> Element:
    """A line through points."""
    element = SubElement(svg, "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), fill="none", stroke=colour)
    element.set("stroke-width", f"{width:g}")
    if dashed:
        element.set("stroke-dasharray", "5 3")
    return element


def dot(svg: Element, x: float, y: float, colour: str, title: str) -> Element:
    """A small disc, whose title a browser shows under the pointer."""
    element = SubElement(svg, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.5", fill=colour)
    add_title(element, title)
    return element


def add_title(element: Element, words: str) -> None:
    """Says what an element shows."""
    SubElement(element, "title").text = _allowed(words)


def _allowed(words: str) -> str:
    return "".join("\ufffd" if unicodedata.category(each) in ("Cc", "Cs", "Cn") else each for each in words)
