"""Optimizers that look at a whole weight: its norm, means of its rows, products; by Keras's formulas (keras.src.optimizers, 3.15)."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

import numpy as np

from rnnspec.contract.executable import Array, Num
from rnnspec.contract.optimizer_arguments import OPTIMIZER_ARGUMENTS, default_flag, default_number
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.training.constructors import clear_arguments
from rnnspec.training.optimizer import Optimizer, RateSetting, WeightExtent

_TINY = 1e-7
"""Keras's addition to the norm that Muon divides by."""


@frozen(eq=False)
class Whole:
    """A weight, or what belongs to it, as a number of a formula that looks at whole weights: arithmetic by numpy, broadcast."""

    value: Array

    def __add__(self, other: Whole) -> Whole:
        return Whole(self.value + other.value)

    def __sub__(self, other: Whole) -> Whole:
        return Whole(self.value - other.value)

    def __mul__(self, other: Whole) -> Whole:
        return Whole(self.value * other.value)

    def __truediv__(self, other: Whole) -> Whole:
        return Whole(self.value / other.value)

    def __matmul__(self, other: Whole) -> Whole:
        return Whole(self.value @ other.value)

    def sqrt(self) -> Whole:
        """The square root."""
        return Whole(np.sqrt(self.value))

    def maximum(self, other: Whole) -> Whole:
        """The larger one."""
        return Whole(np.maximum(self.value, other.value))

    def mean(self, axis: int | None = None) -> Whole:
        """The mean of all, or along an axis, which stays with a length of one."""
        return Whole(self.value.mean(axis=axis, keepdims=axis is not None))

    def norm(self) -> Whole:
        """The root of the sum of squares."""
        return Whole(np.sqrt(np.square(self.value).sum()))

    def transposed(self) -> Whole:
        """The matrix with its axes exchanged."""
        return Whole(self.value.T)


@dataclass(kw_only=True)
class WholeOptimizer(Optimizer):
    """An optimizer whose formula is of whole weights, one at a time; each has a state of shapes of its own, flat one behind the other."""

    @abstractmethod
    def state_shapes(self, extent: WeightExtent) -> Sequence[tuple[int, ...]]:
        """The shapes of a weight's state."""

    @abstractmethod
    def whole_formula(
        self, extent: WeightExtent, weight: Whole, gradient: Whole, state: Sequence[Whole], constants: Sequence[Whole]
    ) -> Sequence[Whole]:
        """The new weight and its new state."""

    @property
    def slots(self) -> int:
        """One array, in which all weights have their state."""
        return 1

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> NoReturn:
        """InternalError: there is none of single numbers."""
        raise InternalError(f"{type(self).__name__} looks at whole weights")

    def bind(self, extents: Sequence[WeightExtent], dtype: np.dtype[np.generic]) -> None:
        """Forget all state and take on flat arrays of this layout."""
        super().bind(extents, dtype)
        self._bound = self._extents
        self._state = [np.zeros(sum(math.prod(shape) for each in self._extents for shape in self.state_shapes(each)), dtype)]

    def _update(self, weights: Array, gradient: Array, rate: float, native: Callable[[int, int], None] | None) -> None:
        constants = [Whole(weights.dtype.type(each)) for each in self.constants()]
        place, chosen = 0, {extent.start for extent in self._extents}
        for extent in self._bound:
            if extent.start not in chosen:
                place += sum(math.prod(each) for each in self.state_shapes(extent))
                continue
            part, shape = slice(extent.start, extent.stop), extent.shape or (extent.stop - extent.start,)
            updated = weights[part].reshape(shape)
            if (decay := self.decay_of(extent)) is not None:
                updated -= updated * weights.dtype.type(decay * rate)
            state: list[Array] = []
            for each in self.state_shapes(extent):
                state.append(self._state[0][place : place + math.prod(each)].reshape(each))
                place += math.prod(each)
            found = self.whole_formula(extent, Whole(updated), Whole(gradient[part].reshape(shape)), [*map(Whole, state)], constants)
            for target, result in zip((updated, *state), found, strict=True):
                target[...] = result.value


