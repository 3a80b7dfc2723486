"""What the pages say about values: formulas, what masked steps hold, which bits a pass may change, what a model file holds."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnnspec
from docs.generate import CONSTRAINT_FORMULAS, FORMULAS, GOLDEN, REGULARIZER_FORMULAS, entries, literal
from rnnspec.diagnostics import Diagnostic
from rnnspec.driver.compilation import Compilation
from rnnspec.frontend.binding.bind import declared_equations
from rnnspec.frontend.binding.equation_arguments import equation_arguments
from rnnspec.frontend.binding.values import NOTHING_OWN
from rnnspec.frontend.catalogue.argument_types import REQUIRED, Entry, Family, Flag
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, CONSTRAINTS, REGULARIZERS
from rnnspec.frontend.errors import cells, flows, layers, names, syntax, weights
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.parser import parse_module
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.target import AVX2
from rnnspec.passes.canonicalize import Canonicalize
from rnnspec.passes.eliminate_common_subexpressions import EliminateCommonSubexpressions
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode
from rnnspec.passes.merge_carries import MergeCarries
from rnnspec.passes.pipeline import Pass
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile
from rnnspec.training.optimizers import SGD
from tests.docs.markdown import blocks
from tests.ir_arguments import LENGTHS, run_module

X = np.array([[-3.0, -0.7, -0.1], [0.2, 0.6, 2.5]])


def model_of(layers: str, of_input: str = "float[3]", loss: str = "") -> Any:
    train = f"train {{ loss = {loss} }}" if loss else ""
    return rnnspec.compile(f"model M {{\n input x: {of_input}\n {layers}\n {train}\n}}", dtype="float64", seed=0)


def words(**names: Any) -> dict[str, Any]:
    """What a formula may name: numpy's functions, and those activations that others are made of."""
    known: dict[str, Any] = {name: getattr(np, name) for name in ("abs", "clip", "exp", "expm1", "log", "log1p", "maximum", "mean")}
    known |= {name: getattr(np, name) for name in ("inf", "minimum", "pi", "sqrt", "tanh", "where")}
    known |= {"excess": excess, "sum": lambda v: v.sum(axis=-1, keepdims=True), "erf": np.vectorize(math.erf)}
    for name in ("sigmoid", "softplus", "hard_sigmoid"):
        known[name] = lambda v, formula=FORMULAS[name]: eval(formula, {**known, "x": v})
    return known | names


