"""How a model of Keras was compiled, as a train section."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import Constants, Unsaid, number

_RENAMED = {"lr": "learning_rate"}
_NO_METRICS = frozenset({"loss"})


def training_of(training: Config | None, outputs: Sequence[str], constants: Constants, findings: Findings) -> dict[str, Value]:
    """The settings that can be said; each other one is dropped, and told."""
    found: dict[str, Value] = {}
    if not training:
        return found
    if (loss := training.get("loss")) is not None:
        _taken(found, "loss", lambda: _per_output(loss, outputs, partial(_loss, constants)), findings)
    if "loss" not in found:
        return {}
    if (weights := training.get("loss_weights")) is not None:
        _taken(found, "loss_weights", lambda: _per_output(weights, outputs, number), findings)
    optimizer = _unscaled(training.get("optimizer") or training.get("optimizer_config"), findings)
    if optimizer is not None:
        _taken(found, "optimizer", lambda: _optimizer(optimizer, constants), findings)
    for name in ("metrics", "weighted_metrics"):
        if given := training.get(name):
            _taken(found, name, lambda given=given: _metrics(given, outputs, constants), findings)
    return found


def _taken(found: dict[str, Value], name: str, make: Callable[[], Value], findings: Findings) -> None:
    try:
        value = make()
    except Unsaid as error:
        findings.drop(f"`{name}` was left out: {error}")
        return
    if value is not None and value != ():
        found[name] = value


def _per_output(value: object, outputs: Sequence[str], make: Callable[[object], Value]) -> Value:
    """One for all, or one for each output, from a list or by the outputs' names."""
    if isinstance(value, dict) and "class_name" not in value and "module" not in value:
        given = cast(Mapping[str, object], value)
        if unknown := [name for name in given if name not in outputs]:
            raise Unsaid(f"there is no output {unknown[0]}")
        value = [given.get(name) for name in outputs]
    if isinstance(value, list):
        items = tuple(None if each is None else make(each) for each in cast(list[object], value))
        if len(items) == 1 and len(outputs) == 1:
            return items[0]
        if len(items) != len(outputs):
            raise Unsaid(f"it has {len(items)} entries for {len(outputs)} outputs")
        return items
    return make(cast(object, value))


def _loss(constants: Constants, value: object) -> Value:
    return constants.choice("the loss", Family.LOSS, value)


def _unscaled(value: object, findings: Findings) -> object:
    """An optimizer out of the one that scales its loss, which float16 needs."""
    given = cast(Config, value) if isinstance(value, dict) else {}
    if given.get("class_name") != "LossScaleOptimizer":
        return cast(object, value)
    findings.drop("the optimizer: LossScaleOptimizer was left out: float32 needs no scaled loss")
    return cast(Config, given.get("config") or {}).get("inner_optimizer")


def _optimizer(value: object, constants: Constants) -> Value:
    if isinstance(value, dict):
        given = cast(Config, value)
        config = given.get("config")
        if isinstance(config, dict):
            settings = {_RENAMED.get(key, key): each for key, each in cast(Config, config).items()}
            rate = settings.get("learning_rate")
            if isinstance(rate, dict):
                return _scheduled({**given, "config": settings}, cast(Config, rate), constants)
            value = {**given, "config": settings}
    chosen = constants.choice("the optimizer", Family.OPTIMIZER, cast(object, value))
    return Word(chosen.name, chosen.arguments, True) if isinstance(chosen, Word) else chosen


def _scheduled(given: Config, rate: Config, constants: Constants) -> Value:
    """An optimizer whose learning rate is a schedule."""
    schedule = constants.choice("the learning rate", Family.SCHEDULE, rate)
    plain = {key: each for key, each in given["config"].items() if key != "learning_rate"}
    chosen = constants.choice("the optimizer", Family.OPTIMIZER, {**given, "config": plain})
    if not isinstance(chosen, Word) or not isinstance(schedule, Word):
        raise Unsaid("its learning rate can't be said")
    return Word(chosen.name, (("learning_rate", Word(schedule.name, schedule.arguments, True)), *chosen.arguments), True)


def _metrics(value: object, outputs: Sequence[str], constants: Constants) -> Value:
    def one(each: object) -> Value:
        return constants.choice("the metric", Family.METRIC, each)

    def several(each: object) -> Value:
        return tuple(one(metric) for metric in cast(list[object], each)) if isinstance(each, list) else (one(each),)

    if isinstance(value, dict) and "class_name" not in value:
        given = cast(Mapping[str, object], value)
        return (
            tuple(None if name not in given else several(given[name]) for name in outputs)
            if len(outputs) > 1
            else several(next(iter(given.values())))
        )
    items = cast(list[object], value) if isinstance(value, list) else [cast(object, value)]
    if any(isinstance(each, list) for each in items):
        lists = tuple(None if each is None else several(each) for each in items)
        return lists[0] if len(outputs) == 1 and len(lists) == 1 else lists
    return tuple(one(each) for each in items if each is not None)
