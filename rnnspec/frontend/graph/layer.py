"""Layers of a graph, with their arguments evaluated, as everything but a layer's own file sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from rnnspec.contract.signature import Config, InitializerPart
from rnnspec.frozen import frozen


@frozen
class LayerWeight:
    """A weight under its full path; `updated`: a call in training gives it a new value. `flat`: computed with as one row."""

    path: str
    shape: tuple[int, ...]
    initializer: tuple[InitializerPart, ...]
    trainable: bool = True
    updated: bool = False
    regularizer: Config | None = None
    constraint: Config | None = None
    flat: bool = False


def state_of_use(state: str, use: int) -> str:
    """The name of a layer's state in a stream, which each use of a shared layer has of its own: `lstm/h`, then `lstm/h/2`."""
    return state if use == 1 else f"{state}/{use}"


@frozen
class Layer:
    """A layer under its name. Each kind is a class in `frontend/layers`, with a record of its rules beside it."""

    name: str

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        """Its own and those of layers inside, in Keras's order, which is that of the class's fields."""
        return tuple(self._weights())

    def _weights(self) -> Iterator[LayerWeight]:
        for each in fields(self):
            match getattr(self, each.name):
                case LayerWeight() as weight:
                    yield weight
                case Layer() as inner:
                    yield from inner.weights
                case _:
                    pass
