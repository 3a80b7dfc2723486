"""The state of a model's training as plain data, for its file: what `configure` set, the optimizer, the random numbers, carried states.

A checkpoint has a part more: where a run is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.optimizer_arguments import EXCLUDED, EXCLUDED_WEIGHTS
from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.frozen import frozen
from rnnspec.training.losses import NamedLoss
from rnnspec.training.metrics import MetricNames
from rnnspec.training.named_callbacks import callback_config, check_saved
from rnnspec.training.optimizers import OPTIMIZERS, Optimizer
from rnnspec.training.schedules import LearningRateSchedule, MissingSchedule, schedule_config
from rnnspec.training.sequence_losses import SEQUENCE_LOSSES
from rnnspec.training.settings import losses_for, make_optimizer

if TYPE_CHECKING:
    from rnnspec.training.configuration import Configuration

Plain: TypeAlias = Any
"""Numbers, texts, None, arrays, and lists and dicts of these."""


@frozen
class SavedConfiguration:
    """A `Configuration` as plain data; a text in the place of a loss names one of one's own, which can't be written."""

    losses: tuple[Config | str | None, ...] | None
    loss_weights: tuple[float, ...]
    metrics: tuple[tuple[Config, ...], ...]
    metrics_of_all: bool
    weighted_metrics: tuple[tuple[Config, ...], ...]
    weighted_of_all: bool
    truncate: int | None
    checkpoint: int | None
    allow_nan: bool | None = None
    callbacks: tuple[Config, ...] | None = None
    shards: int | None = None

    @property
    def own_losses(self) -> tuple[str, ...]:
        """The names of the losses that couldn't be written."""
        return tuple(loss for loss in self.losses or () if isinstance(loss, str))


@frozen
class SavedTraining:
    """The state of a training. `random`: the model's stream of random numbers as text, None at its beginning.

    `optimizer`: its settings as they are now. `run`: of a checkpoint, as JSON.
    """

    seed: int
    random: str | None
    configuration: SavedConfiguration | None
    optimizer: Config | None
    run: str | None
    frozen: tuple[str, ...] | None = None
    """The layers that aren't trained, None where these are the spec's."""


def text_of(value: Plain) -> str | None:
    """JSON, None for None; whole numbers of any size stay as they are."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def read_text(text: str | None) -> Plain:
    """What `text_of` wrote."""
    return None if text is None else json.loads(text)


def config_of(made: object) -> Config:
    """A loss of sequences by its name and its settings."""
    settings = {each.name: cast(object, getattr(made, each.name)) for each in fields(cast(Any, made)) if each.init}
    return Config(type(made).__name__, tuple((name, _argument(value)) for name, value in settings.items()))


def optimizer_config(optimizer: Optimizer) -> tuple[Config | None, tuple[str, ...]]:
    """An optimizer by its name and its settings, None for one of one's own, and what of it can't be written, in words."""
    name = type(optimizer).__name__
    if OPTIMIZERS.get(name) is not type(optimizer):
        return None, (f"the optimizer {name}",)
    settings = optimizer.settings()
    schedule, left_out = settings["learning_rate"], tuple[str, ...]()
    if isinstance(schedule, LearningRateSchedule):
        settings["learning_rate"] = saved = schedule_config(schedule)
        left_out = (f"the schedule {saved.name}",) if not saved.arguments else ()
    if optimizer.undecayed.patterns:
        settings[EXCLUDED] = optimizer.undecayed.patterns
    if optimizer.undecayed.weights:
        settings[EXCLUDED_WEIGHTS] = optimizer.undecayed.weights
    return Config(name, tuple((each, _argument(value)) for each, value in settings.items())), left_out


def set_settings(optimizer: Optimizer, saved: Config) -> None:
    """Gives an optimizer the settings that were saved; ValueError for settings that it can't have.

    A schedule of one's own stays if it has the name of the one that was saved.
    """
    wanted = make_optimizer(saved)
    if wanted.undecayed != optimizer.undecayed:
        raise ValueError("it is of a training in which other weights had no decay")
    made, now = wanted.settings(), optimizer.settings()
    for name, value in made.items():
        if isinstance(value, MissingSchedule) and type(now[name]).__name__ == value.name:
            continue
        if now[name] == value:
            continue
        if name == "learning_rate":
            optimizer.start_from(value)
        else:
            setattr(optimizer, name, value)


def _argument(value: object) -> ArgumentValue:
    if isinstance(value, (list, tuple)):
        return tuple(_argument(each) for each in cast(Sequence[object], value))
    if value is None or isinstance(value, (bool, int, float, str, Config)):
        return value
    raise TypeError(f"{type(value).__name__} isn't plain data")


def saved_configuration(given: Configuration) -> tuple[SavedConfiguration, tuple[str, ...]]:
    """A configuration as plain data, and what of it can't be written, in words."""
    left_out: list[str] = []
    losses: list[Config | str | None] = []
    for loss in given.losses or ():
        if loss is None or isinstance(loss, NamedLoss):
            losses.append(None if loss is None else loss.config)
        elif type(loss).__name__ in SEQUENCE_LOSSES and type(loss) is SEQUENCE_LOSSES[type(loss).__name__]:
            losses.append(config_of(loss))
        else:
            losses.append(type(loss).__name__)
            left_out.append(f"the loss {type(loss).__name__}")
    kept: list[tuple[tuple[Config, ...], ...]] = []
    for names in (given.metrics, given.weighted_metrics):
        kept.append(tuple(tuple(each for each in of_output if isinstance(each, Config)) for of_output in names.each))
        left_out += [f"the metric {each.name}" for of_output in names.each for each in of_output if not isinstance(each, Config)]
    callbacks: list[Config] = []
    for made in map(callback_config, given.callbacks or ()):
        if isinstance(made, Config):
            callbacks.append(made)
        else:
            left_out.append(made)
    of_all = given.metrics.of_all, given.weighted_metrics.of_all
    saved = SavedConfiguration(
        None if given.losses is None else tuple(losses),
        tuple(map(float, given.loss_weights)),
        *(kept[0], of_all[0]),
        *(kept[1], of_all[1]),
        given.truncate,
        given.checkpoint,
        given.allow_nan,
        None if given.callbacks is None else tuple(callbacks),
        given.shards,
    )
    return saved, tuple(left_out)


