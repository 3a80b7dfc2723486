"""BatchNormalization beyond Keras's fixtures: who moves the statistics, who reads them, and which steps count."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Role
from rnnspec.runtime.native.loaded_function import LoadedFunction
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from tests import reference
from tests.specs import Graph, Statement, graph_spec, make

Array = NDArray[Any]

SEQUENCE = """
model M {
    input x: float[time, 3]

    BatchNormalization(momentum = 0.5)
    GRU(4)
    Dense(1)

    train { loss = mse  optimizer = SGD(0.1)  batch_size = 4 }
}
"""
MASKED = "model M { input x: float[time, 3]\n Masking()\n BatchNormalization(momentum = 0.5) }"
PLAIN = "model M { input x: float[time, 3]\n BatchNormalization(momentum = 0.5) }"
STATISTICS = ("batch_normalization/moving_mean", "batch_normalization/moving_variance")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(2.0, 3.0, (6, 5, 3))
LENGTHS = np.array([5, 2, 0, 4, 1, 3])


def compiled(spec: str = SEQUENCE) -> Model:
    return rnnspec.compile(spec, dtype="float64", seed=1)


def statistics(model: Model) -> list[Array]:
    return [model.weights[name] for name in STATISTICS]


def moved(before: list[Array], rows: Array, added: float = 0.0, momentum: float = 0.5) -> list[Array]:
    count = len(rows) + added
    mean = rows.sum(axis=0) / count
    variance = ((rows - mean) ** 2).sum(axis=0) / count
    return [momentum * old + (1 - momentum) * new for old, new in zip(before, (mean, variance), strict=True)]


def real_rows(x: Array = X, lengths: Array = LENGTHS) -> Array:
    return np.concatenate([row[:length] for row, length in zip(x, lengths, strict=True)])


def same(found: list[Array], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)


def test_only_training_moves_the_statistics() -> None:
    model = compiled()
    before = statistics(model)
    model.forward(X, lengths=LENGTHS)
    model.forward(X, lengths=LENGTHS, record=True)
    model.predict(X, lengths=LENGTHS)
    model.evaluate(X, np.zeros((6, 1)), lengths=LENGTHS)
    same(statistics(model), before)
    assert all(np.array_equal(one, other) for one, other in zip(statistics(model), before, strict=True))


@pytest.mark.parametrize("call", ["forward", "record", "train_on_batch", "fit"])
def test_every_call_in_training_moves_them_once(call: str) -> None:
    model = compiled()
    expected = moved(statistics(model), real_rows(), 1e-7)
    match call:
        case "forward":
            model.forward(X, lengths=LENGTHS, training=True)
        case "record":
            model.forward(X, lengths=LENGTHS, training=True, record=True)
        case "train_on_batch":
            model.train_on_batch(X, np.zeros((6, 1)), lengths=LENGTHS)
        case _:
            model.fit(X, np.zeros((6, 1)), lengths=LENGTHS, batch_size=6, epochs=1, verbose=False)
    same(statistics(model), expected)


def test_fit_moves_them_batch_by_batch_and_validates_with_them() -> None:
    model = compiled()
    expected = statistics(model)
    for rows in (slice(0, 2), slice(2, 4)):
        expected = moved(expected, X[rows].reshape(-1, 3))
    model.fit(X, np.zeros((6, 1)), batch_size=2, epochs=1, shuffle=False, validation_split=1 / 3, verbose=False)
    same(statistics(model), expected)


def test_inference_uses_what_training_left() -> None:
    model = compiled(PLAIN)
    for _ in range(3):
        model.forward(X, training=True)
        mean, variance = statistics(model)
        gamma, beta = (model.weights[f"batch_normalization/{name}"] for name in ("gamma", "beta"))
        expected = (X - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        np.testing.assert_allclose(model.forward(X), expected, rtol=1e-12, atol=1e-14)


def test_a_training_tape_outlives_other_calls_in_training() -> None:
    """Micro-batches: several forwards, then their backwards. No derivative reads the statistics."""
    model = compiled()
    y, tape = model.forward(X, lengths=LENGTHS, training=True, record=True)
    first = model.backward(tape, np.ones_like(y))
    model.forward(X[:2] + 1.0, training=True)
    again = model.backward(tape, np.ones_like(y))
    for name, gradient in first.weights.items():
        np.testing.assert_array_equal(again.weights[name], gradient)
    model.train_on_batch(X, np.zeros((6, 1)))
    with pytest.raises(ValueError, match="recorded with other weights"):
        model.backward(tape, np.ones_like(y))


def test_an_inference_tape_does_not() -> None:
    model = compiled()
    y, tape = model.forward(X, record=True)
    model.forward(X, training=True)
    with pytest.raises(ValueError, match="recorded with other weights"):
        model.backward(tape, np.ones_like(y))


def test_a_caller_that_masks_nothing_has_no_mask_but_a_specs_own_counts() -> None:
    """Keras adds 1e-7 to the number of steps where there is a mask; whether a caller's mask is one, its values say."""
    plain, masked = compiled(PLAIN), compiled(MASKED)
    start = statistics(plain)
    rows = X.reshape(-1, 3)
    for model, mask, count in ((plain, None, 0.0), (plain, np.ones((6, 5), bool), 0.0), (masked, None, 1e-7)):
        model.set_weights({**model.weights, **dict(zip(STATISTICS, start, strict=True))})
        model.forward(X, mask=mask, training=True)
        same(statistics(model), moved(start, rows, count))


