"""How large a library for C of LSTM(20) and Dense(1) is on each target: `python -m benchmarks.sizes` prints the table of README.md.

Every number is from the report of `rnnspec.build`. The compiler gives the same bytes on every machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import rnnspec
from rnnspec.contract.target_names import BUILD_TARGET_NAMES

SPEC = "model Lstm20 { input x: float[time, 1]\n LSTM(20, return_sequences = true)\n Dense(1) }"


def measured(targets: Sequence[str] = BUILD_TARGET_NAMES) -> list[str]:
    """The lines of the table in Markdown: bytes with matrices of float32 and of int8, and the functions that are called elsewhere."""
    model = rnnspec.compile(SPEC, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        whole = rnnspec.build(model, Path(folder) / "float32", targets=targets)
        narrow = rnnspec.build(model, Path(folder) / "int8", targets=targets, weights="int8")
    lines = ["| target | code | weights | code, int8 | weights, int8 | calls |", "| --- | --- | --- | --- | --- | --- |"]
    for one, other in zip(whole, narrow, strict=True):
        sizes = " | ".join(f"{size:,}" for size in (one.code, one.constants, other.code, other.constants))
        lines.append(f"| `{one.target}` | {sizes} | {_calls(one.imports)} |")
    return lines


def _calls(imports: Sequence[str]) -> str:
    """The functions of the C library by name, and how many there are of the compiler's own, for a processor without floats."""
    floats = [name for name in imports if name.startswith("__aeabi_f")]
    others = [f"`{name}`" for name in imports if name not in floats]
    return ", ".join([*others, *([f"{len(floats)} of libgcc's, for floats"] if floats else [])]) or "nothing"


if __name__ == "__main__":
    print("\n".join(measured()))
