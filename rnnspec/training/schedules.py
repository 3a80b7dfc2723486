"""Learning-rate schedules: the rate by the number of batches so far, by Keras's formulas (keras.src.optimizers.schedules, 3.15).

An optimizer takes one in the place of a number, in a spec as well: `optimizer = SGD(CosineDecay(0.1, 1000))`.

>>> from rnnspec.schedules import CosineDecay
>>> schedule = CosineDecay(0.0, 900, warmup_target=0.1, warmup_steps=100)
>>> [round(schedule(step), 4) for step in (0, 50, 100, 550, 1000, 5000)]
[0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import NoReturn, TypeAlias, cast

from rnnspec.contract.schedule_arguments import SCHEDULE_ARGUMENTS, schedule_problem
from rnnspec.contract.signature import Config
from rnnspec.training.constructors import absent, checked_argument, clear_arguments

_FAMILY = "learning-rate schedule"


class LearningRateSchedule(ABC):
    """A learning rate that moves with the updates, Keras's LearningRateSchedule.

    One of your own is an object of a class that inherits this one; what it gives depends on the step alone. A model's file can't hold it.

    >>> from rnnspec.optimizers import SGD
    >>> from rnnspec.schedules import LearningRateSchedule
    >>> class Halved(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** (step // 100)
    >>> SGD(Halved()).learning_rate
    0.1
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate, a finite number from 0, of the batch behind which there are `step` batches."""


@dataclass(frozen=True)
class _Checked(LearningRateSchedule):
    """A schedule with the arguments of `SCHEDULE_ARGUMENTS`."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for argument in SCHEDULE_ARGUMENTS.get(name, ()):
            value = cast(object, getattr(self, argument.name))
            object.__setattr__(self, argument.name, checked_argument(f"{name}: {argument.name}", value, argument))
        if problem := schedule_problem(name, vars(self)):
            raise ValueError(f"{name}: {problem}")


def _power(base: float, exponent: float) -> float:
    """`base ** exponent`; infinite where Python overflows."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class _ByQuotient(_Checked):
    """A schedule of the quotient of the step and `decay_steps`, or of its whole part."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def _quotient(self, step: int) -> float:
        quotient = step / self.decay_steps
        return math.floor(quotient) if self.staircase else quotient


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class ExponentialDecay(_ByQuotient):
    """rate = initial_learning_rate · decay_rate^(step / decay_steps); with `staircase` of the whole part of the quotient.

    argument               type            meaning                                              default
    ---------------------  --------------  ---------------------------------------------------  --------
    initial_learning_rate  float from 0    rate of the first update                             required
    decay_steps            float above 0   batches in which the rate is multiplied once         required
    decay_rate             float from 0    factor                                               required
    staircase              bool            whether the rate stays as it is between two factors  False

    >>> from rnnspec.schedules import ExponentialDecay
    >>> ExponentialDecay(0.5, 10, 0.5, staircase=True)(25)
    0.125
    """

    def __call__(self, step: int) -> float:
        """See the class."""
        return self.initial_learning_rate * _power(self.decay_rate, self._quotient(step))


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class InverseTimeDecay(_ByQuotient):
    """rate = initial_learning_rate / (1 + decay_rate · step / decay_steps); with `staircase` by the whole part of the quotient.

    Arguments as those of `ExponentialDecay`.

    >>> from rnnspec.schedules import InverseTimeDecay
    >>> InverseTimeDecay(0.5, 10, 0.5)(20)
    0.25
    """

    def __call__(self, step: int) -> float:
        """See the class."""
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._quotient(step))


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class PolynomialDecay(_Checked):
    """rate = (initial - end) · (1 - step / decay_steps)^power + end, and `end_learning_rate` from `decay_steps` on.

    argument               type           meaning                                                                 default
    ---------------------  -------------  ----------------------------------------------------------------------  --------
    initial_learning_rate  float from 0   rate of the first update                                                required
    decay_steps            float above 0  batches to the end                                                      required
    end_learning_rate      float from 0   rate at the end                                                         0.0001
    power                  float from 0   exponent                                                                1.0
    cycle                  bool           whether it goes on behind the end with the multiple of `decay_steps`    False
                                          that lies next, instead of staying there

    >>> from rnnspec.schedules import PolynomialDecay
    >>> PolynomialDecay(0.5, 10, 0.0)(5)
    0.25
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __call__(self, step: int) -> float:
        """See the class."""
        steps = self.decay_steps
        if self.cycle:
            steps *= math.ceil(step / self.decay_steps) if step else 1.0
        share = min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * _power(1.0 - share, self.power) + self.end_learning_rate


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class PiecewiseConstantDecay(_Checked):
    """values[0] up to step boundaries[0], values[1] behind it up to boundaries[1], and so on.

    argument    type           meaning                                           default
    ----------  -------------  ------------------------------------------------  --------
    boundaries  list of ints   last steps of all values but the last, rising     required
    values      list of float  rates from 0, one more than there are boundaries  required

    >>> from rnnspec.schedules import PiecewiseConstantDecay
    >>> schedule = PiecewiseConstantDecay([10, 20], [0.5, 0.25, 0.125])
    >>> [schedule(step) for step in (0, 10, 11, 20, 21)]
    [0.5, 0.5, 0.25, 0.25, 0.125]
    """

    boundaries: Sequence[float]
    values: Sequence[float]

    def __call__(self, step: int) -> float:
        """See the class."""
        return self.values[bisect_left(self.boundaries, step)]


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class CosineDecay(_Checked):
    """rate = start · ((1 - alpha) · (1 + cos(π · step / decay_steps)) / 2 + alpha), and start · alpha from `decay_steps` on.

    argument               type            meaning                                                                   default
    ---------------------  --------------  ------------------------------------------------------------------------  --------
    initial_learning_rate  float from 0    start, or with `warmup_target` rate of the first update                   required
    decay_steps            float above 0   batches from start to end                                                 required
    alpha                  float, 0 to 1   end as a part of start                                                    0.0
    warmup_target          float from 0    start, to which `warmup_steps` batches lead, by name; None: no warm-up    None
    warmup_steps           float from 0    batches of the warm-up, by name                                           0

    Ilya Loshchilov and Frank Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.

    >>> from rnnspec.schedules import CosineDecay
    >>> CosineDecay(0.5, 10, alpha=0.5)(20)
    0.25
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = field(default=None, kw_only=True)
    warmup_steps: float = field(default=0.0, kw_only=True)

    def __call__(self, step: int) -> float:
        """See the class."""
        start = self.initial_learning_rate
        if self.warmup_target is None:
            share = min(step, self.decay_steps) / self.decay_steps
        elif step < self.warmup_steps:
            return (self.warmup_target - start) * (step / self.warmup_steps) + start
        else:
            start, share = self.warmup_target, min(step - self.warmup_steps, self.decay_steps) / self.decay_steps
        return start * ((1.0 - self.alpha) * (0.5 * (1.0 + math.cos(math.pi * share))) + self.alpha)


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class CosineDecayRestarts(_Checked):
    """Periods of a cosine decay, number i from 0 of first_decay_steps · t_mulⁱ batches.

    In each rate = initial_learning_rate · ((1 - alpha) · m_mulⁱ · (1 + cos(π · share)) / 2 + alpha), share being the part that is over.

    argument               type           meaning                                    default
    ---------------------  -------------  -----------------------------------------  --------
    initial_learning_rate  float from 0   rate of the first update                   required
    first_decay_steps      float above 0  batches of the first period                required
    t_mul                  float from 1   factor of the periods' lengths             2.0
    m_mul                  float from 0   factor of the rates at periods' starts     1.0
    alpha                  float, 0 to 1  least rate as a part of the initial one    0.0

    The paper is that of `CosineDecay`.

    >>> from rnnspec.schedules import CosineDecayRestarts
    >>> schedule = CosineDecayRestarts(0.5, 10, t_mul=1.0, m_mul=0.5)
    >>> [schedule(step) for step in (0, 5, 10, 15)]
    [0.5, 0.25, 0.25, 0.125]
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __call__(self, step: int) -> float:
        """See the class."""
        share = step / self.first_decay_steps
        if self.t_mul == 1.0:
            period = math.floor(share)
            share -= period
        else:
            period = math.floor(math.log(1.0 - share * (1.0 - self.t_mul)) / math.log(self.t_mul))
            length = self.t_mul**period
            share = (share - (1.0 - length) / (1.0 - self.t_mul)) / length
        cosine = 0.5 * _power(self.m_mul, period) * (1.0 + math.cos(math.pi * share))
        return self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)


@clear_arguments(_FAMILY)
@dataclass(frozen=True)
class OneCycle(_Checked):
    """Up from max_lr / div_factor to max_lr, and down to the start's 1 / final_div_factor, as PyTorch's OneCycleLR (torch.optim, 2.14).

    argument          type             meaning                                                                        default
    ----------------  ---------------  -----------------------------------------------------------------------------  --------
    max_lr            float from 0     highest rate                                                                   required
    total_steps       int from 1       batches of the whole training; behind them the rate stays                      required
    pct_start         float, 0 to 1    part of them that leads up                                                     0.3
    anneal_strategy   "cos", "linear"  way from one rate to another                                                   "cos"
    div_factor        float above 0    max_lr / div_factor is the first rate                                          25.0
    final_div_factor  float above 0    the first rate / final_div_factor is the last one                              10000.0
    three_phase       bool             whether it goes down to the first rate as fast as up, and then to the last     False

    The learning rate alone moves: OneCycleLR with `cycle_momentum=False`. Leslie N. Smith and Nicholay Topin, "Super-Convergence: Very Fast
    Training of Neural Networks Using Large Learning Rates", 2017.

    >>> from rnnspec.schedules import OneCycle
    >>> schedule = OneCycle(1.0, 11, pct_start=0.5, anneal_strategy="linear", div_factor=2.0)
    >>> [round(schedule(step), 3) for step in (0, 9, 10)]
    [0.5, 0.182, 0.0]
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 10000.0
    three_phase: bool = False

    @cached_property
    def _phases(self) -> tuple[Sequence[float], Sequence[tuple[float, float, float, float]]]:
        """The last steps of all phases but the last; and of each the steps between which it moves, and the rates there."""
        first = self.max_lr / self.div_factor
        end, last = self.pct_start * self.total_steps, self.total_steps - 1.0
        down = [(2.0 * end - 2.0, first)] if self.three_phase else []
        corners = [(0.0, first), (end - 1.0, self.max_lr), *down, (last, first / self.final_div_factor)]
        phases = [(begin, stop, rate, target) for (begin, rate), (stop, target) in pairwise(corners)]
        return [stop for _, stop, _, _ in phases[:-1]], phases

    def __call__(self, step: int) -> float:
        """See the class."""
        stops, phases = self._phases
        begin, stop, rate, target = phases[bisect_left(stops, step)]
        share = min((step - begin) / (stop - begin), 1.0) if stop > begin else 1.0
        if self.anneal_strategy == "linear":
            return (target - rate) * share + rate
        return target + (rate - target) / 2.0 * (math.cos(math.pi * share) + 1.0)


@dataclass(frozen=True)
class MissingSchedule(LearningRateSchedule):
    """The place of a schedule of one's own, by its class's name, which the file of a model couldn't hold."""

    name: str

    def __call__(self, step: int) -> float:
        """ValueError: a training needs it."""
        raise ValueError(f"the model was saved with the schedule {self.name}, which its file can't hold: set model.learning_rate again")


SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    "ExponentialDecay": ExponentialDecay,
    "InverseTimeDecay": InverseTimeDecay,
    "PolynomialDecay": PolynomialDecay,
    "PiecewiseConstantDecay": PiecewiseConstantDecay,
    "CosineDecay": CosineDecay,
    "CosineDecayRestarts": CosineDecayRestarts,
    "OneCycle": OneCycle,
}
"""By Keras's names; arguments and defaults are Keras's."""

Rate: TypeAlias = float | LearningRateSchedule


def schedule_of(given: Config) -> LearningRateSchedule:
    """The schedule of a name and arguments; ValueError for arguments that it can't have."""
    made = SCHEDULES.get(given.name)
    if made is None:
        return MissingSchedule(given.name)
    try:
        return made(**dict(given.arguments))
    except TypeError as error:
        raise ValueError(f"{_FAMILY} {given.name}: {error}") from None


def schedule_config(schedule: LearningRateSchedule) -> Config:
    """The name and the arguments that `schedule_of` takes; of a schedule of one's own the name alone."""
    if isinstance(schedule, MissingSchedule):
        return Config(schedule.name)
    name = type(schedule).__name__
    if SCHEDULES.get(name) is not type(schedule):
        return Config(name)
    return Config(name, tuple((each.name, getattr(schedule, each.name)) for each in fields(cast(_Checked, schedule))))


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, _FAMILY, name)
