"""A library's step beside the same written by hand in C, compiled with `-O3 -march=native -ffast-math`, in one process.

    python -m benchmarks.c_step 20 40 64 128

For each number of units: the median nanoseconds of a step of both, and the median of the turns' ratios with the 10th and 90th percentile.
Above 1 the library is faster. It ends with 1 where it isn't, or where the two differ by more than 1e-4.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import rnnspec
from rnnspec.contract.target_names import BuildTargetName
from rnnspec.driver.compilation import compilation_of
from rnnspec.frozen import frozen
from rnnspec.training.model import Model

SPEC = "model Net { input x: float[time, 1]\n LSTM(%d, return_sequences = true)\n Dense(1) }"
SOURCES = Path(__file__).parent / "c"
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fno-lto")
STEPS, TURNS = 1000, 400
TARGETS: dict[str, BuildTargetName] = {"avx512": "x86-64-v4", "avx2": "x86-64-v3", "sse4.2": "x86-64-v2", "neon": "aarch64"}
LARGEST_DIFFERENCE = 1e-4


@frozen
class Times:
    """Nanoseconds of a step in each turn, and the largest difference between the outputs of the two."""

    library: tuple[float, ...]
    plain: tuple[float, ...]
    difference: float

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as fast the library was in each turn."""
        return tuple(plain / library for library, plain in zip(self.library, self.plain, strict=True))


def measured(units: int, folder: Path, turns: int = TURNS) -> Times:
    """Builds both in a folder and runs them."""
    model = rnnspec.compile(SPEC % units, seed=0)
    target = TARGETS[compilation_of(SPEC % units).machine().name]
    rnnspec.build(model, folder, targets=[target], name="net")
    (folder / "plain.h").write_text(_header(model, units, turns))
    sources = [str(SOURCES / "plain.c"), str(SOURCES / "main.c")]
    subprocess.run(["cc", *FLAGS, "-Iinclude", "-I.", *sources, f"{target}/libnet.a", "-lm", "-o", "both"], cwd=folder, check=True)
    *lines, difference = subprocess.run(["./both"], cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    turns_of_both = [tuple(map(float, line.split())) for line in lines]
    return Times(tuple(turn[0] for turn in turns_of_both), tuple(turn[1] for turn in turns_of_both), float(difference))


def _header(model: Model, units: int, turns: int) -> str:
    names = {"lstm/kernel": "kernel", "lstm/recurrent_kernel": "recurrent", "lstm/bias": "bias"}
    names |= {"dense/kernel": "dense_kernel", "dense/bias": "dense_bias"}
    lines = [f"enum {{ UNITS = {units}, STEPS = {STEPS}, TURNS = {turns} }};", "typedef struct { float h[UNITS], c[UNITS]; } plain_state;"]
    for path, name in names.items():
        values = np.asarray(model.weights[path], np.float32).ravel()
        lines.append(f"static const float {name}[] = {{{', '.join(float(value).hex() + 'f' for value in values)}}};")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="benchmarks.c_step", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("units", nargs="*", type=int, default=[20, 40, 64, 128])
    chosen = parser.parse_args(arguments)
    if shutil.which("cc") is None:
        print("there is no C compiler to compare with: cc", file=sys.stderr)
        return 2
    failed = False
    print(f"{'units':>5}  {'library, ns':>11}  {'plain C, ns':>11}  ratio (10 %, 90 %)")
    for units in chosen.units:
        with tempfile.TemporaryDirectory() as folder:
            times = measured(units, Path(folder) / "net")
        low, ratio, high = (float(value) for value in np.percentile(times.ratios, [10, 50, 90]))
        library, plain = float(np.median(times.library)), float(np.median(times.plain))
        print(f"{units:>5}  {library:>11.0f}  {plain:>11.0f}  {ratio:.2f} ({low:.2f}, {high:.2f})")
        if times.difference > LARGEST_DIFFERENCE:
            print(f"the outputs differ by {times.difference:.2g}", file=sys.stderr)
        failed |= ratio < 1 or times.difference > LARGEST_DIFFERENCE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
