"""Values of width 1 that stand beside wide ones, and parts that are taken of a row: whatever they are parts of, and wherever they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.ops import Role
from rnnspec.ir.types import DType
from rnnspec.passes.differentiate import Differentiate
from rnnspec.source import SourceFile
from tests.e2e.test_threads import shared
from tests.unit.passes.gradient_check import outputs, run_backward

Array = NDArray[Any]
Precision = Literal["float32", "float64"]

TOLERANCE: Mapping[Precision, float] = {"float64": 1e-11, "float32": 2e-5}
BATCH, TIME = 5, 4


def cell(weights: str, *lines: str, states: str = "state h [units]") -> str:
    return "\n".join(["cell Narrow(units) {", weights, states, *lines, "return h'", "}"])


WEIGHTS = """
    weight kernel [features, units]  = glorot_uniform
    weight gates  [features, 2]      = glorot_uniform
    weight deep   [units, 2]         = glorot_uniform
    weight four   [features, 4]      = glorot_uniform
    weight gate   [units, 1]         = glorot_uniform
    weight back   [1, units]         = glorot_uniform
    weight bias   [2]                = random_normal
    weight scale  [1]                = random_normal
"""

CELLS: Mapping[str, tuple[str, ...]] = {
    "parts of a projection": ("a, b = split(x @ gates, 2)", "h' = a * h + b * (x @ kernel)"),
    "parts of a product with a state": ("a, b = split(h @ deep, 2)", "h' = tanh(a * h + b * (x @ kernel))"),
    "parts of a sum": ("a, b = split(h @ deep + x @ gates + bias, 2)", "h' = tanh(sigmoid(a) * h - b * (x @ kernel))"),
    "parts of what was computed": ("a, b = split(sigmoid(x @ gates) * bias, 2)", "h' = tanh(a * h + (1 - b) * (x @ kernel))"),
    "parts of a concatenation": ("a, b = split(concat(mean(h), max(x @ kernel)), 2)", "h' = tanh(a * h + b * (x @ kernel))"),
    "parts of weights": ("a, b = split(bias, 2)", "h' = tanh(a * h + b * (x @ kernel))"),
    "parts of parts": ("p, q = split(x @ four, 2)", "a, b = split(p * q, 2)", "h' = tanh(a * h + b * (x @ kernel))"),
    "one part alone": ("a, _b = split(x @ gates, 2)", "h' = tanh(a * h + x @ kernel)"),
    "one part in both places": ("a, b = split(x @ gates, 2)", "h' = tanh(a * h + a @ back + b * scale)"),
    "one part for all and under a reduction": ("a, b = split(h @ deep, 2)", "h' = tanh(a * h + mean(a * h - b) * (x @ kernel))"),
    "parts joined again": ("a, b = split(x @ gates, 2)", "c, d = split(concat(b, a), 2)", "h' = tanh(c * h + d * (x @ kernel))"),
    "a product of one column": ("g = h @ gate", "h' = tanh(g * h + x @ kernel)"),
    "a product of one column that another one reads": ("g = h @ gate", "h' = tanh(g * h + g @ back + x @ kernel)"),
    "a product of one row": ("g = mean(h)", "h' = tanh(g @ back + x @ kernel)"),
    "one weight for all": ("h' = tanh(scale * h + x @ kernel)",),
    "a concatenation that is read whole and reduced": (
        "c = concat(h, x @ kernel)",
        "a, b = split(c * c, 2)",
        "h' = tanh(mean(c * c) * h + a @ square - sum(c) * b + c @ tall)",
    ),
}


def text_of(name: str) -> str:
    lines = CELLS[name]
    more = (
        "" if "square" not in lines[-1] else "weight square [units, units] = orthogonal\nweight tall [2 * units, units] = glorot_uniform\n"
    )
    declared = "\n".join(line for line in (WEIGHTS + more).splitlines() if line.strip() and f" {line.split()[1]} " in words(lines))
    return cell(declared, *lines)


def words(lines: tuple[str, ...]) -> str:
    text = " ".join(lines)
    return f" {''.join(letter if letter.isalnum() or letter == '_' else ' ' for letter in text)} "


MODELS: Mapping[str, str] = {
    "a Dot that goes into a Concatenate": "input a: float[3]\n d = [a, a] -> Dot(axes = -1)\n [d, a] -> Concatenate()",
    "a normalized Dot beside its rows": (
        "input a: float[3]\n d = [a, a] -> Dot(axes = -1, normalize = true)\n [a, d, a, d] -> Concatenate()"
    ),
    "a concatenation that a Dense reads whole and a Dot reduces": (
        "input a: float[2]\n input b: float[3]\n c = [a, b] -> Concatenate()\n d = c -> Dense(2)\n e = [c, c] -> Dot(axes = -1)\n"
        " [d, e] -> Concatenate()"
    ),
    "a concatenation that a Dense reads whole and a normalization reduces": (
        "input a: float[1]\n input b: float[1]\n c = [a, b, a] -> Concatenate()\n d = c -> Dense(3)\n e = c -> LayerNormalization()\n"
        " [d, e] -> Add()"
    ),
    "Dense(1) in many places": (
        "input a: float[3]\n d = a -> Dense(1)\n e = d -> Dense(3)\n f = d -> LayerNormalization()\n"
        " [a, d, e, f, d] -> Concatenate() -> Dense(1)"
    ),
    "softmax of one": "input a: float[time, 1]\n a -> Dense(1, activation = softmax) -> GRU(1) -> LayerNormalization()",
    "every recurrent layer with one unit": (
        "input a: float[time, 1]\n a -> SimpleRNN(1, return_sequences = true) -> LSTM(1, return_sequences = true)"
        " -> GRU(1, return_sequences = true) -> GRU(1, reset_after = false, return_sequences = true) -> RNN([LSTM(1), GRU(1)])"
    ),
    "both directions, every merge": (
        "input a: float[time, 2]\n b = a -> Bidirectional(LSTM(1, return_sequences = true))\n"
        " c = b -> Bidirectional(GRU(1, return_sequences = true), merge_mode = sum)\n"
        " d = c -> Bidirectional(SimpleRNN(1, return_sequences = true), merge_mode = mul)\n [b, d] -> Concatenate() -> LSTM(1)"
    ),
    "states of one unit": (
        "input a: float[time, 1]\n y, h, c = a -> LSTM(1, return_state = true)\n z = a -> GRU(1, initial_state = [h])\n"
        " [y, h, c, z] -> Concatenate() -> Dense(2)"
    ),
    "attention of width 1": (
        "input a: float[time, 1]\n input b: float[steps, 1]\n c = [a, b] -> Attention(use_scale = true)\n"
        " [c, a] -> Concatenate() -> GlobalAveragePooling1D()"
    ),
    "one filter": "input a: float[time, 2]\n a -> Conv1D(1, 2, padding = same) -> LSTM(1) -> Reshape([1]) -> Dense(2)",
    "over steps": (
        "input a: float[time, 2]\n a -> TimeDistributed(Dense(1)) -> LayerNormalization() -> TimeDistributed(Dense(2)) -> LSTM(2)"
    ),
    "a table of one column": (
        "input a: int[time]\n a -> Embedding(4, 1) -> SpatialDropout1D(0.5) -> LSTM(2, return_sequences = true) -> Dense(1)"
    ),
}


def spec_of(name: str) -> str:
    if name in MODELS:
        return f"model Case {{ {MODELS[name]} }}"
    return f"{text_of(name)}\nmodel Case {{ input a: float[time, 3]\n Narrow(5, return_sequences = true) }}"


SINGLE = ("parts of a sum", "a concatenation that is read whole and reduced", "a Dot that goes into a Concatenate")
"""Tried in float32, too, and with two threads."""


@pytest.mark.every(3)
@pytest.mark.parametrize(("name", "dtype"), [*((name, "float64") for name in (*CELLS, *MODELS)), *((name, "float32") for name in SINGLE)])
def test_outputs_and_gradients_are_the_interpreter_s(name: str, dtype: Precision) -> None:
    spec = spec_of(name)
    plain = lower(resolve(parse(SourceFile.of_text(spec))), dtype="float64", training=False)
    model = rnnspec.compile(spec, dtype=dtype, seed=1)
    random = np.random.default_rng(len(name))
    weights = {path: random.normal(scale=0.5, size=weight.shape).astype(np.float32) for path, weight in model.weights.items()}
    model.set_weights(weights)
    inputs: dict[str, Array] = {}
    given: dict[str, Array] = {}
    for parameter in plain.function("forward").parameters:
        value = parameter.value
        if parameter.role is Role.INPUT:
            sizes = [{"batch": BATCH, "time": TIME, "steps": 3}.get(str(dim), dim) for dim in value.type.shape]
            ids = value.type.dtype is DType.I32
            given[value.name] = random.integers(0, 4, sizes).astype(np.int32) if ids else random.normal(size=sizes).astype(np.float32)
            inputs[value.name] = given[value.name][..., 0] if ids else given[value.name].astype(dtype)
        elif parameter.role is Role.MASK:
            given[value.name] = np.ones(given[value.name.removesuffix(".mask")].shape[:2], bool)
        elif parameter.role is Role.WEIGHT:
            given[value.name] = weights[value.name].reshape(value.type.shape)
    ((output_name, expected),) = outputs(plain, given).items()
    output = model.forward(inputs)
    np.testing.assert_allclose(output, expected, rtol=0, atol=TOLERANCE[dtype] * max(1.0, np.abs(expected).max()))
    recorded, tape = model.forward(inputs, record=True)
    assert np.array_equal(recorded, output)
    if name in SINGLE:
        assert np.array_equal(shared(model, 2).forward(inputs), output)

    cotangent = random.normal(size=expected.shape).astype(np.float32)
    gradients = run_backward(Differentiate().run(plain), given, {output_name: cotangent})
    found = model.backward(tape, cotangent.astype(dtype))
    for path, gradient in {**found.weights, **found.inputs}.items():
        wanted = gradients[path].reshape(gradient.shape)
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=TOLERANCE[dtype] * max(1.0, np.abs(wanted).max()), err_msg=path)

    if name in CELLS:
        stream = model.stream(BATCH)
        steps = [stream.step(inputs["a"][:, step]) for step in range(TIME)]
        assert np.array_equal(np.stack(steps, axis=1), output)