def excess(x: np.ndarray) -> np.ndarray:
    """By bisection."""
    low, high = x.max(axis=-1, keepdims=True) - 1.0, x.max(axis=-1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        over = np.maximum(x - middle, 0).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return low


def options(number: int) -> list[tuple[str, dict[str, Any]]]:
    """Each activation with its defaults (0; what has none is 0), or with other arguments (1); those without arguments once."""
    chosen: list[tuple[str, dict[str, Any]]] = []
    for entry in entries(ACTIVATIONS):
        text = declared_equations(Family.ACTIVATION, entry.name, NOTHING_OWN)
        arguments = [] if text is None else equation_arguments(text)
        defaults = {a.name: 0.0 if a.default is REQUIRED else a.default for a in arguments}
        own = {a.name: True if isinstance(a.kind, Flag) else 0.7 for a in arguments} if number else defaults
        if own or not number:
            chosen.append((entry.name, own))
    return chosen


@pytest.mark.parametrize(("name", "own"), [*options(0), *options(1)], ids=str)
def test_an_activation_is_its_formula(name: str, own: dict[str, Any]) -> None:
    written = f"{name}({', '.join(f'{key} = {literal(value)}' for key, value in own.items())})" if own else name
    expected = eval(FORMULAS[name], words(x=X, **own))
    np.testing.assert_allclose(model_of(f"Activation({written})").forward(X), expected, rtol=1e-12, atol=1e-15)


def cosines(w: np.ndarray) -> np.ndarray:
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    return np.array([unit[one] @ unit[other] for one in range(len(w)) for other in range(one)])


@pytest.mark.parametrize("entry", entries(REGULARIZERS), ids=lambda entry: entry.name)
def test_a_regularizer_is_its_formula(entry: Entry) -> None:
    own = {a.name: a.default for a in entry.arguments} | {a.name: 0.3 for a in entry.arguments if a.name != "mode"}
    written = ", ".join(f"{name} = {value}" for name, value in own.items())
    model = model_of(f"Dense(2, kernel_regularizer = {entry.name}({written}))", loss="mse")
    kernel = model.weights["dense/kernel"]
    expected = eval(REGULARIZER_FORMULAS[entry.name], words(w=kernel, cosines=cosines, **own))
    assert model.evaluate(X, model.predict(X))["loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("entry", entries(CONSTRAINTS), ids=lambda entry: entry.name)
def test_a_constraint_is_its_formula(entry: Entry) -> None:
    """After an update that changes nothing else."""
    model = model_of(f"Dense(2, kernel_constraint = {entry.name}())", loss="mse")
    model.configure(optimizer=SGD(learning_rate=0.0))
    kernel = 3.0 * model.weights["dense/kernel"]
    model.set_weights([kernel, np.zeros(2)])
    model.train_on_batch(X, np.zeros((2, 2)))
    own = {a.name: a.default for a in entry.arguments}
    expected = eval(CONSTRAINT_FORMULAS[entry.name], words(w=kernel, n=np.linalg.norm(kernel, axis=0), **own))
    np.testing.assert_allclose(model.weights["dense/kernel"], expected, rtol=1e-12)


def masked(layers: str, of_input: str = "float[time, 3]") -> tuple[Any, Any]:
    """A model and its output for two real steps around a masked one, with a masked one in front."""
    model = model_of(layers, of_input)
    x = np.array([[3, 1, 4, 2]]) if of_input.startswith("int") else np.arange(12.0).reshape(1, 4, 3) / 10 + 0.1
    return model, model.forward(x, mask=[[False, True, False, True]])[0]


def test_what_masked_steps_hold() -> None:
    _, y = masked("Masking(0.0)")
    assert not y[[0, 2]].any()
    model, y = masked("Embedding(5, 2)", "int[time]")
    np.testing.assert_array_equal(y[[0, 2]], model.weights["embedding/embeddings"][[0, 0]])
    _, y = masked("GRU(2, return_sequences = true)")
    assert not y[0].any() and y[1].any()
    np.testing.assert_array_equal(y[2], y[1])
    for layer in ("GRU(2, return_sequences = true, zero_output_for_mask = true)", "Bidirectional(GRU(2, return_sequences = true))"):
        _, y = masked(layer)
        assert not y[[0, 2]].any()
        assert y[[1, 3]].all()
    model, y = masked("Masking(0.0) Dense(2, bias_initializer = ones) Activation(sigmoid)")
    np.testing.assert_allclose(y[[0, 2]], 1 / (1 + np.exp(-1.0)), rtol=1e-12)


def test_a_masked_step_reaches_nothing() -> None:
    model = model_of("GRU(2)", "float[time, 3]")
    x = np.ones((1, 3, 3))
    x[0, 1] = np.nan
    y, tape = model.forward(x, mask=[[True, False, True]], record=True)
    np.testing.assert_array_equal(y, model.forward(np.ones((1, 2, 3))))
    gradient = model.backward(tape, np.ones_like(y)).inputs["x"]
    assert not gradient[0, 1].any() and gradient[0, [0, 2]].any()


EXACT: tuple[Pass, ...] = (EliminateCommonSubexpressions(), EliminateDeadCode(), MergeCarries(), Canonicalize())
CASES = [(step, path) for step in EXACT for path in sorted((GOLDEN / step.name.replace("-", "_")).glob("*.before.ir"))]


@pytest.mark.parametrize(("step", "path"), CASES, ids=[f"{step.name}/{path.name}" for step, path in CASES])
def test_a_pass_that_keeps_the_bits_keeps_them(step: Pass, path: Path) -> None:
    """In the interpreter's float64; the sign of a zero isn't compared."""
    before = parse_module(path.read_text(encoding="utf-8"))
    expected, got = run_module(before, LENGTHS), run_module(step.run(before), LENGTHS)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=str(name))


def test_a_model_file_holds_no_code(tmp_path: Path) -> None:
    model = model_of("Dense(2)")
    for name in ("one.rnnc", "two.rnnc"):
        model.save(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "one.rnnc") as file:
        assert sorted(file.namelist()) == ["manifest.json", "model.rnn", "weights.safetensors"]
    assert (tmp_path / "one.rnnc").read_bytes() == (tmp_path / "two.rnnc").read_bytes()


def test_parameters_are_replaced_from_outside() -> None:
    text = "model M(units = 2, act = tanh) {\n input x: float[3]\n Dense(units, activation = act)\n}"
    assert rnnspec.compile(text, units=5).forward(X).shape == (2, 5)
    x = rnnspec.compile(text, units=5, act="relu", seed=0).forward(X)
    assert (x >= 0).all() and (x > 1).any()
    with pytest.raises(rnnspec.SpecError, match="E0112"):
        rnnspec.compile(text, act=3)


def test_a_cell_of_the_spec_takes_the_place_of_one_of_the_package() -> None:
    cell = "cell LSTM(units) {\n state h [units]\n h' = h + 1\n return h'\n}\n"
    text = cell + "model M {\n input x: float[time, 3]\n LSTM(2)\n}"
    np.testing.assert_array_equal(rnnspec.compile(text).forward(np.ones((1, 4, 3))), [[4, 4]])


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [(syntax, {"00"}), (names, {"01"}), (layers, {"02", "04"}), (cells, {"03"}), (flows, {"02", "05"}), (weights, {"06"})],
    ids=["syntax", "names", "layers", "cells", "flows", "weights"],
)
def test_the_code_tells_what_an_error_is_about(topic: ModuleType, allowed: set[str]) -> None:
    kinds = [kind for kind in vars(topic).values() if isinstance(kind, type) and issubclass(kind, Diagnostic) and kind is not Diagnostic]
    assert {kind.code[1:3] for kind in kinds if kind.__module__ == topic.__name__} == allowed


