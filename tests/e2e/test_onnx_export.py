"""Models as ONNX files, run by the standard's reference: layers, cells of one's own, masks; what goes out comes back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import rnnspec
from rnnspec.frontend.layers.dropout import Drawing
from rnnspec.frontend.layers.registry import ALL
from rnnspec.interop import exporting
from rnnspec.interop.graph.refusals import ExportRefused
from rnnspec.interop.importing import import_file, reader_options
from rnnspec.interop.onnx_export.exporter import OnnxExporter
from rnnspec.interop.onnx_export.layers import LAYERS
from tests.onnx_models import Array, run

OWN = """
cell Peephole(units) {
    weight kernel           [features, 4 * units] = glorot_uniform
    weight recurrent_kernel [units, 4 * units]    = orthogonal
    weight bias             [4 * units]           = zeros
    weight peephole         [3, units]            = zeros
    state  h [units], c [units]

    i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias, 4)
    c' = sigmoid(f + peephole[0] * c) * c + sigmoid(i + peephole[1] * c) * tanh(g)
    h' = sigmoid(o + peephole[2] * c') * tanh(c')
    return h'
}

cell Phased(units, open = 0.4) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    weight period           [units]           = random_uniform(minval = 2, maxval = 8)
    state  h [units], clock [1]

    turns = clock / period
    is_open = turns - floor(turns) < open and h < 3 or h == 7
    z = x @ kernel + h @ recurrent_kernel
    centred = z - mean(z)
    h' = where(is_open, tanh(centred / sqrt(mean(centred * centred) + 0.001)), h)
    clock' = clock + 1
    return concat(h', max(h'), positions(2), h'[1])
}

