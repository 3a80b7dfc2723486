"""Keras's files from strangers, and what is refused of sound ones: all at once, with the layer and the reason."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnspec.interop import importing
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import ImportRefused
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
    assert any("`implementation` was dropped" in note for note in read(legacy).notes)


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
