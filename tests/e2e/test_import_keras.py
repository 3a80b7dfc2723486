"""Keras's own files: imported, they compute what Keras has computed, and their specs read as a person's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.interop import importing
from rnnspec.interop.graph.reading import ReaderOptions
from tests.interop_keras import models, numbers, unpacked

TOLERANCE = {"float32": 2e-5, "float64": 1e-9}


def assert_alike(model: rnnspec.Model, name: str, archive: str = "models", tolerance: float | None = None) -> None:
    inputs, outputs = numbers(name, archive)
    given = model.predict(list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values())))
    for value, wanted in zip(given if isinstance(given, tuple) else (given,), outputs, strict=True):
        limit = TOLERANCE[model.signature.dtype] if tolerance is None else tolerance
        np.testing.assert_allclose(value, wanted, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", models())
def test_outputs_are_those_of_keras(name: str, tmp_path: Path) -> None:
    """float64 within 1e-9; a file of float32 within 2e-5, since Keras has rounded its outputs."""
    model = rnnspec.import_model(unpacked(name, "keras", tmp_path))
    assert_alike(model, name)


@pytest.mark.parametrize("name", ["stack", "answer", "nested_twice", "normalized"])
def test_a_file_of_float64_in_float32(name: str, tmp_path: Path) -> None:
    model = rnnspec.import_model(unpacked(name, "keras", tmp_path), dtype="float32")
    assert model.signature.dtype == "float32"
    assert_alike(model, name)


@pytest.mark.parametrize("name", models())
def test_the_three_formats_hold_the_same_model(name: str, tmp_path: Path) -> None:
    """Layers, their arguments and their weights; a JSON architecture has its weights beside it."""
    whole = unpacked(name, "keras", tmp_path)
    weights, alone = unpacked(name, "weights.h5", tmp_path), unpacked(name, "json", tmp_path)
    first = importing.reader_of(whole).read(whole, ReaderOptions())
    for path, options in ((unpacked(name, "h5", tmp_path), ReaderOptions()), (alone, ReaderOptions(weights=weights))):
        graph = importing.reader_of(path).read(path, options)
        assert (graph.inputs, graph.outputs, graph.declarations) == (first.inputs, first.outputs, first.declarations)
        assert len(graph.layers) == len(first.layers)
        for one, other in zip(graph.layers, first.layers, strict=True):
            assert (one.layer, one.arguments, one.inputs, one.outputs, one.shared) == (
                other.layer, other.arguments, other.inputs, other.outputs, other.shared,
            )  # fmt: skip
            assert list(one.weights) == list(other.weights)
            assert all(np.array_equal(one.weights[key], other.weights[key]) for key in one.weights)


def text_of(name: str, folder: Path) -> str:
    return rnnspec.import_model(unpacked(name, "keras", folder)).source.text


def test_a_spec_reads_as_a_persons(tmp_path: Path) -> None:
    assert text_of("stack", tmp_path) == (
        "# Imported from stack.keras, written by Keras 3.15.1.\n"
        "model Sequential {\n"
        "    input input_layer: float[6, 3]\n"
        "\n"
        "    repeat 3 {\n"
        "        GRU(4, return_sequences = true)\n"
        "        Dropout(0.1)\n"
        "    }\n"
        "    GRU(2)\n"
        "    Dense(1)\n"
        "}\n"
    )


@pytest.mark.parametrize("name", models("legacy"))
def test_files_of_keras_2(name: str, tmp_path: Path) -> None:
    """Its hard_sigmoid, its GRU, CuDNN's layers, models in models, states that are given, names beyond one attribute."""
    assert_alike(rnnspec.import_model(unpacked(name, "h5", tmp_path, "legacy")), name, "legacy")


def test_a_proof_goes_into_the_file_and_is_repeated(tmp_path: Path) -> None:
    """Of the command, in the source's names; a weight that differs is found out."""
    path = unpacked("sequential_lstm", "keras", tmp_path)
    inputs, outputs = numbers("sequential_lstm")
    np.savez(tmp_path / "in.npz", **inputs)
    np.savez(tmp_path / "out.npz", speaker=outputs[0])
    imported = importing.import_file(path, None, ReaderOptions(source="a.keras"))
    proof, difference = importing.check(imported, tmp_path / "in.npz", tmp_path / "out.npz")
    assert difference < 2e-5
    importing.write(imported, tmp_path / "model.rnnc", proof)
    assert np.array_equal(
        rnnspec.load(tmp_path / "model.rnnc", self_test=True).weights["lstm/kernel"], imported.model.weights["lstm/kernel"]
    )
    imported.model.set_weights({name: value * 1.01 for name, value in imported.model.weights.items()})
    importing.write(imported, tmp_path / "wrong.rnnc", proof)
    with pytest.raises(ValueError, match=r"wrong\.rnnc: output `speaker` differs by"):
        rnnspec.load(tmp_path / "wrong.rnnc", self_test=True)
    imported.model.save(tmp_path / "without.rnnc")
    with pytest.raises(ValueError, match="it has no proof"):
        rnnspec.load(tmp_path / "without.rnnc", self_test=True)


def test_weights_alone_into_a_spec(tmp_path: Path) -> None:
    """A layer goes by its name; `map` says another."""
    spec = tmp_path / "model.rnn"
    spec.write_text('model M { input x: float[time, 3]  LSTM(4, name = "own")  Dense(2, activation = softmax, name = "speaker") }')
    model = rnnspec.import_model(unpacked("sequential_lstm", "weights.h5", tmp_path), into=spec, map={"lstm": "own"})
    assert_alike(model, "sequential_lstm")
    with pytest.raises(rnnspec.ImportRefused, match="weight own/kernel: the file has none for it"):
        rnnspec.import_model(unpacked("sequential_lstm", "weights.h5", tmp_path), into=spec)
