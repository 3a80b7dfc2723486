"""The frame of all optimizers: settings, the learning rate, state over the flat weights, clipping, decay, updates by a formula."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast, overload

import numpy as np

from rnnspec.contract.arguments import Argument, Flag, Float, Texts
from rnnspec.contract.executable import Array, Num
from rnnspec.contract.optimizer_arguments import OPTIMIZER_ARGUMENTS, default_number, optimizer_problem, pattern_problem
from rnnspec.runtime.data.validate import finite_number
from rnnspec.training.array_formula import ArrayFormula, array_formula
from rnnspec.training.constructors import checked_argument
from rnnspec.training.extents import Undecayed, WeightExtent, decayed_runs, joined_runs
from rnnspec.training.schedules import LearningRateSchedule, MissingSchedule, Rate

_NOTHING: Array = np.zeros(0)

_DIVISORS = ("epsilon", "epsilon_1", "epsilon_2")
"""The settings that keep a division from one by 0; where there is none it is the accumulator's first value."""

_SMALL = 1e-36
"""A divisor that float32 still tells from 0."""


_FIXED = frozenset(
    ("use_ema", "gradient_accumulation_steps", "initial_accumulator_value", "learning_rate_power", "exclude_layers", "exclude_embeddings")
)
"""Settings on which the state, or the formula's operations depend."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Bounds well inside the range of float32."""

CHUNK = 1 << 15
"""The elements of one part of an update, few enough to stay in the cache."""


class RateSetting:
    """The setting `learning_rate`: a number or a schedule is given, and the rate of the next update is read, as from Keras's optimizers."""

    def __init__(self, optimizer: str) -> None:
        self._default = default_number(optimizer, "learning_rate")

    @overload
    def __get__(self, instance: None, owner: type[Optimizer]) -> float: ...

    @overload
    def __get__(self, instance: Optimizer, owner: type[Optimizer] | None = None) -> float: ...

    def __get__(self, instance: Optimizer | None, owner: type[Optimizer] | None = None) -> float:
        return self._default if instance is None else instance.rate_after(instance.batches)

    def __set__(self, instance: Optimizer, value: float | LearningRateSchedule) -> None:
        instance.schedule = value


@cache
def _arguments_of(optimizer: type[Optimizer]) -> Mapping[str, Argument]:
    """The arguments of the optimizer, or of the one that it inherits from."""
    named = next((each.__name__ for each in optimizer.__mro__ if each.__name__ in OPTIMIZER_ARGUMENTS), None)
    return MappingProxyType({} if named is None else {argument.name: argument for argument in OPTIMIZER_ARGUMENTS[named]})


