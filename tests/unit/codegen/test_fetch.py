"""The loops of a contraction that fetches: pieces of the depth one after the other, a line in each turn of all but the last."""

from __future__ import annotations

import itertools
import re

import pytest

from rnnspec.codegen.module import emit_module
from rnnspec.kernel.nodes import Fetch, Outer, ScanLoop, Stage
from rnnspec.kernel.target import AVX2, AVX512, Target
from tests.unit.kernel.scheduled import model, scheduled

LOOP = re.compile(
    r"^(k[.0-9]+)\.head:\n  %\1 = phi i64 \[ (\d+),.*?icmp sle i64 %[^,]+, (\d+)\n.*?^\1\.body:\n(.*?)^\1\.end:",
    re.MULTILINE | re.DOTALL,
)


def loops(spec: str, target: Target) -> tuple[Fetch, list[tuple[int, int, int, int]]]:
    """What the backward pass's contraction fetches; start, stop, fetches and products of each loop over its depth."""
    kernels = scheduled(spec, "backward", target)
    place, loop = next((place, node) for place, node in enumerate(kernels.function.nodes) if isinstance(node, ScanLoop))
    number, fetch = next(
        (number, node.body[0]) for number, node in enumerate(loop.body) if isinstance(node, Stage) and isinstance(node.body[0], Fetch)
    )
    text = emit_module(kernels.module, target)
    body = text[text.index(f"define internal void @backward.{place}.{number}(") :]
    found = LOOP.findall(body[: body.index("\n}\n")])
    return fetch, [(int(start), int(stop), text.count("@llvm.prefetch"), text.count("@llvm.fma")) for _, start, stop, text in found]


@pytest.mark.parametrize(("target", "parts"), [(AVX2, 4), (AVX512, 1)], ids=["avx2", "avx512"])
def test_a_line_a_turn(target: Target, parts: int) -> None:
    """Six rows of 256, 64, 64 and 256 floats in lines of 16; all rows of other tiles, and their products, in one loop."""
    fetch, found = loops(model(3, "LSTM(64)"), target)
    assert (len(fetch.buffers), fetch.back, fetch.rows, fetch.parts) == (4, True, 6, parts)
    lines = [6 * width // 16 // parts for width in (256, 64, 64, 256)]
    edges = [sum(lines[:number]) for number in range(5)]
    assert edges[-1] < 256
    tall = found[:5]
    assert [each[:2] for each in tall] == [*itertools.pairwise(edges), (edges[-1], 256)]
    assert [each[2] for each in tall] == [1, 1, 1, 1, 0]
    assert len({each[3] for each in tall}) == 1
    assert all(each[:3] == (0, 256, 0) for each in found[5:])
    assert len(found) > 5


def test_no_more_lines_than_turns() -> None:
    """Two times 12 lines and two times 36 are the depth; nothing is left for the last buffer, and no loop that fetches nothing."""
    fetch, found = loops(model(3, "GRU(32)"), AVX512)
    assert (len(fetch.buffers), fetch.parts) == (5, 1)
    assert [each[:3] for each in found[:4]] == [(0, 12, 1), (12, 24, 1), (24, 60, 1), (60, 96, 1)]
    assert all(each[:3] == (0, 96, 0) for each in found[4:])


@pytest.mark.parametrize(("target", "lines"), [(AVX2, 1), (AVX512, 4)], ids=["avx2", "avx512"])
def test_a_weight_s_gradient_fetches_the_next_tile_of_its_right_side(target: Target, lines: int) -> None:
    """One line of each row while a tile of the result adds up: of four in turn where a row's part of a tile is four of them."""
    kernels = scheduled(model(3, "LSTM(64)"), "backward", target)
    place = next(place for place, node in enumerate(kernels.function.nodes) if isinstance(node, Outer))
    text = emit_module(kernels.module, target)
    body = text[text.index(f"define internal void @backward.{place}(") :]
    body = body[: body.index("\n}\n")]
    sums = [found for found in re.findall(r"^(r[.0-9]+)\.body:\n(.*?)^\1\.end:", body, re.MULTILINE | re.DOTALL) if "@llvm.fma" in found[1]]
    inner = [found[1].rpartition(".body:\n")[2] for found in sums]
    assert len(inner) >= 3
    assert [each.count("@llvm.prefetch") for each in inner] == [1] * len(inner)
    assert body.count("@llvm.prefetch") == len(inner)
    assert re.findall(r"urem i64 %[^,]+, (\d+)", body) == ([str(lines)] * len(inner) if lines > 1 else [])
