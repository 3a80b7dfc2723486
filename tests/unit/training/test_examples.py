"""Targets and sample weights: every refusal word for word, and which rows of a batch count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.signature import IndexSignature, OutputSignature
from rnnspec.diagnostics import InternalError
from rnnspec.runtime.data.batches import CheckedInputs
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.not_numbers import CLASS_NAMES
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.training.examples import Examples, check_examples
from rnnspec.training.losses import LOSSES, Loss, NamedLoss
from rnnspec.training.targets import TargetBatch
from tests.unit.runtime.fake import signature, trained

X = np.arange(24.0).reshape(2, 4, 3)
LISTS = [X[0], X[1, :2]]
MSE, BINARY, CATEGORICAL, SPARSE = (
    LOSSES[name]() for name in ("mean_squared_error", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")
)


@dataclass(frozen=True)
class Found:
    """Examples of one output."""

    examples: Examples

    def batch(self, rows: Rows) -> TargetBatch:
        (targets,) = self.examples.batch(rows).targets
        return targets

    def time(self, rows: Rows) -> int:
        """How long the sequences of a batch are."""
        return self.examples.batch(rows).inputs.indices[0].time


def examples(
    y: object,
    loss: NamedLoss | Loss,
    *,
    x: object = X,
    sequence: bool = False,
    width: int = 2,
    flip: bool = False,
    weight: object = None,
    **steps: object,
) -> Found:
    made_for = signature(sequence=sequence, width=width, flip=flip)
    return checked(check_inputs(made_for, x, **steps), made_for.outputs[0], loss, y, weight)


def checked(inputs: CheckedInputs, output: OutputSignature, loss: NamedLoss | Loss, y: object, weight: object = None) -> Found:
    return Found(check_examples(inputs, trained([output], [loss]), "float32", y, weight))


FULL = np.zeros((2, 4, 2))
BAD = FULL.copy()
BAD[1, 2, 1] = np.nan

ROWS = "; these are one row a class: `y.argmax(axis=-1)` gives class numbers, and the loss categorical_crossentropy takes rows"
NUMBERS = (
    "; these are class numbers: `np.eye(2)[np.asarray(y, int)]` makes rows of them, "
    "and the loss sparse_categorical_crossentropy takes class numbers"
)

WRONG: dict[str, tuple[object, Loss, dict[str, Any], str]] = {
    "nothing": (None, MSE, {}, "targets: none are given; a loss holds each sample's output against one"),
    "text": (["a", "b"], SPARSE, {}, f"targets: expected numbers, got dtype <U1; {CLASS_NAMES}"),
    "samples": (np.zeros((3, 2)), MSE, {}, "targets: expected shape (2, 2), got (3, 2)"),
    "width": (np.zeros((2, 3)), MSE, {}, "targets: expected shape (2, 2), got (2, 3)"),
    "single value": (np.zeros(2), MSE, {}, "targets: expected shape (2, 2), got (2,)"),
    "classes as values": (np.eye(2), SPARSE, {}, f"targets: expected shape (2,), got (2, 2){ROWS}"),
    "values as classes": ([0, 1], CATEGORICAL, {}, f"targets: expected shape (2, 2), got (2,){NUMBERS}"),
    "class above": ([0, 2], SPARSE, {}, "targets, sample 1: expected a class in 0..1, got 2"),
    "class below": ([[-1], [0]], SPARSE, {}, "targets, sample 0: expected a class in 0..1, got -1"),
    "class fraction": ([0, 0.5], SPARSE, {}, "targets, sample 1: expected a class in 0..1, got 0.5"),
    "class nan": ([0, np.nan], SPARSE, {}, "targets, sample 1: expected a class in 0..1, got nan"),
    "value nan": ([[0, 1], [np.nan, 0]], MSE, {}, "targets, sample 1, feature 0: expected a finite float32, got nan"),
    "value infinite": ([[0, -np.inf], [0, 0]], MSE, {}, "targets, sample 0, feature 1: expected a finite float32, got -inf"),
    "value too large": ([[0, 0], [0, 1e39]], MSE, {}, "targets, sample 1, feature 1: expected a finite float32, got 1e+39"),
    "probability": ([[0, 1], [0, 1.5]], BINARY, {}, "targets, sample 1, feature 1: expected a probability in 0..1, got 1.5"),
    "probability nan": ([[0, 1], [0, np.nan]], CATEGORICAL, {}, "targets, sample 1, feature 1: expected a probability in 0..1, got nan"),
    "steps": (np.zeros((2, 3, 2)), MSE, {"sequence": True}, "targets: expected shape (2, 4, 2), got (2, 3, 2)"),
    "class of a step": (
        [[0, 1, 0, 1], [1, 0, 9, 0]], SPARSE, {"sequence": True}, "targets, sample 1, step 2: expected a class in 0..1, got 9",
    ),
    "value of a step": (BAD, MSE, {"sequence": True}, "targets, sample 1, step 2, feature 1: expected a finite float32, got nan"),
    "list, samples": ([FULL[0]], MSE, {"sequence": True}, "targets: expected 2 samples, got 1"),
    "list, steps": (
        [FULL[0], FULL[1, :3]], MSE, {"sequence": True, "x": LISTS}, "targets, sample 1: expected 2 steps, got 3",
    ),
    "list, padded steps": (
        [FULL[0], FULL[1, :3]], MSE, {"sequence": True}, "targets, sample 1: expected 4 steps as in the padded inputs, got 3",
    ),
    "list, flipped steps": (
        [FULL[0], FULL[1, :2]], MSE, {"sequence": True, "x": LISTS, "flip": True},
        "targets, sample 1: expected 4 steps as in the padded inputs, got 2",
    ),
    "list, width": (
        [np.zeros((4, 3)), FULL[1]], MSE, {"sequence": True}, "targets, sample 0: expected shape (steps, 2), got shape (4, 3)",
    ),
    "list, single values": ([[0, 0, 0, 0]] * 2, MSE, {"sequence": True}, "targets, sample 0: expected shape (steps, 2), got (4,)"),
    "list, classes of two kinds": (
        [[0, 1, 0, 1], [[0], [1], [0], [1]]], SPARSE, {"sequence": True},
        "targets, sample 1: expected shape (steps,), got shape (4, 1)",
    ),
    "list, text": (["abcd", "abcd"], SPARSE, {"sequence": True}, f"targets, sample 0: expected numbers, got dtype <U4; {CLASS_NAMES}"),
    "weight shape": ([0, 1], SPARSE, {"weight": [1]}, "sample_weight: expected shape (2,), got (1,)"),
    "weight of steps": ([0, 1], SPARSE, {"weight": np.ones((2, 4))}, "sample_weight: expected shape (2,), got (2, 4)"),
    "weight shapes": (
        FULL, MSE, {"sequence": True, "weight": np.ones((2, 3))}, "sample_weight: expected shape (2,) or (2, 4), got (2, 3)",
    ),
    "weight nan": ([0, 1], SPARSE, {"weight": [1, np.nan]}, "sample_weight, sample 1: expected a finite number, got nan"),
    "weight infinite": (
        FULL, MSE, {"sequence": True, "weight": [[1, 1, 1, 1], [1, np.inf, 1, 1]]},
        "sample_weight, sample 1, step 1: expected a finite number, got inf",
    ),
    "weight text": ([0, 1], SPARSE, {"weight": "ab"}, "sample_weight: expected numbers, got dtype <U2"),
    "weight list": ([0, 1], SPARSE, {"weight": [[1], [1, 2]]}, "sample_weight: not an array: the lists in it have different lengths"),
    "weight list, samples": (FULL, MSE, {"sequence": True, "weight": [[1, 1, 1, 1]]}, "sample_weight: expected 2 samples, got 1"),
    "weight list, steps": (
        FULL, MSE, {"sequence": True, "x": LISTS, "weight": [[1, 1, 1, 1], [1, 1, 1]]}, "sample_weight, sample 1: expected 2 steps, got 3",
    ),
    "weight list, padded steps": (
        FULL, MSE, {"sequence": True, "weight": [[1, 1, 1, 1], [1, 1, 1]]},
        "sample_weight, sample 1: expected 4 steps as in the padded inputs, got 3",
    ),
    "weight list, shape": (
        FULL, MSE, {"sequence": True, "weight": [[1, 1, 1, 1], np.ones((4, 1))]},
        "sample_weight, sample 1: expected shape (steps,), got shape (4, 1)",
    ),
    "weight list, nan": (
        FULL, MSE, {"sequence": True, "x": LISTS, "weight": [[1, 1, 1, 1], [1, np.nan]]},
        "sample_weight, sample 1, step 1: expected a finite number, got nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refusal(name: str) -> None:
    y, loss, options, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        examples(y, loss, **options)
    assert str(raised.value) == message


def test_an_output_that_cannot_be_trained() -> None:
    made_for = signature()
    with pytest.raises(InternalError, match="can't be trained"):
        checked(check_inputs(made_for, X), OutputSignature("dense", (3, 2)), MSE, [0, 1])


@pytest.mark.parametrize("y", [[1, 0], [[1], [0]], np.array([1.0, 0.0]), np.array([True, False]), np.array([1, 0], ">u2")])
def test_classes_of_any_form(y: object) -> None:
    batch = examples(y, SPARSE).batch(slice(None))
    assert batch.targets.dtype == np.int64
    assert batch.targets.tolist() == [1, 0]
    assert batch.counted is None


def test_values() -> None:
    y = np.array([[1, 2], [3, 4]])
    batch = examples(y, MSE).batch(np.array([1, 0]))
    assert batch.targets.dtype == np.float32
    assert batch.targets.tolist() == [[3, 4], [1, 2]]
    assert examples([5, 6], MSE, width=1).batch(slice(None)).targets.tolist() == [[5], [6]]


def test_rows_that_count() -> None:
    """Real steps row by row, whatever order the samples are asked for in; the rest isn't looked at."""
    y = np.arange(16.0).reshape(2, 4, 2)
    y[0, 1] = np.nan
    batch = examples(y, MSE, sequence=True, mask=[[1, 0, 1, 0], [0, 0, 0, 1]]).batch(np.array([1, 0]))
    assert batch.counted is not None
    assert batch.counted.tolist() == [3, 4, 6]
    assert batch.targets.tolist() == [[14, 15], [0, 1], [4, 5]]
    output = np.arange(16.0).reshape(2, 4, 2)
    assert batch.rows(output).tolist() == [[6, 7], [8, 9], [12, 13]]
    back = batch.spread(batch.rows(output), output)
    assert back.shape == output.shape
    assert back.reshape(8, 2)[batch.counted].tolist() == [[6, 7], [8, 9], [12, 13]]
    assert np.count_nonzero(back) == 6


