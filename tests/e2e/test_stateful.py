"""Stateful layers: what a call leaves for the next one, for how many samples, and how it starts anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.diagnostics import StateWarning
from rnnspec.training.model import Model

Array = NDArray[Any]

BATCH, TIME = 4, 6
X = np.random.default_rng(0).normal(size=(BATCH, TIME, 3)).astype(np.float32)

LAYERS = {
    "SimpleRNN": "SimpleRNN(4, stateful = true, return_sequences = true)",
    "LSTM": "LSTM(4, stateful = true, return_sequences = true)",
    "GRU": "GRU(4, stateful = true, return_sequences = true, zero_output_for_mask = true)",
    "two and one that isn't": "LSTM(3, stateful = true, return_sequences = true) GRU(3, return_sequences = true, stateful = true) Dense(2)",
}


def compiled(body: str, dtype: str = "float32") -> Model:
    return rnnspec.compile(f"model Case {{ input x: float[time, 3] {body} }}", dtype=dtype, seed=1)


@pytest.mark.parametrize("name", LAYERS)
def test_two_calls_are_one_of_both(name: str) -> None:
    model, whole = compiled(LAYERS[name]), compiled(LAYERS[name])
    expected = whole.forward(X)
    assert np.array_equal(model.forward(X[:, :2]), expected[:, :2])
    assert np.array_equal(model.forward(X[:, 2:3]), expected[:, 2:3])
    assert np.array_equal(model.predict(X[:, 3:]), expected[:, 3:])


def test_training_goes_on_with_the_states_too_and_draws() -> None:
    models = [compiled("LSTM(4, stateful = true, dropout = 0.5, return_sequences = true)") for _ in range(2)]
    plain = models[0].forward(X)
    models[0].reset_states()
    drawn = [model.forward(X, training=True) for model in models]
    assert np.array_equal(*drawn), "of one seed"
    assert not np.array_equal(drawn[0], plain)
    again = models[0].forward(X, training=True)
    models[1].reset_states()
    assert not np.array_equal(again, models[1].forward(X, training=True))


def test_masked_steps_leave_the_state_as_it_was() -> None:
    """What is shown before a call's first real step is 0, not what the call before ended with."""
    model, whole = compiled(LAYERS["LSTM"]), compiled(LAYERS["LSTM"])
    expected = whole.forward(X)
    model.forward(X[:, :3])
    mask = np.array([[False, True, True, True]] * BATCH)
    mask[0] = False
    second = model.forward(
        np.concatenate([np.full_like(X[:, :1], np.nan), np.where(mask[:, 1:, None], X[:, 3:], np.nan)], axis=1), mask=mask
    )
    assert not second[:, 0].any()
    assert not second[0].any()
    assert np.array_equal(second[1:, 1:], expected[1:, 3:])
    assert np.array_equal(model.forward(X[:, 3:])[0], expected[0, 3:])


def test_backwards_goes_on_from_where_the_walk_ended() -> None:
    model = compiled("GRU(4, stateful = true, go_backwards = true, return_sequences = true)")
    turned = compiled("GRU(4, stateful = true, return_sequences = true)")
    for part in (X[:, :3], X[:, 3:]):
        assert np.array_equal(model.forward(part), turned.forward(part[:, ::-1]))


def test_both_directions_carry_their_own() -> None:
    body = "Bidirectional(LSTM(4, stateful = true, return_state = true))"
    model = compiled(body)
    first, *states = model.forward(X)
    again, *after = model.forward(X)
    assert not np.array_equal(first, again)
    assert not any(np.array_equal(one, other) for one, other in zip(states, after, strict=True))
    model.reset_states()
    assert np.array_equal(model.forward(X)[0], first)


def test_the_first_call_fixes_the_number_of_samples() -> None:
    model = compiled(LAYERS["GRU"])
    first = model.forward(X)
    message = "a stateful model goes on with the 4 samples of its first call, got 3; reset_states\\(\\) starts anew"
    for call in (model.forward, model.predict):
        with pytest.raises(ValueError, match=message):
            call(X[:3])
    with pytest.raises(ValueError, match="x: expected 3 features, got 2"):
        model.forward(X[..., :2])
    second = model.forward(X)
    model.reset_states()
    assert np.array_equal(model.forward(X[:3]), first[:3])
    assert np.array_equal(model.forward(X[:3]), second[:3])


