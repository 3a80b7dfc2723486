"""An optimizer's update as data: its formula, and its constants as formulas of the learning rate and the update's number."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import numpy as np

from rnnspec.contract.arguments import POSITIVE
from rnnspec.contract.signature import Signature, weight_ranges
from rnnspec.contract.step_number import RATE, STEPS, StepNumber, number
from rnnspec.contract.update_rule import MOST, Clipping, UpdateRule
from rnnspec.training.array_formula import array_formula
from rnnspec.training.extents import WeightExtent, decayed_runs
from rnnspec.training.optimizer import Optimizer
from rnnspec.training.whole_optimizers import WholeOptimizer


def update_rule(optimizer: Optimizer, signature: Signature, frozen: Collection[str]) -> UpdateRule:
    """The rule of an optimizer for a model's weights, but the `frozen` ones; ValueError, saying why, for one that can't be data."""
    name = type(optimizer).__name__
    if isinstance(optimizer, WholeOptimizer):
        raise ValueError(f"optimizer {name}: it looks at whole weights, and native code has updates of single numbers")
    for setting in ("use_ema", "gradient_accumulation_steps"):
        if getattr(optimizer, setting):
            raise ValueError(f"optimizer {name}: {setting} keeps more than a state and a count: leave it out")
    if not optimizer.stays_finite(MOST) and isinstance(optimizer.schedule, (int, float)):
        raise ValueError(
            f"optimizer {name}: with a rate of {MOST:g} or more, or such a small epsilon, finite numbers could become infinite"
        )
    trained = [weight for weight in signature.weights if weight.trainable and weight.name not in frozen]
    ranges = weight_ranges(signature.weights)
    extents = [WeightExtent(ranges[each.name].start, ranges[each.name].stop, name=each.name, shape=each.shape) for each in trained]
    constants = _constants(optimizer)
    runs = [(start, stop, _taken(decay)) for start, stop, decay in decayed_runs(extents, optimizer.decay_of)]
    clipping, limit = _clipping(optimizer)
    return UpdateRule(
        optimizer.formula,
        constants,
        tuple(optimizer.state_start(slot) for slot in range(optimizer.slots)),
        tuple(runs),
        tuple((each.start, each.stop) for each in extents),
        clipping,
        limit,
        float(optimizer.schedule) if isinstance(optimizer.schedule, (int, float)) else None,
        optimizer.rates == POSITIVE,
    )


def _taken(decay: float | None) -> StepNumber | None:
    return None if decay is None else decay * RATE


def _constants(optimizer: Optimizer) -> tuple[StepNumber, ...]:
    """The constants, computed with data in the place of the rate and the number of updates."""
    name, traced = type(optimizer).__name__, optimizer.fresh()
    vars(traced).update(_schedule=RATE, iterations=STEPS)
    try:
        constants = tuple(number(cast("StepNumber | float", each)) for each in traced.constants())
    except TypeError:
        raise ValueError(f"optimizer {name}: what it computes of an update's number is no formula of powers of it") from None
    if any(_has_steps(each) for each in constants):
        raise ValueError(f"optimizer {name}: it takes an update's number itself, and not powers by it")
    calls = array_formula(optimizer.formula, optimizer.slots, len(constants)).calls
    if any(call.function is np.power for call in calls):
        raise ValueError(f"optimizer {name}: with these settings it takes powers of numbers, which native code hasn't numpy's bits of")
    return constants


def _has_steps(given: StepNumber) -> bool:
    return given.operation == "steps" or any(map(_has_steps, given.operands))


def _clipping(optimizer: Optimizer) -> tuple[Clipping, float]:
    settings: dict[Clipping, float | None] = {
        "norm": optimizer.clipnorm,
        "global norm": optimizer.global_clipnorm,
        "value": optimizer.clipvalue,
    }
    for kind, limit in settings.items():
        if limit is not None:
            return kind, limit
    return "none", 0.0
