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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rnnspec.contract.arguments import POSITIVE
from rnnspec.contract.executable import Num
from rnnspec.contract.optimizer_arguments import OPTIMIZER_ARGUMENTS, default_flag, default_number
from rnnspec.contract.step_number import power, root
from rnnspec.training.constructors import absent, clear_arguments
from rnnspec.training.optimizer import CHUNK, LARGEST, SMALLEST, Optimizer, RateSetting, WeightExtent
from rnnspec.training.whole_optimizers import Adafactor, Lamb, Muon

__all__ = [
    "CHUNK",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "WeightExtent",
]


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
        return self._held

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
        return self._held and self.epsilon > SMALLEST

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
        return self.rate * root(1.0 - power(self.beta_2, self.iterations)) / (1.0 - power(self.beta_1, self.iterations))


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay: w -= rate · weight_decay · w before each update."""

    weight_decay: float | None = default_number("AdamW", "weight_decay")


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Nadam(Optimizer):
    """Adam with Nesterov's momentum: m and v as Adam's, w -= rate (a m + b g) / (√(v / (1 - β2ᵗ)) + epsilon).

    a = u(t+1) / (1 - u(1)···u(t+1)) and b = (1 - u(t)) / (1 - u(1)···u(t)), with u(t) = β1 (1 - 0.96ᵗ / 2).
    """

    learning_rate: RateSetting = RateSetting("Nadam")  # noqa: RUF009 - a descriptor
    beta_1: float = default_number("Nadam", "beta_1")
    beta_2: float = default_number("Nadam", "beta_2")
    epsilon: float = default_number("Nadam", "epsilon")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._product = (self.beta_1, 0, 1.0)
        """Of so many factors for a beta_1."""

    @property
    def slots(self) -> int:
        """The mean and the mean square."""
        return 2

    @property
    def supports_lazy_updates(self) -> bool:
        """As of Adam."""
        return self._held and self.epsilon > SMALLEST and self._rate_below(LARGEST * (1.0 - self.beta_1))

    def constants(self) -> tuple[float, ...]:
        """The learning rate, 1 - beta_1, 1 - beta_2, the factors of the mean and of the gradient, 1 - beta_2ᵗ and epsilon."""
        now, following = self._factor(self.iterations), self._factor(self.iterations + 1)
        product = self._product_of(self.iterations)
        towards = following / (1.0 - product * following), (1.0 - now) / (1.0 - product)
        return self.rate, 1.0 - self.beta_1, 1.0 - self.beta_2, *towards, 1.0 - power(self.beta_2, self.iterations), self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, towards_gradient, towards_square, of_mean, of_gradient, correction, epsilon = constants
        mean = state[0] + (gradient - state[0]) * towards_gradient
        variance = state[1] + (gradient * gradient - state[1]) * towards_square
        return weight - (mean * of_mean + gradient * of_gradient) * rate / ((variance / correction).sqrt() + epsilon), mean, variance

    def _factor(self, step: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * 0.96**step)

    def _product_of(self, steps: int) -> float:
        beta, count, product = self._product
        if beta != self.beta_1 or count > steps:
            count, product = 0, 1.0
        for step in range(count, steps):
            product *= self._factor(step + 1)
        self._product = (self.beta_1, steps, product)
        return product


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Adagrad(Optimizer):
    """s += g², w -= rate g / √(s + epsilon); s begins with `initial_accumulator_value`."""

    learning_rate: RateSetting = RateSetting("Adagrad")  # noqa: RUF009 - a descriptor
    initial_accumulator_value: float = default_number("Adagrad", "initial_accumulator_value")
    epsilon: float = default_number("Adagrad", "epsilon")

    @property
    def slots(self) -> int:
        """The sum of squares."""
        return 1

    def state_start(self, slot: int) -> float:
        """The initial sum."""
        return self.initial_accumulator_value

    @property
    def supports_lazy_updates(self) -> bool:
        """With an epsilon, by which there is no 0 / 0."""
        return self._held and self.epsilon > SMALLEST

    def constants(self) -> tuple[float, ...]:
        """The learning rate and epsilon."""
        return self.rate, self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, epsilon = constants
        total = state[0] + gradient * gradient
        return weight - gradient * rate / (total + epsilon).sqrt(), total


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Adadelta(Optimizer):
    """s = rho s + (1 - rho) g², d = g √(u + epsilon) / √(s + epsilon), u = rho u + (1 - rho) d², w -= rate d."""

    learning_rate: RateSetting = RateSetting("Adadelta")  # noqa: RUF009 - a descriptor
    rho: float = default_number("Adadelta", "rho")
    epsilon: float = default_number("Adadelta", "epsilon")

    @property
    def slots(self) -> int:
        """The mean squares of gradients and of steps."""
        return 2

    @property
    def supports_lazy_updates(self) -> bool:
        """With an epsilon, by which there is no 0 / 0."""
        return self._held and self.epsilon > SMALLEST

    def constants(self) -> tuple[float, ...]:
        """The learning rate, rho, 1 - rho and epsilon."""
        return self.rate, self.rho, 1.0 - self.rho, self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, rho, rest, epsilon = constants
        square = state[0] * rho + gradient * gradient * rest
        step = (state[1] + epsilon).sqrt() * gradient / (square + epsilon).sqrt()
        return weight - step * rate, square, state[1] * rho + step * step * rest


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Adamax(Optimizer):
    """m += (1 - β1)(g - m), u = max(β2 u, |g|), w -= rate m / ((1 - β1ᵗ)(u + epsilon))."""

    learning_rate: RateSetting = RateSetting("Adamax")  # noqa: RUF009 - a descriptor
    beta_1: float = default_number("Adamax", "beta_1")
    beta_2: float = default_number("Adamax", "beta_2")
    epsilon: float = default_number("Adamax", "epsilon")

    @property
    def slots(self) -> int:
        """The mean and the largest gradient, which fades."""
        return 2

    @property
    def supports_lazy_updates(self) -> bool:
        """With an epsilon, by which there is no 0 / 0."""
        return self._held and self.epsilon > SMALLEST

    def constants(self) -> tuple[float, ...]:
        """The learning rate, 1 - beta_1, beta_2, 1 - beta_1ᵗ and epsilon."""
        return self.rate, 1.0 - self.beta_1, self.beta_2, 1.0 - power(self.beta_1, self.iterations), self.epsilon

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, towards_gradient, fading, correction, epsilon = constants
        mean = state[0] + (gradient - state[0]) * towards_gradient
        largest = (state[1] * fading).maximum(gradient.absolute())
        return weight - mean * rate / ((largest + epsilon) * correction), mean, largest


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Ftrl(Optimizer):
    """Follow the regularized leader, with shrinkage: the weight that makes a sum of gradients and penalties least.

    n' = n + g², z += g + 2 shrinkage w - (n'ᵖ - nᵖ) / rate · w, w = (clip(z, -l1, l1) - z) / (n'ᵖ / rate + 2 l2 + beta / rate), with p the
    negative of `learning_rate_power`; n begins with `initial_accumulator_value`. A first gradient of zero makes a weight zero, as in Keras.
    The rate is above 0: the formula divides by it.
    """

    rates = POSITIVE

    learning_rate: RateSetting = RateSetting("Ftrl")  # noqa: RUF009 - a descriptor
    learning_rate_power: float = default_number("Ftrl", "learning_rate_power")
    initial_accumulator_value: float = default_number("Ftrl", "initial_accumulator_value")
    l1_regularization_strength: float = default_number("Ftrl", "l1_regularization_strength")
    l2_regularization_strength: float = default_number("Ftrl", "l2_regularization_strength")
    l2_shrinkage_regularization_strength: float = default_number("Ftrl", "l2_shrinkage_regularization_strength")
    beta: float = default_number("Ftrl", "beta")

    @property
    def slots(self) -> int:
        """The sum of squares and the linear part."""
        return 2

    def state_start(self, slot: int) -> float:
        """The initial sum, and zero."""
        return 0.0 if slot else self.initial_accumulator_value

    @property
    def supports_lazy_updates(self) -> bool:
        """With square roots, which native code has, of sums that aren't zero."""
        held = self.initial_accumulator_value > SMALLEST and not self._rate_below(SMALLEST)
        return self._held and held and self.learning_rate_power == -0.5

    def constants(self) -> tuple[float, ...]:
        """The learning rate, the negative power, l1 and its negative, twice the shrinkage, and twice the l2 with beta's part."""
        l1, rate = self.l1_regularization_strength, self.rate
        l2 = 2.0 * (self.l2_regularization_strength + self.beta / (2.0 * rate))
        return rate, -self.learning_rate_power, l1, -l1, 2.0 * self.l2_shrinkage_regularization_strength, l2

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, power, most, least, shrinkage, l2 = constants
        total = state[0] + gradient * gradient
        if self.learning_rate_power == -0.5:
            before, after = state[0].sqrt(), total.sqrt()
        else:
            before, after = state[0].power(power), total.power(power)
        linear = state[1] + (gradient + weight * shrinkage - (after - before) / rate * weight)
        return (linear.maximum(least).minimum(most) - linear) / (after / rate + l2), total, linear


@clear_arguments("optimizer", OPTIMIZER_ARGUMENTS)
@dataclass
class Lion(Optimizer):
    """w -= rate sign(β1 m + (1 - β1) g), m = β2 m + (1 - β2) g."""

    learning_rate: RateSetting = RateSetting("Lion")  # noqa: RUF009 - a descriptor
    beta_1: float = default_number("Lion", "beta_1")
    beta_2: float = default_number("Lion", "beta_2")

    @property
    def slots(self) -> int:
        """The mean."""
        return 1

    @property
    def supports_lazy_updates(self) -> bool:
        """Without clipping or decay, at a rate that float32 holds."""
        return self._held

    def constants(self) -> tuple[float, ...]:
        """The learning rate, beta_1, 1 - beta_1, beta_2 and 1 - beta_2."""
        return self.rate, self.beta_1, 1.0 - self.beta_1, self.beta_2, 1.0 - self.beta_2

    def formula(self, weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        """See the class."""
        rate, of_mean, of_gradient, kept, added = constants
        step = (state[0] * of_mean + gradient * of_gradient).sign() * rate
        return weight - step, state[0] * kept + gradient * added


OPTIMIZERS: dict[str, type[Optimizer]] = {
    each.__name__: each for each in (SGD, RMSprop, Adam, AdamW, Nadam, Adagrad, Adadelta, Adamax, Ftrl, Lion, Lamb, Adafactor, Muon)
}
"""By Keras's names; arguments and defaults are Keras's."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "optimizer", name)
