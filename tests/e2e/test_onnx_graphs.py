"""Graphs that no exporter of the fixtures writes: conditions, loops, scans, quantized numbers.

What they give is computed by the standard's reference, or, where it doesn't follow the standard, by numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from rnnspec.interop.importing import import_file, reader_options
from tests.onnx_models import Array, info, model, node, run, saved

SERIES = info("x", ["batch", "time", 3])
TIME_FIRST = info("x", ["time", "batch", 3])


def op(kind: str, given: str, made: str, **attributes: Any) -> Any:
    """A node without a name, its inputs and outputs as words."""
    return helper.make_node(kind, given.split(), made.split(), **attributes)


def random(*shape: int) -> Array:
    return np.random.default_rng(11).normal(size=shape).astype(np.float32)


def _conditions() -> Any:
    """What is positive and not equal to another feature is doubled, the rest goes without its fraction; infinity hides a step."""
    nodes = [
        op("Greater", "x zero", "positive"),
        op("Equal", "x other", "equal"),
        op("Not", "equal", "differs"),
        op("And", "positive differs", "both"),
        op("Mul", "x two", "double"),
        op("Cast", "x", "whole", to=TensorProto.INT64),
        op("Cast", "whole", "rounded", to=TensorProto.FLOAT),
        op("Where", "both double rounded", "some"),
        op("ReduceMax", "x last", "most", keepdims=1),
        op("Less", "most half", "small"),
        op("Where", "small low some", "hidden"),
        op("ReduceMax", "hidden second", "y", keepdims=0),
    ]
    constants = {"zero": np.float32(0), "other": np.float32([0.5, 0.25, 1]), "two": np.float32(2), "half": np.float32(0.5)}
    constants |= {"low": np.float32(-1e9), "last": np.array([-1]), "second": np.array([1])}
    return model(nodes, [SERIES], ["y"], constants, opset=18)


def _sums() -> Any:
    """Sums over steps and of squares, the least of them, and a norm over them."""
    nodes = [
        op("ReduceSum", "x second", "total", keepdims=0),
        op("ReduceL2", "x second", "length", keepdims=0),
        op("ReduceMin", "x second", "least", keepdims=0),
        op("ReduceSumSquare", "total second", "one", keepdims=1),
        op("Transpose", "x", "turned", perm=[0, 2, 1]),
        op("InstanceNormalization", "turned scale shift", "norm"),
        op("Conv", "norm kernel", "grouped", kernel_shape=[3], pads=[1, 1], group=3),
        op("GlobalAveragePool", "grouped", "pooled"),
        op("Flatten", "pooled", "flat"),
        op("Concat", "total length least one flat", "y", axis=1),
    ]
    constants = {"second": np.array([1]), "scale": random(3), "shift": random(3), "kernel": random(6, 1, 3)}
    return model(nodes, [SERIES], ["y"], constants)


def _scanned() -> Any:
    """A sequence and a condition of its steps from the end, beside a row that is the same at each, with an output turned round."""
    inner = [
        op("Concat", "row context", "wide", axis=1),
        op("MatMul", "wide kernel", "moved"),
        op("Add", "moved h", "sum"),
        op("Tanh", "sum", "next"),
        op("Where", "real next h", "h_out"),
        op("Identity", "h_out", "y_row"),
    ]
    body = helper.make_graph(
        inner,
        "body",
        [info("h", None), info("row", None), info("real", None, np.bool_)],
        [info("h_out", None), info("y_row", None)],
    )
    nodes = [
        op("ReduceMean", "x second", "context", keepdims=0),
        op("Transpose", "x", "steps", perm=[1, 0, 2]),
        op("ReduceMax", "steps last", "most", keepdims=1),
        op("Greater", "most zero", "real"),
        node("Scan", ["start", "steps", "real"], ["h_last", "ys"], body=body, num_scan_inputs=2, scan_input_directions=[1, 1],
             scan_output_directions=[1], scan_output_axes=[1]),
    ]  # fmt: skip
    constants = {"second": np.array([1]), "last": np.array([-1]), "zero": np.float32(0), "kernel": random(6, 4)}
    constants["start"] = np.zeros((2, 4), np.float32)
    return model(nodes, [info("x", [2, "time", 3])], ["ys", "h_last"], constants, opset=18)


def _looped(*, backwards: bool, condition: bool) -> Any:
    """A loop with its count in a state, a matrix that stays in another, and a condition in place of a number of rounds."""
    inner = [
        op("Sub", "last count" if backwards else "count nothing", "place"),
        op("Gather", "steps place", "row", axis=0),
        op("MatMul", "row matrix", "moved"),
        op("Mul", "h half", "faded"),
        op("Add", "moved faded", "h_out"),
        op("Add", "count one", "next"),
        op("Less", "next rounds", "again"),
        op("Identity", "matrix", "matrix_out"),
        op("Neg", "h_out", "y_row"),
    ]
    inputs = [info("i", [], np.int64), info("going", [], np.bool_), info("count", [], np.int64), info("matrix", None), info("h", None)]
    outputs = [info("again", [], np.bool_), info("next", [], np.int64), info("matrix_out", None), info("h_out", None), info("y_row", None)]
    body = helper.make_graph(inner, "body", inputs, outputs)
    nodes = [
        op("Shape", "x", "shape"),
        op("Gather", "shape nothing", "rounds", axis=0),
        op("Sub", "rounds one", "last"),
        op("Identity", "x", "steps"),
        helper.make_node(
            "Loop", ["" if condition else "rounds", "yes", "nothing", "kernel", "start"], ["n", "m", "h_last", "ys"], body=body
        ),
        op("Transpose", "ys", "y", perm=[1, 0, 2]),
    ]
    constants = {"nothing": np.array(0), "one": np.array(1), "half": np.float32(0.5), "yes": np.array(True), "kernel": random(3, 4)}
    constants["start"] = np.zeros((2, 4), np.float32)
    return model(nodes, [info("x", ["time", 2, 3])], ["y", "h_last"], constants)


def _loop_by_hand(x: Array, *, backwards: bool) -> list[Array]:
    kernel, h, found = random(3, 4), np.zeros((2, 4), np.float32), list[Array]()
    for row in x.swapaxes(0, 1)[:: -1 if backwards else 1]:
        h = row @ kernel + h / 2
        found.append(-h)
    return [np.stack(found, 1), h]


def _scan_by_hand(x: Array) -> list[Array]:
    kernel, context, h, found = random(6, 4), x.mean(1), np.zeros((2, 4), np.float32), list[Array]()
    for row in x.swapaxes(0, 1)[::-1]:
        h = np.where(row.max(1, keepdims=True) > 0, np.tanh(np.concatenate([row, context], 1) @ kernel + h), h)
        found.append(h)
    return [np.stack(found[::-1], 1), h]


def _quantized() -> Any:
    """Activations as whole numbers of a scale, weights by columns."""
    nodes = [
        op("QuantizeLinear", "x scale zero", "q"),
        op("DequantizeLinear", "q scale zero", "d"),
        op("DequantizeLinear", "w w_scale", "kernel", axis=1),
        op("MatMul", "d kernel", "y"),
    ]
    constants = {"scale": np.float32(0.05), "zero": np.uint8(100), "w_scale": np.float32([0.1, 0.2])}
    constants["w"] = np.arange(-3, 3, dtype=np.int8).reshape(3, 2)
    return model(nodes, [SERIES], ["y"], constants, opset=19)


def _positions() -> Any:
    """Numbers of the file that differ from step to step, of a sequence whose length is fixed."""
    return model([op("Add", "x table", "y")], [info("x", ["batch", 6, 3])], ["y"], {"table": random(1, 6, 3)})


def _resized() -> Any:
    """Each step twice, as an upsampling has them."""
    nodes = [
        op("Transpose", "x", "turned", perm=[0, 2, 1]),
        op("Resize", "turned none scales", "wide", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        op("Transpose", "wide", "y", perm=[0, 2, 1]),
    ]
    return model(nodes, [SERIES], ["y"], {"none": np.zeros(0, np.float32), "scales": np.float32([1, 1, 2])})


def _norm() -> Any:
    """LayerNormalization as arithmetic, and one by moments, as tf2onnx has it."""
    nodes = [
        op("ReduceMean", "x last", "mean", keepdims=1),
        op("Sub", "x mean", "centred"),
        op("Pow", "centred two", "squares"),
        op("ReduceMean", "squares last", "variance", keepdims=1),
        op("Add", "variance epsilon", "more"),
        op("Sqrt", "more", "deviation"),
        op("Div", "centred deviation", "norm"),
        op("Mul", "norm gamma", "scaled"),
        op("Add", "scaled beta", "y"),
    ]
    constants = {"last": np.array([-1]), "two": np.float32(2), "epsilon": np.float32(1e-3), "gamma": random(3), "beta": random(3)}
    return model(nodes, [SERIES], ["y"], constants, opset=18)


GRAPHS: dict[str, Callable[[], Any]] = {
    "conditions": _conditions,
    "sums": _sums,
    "scan": _scanned,
    "loop": lambda: _looped(backwards=False, condition=False),
    "loop from the end": lambda: _looped(backwards=True, condition=False),
    "loop by a condition": lambda: _looped(backwards=False, condition=True),
    "quantized": _quantized,
    "positions": _positions,
    "norm": _norm,
    "resized": _resized,
}


BY_HAND: dict[str, Callable[[Array], list[Array]]] = {
    "scan": _scan_by_hand,
    "loop": lambda x: _loop_by_hand(x, backwards=False),
    "loop from the end": lambda x: _loop_by_hand(x, backwards=True),
    "loop by a condition": lambda x: _loop_by_hand(x, backwards=False),
}
"""The reference puts a loop's results end to end, and has no scan that goes backwards."""


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_gives_what_it_should(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, GRAPHS[name]())
    found = import_file(path, None, reader_options(path))
    x = np.random.default_rng(3).normal(size=(2, 6, 3)).astype(np.float32)
    x[0, 2], x[1, 4:] = -np.abs(x[0, 2]), -np.abs(x[1, 4:])
    result: Any = found.model.predict(x)
    results = result if isinstance(result, tuple) else (result,)
    wanted = BY_HAND[name](x) if name in BY_HAND else run(path, {"x": x})
    for ours, theirs in zip(results, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_a_norm_reads_as_the_layer_that_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, _norm())
    text = import_file(path, None, reader_options(path)).text
    assert text == 'model Made {\n    input x: float[time, 3]\n\n    LayerNormalization(name = "y")\n}\n'


def test_true_and_false_are_one_and_zero(tmp_path: Path) -> None:
    """A mask that is an input of the file: steps that aren't real have no weight."""
    nodes = [
        op("ReduceMean", "x last", "score", keepdims=0),
        op("Where", "real score low", "seen"),
        op("Softmax", "seen", "weights", axis=1),
        op("Unsqueeze", "weights last", "wide"),
        op("Mul", "wide x", "weighted"),
        op("ReduceSum", "weighted second", "y", keepdims=0),
    ]
    constants = {"last": np.array([-1]), "second": np.array([1]), "low": np.float32(-1e9)}
    path = saved(tmp_path, model(nodes, [SERIES, info("real", ["batch", "time"], np.bool_)], ["y"], constants))
    found = import_file(path, None, reader_options(path))
    assert any("input real: true and false in the file" in note for note in found.notes)
    x, real = random(2, 6, 3), np.arange(6) < np.array([[6], [4]])
    (wanted,) = run(path, {"x": x, "real": real})
    np.testing.assert_allclose(found.model.predict([x, real[..., None].astype(np.float32)]), wanted, rtol=0, atol=2e-5)
