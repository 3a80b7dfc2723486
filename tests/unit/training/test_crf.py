"""Linear-chain conditional random fields, a loss with states and weights of its own: values, gradients, masks, training, saving."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec.decoding import crf_decode
from rnnspec.training.losses import CRF
from tests.crf_reference import Array, Field, by_sequences, of_steps

WEIGHTS = ("transitions", "first", "last")
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

SPEC = """model Tagger(classes = 3) {
    input x: float[time, 3]

    GRU(6, return_sequences = true)
    Dense(classes)
    train { loss = crf  optimizer = Adam(learning_rate = 0.05)  metrics = [accuracy] }
}
"""

SCORES = """model Scores(ids, classes, boundaries = true) {
    input t: int[time]

    Embedding(ids, classes)
    train { loss = crf(boundaries = boundaries)  optimizer = SGD(learning_rate = 1.0) }
}
"""
"""A model whose prediction are weights, one for each class of each step, if each step has an id of its own."""


@cache
def scores(samples: int, steps: int, classes: int, dtype: str = "float64", *, boundaries: bool = True) -> rnnspec.Model:
    return rnnspec.compile(SCORES, ids=samples * steps, classes=classes, boundaries=boundaries, dtype=dtype, seed=1)


def ids(samples: int, steps: int) -> Array:
    return np.arange(samples * steps).reshape(samples, steps)


def fields(prediction: Array, weights: Mapping[str, Array]) -> list[Field]:
    """Each sample's scores, in float64; 0 for weights that there are none of."""
    classes = prediction.shape[-1]
    own = [weights.get(name, np.zeros(classes)) for name in WEIGHTS]
    return [Field(*(np.asarray(each, np.float64) for each in (rows, *own))) for rows in prediction]


def of_loss(model: rnnspec.Model, output: str = "dense") -> dict[str, Array]:
    """The weights of an output's loss, by their own names."""
    head = f"crf/{output}/"
    return {name.removeprefix(head): value.copy() for name, value in model.weights.items() if name.startswith(head)}


def put(model: rnnspec.Model, **weights: Array) -> None:
    """Replaces weights of the loss, by their own names."""
    model.set_weights({**model.weights, **{f"crf/dense/{name}": value for name, value in weights.items()}})


def losses_of(prediction: Array, labels: Array, weights: Mapping[str, Array], real: Array | None = None) -> Array:
    """Each sample's loss, of its real steps."""
    real = np.ones(labels.shape, bool) if real is None else real
    each = zip(fields(prediction, weights), labels, real, strict=True)
    return np.array([by_sequences(of_steps(field, own), row[own].tolist())[0] for field, row, own in each])


def gradients_of(prediction: Array, labels: Array, weights: Mapping[str, Array], real: Array) -> dict[str, Array]:
    """The gradient of the mean of all samples' losses by the prediction and each weight."""
    samples = len(labels)
    found = {"prediction": np.zeros(prediction.shape), **{name: np.zeros(weights[name].shape) for name in weights}}
    for sample, (field, row, own) in enumerate(zip(fields(prediction, weights), labels, real, strict=True)):
        _, gradient = by_sequences(of_steps(field, own), row[own].tolist())
        found["prediction"][sample, own] = gradient.prediction / samples
        for name in weights:
            found[name] += getattr(gradient, name) / samples
    return found


def set_scores(model: rnnspec.Model, prediction: Array, weights: Mapping[str, Array]) -> None:
    values = {"embedding/embeddings": prediction.reshape(-1, prediction.shape[-1])}
    model.set_weights(values | {f"crf/embedding/{name}": value for name, value in weights.items()})


def drawn(samples: int, steps: int, classes: int, scale: float = 1.0, *, boundaries: bool = True) -> tuple[Array, dict[str, Array], Array]:
    """Scores of steps, weights and labels; all are float32 numbers."""
    random = np.random.default_rng([samples, steps, classes])
    shapes = {"transitions": (classes, classes), **({"first": (classes,), "last": (classes,)} if boundaries else {})}
    prediction, *weights = (
        random.normal(0.0, scale, shape).astype(np.float32).astype(np.float64) for shape in ((samples, steps, classes), *shapes.values())
    )
    return prediction, dict(zip(shapes, weights, strict=True)), random.integers(0, classes, (samples, steps))


