"""Weights by name where some may be absent: what is set, and what is said of all others."""

from __future__ import annotations

import numpy as np
import pytest

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