def test_all_rows_count_without_a_mask() -> None:
    y = np.arange(16.0).reshape(2, 4, 2)
    batch = examples(y, MSE, sequence=True).batch(slice(None))
    assert batch.counted is None
    output = np.arange(16.0).reshape(2, 4, 2)
    np.testing.assert_array_equal(batch.spread(batch.rows(output), output), output)


def test_classes_of_masked_steps_are_not_looked_at() -> None:
    y = [[0, 1, -1, 99], [1, 0, 1, 0]]
    batch = examples(y, SPARSE, sequence=True, lengths=[2, 4]).batch(slice(None))
    assert batch.targets.tolist() == [0, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("form", ["list", "padded"])
def test_targets_of_lists(form: str) -> None:
    targets = np.arange(16.0).reshape(2, 4, 2)
    y = [targets[0], targets[1, :2]] if form == "list" else np.where([[[True]] * 4, [[True]] * 2 + [[False]] * 2], targets, np.nan)
    found = examples(y, MSE, sequence=True, x=LISTS)
    expected = [*targets[1, :2].tolist(), *targets[0].tolist()]
    assert found.batch(np.array([1, 0])).targets.tolist() == expected
    assert found.time(slice(1, 2)) == 2
    assert found.batch(slice(1, 2)).targets.tolist() == targets[1, :2].tolist()


def test_lists_with_a_mask() -> None:
    targets = np.arange(16.0).reshape(2, 4, 2)
    targets[0, 1] = np.nan
    y = [targets[0], targets[1, :2]]
    found = examples(y, MSE, sequence=True, x=LISTS, mask=[[1, 0, 1, 1], [0, 1, 0, 0]])
    assert found.batch(slice(None)).targets.tolist() == targets[[0, 0, 0, 1], [0, 2, 3, 1]].tolist()


@pytest.mark.parametrize("first", [[], np.zeros((0, 2))])
def test_a_first_sample_without_steps_says_nothing_about_the_others(first: Any) -> None:
    x = [X[0, :0], X[1, :2]]
    assert examples([first, [[1, 2], [3, 4]]], MSE, sequence=True, x=x).batch(slice(None)).targets.tolist() == [[1, 2], [3, 4]]
    assert examples([[], [[1], [0]]], SPARSE, sequence=True, x=x).batch(slice(None)).targets.tolist() == [1, 0]
    assert examples([[], [1, 0]], SPARSE, sequence=True, x=x).batch(slice(None)).targets.tolist() == [1, 0]
    assert examples([[], []], MSE, sequence=True, x=[[], []]).batch(slice(None)).targets.shape == (0, 2)


def test_targets_of_an_output_in_reversed_order() -> None:
    """Targets lie as the output does, and so does what counts: the mask is flipped over the whole padded time."""
    y = np.arange(16.0).reshape(2, 4, 2)
    for x, steps in ((X, {"lengths": [4, 1]}), ([X[0], X[1, :1]], {})):
        found = examples(y, MSE, sequence=True, flip=True, x=x, **steps)
        assert found.time(slice(1, 2)) == 4
        batch = found.batch(slice(1, 2))
        assert batch.counted is not None
        assert batch.counted.tolist() == [3]
        assert batch.targets.tolist() == [[14, 15]]


def test_an_output_in_reversed_order_without_a_mask() -> None:
    batch = examples(FULL, MSE, sequence=True, flip=True).batch(slice(None))
    assert batch.counted is None
    assert batch.targets.shape == (8, 2)


def test_all_steps_count_where_the_mask_does_not_reach_the_output() -> None:
    """Of a sequence of its own length (RepeatVector) every step is real: its targets are looked at, too."""
    made_for = signature(sequence=True, width=2)
    made_for = replace(made_for, indices=(*made_for.indices, IndexSignature((), 4)))
    output = replace(made_for.outputs[0], index=1)
    inputs = check_inputs(made_for, X, lengths=[1, 4])
    batch = checked(inputs, output, MSE, FULL).batch(slice(None))
    assert batch.counted is None
    assert batch.targets.shape == (8, 2)
    bad = FULL.copy()
    bad[0, 3, 0] = np.nan
    with pytest.raises(ValueError, match="targets, sample 0, step 3, feature 0: expected a finite float32, got nan"):
        checked(inputs, output, MSE, bad)


def test_sample_weights() -> None:
    batch = examples([0, 1], SPARSE, weight=[2, 3]).batch(np.array([1, 0]))
    assert batch.weights is not None
    assert batch.weights.tolist() == [3, 2]
    batch = examples(FULL, MSE, sequence=True, weight=[2, 3], lengths=[1, 2]).batch(slice(None))
    assert batch.weights is not None
    assert batch.weights.tolist() == [2, 3, 3]
    weights = np.arange(8).reshape(2, 4)
    batch = examples(FULL, MSE, sequence=True, weight=weights, mask=[[0, 1, 0, 1], [1, 0, 0, 0]]).batch(np.array([1, 0]))
    assert batch.weights is not None
    assert batch.weights.tolist() == [4, 1, 3]


@pytest.mark.parametrize("of", ["lists", "arrays", "a tuple"])
def test_sample_weights_of_lists(of: str) -> None:
    """One array of weights a sample, as targets may be; of the inputs' lengths, or padded as they are."""
    weights: Any = {"lists": [[1, 2, 3, 4], [5, 6]], "arrays": [np.arange(1, 5), np.array([5.0, 6.0])], "a tuple": ((1, 2, 3, 4), (5, 6))}[
        of
    ]
    found = examples(FULL, MSE, sequence=True, x=LISTS, weight=weights)
    for rows, expected in ((slice(None), [1, 2, 3, 4, 5, 6]), (np.array([1, 0]), [5, 6, 1, 2, 3, 4]), (slice(1, 2), [5, 6])):
        batch = found.batch(rows)
        assert batch.weights is not None
        assert batch.weights.tolist() == expected
    padded = examples(FULL, MSE, sequence=True, weight=[[1, 2, 3, 4], [5, 6, 7, 8]], mask=[[0, 1, 0, 1], [1, 0, 0, 0]]).batch(slice(None))
    assert padded.weights is not None
    assert padded.weights.tolist() == [2, 4, 5]


def test_lists_of_weights_of_masked_and_reversed_steps() -> None:
    """As targets, weights lie as the output does."""
    found = examples(FULL, MSE, sequence=True, x=LISTS, weight=[[1, 2, 3, 4], [5, 6]], mask=[[1, 0, 1, 1], [0, 1, 0, 0]])
    batch = found.batch(slice(None))
    assert batch.weights is not None
    assert batch.weights.tolist() == [1, 3, 4, 6]
    flipped = examples(FULL, MSE, sequence=True, flip=True, x=LISTS, weight=[[1, 2, 3, 4], [5, 6, 7, 8]]).batch(slice(None))
    assert flipped.weights is not None
    assert flipped.weights.tolist() == [1, 2, 3, 4, 7, 8]


def test_a_first_sample_without_steps_has_no_weights() -> None:
    x = [X[0, :0], X[1, :2]]
    batch = examples([[], [[1, 2], [3, 4]]], MSE, sequence=True, x=x, weight=[[], [5, 6]]).batch(slice(None))
    assert batch.weights is not None
    assert batch.weights.tolist() == [5, 6]


def test_targets_stay_as_they_were() -> None:
    """What is given is neither changed nor kept."""
    y = np.full((2, 4), 1)
    y[0, 3] = 77
    given = y.copy()
    found = examples(y, SPARSE, sequence=True, lengths=[3, 4])
    assert y.tolist() == given.tolist()
    y[...] = 0
    assert found.batch(slice(None)).targets.tolist() == [1] * 7