def check(model: rnnspec.Model, prediction: Array, weights: Mapping[str, Array], labels: Array, real: Array, tolerance: float) -> None:
    """Holds a model's loss and its update against the sum over all sequences of classes."""
    set_scores(model, prediction, weights)
    model.configure(optimizer=model.signature.train.optimizer)
    samples, steps = labels.shape
    value = losses_of(prediction, labels, weights, real).mean()
    dirty = np.where(real, labels, 99)
    assert model.evaluate(ids(samples, steps), dirty, mask=real)["loss"] == pytest.approx(value, rel=tolerance, abs=tolerance)
    assert model.train_on_batch(ids(samples, steps), dirty, mask=real) == pytest.approx(value, rel=tolerance, abs=tolerance)
    slope = gradients_of(prediction, labels, weights, real)
    moved = prediction - model.weights["embedding/embeddings"].reshape(prediction.shape)
    np.testing.assert_allclose(moved, slope["prediction"], rtol=0, atol=tolerance)
    for name, before in weights.items():
        np.testing.assert_allclose(before - model.weights[f"crf/embedding/{name}"], slope[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("boundaries", [True, False])
@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_losses_and_gradients_are_sums_over_all_sequences(classes: int, boundaries: bool, dtype: str) -> None:
    """For every length from none to five steps, the steps that count one after the other, and with gaps."""
    samples, steps = 6, 5
    prediction, weights, labels = drawn(samples, steps, classes, boundaries=boundaries)
    model = scores(samples, steps, classes, dtype, boundaries=boundaries)
    assert set(of_loss(model, "embedding")) == set(weights)
    lengths = np.arange(samples)[:, None]
    for real in (np.arange(steps) < lengths, np.argsort(np.random.default_rng(classes).random((samples, steps))) < lengths):
        check(model, prediction, weights, labels, real, TOLERANCE[dtype])


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=3))
def test_masks_of_any_form(seed: int, real: list[list[bool]]) -> None:
    prediction, weights, labels = drawn(3, 4, 3)
    order = np.random.default_rng(seed).permutation(3)
    check(scores(3, 4, 3), prediction[:, :, order], weights, labels, np.array(real), 1e-12)


def test_the_gradient_is_the_derivative() -> None:
    """Against central differences, of more steps and classes than can be written out."""
    prediction, weights, labels = drawn(2, 9, 7)
    model = scores(2, 9, 7)
    inputs, real = ids(2, 9), np.arange(9) < np.array([[9], [4]])
    set_scores(model, prediction, weights)
    model.configure(optimizer="SGD")
    before = {name: value.copy() for name, value in model.weights.items()}
    model.configure(optimizer=rnnspec.training.optimizers.SGD(1.0))
    model.train_on_batch(inputs, labels, mask=real)
    slopes = {name: value - model.weights[name] for name, value in before.items()}
    random, step = np.random.default_rng(0), 1e-5
    for name, value in before.items():
        for place in random.permutation(value.size)[:10]:
            entry = np.unravel_index(place, value.shape)
            sides: list[float] = []
            for sign in (1, -1):
                moved = value.copy()
                moved[entry] += sign * step
                model.set_weights(before | {name: moved})
                sides.append(model.evaluate(inputs, labels, mask=real)["loss"])
            assert slopes[name][entry] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_scores_leave_no_nan(dtype: str) -> None:
    """What is as good as impossible costs its distance, what is sure costs nothing."""
    prediction = np.full((2, 5, 3), -1e3)
    path = [0, 2, 1, 1, 0]
    prediction[:, np.arange(5), path] = 1e3
    weights = {"transitions": np.where(np.eye(3) > 0, 39.0, -39.0), "first": np.array([1e3, 0, 0]), "last": np.array([1e3, -1e3, -1e3])}
    labels = np.array([path, [1, 1, 2, 0, 2]])
    check(scores(2, 5, 3, dtype), prediction, weights, labels, np.ones((2, 5), bool), TOLERANCE[dtype])


