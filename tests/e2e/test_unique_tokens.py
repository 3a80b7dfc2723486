"""Training multiplies each row of a table that a batch looks up once: the same bits forward, the same gradients but for rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.backend.llvm_cpu.objects import host_target
from rnnspec.contract.dimensions import TOKENS, Tokens, plus, value_of
from rnnspec.driver import pipelines
from rnnspec.driver.compilation import build
from rnnspec.driver.pipelines import PIPELINES
from rnnspec.frontend.model.lower import Precision
from rnnspec.kernel.count import count
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.target import AVX2, AVX512, SSE42, Target
from rnnspec.passes.pipeline import Pipeline
from rnnspec.passes.unique_tokens import UniqueTokens
from rnnspec.profile.session import sizes_of_calls
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.native.executable import NativeExecutable, Variant
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from tests.ir_arguments import masks

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")

Array = NDArray[np.floating]

VOCABULARY = 11

SPECS: Mapping[str, str] = {
    "one direction": "input x: int[time]\n Embedding(11, 5, mask_zero = true)\n LSTM(9, return_sequences = true)",
    "two directions": "input x: int[time]\n Embedding(11, 20)\n Bidirectional(SimpleRNN(17))\n Dense(3)",
    "no bias": "input x: int[time]\n Embedding(11, 3)\n SimpleRNN(4, use_bias = false)",
    "products one after the other": "input x: int[time]\n Embedding(11, 3)\n TimeDistributed(Dense(6))\n Dense(2)\n SimpleRNN(4)",
    "an activation": "input x: int[time]\n Embedding(11, 3, mask_zero = true)\n Dense(6, activation = relu)\n SimpleRNN(4)",
    "rows that are used otherwise": (
        "input x: int[time]\n words = Embedding(11, 4, mask_zero = true)\n inner = words -> Dense(4)\n"
        " [words, inner] -> Multiply() -> GlobalMaxPooling1D()"
    ),
    "rows that are given out": (
        "input x: int[time]\n words = Embedding(11, 4, mask_zero = true)\n last = words -> SimpleRNN(4)\n output words, last"
    ),
    "two tables": (
        "input x: int[time]\n first = x -> Embedding(11, 4)\n second = x -> Embedding(13, 3)\n a = first -> SimpleRNN(3)\n"
        " b = second -> SimpleRNN(3)\n [a, b] -> Add()"
    ),
    "two inputs and one table": (
        "input x: int[time], y: int[later]\n shared words = Embedding(11, 4, mask_zero = true)\n a = x -> words -> SimpleRNN(3)\n"
        " b = y -> words -> Dense(3) -> GlobalAveragePooling1D()\n [a, b] -> Concatenate()"
    ),
    "dropout between": "input x: int[time]\n Embedding(11, 4)\n Dropout(0.5)\n SimpleRNN(3)",
    "windows between": "input x: int[time]\n Embedding(11, 4)\n Conv1D(3, 2, padding = same)\n GlobalMaxPooling1D()",
}

REWRITTEN = SPECS.keys() - {"dropout between", "windows between"}

TOLERANCES: Mapping[Precision, float] = {"float32": 2e-6, "float64": 1e-14}


def spec_of(name: str) -> str:
    return f"model Words {{\n {SPECS[name]}\n}}\n"


def model_of(
    spec: str, monkeypatch: pytest.MonkeyPatch, dtype: Precision = "float32", target: Target | None = None, *, plain: bool
) -> Model:
    """`plain`: without the pass."""
    passes = PIPELINES["tensor.backward"].passes
    assert UniqueTokens() in passes
    kept = Pipeline(tuple(step for step in passes if not (plain and step == UniqueTokens())))
    with monkeypatch.context() as patch:
        patch.setattr(pipelines, "PIPELINES", {**PIPELINES, "tensor.backward": kept})
        built = build(SourceFile.of_text(spec), {}, dtype, target)
        for training in (False, True):
            built.compilation.module("tensor.backward", training)
    executable = NativeExecutable(built.signature, built.compilation.native, built.compilation.print)
    return Model(built.signature, executable, built.source, seed=3)


def called(model: Model, batch: int, time: int) -> tuple[list[Array], dict[str, Array]]:
    """The outputs and the gradients of a batch with masks of all kinds."""
    random = np.random.default_rng(batch + time)
    sequences = model.signature.inputs
    times = {source.name: time + 2 * number for number, source in enumerate(sequences)}
    ids = {name: random.integers(0, VOCABULARY, (batch, length)).astype(np.int32) for name, length in times.items()}
    real = {name: masks(random, batch, length) for name, length in times.items()}
    given, tape = model.forward(ids, mask=real, record=True)
    outputs = list(given) if isinstance(given, tuple) else [given]
    cotangents = [random.normal(size=output.shape) for output in outputs]
    gradients = model.backward(tape, cotangents if len(outputs) > 1 else cotangents[0])
    return outputs, {**gradients.weights, **gradients.inputs}


@pytest.mark.every(2)
@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in SPECS), ("one direction", "float64")])
def test_the_same_bits_forward_and_the_same_gradients(name: str, dtype: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, plain = (model_of(spec_of(name), monkeypatch, dtype, plain=plain) for plain in (False, True))
    assert ("distinct " in shared.inspect("tensor.backward")) == (name in REWRITTEN)
    shared.set_weights([np.random.default_rng(5).normal(size=weight.shape) for weight in shared.get_weights()])
    plain.set_weights(shared.get_weights())
    for batch, time in ((9, 8), (1, 1), (3, 5), (0, 4), (5, 0)):
        (outputs, gradients), (wanted, expected) = called(shared, batch, time), called(plain, batch, time)
        for output, other in zip(outputs, wanted, strict=True):
            np.testing.assert_array_equal(output, other)
        assert gradients.keys() == expected.keys()
        for key, gradient in gradients.items():
            largest = np.abs(expected[key]).max(initial=1.0)
            np.testing.assert_allclose(gradient, expected[key], rtol=0, atol=TOLERANCES[dtype] * largest, err_msg=key)


@pytest.mark.parametrize("target", [AVX512, AVX2, SSE42], ids=lambda target: target.name)
@pytest.mark.parametrize("units", [1, 40])
def test_the_same_bits_in_the_shape_of_every_target(target: Target, units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows fall into other tiles than those of the tokens do."""
    host = host_target()
    shape = replace(target, triple=host.triple, cpu=host.cpu, features=host.features)
    spec = f"model Words {{\n input x: int[time]\n Embedding(11, 37)\n SimpleRNN({units})\n}}\n"
    shared, plain = (model_of(spec, monkeypatch, target=shape, plain=plain) for plain in (False, True))
    for batch, time in ((9, 8), (3, 5), (2, 1), (1, 1)):
        (outputs, _), (wanted, _) = called(shared, batch, time), called(plain, batch, time)
        np.testing.assert_array_equal(outputs[0], wanted[0])


