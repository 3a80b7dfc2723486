"""Models as Keras's files; that Keras loads these is tried by tests/fixtures/interop/keras/check_exports.py, where Keras is installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.interop.keras_export.order import keras_order
from tests.interop_keras import models, unpacked

TRIED = [
    name
    for name in models()
    if name
    in {"both_ways", "stacked_both_ways", "nested_twice", "translate", "normalized", "causal", "simple", "frozen", "shapes", "trained"}
]


@pytest.mark.parametrize("name", TRIED)
def test_export_and_import_are_the_identity(name: str, tmp_path: Path) -> None:
    """The spec is the same but for its first line, which names the file, and so are the weights, to the bit."""
    first = rnnspec.import_model(unpacked(name, "keras", tmp_path))
    rnnspec.export_model(first, tmp_path / "again.keras")
    again = rnnspec.import_model(tmp_path / "again.keras")
    assert sorted(again.weights) == sorted(first.weights)
    assert all(np.array_equal(again.weights[each], first.weights[each]) for each in first.weights)
    assert [each.shape for each in again.signature.outputs] == [each.shape for each in first.signature.outputs]


def test_what_keras_cant_say_is_refused_at_once(tmp_path: Path) -> None:
    spec = """
    function wavy(x) = sin(x)
    cell Own(units) { weight k [features, units] = zeros  state h [units]  h' = x @ k + h  return h' }
    model Odd {
        input x: float[time, 3]
        Conv1D(3, 2, activation = wavy, carry_mask = true)
        Own(3, return_sequences = true)
        Last()
    }
    """
    with pytest.raises(rnnspec.ExportRefused) as caught:
        rnnspec.export_model(rnnspec.compile(spec, seed=1), tmp_path / "odd.keras")
    assert [(each.place, each.attribute) for each in caught.value.findings] == [
        ("layer conv1d (Conv1D)", "carry_mask"),
        ("layer conv1d (Conv1D)", "activation"),
        ("layer own (Own)", ""),
        ("layer last (Last)", ""),
    ]
    assert not (tmp_path / "odd.keras").exists()


def config_of(spec: str, folder: Path) -> dict[str, Any]:
    """The configuration of a spec's model as a `.keras` file has it."""
    rnnspec.export_model(rnnspec.compile(spec, seed=1), folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return json.loads(archive.read("config.json"))


GOLDEN = Path(__file__).parents[1] / "golden" / "interop" / "keras_export.json"


def test_the_configuration_is_what_keras_takes(tmp_path: Path, regenerate: bool) -> None:
    """Keras 3.15.1 loads this text; check_exports.py tries it, and others, where Keras is installed."""
    spec = """
    model Golden {
        input words: int[time], shop: float[2]

        steps = words -> Embedding(11, 4, mask_zero = true) -> Bidirectional(LSTM(3), merge_mode = sum)
        price = [steps, shop] -> Concatenate() -> Dense(1, activation = relu, trainable = false)
        output price

        train {
            loss      = huber(delta = 0.5)
            optimizer = Adam(learning_rate = 0.01)
            metrics   = [mae]
            epochs    = 3
        }
    }
    """
    printed = json.dumps(config_of(spec, tmp_path), indent=1) + "\n"
    if regenerate:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(printed, encoding="utf-8")
    assert printed == GOLDEN.read_text(encoding="utf-8")


def test_layers_stand_in_keras_order(tmp_path: Path) -> None:
    """By which its weights are numbered: the longest way to the outputs first, not the spec's order."""
    config = config_of(
        """
        model Order {
            input a: float[3], b: float[3]
            near = a -> Dense(2)
            far  = b -> Dense(2) -> Dense(2)
            last = [near, far] -> Add()
            output last
        }
        """,
        tmp_path,
    )
    assert [layer["name"] for layer in config["config"]["layers"]] == ["b", "a", "dense_1", "dense", "dense_2", "last"]


def test_no_two_layers_have_one_name(tmp_path: Path) -> None:
    """None has an input's, or one that is equal when the sign between a block's name and a layer's is another: Keras takes them for one."""
    config = config_of(
        """
        block Encoder(units) { Masking()  GRU(units, return_sequences = true) }
        model Names {
            input x: float[time, 3], joined: float[time, 3]
            a = x      -> Encoder(4)
            b = joined -> LSTM(3, name = "encoder_gru") -> Dense(2, name = "x")
            c = [a, a] -> Concatenate() -> GRU(2)
            output b, c
        }
        """,
        tmp_path,
    )
    layers = {layer["name"]: layer["class_name"] for layer in config["config"]["layers"]}
    assert layers == {
        "x": "InputLayer",
        "joined": "InputLayer",
        "encoder_masking": "Masking",
        "encoder_gru_2": "GRU",
        "encoder_gru": "LSTM",
        "b": "Dense",
        "joined_2": "Concatenate",
        "c": "GRU",
    }
    assert [place[0] for place in config["config"]["output_layers"]] == ["b", "c"]
    hidden = 'model Own { input x: float[time, 3]  LSTM(2, name = "x") }'
    own = config_of(hidden, tmp_path)["config"]
    assert [layer["name"] for layer in own["layers"]] == ["x", "x_2"] and own["output_layers"] == [["x_2", 0, 0]]


def test_the_order_of_layers_of_several_calls_and_outputs() -> None:
    """As `map_graph` of Keras 3.15.1 gives it: a shared layer is as far as its farthest call, an unused input as an output."""
    parents = {
        ("x", 0): [],
        ("y", 0): [],
        ("s", 0): [("x", 0)],
        ("s", 1): [("m", 0)],
        ("m", 0): [("s", 0)],
        ("o", 0): [("s", 1)],
        ("p", 0): [("s", 0)],
    }
    assert keras_order(parents, ["x", "y"], [("o", 0), ("p", 0)]) == ["x", "s", "m", "y", "o", "p"]


def test_the_train_section_goes_out_and_comes_back(tmp_path: Path) -> None:
    first = rnnspec.import_model(unpacked("trained", "keras", tmp_path))
    rnnspec.export_model(first, tmp_path / "again.keras")
    again = rnnspec.import_model(tmp_path / "again.keras")
    assert again.source.text.partition("train {")[2].replace("100.0", "100") == first.source.text.partition("train {")[2]
    model = rnnspec.compile(
        "loss own { return square(prediction - target) }  function square(x) = x * x\n"
        "model M { input x: float[2]  Dense(1)  train { loss = own  epochs = 3 } }"
    )
    notes = rnnspec.export_model(model, tmp_path / "own.keras")
    assert notes == ("`epochs` of the train section has no place", "`loss`: `own` was left out, which Keras doesn't have")
    assert "train" not in rnnspec.import_model(tmp_path / "own.keras").source.text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("input x: float[time, 3]  LSTM(2, stateful = true)", "stateful: Keras's stateful layers need a fixed batch"),
        ("input x: text[time](max_tokens = 9)  Embedding(9, 2)  LSTM(3)", "Keras's models take ids"),
        ("input x: float[time, 3]  Masking()  GlobalMaxPooling1D()", "its values are masked"),
    ],
)
def test_what_keras_means_otherwise_is_refused(body: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(rnnspec.ExportRefused, match=told):
        rnnspec.export_model(rnnspec.compile(f"model M {{ {body} }}", seed=1), tmp_path / "m.keras")


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    """Keras names an output by its layer, which then has the output's name."""
    spec = "model M { input x: float[2]  up = x -> Dense(1, activation = sigmoid)  size = x -> Dense(2)  output up, size }"
    assert rnnspec.export_model(rnnspec.compile(spec, seed=1), tmp_path / "m.keras") == ()
    again = rnnspec.import_model(tmp_path / "m.keras")
    assert [each.name for each in again.signature.outputs] == ["up", "size"]
