"""Drawn specs that try a compiler: each works, or is told where it is wrong; in `make fuzz` within bounds of time and memory."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from rnnspec.contract.dimensions import Name
from tests.property.agreement import check_damaged
from tests.property.bounds import FUZZ, bounded
from tests.property.drawn_model import DrawnModel
from tests.property.entries import Shape
from tests.property.hostile import doubled_rows, turned_rows
from tests.property.hostile_drawing import deep_blocks, graph_cells, grossly_damaged, hostile_names, of_text

MODELS = int(os.environ.get("FUZZ_MODELS", "3"))
counts: Counter[str] = Counter()
slowly = settings(suppress_health_check=list(HealthCheck), max_examples=MODELS)


def check(kind: str, drawn: DrawnModel, *, compiled: bool = True) -> None:
    with bounded(drawn):
        counts[f"{kind} that were {check_damaged(drawn, compiled=compiled)}"] += 1


@settings(slowly)
@given(graph_cells())
def test_cells_whose_values_are_a_graph(drawn: DrawnModel) -> None:
    check("cells", drawn)


@settings(slowly)
@given(deep_blocks())
def test_blocks_in_blocks(drawn: DrawnModel) -> None:
    check("blocks", drawn)


@settings(slowly)
@given(hostile_names())
def test_names_that_mean_something_elsewhere(drawn: DrawnModel) -> None:
    check("names", drawn)


@settings(slowly)
@given(grossly_damaged())
def test_gross_damage_is_told_or_works(drawn: DrawnModel) -> None:
    check("gross damage", drawn, compiled=FUZZ)


@pytest.mark.parametrize("text", [doubled_rows(11), turned_rows(9, 1200)], ids=["doubled", "turned"])
def test_rows_of_too_many_parts_are_stored_and_right(text: str) -> None:
    assert check_damaged(of_text(text, Shape(Name("time"), 4)), compiled=True) == "compiled"
