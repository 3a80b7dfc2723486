"""The arguments of the learning-rate schedules in Keras's order, with Keras's defaults (Keras 3.15), those of `OneCycle` in PyTorch's.

A spec and a constructor both read them. Keras's `name`, which stands before the warm-up of `CosineDecay`, is left out: the arguments
behind it are given by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import cast

from rnnspec.contract.arguments import POSITIVE, Argument, Flag, Float, Floats, Int, OneOf

_RATE = Argument("initial_learning_rate", Float(0.0))
_STEPS = Argument("decay_steps", POSITIVE)
_ALPHA = Argument("alpha", Float(0.0, 1.0), 0.0)
_DECAY = (_RATE, _STEPS, Argument("decay_rate", Float(0.0)), Argument("staircase", Flag(), False))

SCHEDULE_ARGUMENTS: Mapping[str, tuple[Argument, ...]] = MappingProxyType(
    {
        "ExponentialDecay": _DECAY,
        "InverseTimeDecay": _DECAY,
        "PolynomialDecay": (
            _RATE,
            _STEPS,
            Argument("end_learning_rate", Float(0.0), 0.0001),
            Argument("power", Float(0.0), 1.0),
            Argument("cycle", Flag(), False),
        ),
        "PiecewiseConstantDecay": (Argument("boundaries", Floats()), Argument("values", Floats())),
        "CosineDecay": (
            _RATE,
            _STEPS,
            _ALPHA,
            Argument("warmup_target", Float(0.0), None, optional=True, positional=False),
            Argument("warmup_steps", Float(0.0), 0.0, positional=False),
        ),
        "CosineDecayRestarts": (
            _RATE,
            Argument("first_decay_steps", POSITIVE),
            Argument("t_mul", Float(1.0), 2.0),
            Argument("m_mul", Float(0.0), 1.0),
            _ALPHA,
        ),
        "OneCycle": (
            Argument("max_lr", Float(0.0)),
            Argument("total_steps", Int(1)),
            Argument("pct_start", Float(0.0, 1.0), 0.3),
            Argument("anneal_strategy", OneOf(("cos", "linear")), "cos"),
            Argument("div_factor", POSITIVE, 25.0),
            Argument("final_div_factor", POSITIVE, 10000.0),
            Argument("three_phase", Flag(), False),
        ),
    }
)
"""By Keras's names."""


def _piecewise_problem(boundaries: tuple[float, ...], values: tuple[float, ...]) -> str:
    if not boundaries or any(each != int(each) or each < 0 for each in boundaries):
        return "boundaries are whole numbers from 0, at least one"
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        return "each boundary is above the one before it"
    if len(values) != len(boundaries) + 1:
        return f"there is a value more than boundaries, {len(boundaries) + 1} for {len(boundaries)}, got {len(values)}"
    if min(values) < 0:
        return f"values are learning rates from 0, got {min(values):g}"
    return ""


def schedule_problem(name: str, arguments: Mapping[str, object]) -> str:
    """The fault in the arguments of a schedule together, each being of its kind, in words; empty for none."""
    if name == "PiecewiseConstantDecay":
        boundaries, values = (cast("tuple[float, ...]", arguments[each]) for each in ("boundaries", "values"))
        return _piecewise_problem(boundaries, values)
    if name == "CosineDecay" and arguments["warmup_steps"] and arguments["warmup_target"] is None:
        return "warmup_steps needs a warmup_target, the rate at the end of the warm-up"
    if name == "OneCycle" and arguments["three_phase"] and cast(float, arguments["pct_start"]) > 0.5:
        return "with three_phase two of the phases take pct_start each: it is 0.5 at most"
    return ""
