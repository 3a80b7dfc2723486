"""What is said where the framework of a file can't be asked, and inputs that are drawn for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.interop.originals import CantRun, Original, drawn_inputs, original

SIGNATURE = rnnspec.compile(
    "model M { input x: float[time, 3]  input id: int[time]\n e = id -> Embedding(7, 2)\n[x, e] -> Concatenate() -> GRU(2) }"
).signature


@pytest.mark.parametrize(("name", "message"), [
    ("weights.pt", "no framework runs a .pt by itself"),
    ("model.weights.h5", "no framework runs a .h5 by itself"),
    ("model", "no framework runs a file by itself"),
])  # fmt: skip
def test_weights_alone_are_not_run(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CantRun, match=f"{message}: compute outputs with the original, and give them with --check"):
        original(tmp_path / name, {})


@pytest.mark.parametrize(("name", "package"), [("model.keras", "keras"), ("model.onnx", "onnxruntime")])
def test_a_framework_that_is_not_installed_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnspec.interop.originals.find_spec", lambda module: None)
    with pytest.raises(CantRun, match=rf"isn't installed \(pip install {package}\)"):
        original(Path(name), {})


def test_inputs_have_the_sizes_of_the_file() -> None:
    source = Original("ONNX Runtime", {"a": (1, None, 3), "b": (1, None)}, lambda given: [])
    names = {"a": "x", "b": "id"}
    first, again = (drawn_inputs(source, names, SIGNATURE.inputs) for _ in range(2))
    assert first["a"].shape == (1, 5, 3) and first["b"].shape == (1, 5) and first["b"].dtype.kind == "i"
    assert first["b"].min() >= 0 and first["b"].max() < 7
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_states_of_a_step_are_told() -> None:
    source = Original("ONNX Runtime", {"a": (1, None, 3), "b": (1, None), "h": (1, 2)}, lambda given: [])
    with pytest.raises(CantRun, match="in ONNX Runtime it has further inputs, h: compute"):
        drawn_inputs(source, {"a": "x", "b": "id"}, SIGNATURE.inputs)


def test_axes_that_differ_are_told() -> None:
    source = Original("ONNX Runtime", {"a": (None, 3), "b": (1, None)}, lambda given: [])
    with pytest.raises(CantRun, match="input a has 2 axes in ONNX Runtime, and 3 in the import"):
        drawn_inputs(source, {"a": "x", "b": "id"}, SIGNATURE.inputs)
