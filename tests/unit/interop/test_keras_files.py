"""Keras's files from strangers, and what is refused of sound ones: all at once, with the layer and the reason."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnspec.frontend.syntax.standard_library import CellLibrary
from rnnspec.interop import importing
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import Findings, ImportRefused
from rnnspec.interop.keras_files.constants import Constants
from rnnspec.interop.keras_files.layers import Layers
from rnnspec.interop.keras_files.stores import ListStore
from tests.interop_keras import edited, unpacked


def read(path: Path) -> ImportedGraph:
    return importing.reader_of(path).read(path, ReaderOptions(source=path.name))


def refused(path: Path) -> str:
    with pytest.raises(ImportRefused) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return unpacked("sequential_lstm", "keras", tmp_path)


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return unpacked("sequential_lstm", "h5", tmp_path)


def with_layer(path: Path, **changes: object) -> Path:
    """The file with a layer's entries changed; its Dense is the last."""

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1] |= changes

    return edited(path, change)


def test_a_lambda_is_never_executed(sound: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wAAAAAAAAA=", "defaults": None, "closure": None}}
    settings = {"name": "speaker", "function": code}
    assert "speaker (Lambda): it is a function of Python's, which isn't executed" in refused(
        with_layer(sound, class_name="Lambda", config=settings)
    )


def test_all_that_has_no_place_is_told_at_once(sound: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        layers[1]["config"] |= {"activation": "wavy", "units": "many"}
        layers[2] |= {"class_name": "Conv2D"}

    told = refused(edited(sound, change))
    assert "layer lstm (LSTM), activation: there is no activation `wavy`" in told
    assert "layer lstm (LSTM), units: expected a whole number, found 'many'" in told
    assert "layer speaker (Conv2D): the language has no layer `Conv2D`" in told


def test_a_class_of_ones_own_asks_for_a_cell(sound: Path) -> None:
    told = refused(with_layer(sound, class_name="MyLayer", registered_name="mine>MyLayer", module="mine"))
    assert 'give a cell for it, `cells = {"MyLayer": "cell.rnn"}`' in told


def test_arguments_without_a_meaning_are_dropped_and_told(legacy: Path) -> None:
    with h5py.File(legacy, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"] |= {"implementation": 2, "time_major": False}
        file.attrs["model_config"] = json.dumps(config)
    graph = read(legacy)
    assert any("`implementation` was dropped" in note for note in graph.notes) and graph.dropped == ()


def with_settings(path: Path, place: int = -1, **settings: object) -> Path:
    """The file with settings of a layer changed: the LSTM is the second, its Dense the last."""

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][place]["config"] |= settings

    return edited(path, change)


def policy(name: str, kind: str = "DTypePolicy", **others: object) -> dict[str, Any]:
    return {"module": "keras", "class_name": kind, "config": {"name": name, **others}}


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 7, "input_dim": 4, "weights": [1.0], "autocast": False, "lora_alpha": 8},
        {"dtype": policy("float32"), "use_cudnn": "auto", "unroll": True},
        {"noise_shape": None, "lora_rank": None, "mode": None, "quantization_config": None},
    ],
    ids=["values that the file replaces", "ways to compute", "nothing"],
)
def test_arguments_of_no_meaning_leave_no_word(sound: Path, settings: dict[str, Any]) -> None:
    graph = read(with_settings(sound, **settings))
    assert graph.dropped == () and dict(graph.layers[-1].arguments) == dict(read(with_settings(sound)).layers[-1].arguments)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lora_rank": 2}, "layer speaker (Dense): `lora_rank` was left out, which changes training alone: the file's kernel has"),
        ({"gamma_constraint": "max_norm"}, "`gamma_constraint` was left out, which changes training alone: `Dense` has no such argument"),
        ({"kernel_regularizer": {"class_name": "Own", "config": {}}}, "`kernel_regularizer` was left out: there is no regularizer `Own`"),
        ({"dtype": policy("mixed_float16")}, "layer speaker (Dense): `dtype`: Keras computes in float16, and here it is float32"),
        ({"dtype": "mixed_bfloat16"}, "`dtype`: Keras computes in bfloat16"),
        ({"dtype": {"class_name": "DTypePolicyMap", "config": {"default_policy": "float32", "policy_map": {"a": policy("float16")}}}},
         "`dtype`: Keras computes in float16"),
    ],
)  # fmt: skip
def test_what_changes_training_or_digits_is_told(sound: Path, settings: dict[str, Any], told: str) -> None:
    assert any(told in text for text in read(with_settings(sound, **settings)).dropped)