def configuration_of(saved: SavedConfiguration, outputs: Sequence[str]) -> dict[str, Any]:
    """The fields of the `Configuration` that was saved, without losses of one's own; ValueError for what no configuration has."""
    losses = None
    if saved.losses is not None and not saved.own_losses:
        losses = losses_for(outputs, list(saved.losses))
    if len(saved.loss_weights) != len(outputs) or any(len(each) != len(outputs) for each in (saved.metrics, saved.weighted_metrics)):
        raise ValueError("what `configure` set is for other outputs")
    check_saved(saved.callbacks or ())
    return {
        "losses": losses,
        "loss_weights": saved.loss_weights,
        "metrics": MetricNames(saved.metrics, saved.metrics_of_all),
        "weighted_metrics": MetricNames(saved.weighted_metrics, saved.weighted_of_all),
        "truncate": saved.truncate,
        "checkpoint": saved.checkpoint,
        "allow_nan": saved.allow_nan,
        "callbacks": saved.callbacks,
        "shards": saved.shards,
    }


# Plain data with arrays: as JSON, whose arrays lie apart


def apart(value: Plain, name: str, arrays: dict[str, Array]) -> Plain:
    """The value as JSON holds it; its arrays are put into `arrays`, under names that begin with `name`."""
    if isinstance(value, np.ndarray):
        arrays[name] = cast(Array, value)
        return {"array": name}
    if isinstance(value, Mapping):
        named = cast(Mapping[str, Plain], value)
        return {"dict": {key: apart(each, f"{name}/{key}", arrays) for key, each in named.items()}}
    if isinstance(value, (list, tuple)):
        return [apart(each, f"{name}/{place}", arrays) for place, each in enumerate(cast(Sequence[Plain], value))]
    return cast(Plain, value.item()) if isinstance(value, np.generic) else value


def together(value: Plain, arrays: Mapping[str, Array]) -> Plain:
    """What `apart` took apart; ValueError for an array that isn't there."""
    if isinstance(value, list):
        return [together(each, arrays) for each in cast(list[Plain], value)]
    if isinstance(value, dict):
        named = cast(dict[str, Plain], value)
        if "array" in named:
            if named["array"] not in arrays:
                raise ValueError(f"there is no array {named['array']}")
            return arrays[named["array"]].copy()
        return {key: together(each, arrays) for key, each in named["dict"].items()}
    return value
