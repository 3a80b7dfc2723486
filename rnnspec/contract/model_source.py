"""A model's layer table, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.contract.signature import ArgumentValue
from rnnspec.frozen import frozen


@frozen
class LayerRow:
    """A row of the layer table: "lstm", "LSTM", "(batch, time, 100)", "passed on", number of weights."""

    name: str
    kind: str
    output_shape: str
    mask: str
    weights: int


@frozen
class MaskRow:
    """A mask on its way through a layer: the sources of the incoming and the outgoing mask, and the output at masked steps."""

    name: str
    taken: str
    given: str
    mask: str
    masked_output: str


@frozen
class ModelSource:
    """The origin of a model: its text, parameters and dtype, enough to compile it again, and its layer table."""

    name: str
    text: str
    parameters: Mapping[str, ArgumentValue]
    dtype: str
    rows: tuple[LayerRow, ...] = ()


def summary_text(source: ModelSource) -> str:
    """The layer table as text: a heading, a line a layer, the number of weights; no trailing newline."""
    parameters = ", ".join(f"{name} = {value}" for name, value in source.parameters.items())
    lines = [f"{source.name}({parameters}), {source.dtype}", ""]
    lines += table(
        ("layer", "type", "output shape", "mask", "weights"),
        [(row.name, row.kind, row.output_shape, row.mask, f"{row.weights:,}") for row in source.rows],
        right={4},
    )
    lines += ["", f"{sum(row.weights for row in source.rows):,} weights"]
    return "\n".join(lines)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Lines of aligned columns under a heading and a rule; the columns in `right` are aligned to the right."""
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]

    def line(cells: Sequence[str]) -> str:
        aligned = (cell.rjust(widths[column]) if column in right else cell.ljust(widths[column]) for column, cell in enumerate(cells))
        return "  ".join(aligned).rstrip()

    return [line(cells) for cells in (heading, ["-" * width for width in widths], *rows)]