def test_batch_mates_and_padding_do_not_change_a_sample() -> None:
    prediction, weights, labels = drawn(4, 12, 5)
    model = scores(4, 12, 5, "float32")
    set_scores(model, prediction, weights)
    lengths, inputs = [12, 3, 7, 1], ids(4, 12)
    alone = [model.evaluate(inputs[[n], :length], labels[[n], :length])["loss"] for n, length in enumerate(lengths)]
    for sample, loss in enumerate(alone):
        chosen = np.zeros(4)
        chosen[sample] = 4.0
        assert model.evaluate(inputs, labels, sample_weight=chosen, lengths=lengths)["loss"] == loss
    for batch_size in (1, 3, 4):
        assert model.evaluate(inputs, labels, batch_size, lengths=lengths)["loss"] == pytest.approx(np.mean(alone), rel=1e-6)


def test_a_samples_weight_is_the_mean_of_its_steps() -> None:
    prediction, weights, labels = drawn(4, 5, 3)
    model = scores(4, 5, 3)
    set_scores(model, prediction, weights)
    real = np.arange(5) < np.array([[5], [2], [0], [3]])
    each = losses_of(prediction, labels, weights, real)
    of_samples, of_steps = np.array([0.5, 2.0, 3.0, 0.0]), np.random.default_rng(1).random((4, 5))
    found = model.evaluate(ids(4, 5), labels, sample_weight=of_samples, mask=real)["loss"]
    assert found == pytest.approx((each * of_samples).mean(), rel=1e-12)
    means = np.array([row[own].mean() if own.any() else 0.0 for row, own in zip(of_steps, real, strict=True)])
    found = model.evaluate(ids(4, 5), labels, sample_weight=of_steps, mask=real)["loss"]
    assert found == pytest.approx((each * means).mean(), rel=1e-12)


def test_the_mean_is_over_samples_in_whatever_batches() -> None:
    prediction, weights, labels = drawn(5, 4, 3)
    model = scores(5, 4, 3)
    set_scores(model, prediction, weights)
    lengths = [4, 1, 0, 2, 4]
    value = losses_of(prediction, labels, weights, np.arange(4) < np.array(lengths)[:, None]).mean()
    for batch_size in (1, 2, 5):
        assert model.evaluate(ids(5, 4), labels, batch_size, lengths=lengths)["loss"] == pytest.approx(value, rel=1e-12)


def data() -> tuple[Array, Array]:
    """Classes that take turns, under noise."""
    random = np.random.default_rng(0)
    y = (np.arange(7) + random.integers(3, size=(24, 1))) % 3
    return np.eye(3)[y] + random.normal(size=(24, 7, 3)), y


