"""Class weights: the class of each form of targets, every refusal word for word, and how they meet sample weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import OutputSignature
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.training.class_weights import ClassWeights, class_weights_for
from rnnspec.training.examples import check_examples
from rnnspec.training.losses import MeanSquaredError, NamedLoss, SparseCategoricalCrossentropy
from rnnspec.training.objectives import Objective
from tests.unit.runtime.fake import signature, trained

MSE, SPARSE = MeanSquaredError(), SparseCategoricalCrossentropy()


def objective(width: int = 3, loss: NamedLoss = SPARSE) -> Objective:
    (made,) = trained([OutputSignature("dense", (width,))], [loss])
    return made


ONE = [objective()]
TWO = trained([OutputSignature("word", (3,)), OutputSignature("none", (2,)), OutputSignature("size", (1,))], [SPARSE, None, MSE])


def weighed(given: object, targets: object, of: Objective = ONE[0]) -> list[float]:
    (weights,) = class_weights_for([of], given)
    assert weights is not None
    return weights.of(np.asarray(targets)).tolist()


@pytest.mark.parametrize(
    "given",
    [
        {0: 0.5, 2: 3},
        {2.0: 3.0, 0.0: 0.5},
        {np.int64(2): np.float32(3), 0: 0.5},
        [0.5, 1, 3],
        (0.5, 1, 3),
        np.array([0.5, 1.0, 3.0]),
        [{0: 0.5, 2: 3}],
    ],
)
def test_classes_by_number(given: object) -> None:
    assert weighed(given, [2, 0, 1, 2]) == [3.0, 0.5, 1.0, 3.0]


def test_the_class_of_a_row_of_values() -> None:
    """The largest one's place, the first of several; of a single value the nearest whole number, of two the even one."""
    assert weighed({1: 4.0}, [[0.0, 1.0, 0.0], [0.1, 0.2, 0.7], [0.0, 2.0, 2.0]]) == [4.0, 1.0, 4.0]
    single = objective(width=1, loss=MSE)
    assert weighed({0: 2.0, 2: 3.0, 7: 5.0}, [[0.0], [0.5], [1.5], [2.5], [0.6], [-1.0], [7.4], [99.0]], single) == [2, 2, 3, 3, 1, 1, 5, 1]


def test_no_class_has_a_weight() -> None:
    assert class_weights_for(TWO, None) == (None, None)
    assert class_weights_for(TWO, {}) == (None, None)
    assert class_weights_for(ONE, {}) == (None,)
    assert weighed([], [1, 2]) == [1.0, 1.0]


@pytest.mark.parametrize("given", [[{0: 2.0}, None], ({0: 2.0}, None), {"word": [2.0]}, {"word": {0: 2.0}, "size": None}, [[2.0], None]])
def test_class_weights_of_several_outputs(given: object) -> None:
    word, size = class_weights_for(TWO, given)
    assert size is None
    assert word is not None
    assert word.of(np.array([0, 1])).tolist() == [2.0, 1.0]


def test_class_weights_of_a_spec() -> None:
    """Weights of classes, or an entry for each output of the model; what a call gives goes before."""
    (weights,) = class_weights_for(ONE, None, (2.0, 3.0))
    assert weights is not None and weights.weights.tolist() == [2.0, 3.0]
    (weights,) = class_weights_for(ONE, {0: 5.0}, (2.0, 3.0))
    assert weights is not None and weights.weights.tolist() == [5.0]
    assert class_weights_for(ONE, {}, (2.0, 3.0)) == (None,)
    word, size = class_weights_for(TWO, None, (None, (9.0,), (1.0, 4.0)))
    assert word is None
    assert size is not None and size.weights.tolist() == [1.0, 4.0]


FORMS = "expected a mapping from class numbers to weights, or a list with a weight for each class"
SEVERAL = "class_weight: expected a list or a mapping with the class weights of each of word, size; None for an output without"


