"""A spec's train section as the `compile_config` of a Keras file."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from rnnspec.contract.signature import ArgumentValue, Config, TrainSettings
from rnnspec.frontend.binding.library_arguments import library_arguments
from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.interop.graph.refusals import Findings

_FOREIGN = frozenset({"pinball", "crf", "perplexity", "confusion_matrix"})
"""Losses and metrics of the library that Keras hasn't."""

_MODULES = {Family.LOSS: "keras.losses", Family.METRIC: "keras.metrics"}
_TAKEN = frozenset({"loss", "loss_weights", "optimizer", "metrics", "weighted_metrics"})
_NOT_KERAS = frozenset({"exclude_from_weight_decay"})


def compile_config(train: TrainSettings, findings: Findings) -> dict[str, Any] | None:
    """The settings as `keras.Model.compile` takes them, None without a loss that Keras has; a note tells what has no place in it."""
    empty = TrainSettings()
    others = [each.name for each in fields(train) if each.name not in _TAKEN and getattr(train, each.name) != getattr(empty, each.name)]
    if others:
        findings.note(f"{', '.join(f'`{name}`' for name in others)} of the train section {'have' if len(others) > 1 else 'has'} no place")
    loss = _named(train.loss, Family.LOSS, "loss", findings)
    if loss is None or (isinstance(loss, list) and None in loss and _is_whole(train.loss)):
        return None
    weights = train.loss_weights
    found: dict[str, Any] = {
        "optimizer": "rmsprop" if train.optimizer is None else _object("keras.optimizers", train.optimizer),
        "loss": loss,
        "loss_weights": list(weights) if isinstance(weights, tuple) else weights,
    }
    for name, given in (("metrics", train.metrics), ("weighted_metrics", train.weighted_metrics)):
        found[name] = _named(given, Family.METRIC, name, findings) if given else None
    return {**found, "run_eagerly": False, "steps_per_execution": 1, "jit_compile": "auto"}


def _is_whole(given: object) -> bool:
    return isinstance(given, tuple) and None not in given


def _named(given: object, family: Family, setting: str, findings: Findings) -> Any:
    """A loss or metric by its name, or as an object where it has arguments, those of outputs as lists; None for one that Keras hasn't."""
    match given:
        case None:
            return None
        case tuple():
            items = cast(tuple[object, ...], given)
            found = [_named(each, family, setting, findings) for each in items]
            return found if family is Family.LOSS else [each for each, item in zip(found, items, strict=True) if each or item is None]
        case Config(name=name, arguments=arguments):
            entry = FAMILIES[family].get(name)
            if entry is None or name in _FOREIGN:
                findings.note(f"`{setting}`: `{name}` was left out, which Keras doesn't have")
                return None
            defaults = {spec.name: spec.default for spec in (*entry.arguments, *library_arguments(family, entry.name))}
            settings = {key: _plain(value) for key, value in arguments if value != defaults.get(key)}
            class_name = next((each for each in entry.spellings if each[:1].isupper()), "")
            if not settings or not class_name:
                return entry.name
            return {"module": _MODULES[family], "class_name": class_name, "config": settings, "registered_name": None}
        case _:
            raise TypeError(f"no {family.value}: {given}")


def _object(module: str, given: Config) -> dict[str, Any]:
    settings = {key: _plain(value) for key, value in given.arguments if key not in _NOT_KERAS}
    return {"module": module, "class_name": given.name, "config": settings, "registered_name": None}


def _plain(value: ArgumentValue) -> Any:
    """A constant as JSON; a schedule as its object."""
    match value:
        case Config():
            return _object("keras.optimizers.schedules", value)
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value