@dataclass(kw_only=True)
class Optimizer(ABC):
    """An update rule with its state over one flat array.

    `learning_rate`: a number, or a `LearningRateSchedule`; reading gives the rate of the next update. `clipnorm` bounds each weight's
    gradient norm, `global_clipnorm` that of all together, `clipvalue` each element; at most one of them. `weight_decay` takes that
    fraction, times the learning rate, off the weights before the update. `use_ema` keeps a moving average of the weights, with
    `ema_momentum`, which they become at the end of `fit`, and every `ema_overwrite_frequency` updates. With `gradient_accumulation_steps`
    the gradients of so many batches, their mean, make one update. `iterations` counts the updates so far.

    A setting may be changed at any time, and acts at the next update; those on which the state depends can't be once a model has the
    optimizer. ValueError for such a one, and for a value that `OPTIMIZER_ARGUMENTS` doesn't allow.
    """

    rates: ClassVar[Float] = Float(0.0)
    """The learning rates that there can be."""

    learning_rate: RateSetting = RateSetting("Adam")
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    loss_scale_factor: None = None
    gradient_accumulation_steps: int | None = None

    def __post_init__(self) -> None:
        self._known: tuple[int, object, float] = (-1, None, 0.0)
        """The last number of batches with what its schedule gave: each is asked for several times."""
        self._check_together()
        self.iterations = self.accumulated = 0
        self._average: Array = _NOTHING
        self._gathered: Array = _NOTHING
        self._undecayed = Undecayed()
        self._extents: list[WeightExtent] = []
        self._state: list[Array] = []
        self._scratch: list[Array] = []
        self._formula: ArrayFormula | None = None
        self._decayed: tuple[float | None, list[tuple[int, int, float | None]]] | None = None
        """The runs of weights with their decay, for a `weight_decay`."""
        self._owner: object = None
        """The model's mark; None for an optimizer that no model has."""
        self.version = 0
        """Another one for another formula."""

    def __setattr__(self, name: str, value: object) -> None:
        argument = _arguments_of(type(self)).get(name)
        if argument is None or name == "learning_rate":
            object.__setattr__(self, name, value)
            return
        what = f"{type(self).__name__}: {name}"
        taken = checked_argument(what, value, argument)
        before: object = getattr(self, name, None)
        object.__setattr__(self, name, taken)
        if getattr(self, "_owner", None) is not None:
            try:
                self._check_together()
                if self.slots != len(self._state) or (name in _FIXED and taken != before):
                    raise ValueError(f"{what}: from {before} to {taken} the state would be another: give model.configure a new optimizer")
            except ValueError:
                object.__setattr__(self, name, before)
                raise
        if isinstance(argument.kind, Flag) and hasattr(self, "_formula"):
            self._formula, self.version = None, self.version + 1

    def _check_together(self) -> None:
        """ValueError for settings that exclude each other."""
        if problem := optimizer_problem(vars(self)):
            raise ValueError(f"{type(self).__name__}: {problem}")

    def settings(self) -> dict[str, Any]:
        """What the constructor takes for an optimizer with these settings, which has no state."""
        given = {each.name: cast(object, getattr(self, each.name)) for each in fields(self) if each.init}
        return given | {"learning_rate": self._schedule}

    def fresh(self) -> Self:
        """Another one with these settings, and without state."""
        made = type(self)(**self.settings())
        made._undecayed = self._undecayed
        return made

    @property
    def undecayed(self) -> Undecayed:
        """The weights that `weight_decay` leaves alone."""
        return self._undecayed

    def exclude_from_weight_decay(self, var_list: Sequence[str] | None = None, var_names: Sequence[str] | None = None) -> None:
        """Leaves weights out of `weight_decay`, as Keras's method; before a model has the optimizer.

        `var_list`: names of weights, "dense/kernel". `var_names`: regular expressions that are looked for in the last part of the names:
        "bias". ValueError for anything else, and for a model's optimizer.

        >>> from rnnspec.optimizers import AdamW
        >>> optimizer = AdamW(0.001, weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        what = f"{type(self).__name__}: exclude_from_weight_decay"
        if self._owner is not None:
            raise ValueError(f"{what}: a model has this optimizer already: call it before model.configure")
        texts = [
            checked_argument(f"{what}: {name}", [] if value is None else value, Argument(name, Texts()))
            for name, value in (("var_list", var_list), ("var_names", var_names))
        ]
        weights, patterns = (cast("tuple[str, ...]", each) for each in texts)
        if problem := pattern_problem(patterns):
            raise ValueError(f"{what}: {problem}")
        self._undecayed = Undecayed(weights, patterns)

    # The learning rate

    @property
    def schedule(self) -> Rate:
        """The number or the schedule that was given as `learning_rate`."""
        return self._schedule

    @schedule.setter
    def schedule(self, value: Rate) -> None:
        what = f"{type(self).__name__}: learning_rate"
        if isinstance(value, LearningRateSchedule):
            self._schedule: Rate = value
            return
        number = finite_number(value)
        before = getattr(self, "_schedule", 0.0)
        if number is None or not self.rates.holds(number):
            raise ValueError(f"{what}: expected a finite number {self.rates.interval}, got {value!r}{_advice_on_rate(value)}")
        if isinstance(before, LearningRateSchedule) and not isinstance(before, MissingSchedule):
            raise ValueError(f"{what}: the schedule {type(before).__name__} sets it, and it can't be set besides; another schedule can be")
        self._schedule = number

    def start_from(self, rate: Rate) -> None:
        """Takes a rate or a schedule in the place of whatever was there."""
        self._schedule = 0.0
        self.schedule = rate

    @property
    def batches(self) -> int:
        """The batches so far, by which a schedule counts."""
        return self.iterations * (self.gradient_accumulation_steps or 1) + self.accumulated

    def stays_finite(self, limit: float) -> bool:
        """Whether gradients below the limit make finite weights of finite ones: so is the rate, and nothing divides by 0."""
        found = [getattr(self, name) for name in _DIVISORS if hasattr(self, name)] or [getattr(self, "initial_accumulator_value", 1.0)]
        return self._rate_below(limit) and min(found) > _SMALL

    def _rate_below(self, limit: float) -> bool:
        """Whether the next update's rate is below a limit, as far as it is known."""
        return type(self._schedule) is MissingSchedule or self.rate_after(self.batches) < limit

    @property
    def rate(self) -> float:
        """The learning rate of update number `iterations`, the one under way."""
        schedule = self._schedule
        if not isinstance(schedule, LearningRateSchedule):
            return schedule
        return self.rate_after(max(self.iterations * (self.gradient_accumulation_steps or 1) - 1, 0))

    def rate_after(self, batches: int) -> float:
        """The learning rate behind so many batches; ValueError for a schedule that doesn't give a finite number from 0."""
        schedule = self._schedule
        if isinstance(schedule, (int, float)):  # of an abstract class `isinstance` takes longer, and a batch asks four times
            return schedule
        if self._known[0] == batches and self._known[1] is schedule:
            return self._known[2]
        given = schedule(batches)
        number = finite_number(given)
        if number is None or not self.rates.holds(number):
            name, expected = type(schedule).__name__, f"expected a finite number {self.rates.interval}"
            raise ValueError(f"{type(self).__name__}: the schedule {name} gave {given!r} for step {batches}; {expected}")
        self._known = batches, schedule, number
        return number

    # What a rule says

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many numbers of state there are for a weight."""

    @property
    def _held(self) -> bool:
        """Nothing looks beyond a number, and the next rate is one that float32 holds."""
        return self._without_neighbours and self._rate_below(LARGEST)

    def state_start(self, slot: int) -> float:
        """The number with which a slot of the state begins."""
        return 0.0

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
        """Nothing clips, decays, averages or gathers."""
        settings = (self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm, self.gradient_accumulation_steps)
        return not self.use_ema and all(setting is None for setting in settings)

    @property
    def state(self) -> Sequence[Array]:
        """The flat arrays of state, in the layout that `bind` was given."""
        return self._state

    def states(self) -> dict[str, Array]:
        """The state by name: the counts of updates and gathered batches, and the flat arrays, views all."""
        found = {"iterations": np.array(self.iterations, np.int64)} | {str(place): array for place, array in enumerate(self._state)}
        if self.use_ema:
            found["average"] = self._average
        if self.gradient_accumulation_steps is not None:
            found |= {"gathered": self._gathered, "accumulated": np.array(self.accumulated, np.int64)}
        return found

    def restore(self, given: Mapping[str, Array]) -> None:
        """Takes on what `states` gave; ValueError, nothing being changed, if it doesn't fit."""
        known = self.states()
        if {name: (each.shape, each.dtype) for name, each in given.items()} != {
            name: (each.shape, each.dtype) for name, each in known.items()
        }:
            raise ValueError(f"the state isn't of this {type(self).__name__} and model")
        self.iterations, self.accumulated = int(given["iterations"]), int(given.get("accumulated", 0))
        for name, array in known.items():
            array[...] = given[name]

    def check_weights(self, names: Sequence[str]) -> None:
        """ValueError for a setting that names a weight which isn't among a model's."""
        self._undecayed.check(names)

    def belong_to(self, owner: object) -> None:
        """Begins to train a model, by the model's mark; ValueError for one that trains another."""
        if self._owner is not None and self._owner is not owner:
            raise ValueError(f"optimizer: this {type(self).__name__} is another model's: give each model one of its own")
        self._owner = owner

    def release(self) -> None:
        """Ends to train a model, and is free for another."""
        self._owner = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy belongs to no model."""
        return vars(self) | {"_owner": None, "_formula": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def bind(self, extents: Sequence[WeightExtent], dtype: np.dtype[np.generic]) -> None:
        """Forget all state and take on flat arrays of this layout."""
        size = max((extent.stop for extent in extents), default=0)
        self.iterations = self.accumulated = 0
        self._extents, self._decayed = [extent for extent in extents if extent.trainable], None
        self._state = [np.full(size, self.state_start(slot), dtype) for slot in range(self.slots)]
        self._average = np.zeros(size if self.use_ema else 0, dtype)
        self._gathered = np.zeros(size if self.gradient_accumulation_steps is not None else 0, dtype)
        self._scratch = [np.empty(min(CHUNK, size), dtype)]
        self._formula = None

    def leave_out_no_more(self, extents: Sequence[WeightExtent], weights: Array | None = None) -> None:
        """Takes on other extents of the same layout; the state stays. `weights`: with which the averages of new ones begin."""
        before = {extent.start for extent in self._extents}
        self._extents, self._decayed = [extent for extent in extents if extent.trainable], None
        if weights is not None and self._average.size:
            for extent in self._extents:
                if extent.start not in before:
                    self._average[extent.start : extent.stop] = weights[extent.start : extent.stop]

    def step(self, weights: Array, gradient: Array, native: Callable[[int, int], None] | None = None) -> None:
        """One update of the trainable weights in place; `gradient` is overwritten. Nothing is allocated by size.

        `native`: does what `formula` says for a run of weights, from one place to another; used for long ones. See `late`.
        """
        rate = self.rate_after(self.batches)  # a schedule that fails does it before anything has changed
        with np.errstate(all="ignore"):
            iteration = self.iterations
            if self._gathers(gradient):
                self._clip(gradient)
                self.iterations += 1
                self._update(weights, gradient, rate, native)
            if self.use_ema:
                self._follow(weights, iteration)

    def _gathers(self, gradient: Array) -> bool:
        """Whether a group of batches is whole, whose mean gradient takes the place of the last one's."""
        if self.gradient_accumulation_steps is None:
            return True
        self.accumulated += 1
        last = self.accumulated == self.gradient_accumulation_steps
        for start, stop in joined_runs(self._extents):
            for begin in range(start, stop, CHUNK):
                part = slice(begin, min(begin + CHUNK, stop))
                self._gathered[part] += gradient[part]
                if last:
                    np.divide(self._gathered[part], self.accumulated, out=gradient[part])
        if last:
            self.accumulated = 0
            self._gathered[:] = 0
        return last

    def _follow(self, weights: Array, iteration: int) -> None:
        """Moves the averages behind a batch towards the weights; the first time to them."""
        momentum = self.ema_momentum if iteration else 0.0
        overwrites = self.ema_overwrite_frequency is not None and (iteration + 1) % self.ema_overwrite_frequency == 0
        for start, stop in joined_runs(self._extents):
            for begin in range(start, stop, CHUNK):
                part = slice(begin, min(begin + CHUNK, stop))
                scratch = np.multiply(weights[part], 1.0 - momentum, out=self._scratch[0][: part.stop - part.start])
                self._average[part] *= momentum
                self._average[part] += scratch
                if overwrites:
                    weights[part] = self._average[part]

    def finish(self, weights: Array) -> None:
        """At the end of a training the weights become their averages, if there are any."""
        if self.use_ema and self.batches:
            for start, stop in joined_runs(self._extents):
                weights[start:stop] = self._average[start:stop]

    def _update(self, weights: Array, gradient: Array, rate: float, native: Callable[[int, int], None] | None) -> None:
        constants = self.constants()
        formula = self._array_formula(len(constants))
        if self._decayed is None or self._decayed[0] != self.weight_decay:
            self._decayed = self.weight_decay, decayed_runs(self._extents, self.decay_of)
        for start, stop, decay in self._decayed[1]:
            if native is not None and stop - start >= CHUNK:
                native(start, stop)
                continue
            for begin in range(start, stop, CHUNK):
                part = slice(begin, min(begin + CHUNK, stop))
                scratch = [values[: part.stop - part.start] for values in self._scratch]
                updated = weights[part]
                if decay is not None:
                    np.multiply(updated, decay * rate, out=scratch[0])
                    updated -= scratch[0]
                formula.run(updated, gradient[part], [values[part] for values in self._state], constants, scratch)

    def decay_of(self, extent: WeightExtent) -> float | None:
        """The fraction, times the learning rate, that is taken off a weight before an update; None for none."""
        return None if self.weight_decay is None or self._undecayed.holds(extent.name) else self.weight_decay

    def _array_formula(self, constants: int) -> ArrayFormula:
        """The formula over arrays, made when it is first needed."""
        if (found := self._formula) is None:
            found = self._formula = array_formula(self.formula, len(self._state), constants)
        while len(self._scratch) < found.temporaries:
            self._scratch.append(np.empty_like(self._scratch[0]))
        return found

    def _clip(self, gradient: Array) -> None:
        parts = [gradient[extent.start : extent.stop] for extent in self._extents]
        if self.clipnorm is not None:
            for part in parts:
                part *= self.clipnorm / max(math.sqrt(self._squared_norm(part)), self.clipnorm)
        elif self.global_clipnorm is not None:
            norm = 0.0
            for part in parts:  # one by one, where `sum` corrects its roundings in some versions of Python
                norm += self._squared_norm(part)
            norm = math.sqrt(norm)
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


def _advice_on_rate(value: object) -> str:
    """What is to be done with something that was given for a schedule."""
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, type) and issubclass(value, LearningRateSchedule):
        return f": write {value.__name__}(...), with its settings in the brackets"
    if kind.__module__.partition(".")[0] in ("keras", "tensorflow", "torch"):
        return f": {kind.__name__} is of {kind.__module__.partition('.')[0]}, and rnnspec.schedules has those to be used here"
    return (
        ": a schedule of your own is an object of a class that inherits rnnspec.schedules.LearningRateSchedule"
        if callable(cast(object, value))
        else ""
    )
