"""ONNX Runtime: its LSTM (with peepholes) and GRU operators, Scan for another cell, in a graph made here; inference only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime

from benchmarks.peers import Call, Settings, Task
from benchmarks.workloads import LAYERS_OF_A_STACK, Array

Input: TypeAlias = tuple[str, Any, Sequence[int]]
"""Name, element type, shape."""

OPSET, IR = 21, 10

GATES = {"lstm": (0, 3, 1, 2), "peephole_lstm": (0, 3, 1, 2), "gru": (0, 1, 2)}
"""Keras's blocks in ONNX's order."""

PEEPHOLES = (0, 2, 1)


def settings(task: Task) -> Settings:
    work = task.work
    if work.train or work.kind == "samples":
        return {}
    if work.cell == "layer_norm_lstm":
        return {"Scan": lambda: layer_norm_lstm(task)}
    build = {"sequences": sequences, "text": text, "stream": streaming}[work.kind]
    return {"its operator": lambda: build(task)}


@dataclass(slots=True)
class Graph:
    """A graph in the making: operators are added in order, arrays become initializers. `prefix`: of the names in it."""

    prefix: str = ""
    nodes: list[Any] = field(default_factory=list[Any])
    constants: list[Any] = field(default_factory=list[Any])

    def constant(self, value: Array) -> str:
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *given: str | Array, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """The name of the first output."""
        names = list(outputs) or [f"{self.prefix}value{len(self.nodes)}"]
        inputs = [value if isinstance(value, str) else self.constant(value) for value in given]
        self.nodes.append(onnx.helper.make_node(operator, inputs, names, **attributes))
        return next(name for name in names if name)

    def made(self, inputs: Sequence[Input], outputs: Sequence[str]) -> Any:
        described = [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
        results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
        return onnx.helper.make_graph(self.nodes, f"{self.prefix}graph", described, results, self.constants)

    def session(self, task: Task, inputs: Sequence[Input], outputs: Sequence[str]) -> Any:
        model = onnx.helper.make_model(self.made(inputs, outputs), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = task.work.threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def recurrent(self, task: Task, x: str, ways: Sequence[Sequence[Array]], outputs: Sequence[str], *rest: str) -> None:
        """The operator with Keras's weights, one set a direction; `rest`: sequence_lens, then initial states."""
        cell, units = task.work.cell, task.work.units
        if cell == "gru":
            biases = [ordered(way[2], cell).reshape(-1) for way in ways]
        else:
            biases = [np.concatenate([ordered(way[2], cell), np.zeros(4 * units, np.float32)]) for way in ways]
        given = [np.stack([ordered(way[number], cell).T for way in ways]) for number in range(2)]
        attributes: dict[str, Any] = {"linear_before_reset": 1} if cell == "gru" else {}
        states = [*rest, "", "", ""][:3]
        peepholes = [ways[0][3][PEEPHOLES, :].reshape(1, -1)] if cell == "peephole_lstm" else []
        direction = "bidirectional" if len(ways) > 1 else "forward"
        operator = "GRU" if cell == "gru" else "LSTM"
        states = states[:2] if cell == "gru" else states
        self.add(
            operator,
            x,
            *given,
            np.stack(biases),
            *states,
            *peepholes,
            outputs=outputs,
            hidden_size=units,
            direction=direction,
            **attributes,
        )


def ordered(weight: Array, cell: str) -> Array:
    parts = np.split(weight, len(GATES[cell]), -1)
    return np.concatenate([parts[block] for block in GATES[cell]], -1)


def sequences(task: Task) -> Call:
    work, graph = task.work, Graph()
    steps = graph.add("Transpose", "x", perm=(1, 0, 2))
    for number in range(LAYERS_OF_A_STACK if work.stacked else 1):
        states = f"states{number}"
        graph.recurrent(task, steps, [task.weights[3 * number : 3 * number + 3] if work.stacked else task.weights], [states])
        steps = graph.add("Squeeze", states, np.array([1]))
    graph.add("Transpose", steps, perm=(1, 0, 2), outputs=["y"])
    session = graph.session(task, [("x", onnx.TensorProto.FLOAT, (work.batch, work.time, work.features))], ["y"])
    return running(session)


