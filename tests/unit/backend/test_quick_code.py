"""What the tests' quick code may differ in from a user's: its instructions, and no bit of a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec
from tests import quick_code

SPECS = {
    "cells": "Masking() Bidirectional(LSTM(5, return_sequences = true)) GRU(7) Dense(2, activation = softmax)",
    "layers": "LayerNormalization() a = Dense(4, activation = gelu) b = [a, a] -> Attention() GlobalMaxPooling1D() Dense(2)",
}
RANDOM = np.random.default_rng(3)
X, Y = RANDOM.normal(size=(9, 6, 3)), RANDOM.normal(size=(9, 2))


@pytest.mark.parametrize("name", SPECS)
def test_quick_code_gives_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quick_code.make_code_quickly(monkeypatch)
    spec = f"model Bits {{ input x: float[time, 3] {SPECS[name]} train {{ loss = mse optimizer = Adam(0.01) }} }}"

    def trained(fully: int) -> tuple[list[bytes], set[bytes]]:
        """The bits of outputs and weights, and all that was compiled."""
        folder = tmp_path / str(fully)
        monkeypatch.setenv("RNNSPEC_CACHE", str(folder))
        monkeypatch.setattr(quick_code, "FULLY", fully)
        model = rnnspec.compile(spec, seed=0)
        model.fit(X, Y, lengths=np.arange(9) % 6 + 1, epochs=2, batch_size=4, seed=0, verbose=False)
        bits = [array.tobytes() for array in (model.predict(X), *model.get_weights())]
        return bits, {path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    (quick, quick_objects), (full, full_objects) = trained(2**40), trained(1)
    assert quick == full
    assert len(quick_objects) == len(full_objects)
    assert len(full_objects - quick_objects) >= 3, "forward, record and backward are the same code"
