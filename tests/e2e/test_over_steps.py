"""`axis = 1`, the steps of a sequence: what masks do to it, against the numpy oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.model import Model
from tests import reference
from tests.specs import Graph, Layer, Statement, bidirectional, chain, graph_spec, make

Array = NDArray[Any]

MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
GRU = make("GRU", units=2, return_sequences=True)
SOFTMAX = make("Softmax", axis=1)

SOFTMAXES: Mapping[str, Sequence[Layer]] = {
    "of an input": [SOFTMAX],
    "of what is held": [GRU, SOFTMAX],
    "in reversed order": [GRU | {"go_backwards": True}, SOFTMAX],
    "counted from the end": [make("Dense", units=3), make("Softmax", axis=-2), make("Dense", units=2)],
    "of large numbers": [make("ELU", alpha=900.0), SOFTMAX, GRU],
    "on to both directions": [SOFTMAX, bidirectional(make("LSTM", units=2))],
    "seen by windows": [SOFTMAX, make("Conv1D", filters=2, kernel_size=3, padding="same")],
}


@cache
def compiled(text: str) -> Model:
    return rnnspec.compile(text, dtype="float64")


def check(graph: Graph, inputs: Mapping[str, Array], masks: Mapping[str, Array]) -> None:
    """Outputs and every gradient of a model with random weights are the oracle's; masked steps of inputs hold 0."""
    random = np.random.default_rng(5)
    model = compiled(graph_spec(graph))
    weights: list[Array] = [random.normal(size=weight.shape) for weight in model.get_weights()]
    weights = [
        np.abs(weight) + 0.5 if name.endswith("/moving_variance") else weight for name, weight in zip(model.weights, weights, strict=True)
    ]
    model.set_weights(weights)
    given, tape = model.forward(inputs, mask=masks or None, record=True)
    outputs = given if isinstance(given, tuple) else (given,)
    expected = reference.run_graph(graph, weights, inputs, masks).outputs
    for output, flow in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, flow.value, rtol=0, atol=1e-12)
    cotangents: list[Array] = [random.normal(size=output.shape) for output in outputs]
    by_weight, by_input = reference.graph_gradients(graph, weights, inputs, masks, cotangents)
    gradients = model.backward(tape, cotangents if len(cotangents) > 1 else cotangents[0])
    for actual, wanted in zip(gradients.weights.values(), by_weight, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-11)
    for name, wanted in by_input.items():
        real = np.ones(wanted.shape[:2], bool) if name not in masks else masks[name]
        np.testing.assert_allclose(gradients.inputs[name], np.where(real[..., None], wanted, 0.0), rtol=0, atol=1e-11)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("layers", SOFTMAXES.values(), ids=SOFTMAXES)
def test_softmax_over_the_real_steps(layers: Sequence[Layer], masked: bool) -> None:
    x = np.random.default_rng(3).normal(size=(4, 5, 3))
    x = np.where(MASK[..., None], x, 0.0) if masked else x
    check(chain(list(layers), "float[time, 3]"), {"x": x}, {"x": MASK} if masked else {})


def test_a_softmax_over_steps_sums_to_one_where_a_step_is_real() -> None:
    model = rnnspec.compile("model Case { input x: float[time, 2] Softmax(axis = 1) }")
    y = model.forward(np.random.default_rng(3).normal(size=(4, 5, 2)), mask=MASK)
    assert not isinstance(y, tuple)
    np.testing.assert_allclose(y.sum(axis=1), [[1, 1], [1, 1], [1, 1], [0, 0]], rtol=1e-6)
    assert not y[~MASK].any()
    assert model.forward(np.zeros((3, 0, 2))).shape == (3, 0, 2)


INPUTS = {"a": "float[time, 3]", "b": "float[later, 3]", "c": "float[2, 3]"}
JOIN = make("Concatenate", axis=1)
BACKWARDS = GRU | {"go_backwards": True}
DENSE = make("Dense", units=2)


def joined(*more: Layer, of: Sequence[str] = ("a", "b"), before: Layer | None = None) -> Graph:
    """Inputs, with a layer each before, one after the other."""
    first = [Statement([before], (name,), (f"p{name}",)) for name in of] if before is not None else []
    takes = [f"p{name}" for name in of] if before is not None else of
    return Graph(INPUTS, [*first, Statement([JOIN, *more], takes, ("y",))], ("y",))


def in_both_orders(first: str, second: str, last: Layer) -> Graph:
    """Two joins of the same length, whose masks differ, as one."""
    return Graph(
        INPUTS,
        [
            Statement([DENSE], ("a",), ("p",)),
            Statement([GRU], ("b",), ("q",)),
            Statement([JOIN], ("p", "q"), ("v",)),
            Statement([JOIN], (first, second), ("w",)),
            Statement([last], ("v", "w"), ("y",)),
        ],
        ("y",),
    )


