"""Results that activity regularizers look at, which training computes besides the model's outputs."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.contract.signature import Config
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frozen import frozen


@frozen
class Activity:
    """One result of a layer, given under a name that no output has."""

    name: str
    regularizer: Config


def activities(graph: Graph) -> Iterator[Activity]:
    """In the order in which `lower` makes them: use by use, of a layer with several results each."""
    regularizers = [each for application in graph.applications for each in rules_of(application.layer).activities(application.layer)]
    return (Activity(f"activity/{number}", regularizer) for number, regularizer in enumerate(regularizers))
