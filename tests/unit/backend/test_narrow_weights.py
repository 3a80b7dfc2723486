"""Matrices in fewer bits: what native code computes is what it computes of rounded weights."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array, CallRequest
from rnnspec.contract.weight_storage import STORAGE_NAMES, StorageName, WeightStorage
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.training.model import Model


def float16(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def bfloat16(values: Array) -> Array:
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) << 16).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), values, rounded)


def int8(values: Array) -> Array:
    """Of each column by its own largest magnitude."""
    most = np.abs(values).max(0)
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * np.where(most > 1e-30, np.float32(127) / np.where(most > 0, most, 1), 0))
        return (whole * (most / np.float32(127))).astype(np.float32)


ROUNDED: dict[StorageName, Callable[[Array], Array]] = {"float16": float16, "bfloat16": bfloat16, "int8": int8}
NARROW = tuple(ROUNDED)

MODELS = {
    "lstm": "model M { input x: float[time, 5]\n LSTM(20, return_sequences = true)\n Dense(3) }",
    "gru": "model M { input x: float[time, 5]\n GRU(7, return_sequences = true)\n GRU(9, reset_after = false)\n Dense(2) }",
    "both": """model M { input x: float[time, 5], row: float[3]
        s = x -> Masking() -> Bidirectional(SimpleRNN(6))
        y = [s, row] -> Concatenate() -> Dense(17, activation = tanh) -> Dense(2)
        output y }""",
    "ids": "model M { input t: int[time]\n Embedding(9, 6, mask_zero = true)\n LSTM(8, return_sequences = true)\n Dense(4)\n Dense(2) }",
    "own": """cell Leaky(units) {
        weight kernel [features, units] = glorot_uniform
        weight recurrent_kernel [units, units] = orthogonal
        state h [units]
        h' = 0.9 * h + 0.1 * tanh(x @ kernel + h @ recurrent_kernel)
        return h' }
        model M { input x: float[time, 5]
        Leaky(6, return_sequences = true)\n Conv1D(4, 3, padding = causal, carry_mask = true)\n Dense(2) }""",
}
X = np.random.default_rng(0).normal(size=(5, 9, 5)).astype(np.float32)


def saved(model: Model) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def with_rounded(model: Model, storage: StorageName) -> Model:
    """The whole model with what the narrow one multiplies by."""
    other = rnnspec.load(saved(model))
    other.set_weights({name: ROUNDED[storage](value) if name.endswith("kernel") else value for name, value in model.weights.items()})
    return other


def given(model: Model) -> object:
    if model.signature.inputs[0].name == "t":
        return np.arange(45).reshape(5, 9) % 9
    return {"x": X, "row": X[:, 0, :3]} if len(model.signature.inputs) > 1 else X


@pytest.mark.parametrize("name", MODELS)
def test_a_narrow_model_is_one_of_rounded_weights(name: str) -> None:
    """Bit for bit, but for int8, whose sums are multiplied by a scale at their end."""
    model = rnnspec.compile(MODELS[name], seed=1)
    lengths = None if name == "ids" else [9, 3, 0, 7, 1]
    whole = model.predict(given(model), lengths=lengths)
    for storage in NARROW[:2] if name == "own" else NARROW:
        narrow, other = rnnspec.load(saved(model), weights=storage), with_rounded(model, storage)
        found, expected = (each.predict(given(model), lengths=lengths) for each in (narrow, other))
        assert narrow.weight_storage == storage
        if name == "ids":  # whose table, multiplied by a matrix before, is rounded itself
            assert 0 < np.abs(found - expected).max() < {"float16": 1e-3, "bfloat16": 1e-2, "int8": 3e-2}[storage]
        elif storage == "int8":
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        else:
            assert found.tobytes() == expected.tobytes()
        assert 0 < np.abs(found - whole).max() < {"float16": 1e-3, "bfloat16": 1e-2, "int8": 3e-2}[storage]
        if name not in ("both", "ids"):
            stream = narrow.stream(5)
            steps = [stream.step(X[:, step]) for step in range(9)]
            assert (
                steps[-1].tobytes() == (narrow.predict(X)[:, -1] if model.signature.outputs[0].is_sequence else narrow.predict(X)).tobytes()
            )


TABLES = {
    # Rows as they are, with and without a part of a vector at their end; rows in a product; in a scan; two lookups of one table.
    "rows": "model M { input t: int[time]\n Embedding(50, 19) }",
    "one": "model M { input t: int[time]\n Embedding(50, 1) }",
    "product": "model M { input t: int[time]\n Embedding(50, 6)\n LayerNormalization()\n Dense(3) }",
    "scan": "model M { input t: int[time]\n Embedding(50, 16, mask_zero = true)\n GlobalAveragePooling1D() }",
    "windows": "model M { input t: int[time]\n Embedding(50, 9)\n Conv1D(4, 2) }",
    "shared": """model M { input t: int[time], word: int
        shared words = Embedding(50, 13)
        a = t -> words -> GlobalMaxPooling1D()
        b = word -> words
        [a, b] -> Add() }""",
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("storage", NARROW)
def test_rows_of_tables_are_those_of_a_rounded_table(name: str, storage: StorageName) -> None:
    """Of int8 each row has a scale of its own."""
    model = rnnspec.compile(TABLES[name], seed=1)
    table = model.weights["words/embeddings" if name == "shared" else "embedding/embeddings"].copy()
    table[3], table[4] = 0, 1e-38
    table[5] *= 1e4
    matrices = {path: value for path, value in model.weights.items() if path.endswith("kernel")}
    kernels = {path: ROUNDED[storage](value.reshape(-1, value.shape[-1])).reshape(value.shape) for path, value in matrices.items()}
    path = next(path for path in model.weights if path.endswith("embeddings"))
    model.set_weights({**model.weights, path: table})
    other = rnnspec.load(saved(model))
    other.set_weights({**model.weights, **kernels, path: int8(table.T).T if storage == "int8" else ROUNDED[storage](table)})
    ids = np.arange(50).reshape(5, 10)
    x = {"t": ids, "word": ids[:, 7]} if name == "shared" else ids
    narrow = rnnspec.load(saved(model), weights=storage)
    np.testing.assert_allclose(narrow.predict(x), other.predict(x), rtol=1e-5, atol=1e-6)
    if storage != "int8":
        assert narrow.predict(x).tobytes() == other.predict(x).tobytes()
    kernel = {"float16": "f16", "bfloat16": "bf16", "int8": "i8"}[storage]
    assert f"buffer prepared.table : prepared {kernel}[50, " in narrow.inspect("kernel")


def test_a_table_in_a_product_is_narrow_too() -> None:
    model = rnnspec.compile("model M { input t: int[time]\n Embedding(50, 6)\n LSTM(5) }", seed=1)
    kernel = rnnspec.load(saved(model), weights="int8").inspect("kernel")
    assert "buffer prepared.table : prepared i8[50, 20]" in kernel
    assert "buffer prepared.table.scales : prepared f32[50, 1]" in kernel


def outputs(kernel: Array, storage: StorageName, *, widens_half: bool = True) -> Array:
    """The kernel of a Dense without a bias as native code reads it: of one input, which is 1."""
    spec = f"model M {{ input x: float[1]\n Dense({kernel.size}, use_bias = false) }}"
    model = compilation_of(spec)
    target = replace(model.machine(), widens_half=model.machine().widens_half and widens_half)
    made = Compilation(model.tree, model.graph, model.dtype, target, model.backend)
    executable = NativeExecutable(made.signature, made.native, made.print, storage=WeightStorage(storage))
    (found,) = executable.forward(CallRequest({"x": np.ones((1, 1), np.float32)}, (), kernel, 1))
    return found[0]


def test_all_of_float16_is_widened_with_and_without_an_instruction() -> None:
    halves = np.arange(2**16, dtype=np.uint16)[::7].view(np.float16)
    kernel = halves.astype(np.float32)
    for widens_half in (True, False):
        np.testing.assert_array_equal(outputs(kernel, "float16", widens_half=widens_half), kernel)


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
def test_weights_are_rounded_to_the_nearest(storage: StorageName) -> None:
    """Halfway to the even one, also beyond the largest number, among the denormal ones, and of what is no number."""
    random = np.random.default_rng(2)
    usual = (random.normal(size=3000) * 10.0 ** random.integers(-9, 6, 3000)).astype(np.float32)
    halves = np.arange(1, 0x7C00, 31, dtype=np.uint16).view(np.float16).astype(np.float64)
    after = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float64)
    between = ((halves + after) / 2).astype(np.float32)[:-1]
    special = np.array([0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 65536, -7e4, 2.0**-24, 2.0**-25, 2.0**-26, 1e38], np.float32)
    upper = (np.arange(0x3F80, 0x3FA0, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    kernel = np.concatenate([usual, between, -between, np.nextafter(between, np.float32(0)), special, upper])
    np.testing.assert_array_equal(outputs(kernel, storage), ROUNDED[storage](kernel))


def test_int8_takes_each_column_by_its_largest_weight() -> None:
    kernel = np.array([[1.0, 0.0, 1e-3, np.inf, np.nan, 1e-38], [-0.3, 0.0, -2e-3, 1, 1, 0]], np.float32)
    model = rnnspec.compile("model M { input x: float[2]\n Dense(6, use_bias = false) }", weights=[kernel])
    found = rnnspec.load(saved(model), weights="int8").predict(np.eye(2))
    np.testing.assert_allclose(found[:, :3], int8(kernel)[:, :3], rtol=1e-6)
    assert not np.isfinite(found[:, 3:5]).all(0).any()
    assert (found[:, 5] == 0).all()


@pytest.mark.parametrize("storage", NARROW)
def test_a_deep_product_of_many_rows_waits_in_memory(storage: StorageName) -> None:
    """Parts of the depth, whose sums wait for each other; on several threads, too."""
    model = rnnspec.compile("model M { input x: float[5000]\n Dense(40) }", seed=1)
    x = np.random.default_rng(3).normal(size=(33, 5000)).astype(np.float32)
    narrow, other = rnnspec.load(saved(model), weights=storage), with_rounded(model, storage)
    assert "deep" in narrow.inspect("kernel")
    found = narrow.predict(x)
    np.testing.assert_allclose(found, other.predict(x), rtol=1e-3, atol=1e-4)
    assert np.array_equal(found, other.predict(x)) == (storage != "int8")
    narrow.threads = 2
    assert narrow.predict(x).tobytes() == found.tobytes()


def test_weights_and_training_stay_whole() -> None:
    model = rnnspec.compile(f"{MODELS['lstm'][:-1]} train {{ loss = mse\n optimizer = SGD(learning_rate = 0.1) }} }}", seed=1)
    narrow = rnnspec.load(saved(model), weights="float16")
    same: Mapping[str, Any] = narrow.weights
    assert all(np.array_equal(same[name], value) for name, value in model.weights.items())
    targets = np.zeros((5, 9, 3), np.float32)
    for each in (model, narrow):
        each.fit(X, targets, epochs=2, verbose=False, shuffle=False)
    assert all(np.array_equal(narrow.weights[name], value) for name, value in model.weights.items())
    # New weights are packed anew, a copy is as narrow, and evaluation is inference.
    assert narrow.predict(X).tobytes() == with_rounded(model, "float16").predict(X).tobytes()
    copy = pickle.loads(pickle.dumps(narrow))
    assert (copy.weight_storage, copy.predict(X).tobytes()) == ("float16", narrow.predict(X).tobytes())
    assert narrow.evaluate(X, targets) == with_rounded(model, "float16").evaluate(X, targets) != model.evaluate(X, targets)
    assert rnnspec.load(saved(narrow)).predict(X).tobytes() == model.predict(X).tobytes()


def test_kernels_show_the_elements_of_panels() -> None:
    model = rnnspec.compile(MODELS["lstm"], seed=1)
    shown = {storage: rnnspec.load(saved(model), weights=storage).inspect("kernel") for storage in STORAGE_NAMES}
    assert shown["float32"] == model.inspect("kernel")
    assert "buffer prepared.panels : prepared f16[1, " in shown["float16"]
    assert "buffer prepared.panels : prepared bf16[1, " in shown["bfloat16"]
    assert "narrow_panels prepared.panels : " in shown["int8"]
    assert "with prepared.panels by prepared.panels.scales from" in shown["int8"]


def test_other_elements_are_refused() -> None:
    model = rnnspec.compile(MODELS["lstm"], seed=1)
    with pytest.raises(ValueError, match="weights: expected float32, float16, bfloat16 or int8, got 'float8'"):
        rnnspec.load(saved(model), weights="float8")  # pyright: ignore[reportArgumentType]
    double = saved(rnnspec.compile(MODELS["lstm"], dtype="float64", seed=1))
    with pytest.raises(ValueError, match="weights: float16 is for models of float32, this one is of float64"):
        rnnspec.load(double, weights="float16")
    assert rnnspec.load(double).weight_storage == "float64"
