"""Regularizers and constraints as a spec says them: which weights they are about, and where they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.signature import Config, WeightSignature

RANDOM = np.random.default_rng(8)
X, Y = RANDOM.normal(size=(6, 5, 3)), RANDOM.normal(size=(6, 2))
LENGTHS = [5, 3, 0, 1, 5, 2]


def compiled(
    *lines: str, of: str = "float[time, 3]", before: str = "", loss: str = "mse", optimizer: str = "SGD(0.1)", seed: int = 0
) -> Any:
    body = "\n".join(f"    {line}" for line in lines)
    train = f"    train {{ loss = mse optimizer = {optimizer} }}"
    return rnnspec.compile(f"{before}\nmodel Case {{\n    input x: {of}\n{body}\n{train}\n}}\n", dtype="float64", seed=0)


def weight_of(model: Any, name: str) -> WeightSignature:
    return next(weight for weight in model.signature.weights if weight.name == name)


L2 = Config("L2", (("l2", 0.1),))

# Which weights


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("L1", Config("L1", (("l1", 0.01),))),
        ("l1(0.5)", Config("L1", (("l1", 0.5),))),
        ("l2", Config("L2", (("l2", 0.01),))),
        ("L1L2", Config("L1L2", (("l1", 0.0), ("l2", 0.0)))),
        ("l1_l2(l2 = 0.1)", Config("L1L2", (("l1", 0.0), ("l2", 0.1)))),
        ('"l1l2"', Config("L1L2", (("l1", 0.0), ("l2", 0.0)))),
        ("orthogonal_regularizer", Config("OrthogonalRegularizer", (("factor", 0.01), ("mode", "rows")))),
        ("OrthogonalRegularizer(0.1, columns)", Config("OrthogonalRegularizer", (("factor", 0.1), ("mode", "columns")))),
        ("none", None),
    ],
)
def test_regularizers_by_every_spelling(written: str, expected: Config | None) -> None:
    model = compiled("LSTM(2)", f"Dense(2, kernel_regularizer = {written})")
    assert weight_of(model, "dense/kernel").regularizer == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("max_norm", Config("MaxNorm", (("max_value", 2.0), ("axis", 0)))),
        ("MaxNorm(3, axis = [0, 1])", Config("MaxNorm", (("max_value", 3.0), ("axis", (0, 1))))),
        ("NonNeg", Config("NonNeg")),
        ('"non_neg"', Config("NonNeg")),
        ("unit_norm(axis = -1)", Config("UnitNorm", (("axis", -1),))),
        ("min_max_norm(rate = 0.5)", Config("MinMaxNorm", (("min_value", 0.0), ("max_value", 1.0), ("rate", 0.5), ("axis", 0)))),
    ],
)
def test_constraints_by_every_spelling(written: str, expected: Config) -> None:
    model = compiled("LSTM(2)", f"Dense(2, kernel_constraint = {written})")
    assert weight_of(model, "dense/kernel").constraint == expected


CELL = """\
cell Mine(units, strength = 0.5, use_bias = true) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    weight bias             [units]           = ones if use_bias
    weight scale            [units]           = ones
    state  h [units]

    h' = tanh(x @ kernel + h @ recurrent_kernel + bias) * scale
    return h'
}
"""


def test_a_users_own_cell_has_the_options_of_every_recurrent_layer() -> None:
    model = compiled("Mine(2, recurrent_regularizer = L2(0.1), bias_constraint = non_neg)", before=CELL)
    assert [(weight.regularizer, weight.constraint) for weight in model.signature.weights] == [
        (None, None), (L2, None), (None, Config("NonNeg")), (None, None),
    ]  # fmt: skip


def test_an_option_about_a_bias_that_is_left_out_says_nothing() -> None:
    """As in Keras."""
    for written in ("Mine(2, use_bias = false, bias_regularizer = l2)", "LSTM(2, use_bias = false, bias_constraint = max_norm)"):
        model = compiled(written, before=CELL)
        assert all(weight.regularizer is weight.constraint is None for weight in model.signature.weights)


def test_both_directions_have_what_their_layer_has() -> None:
    model = compiled("Bidirectional(GRU(1, kernel_regularizer = L2(0.1)), backward_layer = LSTM(1, go_backwards = true))")
    of = {weight.name: weight.regularizer for weight in model.signature.weights if weight.regularizer is not None}
    assert of == {"bidirectional/forward_gru/kernel": L2}
    model = compiled("Bidirectional(GRU(1, kernel_regularizer = L2(0.1)))")
    of = [weight.name for weight in model.signature.weights if weight.regularizer is not None]
    assert of == ["bidirectional/forward_gru/kernel", "bidirectional/backward_gru/kernel"]


def test_a_parameter_of_the_model_may_be_a_regularizer() -> None:
    spec = "model M(how = L2(0.1)) { input x: float[3] Dense(2, kernel_regularizer = how) }"
    assert rnnspec.compile(spec).signature.weights[0].regularizer == L2
    assert rnnspec.compile(spec, how="l1").signature.weights[0].regularizer == Config("L1", (("l1", 0.01),))


# Where they show


def test_penalties_are_part_of_the_loss_that_training_and_evaluation_report() -> None:
    plain = compiled("LSTM(2)", "Dense(2)")
    model = compiled("LSTM(2, kernel_regularizer = L2(0.1))", "Dense(2, bias_regularizer = L1(0.5))")
    shifted = [weight + 0.25 for weight in plain.get_weights()]
    for each in (plain, model):
        each.set_weights(shifted)
    weights = model.weights
    penalty = 0.1 * np.square(weights["lstm/kernel"]).sum() + 0.5 * np.abs(weights["dense/bias"]).sum()
    expected = plain.evaluate(X, Y)["loss"] + penalty
    assert model.evaluate(X, Y, batch_size=4)["loss"] == pytest.approx(expected)
    assert model.train_on_batch(X, Y) == pytest.approx(expected)
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=False).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y)["loss"])


def test_forward_and_backward_know_nothing_of_penalties() -> None:
    """They give the gradients of the caller's own cotangents."""
    options = "kernel_regularizer = L2(3), activity_regularizer = L1(3)"
    models = compiled(f"LSTM(2, {options})", f"Dense(2, {options})"), compiled("LSTM(2)", "Dense(2)")
    results = []
    for model in models:
        y, tape = model.forward(X, lengths=LENGTHS, record=True)
        results.append([y, *model.backward(tape, Y).weights.values(), model.predict(X)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_activity_penalty_is_a_mean_over_the_samples_however_they_fall_into_batches() -> None:
    plain, model = compiled("LSTM(2)", "Dense(2)"), compiled("LSTM(2, activity_regularizer = L2(0.7))", "Dense(2)")
    inner = compiled("LSTM(2)")
    inner.set_weights(model.get_weights()[:3])
    expected = plain.evaluate(X, Y, lengths=LENGTHS)["loss"] + 0.7 * np.square(inner.predict(X, lengths=LENGTHS)).sum() / len(X)
    for batch_size in (1, 4, 6):
        assert model.evaluate(X, Y, batch_size, lengths=LENGTHS)["loss"] == pytest.approx(expected)


def test_an_activity_penalty_sees_what_masked_steps_hold() -> None:
    """As in Keras: the held output of a padded step is penalised like that of a real one."""
    model = compiled("GRU(2, return_sequences = true, activity_regularizer = L1(1))")
    y = RANDOM.normal(size=(6, 5, 2))
    held = model.forward(X, lengths=LENGTHS)
    losses = np.square(held - y).mean(axis=2)[np.arange(5) < np.array(LENGTHS)[:, None]]
    assert model.evaluate(X, y, lengths=LENGTHS)["loss"] == pytest.approx(losses.mean() + np.abs(held).sum() / 6)


def test_a_shared_layer_is_penalised_once_for_its_weights_and_at_every_use_for_what_it_gives() -> None:
    uses = ("a = x -> encode", "b = a -> encode", "[a, b] -> Concatenate() -> Dense(2)")
    plain = compiled("shared encode = Dense(3)", *uses, of="float[3]")
    model = compiled("shared encode = Dense(3, kernel_regularizer = L2(0.1), activity_regularizer = L2(0.2))", *uses, of="float[3]")
    x = X[:, 0]
    kernel, bias = model.weights["encode/kernel"], model.weights["encode/bias"]
    a = x @ kernel + bias
    b = a @ kernel + bias
    penalty = 0.1 * np.square(kernel).sum() + 0.2 * (np.square(a).sum() + np.square(b).sum()) / 6
    assert model.evaluate(x, Y)["loss"] == pytest.approx(plain.evaluate(x, Y)["loss"] + penalty)


def test_a_penalised_output_is_still_the_models_output() -> None:
    """The same value given twice, and its gradient the sum of both."""
    model = compiled("Dense(2, activity_regularizer = L2(0.5))", of="float[3]")
    x, (kernel, bias) = X[:, 0], model.get_weights()
    y = x @ kernel + bias
    assert model.train_on_batch(x, Y) == pytest.approx(np.square(y - Y).mean() + 0.5 * np.square(y).sum() / 6)
    dy = 2 * (y - Y) / Y.size + y / 6
    np.testing.assert_allclose(model.weights["dense/kernel"], kernel - 0.1 * x.T @ dy, rtol=1e-12)


def test_a_stateful_model_carries_its_states_beside_the_penalised_outputs() -> None:
    plain = compiled("LSTM(2, stateful = true)", "Dense(2)")
    model = compiled("LSTM(2, stateful = true, activity_regularizer = L2(0))", "Dense(2, activity_regularizer = l2(0))")
    for _ in range(3):
        assert model.train_on_batch(X, Y) == plain.train_on_batch(X, Y)
    assert model.evaluate(X, Y) == plain.evaluate(X, Y)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))


