"""A mask that a layer drops is warned of, with its path; what consumes it or hands it on is not."""

from __future__ import annotations

import pytest

from rnnspec.frontend.model.summary import mask_rows
from tests.unit.frontend.test_flows import graph, warned

WORDS = "x: int[time]"
MASKED = "m = x -> Embedding(5, 3, mask_zero = true)"


@pytest.mark.parametrize("layer", ["Add", "Multiply", "Maximum", "Concatenate"])
def test_a_merge_with_what_has_no_mask_drops_it(layer: str) -> None:
    made = graph("p = x -> Embedding(5, 3)", MASKED, f"[p, m] -> {layer}()", "LSTM(2)", of=WORDS)
    assert warned(made) == [f"W0201 {layer} drops the mask"]
    (warning,) = made.warnings
    assert warning.help == f"its path: Embedding line 4 -> {layer} line 5 drops it"
    assert [row.mask for row in mask_rows(made)] == ["passed on", "created", "dropped", "consumed"]


@pytest.mark.parametrize("rest", ["LSTM(2)", "GlobalMaxPooling1D()", "Bidirectional(GRU(2))", "Dense(2) LSTM(2, return_sequences = true)"])
def test_what_consumes_a_mask_or_hands_it_on_does_not_drop_it(rest: str) -> None:
    assert warned(graph(MASKED, rest, of=WORDS)) == []


def test_both_masked_is_not_dropped_nor_is_a_callers_own_mask() -> None:
    assert warned(graph(MASKED, "n = m -> Dense(3)", "[m, n] -> Add()", of=WORDS)) == []
    assert warned(graph("Dense(3)", "LSTM(2)", of="x: float[time, 3]")) == []


@pytest.mark.parametrize("layer", ["Conv1D(2, 2", "MaxPooling1D(2", "AveragePooling1D(2"])
def test_windows_drop_it_and_say_how_it_goes_on(layer: str) -> None:
    made = graph(MASKED, f"{layer})", "LSTM(2)", of=WORDS)
    (warning,) = made.warnings
    name = layer.partition("(")[0]
    assert warning.help == (
        f"its path: Embedding line 3 -> {name} line 4 drops it; write `carry_mask = true` in it: its windows then leave masked steps out, "
        "and the mask goes on"
    )
    carried = graph(MASKED, f"{layer}, carry_mask = true)", "LSTM(2)", of=WORDS)
    assert warned(carried) == []
    _, row, after = mask_rows(carried)
    assert (row.taken, row.given, row.mask, row.masked_output) == ("x where not all 0", "windows of x", "passed on", "zero")
    assert (after.taken, after.mask) == ("windows of x", "consumed")