def test_reset_is_for_every_model() -> None:
    model = compiled("LSTM(4)")
    first = model.forward(X)
    model.reset_states()
    assert np.array_equal(model.forward(X), first)


def test_no_gradient_flows_to_the_call_before() -> None:
    """A call's gradients are those of that call alone, with its states as constants: central differences of the second call."""
    model = compiled("LSTM(4, stateful = true)", "float64")
    x = X.astype(np.float64)
    weights = model.get_weights()

    def second(changed: list[Array], step: float, along: list[Array]) -> Array:
        """The output of the second call, of changed weights, after a first call of unchanged ones."""
        model.reset_states()
        model.set_weights(weights)
        model.forward(x[:, :3])
        model.set_weights([weight + step * direction for weight, direction in zip(changed, along, strict=True)])
        return model.forward(x[:, 3:])

    random = np.random.default_rng(1)
    along = [random.normal(size=weight.shape) for weight in weights]
    numeric = (second(weights, 1e-5, along) - second(weights, -1e-5, along)).sum() / 2e-5
    model.reset_states()
    model.set_weights(weights)
    _, early = model.forward(x[:, :3], record=True)
    output, tape = model.forward(x[:, 3:], record=True)
    gradients = model.backward(tape, np.ones_like(output))
    slope = sum(float((gradients.weights[name] * direction).sum()) for name, direction in zip(model.weights, along, strict=True))
    assert slope == pytest.approx(numeric, rel=1e-6)
    assert gradients.inputs["x"].shape == (BATCH, 3, 3)
    assert np.isfinite(model.backward(early, np.ones((BATCH, 4))).inputs["x"]).all()


def test_what_is_carried_is_not_the_caller_s_to_write_to() -> None:
    """A state that is an output as well."""
    body = "LSTM(4, stateful = true, return_state = true)"
    model, untouched = compiled(body), compiled(body)
    untouched.forward(X)
    for output in model.forward(X):
        output[:] = 9.0
    assert np.array_equal(model.forward(X)[0], untouched.forward(X)[0])


def test_recording_carries_as_well() -> None:
    model, other = compiled(LAYERS["LSTM"]), compiled(LAYERS["LSTM"])
    for part in (X[:, :3], X[:, 3:]):
        recorded, _ = model.forward(part, record=True)
        assert np.array_equal(recorded, other.forward(part))


def test_training_carries_and_can_start_anew() -> None:
    spec = "GRU(4, stateful = true) Dense(1) train { loss = mse optimizer = SGD(0.0) }"
    model = compiled(spec)
    y = np.zeros((BATCH, 1), np.float32)
    first, second = model.train_on_batch(X, y), model.train_on_batch(X, y)
    assert first != second
    model.reset_states()
    assert model.train_on_batch(X, y) == first
    assert model.train_on_batch(X, y) == second
    model.reset_states()
    history = model.fit(X, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=False).history["loss"]
    assert history == pytest.approx([first, second], rel=1e-6)


TRAINED = "GRU(4, stateful = true) Dense(1) train { loss = mse optimizer = SGD(0.1) }"
SAMPLES = np.random.default_rng(3).normal(size=(10, TIME, 3))
TARGETS = np.random.default_rng(4).normal(size=(10, 1))


def fit(model: Model, samples: int = 8, **options: Any) -> dict[str, list[Any]]:
    given: dict[str, Any] = {"batch_size": 4, "shuffle": False, "verbose": False, **options}
    return model.fit(SAMPLES[:samples], TARGETS[:samples], **given).history


