"""A model on its way out, and the protocol of the formats that take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import ArgumentValue
from rnnspec.contract.signature import Signature
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frozen import frozen


@frozen(eq=False)
class ExportedModel:
    """A model: the graph of its spec with the parameters' values put in, its weights by name, and its signature.

    Each application of the graph has its layer's type with all arguments as `call`, and its cells' equations in the layer. `text`,
    `parameters`: of the spec, for formats that can keep it beside the model.
    """

    graph: Graph
    weights: Mapping[str, Array]
    signature: Signature
    text: str = ""
    parameters: Mapping[str, ArgumentValue] = field(default_factory=dict[str, ArgumentValue])


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
