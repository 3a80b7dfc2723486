"""Batches like earlier ones: of the same kinds, dtypes and shapes, so that only their values have to be looked at.

A generator's batches are checked while a step is trained, and in most generators they differ in their values alone. What is looked at
here is as strict as the whole check, which has the last word: where anything is unusual, and for every message.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, assert_never, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import IndexSignature, OutputSignature, PairSignature
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import ALL_ROWS, CallBatch, CheckedInputs, Mask, SequenceInput
from rnnspec.runtime.data.columns import PaddedArray
from rnnspec.runtime.data.finite_inputs import bounds, is_finite
from rnnspec.runtime.data.sources import Batch
from rnnspec.training.examples import ExampleBatch, Examples
from rnnspec.training.target_rules import TargetRule
from rnnspec.training.targets import TargetBatch, Targets

MOST_KNOWN = 16
"""Kinds of batches that are remembered; of more, a generator's lengths differ too much for it to be worth anything."""


class Alike:
    """The check of a source's batches, which remembers what batches were like.

    It knows those of one input of floats in the model's dtype without masks, and of one output with targets in one array.
    """

    def __init__(self, check: Callable[[Batch], Examples], rules: Sequence[TargetRule]) -> None:
        """`rules`: of the targets of each output with a loss."""
        self._check = check
        self._rule = rules[0] if len(rules) == 1 else None
        self._known: dict[Hashable, _Known | None] = {}

    def __call__(self, data: Batch) -> Examples:
        """The batch as checked examples; ValueError as `check` has it."""
        key = _key(data)
        known = None if key is None else self._known.get(key)
        found = None if known is None else known.taken(data)
        if found is not None:
            return found
        found = self._check(data)
        if self._rule is not None and key is not None and key not in self._known and len(self._known) < MOST_KNOWN:
            self._known[key] = _known(data, found, self._rule)
        return found


def _key(data: Batch) -> Hashable:
    """What batches have in common that are checked alike; None for a batch with anything else than two arrays."""
    x, y = data.x, data.y
    if type(x) is not np.ndarray or type(y) is not np.ndarray:
        return None
    if not (data.sample_weight is None and data.mask is None and data.lengths is None):
        return None
    return x.shape, x.dtype, y.shape, y.dtype


def _known(data: Batch, examples: Examples, rule: TargetRule) -> _Known | None:
    """What a batch was like; None if others of its kind are always to be checked as a whole."""
    inputs, (target,) = examples.inputs, examples.targets
    masks = (mask for sequence in inputs.sequences.values() for mask in (sequence.given, *sequence.present.values()))
    if len(inputs.columns) != 1 or inputs.ids or any(mask is not None for mask in masks):
        return None
    if any(values for sequence in inputs.sequences.values() for values in sequence.present):
        return None
    ((name, column),) = inputs.columns.items()
    if not (isinstance(column, PaddedArray) and column.borrowed and column.dtype is None):
        return None
    if not (isinstance(target, Targets) and isinstance(target.column, PaddedArray) and target.column.dtype is None):
        return None
    whole = examples.batch(ALL_ROWS)
    (rows,), found = whole.targets, _bounds(target.output.width, rule, cast(Array, data.y))
    if found is None or not isinstance(rows, TargetBatch) or rows.counted is not None or rows.weights is not None:
        return None
    sizes = inputs.samples, whole.inputs.size
    common = inputs.sequences, inputs.indices, whole.inputs.indices, whole.inputs.reals
    expected = target.output, target.column.array.shape, rows.targets.shape, rows.targets.dtype, rows.shape, rows.flip
    return _Known(name, *sizes, *common, *expected, *found)


def _bounds(width: int, rule: TargetRule, y: Array) -> tuple[float, float] | None:
    """The least and the greatest target that a loss takes; None of a rule that isn't about bounds alone."""
    match rule.kind:
        case "values":
            return float(np.finfo(np.float64).min), float(np.finfo(np.float64).max)
        case "probabilities":
            return 0.0, 1.0
        case "class":
            return (0.0, width - 1.0) if rule.unlabelled is None and y.dtype.kind in "iu" else None
        case "binary":
            return None
        case _:
            assert_never(rule.kind)


@frozen
class _Known:
    """What a checked batch was like, and nothing of its data.

    `shape`: of the checked targets. `rows`, `rows_shape`, `rows_dtype`, `flip`: of the targets as the loss takes them, see `TargetBatch`.
    `least`, `most`: the targets that the loss takes are between them.
    """

    name: str
    samples: int
    size: int
    sequences: Mapping[str, SequenceInput]
    indices: tuple[IndexSignature | PairSignature, ...]
    packed: tuple[PackedIndex, ...]
    reals: tuple[Mask | None, ...]
    output: OutputSignature
    shape: tuple[int, ...]
    rows_shape: tuple[int, ...]
    rows_dtype: np.dtype[Any]
    rows: tuple[int, ...]
    flip: bool
    least: float
    most: float

    def taken(self, data: Batch) -> Examples | None:
        """Another batch like it, in memory of its own; None if one of its values may not be right."""
        x, y = np.array(data.x, order="C"), np.array(data.y)
        if not is_finite(x):
            return None
        with np.errstate(over="ignore"):
            targets: Array = y.reshape(self.rows_shape).astype(self.rows_dtype, copy=False)
        low, high = bounds(targets)
        if not (self.least <= low and high <= self.most):
            return None
        inputs = CheckedInputs(self.samples, {self.name: PaddedArray(x, borrowed=False)}, self.sequences, self.indices)
        column = PaddedArray(targets.reshape(self.shape), borrowed=False)
        batch = CallBatch(self.size, {self.name: x}, self.packed, self.reals)
        rows = TargetBatch(None, targets, None, self.rows, self.flip)
        return Examples(inputs, (Targets(self.output, column, None),), ExampleBatch(batch, (rows,)))