JOINS: Mapping[str, Graph] = {
    "inputs": joined(),
    "one with all steps": joined(of=("c", "a")),
    "a sequence with itself": joined(GRU, of=("a", "a")),
    "three": joined(make("LSTM", units=2), of=("a", "c", "b")),
    "joins of joins": Graph(INPUTS, [Statement([JOIN], ("a", "c"), ("v",)), Statement([JOIN, GRU], ("b", "v", "a"), ("y",))], ("y",)),
    "what is held": joined(before=GRU),
    "what Dense makes of masked steps": joined(DENSE, before=DENSE),
    "in reversed order": joined(before=BACKWARDS),
    "in reversed order, three": joined(GRU, of=("a", "c", "b"), before=BACKWARDS),
    "reversed and back": joined(BACKWARDS, before=BACKWARDS),
    "both directions": joined(bidirectional(GRU)),
    "pooled": joined(make("GlobalMaxPooling1D"), before=DENSE),
    "averaged": joined(make("GlobalAveragePooling1D"), of=("a", "b", "c")),
    "a softmax": joined(SOFTMAX, before=GRU),
    "windows": joined(make("Conv1D", filters=2, kernel_size=3), before=GRU),
    "windows that reach over": joined(make("MaxPooling1D", pool_size=2, padding="same"), GRU, before=DENSE),
    "normalized": joined(make("BatchNormalization"), make("TimeDistributed", of=DENSE)),
    "features side by side of joins": in_both_orders("p", "q", make("Concatenate")),
    "a sum of joins": in_both_orders("p", "q", make("Add")),
    "a sum of joins in two orders": in_both_orders("q", "p", make("Add")),
    "a product of joins in two orders": in_both_orders("q", "p", make("Multiply")),
    "attention": Graph(INPUTS, [Statement([JOIN], ("a", "b"), ("v",)), Statement([make("Attention")], ("c", "v"), ("y",))], ("y",)),
}
MASKS: Mapping[str, Array] = {
    "a": MASK,
    "b": np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool),
    "c": np.ones((4, 2), bool),
}
TIMES = {"a": 5, "b": 3, "c": 2}


def called(names: Sequence[str]) -> dict[str, Array]:
    random = np.random.default_rng(4)
    x = {name: random.normal(size=(4, time, 3)) for name, time in TIMES.items()}
    return {name: np.where(MASKS[name][..., None], x[name], 0.0) if name in names else x[name] for name in x}


@pytest.mark.every(4)
@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
@pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("masked", [("a", "b"), ("a",), ("b",), ()], ids="".join)
@pytest.mark.parametrize("graph", JOINS.values(), ids=JOINS)
def test_sequences_one_after_the_other(graph: Graph, masked: Sequence[str]) -> None:
    """What masked steps hold, in each part as before, is seen by what drops the mask."""
    check(graph, called(masked), {name: MASKS[name] for name in masked})


def test_a_mask_of_the_spec_goes_through_a_join() -> None:
    spec = "model M {{ input a: float[time, 3], b: float[time, 3] p = a -> Masking() [{}] -> Concatenate(axis = 1) -> LSTM(2) }}"
    x = called(("a",))["a"]
    for order in ("p, b", "b, p"):
        masking = rnnspec.compile(spec.format(order), dtype="float64", seed=1)
        given = rnnspec.compile(spec.format(order.replace("p", "a")).replace("p = a -> Masking()", ""), dtype="float64", seed=1)
        b = np.ones_like(x)
        np.testing.assert_array_equal(masking.forward({"a": x, "b": b}), given.forward({"a": x, "b": b}, mask={"a": MASK}))


def test_results_do_not_depend_on_batch_mates() -> None:
    """Arrays of different lengths: one sample alone is padded as all are."""
    random = np.random.default_rng(0)
    model = rnnspec.compile(graph_spec(joined(GRU)), dtype="float64", seed=1)
    x: dict[str, Any] = {name: [random.normal(size=(steps, 3)) for steps in (TIMES[name], 1, TIMES[name] - 1)] for name in "ab"}
    x["c"] = random.normal(size=(3, 2, 3))
    together, whole = (model.predict(x, batch_size=size) for size in (1, 3))
    np.testing.assert_array_equal(together, whole)
    assert np.shape(whole) == (3, 8, 2)


def test_training_on_a_join_counts_its_real_steps(tmp_path: Any) -> None:
    text = graph_spec(joined(GRU, make("Dense", units=1))).rstrip()[:-1] + "\n    train { loss = mse optimizer = SGD(0.1) }\n}\n"
    model = rnnspec.compile(text, dtype="float64", seed=1)
    x = called(("a", "b"))
    masks = {name: MASKS[name] for name in ("a", "b")}
    real = np.concatenate([MASKS["a"], MASKS["b"]], axis=1)
    y = np.where(real[..., None], 0.5, np.nan)
    shown = np.asarray(model.forward(x, mask=masks))
    expected = float(np.mean((shown - 0.5)[real] ** 2))
    np.testing.assert_allclose(model.evaluate(x, y, mask=masks)["loss"], expected, rtol=1e-12)
    history = model.fit(x, y, mask=masks, epochs=20, verbose=False).history
    assert history["loss"][-1] < expected
    model.save(tmp_path / "joined.rnnc")
    np.testing.assert_array_equal(rnnspec.load(tmp_path / "joined.rnnc").forward(x, mask=masks), model.forward(x, mask=masks))


def test_a_window_over_a_join_says_what_it_lacks() -> None:
    model = rnnspec.compile("model M { input a: float[time, 2], b: float[later, 2] [a, b] -> Concatenate(axis = 1) -> Conv1D(2, 5) }")
    with pytest.raises(ValueError, match=r"input b: expected at least 4 steps, a window needs them, got 1"):
        model.forward({"a": np.zeros((2, 1, 2)), "b": np.zeros((2, 1, 2))})
    assert model.forward({"a": np.zeros((2, 1, 2)), "b": np.zeros((2, 4, 2))}).shape == (2, 1, 2)