SIZES = {
    "fit": (lambda model: fit(model, 10), "10 samples in batches of 4 end with one of 2; a batch_size of 2 divides them, or leave 2 out"),
    "a split": (lambda model: fit(model, validation_split=0.25), "6 samples in batches of 4 end with one of 2; a batch_size of 3 divides"),
    "a split's validation": (
        lambda model: fit(model, 10, validation_split=0.6, batch_size=4),
        "validation: a stateful model .* 6 samples in batches of 4 end with one of 2",
    ),
    "validation": (
        lambda model: fit(model, validation_data=(SAMPLES[:5], TARGETS[:5])),
        "validation: a stateful model .* 5 samples in batches of 4 end with one of 1; a batch_size of 1 divides them, or leave 1 out",
    ),
    "evaluate": (lambda model: model.evaluate(SAMPLES, TARGETS, batch_size=3), "10 samples in batches of 3 end with one of 1"),
    "predict": (lambda model: model.predict(SAMPLES, batch_size=3), "10 samples in batches of 3 end with one of 1"),
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_of_batches_are_checked_before_the_first(case: str) -> None:
    """A weight or a state that a first batch has moved is lost to who meant another size."""
    model, (call, message) = compiled(TRAINED), SIZES[case]
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        call(model)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
    assert np.array_equal(model.forward(SAMPLES[:3]), compiled(TRAINED).forward(SAMPLES[:3])), "no state was begun"


def test_states_of_an_earlier_call_fix_the_size_of_fit() -> None:
    model = compiled(TRAINED)
    model.predict(SAMPLES[:2])
    before = model.get_weights()
    message = r"goes on with the 2 samples of its first call, got 4; a batch_size of 2 goes on with them; reset_states\(\) starts anew"
    with pytest.raises(ValueError, match=message):
        fit(model)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
    fit(model, batch_size=2)
    model.reset_states()
    fit(model)


@pytest.mark.parametrize("given", ["data", "split"])
def test_validation_has_states_of_its_own(given: str) -> None:
    """Each epoch's validation begins from zeros, with any number of samples, and training goes on as if there were none."""
    plain, watched = compiled(TRAINED), compiled(TRAINED)
    held_out = SAMPLES[8:], TARGETS[8:]
    for epoch in range(2):
        alone = fit(plain)
        history = fit(watched, validation_data=held_out) if given == "data" else fit(watched, 10, validation_split=0.2)
        assert history["loss"] == alone["loss"], epoch
        assert all(np.array_equal(*pair) for pair in zip(plain.get_weights(), watched.get_weights(), strict=True))
        fresh = compiled(TRAINED)
        fresh.set_weights(watched.get_weights())
        assert history["val_loss"] == [fresh.evaluate(*held_out)["loss"]]
    assert np.array_equal(plain.forward(SAMPLES[:4]), watched.forward(SAMPLES[:4]))


def test_a_shuffled_stateful_fit_is_warned_of() -> None:
    model = compiled(TRAINED)
    with pytest.warns(StateWarning, match="each goes on with the states that another sample has left. shuffle=False"):
        fit(model, shuffle=None)
    with pytest.warns(StateWarning):
        fit(compiled(TRAINED.replace("SGD(0.1)", "SGD(0.1) shuffle = true")), shuffle=None)
    fit(compiled(TRAINED.replace("SGD(0.1)", "SGD(0.1) shuffle = false")), shuffle=None)


def test_a_file_has_the_states_that_a_model_goes_on_from(tmp_path: Path) -> None:
    model = compiled(LAYERS["LSTM"])
    first = model.forward(X)
    model.save(tmp_path / "model.rnnc")
    loaded = rnnspec.load(tmp_path / "model.rnnc")
    second = model.forward(X)
    assert np.array_equal(loaded.forward(X), second) and not np.array_equal(second, first)
    loaded.reset_states()
    assert np.array_equal(loaded.forward(X), first)


def test_a_source_that_gives_its_batches_in_its_own_order_is_not_warned_of() -> None:
    """Only the batches of an indexed one are shuffled."""
    model = rnnspec.compile(
        "model M { input x: float[time, 2]  GRU(2, stateful = true)  Dense(1)  train { loss = mse  optimizer = SGD() } }", seed=1
    )
    batches = [(np.ones((3, 4, 2)), np.ones((3, 1)))] * 2
    model.fit(iter(batches), verbose=False)
    model.fit(lambda: iter(batches), epochs=2, verbose=False)
    with pytest.warns(StateWarning, match="are shuffled"):
        model.fit(batches, verbose=False)
