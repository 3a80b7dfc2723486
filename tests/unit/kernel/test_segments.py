"""Segments: which nests run segment by segment, in which order, and what then lives for one segment alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnspec.contract.arena import arena_bytes
from rnnspec.contract.dimensions import BATCH, Name, Size, Steps, Tokens, value_of
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.nodes import KernelFunction, ScanLoop, Segments
from rnnspec.kernel.printer import print_kernel
from rnnspec.kernel.verify import verify_kernel
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import compilation, model

UNITS, BATCHES, EVERY = 24, 4, 8


def spec(*layers: str) -> str:
    return model(3, *layers)


def function(compiled: Compilation, name: str, checkpoint: int = EVERY) -> KernelFunction:
    return compiled.kernels(Variant(name, False, input_gradients=False, checkpoint=checkpoint)).function


def blocks(found: KernelFunction) -> list[Segments]:
    return [block for block in found.blocks if isinstance(block, Segments)]


def arenas(found: KernelFunction, time: int) -> int:
    """Bytes of scratch and tape."""
    lengths: dict[Size, int] = {BATCH: BATCHES, Name("time"): time, Tokens(): BATCHES * time, Steps(): time}
    calling = calling_convention(found)
    known = {size: value_of(size, lengths) for size in calling.dims}
    return arena_bytes(calling.scratch.slots, known) + arena_bytes(calling.tape.slots, known)


STACKS = {
    "one": (f"LSTM({UNITS})", "Dense(2)"),
    "a stack": (f"GRU({UNITS}, return_sequences = true)", f"LSTM({UNITS}, return_sequences = true)", "Dense(2)"),
    "both directions": (f"Bidirectional(LSTM({UNITS}))", "Dense(2)"),
    "dropout": (f"GRU({UNITS}, recurrent_dropout = 0.3)", "Dense(2)"),
}


@pytest.mark.parametrize("stack", STACKS)
def test_memory_grows_with_states_and_inputs_alone(stack: str) -> None:
    """A step more takes less than a state's share: the input, the two sides' states once in a segment, nothing of the gates."""
    compiled = compilation(spec(*STACKS[stack]))
    directions = 2 if stack == "both directions" else 1
    scans = 2 if stack == "a stack" else directions
    for name in ("record", "backward"):
        growth = [
            (arenas(function(compiled, name, every), 1600) - arenas(function(compiled, name, every), 800)) / 800 for every in (0, EVERY)
        ]
        row = 4 * BATCHES
        kept = scans * 2 * 8 * UNITS / EVERY if stack == "dropout" else scans * 4 * UNITS / EVERY
        assert growth[1] <= row * (3 + 2 + 2 + kept) + 64, (name, growth[1] / row)
        assert growth[1] < growth[0] / 2


def test_gradients_are_added_up_from_the_first_segment_on() -> None:
    """A scan that goes forwards is walked three times: sums are in the order of the tokens as without segments."""
    (block,) = blocks(function(compilation(spec(*STACKS["one"])), "backward"))
    assert [phase.back for phase in block.phases] == [False, True, False]
    assert [len(phase.keeps) for phase in block.phases] == [1, 1, 0]
    text = print_kernel(function(compilation(spec(*STACKS["one"])), "backward"))
    assert "gradient.lstm/kernel[r, u] += tape.1[r, u]^T d_" in text
    assert "gradient.lstm/bias[0, u] += sum" in text


def test_backwards_two_walks_do() -> None:
    """Its reversed scan goes from first to last, and the sums with it."""
    (block,) = blocks(function(compilation(spec(f"LSTM({UNITS}, go_backwards = true)", "Dense(2)")), "backward"))
    assert [phase.back for phase in block.phases] == [True, False]


def test_a_stack_is_one_block() -> None:
    found = function(compilation(spec(*STACKS["a stack"])), "backward")
    (block,) = blocks(found)
    assert sum(isinstance(node, ScanLoop) for node in found.nodes[block.first : block.last]) == 4
    wide = [buffer for buffer in found.buffers if buffer.rows == Tokens() and buffer.width >= UNITS and buffer.space is Space.SCRATCH]
    assert not wide


def test_directions_are_blocks_of_their_own() -> None:
    found = function(compilation(spec(f"Bidirectional(GRU({UNITS}, return_sequences = true))", *STACKS["both directions"])), "backward")
    assert len(blocks(found)) == 4


def test_inference_has_none() -> None:
    assert not blocks(compilation(spec(*STACKS["one"])).kernels(Variant("forward", False)).function)
    assert not blocks(function(compilation(spec(*STACKS["one"])), "backward", 0))


def test_a_block_that_leaves_a_nest_out_is_a_bug() -> None:
    found = function(compilation(spec(*STACKS["one"])), "backward")
    (block,) = blocks(found)
    last = block.phases[-1]
    broken = {
        "leave nests out": replace(block, phases=(*block.phases[:-1], replace(last, nodes=last.nodes[1:]))),
        "don't keep the states": replace(block, kept=block.kept[1:]),
        "name no buffer": replace(block, local=(*block.local, "nowhere")),
    }
    for message, wrong in broken.items():
        with pytest.raises(InternalError, match=message):
            verify_kernel(replace(found, blocks=(wrong,)))
