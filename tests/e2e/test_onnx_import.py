"""ONNX files as models: exports of PyTorch, the standard's own tests of recurrent nodes, graphs of one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.interop.importing import Imported, import_file, reader_options
from tests.onnx_models import FIXTURES, Array, info, model, node, run, saved


def imported(path: Path, dtype: str | None = None, **inputs: float | int | str) -> Imported:
    return import_file(path, dtype, reader_options(path, inputs=inputs))


def predicted(found: Imported, *given: Array) -> list[Array]:
    result: Any = found.model.predict(given[0] if len(given) == 1 else list(given))
    return list(result) if isinstance(result, tuple) else [result]


BATCH_FIRST = sorted(
    path.stem for path in FIXTURES.glob("*.onnx") if "step" not in path.stem and path.stem not in ("time_first", "translate", "no_batch")
)


@pytest.mark.parametrize("name", BATCH_FIRST)
def test_an_export_of_pytorch_gives_its_outputs(name: str) -> None:
    """The files and numbers are PyTorch's: see make_torch.py beside them."""
    found, arrays = imported(FIXTURES / f"{name}.onnx"), dict(np.load(FIXTURES / f"{name}.npz"))
    outputs = predicted(found, *(arrays[f"in_{key}"] for key in found.inputs))
    assert list(found.outputs) == [key.removeprefix("out_") for key in arrays if key.startswith("out_")]
    np.testing.assert_allclose(outputs[0], arrays["out_y"], atol=2e-5)
    for other, key in zip(outputs[1:], list(found.outputs)[1:], strict=True):
        wanted = arrays[f"out_{key}"]
        wanted = wanted if wanted.shape == other.shape else wanted.swapaxes(0, 1).reshape(other.shape)
        np.testing.assert_allclose(other, wanted, atol=2e-5)


KERAS = sorted(path.stem for path in (FIXTURES / "keras").glob("*.onnx"))


@pytest.mark.parametrize("name", KERAS)
def test_an_export_of_keras_gives_its_outputs(name: str) -> None:
    """Written by tf2onnx: loops with counts in states, masks in them, windows over the first of two axes: see make_keras.py."""
    path = FIXTURES / "keras" / f"{name}.onnx"
    found, arrays = imported(path), dict(np.load(path.with_suffix(".npz")))
    (output,) = predicted(found, arrays["in_x"])
    np.testing.assert_allclose(output, arrays["out_y"], atol=2e-5)


@pytest.mark.parametrize("name", ["time_first", "translate"])
def test_a_time_first_graph_takes_the_batch_first(name: str) -> None:
    """The inputs and outputs have the source's names and order; their axes are those of every model here, and it is told."""
    found, arrays = imported(FIXTURES / f"{name}.onnx"), dict(np.load(FIXTURES / f"{name}.npz"))
    given = [arrays[f"in_{key}"].swapaxes(0, 1) for key in found.inputs]
    outputs = predicted(found, *given)
    np.testing.assert_allclose(outputs[0], arrays["out_y"].swapaxes(0, 1), atol=2e-5)
    for other, key in zip(outputs[1:], list(found.outputs)[1:], strict=True):
        np.testing.assert_allclose(other, arrays[f"out_{key}"][0], atol=2e-5)
    assert any("output y: its axes are in another order" in note for note in found.notes)


def test_a_graph_without_a_batch_is_a_model_of_one_sample() -> None:
    found, arrays = imported(FIXTURES / "no_batch.onnx"), dict(np.load(FIXTURES / "no_batch.npz"))
    (output,) = predicted(found, arrays["in_x"][None])
    np.testing.assert_allclose(output[0], arrays["out_y"], atol=2e-5)
    assert any(note.startswith("input x: (time, 3) in the file") for note in found.notes)


@pytest.mark.parametrize("name", ["lstm_step", "lstm_step_new", "own_step"])
def test_a_graph_of_one_step_is_a_cell_of_its_equations(name: str) -> None:
    """Its states are inputs and outputs; here the cell keeps them, over a sequence or in a stream."""
    found, arrays = imported(FIXTURES / f"{name}.onnx"), dict(np.load(FIXTURES / f"{name}.npz"))
    x = arrays["in_x"].swapaxes(0, 1)
    (output,) = predicted(found, x)
    np.testing.assert_allclose(output, arrays["out_y"].swapaxes(0, 1), atol=2e-5)
    assert list(found.inputs) == ["x"] and "cell " in found.text and "return_sequences = true" in found.text
    stream = found.model.stream(1)
    for step in range(x.shape[1]):
        np.testing.assert_allclose(stream.step(x[:, step]), arrays["out_y"][step], atol=2e-5)