def test_loss_and_penalty_are_of_one_draw_of_dropout() -> None:
    """In training what is penalised is what the layer gave in that very call."""
    model = compiled("Dropout(0.5)", "Dense(2, use_bias = false, activity_regularizer = L2(1))", of="float[3]", optimizer="SGD(0.0)")
    x = np.ones((1, 3))
    (kernel,) = model.get_weights()
    possible = [np.array([a, b, c]) * 2.0 @ kernel for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    losses = [float(np.square(y).mean() + np.square(y).sum()) for y in possible]
    for _ in range(20):
        found = model.train_on_batch(x, np.zeros((1, 2)))
        assert min(abs(found - loss) for loss in losses) < 1e-12


def test_frozen_weights_have_neither_penalty_nor_constraint() -> None:
    """As weights in Keras that aren't trained."""
    cell = CELL.replace("= orthogonal", "= orthogonal frozen")
    plain = compiled("Mine(2)", before=cell)
    model = compiled("Mine(2, recurrent_regularizer = L2(9), recurrent_constraint = non_neg)", before=cell)
    assert model.evaluate(X, Y) == plain.evaluate(X, Y)
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(model.weights["mine/recurrent_kernel"], plain.weights["mine/recurrent_kernel"])


def test_constraints_hold_after_an_update_and_not_before_it() -> None:
    """Of an embedding in every row, whether or not an id asked for it."""
    model = compiled("Embedding(9, 4, embeddings_constraint = UnitNorm(axis = 1))", "GRU(2)", of="int[time]")
    ids = np.array([[1, 2, 3], [3, 2, 1]])
    drawn = model.weights["embedding/embeddings"]
    model.evaluate(ids, Y[:2])
    np.testing.assert_array_equal(model.weights["embedding/embeddings"], drawn)
    model.fit(ids, Y[:2], verbose=False)
    np.testing.assert_allclose(np.linalg.norm(model.weights["embedding/embeddings"], axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["Adam(0.1)", "RMSprop(0.1)", "SGD(0.1, momentum = 0.9)", "AdamW(0.1)"])
def test_constraints_hold_whatever_the_optimizer(optimizer: str) -> None:
    model = compiled("LSTM(2)", "Dense(2, kernel_constraint = non_neg)", optimizer=optimizer)
    model.fit(X, Y, epochs=3, batch_size=2, verbose=False)
    assert model.weights["dense/kernel"].min() >= 0.0


def test_a_clipped_gradient_holds_the_penalty_too() -> None:
    """Penalties are clipped with the rest, as in Keras: they are part of the loss."""
    model = compiled("LSTM(2)", "Dense(2, kernel_regularizer = L2(1000))", optimizer="SGD(1.0, global_clipnorm = 0.001)")
    before = model.get_weights()
    model.train_on_batch(X, Y)
    moved = np.sqrt(sum(np.square(one - other).sum() for one, other in zip(before, model.get_weights(), strict=True)))
    assert moved == pytest.approx(0.001)


def test_a_model_without_a_real_step_still_follows_its_penalties() -> None:
    model = compiled("GRU(2, return_sequences = true, kernel_regularizer = L2(0.1))")
    kernel = model.weights["gru/kernel"]
    loss = model.train_on_batch(X, np.zeros((6, 5, 2)), lengths=[0] * 6)
    assert loss == pytest.approx(0.1 * np.square(kernel).sum())
    np.testing.assert_allclose(model.weights["gru/kernel"], kernel * (1 - 0.1 * 0.2), rtol=1e-12)


def test_a_saved_model_goes_on_with_its_regularizers_and_constraints(tmp_path: Path) -> None:
    model = compiled("LSTM(2, kernel_regularizer = L1L2(0.1, 0.2), activity_regularizer = l1)", "Dense(2, bias_constraint = max_norm(0.5))")
    model.save(tmp_path / "model.rnnc")
    loaded = rnnspec.load(tmp_path / "model.rnnc")
    assert loaded.signature == model.signature
    assert loaded.train_on_batch(X, Y) == model.train_on_batch(X, Y)
    for name, value in model.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)
