"""The bytes of a step of LSTM(20) and Dense(1) on a Cortex-M4, linked with all that it calls: this project's, and emx-onnx-cgen's.

    python -m venv build/peer && build/peer/bin/pip install emx-onnx-cgen
    PATH=build/peer/bin:$PATH python -m benchmarks.peer_sizes

emx-onnx-cgen writes C of an ONNX file, as onnx2c does; its file has the states as inputs and outputs. Debian's compiler for
microcontrollers (`gcc-arm-none-eabi libnewlib-arm-none-eabi`) links each function, without start-up code, with the functions of newlib
and libgcc that it needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import rnnspec
from benchmarks.sizes import SPEC
from rnnspec.contract.executable import Array

UNITS = 20
COMPILER, GENERATOR = "arm-none-eabi-gcc", "emx-onnx-cgen"
MACHINE = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "--specs=nano.specs", "--specs=nosys.specs")
LEVELS = ("-Os", "-O2")
SECTIONS = {".text": "code", ".rodata": "constants", ".data": "variables", ".bss": "variables"}


def write_step(path: Path) -> None:
    """The step as an ONNX file, with random weights."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    shapes = {"w": (1, 4 * UNITS, 1), "r": (1, 4 * UNITS, UNITS), "b": (1, 8 * UNITS), "kernel": (UNITS, 1), "bias": (1,)}
    weights: Mapping[str, Array] = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["", "new_h", "new_c"], hidden_size=UNITS),
        helper.make_node("Reshape", ["new_h", "row"], ["features"]),
        helper.make_node("Gemm", ["features", "kernel", "bias"], ["y"]),
    ]
    constants.append(numpy_helper.from_array(np.array([1, UNITS], np.int64), "row"))

    def value(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    states = [("h", "c"), ("new_h", "new_c")]
    before, after = ([value(name, 1, 1, UNITS) for name in names] for names in states)
    graph = helper.make_graph(nodes, "step", [value("x", 1, 1, 1), *before], [value("y", 1, 1), *after], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def linked(folder: Path, function: str, *parts: str) -> Mapping[str, int]:
    """The bytes of a function with all that it needs, by what they are."""
    options = ("-nostartfiles", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", f"-Wl,-e,{function}")
    subprocess.run([COMPILER, *MACHINE, *options, *parts, "-lm", "-o", "linked"], cwd=folder, check=True)
    sizes = subprocess.run(["arm-none-eabi-size", "-A", "linked"], cwd=folder, check=True, capture_output=True, text=True).stdout
    found = dict.fromkeys(SECTIONS.values(), 0)
    for line in sizes.splitlines():
        name, *numbers = line.split() or [""]
        if name in SECTIONS:
            found[SECTIONS[name]] += int(numbers[0])
    return found


def measured(folder: Path) -> list[str]:
    """The lines of the table in Markdown."""
    rnnspec.build(rnnspec.compile(SPEC, seed=0), folder / "own", targets=["cortex-m4"])
    rows = {"rnnspec": linked(folder, "lstm20_step", "own/cortex-m4/lstm20.o")}
    write_step(folder / "step.onnx")
    subprocess.run(
        [GENERATOR, "compile", "step.onnx", "step.c", "--large-temp-threshold", "0"], cwd=folder, check=True, capture_output=True
    )
    rows |= {f"{GENERATOR}, `{level}`": linked(folder, "model", level, "step.c") for level in LEVELS}
    kinds = [*dict.fromkeys(SECTIONS.values())]
    lines = [f"| made by | {' | '.join(kinds)} |", f"| --- |{' --- |' * len(kinds)}"]
    return [*lines, *(f"| {name} | {' | '.join(f'{sizes[kind]:,}' for kind in kinds)} |" for name, sizes in rows.items())]


def main() -> int:
    """The command."""
    if missing := [tool for tool in (COMPILER, GENERATOR) if shutil.which(tool) is None]:
        print(f"there is no {' and no '.join(missing)}: see the module's text", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(measured(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
