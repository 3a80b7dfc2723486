"""Optimizers: update rules on the flat weights, in place, by Keras's formulas (keras.src.optimizers, 3.15).

A spec chooses one by name, `optimizer = Adam(learning_rate = 0.01)`; Python gives `Model.configure` a name or an object:

>>> import numpy as np
>>> import rnnspec
>>> from rnnspec.optimizers import SGD
>>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
>>> model.configure(loss="mse", optimizer=SGD(learning_rate=0.1, momentum=0.9, clipnorm=1.0))
>>> history = model.fit(np.ones((8, 5, 3)), np.ones((8, 1)), epochs=5, verbose=False)
>>> history.history["loss"][-1] < history.history["loss"][0]
True
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rnnspec.contract.executable import Num
from rnnspec.contract.optimizer_arguments import OPTIMIZER_ARGUMENTS, default_flag, default_number
from rnnspec.training.constructors import absent, clear_arguments
from rnnspec.training.optimizer import CHUNK, LARGEST, SMALLEST, Optimizer, RateSetting, WeightExtent

__all__ = ["CHUNK", "OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "WeightExtent"]


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class SGD(Optimizer):
    """v = momentum v - rate g, w += v; with nesterov w += momentum v - rate g."""

    learning_rate: RateSetting = RateSetting("SGD")  # noqa: RUF009 - a descriptor
    momentum: float = default_number("SGD", "momentum")
    nesterov: bool = default_flag("SGD", "nesterov")

    @property
    def slots(self) -> int:
        """The velocity, with momentum."""
        return 1 if self.momentum else 0

    @property
    def supports_lazy_updates(self) -> bool:
        """Without clipping or decay, at a rate that float32 holds."""
        return self._without_neighbours and self._rate_below(LARGEST)

    def constants(self) -> tuple[float, ...]:
        """The learning rate and the momentum."""
        return self.rate, self.momentum

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """v = momentum v - rate g, w += v; with `nesterov` w += momentum v - rate g."""
        rate, momentum = constants
        step = gradient * rate
        if not state:
            return (weight - step,)
        velocity = state[0] * momentum - step
        return weight + (velocity * momentum - step if self.nesterov else velocity), velocity


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class RMSprop(Optimizer):
    """s = rho s + (1 - rho) g², w -= rate g / √(s + epsilon); centered takes the mean gradient's square off s."""

    learning_rate: RateSetting = RateSetting("RMSprop")  # noqa: RUF009 - a descriptor
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
        return self._without_neighbours and self.epsilon > SMALLEST and self._rate_below(LARGEST)

    def constants(self) -> tuple[float, ...]:
        """The learning rate, rho, 1 - rho, the momentum and epsilon."""
        return self.rate, self.rho, 1.0 - self.rho, self.momentum, self.epsilon

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


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Adam(Optimizer):
    """m += (1 - β1)(g - m), v += (1 - β2)(g² - v), w -= rate √(1 - β2ᵗ)/(1 - β1ᵗ) m / (√v + epsilon)."""

    learning_rate: RateSetting = RateSetting("Adam")  # noqa: RUF009 - a descriptor
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
        held = self.epsilon > SMALLEST and self._rate_below(LARGEST * (1.0 - self.beta_1))
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
        return self.rate * math.sqrt(1.0 - self.beta_2**self.iterations) / (1.0 - self.beta_1**self.iterations)


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay: w -= rate · weight_decay · w before each update."""

    weight_decay: float | None = default_number("AdamW", "weight_decay")


OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "RMSprop": RMSprop, "Adam": Adam, "AdamW": AdamW}
"""By Keras's names; arguments and defaults are Keras's."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "optimizer", name)
