"""From names and arguments, of a spec or from Python, to losses, optimizers and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from rnnspec.runtime.signature import Configured
from rnnspec.training.losses import LOSSES, Loss
from rnnspec.training.metrics import METRICS
from rnnspec.training.optimizers import OPTIMIZERS, Optimizer

Made = TypeVar("Made")

_SHORT = {"mse": "meansquarederror", "mae": "meanabsoluteerror", "acc": "accuracy"}


def make_loss(given: object) -> Loss:
    """The loss of that name, or the loss itself; ValueError for an unknown name or argument, or what is no loss."""
    if isinstance(given, (str, Configured)):
        return _make("loss", LOSSES, given)
    if isinstance(given, type) or not isinstance(given, Loss):
        raise ValueError(f"loss: expected a name or a loss, got {given!r}; the names are {', '.join(LOSSES)}")
    return given


def make_optimizer(given: object) -> Optimizer:
    """A new optimizer without state: of that name, or with the settings of the given one; ValueError as for losses."""
    if isinstance(given, (str, Configured)):
        return _make("optimizer", OPTIMIZERS, given)
    if not isinstance(given, Optimizer):
        raise ValueError(f"optimizer: expected a name or an optimizer, got {given!r}; the names are {', '.join(OPTIMIZERS)}")
    return replace(given)


def metric_names(given: object) -> tuple[str, ...]:
    """The metrics' names as `metrics.metric` knows them; ValueError if it isn't a list of names, or one has arguments."""
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"metrics: expected a list of names, got {given!r}")
    return tuple(_metric_name(entry) for entry in cast(Sequence[object], given))


def _metric_name(given: object) -> str:
    if not isinstance(given, (str, Configured)):
        raise ValueError(f"metrics: expected names, got {given!r}")
    configured = Configured(given) if isinstance(given, str) else given
    if configured.arguments:
        raise ValueError(f"metric {configured.name} takes no arguments, got {dict(configured.arguments)}")
    return _known_as(configured.name, ("accuracy", *METRICS)) or configured.name


def _known_as(spelled: str, known: Iterable[str]) -> str | None:
    """The name among `known` that Keras's function, class or short form of it stands for."""
    plain = _plain(spelled)
    return next((name for name in known if _plain(name) == _SHORT.get(plain, plain)), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _make(kind: str, known: Mapping[str, Callable[..., Made]], given: str | Configured) -> Made:
    configured = Configured(given) if isinstance(given, str) else given
    name = _known_as(configured.name, known)
    if name is None:
        raise ValueError(f"no {kind} is called {configured.name}; there are {', '.join(known)}")
    try:
        return known[name](**dict(configured.arguments))
    except TypeError as error:
        raise ValueError(f"{kind} {name}: {error}") from None
