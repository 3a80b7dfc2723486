"""What equations can call and compare: values, gradients, streams and constants, against numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.frontend.cells.cell_ir import Comparison, Elementwise
from rnnspec.frontend.cells.functions import ELEMENTARY, PAIRS
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind
from rnnspec.ir.ops import Matmul, Scan
from rnnspec.source import SourceFile

Array = np.ndarray[Any, Any]
UNITS, FEATURES = 5, 3
STEP = 1e-6

MEANING: Mapping[str, Callable[..., Array]] = {
    "abs({a})": np.abs,
    "cos({a})": np.cos,
    "erf({a})": np.vectorize(math.erf),
    "exp({a})": np.exp,
    "expm1({a})": np.expm1,
    "floor({a})": np.floor,
    "log(1.5 + abs({a}))": lambda a: np.log(1.5 + np.abs(a)),
    "log1p(abs({a}))": lambda a: np.log1p(np.abs(a)),
    "round({a})": np.rint,
    "sin({a})": np.sin,
    "sqrt(1.5 + abs({a}))": lambda a: np.sqrt(1.5 + np.abs(a)),
    "max({a}, {b})": np.maximum,
    "min({a}, {b})": np.minimum,
    "pow(1.2 + abs({a}), {b})": lambda a, b: np.power(1.2 + np.abs(a), b),
    "pow({a}, 3)": lambda a: a**3,
    "pow(2, {a})": np.exp2,
    "stop_gradient(floor({a}))": np.floor,
    "where({a} > {b}, {a} * {a}, -{b})": lambda a, b: np.where(a > b, a * a, -b),
    "where({a} < 0.25, 1, 0)": lambda a: np.where(a < 0.25, 1.0, 0.0),
    "where({a} >= {b} and {a} < 1, {a}, {b})": lambda a, b: np.where((a >= b) & (a < 1), a, b),
    "where({a} <= {b} or {a} > 1, sin({a}), {b})": lambda a, b: np.where((a <= b) | (a > 1), np.sin(a), b),
    "where({a} == {a}, {a}, 7)": lambda a: a,
    "where({a} != {b}, {a}, 7)": lambda a, b: a,
    "log(clip(softmax({a}) / sum(softmax({a})), 0.0000001, 0.9999999))": (
        lambda a: np.log(np.exp(a) / np.exp(a).sum(axis=-1, keepdims=True))
    ),
    "log(clip(1 - clip(sigmoid({a}), 0.0000001, 0.9999999), 0.1, 1))": lambda a: np.log(np.maximum(1 / (1 + np.exp(a)), 0.1)),
    "sigmoid({a}) * {b}": lambda a, b: b / (1 + np.exp(-a)),
    "tanh({a}) * {b}": lambda a, b: np.tanh(a) * b,
    "softplus(0.5) * gelu(-1) * ({a} + {b})": lambda a, b: np.log1p(np.exp(0.5)) * -0.15865525393145707 * (a + b),
    "positions(5) * {a}": lambda a: np.arange(5.0) * a,
    "where(positions(width({a})) == round(mean(abs({b})) * 4), {a}, -{b})": (
        lambda a, b: np.where(np.arange(5) == np.rint(4 * np.abs(b).mean(axis=-1, keepdims=True)), a, -b)
    ),
    "where(mean({a}) > 0, {a}, {b})": lambda a, b: np.where(a.mean(axis=-1, keepdims=True) > 0, a, b),
}
"""Expressions of a row `{a}` that is multiplied with a weight, and the state `{b}`."""


def spec(expression: str) -> str:
    equation = expression.format(a="z", b="h")
    return f"""
        cell Case(units) {{
            weight kernel [features, units] = glorot_uniform
            state h [units]
            z = 1.3 * x @ kernel + 0.4 * h
            h' = tanh({equation} * 0.5 + z * 0.25)
            return h'
        }}
        model M {{ input x: float[time, {FEATURES}] Case({UNITS}, return_sequences = true) }}
    """


def outputs(expression: str, kernel: Array, x: Array) -> Array:
    """Every step's, in numpy."""
    meaning = MEANING[expression]
    h, steps = np.zeros((len(x), UNITS)), []
    for t in range(x.shape[1]):
        z = 1.3 * x[:, t] @ kernel + 0.4 * h
        h = np.tanh(0.5 * (meaning(z, h) if "{b}" in expression else meaning(z)) + 0.25 * z)
        steps.append(h)
    return np.stack(steps, axis=1)


X = np.random.default_rng(4).normal(size=(3, 6, FEATURES))


