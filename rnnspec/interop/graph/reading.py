"""The protocol of readers, and what a user says beside a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedGraph

HEAD = 4096
"""Bytes at the start of a file that a reader is shown."""


@frozen
class ReaderOptions:
    """What a user says beside the file.

    `weights`: a file of weights beside an architecture alone. `cells`: by the names of a file's classes, the names of cells of the
    text `declarations`, which are put in their place. `inputs`: values for inputs that are fixed, by name. `map`: by names in the file,
    those in the model. `states`: by inputs that are states of one step, the outputs that they are after it. `source`: the name under which
    messages speak of the file. `trusted`: whether code of the file may run.
    """

    weights: Path | None = None
    cells: Mapping[str, str] = field(default_factory=dict[str, str])
    declarations: str = ""
    inputs: Mapping[str, float | int | str] = field(default_factory=dict[str, "float | int | str"])
    map: Mapping[str, str] = field(default_factory=dict[str, str])
    states: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str = ""
    trusted: bool = False


class Reader(Protocol):
    """A format of files from which models come."""

    @property
    def name(self) -> str:
        """The format in words, `Keras`."""
        ...

    def takes(self, path: Path, head: bytes) -> bool:
        """Whether a file is of this format, by its first bytes, and only where these don't tell by its ending."""
        ...

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """The model in a file; `ImportRefused` with all that can't be said, OSError for a file that can't be read."""
        ...

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """A file's weights by the names of a given model's, all or some of them, and notes; `ImportRefused` for what doesn't fit."""
        ...
