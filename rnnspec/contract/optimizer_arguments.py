"""The arguments of the optimizers in Keras's order, with Keras's defaults (Keras 3.15): what a spec and a constructor both read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rnnspec.contract.arguments import FRACTION, POSITIVE, Argument, Flag, Float, Rate, Unused

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
_DECAY = Argument("weight_decay", Float(0.0), None, optional=True)
_BEHIND_DECAY = (
    Argument("clipnorm", POSITIVE, None, optional=True),
    Argument("clipvalue", POSITIVE, None, optional=True),
    Argument("global_clipnorm", POSITIVE, None, optional=True),
    Argument("loss_scale_factor", NO_SCALING, None, optional=True),
)
OF_ALL = (_DECAY, *_BEHIND_DECAY)
"""The arguments of every optimizer, behind its own."""

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
    }
)
"""By Keras's names."""


CLIPPINGS = ("clipnorm", "clipvalue", "global_clipnorm")


def optimizer_problem(arguments: Mapping[str, object]) -> str:
    """The fault in the arguments of an optimizer together, each being of its kind, in words; empty for none."""
    clippings = [name for name in CLIPPINGS if arguments.get(name) is not None]
    if len(clippings) > 1:
        return f"only one of clipnorm, clipvalue and global_clipnorm can be set, got {' and '.join(clippings)}"
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