def _full(extent: WeightExtent) -> tuple[int, ...]:
    return extent.shape or (extent.stop - extent.start,)


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Lamb(WholeOptimizer):
    """Adam's step s = (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + epsilon), as long as the weight: w -= rate (|w| / |s|) s.

    |w| and |s| are the norms of the whole weight and step; their quotient is 1 where one of them is 0.
    """

    learning_rate: RateSetting = RateSetting("Lamb")  # noqa: RUF009 - a descriptor
    beta_1: float = default_number("Lamb", "beta_1")
    beta_2: float = default_number("Lamb", "beta_2")
    epsilon: float = default_number("Lamb", "epsilon")

    def state_shapes(self, extent: WeightExtent) -> Sequence[tuple[int, ...]]:
        """The mean and the mean square."""
        return _full(extent), _full(extent)

    def constants(self) -> tuple[float, ...]:
        """The learning rate, 1 - beta_1, 1 - beta_2, the corrections 1 - beta_1ᵗ and 1 - beta_2ᵗ, and epsilon."""
        corrections = 1.0 - self.beta_1**self.iterations, 1.0 - self.beta_2**self.iterations
        return self.rate, 1.0 - self.beta_1, 1.0 - self.beta_2, *corrections, self.epsilon

    def whole_formula(
        self, extent: WeightExtent, weight: Whole, gradient: Whole, state: Sequence[Whole], constants: Sequence[Whole]
    ) -> Sequence[Whole]:
        """See the class."""
        rate, towards_gradient, towards_square, first, second, epsilon = constants
        mean = state[0] + (gradient - state[0]) * towards_gradient
        variance = state[1] + (gradient * gradient - state[1]) * towards_square
        step = mean / first / ((variance / second).sqrt() + epsilon)
        length, walked = weight.norm(), step.norm()
        stretched = step * (length / walked) if length.value > 0 and walked.value > 0 else step
        return weight - stretched * rate, mean, variance


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Adafactor(WholeOptimizer):
    """Steps by mean squares of rows and of columns alone, which are bounded and scaled by the weight's own size.

    β = 1 - t^beta_2_decay; r, c = β r + (1 - β) means of g² + epsilon_1 over columns, over rows; v = (r / mean(r)) c; of a weight of
    one axis v = β v + (1 - β)(g² + epsilon_1). u = g / √v, divided by max(1, rms(u) / clip_threshold).
    w -= max(epsilon_2, rms(w)) min(rate, 1/√t) u.
    """

    learning_rate: RateSetting = RateSetting("Adafactor")  # noqa: RUF009 - a descriptor
    beta_2_decay: float = default_number("Adafactor", "beta_2_decay")
    epsilon_1: float = default_number("Adafactor", "epsilon_1")
    epsilon_2: float = default_number("Adafactor", "epsilon_2")
    clip_threshold: float = default_number("Adafactor", "clip_threshold")
    relative_step: bool = default_flag("Adafactor", "relative_step")

    def state_shapes(self, extent: WeightExtent) -> Sequence[tuple[int, ...]]:
        """The mean squares of rows and of columns; of a weight of one axis those of its numbers."""
        shape = _full(extent)
        return ((*shape[:-1], 1), (*shape[:-2], 1, shape[-1])) if len(shape) > 1 else (shape,)

    def constants(self) -> tuple[float, ...]:
        """The rate, β and 1 - β, both epsilons, the threshold and 1; whether or not `relative_step`, the rate is at most 1/√t."""
        rate, kept = min(self.rate, 1.0 / math.sqrt(self.iterations)), 1.0 - float(self.iterations) ** self.beta_2_decay
        return rate, kept, 1.0 - kept, self.epsilon_1, self.epsilon_2, self.clip_threshold, 1.0

    def whole_formula(
        self, extent: WeightExtent, weight: Whole, gradient: Whole, state: Sequence[Whole], constants: Sequence[Whole]
    ) -> Sequence[Whole]:
        """See the class."""
        rate, kept, added, epsilon_1, epsilon_2, threshold, one = constants
        square = gradient * gradient + epsilon_1
        if len(state) == 2:
            rows = state[0] * kept + square.mean(-1) * added
            columns = state[1] * kept + square.mean(-2) * added
            means, spread = (rows, columns), rows / rows.mean(-2) * columns
        else:
            spread = state[0] * kept + square * added
            means = (spread,)
        step = gradient / spread.sqrt()
        bounded = step / one.maximum((step * step).mean().sqrt() / threshold)
        size = epsilon_2.maximum((weight * weight).mean().sqrt())
        return weight - bounded * (size * rate), *means


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Muon(WholeOptimizer):
    """Momentum that is made orthogonal by Newton and Schulz's iteration, for weights of two axes; AdamW's step for all others.

    m = momentum m + g; with `nesterov` d = g + momentum m, else d = m; `ns_steps` times of d / (|d| + 1e-7): A = d dᵀ,
    d = a d + (b A + c A A) d. w -= rate · √max(rows, columns) · rms_rate · d; without the root where `rms_rate` is none. Embeddings take
    AdamW's step with `exclude_embeddings`, and weights of which a part of the name is in `exclude_layers`, regular expressions;
    its rate is `adam_lr_ratio` times the rate, and its decay `adam_weight_decay`.
    """

    learning_rate: RateSetting = RateSetting("Muon")  # noqa: RUF009 - a descriptor
    adam_beta_1: float = default_number("Muon", "adam_beta_1")
    adam_beta_2: float = default_number("Muon", "adam_beta_2")
    adam_weight_decay: float | None = default_number("Muon", "adam_weight_decay")
    epsilon: float = default_number("Muon", "epsilon")
    weight_decay: float | None = default_number("Muon", "weight_decay")
    exclude_layers: Sequence[str] | None = None
    exclude_embeddings: bool = default_flag("Muon", "exclude_embeddings")
    muon_a: float = default_number("Muon", "muon_a")
    muon_b: float = default_number("Muon", "muon_b")
    muon_c: float = default_number("Muon", "muon_c")
    adam_lr_ratio: float = default_number("Muon", "adam_lr_ratio")
    momentum: float = default_number("Muon", "momentum")
    ns_steps: int = int(default_number("Muon", "ns_steps"))
    nesterov: bool = default_flag("Muon", "nesterov")
    rms_rate: float | None = default_number("Muon", "rms_rate")

    def by_adam(self, extent: WeightExtent) -> bool:
        """Whether a weight takes AdamW's step."""
        if len(_full(extent)) != 2 or (self.exclude_embeddings and "embedding" in extent.name.lower()):
            return True
        return any(re.search(keyword, extent.name) for keyword in self.exclude_layers or ())

    def decay_of(self, extent: WeightExtent) -> float | None:
        """`weight_decay`, or that of AdamW's step."""
        return None if self.undecayed.holds(extent.name) else self.adam_weight_decay if self.by_adam(extent) else self.weight_decay

    def state_shapes(self, extent: WeightExtent) -> Sequence[tuple[int, ...]]:
        """The momentum; of AdamW's step the mean and the mean square."""
        return (_full(extent),) * (2 if self.by_adam(extent) else 1)

    def constants(self) -> tuple[float, ...]:
        """The rate, that of AdamW's step, 1 - both betas, epsilon, the momentum, a, b, c and Keras's addition to the norm."""
        steps = self.iterations
        corrected = self.rate * self.adam_lr_ratio * math.sqrt(1.0 - self.adam_beta_2**steps) / (1.0 - self.adam_beta_1**steps)
        of_adam = corrected, 1.0 - self.adam_beta_1, 1.0 - self.adam_beta_2, self.epsilon
        return self.rate, *of_adam, self.momentum, self.muon_a, self.muon_b, self.muon_c, _TINY

    def whole_formula(
        self, extent: WeightExtent, weight: Whole, gradient: Whole, state: Sequence[Whole], constants: Sequence[Whole]
    ) -> Sequence[Whole]:
        """See the class."""
        rate, corrected, towards_gradient, towards_square, epsilon, momentum, a, b, c, tiny = constants
        if len(state) == 2:
            mean = state[0] + (gradient - state[0]) * towards_gradient
            variance = state[1] + (gradient * gradient - state[1]) * towards_square
            return weight - mean * corrected / (variance.sqrt() + epsilon), mean, variance
        moved = state[0] * momentum + gradient
        step = gradient + moved * momentum if self.nesterov else moved
        rows, columns = cast("tuple[int, int]", weight.value.shape)
        if upright := rows > columns:
            step = step.transposed()
        step = step / (step.norm() + tiny)
        for _ in range(self.ns_steps):
            product = step @ step.transposed()
            step = step * a + (product * b + product @ product * c) @ step
        if upright:
            step = step.transposed()
        if self.rms_rate is not None:
            step = step * Whole(weight.value.dtype.type(math.sqrt(max(rows, columns)) * self.rms_rate))
        return weight - step * rate, moved