def test_an_argument_of_training_that_the_language_has_with_one_value(tmp_path: Path) -> None:
    """`noise_shape` of Dropout: the layer is there, without it."""

    def change(config: dict[str, Any]) -> None:
        next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Dropout")["config"]["noise_shape"] = [None, 1, 4]

    graph = read(edited(unpacked("classifier", "keras", tmp_path), change))
    assert any("layer dropout (Dropout): `noise_shape` was left out" in text for text in graph.dropped)
    assert "Dropout" in [layer.layer for layer in graph.layers]


@pytest.mark.parametrize(
    ("place", "settings", "told"),
    [
        (1, {"time_major": True}, "layer lstm (LSTM), time_major: its sequences have the steps before the batch"),
        (-1, {"quantization_config": {"a": 1}}, "layer speaker (Dense), quantization_config: its weights are quantized"),
        (-1, {"dtype": policy("int8", "QuantizedDTypePolicy")}, "layer speaker (Dense), dtype: its weights are quantized"),
        (-1, {"dtype": "int8_from_float32"}, "layer speaker (Dense), dtype: its weights are quantized"),
        (-1, {"twisted": True}, "layer speaker (Dense), twisted: `Dense` has no such argument in the language (True)"),
        (-1, {"twisted": False}, "layer speaker (Dense), twisted: `Dense` has no such argument in the language (False)"),
    ],
)
def test_what_changes_the_outputs_is_refused(sound: Path, place: int, settings: dict[str, Any], told: str) -> None:
    assert told in refused(with_settings(sound, place, **settings))


def test_bfloat16_weights_are_read_exactly(sound: Path) -> None:
    values = np.array([[1.0, -2.5], [0.15625, 3.0], [0.0, 1.5], [-1.0, 8.0]], np.float32)

    def bfloat16(content: bytes) -> bytes:
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            own: Any = file["layers/dense/vars"]
            del own["0"]
            own.create_dataset("0", data=(values.view(np.uint32) >> 16).astype(np.uint16).view("V2")).attrs["dtype"] = "bfloat16"
        return buffer.getvalue()

    with zipfile.ZipFile(sound) as given:
        members = {name: given.read(name) for name in given.namelist()}
    with zipfile.ZipFile(sound, "w") as written:
        for name, content in members.items():
            written.writestr(name, bfloat16(content) if name.endswith("h5") else content)
    assert np.array_equal(read(sound).layers[-1].weights["kernel"], values)


def test_a_masked_sequence_in_reversed_order(tmp_path: Path) -> None:
    """Keras hands the mask on as it was, so that the next layer would leave out other steps."""

    def change(config: dict[str, Any]) -> None:
        next(layer for layer in config["config"]["layers"] if layer["class_name"] == "LSTM")["config"]["go_backwards"] = True

    told = refused(edited(unpacked("masked_branches", "keras", tmp_path), change))
    assert "layer concatenate (Concatenate), mask: it takes a masked sequence in reversed order" in told