function bent(v, k = 2.0) {
    n = sum(v * v)
    return where(v > 0, v * k, expm1(v) + log1p(abs(v))) / sqrt(n + 1)
}
"""

SERIES = "input x: float[time, 3]\n"
MODELS: dict[str, str] = {
    "lstm": SERIES + "LSTM(4, return_sequences = true) GRU(3) Dense(2, activation = softmax)",
    "both ways": SERIES + "Bidirectional(LSTM(4, return_sequences = true)) Bidirectional(GRU(3, reset_after = false), merge_mode = sum)",
    "backwards": SERIES + "GRU(4, go_backwards = true, use_bias = false, return_sequences = true) LSTM(3, go_backwards = true)",
    "own cell": SERIES + "Peephole(4, return_sequences = true) Peephole(3, go_backwards = true)",
    "own cell with conditions": SERIES + "Bidirectional(Phased(4, return_sequences = true))",
    "masked": SERIES + "Masking() LSTM(4, return_sequences = true) GRU(3)",
    "masked both ways": SERIES + "Masking() Bidirectional(LSTM(4, return_sequences = true)) Bidirectional(Peephole(3))",
    "masked backwards": SERIES + "Masking() RNN([LSTM(4), GRU(3)], return_sequences = true, go_backwards = true) Last()",
    "masked mean": SERIES + "Masking() GRU(4, return_sequences = true) GlobalAveragePooling1D()",
    "masked softmax": SERIES + "Masking() GRU(4, return_sequences = true, zero_output_for_mask = true) Softmax(axis = 1)",
    "states": SERIES + "y, h, c = LSTM(4, return_state = true, return_sequences = true)\nz = [h, c] -> Concatenate()\noutput y, z",
    "windows": SERIES
    + "Conv1D(4, 3, padding = same, activation = relu) MaxPooling1D(2) Conv1D(4, 2, dilation_rate = 2, padding = causal) "
    + "AveragePooling1D(2, padding = same, strides = 1)",
    "steps": SERIES
    + "Conv1D(4, 3, padding = same, strides = 2) ZeroPadding1D([1, 2]) Cropping1D([0, 1]) UpSampling1D(2) Slice(1, -1) "
    + "Slice(0, 3, axis = -1) LayerNormalization() BatchNormalization() UnitNormalization() Normalization()",
    "shapes": "input x: float[6, 3]\nFlatten() Dense(8, activation = mish) Reshape([4, 2]) Permute([2, 1]) PReLU() Flatten() Dense(3)",
    "functions": SERIES + "Dense(4, activation = bent(k = 3)) GRU(3, activation = bent, return_sequences = true) Activation(sparsemax)",
    "attention": SERIES + "a = LSTM(4, return_sequences = true)\n[a, a] -> Attention(use_causal_mask = true) -> Dense(2)",
    "last": SERIES + "LSTM(4, return_sequences = true) Last() Dense(2)",
    "merged": SERIES + "a = GRU(4, return_sequences = true)\nb = x -> LSTM(4)\n[a, b] -> Multiply() -> Dense(2)",
}


def exported(spec: str, path: Path, dtype: str = "float32", opset: int = 17) -> rnnspec.Model:
    """A model with weights of every size, and its file."""
    model, rng = rnnspec.compile(spec, seed=1, dtype=dtype), np.random.default_rng(3)
    drawn = {name: rng.normal(scale=0.5, size=weight.shape) for name, weight in model.weights.items()}
    model.set_weights({name: np.abs(each) + 0.1 if "variance" in name else each for name, each in drawn.items()})
    OnnxExporter(opset).write(exporting.exported(model), path)
    onnx.checker.check_model(str(path), full_check=True)
    return model


def series(dtype: str = "float32") -> Array:
    """Four samples of six steps, of which some are masked: inside, behind, before, all."""
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(dtype)
    x[0, 2], x[1, 4:], x[2, 0], x[3] = 0, 0, 0, 0
    return x


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_gives_the_same(name: str, tmp_path: Path) -> None:
    """In float64, where masks are exact too: a mask with holes is no `sequence_lens`, but a Scan can leave steps out."""
    path, x = tmp_path / "model.onnx", series("float64")
    model = exported(f"{OWN}\nmodel Out {{\n{MODELS[name]}\n}}", path, "float64", 14 if "masked" in name else 18)
    result: Any = model.predict(x)
    for ours, theirs in zip(result if isinstance(result, tuple) else [result], run(path, {"x": x}), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)


def test_ids_and_several_inputs(tmp_path: Path) -> None:
    spec = """model Out {
        input ids: int[time], row: float[4], number: float

        a = ids -> Embedding(5, 4, mask_zero = true) -> LSTM(4, initial_state = [row, row])
        [a, row, number] -> Concatenate() -> Dense(2, activation = gelu)
    }"""
    path, rng = tmp_path / "model.onnx", np.random.default_rng(2)
    model = exported(spec, path)
    arrays = {"ids": rng.integers(0, 5, size=(4, 6)), "row": rng.normal(size=(4, 4)), "number": rng.normal(size=4)}
    arrays |= {name: array.astype(np.float32) for name, array in arrays.items() if array.dtype.kind == "f"}
    (result,) = run(path, arrays)
    np.testing.assert_allclose(result, model.predict(arrays), atol=2e-5)


def test_what_goes_out_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every kind of layer, cells of one's own and masks: the same spec, to the letter, with the same weights, to the bit."""
    for number, (name, lines) in enumerate(MODELS.items()):
        path = tmp_path / f"{number}.onnx"
        dtype = ("float32", "float64")[number % 2]
        model = exported(f"{OWN}\nmodel Out {{\n{lines}\n}}", path, dtype, 14 + number % 5)
        back = import_file(path, None, reader_options(path))
        assert back.text == model.source.text, name
        assert list(back.model.weights) == list(model.weights), name
        for weight, value in model.weights.items():
            if weight == "normalization/count":  # which only adapt reads
                assert any(weight in note for note in back.notes)
                continue
            np.testing.assert_array_equal(back.model.weights[weight], value, err_msg=f"{name}: {weight}")


def test_a_graph_that_was_changed_is_read_and_not_its_spec(tmp_path: Path) -> None:
    """A number that isn't in the spec's export, and another node: the file's graph counts. Other weights are another training."""
    path = tmp_path / "model.onnx"
    model = exported("model Out(units = 4) { input x: float[time, 3]  GRU(units)  Dense(2, activation = tanh) }", path)
    x = series()
    made = onnx.load(path)
    weight = next(each for each in made.graph.initializer if each.name == "dense/kernel")
    weight.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(weight), weight.name))
    onnx.save(made, path)
    back = import_file(path, None, reader_options(path))
    assert back.text == model.source.text and np.array_equal(back.model.weights["dense/kernel"], 2 * model.weights["dense/kernel"])
    next(each for each in made.graph.node if each.op_type == "Tanh").op_type = "Sigmoid"
    onnx.save(made, path)
    back = import_file(path, None, reader_options(path))
    assert "sigmoid" in back.text and "units" not in back.text
    np.testing.assert_allclose(back.model.predict(x), run(path, {"x": x})[0], atol=2e-6)
    told = next(each for each in made.metadata_props if each.key == "rnnspec.spec")
    made.metadata_props.add(key="rnnspec.parameters", value="[" * 100_000)
    for text in ("model Out {", 'import "/etc/passwd"', "model Out { input x: float[3]  Dense(1000000000) }"):
        told.value = text
        onnx.save(made, path)
        assert import_file(path, None, reader_options(path)).text == back.text


