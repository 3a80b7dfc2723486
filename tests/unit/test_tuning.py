"""The knobs of a model's speed: where they are given, that they stay, and that they are what calls look at."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec import Tuning

SPEC = """model Case {
    input x: float[time, 3]
    LSTM(4)
    Dense(1)
    train {
        loss = mse
        optimizer = Adam()
    }
}
"""
CHOSEN = Tuning(least_saved_operations=0, spin_limit=1 << 40, calls_alone=3)
X = np.ones((5, 4, 3), np.float32)


def test_a_model_has_the_one_that_it_was_given(tmp_path: Path) -> None:
    model = rnnspec.compile(SPEC, seed=0, tuning=CHOSEN)
    assert model.tuning == CHOSEN
    assert rnnspec.compile(SPEC, seed=0).tuning == Tuning()
    model.save(tmp_path / "model.rnnc")
    assert rnnspec.load(tmp_path / "model.rnnc").tuning == Tuning(), "a file says nothing of the machine"
    assert rnnspec.load(tmp_path / "model.rnnc", tuning=CHOSEN).tuning == CHOSEN


def test_copies_keep_it() -> None:
    model = rnnspec.compile(SPEC, seed=0, tuning=CHOSEN)
    assert copy.copy(model).tuning == pickle.loads(pickle.dumps(model)).tuning == CHOSEN


def test_it_is_frozen_and_checked() -> None:
    model = rnnspec.compile(SPEC, seed=0)
    with pytest.raises(FrozenInstanceError):
        model.tuning.calls_alone = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"tuning: expected an rnnspec\.Tuning, got 3"):
        model.tuning = 3
    with pytest.raises(ValueError, match="tuning: expected"):
        rnnspec.compile(SPEC, tuning=None)  # type: ignore[arg-type]


def test_calls_look_at_it_at_once() -> None:
    model = rnnspec.compile(SPEC, seed=0)
    model.threads = 2
    expected = model.forward(X, mask=np.ones((5, 4), bool))
    assert model.threads_used == 1, "too little to do"
    model.tuning = CHOSEN
    assert np.array_equal(model.forward(X, mask=np.ones((5, 4), bool)), expected)
    assert model.threads_used == 2
    model.tuning = replace(CHOSEN, least_saved_operations=10**12)
    model.threads = 3
    model.forward(X, mask=np.ones((5, 4), bool))
    assert model.threads_used == 2, "the last call that was shared is the one before"


def test_no_knob_changes_a_bit() -> None:
    def trained(tuning: Tuning) -> list[bytes]:
        model = rnnspec.compile(SPEC, seed=0, tuning=tuning)
        model.threads = 2
        for _ in range(5):
            model.train_on_batch(X, np.zeros((5, 1)))
        return [weight.tobytes() for weight in [*model.get_weights(), model.predict(X), model.predict(X), model.predict(X)]]

    expected = trained(Tuning())
    for tuning in (CHOSEN, Tuning(direct_operations=0), Tuning(native_updates=False), Tuning(large_table=1, late_steps=2)):
        assert trained(tuning) == expected
