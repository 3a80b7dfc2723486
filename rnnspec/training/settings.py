"""From names and arguments, of a spec or from Python, to losses, optimizers and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from rnnspec.contract.arguments import REQUIRED
from rnnspec.contract.metric_names import COMPUTED
from rnnspec.contract.optimizer_arguments import EXCLUDED, EXCLUDED_WEIGHTS
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import name_faults
from rnnspec.runtime.data.validate import finite_number, true_or_false
from rnnspec.training.losses import LOSSES, Loss, Named, NamedLoss
from rnnspec.training.metrics import METRICS, Metric, MetricNames, NamedMetric, unknown
from rnnspec.training.optimizers import OPTIMIZERS, Optimizer
from rnnspec.training.schedules import schedule_of
from rnnspec.training.sequence_losses import SEQUENCE_LOSSES, SequenceLoss

Made = TypeVar("Made")

_OFA_LOSS = ("rows", "classes", "from_logits")

A_LOSS = (
    "A loss of your own is an object with a method rows(predictions, targets), which gives each row's loss and its gradient, "
    "and with classes and from_logits, True or False: see docs/language.md"
)


def make_loss(given: object) -> NamedLoss | Loss | SequenceLoss:
    """The loss of that name, or the loss itself; ValueError for any other object. Names of equations are looked up with their output."""
    if isinstance(given, (str, Config)):
        configured = Config(given) if isinstance(given, str) else given
        if _known_as(configured.name, SEQUENCE_LOSSES) is not None:
            return _make("loss", SEQUENCE_LOSSES, given)
        return Named(configured)
    _check_instance("loss", given)
    if isinstance(given, (NamedLoss, SequenceLoss)):
        return given
    lacking = [name for name in _OFA_LOSS if not hasattr(given, name)]
    if len(lacking) == len(_OFA_LOSS) or not isinstance(given, Loss):
        lacks = f" It lacks {', '.join(lacking)}." if len(lacking) < len(_OFA_LOSS) else ""
        names = ", ".join((*LOSSES, *SEQUENCE_LOSSES))
        raise ValueError(f"loss: expected a name or a loss, got {given!r}; the names are {names}.{lacks} {A_LOSS}")
    for flag in ("classes", "from_logits"):
        true_or_false(f"loss {type(given).__name__}: {flag}", getattr(given, flag))
    if not callable(given.rows):
        raise ValueError(f"loss {type(given).__name__}: rows isn't a method. {A_LOSS}")
    return given


def make_optimizer(given: object) -> Optimizer:
    """A new optimizer of that name, or the optimizer itself; ValueError as for losses."""
    if isinstance(given, (str, Config)):
        configured = Config(given) if isinstance(given, str) else given
        apart = {name: value for name, value in configured.arguments if name in (EXCLUDED, EXCLUDED_WEIGHTS)}
        made = _make("optimizer", OPTIMIZERS, Config(configured.name, tuple(each for each in configured.arguments if each[0] not in apart)))
        if any(apart.values()):
            lists = [cast("Sequence[str] | None", apart.get(name)) for name in (EXCLUDED_WEIGHTS, EXCLUDED)]
            made.exclude_from_weight_decay(*lists)
        return made
    _check_instance("optimizer", given)
    if not isinstance(given, Optimizer):
        raise ValueError(f"optimizer: expected a name or an optimizer, got {given!r}; the names are {', '.join(OPTIMIZERS)}")
    return given


def _check_instance(what: str, given: object) -> None:
    """Refuses a class in place of one of its objects, and what is Keras's own."""
    name = given.__name__ if isinstance(given, type) else type(given).__name__
    package = (given if isinstance(given, type) else type(given)).__module__.partition(".")[0]
    if package in ("keras", "tensorflow", "torch"):
        raise ValueError(f"{what}: {name} is of {package}, and can't be used here: give a name, or one of rnnspec's")
    if isinstance(given, type):
        raise ValueError(f"{what}: {name} is a class: write {name}(), with its settings in the brackets")