def text(task: Task) -> Call:
    work, graph = task.work, Graph()
    table, *rest = task.weights
    words = graph.add("Gather", table, graph.add("Transpose", "x", perm=(1, 0)))
    real = graph.add("Cast", graph.add("Not", graph.add("Equal", "x", np.array(0, np.int32))), to=onnx.TensorProto.INT32)
    lengths = graph.add("ReduceSum", real, np.array([1]), keepdims=0)
    graph.recurrent(task, words, [rest[3 * way : 3 * way + 3] for way in range(work.directions)], ["", "last"], lengths)
    width = work.directions * work.units
    ends = graph.add("Reshape", graph.add("Transpose", "last", perm=(1, 0, 2)), np.array([work.batch, width]))
    graph.add("Gemm", ends, *rest[-2:], outputs=["y"])
    session = graph.session(task, [("x", onnx.TensorProto.INT32, (work.batch, work.time))], ["y"])
    return running(session)


def layer_norm_lstm(task: Task) -> Call:
    work, graph, body = task.work, Graph(), Graph("body_")
    kernel, recurrent_kernel, input_gain, input_bias, gain, bias, cell_gain, cell_bias = task.weights
    norm: dict[str, Any] = {"axis": -1, "epsilon": 1e-5}
    product = body.add("LayerNormalization", body.add("MatMul", "h", recurrent_kernel), gain, bias, **norm)
    gates = ["i", "f", "g", "o"]
    body.add("Split", body.add("Add", "z", product), outputs=gates, axis=1, num_outputs=4)
    i, f, o = (body.add("Sigmoid", gate) for gate in ("i", "f", "o"))
    body.add("Add", body.add("Mul", f, "c"), body.add("Mul", i, body.add("Tanh", "g")), outputs=["c1"])
    seen = body.add("Tanh", body.add("LayerNormalization", "c1", cell_gain, cell_bias, **norm))
    body.add("Mul", o, seen, outputs=["h1"])
    body.add("Identity", "h1", outputs=["state"])
    number, state = onnx.TensorProto.FLOAT, (work.batch, work.units)
    step = body.made([("h", number, state), ("c", number, state), ("z", number, (work.batch, 4 * work.units))], ["h1", "c1", "state"])
    projected = graph.add("LayerNormalization", graph.add("MatMul", "x", kernel), input_gain, input_bias, **norm)
    zeros = graph.constant(np.zeros(state, np.float32))
    steps = graph.add("Transpose", projected, perm=(1, 0, 2))
    graph.add("Scan", zeros, zeros, steps, outputs=["h_last", "c_last", "states"], body=step, num_scan_inputs=1)
    graph.add("Transpose", "states", perm=(1, 0, 2), outputs=["y"])
    return running(graph.session(task, [("x", number, (work.batch, work.time, work.features))], ["y"]))


def running(session: Any) -> Call:
    def call(x: Array) -> Array:
        return session.run(["y"], {"x": x})[0]

    return call


def streaming(task: Task) -> Call:
    units, graph = task.work.units, Graph()
    graph.recurrent(task, graph.add("Unsqueeze", "x", np.array([0])), [task.weights[:3]], ["", "h1", "c1"], "", "h", "c")
    graph.add("Gemm", graph.add("Squeeze", "h1", np.array([0])), *task.weights[3:], outputs=["y"])
    number = onnx.TensorProto.FLOAT
    session = graph.session(task, [("x", number, (1, 1)), ("h", number, (1, 1, units)), ("c", number, (1, 1, units))], ["y", "h1", "c1"])
    h = c = np.zeros((1, 1, units), np.float32)
    names = ["y", "h1", "c1"]

    def call(x: Array) -> Array:
        nonlocal h, c
        y, h, c = session.run(names, {"x": x, "h": h, "c": c})
        return y

    return call