def test_an_lstm_reads_as_a_person_would_write_it() -> None:
    text = imported(FIXTURES / "lstm_last.onnx").text
    assert [line.partition("  #")[0].strip() for line in text.splitlines()] == [
        "model LstmLast {",
        "input x: float[time, 3]",
        "",
        "LSTM(5, return_sequences = true)",
        "LSTM(5)",
        'Dense(1, name = "y")',
        "}",
    ]


@pytest.mark.parametrize("path", sorted((FIXTURES / "standard").glob("*.onnx")), ids=lambda path: str(path.stem))
def test_the_standards_own_tests_of_recurrent_nodes(path: Path) -> None:
    """What is an input there but X is a constant here, as in every trained model: see make_standard.py."""
    found, arrays = imported(path), dict(np.load(path.with_suffix(".npz")))
    first, shape = "batchwise" in path.stem, found.model.signature.inputs[0].shape
    x = arrays["X"] if first else arrays["X"].swapaxes(0, 1)
    results = predicted(found, x if len(shape) == 2 else x[:, 0])  # of one step, a row
    for name, result in zip(found.outputs, results, strict=True):
        wanted = arrays[f"out_{name}"]
        order = tuple(range(wanted.ndim)) if first else (2, 0, 1, 3) if wanted.ndim == 4 else (1, 0, 2)
        np.testing.assert_allclose(result, wanted.transpose(order).reshape(result.shape), atol=2e-5)


ATTRIBUTES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "reverse": ("LSTM", 1, {"direction": "reverse"}),
    "both": ("GRU", 2, {"direction": "bidirectional", "linear_before_reset": 1}),
    "reset before": ("GRU", 1, {"direction": "reverse", "linear_before_reset": 0}),
    "own activations": (
        "LSTM",
        2,
        {
            "direction": "bidirectional",
            "activations": ["HardSigmoid", "Affine", "Tanh", "Sigmoid", "Softsign", "Softsign"],
            "activation_alpha": [0.3, 0.9],
            "activation_beta": [0.4, 0.1],
        },
    ),
    "leaky": ("RNN", 1, {"activations": ["LeakyRelu"], "activation_alpha": [0.2]}),
}


def weights_of(kind: str, directions: int, features: int, units: int, dtype: Any = np.float32) -> dict[str, Array]:
    gates, rng = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], np.random.default_rng(3)
    shapes = {"W": (gates * units, features), "R": (gates * units, units), "B": (2 * gates * units,)}
    return {name: rng.normal(scale=0.6, size=(directions, *shape)).astype(dtype) for name, shape in shapes.items()}


def _activated(name: str, x: Array, alpha: float, beta: float) -> Array:
    functions: dict[str, Any] = {
        "Sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "Tanh": lambda: np.tanh(x),
        "HardSigmoid": lambda: np.clip(alpha * x + beta, 0, 1),
        "Affine": lambda: alpha * x + beta,
        "Softsign": lambda: x / (1 + np.abs(x)),
        "LeakyRelu": lambda: np.where(x < 0, alpha * x, x),
    }
    return functions[name]()