@pytest.mark.parametrize("expression", MEANING)
def test_values_and_gradients(expression: str) -> None:
    model = rnnspec.compile(spec(expression), dtype="float64", seed=2)
    (name,), kernel = model.weights, next(iter(model.weights.values()))
    output, tape = model.forward(X, record=True)
    np.testing.assert_allclose(output, outputs(expression, kernel, X), rtol=0, atol=1e-13)
    random = np.random.default_rng(8)
    cotangent, along = random.normal(size=output.shape), random.normal(size=kernel.shape)
    slope = np.sum(model.backward(tape, cotangent).weights[name] * along)
    ahead, behind = (outputs(expression, kernel + sign * STEP * along, X) for sign in (1, -1))
    np.testing.assert_allclose(slope, np.sum((ahead - behind) * cotangent) / (2 * STEP), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("expression", MEANING)
def test_a_stream_gives_the_bits_of_the_whole_sequence(expression: str) -> None:
    model = rnnspec.compile(spec(expression), dtype="float32", seed=2)
    x = (X * 3).astype(np.float32)
    np.testing.assert_allclose(model.forward(x), outputs(expression, next(iter(model.weights.values())), x), rtol=0, atol=2e-5)
    for row in range(len(x)):
        stream = model.stream()
        steps = [stream.step(x[row : row + 1, t]) for t in range(x.shape[1])]
        np.testing.assert_array_equal(np.stack(steps, axis=1), model.forward(x[row : row + 1]))


def test_every_function_of_the_language_is_here() -> None:
    called = {expression.partition("(")[0] for expression in MEANING}
    assert called == ELEMENTARY | PAIRS.keys() | {"positions", "softplus", "where"}


def test_names_of_the_language_are_names_of_the_ir() -> None:
    assert {UnaryKind(name).value for name in ELEMENTARY} == ELEMENTARY
    assert all(kind.name in BinaryKind.__members__ for kind in Elementwise)
    assert [kind.name for kind in Comparison] == list(CompareKind.__members__)


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ("where(units > 3, z, h)", "z"),
        ("where(false, z, h)", "h"),
        ("where(units > 3 and h > h, z, h)", "h"),
        ("where(z > h or units > 3, z, h)", "z"),
        ("where(z > z and units > 9, h, z)", "z"),
        ("z * pow(2, -1) * 2", "z"),
        ("z * (width(h) / 5)", "z"),
        ("z * [2, 3, 1][width(x) - 1]", "z"),
        ("where(width(x) == 3, z, h)", "z"),
        ("z * (positions(1) + 1)", "z"),
    ],
)
def test_what_is_known_when_the_spec_is_compiled_is_chosen_then(choice: str, chosen: str) -> None:
    first, second = (
        rnnspec.compile(spec(expression), dtype="float64", seed=2) for expression in (choice.replace("z", "{a}"), f"({chosen})")
    )
    np.testing.assert_array_equal(first.forward(X), second.forward(X))


def test_a_width_says_how_many_parts() -> None:
    parts, whole = (
        rnnspec.compile(
            f"cell Case(units) {{ weight kernel [features, units] = glorot_uniform state h [units] z = x @ kernel {lines} "
            f"h' = tanh(b) + 0 * h return h' }} model M {{ input x: float[time, {FEATURES}] Case(2) }}",
            dtype="float64",
            seed=2,
        )
        for lines in ("_a, b = split(z, width(z) if width(x) == 3 else -1)", "_a, b = split(z, 2)")
    )
    np.testing.assert_array_equal(parts.forward(X), whole.forward(X))


def test_a_condition_has_a_name() -> None:
    text = spec("where({a} > {b}, {a} * {a}, -{b})")
    named = text.replace("h' = tanh(where(z > h", "larger = z > h\n h' = tanh(where(larger")
    assert named != text
    first, second = (rnnspec.compile(each, dtype="float64", seed=2) for each in (text, named))
    np.testing.assert_array_equal(first.forward(X), second.forward(X))


def test_products_in_a_condition_are_dropped_like_all_others() -> None:
    """The weights that a condition multiplies with count as a gate, for which a mask is drawn."""
    text = """
        cell Case(units) {
            weight kernel [features, units] = ones
            weight square [units, units] = ones
            state h [units]
            h' = where(h @ square > 0, x @ kernel, 0)
            return h'
        }
        model M { input x: float[time, 3] Case(4, recurrent_dropout = 0.9) }
    """
    tree = parse(SourceFile.of_text(text))
    module = lower(resolve(tree), dtype="float32", training=True)
    *_, steps = (operation for operation in module.function("forward").operations if isinstance(operation, Scan))
    products = [operation for operation in steps.region.operations if isinstance(operation, Matmul)]
    assert len(products) == 2
    assert not {product.left for product in products} & set(steps.region.carried)


