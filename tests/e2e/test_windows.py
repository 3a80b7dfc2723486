"""Layers that drop a mask or pair two sequences, called as a user calls them."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec

CONVOLUTION = "model M { input x: float[time, 3] Conv1D(4, 3, activation = tanh) MaxPooling1D(2) GRU(2) }"
ATTENTION = "model M { input x: float[time, 3] y = x -> GRU(4, return_sequences = true) [y, y] -> Attention(use_causal_mask = true) }"


def test_too_few_steps_for_the_windows_are_refused_before_native_code() -> None:
    model = rnnspec.compile(CONVOLUTION, seed=0)
    assert model.forward(np.ones((2, 4, 3))).shape == (2, 2)
    with pytest.raises(ValueError, match="input x: expected at least 4 steps, a window needs them, got 3"):
        model.forward(np.ones((2, 3, 3)))


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
def test_arrays_of_different_lengths_are_padded_alike_whatever_the_batches() -> None:
    """What a window sees beyond a sample's end doesn't depend on which samples stand beside it."""
    random = np.random.default_rng(0)
    samples = [random.normal(size=(time, 3)) for time in (4, 9, 5, 7)]
    model = rnnspec.compile(CONVOLUTION, seed=0, dtype="float64")
    whole = model.predict(samples, batch_size=4)
    for size in (1, 2, 3):
        np.testing.assert_array_equal(model.predict(samples, batch_size=size), whole)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
def test_training_data_of_different_lengths_is_padded_alike_as_well() -> None:
    """Batches are cut to their longest sample only where no layer looks beyond it."""
    random = np.random.default_rng(3)
    samples = [random.normal(size=(time, 3)) for time in (4, 9, 5, 7)]
    y = random.normal(size=(4, 2))
    model = rnnspec.compile(CONVOLUTION.replace("GRU(2) }", "GRU(2) train { loss = mse } }"), seed=0, dtype="float64")
    whole = model.evaluate(samples, y, batch_size=4)["loss"]
    for size in (1, 2, 3):
        assert model.evaluate(samples, y, batch_size=size)["loss"] == pytest.approx(whole, rel=1e-12)


def test_attention_of_large_scores() -> None:
    """The exponential of none of them is a float32."""
    x = np.array([[[0.0, 40.0, 0.0], [30.0, 0.0, 0.0], [0.0, 0.0, -20.0]]], np.float32)
    model = rnnspec.compile("model M { input a: float[time, 3], b: float[time, 3] [a, b] -> Attention() }")
    output, tape = model.forward({"a": x, "b": x}, record=True)
    np.testing.assert_array_equal(output, x)
    assert all(np.isfinite(gradient).all() for gradient in model.backward(tape, output).inputs.values())


def test_causal_attention_sees_nothing_later() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(2, 6, 3))
    model = rnnspec.compile(ATTENTION, seed=0, dtype="float64")
    before = model.forward(x)
    x[:, 4:] = 7.0
    after = model.forward(x)
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.all(before[:, 4:] != after[:, 4:])


def test_attention_doesn_t_depend_on_the_batch_or_the_padding() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(4, 5, 3)).astype(np.float32)
    model = rnnspec.compile(ATTENTION.replace("use_causal_mask = true", ""), seed=0)
    lengths = [5, 3, 0, 4]
    together = model.forward(x, lengths=lengths)
    assert np.all(together[2] == 0.0)
    for row, length in enumerate(lengths):
        if length:
            np.testing.assert_array_equal(model.forward(x[row : row + 1, :length]), together[row : row + 1, :length])


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ("AveragePooling1D(2, padding = same)", "average_pooling1d looks ahead"),
        ("[x, x] -> Concatenate(axis = 1)", "concatenate puts sequences one after the other"),
        ("Softmax(axis = 1)", "softmax looks at the whole sequence"),
        ("y = x -> LSTM(3, return_sequences = true) [x, y] -> Attention()", "attention looks at the whole sequence"),
    ],
)
def test_what_can_t_stream_says_why(layers: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rnnspec.compile(f"model M {{ input x: float[time, 3] {layers} }}").stream(1)