def test_masked_steps_change_no_statistic() -> None:
    model, other = compiled(), compiled()
    wild = X.copy()
    for row, length in enumerate(LENGTHS):
        wild[row, length:] = np.nan
    model.forward(X, lengths=LENGTHS, training=True)
    other.forward(wild, lengths=LENGTHS, training=True)
    for one, two in zip(statistics(model), statistics(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_at_all_gives_no_nan() -> None:
    for spec, shape in ((PLAIN, (0, 5, 3)), (PLAIN, (4, 0, 3)), ("model M { input x: float[3]\n BatchNormalization() }", (0, 3))):
        model = compiled(spec)
        assert model.forward(np.zeros(shape), training=True).shape == shape
        assert np.isfinite(statistics(model)).all()


def test_a_shared_layer_moves_them_at_each_use() -> None:
    normal = make("BatchNormalization", momentum=0.5)
    model = compiled(
        "model M { input a: float[3], b: float[3]\n shared n = BatchNormalization(momentum = 0.5)\n p = a -> n\n q = b -> n\n output p, q }"
    )
    a, b = RANDOM.normal(size=(2, 7, 3))
    expected = moved(moved([np.zeros(3), np.ones(3)], a), b)
    p, q = model.forward({"a": a, "b": b}, training=True)
    for name, values in zip(("n/moving_mean", "n/moving_variance"), expected, strict=True):
        np.testing.assert_allclose(model.weights[name], values, rtol=1e-13)
    graph = Graph({"x": "float[3]"}, [Statement([normal])])
    start = [np.ones(3), np.zeros(3), np.zeros(3), np.ones(3)]
    for x, found in ((a, p), (b, q)):
        (flow,) = reference.run_graph(graph, start, {"x": x}, {}, training=True).outputs
        np.testing.assert_allclose(found, flow.value, rtol=1e-12, atol=1e-14)


def test_held_steps_are_normalized_too() -> None:
    """As in Keras: after an LSTM a masked step holds the last output, which goes through like the rest."""
    graph = Graph({"x": "float[time, 3]"}, [Statement([make("LSTM", units=2, return_sequences=True), make("BatchNormalization")])])
    model = compiled(graph_spec(graph))
    weights = [value + 0.1 * RANDOM.normal(size=value.shape) ** 2 for value in model.get_weights()]
    model.set_weights(weights)
    masks = {"x": RANDOM.random((6, 5)) < 0.6}
    cotangent = RANDOM.normal(size=(6, 5, 2))
    ran = reference.run_graph(graph, weights, {"x": X}, masks, training=True)
    by_weight, by_input = reference.graph_gradients(graph, weights, {"x": X}, masks, [cotangent], training=True)
    y, tape = model.forward(X, mask=masks["x"], training=True, record=True)
    np.testing.assert_allclose(y, ran.outputs[0].value, rtol=0, atol=1e-11)
    gradients = model.backward(tape, cotangent)
    for (name, found), expected in zip(gradients.weights.items(), by_weight, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * max(1.0, np.abs(expected).max()), err_msg=name)
    np.testing.assert_allclose(gradients.inputs["x"], by_input["x"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("spec", [SEQUENCE, MASKED, PLAIN])
def test_native_code_gives_what_the_interpreter_gives(spec: str) -> None:
    model = compiled(spec)
    graph = resolve(parse(SourceFile.of_text(spec)))
    (function,) = lower(graph, dtype="float64", training=True).functions
    mask = RANDOM.random((6, 5)) < 0.6
    results: dict[tuple[Role, str], Any] = interpret(function, {"x": X, "x.mask": mask, **model.weights})
    (expected,) = [value for (role, _), value in results.items() if role is Role.OUTPUT]
    np.testing.assert_allclose(model.forward(X, mask=mask, training=True), expected, rtol=0, atol=1e-12)
    same(statistics(model), [results[Role.UPDATE, name] for name in STATISTICS])


def test_float32_stays_close() -> None:
    model = rnnspec.compile(SEQUENCE, seed=1)
    expected = moved(statistics(model), real_rows(X.astype(np.float32).astype(np.float64)))
    model.forward(X, lengths=LENGTHS, training=True)
    for found, values in zip(statistics(model), expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values, rtol=1e-5)


def test_threads_lose_no_update() -> None:
    """Each call reads the statistics that the one before left, whatever thread that was; inference goes on beside them."""
    model = compiled(PLAIN)
    for name, value in zip(STATISTICS, ([-1.0] * 3, [2.0] * 3), strict=True):
        model.set_weights({**model.weights, name: value})
    expected = statistics(model)
    for _ in range(40):
        expected = moved(expected, X.reshape(-1, 3))

    def train() -> None:
        for _ in range(10):
            model.forward(X, training=True)
            assert np.isfinite(model.forward(X)).all()

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(statistics(model), expected)


def test_a_call_that_fails_leaves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled()
    before = statistics(model)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LoadedFunction, "prepared", interrupted)
    for record in (False, True):
        with pytest.raises(KeyboardInterrupt):
            model.forward(X, training=True, record=record)
    monkeypatch.undo()
    assert all(np.array_equal(one, other) for one, other in zip(statistics(model), before, strict=True))
    model.forward(X, training=True)
    same(statistics(model), moved(before, X.reshape(-1, 3)))


def test_a_saved_model_keeps_them(tmp_path: Path) -> None:
    model = compiled()
    model.train_on_batch(X, np.zeros((6, 1)))
    model.save(tmp_path / "model.rnnc")
    again = rnnspec.load(tmp_path / "model.rnnc")
    np.testing.assert_array_equal(again.forward(X), model.forward(X))


def test_a_stream_normalizes_by_them() -> None:
    model = compiled("model M { input x: float[time, 3]\n BatchNormalization()\n LSTM(2, return_sequences = true)\n BatchNormalization() }")
    model.forward(X, training=True)
    stream = model.stream(batch=len(X))
    steps = np.stack([stream.step(X[:, step]) for step in range(5)], axis=1)
    np.testing.assert_array_equal(steps, model.forward(X))


def test_training_finds_a_shift_that_inference_keeps() -> None:
    model = compiled(
        "model M { input x: float[3]\n BatchNormalization(momentum = 0.8)\n Dense(1)\n"
        " train { loss = mse  optimizer = Adam(0.05)  batch_size = 32  epochs = 60 } }"
    )
    x = RANDOM.normal(50.0, 5.0, (256, 3))
    y = (x - 50.0) @ np.array([[0.2], [-0.1], [0.3]])
    model.fit(x, y, seed=0, verbose=False)
    assert model.evaluate(x, y)["loss"] < 0.05 * float((y**2).mean())