BACK = ["lstm", "both ways", "backwards", "windows", "states", "own cell", "masked", "masked both ways", "masked mean", "attention"]


@pytest.mark.parametrize("name", BACK)
def test_a_graph_alone_comes_back_with_its_numbers(name: str, tmp_path: Path) -> None:
    """Without the spec beside it: the same layers where nodes say them, and the same numbers under masks, too."""
    path, x = tmp_path / "model.onnx", series()
    model = exported(f"{OWN if 'own' in name or 'both' in name else ''}\nmodel Out {{\n{MODELS[name]}\n}}", path)
    made = onnx.load(path)
    del made.metadata_props[:]
    onnx.save(made, path)
    back = import_file(path, None, reader_options(path)).model
    one, other = (each if isinstance(each, tuple) else (each,) for each in (model.predict(x), back.predict(x)))
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=2e-6)
    if name not in ("backwards", "own cell") and "mask" not in name:  # which have the rows of a matrix as weights of their own
        shapes = [sorted(weight.shape for weight in each.weights.values()) for each in (model, back)]
        assert shapes[0] == shapes[1]


def test_what_has_no_form_is_refused_at_once(tmp_path: Path) -> None:
    spec = """model Out {
        input x: float[time, 3], review: text[time](max_tokens = 10)

        y = x -> GRU(3)
        z = x -> Masking() -> Conv1D(4, 3, carry_mask = true) -> LSTM(4)
        t = review -> Embedding(10, 2) -> LSTM(2)
        [y, z, t] -> Concatenate()
    }"""
    with pytest.raises(ExportRefused) as refused:
        exported(spec, tmp_path / "model.onnx")
    assert [(each.place, each.attribute) for each in refused.value.findings] == [
        ("input review", ""),
        ("layer conv1d", "carry_mask"),
    ]
    assert not (tmp_path / "model.onnx").exists()


def test_every_layer_has_its_nodes() -> None:
    """But for those that draw numbers in training, which are left out."""
    drawn = {rules.layer for rules in ALL if issubclass(rules.layer, Drawing)}
    assert LAYERS.keys() | drawn == {rules.layer for rules in ALL} and not LAYERS.keys() & drawn


def test_states_that_calls_leave_are_inputs_and_outputs(tmp_path: Path) -> None:
    """Two calls of three steps are one of six; the file comes back as the model with its states."""
    spec = "model Out { input x: float[time, 3]  GRU(4, stateful = true, return_sequences = true)  LSTM(2, stateful = true) }"
    path, x = tmp_path / "model.onnx", series()
    model = exported(spec, path)
    states = {name: np.zeros((4, width), np.float32) for name, width in (("gru/h", 4), ("lstm/h", 2), ("lstm/c", 2))}
    for part in (x[:, :3], x[:, 3:]):
        result, *left = run(path, {"x": part, **states})
        states = dict(zip(states, left, strict=True))
        np.testing.assert_allclose(result, model.predict(part), atol=2e-6)
    back = import_file(path, None, reader_options(path))
    assert back.text == model.source.text


def test_nothing_in_a_file_is_unread(tmp_path: Path) -> None:
    """No node and no constant without a reader; of a recurrent node, only the outputs that are read."""
    spec = "model Out { input x: float[time, 3]  LSTM(4, return_sequences = true)  Bidirectional(LSTM(4))  Dense(2) }"
    exported(spec, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    read = {name for each in graph.node for name in each.input} | {each.name for each in graph.output}
    assert {name for each in graph.node for name in each.output if name} <= read
    assert {each.name for each in graph.initializer} <= read
    assert [len(each.output) for each in graph.node if each.op_type == "LSTM"] == [1, 2] and graph.name == "Out"


def test_an_opset_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opset: expected one from 14 to"):
        exported("model Out { input x: float[3]  Dense(2) }", tmp_path / "model.onnx", opset=13)
