"""Denormal numbers taken for zero while native code runs, on machines that have a switch for it."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.frozen import frozen
from rnnspec.kernel.target import DenormalSwitch


@frozen
class ControlState:
    """The caller's state of a control register: `saved` is its address."""

    switch: DenormalSwitch
    saved: str


def begin_flushing(vectors: Vectors) -> ControlState | None:
    """Turns denormals off on machines that have the switch; the state to restore, None without a switch."""
    switch = vectors.target.denormals
    if switch is None:
        return None
    for name in (switch.read, switch.write):
        vectors.library.declarations[f"declare void @{name}(ptr)"] = None
    entry = vectors.writer
    saved, changed = entry.assign("alloca i32", "state"), entry.assign("alloca i32", "state")
    entry.do(f"call void @{switch.read}(ptr {saved})")
    flags = entry.assign(f"or i32 {entry.assign(f'load i32, ptr {saved}')}, {switch.bits}")
    entry.do(f"store i32 {flags}, ptr {changed}")
    entry.do(f"call void @{switch.write}(ptr {changed})")
    return ControlState(switch, saved)


def end_flushing(writer: FunctionWriter, state: ControlState | None) -> None:
    """Gives the caller's state back."""
    if state is not None:
        writer.do(f"call void @{state.switch.write}(ptr {state.saved})")
