"""What docs/performance.md says of the loop over the depth holds for whatever LLVM is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rnnspec.driver import compilation
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.nodes import Contract, FusedLoop, ScanLoop
from rnnspec.kernel.target import AVX2, AVX512, Target
from rnnspec.runtime.native.executable import Variant

SPECS = Path(__file__).parents[2] / "benchmarks" / "specs"
BLOCK = re.compile(r"^(\.LBB\w+):.*$", re.MULTILINE)


def compiled(name: str, target: Target) -> Compilation:
    found = compilation.compilation_of(SPECS / f"{name}.rnn", dtype="float32", parameters={"features": 80, "units": 128})
    return Compilation(found.tree, found.graph, "float32", target)


def loops(assembly: str, function: str) -> list[str]:
    """The bodies of a function's loops of one block that multiply and add."""
    text = assembly[assembly.index(f"\n{function}:") :]
    _, *parts = BLOCK.split(text[: text.index(".Lfunc_end")])
    bodies: list[str] = []
    for label, body in zip(parts[::2], parts[1::2], strict=True):
        back = re.search(rf"^\s+j\w+\s+{re.escape(label)}$", body, re.MULTILINE)
        if back and "vfmadd231ps" in body[: back.end()]:
            bodies.append(body[: back.end()])
    return bodies


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm"])
def test_a_step_s_sums_stay_in_registers(name: str, target: Target) -> None:
    compilation = compiled(name, target)
    nodes = compilation.kernels(Variant("forward", False)).function.nodes
    place, scan = next((place, node) for place, node in enumerate(nodes) if isinstance(node, ScanLoop))
    stage = scan.body[0]
    assert isinstance(stage, FusedLoop)
    (gates,) = (len(statement.names) for statement in stage.body if isinstance(statement, Contract))
    found = loops(compilation.print("asm"), f"forward.{place}.0")
    *tall, single = stage.tile.rows
    columns = gates * stage.tile.vectors
    assert [body.count("vfmadd231ps") for body in found[: len(tall)]] == [rows * columns for rows in tall]
    assert found[len(tall)].count("vfmadd231ps") == single * columns * stage.tile.wide
    for body in found:
        assert not re.search(r"%[re]sp", body), body
