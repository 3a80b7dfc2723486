"""Arrays that aren't as native code takes them are looked at and converted a part at a time, to the bits of arrays that are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.runtime.data import columns

FLOATS = """
model Floats {
    input series: float[time, 4]

    {masking}
    GRU(3, return_sequences = true)
    Dense(2)

    train {
        loss       = mse
        optimizer  = SGD(learning_rate = 0.1)
        batch_size = 8
    }
}
"""

IDS = """
model Ids {
    input words: int[time]

    Embedding(9, 3, mask_zero = true)
    GRU(3)
    Dense(1)

    train {
        loss       = mse
        optimizer  = SGD(learning_rate = 0.1)
        batch_size = 8
    }
}
"""

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(-8, 9, (40, 6, 4)).astype(np.float32)
Y = RANDOM.integers(-8, 9, (40, 6, 2)).astype(np.float32)
WORDS = RANDOM.integers(0, 9, (40, 6)).astype(np.int32)
X[RANDOM.random((40, 6)) < 0.2] = -2.0


def trained(spec: str, x: Any, y: Any) -> tuple[Any, ...]:
    model = rnnspec.compile(spec, seed=0)
    history = model.fit(x, y, epochs=2, seed=1, verbose=False)
    return history.history, model.predict(x).tobytes(), model.evaluate(x, y), *(value.tobytes() for value in model.get_weights())


def windows(x: Any) -> Any:
    """The same values as a view whose steps aren't one after the other."""
    return np.repeat(x, 2, axis=1)[:, ::2]


FORMS: dict[str, Callable[[Any], Any]] = {
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "int8": lambda x: x.astype(np.int8),
    "big-endian": lambda x: x.astype(">f8"),
    "Fortran": np.asfortranarray,
    "strided": windows,
    "as it is": lambda x: x,
}


MASKING = "Masking(mask_value = -2.0)"
CASES = [
    *((form, "", None) for form in FORMS),
    *((form, MASKING, None) for form in ("float64", "float16", "int8", "as it is")),
    ("float64", MASKING, 3),
    ("strided", "", 3),
]


@pytest.mark.parametrize(("form", "masking", "truncate"), CASES)
def test_parts_have_the_bits_of_the_whole(form: str, masking: str, truncate: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = FLOATS.replace("{masking}", masking)
    if truncate is not None:
        spec = spec.replace("batch_size = 8", f"batch_size = 8  truncate = {truncate}")
    expected = trained(spec, X, Y)
    monkeypatch.setattr(columns, "PART", 100)
    assert trained(spec, FORMS[form](X), FORMS[form](Y)) == expected


@pytest.mark.parametrize("form", ["int64", "uint8", "float64", "int32"])
def test_ids_in_parts(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(IDS, WORDS, Y[:, 0, 0])
    monkeypatch.setattr(columns, "PART", 50)
    assert trained(IDS, WORDS.astype(form), Y[:, 0, 0]) == expected
    assert trained(IDS, windows(WORDS.astype(form)), Y[:, 0, 0]) == expected


def test_faults_have_their_places_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PART", 100)
    model, words = rnnspec.compile(FLOATS.replace("{masking}", ""), seed=0), rnnspec.compile(IDS, seed=0)
    x, y, ids = X.astype(float), Y.astype(float), WORDS.astype(np.int64)
    x[31, 2, 3], y[33, 1, 1], ids[37, 4] = 1e300, np.nan, 9
    with pytest.raises(ValueError, match=r"input series, sample 31, step 2, feature 3: expected a value that float32 holds, got 1e\+300"):
        model.fit(x, Y, verbose=False)
    with pytest.raises(ValueError, match=r"targets, sample 33, step 1, feature 1: expected a finite float32, got nan"):
        model.fit(X, y, verbose=False)
    with pytest.raises(ValueError, match=r"input words, sample 37, step 4: expected a whole number in 0\.\.8 .* got 9"):
        words.predict(ids)
    real = np.ones((40, 6), bool)
    real[31, 2] = real[33, 1] = False
    model.fit(x, y, mask=real, verbose=False)
    words.predict(ids, lengths=[4] * 40)


@pytest.mark.parametrize("kind", ["memmap", "float16", "windows"])
def test_training_takes_no_second_array(kind: str, tmp_path: Path) -> None:
    """16 MB of steps, and more; what is allocated meanwhile is a few batches."""
    model = rnnspec.compile(FLOATS.replace("{masking}", ""), seed=0)
    samples, time = 8000, 64
    if kind == "windows":
        series = np.zeros((samples + time - 1, 4))
        x: Any = np.lib.stride_tricks.sliding_window_view(series, time, axis=0).swapaxes(1, 2)
    else:
        x = np.memmap(tmp_path / "x", np.float64 if kind == "memmap" else np.float16, "w+", shape=(samples, time, 4))
    y = np.memmap(tmp_path / "y", np.float64, "w+", shape=(samples, time, 2))
    model.fit(x[:512], y[:512], batch_size=256, verbose=False)
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=256, verbose=False)
        model.evaluate(x, y, batch_size=256)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20, f"{peak / 2**20:.1f} MiB"
