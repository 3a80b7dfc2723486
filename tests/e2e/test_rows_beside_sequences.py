"""A row at every step of a sequence of any length: merges of both, and RepeatVector(like = s), against the row written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec

RANDOM = np.random.default_rng(3)
S, R = RANDOM.normal(size=(3, 5, 3)), RANDOM.normal(size=(3, 3))
LENGTHS = [5, 2, 3]
S[0, 1] = 0.0

LAYERS = {
    "Concatenate": "[s, r] -> Concatenate()",
    "Concatenate, the row first": "[r, s] -> Concatenate()",
    "Add": "[r, s] -> Add()",
    "Multiply": "[s, r] -> Multiply()",
    "Maximum": "[s, r, s] -> Maximum()",
    "after a mask": "[r, m] -> Concatenate()",
    "like": "x = r -> RepeatVector(like = s)\n    [x, s] -> Concatenate()",
    "like a mask": "x = r -> RepeatVector(like = m)\n    [x, m] -> Add()",
}


def model(line: str, row: str) -> rnnspec.Model:
    text = f"""
model Beside {{
    input s: float[time, 3]
    input r: {row}

    {"m = s -> Masking()" if "m]" in line else ""}
    {line} -> LSTM(4, return_sequences = true) -> Dense(2)
}}
"""
    return rnnspec.compile(text, dtype="float64", seed=0)


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_is_at_every_real_step(name: str) -> None:
    """Outputs and gradients, masks included: the row's gradient is the sum over its steps."""
    line = LAYERS[name]
    made = model(line, "float[3]")
    rows = np.repeat(R[:, None], 5, axis=1)
    y, tape = made.forward({"s": S, "r": R}, lengths={"s": LENGTHS}, record=True)
    if "m]" in line:  # a step that both mask: the row written out has no mask of the spec's
        compact = S[:1, [0, 2, 3, 4]], R[:1]
        np.testing.assert_array_equal(y[:1, [0, 2, 3, 4]], made.forward({"s": compact[0], "r": compact[1]}))
        return
    by_hand = line.replace("x = r -> RepeatVector(like = s)\n    ", "").replace("[x,", "[r,")
    written = model(by_hand, "float[time, 3]")
    expected, other = written.forward({"s": S, "r": rows}, lengths={"s": LENGTHS, "r": LENGTHS}, record=True)
    real = np.arange(5) < np.array(LENGTHS)[:, None]
    np.testing.assert_allclose(y[real], expected[real], rtol=1e-14)
    dy = RANDOM.normal(size=y.shape) * real[..., None]
    found, wanted = made.backward(tape, dy), written.backward(other, dy)
    np.testing.assert_allclose(found.inputs["s"], wanted.inputs["s"], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.inputs["r"], wanted.inputs["r"].sum(axis=1), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", LAYERS)
def test_companions_and_padding_change_nothing(name: str) -> None:
    made = model(LAYERS[name], "float[3]")
    whole = made.forward({"s": S, "r": R}, lengths={"s": LENGTHS})
    for row, length in enumerate(LENGTHS):
        alone = made.forward({"s": S[row : row + 1, :length], "r": R[row : row + 1]})
        np.testing.assert_array_equal(whole[row, :length], alone[0])


def test_it_does_not_stream() -> None:
    for name in ("Add", "like"):
        with pytest.raises(ValueError, match="can't stream"):
            model(LAYERS[name], "float[3]").stream()
