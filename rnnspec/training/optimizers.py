"""Optimizers: update rules on the flat weights, in place, by Keras's formulas (keras.src.optimizers, 3.15).

A spec chooses one by name, `optimizer = Adam(learning_rate = 0.01)`; Python gives `Model.configure` a name or an object:

>>> import numpy as np
>>> import rnnspec
>>> from rnnspec.training.optimizers import SGD
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
>>> model.configure(loss="mse", optimizer=SGD(learning_rate=0.1, momentum=0.9, clipnorm=1.0))
>>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=5, verbose=False)
>>> history.history["loss"][-1] < history.history["loss"][0]
True
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NoReturn, cast

import numpy as np

from rnnspec.contract.arguments import Float
from rnnspec.contract.executable import Array, Num
from rnnspec.contract.optimizer_arguments import BY_NAME, default_flag, default_number
from rnnspec.frozen import frozen
from rnnspec.runtime.data.validate import finite_number
from rnnspec.training.array_formula import ArrayFormula, array_formula
from rnnspec.training.constructors import absent, clear_arguments, true_or_false

SMALLEST, LARGEST = 1e-30, 1e30
"""Bounds well inside the range of float32."""

CHUNK = 1 << 15
"""The elements of one part of an update, few enough to stay in the cache."""


_OPTIONAL = frozenset(name for name, argument in BY_NAME.items() if argument.optional)


def _checked(what: str, value: object, kind: Float) -> float:
    """The value as a Python float, which leaves float32 arrays float32; ValueError, naming `what`, if it isn't of the kind."""
    if (number := finite_number(value)) is not None and kind.holds(number):
        return number
    raise ValueError(f"{what}: expected a finite number {kind.interval}, got {value!r}")


@frozen
class WeightExtent:
    """A weight's place in the flat array."""

    start: int
    stop: int
    trainable: bool = True


