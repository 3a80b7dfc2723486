"""The pipeline of kernels: its order, what it stops after, and what it finds wrong after a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from rnnspec.backend.llvm_cpu.backend import INFERENCE, TRAINING
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.cpu.prefetch import PrefetchTokens
from rnnspec.kernel.cpu.tape_aliasing import AliasTape
from rnnspec.kernel.cpu.time_blocks import TimeBlocks
from rnnspec.kernel.nodes import KernelFunction, Prefetch, ScanLoop
from rnnspec.kernel.pipeline import KernelPipeline, Kernels
from rnnspec.kernel.verify import verify_kernel
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import all_nodes, compilation, model

SPEC = model(3, "LSTM(8, return_sequences = true)", "LSTM(4)")


def kernels(name: str, after: str | None = None) -> Kernels:
    return compilation(SPEC).kernels(Variant(name, False), after)


def fetches(function: KernelFunction) -> bool:
    return any(isinstance(statement, Prefetch) for node in all_nodes(function.nodes) for statement in getattr(node, "body", ()))


def test_each_pass_does_its_own_part() -> None:
    assert INFERENCE.stages == ("time-blocks", "prefetch") and TRAINING.stages == ("segments", "time-blocks", "alias-tape", "prefetch")
    recorded = [kernels("record", label) for label in ("schedule", *TRAINING.stages)]
    assert [bool(each.function.blocks) for each in recorded] == [False, False, True, True, True]
    assert [bool(each.aliases) for each in recorded] == [False, False, False, True, True]
    backward = [kernels("backward", label) for label in ("schedule", *TRAINING.stages)]
    assert [fetches(each.function) for each in backward] == [False, False, False, False, True]
    assert recorded[-1] == kernels("record") and backward[-1] == kernels("backward")


def test_a_gradient_finds_the_tape_as_the_recorded_call_leaves_it() -> None:
    """After each pass, and not as it will be in the end."""
    for label in ("schedule", *TRAINING.stages):
        written = {buffer.name for buffer in kernels("record", label).function.buffers}
        read = {buffer.name for buffer in kernels("backward", label).function.buffers if buffer.name.startswith("tape.")}
        assert read and read <= written, label


def test_only_a_recorded_call_has_a_tape_to_alias() -> None:
    for name in ("forward", "backward"):
        before = kernels(name, "schedule")
        assert AliasTape().run(before) is before


def test_passes_are_data() -> None:
    assert (TimeBlocks(), PrefetchTokens()) == INFERENCE.passes
    with pytest.raises(KeyError, match="alias-tape"):
        INFERENCE.run(kernels("forward", "schedule"), "alias-tape")


def change_nothing(function: KernelFunction) -> KernelFunction:
    return function


def lose_a_buffer(function: KernelFunction) -> KernelFunction:
    return replace(function, buffers=tuple(buffer for buffer in function.buffers if buffer.name != "h"))


def double_a_buffer(function: KernelFunction) -> KernelFunction:
    return replace(function, buffers=(*function.buffers, function.buffers[0]))


def double_a_block(function: KernelFunction) -> KernelFunction:
    return replace(function, blocks=(*function.blocks, function.blocks[0]))


def reach_too_far(function: KernelFunction) -> KernelFunction:
    return replace(function, blocks=(replace(function.blocks[0], last=len(function.nodes) + 1),))


def leave_out_the_scan(function: KernelFunction) -> KernelFunction:
    first = next(number for number, node in enumerate(function.nodes) if isinstance(node, ScanLoop))
    return replace(function, blocks=(replace(function.blocks[0], last=first),))


def turn_round(function: KernelFunction) -> KernelFunction:
    return replace(function, blocks=(replace(function.blocks[0], reverse=True),))


@dataclass(frozen=True)
class Broken:
    """A pass with a bug."""

    change: Callable[[KernelFunction], KernelFunction]
    name = "broken"

    def run(self, kernels: Kernels) -> Kernels:
        return replace(kernels, function=self.change(kernels.function))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_a_buffer, "@forward: nest 2 touches h, which is no buffer, in what comes from .*<spec>:"),
        (double_a_buffer, "@forward: two buffers are named "),
        (double_a_block, "@forward: the block of nests 0 to .* overlaps with another one, or has no nests"),
        (reach_too_far, "overlaps with another one"),
        (leave_out_the_scan, "@forward: the block of nests 0 to 2 has no scan"),
        (turn_round, "has a scan over other steps than its own"),
    ],
)
def test_what_a_pass_breaks_is_found_behind_it(change: Callable[[KernelFunction], KernelFunction], message: str) -> None:
    with pytest.raises(InternalError, match=f"after broken: {message}|after broken: .*{message}"):
        KernelPipeline((TimeBlocks(), Broken(change), PrefetchTokens())).run(kernels("forward", "schedule"))
    with pytest.raises(InternalError, match="before the first pass: "):
        KernelPipeline(()).run(Broken(change).run(kernels("forward", "time-blocks")))


def test_what_is_whole_passes() -> None:
    KernelPipeline((TimeBlocks(), Broken(change_nothing))).run(kernels("forward", "schedule"))
    for name in ("forward", "record", "backward"):
        verify_kernel(kernels(name).function)
