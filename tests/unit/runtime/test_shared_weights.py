"""Weights that others write to, as an optimizer of another framework does: whatever has been prepared of them, each call sees them."""

from __future__ import annotations

import copy
import sys
from importlib import import_module

import numpy as np
import pytest

import rnnspec

SPEC = "model Shared { input x: float[time, 3]  LSTM(4)  Dense(2) }"


def test_each_call_sees_what_was_written() -> None:
    """Direct calls and streams, which check versions alone, must not go on with weights that they have prepared."""
    model = rnnspec.compile(SPEC, seed=1)
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    stream = model.stream(batch=2)
    before = [(model.predict(x), model.forward(x), stream.step(x[:, 0])) for _ in range(3)]
    stream.reset()
    shared = model.share_weights()
    assert np.shares_memory(shared["dense/bias"], model.share_weights()["dense/bias"])
    for _ in range(4):
        shared["dense/bias"][:] += 1
        expected = rnnspec.compile(SPEC, weights=model.get_weights()).predict(x)
        np.testing.assert_array_equal(model.predict(x), expected)
        np.testing.assert_array_equal(model.forward(x), expected)
        stream.reset()
        np.testing.assert_array_equal([stream.step(x[:, step]) for step in range(4)][-1], expected)
    assert not np.array_equal(model.predict(x), before[0][0])


def test_gradients_of_a_call_before_a_change_and_a_copy_of_ones_own() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    x = np.ones((1, 2, 3), np.float32)
    y, tape = model.forward(x, record=True)
    expected = model.backward(tape, y).weights["dense/kernel"]
    shared = model.share_weights()
    _, tape = model.forward(x, record=True)
    model.predict(x)
    np.testing.assert_array_equal(model.backward(tape, y).weights["dense/kernel"], expected)
    copied = copy.copy(model)
    shared["dense/bias"][:] = 5
    assert model.weights["dense/bias"][0] == 5 and copied.weights["dense/bias"][0] == 0


def test_without_pytorch_its_module_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "rnnspec.torch", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "rnnspec\[torch\]"'):
        import_module("rnnspec.torch")