def by_hand(kind: str, x: Array, arrays: dict[str, Array], given: dict[str, Any], **more: Any) -> Array:
    """(time, directions, batch, units) by the formulas of the standard, each direction by itself.

    `more`: clip, P, coupled, and the first states h and c, (directions, batch, units).
    """
    names = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[kind]
    directions, units = len(arrays["W"]), arrays["R"].shape[2]
    names = given.get("activations", names * directions)
    alphas, betas = list(given.get("activation_alpha", [])), list(given.get("activation_beta", []))
    own = []
    for name in names:
        alpha = alphas.pop(0) if name in ("HardSigmoid", "Affine", "LeakyRelu") else 0
        beta = betas.pop(0) if name in ("HardSigmoid", "Affine") else 0
        own.append((name, alpha, beta))
    width = len(names) // directions
    clip = more.get("clip", np.inf)
    found = []
    for place in range(directions):
        functions = own[place * width : (place + 1) * width]

        def f(number: int, value: Array, functions: Any = functions) -> Array:
            name, alpha, beta = functions[number]
            return _activated(name, np.clip(value, -clip, clip) if number < 2 else value, alpha, beta)

        backwards = given.get("direction") == "reverse" or place == 1
        w, r, b = (arrays[name][place] for name in "WRB")
        h = more["h"][place] if "h" in more else np.zeros((x.shape[1], units))
        c = more["c"][place] if "c" in more else np.zeros((x.shape[1], units))
        p = more["P"][place].reshape(3, units) if "P" in more else np.zeros((3, units))
        outputs = []
        for step in x[::-1] if backwards else x:
            if kind == "LSTM":
                i, o, k, g = np.split(step @ w.T + h @ r.T + b[: len(w)] + b[len(w) :], 4, 1)
                i = f(0, i + p[0] * c)
                k = 1 - i if more.get("coupled") else f(0, k + p[2] * c)
                c = k * c + i * f(1, g)
                h = f(0, o + p[1] * c) * f(2, c)
            elif kind == "GRU":
                xz, xr, xh = np.split(step @ w.T + b[: len(w)], 3, 1)
                hz, hr, hh = np.split(h @ r.T + b[len(w) :], 3, 1)
                z, reset = f(0, xz + hz), f(0, xr + hr)
                last = r[2 * units :]
                new = reset * hh if given.get("linear_before_reset") else (reset * h) @ last.T + b[len(w) + 2 * units :]
                h = (1 - z) * f(1, xh + new) + z * h
            else:
                h = f(0, step @ w.T + h @ r.T + b[: len(w)] + b[len(w) :])
            outputs.append(h)
        found.append(np.stack(outputs[::-1] if backwards else outputs))
    return np.stack(found, 1)


@pytest.mark.parametrize("what", ATTRIBUTES)
def test_attributes_of_recurrent_nodes(what: str, tmp_path: Path) -> None:
    kind, directions, given = ATTRIBUTES[what]
    arrays = weights_of(kind, directions, 3, 4)
    made = model([node(kind, ["X", "W", "R", "B"], ["Y"], hidden_size=4, **given)], [info("X", ["time", "batch", 3])], ["Y"], arrays)
    x = np.random.default_rng(5).normal(size=(6, 2, 3)).astype(np.float32)
    (result,) = predicted(imported(saved(tmp_path, made)), x.swapaxes(0, 1))
    wanted = by_hand(kind, x, arrays, given).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(result, wanted.reshape(result.shape), atol=2e-5)


OWN_CELLS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "peepholes": ("LSTM", {}, ("P",)),
    "coupled": ("LSTM", {"input_forget": 1}, ()),
    "clip": ("LSTM", {"clip": 0.7}, ()),
    "clipped gru": ("GRU", {"clip": 0.5, "linear_before_reset": 1}, ()),
    "clipped gru that resets before": ("GRU", {"clip": 0.5}, ()),
    "clipped rnn": ("RNN", {"clip": 0.4}, ()),
    "first states": ("LSTM", {}, ("initial_h", "initial_c")),
    "first state": ("GRU", {}, ("initial_h",)),
    "all": ("LSTM", {"clip": 0.7, "input_forget": 1}, ("P", "initial_h", "initial_c")),
}


@pytest.mark.parametrize("what", OWN_CELLS)
def test_what_the_librarys_cells_lack_is_a_cell_of_the_file(what: str, tmp_path: Path) -> None:
    """A text with its equations is declared beside the model, in float64 to 1e-9."""
    kind, given, inputs = OWN_CELLS[what]
    arrays = weights_of(kind, 1, 3, 4, np.float64)
    rng = np.random.default_rng(8)
    shapes = {"P": (1, 12), "initial_h": (1, 1, 4), "initial_c": (1, 1, 4)}
    extra = {name: rng.normal(size=shapes[name]) for name in inputs}
    batch = {name: np.repeat(array, 2, 1) if array.ndim == 3 else array for name, array in extra.items()}
    names = ["X", "W", "R", "B", "", *(name if name in inputs else "" for name in ("initial_h", "initial_c", "P"))]
    nodes = [node(kind, names[: 8 if kind == "LSTM" else 6], ["Y"], hidden_size=4, **given)]
    made = model(nodes, [info("X", ["time", 2, 3], np.float64)], ["Y"], {**arrays, **batch})
    x = rng.normal(size=(6, 2, 3))
    found = imported(saved(tmp_path, made))
    assert found.model.signature.dtype == "float64" and "cell " in found.text
    (result,) = predicted(found, x.swapaxes(0, 1))
    more: dict[str, Any] = {"h": batch["initial_h"]} if "initial_h" in batch else {}
    more |= {"c": batch["initial_c"]} if "initial_c" in batch else {}
    more |= {"P": batch["P"]} if "P" in batch else {}
    clip = {"clip": given["clip"]} if "clip" in given else {}
    wanted = by_hand(kind, x, arrays, given, coupled=given.get("input_forget"), **clip, **more).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(result, wanted.reshape(result.shape), rtol=0, atol=1e-7 if clip else 1e-9)


