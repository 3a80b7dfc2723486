"""Keras's own files: imported, they compute what Keras has computed, and their specs read as a person's."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import rnnspec
from rnnspec.interop import importing
from rnnspec.interop.graph.reading import ReaderOptions
from tests.interop_keras import edited, models, numbers, unpacked

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


PEEPHOLE = """
cell PeepholeLSTM(units, activation = tanh) {
    weight kernel           [features, 4 * units] = glorot_uniform
    weight recurrent_kernel [units, 4 * units]    = orthogonal
    weight peepholes        [3, units]            = zeros
    weight bias             [4 * units]           = zeros
    state  h [units], c [units]

    gates = x @ kernel + h @ recurrent_kernel + bias
    i, f, g, o = split(gates, 4)
    i_open = sigmoid(i + peepholes[0] * c)
    f_open = sigmoid(f + peepholes[1] * c)
    c' = f_open * c + i_open * activation(g)
    h' = sigmoid(o + peepholes[2] * c') * activation(c')
    return h'
}
"""


@pytest.fixture
def peephole(tmp_path: Path) -> Path:
    path = tmp_path / "peephole.rnn"
    path.write_text(PEEPHOLE)
    return path


@pytest.mark.parametrize("name", models("own_cells"))
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_cell_of_the_users_takes_a_classs_place(name: str, ending: str, peephole: Path, tmp_path: Path) -> None:
    """Alone, in both directions and in a stack; `.h5` has the weights by name, `.keras` by number."""
    model = rnnspec.import_model(unpacked(name, ending, tmp_path, "own_cells"), cells={"PeepholeCell": str(peephole)})
    assert_alike(model, name, "own_cells")


def test_a_cell_with_other_weights_is_refused(peephole: Path, tmp_path: Path) -> None:
    peephole.write_text(PEEPHOLE.replace("    weight bias             [4 * units]           = zeros\n", "").replace(" + bias", ""))
    path = unpacked("peephole", "keras", tmp_path, "own_cells")
    with pytest.raises(rnnspec.ImportRefused, match="weights: expected kernel, recurrent_kernel, peepholes, found 4 arrays"):
        rnnspec.import_model(path, cells={"PeepholeCell": str(peephole)})


@pytest.mark.parametrize("name", models("keras_1"))
def test_files_of_keras_1(name: str, tmp_path: Path) -> None:
    """An array for each gate, old names of arguments, `Merge`, kernels of four axes; the weights are apart."""
    weights = unpacked(name, "h5", tmp_path, "keras_1")
    with pytest.warns(rnnspec.diagnostics.DroppedWarning, match="`dropout` was left out") if name == "words" else nullcontext():
        assert_alike(rnnspec.import_model(unpacked(name, "json", tmp_path, "keras_1"), weights=weights), name, "keras_1")


def test_theanos_kernels_run_backwards(tmp_path: Path) -> None:
    weights = unpacked("branches", "h5", tmp_path, "keras_1")
    with h5py.File(weights, "r+") as file:
        kernel: Any = file["convolution1d_1/convolution1d_1_W:0"]
        kernel[...] = kernel[()][::-1]
        file.attrs["backend"] = b"theano"
    assert_alike(rnnspec.import_model(unpacked("branches", "json", tmp_path, "keras_1"), weights=weights), "branches", "keras_1")


def test_frozen_layers_stay_frozen(tmp_path: Path) -> None:
    text = text_of("frozen", tmp_path)
    for line in (
        "Dense(4, trainable = false)", "Bidirectional(GRU(2, return_sequences = true), trainable = false)",
        "TimeDistributed(Dense(3, trainable = false))", "LSTM(2)",
    ):  # fmt: skip
        assert f"    {line}\n" in text


def test_operations_read_as_layers_and_functions(tmp_path: Path) -> None:
    text = text_of("blind_to_masks", tmp_path)
    assert "function scaled(x) = 2.0 * x\n" in text
    assert "    Activation(scaled)  # multiply\n" in text and "Last()" in text
    assert text.count("MaxPooling1D(1)") == 2  # one for each masked value that is looked at as a whole


def test_how_a_model_was_compiled_is_its_train_section(tmp_path: Path) -> None:
    """Losses and metrics with their arguments, a schedule of the learning rate."""
    train = text_of("trained", tmp_path).partition("train {")[2]
    assert "loss      = sparse_categorical_crossentropy(from_logits = true)" in train
    assert "SGD(learning_rate = CosineDecay(initial_learning_rate = 0.1, decay_steps = 100), momentum = 0.9," in train
    assert "metrics   = [sparse_top_k_categorical_accuracy(k = 2), accuracy]" in train


def test_training_that_cant_be_said_is_left_out(tmp_path: Path) -> None:
    """A setting that the model can't have takes nothing but itself away."""

    def change(config: dict[str, Any]) -> None:
        compiled = config["compile_config"]
        compiled["metrics"][0]["config"]["k"] = 9
        compiled["loss"]["config"]["reduction"] = "sum"

    path = edited(unpacked("trained", "keras", tmp_path), change)
    imported = importing.import_file(path, None, ReaderOptions(source="a.keras"))
    assert "metrics" not in imported.text and "loss      = sparse_categorical_crossentropy(from_logits = true)" in imported.text
    assert [text.partition(" was left out")[0] for text in imported.dropped] == ["the loss: `reduction`", "`metrics`"]
