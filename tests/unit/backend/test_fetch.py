"""What the inner loops of products fetch while they add up."""

from __future__ import annotations

import re

import pytest

from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.kernel.nodes import FusedLoop, Outer, Prefetch, ScanLoop
from rnnspec.kernel.target import AVX2, AVX512, Target
from tests.unit.kernel.scheduled import NORMED, model, scheduled


def body_of(text: str, name: str) -> str:
    """Of a loop nest's function."""
    body = text[text.index(f"define internal void @{name}(") :]
    return body[: body.index("\n}\n")]


def loops(body: str, variable: str) -> list[str]:
    """The bodies of the innermost loops over a variable that multiply and add."""
    found = re.findall(rf"^({variable}[.0-9]+)\.body:\n(.*?)^\1\.end:", body, re.MULTILINE | re.DOTALL)
    return [text.rpartition(".body:\n")[2] for _, text in found if "@llvm.fma" in text]


def fetching(spec: str, target: Target, wanted: str = "backward") -> tuple[Prefetch, str]:
    """What a pass's contraction fetches, and its code."""
    kernels = scheduled(spec, wanted, target)
    name = kernels.function.name
    place, loop = next((place, node) for place, node in enumerate(kernels.function.nodes) if isinstance(node, ScanLoop))
    for number, node in enumerate(loop.body):
        if isinstance(node, FusedLoop) and isinstance(node.body[0], Prefetch):
            return node.body[0], body_of(emit_module(kernels.module, target), f"{name}.{place}.{number}")
    raise AssertionError("nothing is fetched")


def parts(body: str) -> tuple[int, list[int]]:
    """Into how many parts the depth falls, and where these begin and end."""
    (number,) = re.findall(r"^part[.0-9]+\.head:\n.*?icmp sle i64 %[^,]+, (\d+)\n", body, re.MULTILINE | re.DOTALL)
    chosen = re.findall(r"select i1 %[^,]+, i64 ([^,]+), i64 (\S+)", body)
    return int(number), sorted({int(value) for pair in chosen for value in pair if value.isdigit()})


@pytest.mark.parametrize(("target", "divided"), [(AVX2, 4), (AVX512, 1)], ids=["avx2", "avx512"])
def test_a_line_a_turn(target: Target, divided: int) -> None:
    """Six rows of 256, 64, 64 and 256 floats in lines of 16, then the rest of the depth; other tiles of rows fetch nothing."""
    fetch, body = fetching(model(3, "LSTM(64)"), target)
    assert (len(fetch.buffers), fetch.back, fetch.rows, fetch.parts) == (4, True, 6, divided)
    lines = [6 * width // 16 // divided for width in (256, 64, 64, 256)]
    assert parts(body) == (5, [*(sum(lines[:number]) for number in range(5)), 256])
    tall, *others = loops(body, "k")
    assert tall.count("@llvm.prefetch") == 1
    assert len(others) >= 2
    assert all("@llvm.prefetch" not in each for each in others)


@pytest.mark.parametrize(("target", "divided"), [(AVX2, 4), (AVX512, 1)], ids=["avx2", "avx512"])
def test_what_is_fetched_lies_as_many_tokens_before_as_the_step_has(target: Target, divided: int) -> None:
    """In a backward pass; a tile of units fetches its part. The scan passes the tokens of all rows, not just those that a thread has."""
    fetch, body = fetching(model(3, "LSTM(64)"), target)
    row = re.search(r"(%\S+) = sub nsw i64 %\S+, %tokens\n", body)
    assert row is not None
    assert body.count(f"mul nsw i64 {row[1]}, ") == 1
    assert len(re.findall(r"sub nsw i64 %\S+, %tokens\n", body)) == len(fetch.buffers)
    parts_of_tiles = set(re.findall(r"mul nsw i64 %tile\S*, (\d+)\n", body))
    assert ({str(6 * width // divided) for width in (256, 64)} <= parts_of_tiles) is (divided > 1), "elements of six rows"
    kernels = scheduled(model(3, "LSTM(64)"), "backward", target)
    place = next(place for place, node in enumerate(kernels.function.nodes) if isinstance(node, ScanLoop))
    scan = body_of(emit_module(kernels.module, target), f"backward.{place}")
    (given,) = re.findall(r"call void @backward\.\d+\.\d+\(.*i64 (%tokens\.\d+)\)\n", scan)
    assert re.search(rf"{given} = sub nsw i64 %n\.\d+, %n\.\d+\n", scan)


def test_a_step_forward_fetches_what_lies_behind_it() -> None:
    fetch, body = fetching(model(3, "Normed(64)", cell=NORMED), AVX2, "record")
    assert not fetch.back
    assert len(re.findall(r"add nsw i64 %\S+, %tokens\n", body)) == len(fetch.buffers) > 0


def test_no_more_lines_than_turns() -> None:
    """Two times 12 lines and two times 36 are the depth; nothing is left for the last buffer."""
    fetch, body = fetching(model(3, "GRU(32)"), AVX512)
    assert (len(fetch.buffers), fetch.parts) == (5, 1)
    assert parts(body) == (4, [0, 12, 24, 60, 96])


@pytest.mark.parametrize(("target", "lines"), [(AVX2, 1), (AVX512, 4)], ids=["avx2", "avx512"])
def test_a_weight_s_gradient_fetches_the_next_tile_of_its_right_side(target: Target, lines: int) -> None:
    """One line of each row while a tile of the result adds up: of four in turn where a row's part of a tile is four of them."""
    kernels = scheduled(model(3, "LSTM(64)"), "backward", target)
    place = next(place for place, node in enumerate(kernels.function.nodes) if isinstance(node, Outer))
    body = body_of(emit_module(kernels.module, target), f"backward.{place}")
    inner = loops(body, "r")
    assert len(inner) >= 3
    assert [each.count("@llvm.prefetch") for each in inner] == [1] * len(inner)
    assert body.count("@llvm.prefetch") == len(inner)
    assert re.findall(r"urem i64 %[^,]+, (\d+)", body) == ([str(lines)] * len(inner) if lines > 1 else [])
