"""The protocols of readers and exporters: what each format gives and takes."""

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
    those in the model. `source`: the name under which messages speak of the file.
    """

    weights: Path | None = None
    cells: Mapping[str, str] = field(default_factory=dict[str, str])
    declarations: str = ""
    inputs: Mapping[str, float | int | str] = field(default_factory=dict[str, "float | int | str"])
    map: Mapping[str, str] = field(default_factory=dict[str, str])
    source: str = ""


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


@frozen
class ExportedModel:
    """A model on its way out: its spec's text with the parameters' values put in, its weights by name, and its signature."""

    name: str
    text: str
    parameters: Mapping[str, object]
    weights: Mapping[str, Array]
    signature: Signature


class Exporter(Protocol):
    """A format to which models go."""

    @property
    def name(self) -> str:
        """The name behind `--to`, `keras`."""
        ...

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of files by which it is chosen, `.keras`."""
        ...

    def write(self, model: ExportedModel, path: Path) -> Sequence[str]:
        """Writes the file, and gives notes; `ExportRefused` with all that the format can't say."""
        ...