def test_lengths_are_those_of_the_call(tmp_path: Path) -> None:
    """`sequence_lens` leaves 0 behind a sample's end, and the reverse direction begins there."""
    arrays = weights_of("GRU", 2, 3, 4)
    given = {"direction": "bidirectional", "linear_before_reset": 1}
    nodes = [node("GRU", ["X", "W", "R", "B", "lengths"], ["Y", "Y_h"], hidden_size=4, **given)]
    inputs = [info("X", ["time", "batch", 3]), info("lengths", ["batch"], np.int32)]
    found = imported(saved(tmp_path, model(nodes, inputs, ["Y", "Y_h"], arrays)))
    assert list(found.inputs) == ["X"] and any("lengths" in note for note in found.notes)
    x = np.random.default_rng(5).normal(size=(6, 2, 3)).astype(np.float32)
    lengths = [6, 4]
    every, last = found.model.predict(x.swapaxes(0, 1), lengths=lengths)
    for row, length in enumerate(lengths):
        alone = by_hand("GRU", x[:length, row : row + 1], arrays, given)
        np.testing.assert_allclose(every[row, :length], alone[:, :, 0].reshape(length, 8), atol=2e-5)
        assert not every[row, length:].any()
        np.testing.assert_allclose(last[row], np.concatenate([alone[-1, 0, 0], alone[0, 1, 0]]), atol=2e-5)


def test_states_of_a_sequence_come_in_and_go_out(tmp_path: Path) -> None:
    """A graph over many steps keeps its states as inputs and outputs, packed as they are."""
    arrays = {**weights_of("LSTM", 1, 3, 4), "zero": np.array(0), "one": np.array(1), "axis": np.array([0])}
    nodes = [
        node("Gather", ["state", "zero"], ["h"], axis=0),
        node("Gather", ["state", "one"], ["c"], axis=0),
        node("Unsqueeze", ["h", "axis"], ["h0"]),
        node("Unsqueeze", ["c", "axis"], ["c0"]),
        node("LSTM", ["X", "W", "R", "B", "", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=4),
        node("Concat", ["hn", "cn"], ["state_out"], axis=0),
        node("Squeeze", ["Y"], ["y"]),
    ]
    nodes[-1].input.append("squeezed")
    arrays["squeezed"] = np.array([1])
    made = model(nodes, [info("X", ["time", "batch", 3]), info("state", [2, "batch", 4])], ["y", "state_out"], arrays)
    path = saved(tmp_path, made)
    found = imported(path)
    rng = np.random.default_rng(5)
    x, state = rng.normal(size=(6, 2, 3)).astype(np.float32), rng.normal(size=(2, 2, 4)).astype(np.float32)
    y, after = run(path, {"X": x, "state": state})
    results = predicted(found, x.swapaxes(0, 1), state.swapaxes(0, 1))
    np.testing.assert_allclose(results[0], y.swapaxes(0, 1), atol=2e-5)
    np.testing.assert_allclose(results[1], after.swapaxes(0, 1).reshape(results[1].shape), atol=2e-5)


def test_an_if_on_a_fixed_input_is_folded(tmp_path: Path) -> None:
    """`--input rate=16000` chooses a branch; without it the node is refused, and its branches' faults aren't told."""
    branches: dict[str, Any] = {}
    for name, kind in (("then_branch", "Relu"), ("else_branch", "NonMaxSuppression")):
        inside = [node(kind, ["x"], [f"{kind}_y"])]
        branches[name] = model(inside, [], [f"{kind}_y"]).graph
    nodes = [node("Equal", ["rate", "wide"], ["is_wide"]), node("If", ["is_wide"], ["y"], **branches)]
    made = model(nodes, [info("x", ["batch", 3]), info("rate", [], np.int64)], ["y"], {"wide": np.array(16000)})
    path = saved(tmp_path, made)
    found = imported(path, rate=16000)
    x = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(predicted(found, x)[0], np.maximum(x, 0))
    for rates in ({}, {"rate": 8000}):
        with pytest.raises(ValueError, match="--input rate=value" if not rates else "NonMaxSuppression"):
            imported(path, **rates)
