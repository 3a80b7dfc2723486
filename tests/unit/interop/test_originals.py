"""What is said where the framework of a file can't be asked, and inputs that are drawn for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.interop import exporting, importing
from rnnspec.interop.graph.axes import Role, SourceCall, arranged, gathered, roles_of
from rnnspec.interop.originals import original as originals
from rnnspec.interop.originals import torch_modules
from rnnspec.interop.originals.compared import drawn_calls, drawn_inputs
from rnnspec.interop.originals.files import original
from rnnspec.interop.originals.original import CantRun, Original

SIGNATURE = rnnspec.compile(
    "model M { input x: float[time, 3]  input id: int[time]\n e = id -> Embedding(7, 2)\n[x, e] -> Concatenate() -> GRU(2) }"
).signature


@pytest.mark.parametrize(("name", "message"), [
    ("weights.pt", "no framework runs a .pt by itself"),
    ("model.weights.h5", "no framework runs a .h5 by itself"),
    ("model", "no framework runs a file by itself"),
])  # fmt: skip
def test_weights_alone_are_not_run(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CantRun, match=f"{message}"):
        original(tmp_path / name, {})


@pytest.mark.parametrize(("name", "package"), [("model.keras", "keras"), ("model.onnx", "onnxruntime")])
def test_a_framework_that_is_not_installed_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "find_spec", lambda module: None)
    with pytest.raises(CantRun, match=rf"isn't installed \(pip install {package}\)"):
        original(Path(name), {})


def test_torch_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "find_spec", lambda module: None)
    for of in (torch_modules.of_program, torch_modules.of_script):
        with pytest.raises(CantRun, match=r"PyTorch isn't installed \(pip install torch\)"):
            of(Path("net.pt2"), {})


def test_programs_are_run_only_if_they_are_trusted() -> None:
    path = Path(__file__).parents[2] / "fixtures" / "interop" / "torch_programs" / "words.pt2"
    options = importing.reader_options(path)
    imported = importing.import_file(path, None, options)
    with pytest.raises(CantRun, match="--trusted, if you trust it as a program that you run: compute outputs"):
        importing.run(imported, path, options)


NAMES = {"a": "x", "b": "id"}


def test_inputs_have_the_sizes_of_the_file() -> None:
    source = Original("ONNX Runtime", {"a": (1, None, 3), "b": (1, None)}, lambda given: [])
    first, again = (drawn_inputs(source, SourceCall(), NAMES, SIGNATURE.inputs) for _ in range(2))
    assert first["a"].shape == (1, 5, 3) and first["b"].shape == (1, 5) and first["b"].dtype.kind == "i"
    assert first["b"].min() >= 0 and first["b"].max() < 7
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_inputs_that_the_import_has_not_are_told() -> None:
    source = Original("ONNX Runtime", {"a": (1, None, 3), "b": (1, None), "h": (1, 2)}, lambda given: [])
    with pytest.raises(CantRun, match=r"in ONNX Runtime it has further inputs, h$"):
        drawn_inputs(source, SourceCall(), NAMES, SIGNATURE.inputs)


def test_inputs_that_the_file_has_not_are_told() -> None:
    source = Original("Keras", {"a": (1, None, 3)}, lambda given: [])
    with pytest.raises(CantRun, match=r"in Keras it has no inputs, b$"):
        drawn_inputs(source, SourceCall(), NAMES, SIGNATURE.inputs)


def test_axes_that_differ_are_told() -> None:
    source = Original("ONNX Runtime", {"a": (None, 3), "b": (1, None)}, lambda given: [])
    with pytest.raises(CantRun, match="input a has 2 axes in ONNX Runtime, and 3 in the import"):
        drawn_inputs(source, SourceCall(), NAMES, SIGNATURE.inputs)


def test_axes_of_no_known_meaning_are_told() -> None:
    with pytest.raises(CantRun, match="the axes of y are others in the file than in the import"):
        drawn_calls(Original("ONNX Runtime", {}, lambda given: []), SourceCall({"y": ()}), {}, ["y"], [])


ONE = rnnspec.compile("model M { input x: float[time, 3]  GRU(2, return_sequences = true) }").signature.inputs
TIME_FIRST = (Role.TIME, Role.BATCH, Role.FEATURES)


def test_the_file_gets_its_own_axes_and_the_import_its_own() -> None:
    """As `x` a file that takes (time, batch, features), lengths and something unused, and gives sums as (features, batch)."""
    seen: dict[str, Array] = {}

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        seen.update(given)
        return [given["x"].sum(0).T]

    source = Original("ONNX Runtime", {"x": (None, 4, 3), "lengths": (4,), "rest": (None, 7)}, run)
    call = SourceCall({"x": TIME_FIRST, "y": (Role.FEATURES, Role.BATCH)}, {}, ("lengths",), ("rest",))
    drawn = drawn_calls(source, call, {"x": "x"}, ["y"], ONE)
    assert drawn.inputs["x"].shape == (4, 5, 3) and np.array_equal(seen["x"], drawn.inputs["x"].transpose(1, 0, 2))
    assert np.array_equal(drawn.outputs["y"], drawn.inputs["x"].sum(1))
    assert seen["lengths"].tolist() == [5] * 4 and seen["rest"].shape == (4, 7)


def test_a_graph_of_one_step_is_run_step_by_step() -> None:
    """Its state sums what came: after a step it is what the import has at that step."""
    calls: list[Mapping[str, Array]] = []

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        calls.append(given)
        total = given["h"] + given["x"]
        return [total, total[:, None] * 2]

    source = Original("ONNX Runtime", {"x": (None, 3), "h": (None, 3)}, run)
    rows = (Role.BATCH, Role.FEATURES)
    call = SourceCall({"x": rows, "h": rows}, {"h": "h_new"}, (), (), ("h_new", "y"))
    drawn = drawn_calls(source, call, {"x": "x"}, ["y"], ONE)
    assert len(calls) == 5 and not calls[0]["h"].any()
    assert np.allclose(drawn.outputs["y"], 2 * drawn.inputs["x"].cumsum(1))


def test_what_the_framework_says_is_told() -> None:
    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        raise RuntimeError("no such size\nat line 7")

    with pytest.raises(CantRun, match=r"ONNX Runtime doesn't run the file's model \(no such size\)$"):
        drawn_calls(Original("ONNX Runtime", {"x": (None, None, 3)}, run), SourceCall(), {"x": "x"}, ["y"], ONE)


def test_another_number_of_outputs_is_told() -> None:
    source = Original("ONNX Runtime", {"x": (None, None, 3)}, lambda given: [given["x"], given["x"]])
    with pytest.raises(CantRun, match="gives 2 outputs, and the import 1"):
        drawn_calls(source, SourceCall(), {"x": "x"}, ["y"], ONE)


@pytest.mark.parametrize("roles", [
    (Role.BATCH, Role.TIME, Role.FEATURES), TIME_FIRST, (Role.FEATURES, Role.TIME, Role.FEATURES, Role.BATCH), (Role.TIME, Role.FEATURES),
])  # fmt: skip
def test_meanings_of_axes_are_found_again(roles: tuple[Role, ...]) -> None:
    batch = 3 if Role.BATCH in roles else 1
    features = (2, 4)[-roles.count(Role.FEATURES) :]
    whole = np.arange(batch * 5 * int(np.prod(features))).reshape(batch, 5, -1)
    left = list(features)
    sizes = tuple({Role.BATCH: batch, Role.TIME: 5}.get(role) or left.pop(0) for role in roles)
    there = arranged(whole, roles, sizes)
    assert there.shape == sizes and np.array_equal(gathered(there, roles), whole)
    assert roles_of(there, whole) == roles and roles_of(there[..., ::-1], whole) == ()


def test_weights_alone_are_no_model_that_runs(tmp_path: Path) -> None:
    model = rnnspec.compile("model M { input x: float[time, 3]  GRU(2) }")
    exporting.export_model(model, tmp_path / "m.safetensors")
    with pytest.raises(CantRun, match=r"no framework runs a \.safetensors by itself"):
        exporting.run(model, tmp_path / "m.safetensors")


def test_an_exported_file_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's place is taken by the model itself, exact at first, then a little wrong."""
    model = rnnspec.compile("model M { input x: float[time, 3]  GRU(2) }", seed=1)
    for wrong in (0, 1e-3):
        source = Original("Keras", {"x": (None, None, 3)}, lambda given, wrong=wrong: [model.predict(given["x"]) + wrong])
        monkeypatch.setattr(exporting, "original", lambda path, fixed, source=source: source)
        if not wrong:
            assert exporting.run(model, tmp_path / "m.keras") == 0
        else:
            with pytest.raises(ValueError, match=r"output `gru` differs by 0\.001"):
                exporting.run(model, tmp_path / "m.keras")
