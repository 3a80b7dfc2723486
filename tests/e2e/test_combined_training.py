"""Settings of a training beside each other: each has the bits that it would have by itself, or by hand."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.callbacks import BackupAndRestore, LambdaCallback
from rnnspec.optimizers import SGD, Adam
from rnnspec.schedules import CosineDecay
from rnnspec.training.model import Model

RANDOM = np.random.default_rng(9)
SAMPLES, TIME, PART = 6, 7, 3
X = RANDOM.normal(size=(SAMPLES, TIME, 3)).astype(np.float32)
Y = RANDOM.normal(size=(SAMPLES, TIME, 2)).astype(np.float32)
CLASSES = RANDOM.integers(0, 2, (SAMPLES, TIME))
FIT: Mapping[str, Any] = {"batch_size": 2, "shuffle": False, "verbose": False}

LAYERS = """
    GRU(4, return_sequences = true, dropout = 0.2, name = "low" {low})
    LSTM(3, return_sequences = true, name = "high" {high})
    Dense(2, name = "head" {head})
"""


def compiled(frozen: str = "", settings: str = "", *, stateful: bool = False, loss: str = "mse") -> Model:
    """`frozen`: a layer that is frozen in the spec; a `stateful` model goes on from call to call."""
    said = {name: ", trainable = false" if name == frozen else "" for name in ("low", "high", "head")}
    for name in ("low", "high") if stateful else ():
        said[name] += ", stateful = true"
    layers = LAYERS.format(**said)
    train = f"train {{ loss = {loss}  optimizer = Adam(learning_rate = 0.05)  {settings} }}"
    return rnnspec.compile(f"model Both {{ input x: float[time, 3]\n{layers}\n{train} }}", seed=1)


def bits(model: Model, *layers: str) -> list[bytes]:
    """Of all weights, or of these layers'."""
    return [value.tobytes() for name, value in model.weights.items() if not layers or name.startswith(layers)]


@pytest.mark.parametrize("frozen", ["low", "head"])
def test_parts_beside_a_frozen_layer_have_the_bits_of_parts_by_hand(frozen: str) -> None:
    model, hand = compiled(frozen, f"truncate = {PART}"), compiled(frozen, stateful=True)
    before = bits(model, frozen)
    for _ in range(2):
        model.fit(X, Y, **FIT)
        for start in range(0, SAMPLES, 2):
            hand.reset_states()
            for step in range(0, TIME, PART):
                hand.train_on_batch(X[start : start + 2, step : step + PART], Y[start : start + 2, step : step + PART])
    assert bits(model) == bits(hand)
    assert bits(model, frozen) == before


def test_kept_states_beside_a_frozen_layer_change_no_bit() -> None:
    frozen = "high"
    plain, kept = compiled(frozen), compiled(frozen, "checkpoint = 2")
    for model in (plain, kept):
        model.fit(X, Y, epochs=2, **FIT)
    assert bits(plain) == bits(kept)
    assert bits(plain, frozen) == bits(compiled(), frozen)
    parts, both = compiled(frozen, f"truncate = {PART}"), compiled(frozen, f"truncate = {PART}  checkpoint = 2")
    for model in (parts, both):
        model.fit(X, Y, epochs=2, **FIT)
    assert bits(parts) == bits(both) != bits(plain)