def test_what_stops_is_a_constant_to_the_gradient() -> None:
    """tanh(z) * stop(z) has the gradient of tanh(z) times a number."""
    stopped, plain = (
        rnnspec.compile(
            f"cell Case(units) {{ weight kernel [features, units] = glorot_uniform state h [units] z = x @ kernel "
            f"h' = tanh(z) * {factor} return h' }} model M {{ input x: float[1, {FEATURES}] Case({UNITS}) }}",
            dtype="float64",
            seed=2,
        )
        for factor in ("stop_gradient(z)", "1")
    )
    x = X[:, :1]
    output, tape = stopped.forward(x, record=True)
    z = x[:, 0] @ next(iter(stopped.weights.values()))
    np.testing.assert_allclose(output, np.tanh(z) * z, rtol=0, atol=1e-14)
    cotangent = np.random.default_rng(8).normal(size=output.shape)
    _, plain_tape = plain.forward(x, record=True)
    (gradient,), (wanted,) = stopped.backward(tape, cotangent).weights.values(), plain.backward(plain_tape, cotangent * z).weights.values()
    np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-14)


def test_what_is_not_a_number_is_only_unequal() -> None:
    spec_of_nan = spec("where({a} < {b} or {a} >= {b} or {a} == {b}, 0.5, where({a} != {b}, -0.5, 0))").replace("+ z * 0.25", "")
    model = rnnspec.compile(spec_of_nan, dtype="float64", seed=2)
    x = np.full((1, 1, FEATURES), np.nan)
    np.testing.assert_allclose(model.forward(x, mask=np.ones((1, 1), bool))[0, 0], np.tanh(-0.25))


OF_WEIGHTS = {
    "where(gain > 0.1, z, h)": lambda z, h, gain: np.where(gain > 0.1, z, h),
    "where(gain > 0 and gain < 1, gain * gain, sin(gain)) * z": lambda z, h, gain: (
        np.where((gain > 0) & (gain < 1), gain**2, np.sin(gain)) * z
    ),
    "where(x @ kernel > 0, x @ kernel, h * gain)": None,
    "where(mean(x) > sum(gain), z, pow(1.5, gain))": None,
    "pow(1.5 + tanh(gain), 2) * floor(2 * gain) + z * round(gain)": (
        lambda z, h, gain: (1.5 + np.tanh(gain)) ** 2 * np.floor(2 * gain) + z * np.rint(gain)
    ),
}
"""Expressions of a weight alone, or of the input and weights alone, which are computed before the loop where that is worth it."""


@pytest.mark.parametrize("expression", OF_WEIGHTS)
def test_of_weights_and_of_the_input_alone(expression: str) -> None:
    text = f"""
        cell Case(units) {{
            weight kernel [features, units] = glorot_uniform
            weight gain [units] = random_normal
            state h [units]
            z = x @ kernel + 0.4 * h
            h' = tanh({expression})
            return h' + 0 * z
        }}
        model M {{ input x: float[time, {FEATURES}] Case({UNITS}, return_sequences = true) }}
    """
    model = rnnspec.compile(text, dtype="float64", seed=2)
    random = np.random.default_rng(5)
    weights = {name: random.normal(scale=0.7, size=weight.shape) for name, weight in model.weights.items()}

    def outputs_of(kernel: Array, gain: Array) -> Array:
        h, steps = np.zeros((len(X), UNITS)), []
        for t in range(X.shape[1]):
            x = X[:, t]
            z = x @ kernel + 0.4 * h
            meaning = OF_WEIGHTS[expression]
            if meaning is not None:
                value = meaning(z, h, gain)
            elif "mean" in expression:
                value = np.where(x.mean(axis=-1, keepdims=True) > gain.sum(), z, 1.5**gain)
            else:
                value = np.where(x @ kernel > 0, x @ kernel, h * gain)
            h = np.tanh(value)
            steps.append(h)
        return np.stack(steps, axis=1)

    model.set_weights(weights)
    output, tape = model.forward(X, record=True)
    np.testing.assert_allclose(output, outputs_of(*weights.values()), rtol=0, atol=1e-13)
    cotangent = random.normal(size=output.shape)
    along = [random.normal(size=weight.shape) for weight in weights.values()]
    gradients = model.backward(tape, cotangent).weights
    slope = sum(np.sum(gradient * step) for gradient, step in zip(gradients.values(), along, strict=True))
    ahead, behind = (
        outputs_of(*(weight + sign * STEP * step for weight, step in zip(weights.values(), along, strict=True))) for sign in (1, -1)
    )
    np.testing.assert_allclose(slope, np.sum((ahead - behind) * cotangent) / (2 * STEP), rtol=1e-6, atol=1e-7)
