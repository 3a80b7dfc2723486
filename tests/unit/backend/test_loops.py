"""The view on loops itself, on a function written by hand."""

from __future__ import annotations

import pytest

from tests.unit.backend.loops import Code, function_of, functions_of

TEXT = """
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare void @outside()
define internal void @"a nest"(ptr %x, ptr %y, i64 %from, i64 %to) {
here:
  %most = call i64 @llvm.smin.i64(i64 %to, i64 100)
  br label %rows
rows:
  %r = phi i64 [ %from, %here ], [ %later, %joined ]
  %last = add i64 %r, 3
  %goes = icmp sle i64 %last, %most
  br i1 %goes, label %inside, label %gone
inside:
  %odd = icmp eq i64 %r, 6
  br i1 %odd, label %special, label %depth
special:
  call void @outside()
  br label %depth
depth:
  %k = phi i64 [ 0, %inside ], [ 0, %special ], [ %more, %summed ]
  %more = add i64 %k, 1
  %deep = icmp sle i64 %more, 4
  br i1 %deep, label %summed, label %joined
summed:
  %line = mul i64 %r, 8
  %row = getelementptr float, ptr %x, i64 %line
  %turned = sub i64 3, %k
  %place = select i1 %odd, i64 %k, i64 %turned
  %one = getelementptr float, ptr %row, i64 %place
  call void @llvm.prefetch.p0(ptr %one, i32 0, i32 3, i32 1)
  br label %depth
joined:
  %value = load float, ptr %x
  %later = add i64 %r, 3
  store float %value, ptr %y
  br label %rows
gone:
  %end = getelementptr float, ptr %x, i64 %r
  store float 0.0, ptr %end
  ret void
}
define void @"b"() {
only:
  ret void
}
"""


def code() -> Code:
    return function_of(TEXT, "a nest")


def test_functions_have_what_they_are_called_with() -> None:
    functions = functions_of(TEXT)
    assert {name: each.exported for name, each in functions.items()} == {"a nest": False, "b": True}
    assert (code().parameters, code().pointers) == (("x", "y", "from", "to"), ("x", "y"))
    assert functions["b"].loops == []


def test_loops_are_natural_ones() -> None:
    rows, depth = code().loops
    assert rows.blocks == {"rows", "inside", "special", "depth", "summed", "joined"}
    assert depth.blocks == {"depth", "summed"}
    assert [loop.header for loop in depth.function.around(depth)] == ["rows"]
    assert [loop.header for loop in rows.inner] == [loop.header for loop in code().innermost] == ["depth"]


def test_a_loop_s_turns_are_those_of_its_counter() -> None:
    rows, depth = code().loops
    assert depth.turns() == range(4)
    assert rows.turns({"from": 0, "to": 11}) == range(0, 9, 3)
    assert len(rows.turns({"from": 95, "to": 1000})) == 1, "no further than to 100"
    assert len(rows.turns({"from": 5, "to": 5})) == 0


def test_calls_are_known_by_an_intrinsic_s_name() -> None:
    rows, depth = code().loops
    assert [len(loop.calls("llvm.prefetch")) for loop in (rows, depth)] == [1, 1]
    assert [len(loop.calls("outside")) for loop in (rows, depth)] == [1, 0]
    assert not rows.calls("llvm.pre") and not rows.calls("llvm.smin")


def test_addresses_are_computed_from_what_is_given() -> None:
    (fetch,) = code().calls("llvm.prefetch")
    assert code().address(fetch.operands[0], {"r": 5, "k": 1}) == ("x", 42)
    assert code().address(fetch.operands[0], {"r": 6, "k": 1}) == ("x", 49)
    with pytest.raises(AssertionError, match="from has no number"):
        code().address(fetch.operands[0], {"k": 1, "to": 5})
    with pytest.raises(AssertionError, match=r"\('x', 0\) has no number"):
        code().evaluate("value")
    assert code().evaluate("value", {("x", 0): 7}) == 7


def test_a_counter_that_is_not_given_is_behind_its_loop() -> None:
    *_, last = (each for each in code().instructions if each.opcode == "store")
    assert code().address(last.operands[1], {"from": 0, "to": 11}) == ("x", 9)


def test_memory_that_is_read_and_written() -> None:
    assert (code().loaded, code().stored) == ({"x"}, {"x", "y"})
    assert [each.name for each in code().loads_behind("value")] == ["value"]
