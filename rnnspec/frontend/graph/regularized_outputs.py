"""What activity regularizers look at: what layers give, which training computes besides the model's outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnspec.contract.signature import Config
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.graph.layers import Bidirectional, Convolution, Dense, Embedding, Layer, Recurrent


@dataclass(frozen=True, slots=True)
class Activity:
    """One result of a layer, given under a name that no output has."""

    name: str
    regularizer: Config


def activity_regularizer(layer: Layer) -> Config | None:
    """Of the layer itself, not of one inside."""
    match layer:
        case Embedding() | Dense() | Convolution() | Recurrent():
            return layer.activity_regularizer
        case _:
            return None


def activities(graph: Graph) -> Iterator[Activity]:
    """In the order in which `lower` makes them: use by use, of a layer with several results each."""
    number = 0
    for application in graph.applications:
        for layer in _parts(application.layer):
            regularizer = activity_regularizer(layer)
            if regularizer is not None:
                for _ in range(_results(layer)):
                    yield Activity(f"activity/{number}", regularizer)
                    number += 1


def _parts(layer: Layer) -> tuple[Layer, ...]:
    """The layers whose results are computed where this one is used."""
    return (layer.forward, layer.backward) if isinstance(layer, Bidirectional) else (layer,)


def _results(layer: Layer) -> int:
    return 1 + len(layer.states) if isinstance(layer, Recurrent) and layer.return_state else 1