@dataclass(kw_only=True)
class Optimizer(ABC):
    """An update rule with its state over one flat array.

    A subclass takes its own settings in Keras's order, those of this class by name. `clipnorm` bounds each weight's gradient norm,
    `global_clipnorm` that of all together, `clipvalue` each element; at most one of them. `weight_decay` takes that fraction, times
    the learning rate, off the weights before the update. `iterations` counts the updates so far.
    ValueError for settings that `OPTIMIZER_ARGUMENTS` doesn't allow.
    """

    learning_rate: float
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None

    def __post_init__(self) -> None:
        for setting in fields(self):
            what, value = f"{type(self).__name__}: {setting.name}", cast(object, getattr(self, setting.name))
            argument = BY_NAME.get(setting.name)
            if isinstance(setting.default, bool):
                setattr(self, setting.name, true_or_false(what, value))
            elif argument is not None and isinstance(argument.kind, Float) and not (value is None and setting.name in _OPTIONAL):
                setattr(self, setting.name, _checked(what, value, argument.kind))
        clippings = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(clippings) > 1:
            raise ValueError(f"only one of clipnorm, clipvalue and global_clipnorm can be set, got {' and '.join(clippings)}")
        self.iterations = 0
        self._extents: list[WeightExtent] = []
        self._state: list[Array] = []
        self._scratch: list[Array] = []
        self._flags = [setting.name for setting in fields(self) if isinstance(setting.default, bool)]
        self._formulas: dict[tuple[bool, ...], ArrayFormula] = {}

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many numbers of state there are for a weight."""

    @property
    def supports_lazy_updates(self) -> bool:
        """Whether an update with a gradient of zero may wait, until a weight is next read.

        A weight whose state is all zeros must be left as it is by any number of such updates after the first. What looks at a
        whole weight, or changes weights without a gradient, can't wait.
        """
        return False

    @abstractmethod
    def constants(self) -> tuple[float, ...]:
        """The formula's constants in update number `iterations`."""

    @abstractmethod
    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """The new weight and state of one number, of which the update of arrays and native code are made; `state` has `slots` numbers.

        It may depend on settings that are true or false, and on no others: those are among the constants.
        """

    @property
    def _without_neighbours(self) -> bool:
        """Nothing clips or decays."""
        return all(setting is None for setting in (self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm))

    @property
    def state(self) -> Sequence[Array]:
        """The flat arrays of state, in the layout that `bind` was given."""
        return self._state

    def states(self) -> dict[str, Array]:
        """The state by name: the count of updates, and the flat arrays, views all."""
        return {"iterations": np.array(self.iterations, np.int64)} | {str(place): array for place, array in enumerate(self._state)}

    def restore(self, given: Mapping[str, Array]) -> None:
        """Takes on what `states` gave; ValueError, nothing being changed, if it doesn't fit."""
        known = self.states()
        if {name: (each.shape, each.dtype) for name, each in given.items()} != {
            name: (each.shape, each.dtype) for name, each in known.items()
        }:
            raise ValueError(f"the state isn't of this {type(self).__name__} and model")
        self.iterations = int(given["iterations"])
        for name, array in known.items():
            array[...] = given[name]

    def bind(self, extents: Sequence[WeightExtent], dtype: np.dtype[np.generic]) -> None:
        """Forget all state and take on flat arrays of this layout."""
        size = max((extent.stop for extent in extents), default=0)
        self.iterations = 0
        self._extents = [extent for extent in extents if extent.trainable]
        self._state = [np.zeros(size, dtype) for _ in range(self.slots)]
        self._scratch = [np.empty(min(CHUNK, size), dtype)]
        self._formulas.clear()

    def step(self, weights: Array, gradient: Array, native: Callable[[int, int], None] | None = None) -> None:
        """One update of the trainable weights in place; `gradient` is overwritten. Nothing is allocated by size.

        `native`: does what `formula` says for a run of weights, from one place to another; used for long ones. See `late`.
        """
        with np.errstate(all="ignore"):
            self._clip(gradient)
            self.iterations += 1
            constants = self.constants()
            formula = self._array_formula(len(constants))
            for start, stop in _runs(self._extents):
                if native is not None and stop - start >= CHUNK:
                    native(start, stop)
                    continue
                for begin in range(start, stop, CHUNK):
                    part = slice(begin, min(begin + CHUNK, stop))
                    scratch = [values[: part.stop - part.start] for values in self._scratch]
                    updated = weights[part]
                    if self.weight_decay is not None:
                        np.multiply(updated, self.weight_decay * self.learning_rate, out=scratch[0])
                        updated -= scratch[0]
                    formula.run(updated, gradient[part], [values[part] for values in self._state], constants, scratch)

    def _array_formula(self, constants: int) -> ArrayFormula:
        """The formula over arrays, made when it is first needed, and anew for other settings that are true or false."""
        flags = tuple([getattr(self, name) for name in self._flags])
        if (found := self._formulas.get(flags)) is None:
            found = self._formulas[flags] = array_formula(self.formula, len(self._state), constants)
        while len(self._scratch) < found.temporaries:
            self._scratch.append(np.empty_like(self._scratch[0]))
        return found

    def _clip(self, gradient: Array) -> None:
        parts = [gradient[extent.start : extent.stop] for extent in self._extents]
        if self.clipnorm is not None:
            for part in parts:
                part *= self.clipnorm / max(math.sqrt(self._squared_norm(part)), self.clipnorm)
        elif self.global_clipnorm is not None:
            norm = math.sqrt(sum(self._squared_norm(part) for part in parts))
            scale = min(self.global_clipnorm / norm, 1.0) if norm else 1.0
            for part in parts:
                part *= scale if math.isfinite(norm) else math.nan
        elif self.clipvalue is not None:
            for part in parts:
                np.clip(part, -self.clipvalue, self.clipvalue, out=part)

    def _squared_norm(self, values: Array) -> float:
        total = 0.0
        for begin in range(0, values.size, CHUNK):
            part = values[begin : begin + CHUNK]
            scratch = np.square(part, out=self._scratch[0][: part.size])
            total += float(scratch.sum(dtype=np.float64))
        return total


@clear_arguments("optimizer")
@dataclass
class SGD(Optimizer):
    """v = momentum v - rate g, w += v; with nesterov w += momentum v - rate g."""

    learning_rate: float = default_number("SGD", "learning_rate")
    momentum: float = default_number("SGD", "momentum")
    nesterov: bool = default_flag("SGD", "nesterov")

    @property
    def slots(self) -> int:
        """The velocity, with momentum."""
        return 1 if self.momentum else 0

    @property
    def supports_lazy_updates(self) -> bool:
        """Without clipping or decay, at a rate that float32 holds."""
        return self._without_neighbours and self.learning_rate < LARGEST

    def constants(self) -> tuple[float, ...]:
        """The learning rate and the momentum."""
        return self.learning_rate, self.momentum

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """v = momentum v - rate g, w += v; with `nesterov` w += momentum v - rate g."""
        rate, momentum = constants
        step = gradient * rate
        if not state:
            return (weight - step,)
        velocity = state[0] * momentum - step
        return weight + (velocity * momentum - step if self.nesterov else velocity), velocity