def test_a_model_learns_and_decodes() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    x, y = data()
    before = model.evaluate(x, y)
    history = model.fit(x, y, batch_size=8, epochs=40, validation_data=(x, y), verbose=False).history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    after = model.evaluate(x, y)
    assert after["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)
    assert after["loss"] < 0.2 * before["loss"]
    prediction = model.predict(x)
    assert after["accuracy"] == pytest.approx((prediction.argmax(axis=2) == y).mean())
    decoded = crf_decode(prediction, **of_loss(model))
    assert (decoded.paths[0] == y).mean() > 0.95
    right = np.flatnonzero((decoded.paths[0] == y).all(axis=1))[:2]
    assert -decoded.scores[right, 0] == pytest.approx(losses_of(prediction[right], y[right], of_loss(model)), rel=1e-4, abs=1e-4)


def test_threads_train_to_the_same_bits() -> None:
    x, y = data()
    found: list[list[bytes]] = []
    for threads in (1, 3):
        model = rnnspec.compile(SPEC, seed=1)
        model.threads = threads
        model.fit(x, y, epochs=2, batch_size=8, shuffle=False, lengths=[7, 3, 5] * 8, verbose=False)
        found.append([value.tobytes() for value in model.get_weights()])
    assert found[0] == found[1]


def test_a_reversed_output_is_read_as_it_is_shown() -> None:
    """The class before a step is the one that a reader sees before it."""
    spec = SPEC.replace("GRU(6, ", "GRU(6, go_backwards = true, ")
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    assert model.signature.outputs[0].flip
    put(model, **drawn(1, 1, 3)[1])
    x, y = (each[:4] for each in data())
    lengths = [7, 4, 1, 5]
    real = np.arange(7)[::-1] < np.array(lengths)[:, None]
    value = losses_of(np.asarray(model.forward(x, lengths=lengths)), y, of_loss(model), real).mean()
    assert model.evaluate(x, y, lengths=lengths)["loss"] == pytest.approx(value, rel=1e-12)


def test_two_outputs_have_weights_of_their_own() -> None:
    spec = """model Two {
    input x: float[time, 3]
    h = GRU(4, return_sequences = true)
    a = h -> Dense(3)
    b = h -> Dense(2)
    output a, b
    train { loss = crf  loss_weights = [1, 0.5]  optimizer = SGD(learning_rate = 0.1) }
}
"""
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    assert [name for name in model.weights if name.startswith("crf/")] == [f"crf/{output}/{name}" for output in "ab" for name in WEIGHTS]
    x, y = data()
    labels = [y, y % 2]
    for _ in range(3):
        given = model.forward(x[:4])
        each = [
            losses_of(np.asarray(one), own[:4], of_loss(model, output)).mean() for one, own, output in zip(given, labels, "ab", strict=True)
        ]
        logs = model.train_on_batch(x[:4], [own[:4] for own in labels], return_dict=True)
        assert logs == pytest.approx({"loss": each[0] + 0.5 * each[1], "a_loss": each[0], "b_loss": each[1]}, rel=1e-12)


def test_the_weights_are_kept_with_the_model() -> None:
    x, y = data()
    model = rnnspec.compile(SPEC, seed=1)
    model.fit(x, y, epochs=2, verbose=False)
    file = io.BytesIO()
    model.save(file)
    for other in (rnnspec.load(file.getvalue()), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert list(other.weights) == list(model.weights)
        assert other.weights["crf/dense/transitions"].any()
        assert [value.tobytes() for value in other.get_weights()] == [value.tobytes() for value in model.get_weights()]
        assert other.evaluate(x, y) == model.evaluate(x, y)


def test_the_weights_are_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = rnnspec.compile(SPEC, seed=1)
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("crf")] == [["crf/dense", "loss", "(batch,", "1)", "15"]]
    assert lines[-1] == f"{sum(value.size for value in model.get_weights())} weights"


def test_inference_does_not_depend_on_the_weights() -> None:
    x, _ = data()
    model, plain = (
        rnnspec.compile(SPEC, seed=1),
        rnnspec.compile(SPEC.replace("loss = crf", "loss = mse").replace("[accuracy]", "[]"), seed=1),
    )
    model.set_weights({**model.weights, **plain.weights})
    put(model, transitions=np.ones((3, 3)))
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    stream, other = model.stream(), plain.stream()
    for step in x[0]:
        np.testing.assert_array_equal(stream.step(step[None]), other.step(step[None]))
    assert "transitions" not in model.inspect("tensor")


def test_another_loss_leaves_the_weights_as_they_are() -> None:
    x, y = data()
    model = rnnspec.compile(SPEC, seed=1)
    model.fit(x, y, epochs=1, verbose=False)
    before = of_loss(model)
    model.configure(loss="sparse_categorical_crossentropy", optimizer="Adam")
    model.fit(x, y, epochs=1, verbose=False)
    model.configure(loss=CRF())
    after = of_loss(model)
    assert {name: value.tobytes() for name, value in before.items()} == {name: value.tobytes() for name, value in after.items()}
    model.fit(x, y, epochs=1, verbose=False)
    assert (of_loss(model)["transitions"] != before["transitions"]).any()


def test_a_penalty_is_on_the_layers_weights_alone() -> None:
    x, y = data()
    spec = SPEC.replace("Dense(classes)", "Dense(classes, kernel_regularizer = l2(0.1))")
    model = rnnspec.compile(spec, dtype="float64", seed=1)
    value = losses_of(np.asarray(model.forward(x[:3])), y[:3], of_loss(model)).mean() + 0.1 * (model.weights["dense/kernel"] ** 2).sum()
    assert model.evaluate(x[:3], y[:3])["loss"] == pytest.approx(value, rel=1e-12)
    put(model, first=np.full(3, 100.0))
    assert model.evaluate(x[:3], y[:3])["loss"] == pytest.approx(value, rel=1e-10), "equal scores for all classes change nothing"


def test_weights_of_a_model_without_the_loss_are_not_made_up() -> None:
    model = rnnspec.compile(SPEC.replace("loss = crf", "loss = mse").replace("[accuracy]", "[]"), seed=1)
    message = (
        r"^loss crf has weights of its own, which a model has for the outputs that have this loss, "
        r"with the same arguments, in the spec's train section$"
    )
    for loss in ("crf", "CRF", CRF()):
        with pytest.raises(ValueError, match=message):
            model.configure(loss=loss)
    with pytest.raises(ValueError, match=message):
        rnnspec.compile(SPEC, seed=1).configure(loss=CRF(boundaries=False))
    two = "model T { input x: float[time, 3]  a = x -> Dense(3)  b = x -> Dense(3)  output a, b  train { loss = [crf, mse] } }"
    with pytest.raises(ValueError, match=f"^output b: {message[1:]}"):
        rnnspec.compile(two, seed=1).configure(loss="crf")


def test_it_is_no_metric() -> None:
    with pytest.raises(ValueError, match=r"^no metric is called crf; there are "):
        rnnspec.compile(SPEC, seed=1).configure(metrics=["crf"])
    with pytest.raises(rnnspec.SpecError, match="`crf` is a loss, not a metric"):
        rnnspec.compile(SPEC.replace("[accuracy]", "[crf]"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((24, 5)), "targets: expected shape (24, 7), got (24, 5)"),
        (np.full((24, 7), 3), "targets, sample 0, step 0: expected a class in 0..2, got 3"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        rnnspec.compile(SPEC, seed=1).train_on_batch(data()[0], labels)
    assert str(raised.value).startswith(message)


def test_keras_weights_are_those_of_the_layers() -> None:
    """As the page says: a Keras model has layers, and no weights of the loss."""
    from rnnspec.interop.keras import weights_for

    class Weight:
        def __init__(self, path: str, values: Array) -> None:
            self.path, self.numpy = f"sequential/{path}", lambda: values

    model = rnnspec.compile(SPEC, seed=1)
    put(model, transitions=np.ones((3, 3)))
    given = [Weight(name, np.full(value.shape, 0.5)) for name, value in model.weights.items() if not name.startswith("crf/")]
    with pytest.raises(ValueError, match=r"^the layers with weights are gru, dense, crf; in Keras they are gru, dense$"):
        weights_for(model.weights, given)
    layers = [name for name in model.weights if not name.startswith("crf/")]
    model.set_weights({**model.weights, **weights_for(layers, given)})
    assert all((value == 0.5).all() for name, value in model.weights.items() if name in layers)
    assert (of_loss(model)["transitions"] == 1).all()


def test_a_large_table_is_updated_late_beside_them() -> None:
    """Rows of a table that no batch reads are brought up to date when they are read; the loss's weights are updated at once."""
    spec = """model Words {
    input t: int[time]
    Embedding(%d, 8)
    Dense(3)
    train { loss = crf  optimizer = Adam(learning_rate = 0.05) }
}
"""
    random = np.random.default_rng(0)
    t, y = random.integers(0, 50, (16, 5)), random.integers(0, 3, (16, 5))
    small, large = rnnspec.compile(spec % 50, dtype="float64", seed=1), rnnspec.compile(spec % 40_000, dtype="float64", seed=1)
    rows = small.weights["embedding/embeddings"]
    table = large.weights["embedding/embeddings"].copy()
    table[:50] = rows
    large.set_weights({**small.weights, "embedding/embeddings": table})
    histories = [model.fit(t, y, batch_size=4, epochs=3, shuffle=False, verbose=False).history for model in (small, large)]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-10)
    for name, value in of_loss(small).items():
        np.testing.assert_allclose(value, of_loss(large)[name], rtol=0, atol=1e-12)


def test_class_weights_are_weights_of_steps() -> None:
    prediction, weights, labels = drawn(4, 5, 3)
    model = scores(4, 5, 3)
    set_scores(model, prediction, weights)
    of_classes = np.array([0.5, 2.0, 1.0])
    each = losses_of(prediction, labels, weights) * of_classes[labels].mean(axis=1)
    assert model.train_on_batch(ids(4, 5), labels, class_weight=dict(enumerate(of_classes))) == pytest.approx(each.mean(), rel=1e-12)


def test_many_classes_take_no_more_text() -> None:
    model = rnnspec.compile("model Tags { input x: float[time, 4] Dense(300) train { loss = crf optimizer = SGD() } }", seed=1)
    loss = model.train_on_batch(np.zeros((2, 3, 4)), np.zeros((2, 3), int))
    assert loss == pytest.approx(3 * np.log(300), rel=1e-5)
