"""Weights of Keras models."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Protocol, TypeVar

from rnnspec.contract.executable import Array

Value = TypeVar("Value")


class KerasWeight(Protocol):
    """A weight of a Keras model, an entry of `keras_model.weights`."""

    @property
    def path(self) -> str:
        """The weight's path in the model, "lstm/lstm_cell/kernel"."""
        ...

    def numpy(self) -> Array:
        """The values in Keras's layout."""
        ...


def weights_for(names: Iterable[str], weights: Iterable[KerasWeight]) -> dict[str, Array]:
    """A Keras model's weights under their names here, for `set_weights`; `names` are those of the model's own weights.

    They are taken layer by layer, in any order of the layers, those of a layer in their order. Models around a layer
    and cells in it don't count. A layer is known by its name; where names differ by the numbers at their ends alone, as
    automatic ones do, which Keras counts through a whole process, by the order of these numbers. ValueError says which
    layers or weights don't fit each other.
    """
    ours: dict[str, list[str]] = {}
    for name in names:
        ours.setdefault(name.partition("/")[0], []).append(name)
    bases = {_parted(layer)[0] for layer in ours}
    theirs: dict[str, list[KerasWeight]] = {}
    for weight in weights:
        theirs.setdefault(_layer_of(weight.path, ours, bases), []).append(weight)
    if set(ours) == set(theirs):
        pairs = [(own, theirs[layer]) for layer, own in ours.items()]
    else:
        here, there = _ranked(ours), _ranked(theirs)
        if set(here) != set(there):
            raise ValueError(f"the layers with weights are {', '.join(ours)}; in Keras they are {', '.join(theirs)}")
        pairs = [(own, there[rank]) for rank, own in here.items()]
    found: dict[str, Array] = {}
    for own, given in pairs:
        if [name.rpartition("/")[2] for name in own] != [weight.path.rpartition("/")[2] for weight in given]:
            raise ValueError(f"the weights {', '.join(own)} are {', '.join(weight.path for weight in given)} in Keras")
        found |= {name: weight.numpy() for name, weight in zip(own, given, strict=True)}
    return found


def _layer_of(path: str, layers: Container[str], bases: Container[str]) -> str:
    """The part of a path that names a layer: one of these, or one that differs from these by its number; else the first."""
    parts = path.split("/")[:-1]
    exact = (part for part in parts if part in layers)
    near = (part for part in parts if _parted(part)[0] in bases)
    return next(exact, next(near, parts[0] if parts else path))


def _parted(layer: str) -> tuple[str, int]:
    """A name and the number at its end, 0 where it has none."""
    found = re.fullmatch(r"(.*)_(\d+)", layer)
    return (found[1], int(found[2])) if found else (layer, 0)


def _ranked(layers: Mapping[str, Value]) -> dict[tuple[str, int], Value]:
    """By the layers' names without numbers, and their places among those of the same name in the order of the numbers."""
    ranked: dict[tuple[str, int], Value] = {}
    for layer in sorted(layers, key=_parted):
        base, place = _parted(layer)[0], 0
        while (base, place) in ranked:
            place += 1
        ranked[base, place] = layers[layer]
    return ranked