def test_a_product_that_is_added_to_another_sequence_is_the_one_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain form's sum starts from the other sequence: equal but for rounding."""
    layers = "a = words -> Dense(8, use_bias = false)\n b = words -> SimpleRNN(8, return_sequences = true)\n [a, b] -> Add()"
    spec = f"model Words {{\n input x: int[time]\n words = Embedding(11, 8)\n {layers}\n}}\n"
    shared, plain = (model_of(spec, monkeypatch, plain=plain) for plain in (False, True))
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (4, 6)).astype(np.int32)
    output, _ = shared.forward(ids, record=True)
    np.testing.assert_array_equal(output, shared.forward(ids))
    np.testing.assert_allclose(output, plain.forward(ids, record=True)[0], rtol=0, atol=1e-6)


def test_a_tape_has_the_distinct_ids_of_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(spec_of("one direction"), monkeypatch, plain=False)
    random = np.random.default_rng(2)
    batches = [random.integers(0, VOCABULARY, (3, time)).astype(np.int32) for time in (4, 9)]
    tapes = [model.forward(ids, record=True) for ids in batches]
    for ids, (output, tape) in zip(batches, tapes, strict=True):
        gradient = model.backward(tape, np.ones_like(output)).weights["embedding/embeddings"]
        assert np.flatnonzero(gradient.any(axis=1)).tolist() == sorted({*ids.ravel().tolist()} - {0})


def test_a_model_from_the_cache_makes_the_same_indices() -> None:
    spec = spec_of("two directions")
    ids = np.random.default_rng(2).integers(0, VOCABULARY, (5, 6)).astype(np.int32)
    found: list[Array] = []
    for _ in range(2):
        model = rnnspec.compile(spec, seed=1)
        output, tape = model.forward(ids, record=True)
        found.append(model.backward(tape, np.ones_like(output)).weights["embedding/embeddings"])
    np.testing.assert_array_equal(*found)


def test_a_step_of_training_multiplies_as_many_rows_as_a_batch_has_words() -> None:
    """Whatever the number of tokens: counted, not timed."""
    spec = "model Words {\n input x: int[time]\n Embedding(50, 4)\n GRU(3)\n}\n"
    compilation = build(SourceFile.of_text(spec), {}, "float32").compilation
    wanted = [Variant("record", True), Variant("backward", True, input_gradients=False)]
    work = [plus(*(count(nest, each).matmul for nest in nests_of(each))) for each in (compilation.kernels(one).function for one in wanted)]
    ids = np.array([[7, 7, 3, 7], [3, 3, 3, 7]], np.int32)
    sizes = sizes_of_calls(compilation.signature, check_inputs(compilation.signature, ids).batch(), map(compilation.native, wanted))
    assert (sizes[TOKENS], sizes[Tokens(1)]) == (8, 2)
    assert [value_of(each, sizes) for each in work] == [2 * 2 * 4 * 9 + 8 * 2 * 3 * 9, 2 * (2 * 2 * 4 * 9 + 8 * 2 * 3 * 9)]
