"""What objects ask of others, by LLVM's objects of each kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.deploy.object_symbols import undefined_symbols
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.target import Target

TEXT = """
@table = external constant [4 x i32]
@own = internal constant [2 x i32] [i32 1, i32 2]
declare void @short(ptr)
declare void @a_name_of_more_than_eight_bytes(ptr)
declare void @never_called(ptr)
define internal void @inside(ptr %x) noinline nounwind { call void @short(ptr %x) ret void }
define i32 @seen(ptr %x, i32 %n) nounwind {
  call void @inside(ptr %x)
  call void @a_name_of_more_than_eight_bytes(ptr @own)
  %place = getelementptr i32, ptr @table, i32 %n
  %value = load i32, ptr %place
  ret i32 %value
}
"""
WATCH = replace(BUILD_TARGETS["aarch64-apple"], name="watch", triple="arm64_32-apple-watchos9.0", cpu="", pointer_bits=32)
TARGETS = (*(BUILD_TARGETS[name] for name in ("x86-64-v3", "x86-64-v3-windows", "aarch64-apple", "cortex-m4")), WATCH)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_an_object_does_not_define(target: Target) -> None:
    code = Machine(target).object_code(f'target triple = "{target.triple}"\n{TEXT}')
    assert undefined_symbols(code, target.object_format) == ("a_name_of_more_than_eight_bytes", "short", "table")


def test_other_objects_are_not_read() -> None:
    with pytest.raises(InternalError):
        undefined_symbols(b"\0asm\1\0\0\0", "Wasm")
    with pytest.raises(InternalError):
        undefined_symbols(bytes(64), "MachO")