@pytest.mark.parametrize(
    ("of", "given", "message"),
    [
        (ONE, {3: 1.0}, "class_weight: there is no class 3: output dense has the classes 0..2"),
        (ONE, [1, 2, 3, 4], "class_weight: there is no class 3: output dense has the classes 0..2"),
        (ONE, {-1: 1.0}, f"class_weight: {FORMS}; -1 is no class number"),
        (ONE, {0.5: 1.0}, f"class_weight: {FORMS}; 0.5 is no class number"),
        (ONE, {True: 1.0}, f"class_weight: {FORMS}; True is no class number"),
        (ONE, {0: 1.0, "b": 1.0}, f"class_weight: {FORMS}; 'b' is no class number"),
        (ONE, {1: "2"}, "class_weight, class 1: expected a finite number, got '2'"),
        (ONE, {1: np.inf}, "class_weight, class 1: expected a finite number, got inf"),
        (ONE, [1, np.nan], "class_weight, class 1: expected a finite number, got nan"),
        (ONE, 2.0, f"class_weight: {FORMS}, got shape ()"),
        (ONE, "balanced", "class_weight: expected numbers, got dtype <U8"),
        (ONE, np.ones((2, 2)), f"class_weight: {FORMS}, got shape (2, 2)"),
        (ONE, {"word": {0: 2.0}}, "class_weight: the outputs with a loss are dense; unknown: word"),
        (ONE, [{0: 1.0}, {0: 1.0}], "class_weight: expected one for each of the outputs with a loss, dense, got 2"),
        (TWO, {0: 1.0}, SEVERAL),
        (TWO, [1.0, 2.0], SEVERAL),
        (TWO, np.ones(2), SEVERAL),
        (TWO, [{0: 1.0}], "class_weight: expected one for each of the outputs with a loss, word, size, got 1"),
        (TWO, {"length": {0: 1.0}}, "class_weight: the outputs with a loss are word, size; unknown: length"),
        (TWO, {"word": {3: 1.0}}, "class_weight of word: there is no class 3: output word has the classes 0..2"),
        (TWO, [None, {1: None}], "class_weight of size, class 1: expected a finite number, got None"),
    ],
)  # fmt: skip
def test_refusal(of: Any, given: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        class_weights_for(of, given)
    assert str(raised.value) == message


@pytest.mark.parametrize("weight", [None, [2.0, 3.0], [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0]]])
def test_class_weights_multiply_with_sample_weights_of_any_form(weight: Any) -> None:
    """Step by step, of the steps that count: the class of a step that doesn't may be anything."""
    made_for = signature(sequence=True, width=2)
    x = np.arange(24.0).reshape(2, 4, 3)
    inputs = check_inputs(made_for, [x[0], x[1, :2]], mask=[[1, 1, 0, 1], [1, 1, 0, 0]])
    chosen = [replace(objective(width=2), output=made_for.outputs[0])]
    found = check_examples(inputs, chosen, "float64", [[0, 1, -9, 1], [1, 0]], weight).weighted_by_class(
        class_weights_for(chosen, {1: 10.0})
    )
    (batch,) = found.batch(np.array([1, 0])).targets
    assert batch.weights is not None
    of_samples = {None: [1, 1, 1, 1, 1], 1: [3, 3, 2, 2, 2], 2: [5, 6, 1, 2, 4]}[None if weight is None else np.ndim(weight[0]) + 1]
    assert batch.weights.tolist() == [w * c for w, c in zip(of_samples, [10, 1, 1, 10, 10], strict=True)]


def test_examples_without_class_weights_keep_none() -> None:
    made_for = signature()
    chosen = [replace(objective(width=4), output=made_for.outputs[0])]
    found = check_examples(check_inputs(made_for, np.ones((2, 4, 3))), chosen, "float64", [0, 1]).weighted_by_class((None,))
    (batch,) = found.batch(slice(None)).targets
    assert batch.weights is None


def test_class_weights_of_a_table_by_hand() -> None:
    weights = ClassWeights(np.array([1, 5]), np.array([2.0, 7.0]))
    assert weights.of(np.array([0, 1, 2, 5, 6])).tolist() == [1, 2, 1, 7, 1]
