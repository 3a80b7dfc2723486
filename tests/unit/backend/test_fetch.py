"""What the inner loops of products fetch while they add up: which elements of which buffers, computed from the loops' own addresses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.kernel.nodes import FusedLoop, KernelFunction, Outer, Prefetch, ScanLoop
from rnnspec.kernel.target import AVX2, AVX512, Target
from tests.unit.backend.loops import Code, Loop, Numbers, function_of
from tests.unit.kernel.scheduled import NORMED, model, scheduled

LINE = 16
"""Floats of a cache line."""

ROW, TOKEN, TOKENS, TILE = 12, 5000, 700, 3
"""Numbers to compute addresses with: a row, the step's first token, how many tokens the step has, and which tile of the units it is."""


@dataclass(frozen=True)
class Contraction:
    """A contraction that fetches: its statement, its code, that of the scan around it, and its function's kernel IR."""

    fetch: Prefetch
    code: Code
    scan: Code
    kernel: KernelFunction

    @property
    def sums(self) -> list[Loop]:
        return sums(self.code)

    def widths(self) -> list[int]:
        """Of what is fetched."""
        return [self.kernel.buffer(name).width for name in self.fetch.buffers]

    def parts(self) -> list[tuple[int, range, str, list[int]]]:
        """Of each part of the depth: its number, its turns, what is fetched there, and at which elements from that."""
        loop = self.sums[0]
        *tiles, rows, part = self.code.around(loop)
        token, tokens = (self.code.parameters[place] for place in ((-4, -1) if tiles else (-2, -1)))
        (fetch,) = loop.calls("llvm.prefetch")
        found: list[tuple[int, range, str, list[int]]] = []
        for number in part.turns():
            given: dict[str | tuple[str, int], int] = {part.counter.name: number, rows.counter.name: ROW, token: TOKEN, tokens: TOKENS}
            given |= {tile.counter.name: TILE for tile in tiles}
            turns = loop.turns(given)
            places = [self.code.address(fetch.operands[0], {**given, loop.counter.name: turn}) for turn in turns]
            (buffer,) = {base for base, _ in places}
            found.append((number, turns, buffer, [place for _, place in places]))
        return found


def sums(code: Code) -> list[Loop]:
    """The innermost loops that multiply and add."""
    return [loop for loop in code.innermost if loop.calls("llvm.fma")]


@cache
def contraction(spec: str, target: Target, wanted: str = "backward") -> Contraction:
    """The first one that fetches."""
    kernels = scheduled(spec, wanted, target)
    text, name = emit_module(kernels.module, target), kernels.function.name
    place, loop = next((place, node) for place, node in enumerate(kernels.function.nodes) if isinstance(node, ScanLoop))
    for number, node in enumerate(loop.body):
        if isinstance(node, FusedLoop) and isinstance(node.body[0], Prefetch):
            code, scan = (function_of(text, each) for each in (f"{name}.{place}.{number}", f"{name}.{place}"))
            return Contraction(node.body[0], code, scan, kernels.function)
    raise AssertionError("nothing is fetched")