def test_the_calling_convention_is_the_one_of_the_page() -> None:
    page = (GOLDEN.parents[2] / "docs" / "kernels.md").read_text(encoding="utf-8")
    text = "model M { input a: float[time, 3], b: float[other, 3] c = a -> LSTM(2) d = b -> LSTM(2) [c, d] -> Add() }"
    tree = parse(SourceFile.of_text(text))
    kernels = Compilation(tree, resolve(tree), "float32", AVX2).kernels(Variant("forward", False))
    dims = [str(dim) for dim in calling_convention(kernels.function).dims]
    assert sorted(dims) == ["batch", "batch*other", "batch*time", "steps", "steps_1", "tokens", "tokens_1"]
    assert all(f"`{name}`" in page for name in dims if name != "batch*other")
    assert "define dso_local void @rnnspec_forward(ptr %pointers, ptr %dims)" in model_of("Dense(2)").inspect("llvm")


def test_the_loss_of_ones_own_is_what_its_page_says() -> None:
    """Huber's, with Keras's delta of 1: its value, and its gradient by central differences."""
    (block,) = (each for each in blocks("python") if "class Huber" in each.text)
    model = model_of("Dense(2)", loss="mse")
    defined: dict[str, Any] = {"np": np, "model": model}
    exec(block.text, defined)
    huber = defined["Huber"]()
    p, t = np.array([[0.2, 3.0], [-4.0, 0.9]]), np.zeros((2, 2))
    losses, gradient = huber.rows(p, t)
    np.testing.assert_allclose(losses, [(0.02 + 2.5) / 2, (3.5 + 0.405) / 2], rtol=1e-12)
    step = 1e-6
    for unit in range(2):
        moved = step * np.eye(2)[unit]
        slope = (huber.rows(p + moved, t)[0] - huber.rows(p - moved, t)[0]) / (2 * step)
        np.testing.assert_allclose(gradient[:, unit], slope, rtol=1e-6)
    y = np.zeros((2, 2))
    assert model.evaluate(X, y)["loss"] == pytest.approx(huber.rows(model.predict(X), y)[0].mean())
