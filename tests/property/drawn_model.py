"""A drawn model as it is tested: its files, what they mean, and the inputs of its calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnspec.contract.dimensions import Dim, Size, names_in, shortfall
from tests.property.entries import Padding, Shape
from tests.specs import Graph

MAIN = "main.rnn"
PATTERNS = ("holed", "right", "left", "none", "empty rows", "empty")
"""Of the caller's mask of a sequence."""


@dataclass(frozen=True)
class DrawnModel:
    """A spec with what it imports, what it means to the oracle, and how it is called.

    `sound`: false where a layer was given what it may not take. `known`: whether the oracle's numbers are
    the package's; `padding`: of each output, whether what its masked steps hold is, too.
    """

    files: Mapping[str, str]
    graph: Graph
    shapes: Mapping[str, Shape]
    outputs: Sequence[Shape]
    sound: bool
    parameters: Mapping[str, int]
    batch: int
    times: Mapping[Size, int]
    patterns: Mapping[str, str]
    seed: int

    @property
    def text(self) -> str:
        return self.files[MAIN]

    @property
    def known(self) -> bool:
        return self.sound and all(shape.known for shape in self.outputs)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """As hypothesis shows it: the spec itself."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        shown = "\n".join(f"# {path}\n{text}" for path, text in self.files.items())
        times = {str(name): time for name, time in self.times.items()}
        return f"\n{shown}# {dict(self.parameters)}, batch {self.batch}, {times}, masks {dict(self.patterns)}, seed {self.seed}\n"

    def call(self, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Random inputs and the caller's masks; masked steps hold 0, others now and then what a layer masks."""
        random = np.random.default_rng([self.seed, seed])
        inputs: dict[str, Any] = {}
        masks: dict[str, Any] = {}
        for name, shape in self.shapes.items():
            if not shape.sequence:
                inputs[name] = random.normal(size=(self.batch, shape.width))
                continue
            time = self.times[shape.length] if isinstance(shape.length, Size) else shape.length or 0
            mask = drawn_mask(random, self.patterns[name], self.batch, time)
            if shape.ids:
                inputs[name] = random.integers(0, shape.width, mask.shape).astype(np.int32)
            else:
                inputs[name] = random.normal(size=(*mask.shape, shape.width))
                for value in (0.0, 1.0):
                    inputs[name][random.random(mask.shape) < 0.15] = value
            inputs[name][~mask] = 0
            masks[name] = mask
        return inputs, masks


def long_enough(times: Mapping[Size, int], lengths: Iterable[Dim]) -> dict[Size, int]:
    """The named lengths, made so long that every window finds a step."""
    enough = dict(times)
    for length in lengths:
        for name in names_in(length)[:1]:
            enough[name] = max(enough[name], shortfall(length, enough))
    return enough


def drawn_mask(random: np.random.Generator, pattern: str, batch: int, time: int) -> np.ndarray:
    lengths = random.integers(1, time + 1, batch) if time else np.zeros(batch, int)
    steps = np.arange(time)
    match pattern:
        case "none":
            return np.ones((batch, time), bool)
        case "right":
            return steps < lengths[:, None]
        case "left":
            return steps >= time - lengths[:, None]
        case "holed":
            return random.random((batch, time)) < 0.6
        case "empty":
            return np.zeros((batch, time), bool)
        case _:
            mask = random.random((batch, time)) < 0.7
            mask[::2] = False
            return mask


def exact_padding(shape: Shape) -> bool:
    """Whether what masked steps of an output hold is what the oracle says."""
    return shape.padding is not Padding.MIXED
