"""The arguments of the optimizers in Keras's order, with Keras's defaults (Keras 3.15): what a spec and a constructor both read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

from rnnspec.contract.arguments import FRACTION, POSITIVE, Argument, Flag, Float, Int, Rate, Texts, Unused

EXCLUDED = "exclude_from_weight_decay"
"""The names of weights without decay in a spec; in Python the method of that name sets them."""

EXCLUDED_WEIGHTS = "var_list"
"""The same by whole names, which a saved model has."""

NO_SCALING = Unused("float32 and float64 need no scaling of the loss", "leave it out")


def _rate(default: float) -> Argument:
    return Argument("learning_rate", Rate(), default)


_MOMENTUM = Argument("momentum", Float(0.0, 1.0), 0.0)
_EPSILON = Argument("epsilon", Float(0.0), 1e-7)
_MOMENTS = (
    Argument("beta_1", FRACTION, 0.9),
    Argument("beta_2", FRACTION, 0.999),
    _EPSILON,
)
_AMSGRAD = Argument("amsgrad", Flag(), False)
_ACCUMULATOR = Argument("initial_accumulator_value", Float(0.0), 0.1)
_DECAY = Argument("weight_decay", Float(0.0), None, optional=True)
_BEHIND_DECAY = (
    Argument("clipnorm", POSITIVE, None, optional=True),
    Argument("clipvalue", POSITIVE, None, optional=True),
    Argument("global_clipnorm", POSITIVE, None, optional=True),
    Argument("use_ema", Flag(), False),
    Argument("ema_momentum", Float(0.0, 1.0), 0.99),
    Argument("ema_overwrite_frequency", Int(1), None, optional=True),
    Argument("loss_scale_factor", NO_SCALING, None, optional=True),
    Argument("gradient_accumulation_steps", Int(2), None, optional=True),
    Argument(EXCLUDED, Texts(), None, optional=True, positional=False),
)
OF_ALL = (_DECAY, *_BEHIND_DECAY)
"""The arguments of every optimizer, behind its own."""

_OF_MUON = (
    Argument("exclude_layers", Texts(), None, optional=True, positional=False),
    Argument("exclude_embeddings", Flag(), True, positional=False),
    Argument("muon_a", Float(), 3.4445, positional=False),
    Argument("muon_b", Float(), -4.775, positional=False),
    Argument("muon_c", Float(), 2.0315, positional=False),
    Argument("adam_lr_ratio", Float(0.0), 1.0, positional=False),
    Argument("momentum", Float(0.0, 1.0), 0.95, positional=False),
    Argument("ns_steps", Int(0), 5, positional=False),
    Argument("nesterov", Flag(), True, positional=False),
    Argument("rms_rate", Float(0.0), 0.2, optional=True, positional=False),
)
"""Behind Keras's `name`, so that they are given by name."""

OPTIMIZER_ARGUMENTS: Mapping[str, tuple[Argument, ...]] = MappingProxyType(
    {
        "SGD": (_rate(0.01), _MOMENTUM, Argument("nesterov", Flag(), False), *OF_ALL),
        "RMSprop": (
            _rate(0.001),
            Argument("rho", Float(0.0, 1.0), 0.9),
            _MOMENTUM,
            _EPSILON,
            Argument("centered", Flag(), False),
            *OF_ALL,
        ),
        "Adam": (_rate(0.001), *_MOMENTS, _AMSGRAD, *OF_ALL),
        "AdamW": (_rate(0.001), Argument("weight_decay", Float(0.0), 0.004), *_MOMENTS, _AMSGRAD, *_BEHIND_DECAY),
        "Nadam": (_rate(0.001), *_MOMENTS, *OF_ALL),
        "Adagrad": (_rate(0.001), _ACCUMULATOR, _EPSILON, *OF_ALL),
        "Adadelta": (_rate(0.001), Argument("rho", Float(0.0, 1.0), 0.95), _EPSILON, *OF_ALL),
        "Adamax": (_rate(0.001), *_MOMENTS, *OF_ALL),
        "Ftrl": (
            _rate(0.001),
            Argument("learning_rate_power", Float(maximum=0.0), -0.5),
            _ACCUMULATOR,
            Argument("l1_regularization_strength", Float(0.0), 0.0),
            Argument("l2_regularization_strength", Float(0.0), 0.0),
            Argument("l2_shrinkage_regularization_strength", Float(0.0), 0.0),
            Argument("beta", Float(0.0), 0.0),
            *OF_ALL,
        ),
        "Lion": (
            _rate(0.001),
            Argument("beta_1", Float(0.0, 1.0, above_minimum=True), 0.9),
            Argument("beta_2", Float(0.0, 1.0), 0.99),
            *OF_ALL,
        ),
        "Lamb": (_rate(0.001), *_MOMENTS, *OF_ALL),
        "Adafactor": (
            _rate(0.001),
            Argument("beta_2_decay", Float(maximum=0.0), -0.8),
            Argument("epsilon_1", Float(0.0), 1e-30),
            Argument("epsilon_2", Float(0.0), 0.001),
            Argument("clip_threshold", POSITIVE, 1.0),
            Argument("relative_step", Flag(), True),
            *OF_ALL,
        ),
        "Muon": (
            _rate(0.001),
            Argument("adam_beta_1", FRACTION, 0.9),
            Argument("adam_beta_2", FRACTION, 0.999),
            Argument("adam_weight_decay", Float(0.0), 0.004, optional=True),
            _EPSILON,
            Argument("weight_decay", Float(0.0), 0.004, optional=True),
            *_BEHIND_DECAY,
            *_OF_MUON,
        ),
    }
)
"""By Keras's names."""


CLIPPINGS = ("clipnorm", "clipvalue", "global_clipnorm")


def optimizer_problem(arguments: Mapping[str, object]) -> str:
    """The fault in the arguments of an optimizer together, each being of its kind, in words; empty for none."""
    clippings = [name for name in CLIPPINGS if arguments.get(name) is not None]
    if len(clippings) > 1:
        return f"only one of clipnorm, clipvalue and global_clipnorm can be set, got {' and '.join(clippings)}"
    if arguments.get("ema_overwrite_frequency") is not None and not arguments.get("use_ema"):
        return "ema_overwrite_frequency needs use_ema: without it there are no averages"
    for name in (EXCLUDED, "exclude_layers"):
        if problem := pattern_problem(cast("Sequence[str] | None", arguments.get(name)) or ()):
            return f"{name}: {problem}"
    return ""


def pattern_problem(patterns: Sequence[str]) -> str:
    """The fault in regular expressions for weights' names, in words; empty for none."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            return f"{pattern!r} is no regular expression: {error}"
    return ""


def default_number(optimizer: str, name: str) -> float:
    """The default of an argument that is a number; KeyError if the optimizer has no such argument."""
    default = _default(optimizer, name)
    return float(default) if isinstance(default, int | float) else 0.0


def default_flag(optimizer: str, name: str) -> bool:
    """The default of an argument that is true or false; KeyError if the optimizer has no such argument."""
    return bool(_default(optimizer, name))


def _default(optimizer: str, name: str) -> object:
    return {argument.name: argument for argument in OPTIMIZER_ARGUMENTS[optimizer]}[name].default
