"""The stack of functions, read from assembly of every kind of machine."""

from __future__ import annotations

import pytest

from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.stack_frames import stack_bytes, unwound
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.build_targets import BUILD_TARGETS

TARGETS = [name for name, target in BUILD_TARGETS.items() if target.object_format != "Wasm"]

TEXT = """
declare void @other(ptr)

define internal void @low(ptr %p) noinline nounwind {
    %here = alloca [400 x i8], align 8
    call void @other(ptr %here)
    call void @other(ptr %p)
    ret void
}

define internal void @aligned(ptr %p) noinline nounwind {
    %here = alloca [96 x i8], align 32
    call void @other(ptr %here)
    call void @low(ptr %p)
    call void @other(ptr %p)
    ret void
}

define void @one(ptr %p) nounwind {
    %here = alloca [48 x i8], align 8
    call void @low(ptr %here)
    call void @other(ptr %p)
    ret void
}

define void @two(ptr %p) nounwind {
    call void @aligned(ptr %p)
    call void @one(ptr %p)
    ret void
}

define void @large(ptr %p) nounwind {
    %here = alloca [70000 x i8], align 8
    call void @other(ptr %here)
    ret void
}

define void @none(ptr %p) nounwind {
    store i8 1, ptr %p
    ret void
}
"""
"""Nothing of it is a tail call: the callee's frame comes to the caller's."""


def stack(name: str, roots: list[str], text: str = TEXT) -> int:
    target = BUILD_TARGETS[name]
    return stack_bytes(Machine(target).assembly(unwound(text)), target, roots)


@pytest.mark.parametrize("name", TARGETS)
def test_frames_hold_what_lies_in_them_and_little_more(name: str) -> None:
    none, low, one, two, large = (stack(name, [root]) for root in ("none", "large", "one", "two", "large"))
    assert none <= 8
    assert 448 <= one <= 448 + 176
    # The frame of `aligned` may begin up to an alignment further down.
    assert 496 <= two <= 496 + 32 + 208
    assert 70000 <= large <= 70000 + 112 and low == large
    assert stack(name, ["none", "one", "two"]) == two


@pytest.mark.parametrize("name", TARGETS)
def test_what_calls_itself_or_is_not_there_is_a_bug(name: str) -> None:
    endless = "define void @f(ptr %p) noinline nounwind {\n call void @f(ptr %p)\n store i8 1, ptr %p\n ret void\n}"
    with pytest.raises(InternalError, match="f calls itself"):
        stack(name, ["f"], endless)
    with pytest.raises(InternalError, match="no function g in the assembly"):
        stack(name, ["g"], endless)
