"""Text that is written out unit by unit: what a thread's stack couldn't hold is refused, with its line, before it is compiled."""

from __future__ import annotations

import numpy as np
import pytest

import rnnspec

SPEC = """
function summed(x, matrix, from, end) {
    when end - from == 1 {
        return exp(x[from] + matrix[from])
    } else {
        middle = from + floor((end - from) / 2)
        return summed(x, matrix, from, middle) + summed(x, matrix, middle, end)
    }
}

loss pairs {
    weight scores [features, features] = zeros
    state all [features]
    all' = summed(prediction, scores, 0, features)
    return mean(all')
}

model Written(units = 8) {
    input x: float[time, 4]
    Dense(units)
    train { loss = pairs  optimizer = SGD() }
}
"""


def trained(units: int) -> object:
    model = rnnspec.compile(SPEC, units=units, seed=1)
    return model.train_on_batch(np.zeros((2, 3, 4)), np.zeros((2, 3, units)))


def test_a_few_units_are_written_out() -> None:
    assert trained(8) == pytest.approx(8.0)


def test_too_many_are_refused_with_their_line() -> None:
    with pytest.raises(ValueError, match=r"<spec>:14,20: written out, this takes over 60,000 operations for each row, more than"):
        trained(300)