@clear_arguments("optimizer")
@dataclass
class RMSprop(Optimizer):
    """s = rho s + (1 - rho) g², w -= rate g / √(s + epsilon); centered takes the mean gradient's square off s."""

    learning_rate: float = default_number("RMSprop", "learning_rate")
    rho: float = default_number("RMSprop", "rho")
    momentum: float = default_number("RMSprop", "momentum")
    epsilon: float = default_number("RMSprop", "epsilon")
    centered: bool = default_flag("RMSprop", "centered")

    @property
    def slots(self) -> int:
        """The mean square, the velocity with momentum, the mean if `centered`."""
        return 1 + bool(self.momentum) + self.centered

    @property
    def supports_lazy_updates(self) -> bool:
        """Without clipping or decay, with an epsilon and a rate that float32 holds."""
        return self._without_neighbours and self.epsilon > SMALLEST and self.learning_rate < LARGEST

    def constants(self) -> tuple[float, ...]:
        """The learning rate, rho, 1 - rho, the momentum and epsilon."""
        return self.learning_rate, self.rho, 1.0 - self.rho, self.momentum, self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class; with momentum v = momentum v + rate g / √(s + epsilon), w -= v."""
        rate, rho, rest, momentum, epsilon = constants
        square = state[0] * rho + gradient * gradient * rest
        spread, means = square, tuple[Num, ...]()
        if self.centered:
            mean = state[-1] * rho + gradient * rest
            spread, means = square - mean * mean, (mean,)
        step = gradient * rate / (spread + epsilon).sqrt()
        if len(state) == 1 + len(means):
            return weight - step, square, *means
        velocity = state[1] * momentum + step
        return weight - velocity, square, velocity, *means


@clear_arguments("optimizer")
@dataclass
class Adam(Optimizer):
    """m += (1 - β1)(g - m), v += (1 - β2)(g² - v), w -= rate √(1 - β2ᵗ)/(1 - β1ᵗ) m / (√v + epsilon)."""

    learning_rate: float = default_number("Adam", "learning_rate")
    beta_1: float = default_number("Adam", "beta_1")
    beta_2: float = default_number("Adam", "beta_2")
    epsilon: float = default_number("Adam", "epsilon")
    amsgrad: bool = default_flag("Adam", "amsgrad")

    @property
    def slots(self) -> int:
        """The mean and the mean square, with `amsgrad` also the largest one so far."""
        return 3 if self.amsgrad else 2

    @property
    def supports_lazy_updates(self) -> bool:
        """Without clipping or decay: an update of zeros is 0 · rate / epsilon, which is 0 for a rate and an epsilon that float32 holds."""
        held = self.epsilon > SMALLEST and self.learning_rate < LARGEST * (1.0 - self.beta_1)
        return self._without_neighbours and held

    def constants(self) -> tuple[float, ...]:
        """The learning rate with the bias corrections of both means, 1 - beta_1, 1 - beta_2 and epsilon."""
        return self._rate(), 1.0 - self.beta_1, 1.0 - self.beta_2, self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class; `amsgrad` divides by the root of the largest mean square so far."""
        rate, towards_gradient, towards_square, epsilon = constants
        mean = state[0] + (gradient - state[0]) * towards_gradient
        variance = state[1] + (gradient * gradient - state[1]) * towards_square
        largest = tuple(most.maximum(variance) for most in state[2:])
        return weight - mean * rate / ((*largest, variance)[0].sqrt() + epsilon), mean, variance, *largest

    def _rate(self) -> float:
        return self.learning_rate * math.sqrt(1.0 - self.beta_2**self.iterations) / (1.0 - self.beta_1**self.iterations)


@clear_arguments("optimizer")
@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay: w -= rate · weight_decay · w before each update."""

    weight_decay: float | None = default_number("AdamW", "weight_decay")


def _runs(extents: Sequence[WeightExtent]) -> list[tuple[int, int]]:
    """The extents with neighbours joined."""
    runs: list[tuple[int, int]] = []
    for extent in extents:
        if runs and runs[-1][1] == extent.start:
            runs[-1] = (runs[-1][0], extent.stop)
        else:
            runs.append((extent.start, extent.stop))
    return runs


OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "RMSprop": RMSprop, "Adam": Adam, "AdamW": AdamW}
"""By Keras's names; arguments and defaults are Keras's."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "optimizer", name)