@pytest.mark.parametrize(
    ("operation", "arguments", "told"),
    [
        ({"class_name": "TrueDivide"}, "two", "the operation `TrueDivide` isn't supported between layers"),
        ({"class_name": "Mean", "axis": 2}, "one", "it is supported over the steps of a sequence alone"),
        ({"class_name": "ExpandDims", "axis": 0}, "one", "it is along the axis 0"),
        ({"class_name": "Softmax", "axis": 1}, "one", "it is along the axis 1"),
        ({"class_name": "GetItem"}, "backwards", "a part by steps of -1 isn't supported"),
        ({"class_name": "Einsum"}, "two", "the operation `Einsum` isn't supported between layers"),
    ],
)
def test_operations_that_cant_be_said(tmp_path: Path, operation: dict[str, Any], arguments: str, told: str) -> None:
    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, 6, 4], "dtype": "float64", "keras_history": [name, 0, 0]}}

    every: dict[str, Any] = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    turned = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": -1}}
    given = {"one": [tensor("series")], "two": [tensor("series")] * 2, "backwards": [tensor("series"), [every, turned]]}[arguments]

    def change(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        first = next(layer for layer in layers if layer["class_name"] == "GRU")
        first["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["op", 0, 0]
        settings = {"name": "op", **{key: value for key, value in operation.items() if key != "class_name"}}
        node = {"args": given, "kwargs": {}}
        layers.append({"module": "keras.src.ops.numpy", "class_name": operation["class_name"], "config": settings, "name": "op",
                       "inbound_nodes": [node]})  # fmt: skip

    assert f"layer op ({operation['class_name']}): {told}" in refused(edited(unpacked("heads", "keras", tmp_path), change))


def test_a_model_at_each_step_has_layers_for_rows_alone(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        inner = config["config"]["layers"][2]["config"]["layer"]["config"]["layers"]
        next(layer for layer in inner if layer["class_name"] == "PReLU").update(class_name="Flatten", config={"name": "p_re_lu"})

    told = refused(edited(unpacked("each_step", "keras", tmp_path), change))
    assert "(Flatten): a model in TimeDistributed may have Dense, Dropout and the like, and no Flatten" in told


@pytest.mark.parametrize("value", [float("nan"), 1e400, "0.5", [0.5], {"a": 1}], ids=str)
def test_a_number_that_is_none(sound: Path, value: object) -> None:
    assert "layer speaker (Dropout), rate: expected a number" in refused(
        with_layer(sound, class_name="Dropout", config={"name": "speaker", "rate": value})
    )


def test_layers_in_a_cycle(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layers = {layer["name"]: layer for layer in config["config"]["layers"]}
        first = next(layer for layer in layers.values() if layer["class_name"] == "GRU")
        first["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["up", 0, 0]

    assert "the layers form a cycle" in refused(edited(unpacked("heads", "keras", tmp_path), change))


def test_a_mask_that_no_layer_makes(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Embedding":
                layer["config"]["mask_zero"] = False

    assert "mask: it is none of Masking's, nor of an Embedding's" in refused(edited(unpacked("answer", "keras", tmp_path), change))


def test_a_zip_that_unpacks_to_far_more_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 100_000_000)
    assert "its members are far larger than the file itself" in refused(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"class_name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "isn't JSON"),
        (b'{"class_name": ' + b"[" * 200 + b"]" * 200 + b"}", "inside of each other"),
        (b'{"class_name": "Sequential", "config": {"layers": []}}', "it has no layers"),
        (b'{"class_name": "Sequential", "config": 3}', "it has no layers"),
        (b'{"class_name": "Functional", "config": {"layers": [], "input_layers": [["a", 0, 0]]}}', "its input a has no shape"),
        (b'{"class_name": "MyModel", "config": {}}', "its model is a MyModel"),
        (b'{"layers": 3, "class_name', "isn't JSON"),
    ],
)
def test_architectures_that_are_none(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(content)
    assert reason in refused(path)


def test_a_file_that_ends_too_soon(legacy: Path, sound: Path) -> None:
    for path in (legacy, sound):
        content = path.read_bytes()
        for part in (2, 3, 5):
            path.write_bytes(content[: len(content) * (part - 1) // part])
            assert "can't be imported" in refused(path)


KERNEL = "model_weights/speaker/speaker_model/speaker/kernel"


def put_external(file: h5py.File, name: str) -> None:
    file[name] = h5py.ExternalLink("/etc/passwd", "/")


def put_soft(file: h5py.File, name: str) -> None:
    file[name] = h5py.SoftLink("/model_weights/speaker")


def put_objects(file: h5py.File, name: str) -> None:
    file.create_dataset(name, data=np.array(["a", "b"], dtype=object), dtype=h5py.string_dtype())


def put_absurd(file: h5py.File, name: str) -> None:
    file.create_dataset(name, shape=(2**40, 2**20), dtype="f4", chunks=(1024, 1024))


def put_group(file: h5py.File, name: str) -> None:
    file.create_group(name)


def put_nothing(file: h5py.File, name: str) -> None:
    pass


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (put_external, "is a link to another place"),
        (put_soft, "is a link to another place"),
        (put_objects, "not numbers"),
        (put_absurd, "for which the file is too small"),
        (put_group, "is a group, where an array is expected"),
        (put_nothing, "has no array"),
    ],
)
def test_arrays_that_are_none(legacy: Path, put: Callable[[h5py.File, str], None], reason: str) -> None:
    with h5py.File(legacy, "r+") as file:
        kernel: list[str] = []
        file.visit(lambda name: kernel.append(name) if name.startswith("model_weights/speaker") and name.endswith("kernel") else None)
        del file[kernel[0]]
        put(file, kernel[0])
    assert reason in refused(legacy)


def test_a_layer_without_its_weights(legacy: Path) -> None:
    with h5py.File(legacy, "r+") as file:
        del file["model_weights/speaker"]
    assert "layer speaker (Dense), weights: expected kernel, bias, found 0 arrays" in refused(legacy)


def test_an_architecture_that_doesnt_fit_its_weights(sound: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["units"] = 5

    with pytest.raises(ImportRefused, match=r"layer lstm \(LSTM\), kernel: expected shape \(3, 20\), found \(3, 16\)"):
        importing.import_file(edited(sound, change), None, ReaderOptions(source="a.keras"))


def test_weights_alone_ask_for_a_spec(tmp_path: Path) -> None:
    assert 'give the spec that they are for, `into = "model.rnn"`' in refused(unpacked("sequential_lstm", "weights.h5", tmp_path))


def test_a_model_in_a_model_whose_name_no_path_has() -> None:
    """tf.keras names arrays `gru/gru_cell/kernel:0` however many models are around the layer."""
    kernel = np.zeros((2, 3))
    store = ListStore([("gru/gru_cell/kernel:0", kernel), ("dense/bias:0", kernel[0])])
    inner = {"class_name": "Sequential", "config": {"name": "encoder", "layers": []}}
    gru = {"class_name": "GRU", "config": {"name": "gru"}}
    found = store.layer([inner], 0).layer([gru], 0).named(gru)
    assert [(name, array.shape) for name, array in found] == [("kernel", (2, 3))]


def test_a_normalization_by_the_root_mean_square_is_a_cell() -> None:
    """Keras's `rms_scaling` divides by the deviation, and says something else."""
    findings = Findings()
    layers = Layers(Constants(findings, 3), {}, CellLibrary({}))
    settings = {"name": "n", "axis": [-1], "epsilon": 1e-5, "dtype": "float32", "trainable": False}
    made = layers.converted({"class_name": "RMSNormalization", "config": settings}, "layer n")
    assert made is not None and (made.layer, made.weights) == ("RMSNorm", ("scale",)) and not findings.found
    assert made.arguments == {"epsilon": 1e-5, "return_sequences": True, "trainable": False}
    assert any(each.lstrip("# ").startswith("Root mean square") for each in layers.constants.declarations)
    assert layers.converted({"class_name": "RMSNormalization", "config": {**settings, "axis": 1}}, "layer n") is None
    assert "along the last axis, -1, and is 1" in findings.found[0].reason
