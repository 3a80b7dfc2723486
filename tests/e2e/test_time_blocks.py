"""Loop nests that take turns, a few steps each time, give the bits that they give one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu import entry
from rnnspec.kernel.cpu import time_blocks as passes
from rnnspec.kernel.cpu.time_blocks import time_blocks
from rnnspec.kernel.nodes import TimeBlock
from tests.e2e.test_threads import ATTENTION, BATCHES, CELL, LAYERS, all_results, assert_same_bits, drawn, shared, spec_of

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")

STACKS = {
    "a stack": ("float[time, 3]", "LSTM(5, return_sequences = true)\n    Dense(4)\n    GRU(6, return_sequences = true)\n    LSTM(3)"),
    "a stack, backwards": (
        "float[time, 3]",
        "LSTM(5, go_backwards = true, return_sequences = true)\n    Slow(4, return_sequences = true)\n    Dense(2)",
    ),
    "both ways, twice": (
        "float[time, 4]",
        "Bidirectional(LSTM(7, return_sequences = true))\n    Bidirectional(GRU(5, return_sequences = true))\n    Dense(3)",
    ),
}
NAMES = (*LAYERS, "attention", *STACKS)


def text_of(name: str) -> str:
    if name in STACKS:
        given, layers = STACKS[name]
        return f"{CELL}model Case {{\n    input x: {given}\n\n    {layers}\n}}\n"
    return ATTENTION if name == "attention" else spec_of(name)


def given_to(name: str, lengths: list[int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    if name not in STACKS:
        return drawn(name, lengths)
    return drawn("two directions" if name == "both ways, twice" else "a GRU", lengths)


def results(name: str, threads: int) -> list[list[np.ndarray]]:
    model = shared(rnnspec.compile(text_of(name), seed=2), threads)
    return [all_results(model, *given_to(name, lengths)) for lengths in BATCHES.values()]


@pytest.mark.every(5)
@pytest.mark.parametrize("own_rows", [0, 1 << 30], ids=["own rows", "tokens divided"])
@pytest.mark.parametrize("tokens", [1, 12])
@pytest.mark.parametrize("name", NAMES)
def test_the_bits_are_those_of_whole_nests(name: str, tokens: int, own_rows: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[TimeBlock] = []

    def small(*given: object) -> tuple[TimeBlock, ...]:
        blocks = tuple(replace(block, tokens=tokens) for block in time_blocks(*given))  # pyright: ignore[reportArgumentType]
        found.extend(blocks)
        return blocks

    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path / "whole"))
    monkeypatch.setattr(passes, "time_blocks", lambda *_: ())
    expected = results(name, 1)
    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path / "blocks"))
    monkeypatch.setattr(passes, "time_blocks", small)
    monkeypatch.setattr(entry, "OWN_ROWS", own_rows)
    for threads in (1, 3):
        for one, other in zip(results(name, threads), expected, strict=True):
            assert_same_bits(one, other)
    assert bool(found) is (name != "no scan")
