"""The declarations of the standard library as their texts say them: what stands above each, and its head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "rnnspec" / "stdlib"

_HEAD = re.compile(
    r"^(?P<comment>(?:#[^\n]*\n)*)(?P<kind>function|loss|metric) (?P<name>\w+)(?P<parameters>\((?:[^(){]|\([^(){]*\))*\))?"
    r"(?: of (?P<target>\w+)(?: except \w+)?)? (?:\{|=)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Declared:
    """A function, a loss or a metric. `head`: its name with its parameters; `target`: what its target must be; `words`: its comment."""

    name: str
    head: str
    target: str
    words: str


def declared(file: str, kind: str) -> list[Declared]:
    """The declarations of a kind in one of the library's files, in its order; without a comment it is for the file's own use."""
    found: list[Declared] = []
    for match in _HEAD.finditer((FOLDER / f"{file}.rnn").read_text(encoding="utf-8")):
        words = " ".join(line.removeprefix("#").strip() for line in match["comment"].splitlines())
        if match["kind"] == kind and words:
            parameters = " ".join((match["parameters"] or "").split())
            found.append(Declared(match["name"], match["name"] + parameters.removesuffix("()"), match["target"] or "values", words))
    return found
