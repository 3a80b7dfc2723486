"""The arguments of the optimizers in Keras's order, with Keras's defaults (Keras 3.15): what a spec and a constructor both read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rnnspec.contract.arguments import FRACTION, Flag, Float
from rnnspec.frozen import frozen

POSITIVE = Float(0.0, above_minimum=True)


@frozen
class OptimizerArgument:
    """One argument. `optional`: it may be none; `positional`: it may be given without its name."""

    name: str
    kind: Float | Flag
    default: float | bool | None
    optional: bool = False
    positional: bool = True


def _rate(default: float) -> OptimizerArgument:
    return OptimizerArgument("learning_rate", Float(0.0), default)


_MOMENTUM = OptimizerArgument("momentum", Float(0.0, 1.0), 0.0)
_EPSILON = OptimizerArgument("epsilon", Float(0.0), 1e-7)
_MOMENTS = (
    OptimizerArgument("beta_1", FRACTION, 0.9),
    OptimizerArgument("beta_2", FRACTION, 0.999),
    _EPSILON,
    OptimizerArgument("amsgrad", Flag(), False),
)
_NO_DECAY = OptimizerArgument("weight_decay", Float(0.0), None, optional=True, positional=False)
_CLIPPING = tuple(
    OptimizerArgument(name, POSITIVE, None, optional=True, positional=False) for name in ("clipnorm", "clipvalue", "global_clipnorm")
)

OPTIMIZER_ARGUMENTS: Mapping[str, tuple[OptimizerArgument, ...]] = MappingProxyType(
    {
        "SGD": (_rate(0.01), _MOMENTUM, OptimizerArgument("nesterov", Flag(), False), _NO_DECAY, *_CLIPPING),
        "RMSprop": (
            _rate(0.001),
            OptimizerArgument("rho", Float(0.0, 1.0), 0.9),
            _MOMENTUM,
            _EPSILON,
            OptimizerArgument("centered", Flag(), False),
            _NO_DECAY,
            *_CLIPPING,
        ),
        "Adam": (_rate(0.001), *_MOMENTS, _NO_DECAY, *_CLIPPING),
        "AdamW": (_rate(0.001), OptimizerArgument("weight_decay", Float(0.0), 0.004, optional=True), *_MOMENTS, *_CLIPPING),
    }
)
"""By Keras's names."""

BY_NAME: Mapping[str, OptimizerArgument] = MappingProxyType(
    {argument.name: argument for arguments in OPTIMIZER_ARGUMENTS.values() for argument in arguments}
)
"""One argument of each name: its kind is the same wherever it stands."""


def default_number(optimizer: str, name: str) -> float:
    """The default of an argument that is a number; KeyError if the optimizer has no such argument."""
    return float(_default(optimizer, name) or 0.0)


def default_flag(optimizer: str, name: str) -> bool:
    """The default of an argument that is true or false; KeyError if the optimizer has no such argument."""
    return bool(_default(optimizer, name))


def _default(optimizer: str, name: str) -> float | bool | None:
    return {argument.name: argument for argument in OPTIMIZER_ARGUMENTS[optimizer]}[name].default
