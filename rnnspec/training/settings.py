"""From names and arguments, of a spec or from Python, to losses, optimizers and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from rnnspec.runtime.signature import Configured
from rnnspec.training.losses import LOSSES, Loss
from rnnspec.training.optimizers import OPTIMIZERS, Optimizer

Made = TypeVar("Made")

_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "acc": "accuracy"}


def make_loss(given: str | Configured | Loss) -> Loss:
    """The loss of that name, or the loss itself; ValueError for an unknown name or argument."""
    return _make("loss", LOSSES, given) if isinstance(given, (str, Configured)) else given


def make_optimizer(given: str | Configured | Optimizer) -> Optimizer:
    """A new optimizer without state: of that name, or with the settings of the given one; ValueError as for losses."""
    return _make("optimizer", OPTIMIZERS, given) if isinstance(given, (str, Configured)) else replace(given)


def metric_name(given: str | Configured) -> str:
    """The metric's name as `metrics.metric` knows it; ValueError for arguments, which no metric takes."""
    configured = Configured(given) if isinstance(given, str) else given
    if configured.arguments:
        raise ValueError(f"metric {configured.name} takes no arguments, got {dict(configured.arguments)}")
    return _ALIASES.get(configured.name, configured.name)


def _make(kind: str, known: Mapping[str, Callable[..., Made]], given: str | Configured) -> Made:
    configured = Configured(given) if isinstance(given, str) else given
    spelled = _ALIASES.get(configured.name, configured.name).lower()
    for name, make in known.items():
        if name.lower() == spelled:
            try:
                return make(**dict(configured.arguments))
            except TypeError as error:
                raise ValueError(f"{kind} {name}: {error}") from None
    raise ValueError(f"no {kind} is called {configured.name}; there are {', '.join(known)}")
