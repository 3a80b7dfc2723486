"""The parts of catalogues: entries under all their spellings, and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from rnnspec.frontend.catalogue.argument_types import Entry
from rnnspec.frozen import frozen

Catalogue: TypeAlias = Mapping[str, Entry]


@frozen
class Refusal:
    """A name of Keras's without an entry: the reason, and a substitute for it."""

    reason: str
    advice: str


def catalogue(entries: Sequence[Entry]) -> Catalogue:
    """Entries by each of their spellings."""
    return MappingProxyType({spelling: entry for entry in entries for spelling in (entry.name, *entry.spellings)})
