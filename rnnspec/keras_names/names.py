"""Keras's public names: families, their members, spellings and arguments.

The list is `names.json`, which `tests/fixtures/keras/make_keras_names.py` writes. It is read when an unknown name is met.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rnnspec.frozen import frozen

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "layer": "layers",
        "loss": "losses",
        "metric": "metrics",
        "optimizer": "optimizers",
        "activation": "activations",
        "initializer": "initializers",
        "regularizer": "regularizers",
        "constraint": "constraints",
        "callback": "callbacks",
        "learning-rate schedule": "schedules",
    }
)
"""What one member is called, and Keras's module of all."""


@frozen
class KerasName:
    """A member of a family under the name of its class, or of its function where it has none."""

    family: str
    name: str
    arguments: frozenset[str]


def keras_name(family: str, spelling: str) -> KerasName | None:
    """The member that Keras finds by a spelling, capitals and underscores aside; None if there is none."""
    names, plain = _family(family)
    name = plain.get(_plain(spelling))
    return None if name is None else KerasName(family, name, frozenset(names[name]))


def families_of(spelling: str) -> tuple[str, ...]:
    """The families that have a member of exactly this spelling."""
    return tuple(family for family in FAMILIES if spelling in spellings(family))


def spellings(family: str) -> Mapping[str, str]:
    """Every spelling of a family's members, and the member that it means."""
    entry = _data()[FAMILIES[family]]
    return {name: name for name in entry["names"]} | entry["spellings"]


def foreign_spellings(family: str, known: Iterable[str]) -> set[str]:
    """The spellings of members that none of the known names means."""
    meant = spellings(family)
    here = {meant[name] for name in known if name in meant}
    return {spelling for spelling, name in meant.items() if name not in here}


def functions() -> frozenset[str]:
    """The names in `keras.ops`."""
    return frozenset(_data()["ops"])


def settings() -> frozenset[str]:
    """The arguments of `Model.compile` and `Model.fit`."""
    return frozenset(_data()["settings"])


@cache
def _data() -> dict[str, Any]:
    # Not by importlib.resources, which takes longer to import than the file to read, at every start.
    return json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))


@cache
def _family(family: str) -> tuple[Mapping[str, list[str]], Mapping[str, str]]:
    return _data()[FAMILIES[family]]["names"], {_plain(spelling): name for spelling, name in spellings(family).items()}


def _plain(spelling: str) -> str:
    return spelling.replace("_", "").lower()