OPTIMIZERS = {
    "schedule": lambda: SGD(CosineDecay(0.1, 5, warmup_target=0.2, warmup_steps=2), momentum=0.5),
    "average": lambda: Adam(0.05, use_ema=True, ema_momentum=0.5),
    "overwritten": lambda: Adam(0.05, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "gathered": lambda: Adam(0.05, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_layer_frozen_in_python_has_the_bits_of_one_frozen_in_the_spec(name: str) -> None:
    """Its weights stay, whatever the optimizer keeps of them; all others are updated as if it were a constant."""
    model, other = compiled(), compiled("high")
    model.layer("high").trainable = False
    before = bits(model, "high")
    for each in (model, other):
        each.configure(optimizer=OPTIMIZERS[name]())
        each.fit(X, Y, epochs=2, **FIT)
    assert bits(model) == bits(other)
    assert bits(model, "high") == before
    model.layer("high").trainable = True
    other.layer("high").trainable = True
    for each in (model, other):
        each.fit(X, Y, **FIT)
    assert bits(model) == bits(other)
    assert bits(model, "high") != before


def test_averages_of_a_frozen_layer_are_its_weights() -> None:
    """Set while it is frozen, they aren't set back to an older average at the end of a training."""
    model = compiled()
    model.configure(optimizer=Adam(0.05, use_ema=True))
    model.fit(X, Y, **FIT)
    model.layer("high").trainable = False
    model.set_weights({"high/kernel": np.ones_like(model.weights["high/kernel"])}, strict=False)
    model.fit(X, Y, **FIT)
    assert (model.weights["high/kernel"] == 1).all()


def test_classes_have_weights_in_a_stateful_model_too() -> None:
    """The bits of the same weights a step, over parts of sequences whose states go on."""
    loss = "sparse_categorical_crossentropy(from_logits = true)"
    model, other = (compiled(loss=loss, stateful=True) for _ in range(2))
    factors = {0: 0.5, 1: 3.0}
    steps = np.where(CLASSES == 1, 3.0, 0.5)
    for start in range(0, TIME, PART):
        part = slice(start, start + PART)
        one = model.train_on_batch(X[:, part], CLASSES[:, part], class_weight=factors)
        assert one == other.train_on_batch(X[:, part], CLASSES[:, part], steps[:, part])
    assert bits(model) == bits(other)
    for each, weights in ((model, {"class_weight": factors}), (other, {"sample_weight": steps})):
        each.reset_states()
        each.fit(X, CLASSES, batch_size=2, epochs=2, shuffle=False, verbose=False, **weights)  # type: ignore[arg-type]
    assert bits(model) == bits(other)


EVERYTHING = "truncate = 3  checkpoint = 2  batch_size = 2  validation_split = 0.34  seed = 5"


def everything() -> Model:
    model = compiled("high", EVERYTHING)
    schedule = CosineDecay(0.1, 9, warmup_target=0.2, warmup_steps=3)
    model.configure(optimizer=SGD(schedule, momentum=0.5, clipnorm=1.0, use_ema=True, gradient_accumulation_steps=4), metrics=["mae"])
    return model


def test_a_training_with_everything_at_once_goes_on_to_the_bit(tmp_path: Path) -> None:
    """By a file between two epochs; and from a checkpoint of one that was broken off: with a schedule, averages, gathered gradients,
    parts, kept states, dropout, shuffled samples, a frozen layer and validation."""
    whole = everything()
    history = whole.fit(X, Y, epochs=4, verbose=False).history

    def broken(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise OSError("no power")

    first = everything()
    with pytest.raises(OSError, match="no power"):
        first.fit(X, Y, epochs=4, verbose=False, callbacks=[BackupAndRestore(tmp_path / "b"), LambdaCallback(on_epoch_begin=broken)])
    second = everything()
    found = second.fit(X, Y, epochs=4, verbose=False, callbacks=[BackupAndRestore(tmp_path / "b"), LambdaCallback()])
    assert found.history == history
    assert bits(second) == bits(whole)


def test_a_file_between_two_trainings_with_everything_at_once_changes_no_bit() -> None:
    """The weights become their averages at the end of each, and what waits goes on waiting."""
    one, other = everything(), everything()
    for _ in range(2):
        other.fit(X, Y, epochs=2, verbose=False)
        one.fit(X, Y, epochs=2, verbose=False)
        one.save(file := io.BytesIO())
        one = rnnspec.load(file.getvalue())
    assert bits(one) == bits(other)
    assert one.iterations == other.iterations and one.optimizer.accumulated == other.optimizer.accumulated
    for model in (one, other):
        model.fit(X, Y, epochs=4, initial_epoch=3, verbose=False)
    assert bits(one) == bits(other)


def test_gradients_of_a_short_group_wait_for_the_next_training() -> None:
    """Three batches a call in groups of two: the third goes into an update with the next call's first."""
    one, other = compiled(), compiled()
    for model in (one, other):
        model.configure(optimizer=SGD(0.1, gradient_accumulation_steps=2))
    one.fit(X, Y, **FIT)
    assert (one.iterations, one.optimizer.accumulated) == (1, 1)
    one.fit(X, Y, **FIT)
    other.fit(X, Y, epochs=2, **FIT)
    assert (one.iterations, one.optimizer.accumulated) == (3, 0)
    assert np.allclose(one.predict(X), other.predict(X))
