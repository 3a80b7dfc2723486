"""How large a library for C of LSTM(20) and Dense(1) is on each target: `python -m benchmarks.sizes` prints README.md's table.

Every number is `report.json`'s; the compiler's bytes are the same on every machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import rnnspec
from rnnspec.contract.target_names import BUILD_TARGET_NAMES
from rnnspec.deploy.build import TargetReport

SPEC = "model Lstm20 { input x: float[time, 1]\n LSTM(20, return_sequences = true)\n Dense(1) }"

KEPT = ("float32", "int8")
"""How matrices are kept, in the table's order."""


def table(whole: Sequence[TargetReport], narrow: Sequence[TargetReport]) -> str:
    """The rows in Markdown: a target with all of float32, then the weights and code of int8."""
    lines = ["| target | code | weights | state | code, int8 | weights, int8 | calls |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for one, other in zip(whole, narrow, strict=True):
        sizes = (one.code, one.constants, one.state, other.code, other.constants)
        lines.append(f"| `{one.target}` | {' | '.join(f'{size:,}' for size in sizes)} | {_calls(one.imports)} |")
    return "\n".join(lines)


def _calls(imports: Sequence[str] | None) -> str:
    if imports is None:
        return "not looked up"
    own = [name for name in imports if "mem" in name]
    further = len(imports) - len(own)
    shown = [*(f"`{name}`" for name in own), *([f"{further} of the compiler's library for floats"] if further else [])]
    return ", ".join(shown) or "nothing"


def measured() -> str:
    """The table for every target."""
    model = rnnspec.compile(SPEC, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        reports = [
            rnnspec.build(model, Path(folder) / kept, targets=BUILD_TARGET_NAMES, weights=None if kept == "float32" else "int8")
            for kept in KEPT
        ]
    return table(*reports)


if __name__ == "__main__":
    print(measured())
