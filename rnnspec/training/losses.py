"""Losses with their gradients, by Keras's formulas (keras.src.losses and the JAX backend's, 3.15), in float64 inside.

A loss here looks at counted rows only, samples or real steps: the caller leaves masked steps out. `rows` takes predictions
(rows, width) with their targets, and returns each row's loss (rows,) and its gradient (rows, width):

>>> import numpy as np
>>> from rnnspec.training.losses import BinaryCrossentropy, MeanSquaredError
>>> MeanSquaredError().rows(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
(array([1., 0.]), array([[2.],
       [0.]]))
>>> BinaryCrossentropy(from_logits=True)
BinaryCrossentropy(from_logits=True, classes=False)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.training.constructors import absent, clear_arguments, true_or_false
from rnnspec.training.sequence_losses import CTC as CTC

EPSILON = 1e-7
"""Probabilities are clipped to EPSILON .. 1 - EPSILON before a logarithm, where the gradient is zero beyond."""

RowLoss = Callable[[Array, Array], tuple[Array, Array]]
"""(predictions (rows, width), targets) to (each row's loss (rows,), its gradient (rows, width)), float64."""


@runtime_checkable
class Loss(Protocol):
    """A loss over rows.

    `classes`: whether targets are class numbers, int64 (rows,), or values, float64 (rows, width).
    `from_logits`: whether predictions are logits rather than probabilities.
    """

    @property
    def classes(self) -> bool:
        """Whether targets are class numbers, int (rows,), rather than values (rows, width)."""
        ...

    @property
    def from_logits(self) -> bool:
        """Whether predictions are logits rather than probabilities."""
        ...

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """Each row's loss and its gradient, see `RowLoss`."""
        ...


def value_and_gradient(loss: Loss, predictions: Array, targets: Array, weights: Array | None = None) -> tuple[float, Array]:
    """The loss Σ l·w / rows, 0 if there is no row, and its gradient by the predictions, of their shape and dtype.

    `predictions` (rows, width); `targets` as the loss wants them; `weights` (rows,), sample weights
    that multiply in without entering the divisor, as in Keras.
    """
    count = max(len(predictions), 1)
    with np.errstate(all="ignore"):
        losses, gradient = _checked(loss, loss.rows(predictions.astype(np.float64), targets), predictions.shape)
        if weights is not None:
            losses = losses * weights
            gradient = gradient * weights[:, None]
        return float(losses.sum()) / count, (gradient / count).astype(predictions.dtype)


def _checked(loss: Loss, given: object, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The result of a loss's `rows`, as two arrays of numbers of the right shapes; ValueError, naming the loss, for any other."""
    name = type(loss).__name__
    expected = f"expected two arrays, each row's loss, shape {shape[:1]}, and its gradient by the predictions, shape {shape}"
    values = cast("tuple[object, ...]", given) if isinstance(given, (tuple, list)) else ()
    if len(values) != 2:
        found = f"{len(values)} values" if isinstance(given, (tuple, list)) else type(given).__name__
        raise ValueError(f"loss {name}: rows gave {found}; {expected}")
    made: list[Array] = []
    for what, value, wanted in (("losses", values[0], shape[:1]), ("gradient", values[1], shape)):
        try:
            array: Array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            raise ValueError(f"loss {name}: what rows gave as {what} is no array; {expected}") from None
        if array.dtype.kind not in "biuf" or array.shape != wanted:
            found = f"shape {array.shape}" if array.dtype.kind in "biuf" else f"dtype {array.dtype}"
            raise ValueError(f"loss {name}: rows gave a {what} of {found}; {expected}".replace("a losses", "losses"))
        made.append(array)
    return made[0], made[1]


def _check_flag(loss: Loss) -> None:
    true_or_false(f"{type(loss).__name__}: from_logits", loss.from_logits)


@clear_arguments("loss")
@frozen
class MeanSquaredError:
    """mean((p - t)²) over the width."""

    classes: bool = field(default=False, init=False)
    from_logits: bool = field(default=False, init=False)

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """`predictions` (rows, width) float64, `targets` like them: each row's loss (rows,) and gradient (rows, width)."""
        difference = predictions - targets
        return np.square(difference).mean(axis=1), 2.0 * difference / difference.shape[1]


@clear_arguments("loss")
@frozen
class MeanAbsoluteError:
    """mean(|p - t|) over the width; the gradient where they are equal is 0."""

    classes: bool = field(default=False, init=False)
    from_logits: bool = field(default=False, init=False)

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """`predictions` (rows, width) float64, `targets` like them: each row's loss (rows,) and gradient (rows, width)."""
        difference = predictions - targets
        return np.abs(difference).mean(axis=1), np.sign(difference) / difference.shape[1]


@clear_arguments("loss")
@frozen
class BinaryCrossentropy:
    """mean(-t log p - (1 - t) log(1 - p)) over the width."""

    from_logits: bool = False
    classes: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _check_flag(self)

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """`predictions` (rows, width) float64, `targets` like them, in 0..1: each row's loss (rows,) and gradient (rows, width)."""
        width = predictions.shape[1]
        if self.from_logits:
            decay = np.exp(-np.abs(predictions))
            losses = np.maximum(predictions, 0.0) - predictions * targets + np.log1p(decay)
            sigmoid = np.where(predictions >= 0.0, 1.0, decay) / (1.0 + decay)
            return losses.mean(axis=1), (sigmoid - targets) / width
        clipped, inside = _clipped(predictions)
        losses = -(targets * np.log(clipped) + (1.0 - targets) * np.log(1.0 - clipped))
        gradient = inside * (clipped - targets) / (clipped * (1.0 - clipped))
        return losses.mean(axis=1), gradient / width


@clear_arguments("loss")
@frozen
class CategoricalCrossentropy:
    """-Σ t log p over the classes, p scaled to sum 1 first; targets are one value a class."""

    from_logits: bool = False
    classes: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _check_flag(self)

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """`predictions` (rows, width) float64, `targets` like them, often one-hot: each row's loss (rows,) and gradient (rows, width)."""
        if self.from_logits:
            logarithms = _log_softmax(predictions)
            return -(targets * logarithms).sum(axis=1), np.exp(logarithms) * targets.sum(axis=1, keepdims=True) - targets
        total = predictions.sum(axis=1, keepdims=True)
        scaled = predictions / total
        clipped, inside = _clipped(scaled)
        by_scaled = -inside * targets / clipped
        gradient = (by_scaled - (by_scaled * scaled).sum(axis=1, keepdims=True)) / total
        return -(targets * np.log(clipped)).sum(axis=1), gradient


@clear_arguments("loss")
@frozen
class SparseCategoricalCrossentropy:
    """-log p of the target's class, p scaled to sum 1 first; targets are class numbers."""

    from_logits: bool = False
    classes: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        _check_flag(self)

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """`predictions` (rows, width) float64, `targets` int (rows,): each row's loss (rows,) and gradient (rows, width)."""
        row = np.arange(len(predictions))
        if self.from_logits:
            logarithms = _log_softmax(predictions)
            gradient = np.exp(logarithms)
            gradient[row, targets] -= 1.0
            return -logarithms[row, targets], gradient
        total = predictions.sum(axis=1)
        clipped, inside = _clipped(predictions[row, targets] / total)
        gradient = np.repeat((inside / total)[:, None], predictions.shape[1], axis=1)
        gradient[row, targets] -= inside / (clipped * total)
        return -np.log(clipped), gradient


def _clipped(probabilities: Array) -> tuple[Array, Array]:
    """The clipped probabilities, and 1 where clipping left them alone."""
    clipped = np.clip(probabilities, EPSILON, 1.0 - EPSILON)
    return clipped, (clipped == probabilities).astype(np.float64)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


LOSSES: dict[str, Callable[..., Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}
"""By Keras's names; arguments: from_logits, for the crossentropies."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "loss", name)
