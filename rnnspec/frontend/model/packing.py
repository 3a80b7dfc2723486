"""Sequences that a model packs: each set of steps, and each pair of such sets, has one packing index."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.frontend.graph.graph import Graph, StepMask
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import Packing


def sequences(graph: Graph) -> Iterator[Packing]:
    """Each once, in the order of first use; a sequence that windows are over stands before them, and the parts of a pair before it."""
    packed: dict[Packing, None] = {}
    for application in graph.applications:
        for steps in rules_of(application.layer).packs(application.layer, application):
            if isinstance(steps, StepMask):
                packed.update((each.steps, None) for each in steps.windows)
            packed[steps] = None
    packed.update((output.value.type.steps, None) for output in graph.outputs if output.value.type.steps is not None)
    yield from packed