def losses_for(outputs: Sequence[str], given: object) -> tuple[NamedLoss | Loss | SequenceLoss | None, ...]:
    """The loss of each output: one for all, a list in the outputs' order, or a mapping from their names; None for no loss.

    ValueError for anything else, and if no output has one.
    """
    losses = tuple(None if each is None else make_loss(each) for each in _per_output("loss", outputs, given))
    if all(each is None for each in losses):
        raise ValueError("loss: expected one for at least one output, got None for all")
    return losses


def loss_weights_for(outputs: Sequence[str], given: object) -> tuple[float, ...]:
    """The weight of each output's loss, given as for `losses_for`; 1 by default."""
    weights = [1.0 if each is None else each for each in _per_output("loss_weights", outputs, given, missing=1.0)]
    found: list[float] = []
    for weight in weights:
        if (number := finite_number(weight)) is None:
            raise ValueError(f"loss_weights: expected finite numbers, got {weight!r}")
        found.append(number)
    return tuple(found)


def metrics_for(outputs: Sequence[str], given: object, what: str = "metrics") -> MetricNames:
    """The metrics of each output, by the names of `metrics.metric`; ValueError, naming `what`, for any other argument.

    For one output a list of names. For several a list with one entry for each, a name, a list of names or
    None; or with one entry, for all of them; or a mapping from outputs to such entries.
    """
    of_all = False
    if isinstance(given, Mapping):
        entries = _per_output(what, outputs, cast(object, given), missing=None)
    elif not isinstance(given, (list, tuple)):
        hint = f": write [{given!r}]" if isinstance(given, str) else ""
        raise ValueError(f"{what}: expected a list of names, got {given!r}{hint}")
    else:
        listed = cast(Sequence[object], given)
        if len(outputs) == 1 and not any(isinstance(entry, (list, tuple)) for entry in listed):
            entries = [listed]
        elif len(listed) <= 1:
            entries, of_all = [listed[0] if listed else None] * len(outputs), True
        else:
            entries = _per_output(what, outputs, listed)
    return MetricNames(tuple(_names(entry, what) for entry in entries), of_all)


def _names(entry: object, what: str) -> tuple[Config | Metric, ...]:
    if entry is None:
        return ()
    listed = cast(Sequence[object], entry) if isinstance(entry, (list, tuple)) else [entry]
    return tuple(_metric(each, what) for each in listed)


def _per_output(what: str, outputs: Sequence[str], given: object, missing: object = REQUIRED) -> list[object]:
    """One for each output; `missing` stands in for what a mapping doesn't name, unless all must be named."""
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        if faults := name_faults(outputs, named, complete=missing is REQUIRED):
            raise ValueError(f"{what}: the outputs are {', '.join(outputs)}; {faults}")
        return [named.get(name, missing) for name in outputs]
    if isinstance(given, (list, tuple)):
        listed = list(cast(Sequence[object], given))
        if len(listed) != len(outputs):
            raise ValueError(f"{what}: expected one for each of the outputs {', '.join(outputs)}, got {len(listed)}")
        return listed
    return [given] * len(outputs)


def _metric(given: object, what: str) -> Config | Metric:
    """A metric by its name, or an object in Python."""
    if isinstance(given, (str, Config)):
        return Config(given) if isinstance(given, str) else given
    _check_instance(what, given)
    if isinstance(given, (NamedMetric, NamedLoss)):
        return given.config
    if isinstance(given, Metric) and callable(given.rows):
        return given
    raise ValueError(
        f"{what}: expected names, or objects with `name` and `rows`, got {given!r}; there are {', '.join((*COMPUTED, *METRICS))}"
    )


def _known_as(spelled: str, known: Iterable[str]) -> str | None:
    """The name among `known` that is spelled so but for capitals and underscores."""
    plain = _plain(spelled)
    return next((name for name in known if _plain(name) == plain), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _make(kind: str, known: Mapping[str, Callable[..., Made]], given: str | Config) -> Made:
    configured = Config(given) if isinstance(given, str) else given
    name = _known_as(configured.name, known)
    if name is None:
        raise ValueError(unknown(kind, configured.name, known))
    try:
        return known[name](**{each: schedule_of(value) if isinstance(value, Config) else value for each, value in configured.arguments})
    except TypeError as error:
        raise ValueError(f"{kind} {name}: {error}") from None
