"""Weights by name where some may be absent: what is set, and what is said of all others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.interop.safetensors import read_weights, write_weights
from rnnspec.runtime.model.weights import PartialWeights, WeightsError
from tests.unit.runtime.fake import model, signature

ONES = np.ones((3, 4))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dense/kernel": ONES}, PartialWeights(("dense/kernel",), ("dense/bias",), (), {})),
        ({"dense/bias": [[1.0]], "b": 1}, PartialWeights((), ("dense/kernel",), ("b",), {"dense/bias": (1, 1)})),
        ({"dense/kernel": ONES, "dense/bias": ONES[0]}, PartialWeights(("dense/kernel", "dense/bias"), (), (), {})),
        ({}, PartialWeights((), ("dense/kernel", "dense/bias"), (), {})),
    ],
)
def test_what_fits_is_set_and_all_else_is_told(given: dict[str, object], told: PartialWeights) -> None:
    found = model(signature())
    before = dict(found.weights)
    assert found.set_weights(given, strict=False) == told
    for name, value in found.weights.items():
        assert np.array_equal(value, np.ones_like(value) if name in told.taken else before[name])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([ONES], "the weights: strict=False goes by names: expected a mapping from them, got list"),
        ({"dense/kernel": ONES, "dense/bias": ["a"] * 4}, "weight dense/bias: "),
    ],
)
def test_what_is_no_mapping_of_numbers_is_refused_and_nothing_has_changed(given: object, message: str) -> None:
    found = model(signature())
    before = found.get_weights()
    with pytest.raises(WeightsError, match=f"^{message}"):
        found.set_weights(given, strict=False)  # type: ignore[call-overload]
    assert all(map(np.array_equal, found.get_weights(), before))


def test_strict_weights_are_all_or_none() -> None:
    with pytest.raises(WeightsError, match="the weights don't fit the model"):
        model(signature()).set_weights({"dense/kernel": ONES})


# Files


def test_a_file_has_the_weights_under_their_names(tmp_path: Path) -> None:
    found, other = model(signature(), seed=1), model(signature(), seed=2)
    found.save_weights(tmp_path / "w.safetensors")
    assert {name: value.tolist() for name, value in read_weights(tmp_path / "w.safetensors").items()} == {
        name: value.tolist() for name, value in found.weights.items()
    }
    other.load_weights(tmp_path / "w.safetensors")
    assert all(map(np.array_equal, found.get_weights(), other.get_weights()))


def test_a_part_is_taken_of_a_file_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", {"dense/kernel": ONES, "dense/bias": np.ones(3), "b": np.ones(1)})
    found = model(signature())
    with pytest.raises(ValueError, match=r"w\.safetensors: the weights don't fit the model; unknown: b"):
        found.load_weights(tmp_path / "w.safetensors")
    told = found.load_weights(tmp_path / "w.safetensors", strict=False)
    assert told == PartialWeights(("dense/kernel",), (), ("b",), {"dense/bias": (3,)})
    assert np.array_equal(found.weights["dense/kernel"], ONES) and not found.weights["dense/bias"].any()


def test_weights_of_a_models_file_without_the_state_of_its_training(tmp_path: Path) -> None:
    text = 'input x: float[3]  Dense(2, name = "first")  Dense(1) train { loss = mse  optimizer = Adam() } }'
    trained, other = (rnnspec.compile(f"model {name} {{ {text}", seed=seed) for seed, name in enumerate(("A", "B")))
    trained.fit(np.ones((4, 3)), np.ones(4), verbose=False)
    trained.save(tmp_path / "a.rnnc")
    other.load_weights(tmp_path / "a.rnnc")
    assert all(map(np.array_equal, trained.get_weights(), other.get_weights()))
    assert other.iterations == 0
    (tmp_path / "a.rnnc").rename(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors: it is a compiled model, not weights"):
        other.load_weights(tmp_path / "a.safetensors", strict=False)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.npz", "w", "w.rnnc"])
def test_weights_are_written_to_a_file_of_their_kind(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("save_weights: expected a name that ends in .safetensors")):
        model(signature()).save_weights(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_file_that_is_none_of_weights_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    found = model(signature())
    before = found.get_weights()
    with pytest.raises(ValueError, match=r"w\.safetensors: not a readable \.safetensors file"):
        found.load_weights(tmp_path / "w.safetensors")
    with pytest.raises(FileNotFoundError):
        found.load_weights(tmp_path / "none.rnnc")
    assert all(map(np.array_equal, found.get_weights(), before))
