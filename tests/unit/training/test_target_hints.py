"""Advice on targets, followed: what it says to write is taken, and means the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnspec.runtime.data.validate import check_inputs
from rnnspec.training.examples import check_examples
from rnnspec.training.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, SparseCategoricalCrossentropy
from tests.unit.runtime.fake import signature, trained

X = np.ones((4, 5, 3), np.float32)
CLASSES = np.array([0, 2, 1, 2])
STEPS = np.array([[0, 2, 1, 2, 0]] * 4)

CASES: dict[str, tuple[Loss, int, bool, Any, Any]] = {
    "one-hot": (SparseCategoricalCrossentropy(), 3, False, np.eye(3)[CLASSES], CLASSES),
    "one-hot, steps": (SparseCategoricalCrossentropy(), 3, True, np.eye(3)[STEPS], STEPS),
    "class numbers": (CategoricalCrossentropy(), 3, False, CLASSES, np.eye(3)[CLASSES]),
    "class numbers in a column": (CategoricalCrossentropy(), 3, False, CLASSES[:, None], np.eye(3)[CLASSES]),
    "class numbers, steps": (CategoricalCrossentropy(), 3, True, STEPS, np.eye(3)[STEPS]),
    "two columns": (BinaryCrossentropy(), 1, False, np.eye(2)[[0, 1, 1, 0]], [0, 1, 1, 0]),
    "transposed": (MeanSquaredError(), 3, False, np.arange(12).reshape(3, 4), np.arange(12).reshape(3, 4).T),
    "from 1": (SparseCategoricalCrossentropy(), 3, False, np.array([1, 3, 2, 1]), [0, 2, 1, 0]),
    "one and two": (BinaryCrossentropy(), 1, False, np.array([1, 2, 2, 1]), [0, 1, 1, 0]),
    "minus one and one": (BinaryCrossentropy(), 1, False, np.array([-1, 1, 1, -1]), [0, 1, 1, 0]),
    "a list of numbers": (CategoricalCrossentropy(), 3, False, CLASSES.tolist(), np.eye(3)[CLASSES]),
    "floats": (CategoricalCrossentropy(), 3, False, CLASSES.astype(float), np.eye(3)[CLASSES]),
    "a list of rows": (SparseCategoricalCrossentropy(), 3, False, np.eye(3)[CLASSES].tolist(), CLASSES),
    "a list from 1": (SparseCategoricalCrossentropy(), 3, False, [1, 3, 2, 1], [0, 2, 1, 0]),
    "a list of names": (SparseCategoricalCrossentropy(), 3, False, ["a", "c", "b", "c"], CLASSES),
    "names": (SparseCategoricalCrossentropy(), 3, False, np.array(["a", "c", "b", "c"]), CLASSES),
}


def check(loss: Loss, width: int, sequence: bool, y: object) -> np.ndarray:
    made_for = signature(sequence=sequence, width=width)
    inputs = check_inputs(made_for, X)
    return check_examples(inputs, trained(made_for.outputs, [loss]), "float32", y).batch(slice(0, 4)).targets[0].targets


@pytest.mark.parametrize("name", CASES)
def test_the_advice_is_taken(name: str) -> None:
    loss, width, sequence, y, meant = CASES[name]
    with pytest.raises(ValueError) as raised:
        check(loss, width, sequence, y)
    expression = str(raised.value).split("`")[1]
    made = eval(expression, {"np": np, "y": y})
    made = made[1] if isinstance(made, tuple) else made
    found = check(loss, width, sequence, made)
    np.testing.assert_array_equal(found.reshape(-1), np.reshape(np.asarray(meant), -1))


@pytest.mark.parametrize("y", [CLASSES, CLASSES[:, None], CLASSES.tolist()], ids=["numbers", "column", "list"])
def test_one_target_for_a_sequence_is_told(y: object) -> None:
    with pytest.raises(ValueError, match="the output is a sequence, and needs a target for each step"):
        check(SparseCategoricalCrossentropy(), 3, True, y)


def test_targets_of_steps_for_a_row_are_told() -> None:
    with pytest.raises(ValueError, match="the output is one row a sample: `return_sequences = true`"):
        check(SparseCategoricalCrossentropy(), 3, False, STEPS)
    with pytest.raises(ValueError, match="the output is one row a sample: `return_sequences = true`"):
        check(MeanSquaredError(), 3, False, np.zeros((4, 5, 3)))


def test_missing_targets_are_told() -> None:
    with pytest.raises(ValueError, match="targets: none are given; a loss holds"):
        check(MeanSquaredError(), 3, False, None)
    made_for = signature()
    both = trained(made_for.outputs * 2, [MeanSquaredError()] * 2)
    with pytest.raises(ValueError, match="targets: none are given; expected a list or a mapping with one for each of dense, dense"):
        check_examples(check_inputs(made_for, np.ones((2, 4, 3), np.float32)), both, "float32", None)
