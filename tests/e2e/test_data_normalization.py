"""Normalization and `adapt`: Keras's numbers, real steps alone, batches, layers by name, the model's file, training, and refusals."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.data import Batch
from rnnspec.diagnostics import AdaptWarning, SpecError
from rnnspec.training.model import Model
from tests.e2e.conftest import Workplace
from tests.keras_cases import Case, load

Array = NDArray[Any]

CASES = load("normalization")
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(6, 5, 2)) * [1.0, 30.0] + [5.0, -100.0]
LENGTHS = [5, 2, 0, 1, 3, 5]
REAL = np.arange(5) < np.array(LENGTHS)[:, None]


def model(*layers: str, of_input: str = "float[time, 2]", dtype: Any = "float64", seed: int = 0) -> Model:
    return rnnspec.compile(f"model M {{ input x: {of_input}\n" + "\n".join(layers) + "\n}", dtype=dtype, seed=seed)


def near(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_keras_numbers(case: Case) -> None:
    """Weights after `adapt`, in Keras's order, the output and the input's gradient."""
    made, size, data = rnnspec.compile(case.about["spec"], dtype="float64"), case.about["batch"], case.arrays["data"]
    if made.signature.moments and size >= 0:
        made.adapt((data[start : start + size] for start in range(0, len(data), size)) if size else data)
    weights = made.get_weights()
    for found, expected in zip(weights, case.listed("weight"), strict=True):
        near(found, expected)
    made.set_weights(case.listed("weight"))
    y, tape = made.forward(case.arrays["x"], record=True)
    near(y, case.arrays["output"])
    near(made.backward(tape, case.arrays["cotangent"]).inputs["x"], case.arrays["x_gradient"])


def statistics(made: Model, layer: str = "normalization") -> tuple[Array, Array]:
    return made.weights[f"{layer}/mean"], made.weights[f"{layer}/variance"]


WAYS: dict[str, Callable[[Model, Array], None]] = {
    "lengths": lambda made, x: made.adapt(x, lengths=LENGTHS),
    "a mask": lambda made, x: made.adapt(x, mask=REAL),
    "a list": lambda made, x: made.adapt([row[:length] for row, length in zip(x, LENGTHS, strict=True)]),
    "by name": lambda made, x: made.adapt({"x": x}, lengths={"x": LENGTHS}),
    "by the layer's name": lambda made, x: made.adapt({"normalization": x}, lengths=LENGTHS),
    "batches": lambda made, x: made.adapt(lambda: (Batch(x[n : n + 2], lengths=LENGTHS[n : n + 2]) for n in (0, 2, 4))),
    "batches with targets": lambda made, x: made.adapt((x[n : n + 1, :length], 1) for n, length in enumerate(LENGTHS)),
    "batches by name": lambda made, x: made.adapt({"x": iter([x[n : n + 1, :length] for n, length in enumerate(LENGTHS)])}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS)
def test_real_steps_alone_count(way: str, dtype: str) -> None:
    """However they are given, and whatever masked steps hold."""
    made = model("Normalization()", dtype=dtype)
    WAYS[way](made, np.where(REAL[..., None], X, np.nan))
    mean, variance = statistics(made)
    np.testing.assert_allclose(mean, X[REAL].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, X[REAL].var(axis=0), rtol=1e-6)


def test_steps_masked_by_their_values_do_not_count() -> None:
    x = np.where(REAL[..., None], X, 0.0)
    made = model("Masking(0.0)", "Normalization()")
    made.adapt(x)
    near(statistics(made)[0], X[REAL].mean(axis=0))


def test_many_numbers_are_added_up_exactly() -> None:
    """A large array is looked at part by part; a mean far from 0 takes nothing from the variance."""
    x = (RANDOM.normal(size=(3000, 50, 2)) + 1e6).astype(np.float32)
    made = model("Normalization()")
    made.adapt(x)
    mean, variance = statistics(made)
    np.testing.assert_allclose(mean, x.reshape(-1, 2).mean(axis=0, dtype=np.float64), rtol=1e-13)
    np.testing.assert_allclose(variance, x.reshape(-1, 2).astype(np.float64).var(axis=0), rtol=1e-9)


SEVERAL = """
model Several {
    input past: float[time, 2], row: float[3], words: text[words]

    shared scale = Normalization()
    s = past -> scale -> GRU(3)
    t = past -> Normalization(axis = none, name = "one") -> Last()
    r = row -> Normalization(name = "of_row")
    w = words -> Embedding(9, 2) -> GRU(2)
    [s, t, r, w] -> Concatenate() -> Dense(1) -> Normalization(invert = true, name = "back")
    train { loss = mse  optimizer = Adam() }
}
"""


def test_several_layers_and_a_vocabulary_by_name() -> None:
    made = rnnspec.compile(SEVERAL, dtype="float64", seed=0)
    rows, y = RANDOM.normal(size=(6, 3)), RANDOM.normal(size=6) * 50 + 3
    made.adapt({"past": X, "row": rows, "words": ["a b", "b"], "back": y}, lengths=LENGTHS)
    near(statistics(made, "scale")[0], X[REAL].mean(axis=0))
    near(statistics(made, "one")[1], X[REAL].var())
    near(statistics(made, "of_row")[1], rows.var(axis=0))
    near(statistics(made, "back")[1], y.var(keepdims=True))
    assert made.get_vocabulary()[2:] == ["b", "a"]
    made.adapt({"words": ["c"]})
    made.adapt([X, rows, []])
    near(statistics(made, "scale")[0], X.reshape(-1, 2).mean(axis=0))
    assert made.get_vocabulary()[2:] == ["c"], "numbers alone leave the vocabulary"
    before = made.get_weights()
    with pytest.raises(ValueError, match="input row, sample 0, feature 1: expected a number to adapt of_row to, got inf"):
        made.adapt({"past": X, "row": [[0, np.inf, 0]], "words": ["d"]})
    for found, expected in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert made.get_vocabulary()[2:] == ["c"]


def test_training_leaves_the_statistics_and_the_file_keeps_them() -> None:
    """Whatever the optimizer decays."""
    made = model("Normalization()", "GRU(3)", "Dense(1)", 'Normalization(invert = true, name = "back")')
    y = X[:, 0, 1]
    made.adapt({"x": X, "back": y})
    made.configure("mse", rnnspec.training.optimizers.Adam(weight_decay=0.1))
    before = {name: value for name, value in made.weights.items() if "normalization" in name or "back" in name}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.fit(X, y, epochs=2, verbose=False)
    for name, value in before.items():
        np.testing.assert_array_equal(made.weights[name], value)
    file = io.BytesIO()
    made.save(file)
    np.testing.assert_array_equal(rnnspec.load(file.getvalue()).predict(X), made.predict(X))


def test_fit_warns_of_what_was_never_adapted() -> None:
    made = model('Normalization(name = "scale")', "GRU(3)", "Dense(1)")
    made.configure("mse", "Adam")
    with pytest.warns(AdaptWarning, match="scale: a mean of 0 and a variance of 1"):
        made.fit(X, X[:, 0, 0], verbose=False)
    given = model("Normalization(mean = [5, -100], variance = [1, 900])", "GRU(3)", "Dense(1)")
    given.configure("mse", "Adam")
    given.fit(X, X[:, 0, 0], verbose=False)


def test_the_command_adapts_to_its_training_set(workplace: Workplace) -> None:
    """Also of another test set; what it writes is what Python makes."""
    spec = (
        "model C { input x: float[time, 2]\n Normalization()\n GRU(2)\n Dense(1)\n train { loss = mse  optimizer = Adam()  epochs = 2 } }"
    )
    (workplace.folder / "c.rnn").write_text(spec, encoding="utf-8")
    x, y = X[[0, 1, 3, 4, 5]], RANDOM.normal(size=5)
    lengths = np.array([5, 2, 1, 3, 5])
    arrays = {"x_train": x, "y_train": y, "length_train": lengths, "x_test": x * 9, "y_test": y, "length_test": lengths}
    np.savez(workplace.folder / "c.npz", allow_pickle=False, **arrays)
    done = workplace.succeeds("train", "c.rnn", "-d", "c.npz", "-o", "c.rnnc", "--seed", "1")
    assert "nothing is normalized" not in done.err
    made = rnnspec.compile(spec, seed=1)
    made.adapt(x, lengths=lengths)
    made.fit(x, y, lengths=lengths, seed=1, verbose=False)
    for found, expected in zip(rnnspec.load(workplace.folder / "c.rnnc").get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("form", ["array", "dict", "lists"])
def test_nothing_is_learned_of_what_fit_holds_out(form: str) -> None:
    """Its numbers would make validation look better than new data."""
    x = np.concatenate([X, 1e3 * np.ones_like(X[:2])])
    lengths = np.arange(len(x)) % 5 + 1
    kept = math.floor(len(x) * 0.75)
    made, other = model("Normalization()", "GRU(3)", "Dense(1)"), model("Normalization()", "GRU(3)", "Dense(1)")
    given: Any = {"array": x, "dict": {"x": x}, "lists": [each[:steps] for each, steps in zip(x, lengths, strict=True)]}[form]
    made.adapt(given, lengths=None if form == "lists" else lengths, validation_split=0.25)
    other.adapt(x[:kept], lengths=lengths[:kept])
    assert made.weights["normalization/mean"].max() < 1e3
    assert all(map(np.array_equal, made.get_weights()[:2], other.get_weights()[:2]))


def test_what_is_held_out_of_several_inputs_with_lengths() -> None:
    flow = "s = a -> Normalization() -> GRU(2)\nr = b -> Normalization()\n[s, r] -> Concatenate() -> Dense(1)"
    made, other = (rnnspec.compile(f"model N {{ input a: float[time, 2], b: float[3]\n{flow} }}", seed=0) for _ in range(2))
    a, b, lengths = X[:4], RANDOM.normal(size=(4, 3)), [5, 1, 2, 3]
    other.adapt([a[:3], b[:3]], lengths=lengths[:3])
    for given in ([a, b], {"a": a, "b": b}):
        made.adapt(given, lengths=lengths, validation_split=0.25)
        assert all(map(np.array_equal, made.get_weights(), other.get_weights()))


def test_what_cannot_be_split_is_refused_before_anything_is_learned() -> None:
    made = model("Normalization()", "GRU(3)", "Dense(1)")
    before = made.get_weights()
    for split in (1.0, -0.1, "half", float("nan")):
        with pytest.raises(ValueError, match="validation_split: expected a number from 0 to below 1"):
            made.adapt(X, validation_split=split)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"validation_split: 0\.9 of 2 samples leaves nothing to train or validate on"):
        made.adapt(X[:2], validation_split=0.9)
    with pytest.raises(ValueError, match="validation_split: what generator gives can't be split"):
        made.adapt((each for each in [X]), validation_split=0.5)
    assert all(map(np.array_equal, before, made.get_weights()))


def test_a_vocabulary_has_no_word_of_what_fit_holds_out() -> None:
    made = rnnspec.compile("model T { input t: text[time]  Embedding(9, 2, mask_zero = true)  LSTM(2)  Dense(1) }", seed=1)
    made.adapt(["good film", "bad film", "a film", "secret"], validation_split=0.25)
    assert "secret" not in made.get_vocabulary() and "film" in made.get_vocabulary()


@pytest.mark.parametrize("said", ["spec", "option", "set"])
def test_the_command_adapts_to_what_it_trains_on(said: str, workplace: Workplace) -> None:
    """And not to what is held out; with a validation set of its own nothing is, whatever the spec says."""
    split = "" if said == "option" else "validation_split = 0.4"
    layers = "input x: float[2]\n Normalization()\n Dense(1)"
    train = f"train {{ loss = mse\n optimizer = SGD(0.0)\n {split} }}"
    (workplace.folder / "c.rnn").write_text(f"model C {{ {layers}\n {train} }}", encoding="utf-8")
    x, y = RANDOM.normal(size=(5, 2)).astype(np.float32), RANDOM.normal(size=5)
    held_out = {"x_val": x, "y_val": y} if said == "set" else {}
    np.savez(workplace.folder / "c.npz", allow_pickle=False, x_train=x, y_train=y, **held_out)
    options = ("--validation-split", "0.4") if said == "option" else ()
    workplace.succeeds("train", "c.rnn", "-d", "c.npz", "-o", "c.rnnc", "--seed", "1", *options)
    mean = rnnspec.load(workplace.folder / "c.rnnc").weights["normalization/mean"]
    np.testing.assert_allclose(mean, x[: 5 if said == "set" else 3].mean(axis=0), rtol=1e-6)


def test_it_streams() -> None:
    made = model("Normalization()", "GRU(3)", "Normalization(invert = true, mean = 1, variance = 4)")
    made.adapt(X)
    stream = made.stream(6)
    steps = [stream.step(X[:, step]) for step in range(5)]
    np.testing.assert_array_equal(steps[-1], made.predict(X))


REFUSED: dict[str, tuple[Callable[[Model], None], str]] = {
    "NaN": (lambda made: made.adapt([[[1, np.nan]]]), "input x, sample 0, step 0, feature 1: expected a number to adapt normalization to"),
    "NaN in a batch": (lambda made: made.adapt(iter([X, X * np.inf])), "batch 1: input x, sample 0, step 0, feature 0: expected a number"),
    "another width": (lambda made: made.adapt(X[..., :1]), "input x: expected 2 features, got 1"),
    "a batch's width": (lambda made: made.adapt(iter([X, X[..., :1]])), "batch 1: input x: expected 2 features, got 1"),
    "of a layer": (lambda made: made.adapt({"normalization": X[..., :1]}), "data of layer normalization: expected 2 features, got 1"),
    "no sample": (lambda made: made.adapt(X[:0]), "input x: there is no real step to adapt normalization to"),
    "no real step": (lambda made: made.adapt(X, mask=np.zeros((6, 5))), "input x: there is no real step to adapt normalization to"),
    "no batch": (lambda made: made.adapt(iter([])), "the source of batches gave none"),
    "no data": (lambda made: made.adapt(None), "input x: expected numbers"),
    "texts": (lambda made: made.adapt(["a", "b"]), "input x, sample 0: expected numbers"),
    "an unknown name": (lambda made: made.adapt({"y": X}), "y: neither an input nor a layer to adapt; those to adapt are x, normalization"),
    "an empty dict": (lambda made: made.adapt({}), "no layer to adapt takes an input as it is, or one that is given; normalization can be"),
    "lengths": (lambda made: made.adapt(X, lengths=[6] * 6), "input x: lengths: expected 0 to 5 for sample 0"),
    "lengths of another": (lambda made: made.adapt(X, lengths={"y": LENGTHS}), "lengths: y: no sequence of this name is adapted to"),
    "lengths beside batches": (lambda made: made.adapt(iter([X]), lengths=LENGTHS), "mask and lengths: list_iterator gives batches"),
    "too large": (lambda made: made.adapt(X * 1e30), "input x: normalization/variance would be more than float32 holds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_data_changes_nothing(name: str) -> None:
    made = model("Normalization()", dtype="float32")
    adapt, message = REFUSED[name]
    with pytest.raises(ValueError) as raised:
        adapt(made)
    assert message in str(raised.value)
    np.testing.assert_array_equal(statistics(made), [[0, 0], [1, 1]])


def test_a_layer_that_takes_no_input_is_adapted_by_name() -> None:
    made = model("GRU(2)", "Normalization(invert = true)")
    with pytest.raises(ValueError, match="give the data by the layer's name"):
        made.adapt(X)
    with pytest.raises(SpecError, match="Embedding"):
        model("Normalization()", of_input="int[time]")
