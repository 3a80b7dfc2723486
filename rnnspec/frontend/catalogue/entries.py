"""What catalogues are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, Entry, NotYet

Catalogue: TypeAlias = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no entry for a name of Keras, and what to write instead."""

    reason: str
    advice: str


def catalogue(entries: Sequence[Entry]) -> Catalogue:
    """Entries by each of their spellings."""
    return MappingProxyType({spelling: entry for entry in entries for spelling in (entry.name, *entry.spellings)})


def later(name: str, default: float | int | bool | str | None = None) -> ArgumentSpec:
    return ArgumentSpec(name, NotYet(), default, optional=True)