@pytest.mark.parametrize(("target", "divided"), [(AVX2, 4), (AVX512, 1)], ids=["avx2", "avx512"])
def test_a_line_a_turn(target: Target, divided: int) -> None:
    """Six rows of 256, 64, 64 and 256 floats in lines of 16, then the rest of the depth; other tiles of rows fetch nothing."""
    found = contraction(model(3, "LSTM(64)"), target)
    assert (len(found.fetch.buffers), found.fetch.back, found.fetch.rows, found.fetch.parts) == (4, True, 6, divided)
    assert found.widths() == [256, 64, 64, 256]
    lines = [6 * width // LINE // divided for width in found.widths()]
    assert [len(turns) for _, turns, _, _ in found.parts()] == [*lines, 256 - sum(lines)]
    assert [turn for _, turns, _, _ in found.parts() for turn in turns] == list(range(256)), "the whole depth, once"
    tall, *others = found.sums
    assert len(tall.calls("llvm.prefetch")) == 1
    assert len(others) >= 2
    assert not any(each.calls("llvm.prefetch") for each in others)


@pytest.mark.parametrize(("target", "divided"), [(AVX2, 4), (AVX512, 1)], ids=["avx2", "avx512"])
def test_rows_fetched_lie_as_many_tokens_before_as_the_step_has(target: Target, divided: int) -> None:
    """In a backward pass: the lines of six rows of each buffer, of which a tile of the units fetches its part."""
    found = contraction(model(3, "LSTM(64)"), target)
    fetched = found.parts()[:-1]
    assert len({buffer for _, _, buffer, _ in fetched}) == len(found.fetch.buffers)
    for (_, _, _, places), width in zip(fetched, found.widths(), strict=True):
        part = TILE * 6 * width // divided if divided > 1 else 0
        first = (TOKEN + ROW - TOKENS) * width + part
        assert places == list(range(first, first + 6 * width // divided, LINE))


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=["avx2", "avx512"])
def test_the_scan_passes_the_tokens_of_all_rows(target: Target) -> None:
    """Not just of those that a thread has."""
    found = contraction(model(3, "LSTM(64)"), target)
    (call,) = found.scan.calls(found.code.name)
    (step,) = (loop for loop in found.scan.loops if call in loop.instructions)
    offsets, start, stop, steps = (found.scan.parameters[place] for place in (-9, -8, -7, -6))
    given: Numbers = {step.counter.name: 10, steps: 100, (offsets, 89): 3000, (offsets, 90): 3700, start: 5, stop: 9}
    assert found.scan.evaluate(call.operands[-1], given) == 700, "in the step that is the tenth from the end, counted from none"


def test_a_step_forward_fetches_rows_behind_it() -> None:
    found = contraction(model(3, "Normed(64)", cell=NORMED), AVX2, "record")
    assert not found.fetch.back
    fetched = found.parts()[:-1]
    assert len(fetched) == len(found.fetch.buffers) > 0
    for (_, _, _, places), width in zip(fetched, found.widths(), strict=True):
        part = TILE * found.fetch.rows * width // found.fetch.parts if found.fetch.parts > 1 else 0
        assert places[0] == (TOKEN + ROW + TOKENS) * width + part


def test_no_more_lines_than_turns() -> None:
    """Two times 12 lines and two times 36 are the depth; nothing is left for the last buffer."""
    found = contraction(model(3, "GRU(32)"), AVX512)
    assert (len(found.fetch.buffers), found.fetch.parts) == (5, 1)
    assert [(turns.start, turns.stop) for _, turns, _, _ in found.parts()] == [(0, 12), (12, 24), (24, 60), (60, 96)]


@pytest.mark.parametrize(("target", "lines"), [(AVX2, 1), (AVX512, 4)], ids=["avx2", "avx512"])
def test_a_weight_s_gradient_fetches_the_next_tile_of_its_right_side(target: Target, lines: int) -> None:
    """One line of each row while a tile of the result adds up: of four in turn where a row's part of a tile is four of them."""
    kernels = scheduled(model(3, "LSTM(64)"), "backward", target)
    place, node = next((place, node) for place, node in enumerate(kernels.function.nodes) if isinstance(node, Outer))
    code = function_of(emit_module(kernels.module, target), f"backward.{place}")
    inner = sums(code)
    assert len(inner) >= 3
    for loop in inner:
        (fetch,) = loop.calls("llvm.prefetch")
        chunk, part, tile, rows = code.around(loop)
        units = node.units // len(tile.turns())
        assert units == lines * LINE
        for number in tile.turns():
            following = units * (number + 1) if number + 1 < len(tile.turns()) else chunk.counter.step * node.units
            for turn in range(5):
                row, token = turn * rows.counter.step, 3
                given: dict[str | tuple[str, int], int] = {part.counter.name: 0, tile.counter.name: number, rows.counter.name: row}
                given |= {chunk.counter.name: 2 * chunk.counter.step, loop.counter.name: token}
                line = following + (2 * chunk.counter.step + token) * node.units + turn % lines * LINE
                assert code.address(fetch.operands[0], given) == (code.parameters[1], line)


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=["avx2", "avx512"])
def test_a_weight_s_gradient_fetches_the_next_tile_of_its_result(target: Target) -> None:
    """Each line of it once, before the sums of this tile add up: where the result is larger than the caches, loads would wait."""
    kernels = scheduled(model(3, "LSTM(64)"), "backward", target)
    place, node = next((place, node) for place, node in enumerate(kernels.function.nodes) if isinstance(node, Outer))
    code = function_of(emit_module(kernels.module, target), f"backward.{place}")
    for loop in sums(code):
        _, part, tile, rows = code.around(loop)
        units, count = node.units // len(tile.turns()), rows.counter.step
        given: dict[str | tuple[str, int], int] = {part.counter.name: 0, tile.counter.name: 1, rows.counter.name: 12}
        fetched = [each for each in rows.calls("llvm.prefetch") if each not in loop.instructions]
        places = [code.address(each.operands[0], given) for each in fetched]
        assert {base for base, _ in places} == {code.parameters[2]}
        lines = range(units, 2 * units, LINE)
        assert [element for _, element in places] == [(12 + count + row) * node.units + line for row in range(count) for line in lines]
