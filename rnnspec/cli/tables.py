"""Tables of layers and of masks on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from rnnspec.contract.model_source import LayerRow, MaskRow


def layer_table(rows: Sequence[LayerRow]) -> Table:
    """The layer table, with the number of all weights at the foot."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("layer", style="bold", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("output shape", no_wrap=True)
    table.add_column("mask", footer="total", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True, footer=f"{sum(row.weights for row in rows):,}")
    for row in rows:
        table.add_row(row.name, row.kind, row.output_shape, row.mask, f"{row.weights:,}")
    return table


def mask_table(rows: Sequence[MaskRow]) -> Table:
    """The table of masks, a line for each use of a layer: unmasked steps before and after it."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", style="bold", no_wrap=True)
    for heading in ("real steps in", "real steps out", "mask", "masked steps hold"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "mask")
    for row in rows:
        table.add_row(row.name, row.taken, row.given, row.mask, row.masked_output)
    return table
