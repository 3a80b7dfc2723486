"""The `train` section."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.sequence_loss import blank_problem
from rnnspec.contract.signature import Config, TrainSettings
from rnnspec.contract.written_paths import CHECKPOINT_ENDINGS
from rnnspec.diagnostics import InternalError, Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding import keras_advice
from rnnspec.frontend.binding.bind import Bindings, checked
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.values import LocatedValue, OwnEquations, Report, Scope
from rnnspec.frontend.catalogue.choices import SETTINGS
from rnnspec.frontend.cells.equation_checks import has_states
from rnnspec.frontend.cells.row_functions import check_arguments, loss_step
from rnnspec.frontend.graph.graph import Application, GraphOutput
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import Ending
from rnnspec.frontend.model.train_data import data_columns
from rnnspec.frontend.model.train_metrics import check_metrics
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.source import Span

_PROBABILITIES = {
    "binary_crossentropy": {"sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax", "sparsemax"},
    "categorical_crossentropy": {"softmax", "sparsemax", "sigmoid"},
    "sparse_categorical_crossentropy": {"softmax", "sparsemax", "sigmoid"},
}
"""The activations that give what a loss without `from_logits` expects; the usual one first in the advice."""

_USUAL = {"binary_crossentropy": "sigmoid"}

_METRICS = ("metrics", "weighted_metrics")

_OF_ONE = (*_METRICS, "class_weight", "classes")
"""The settings that are a list for one output."""

_PER_OUTPUT = ("loss", "loss_weights", *_OF_ONE)


def resolve_train(
    train: ast.Train,
    scope: Scope,
    inputs: Sequence[str],
    end: tuple[Sequence[Application], Sequence[GraphOutput]] | None,
    report: Report,
) -> TrainSettings:
    """The settings, checked; against the model's outputs too if they and the applications are known. `inputs`: their names."""
    given: dict[str, LocatedValue] = {}
    places: dict[str, Span] = {}
    for setting in train.settings:
        name = setting.name.text
        if name not in SETTINGS:
            help_ = keras_advice.unknown_setting(name, SETTINGS)
            report.add(errors.layers.UnknownSetting(span=setting.name.span, name=name, help=help_))
            continue
        if name in places:
            secondary = (Label(places[name], "set here"),)
            report.add(errors.names.DuplicateDeclaration(span=setting.name.span, name=name, secondary=secondary))
            continue
        places[name] = setting.name.span
        with report.catching():
            given[name] = checked(SETTINGS[name], evaluate(setting.value, scope), "train", scope)
    if "callbacks" in given:
        _check_callbacks(given["callbacks"], report)
    if end is not None:
        applications, outputs = end
        if "classes" in given and _fits("classes", given["classes"], outputs, report):
            _check_class_names(given["classes"], outputs, report)
        counted = [name for name in _PER_OUTPUT if name != "classes" and name in given and _fits(name, given[name], outputs, report)]
        if "loss" in given:
            losses = _each(given["loss"], len(outputs))
            for loss, output in zip(losses, outputs, strict=False):
                _check_loss(loss, output, applications, scope.own, report)
            for name in _METRICS:
                if "loss" in counted and name in counted:
                    check_metrics(given[name], losses, outputs, scope.own, report)
            if "loss" in counted and "class_weight" in counted:
                _check_class_weight(given["class_weight"], losses, outputs, report)
    data: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if "data" in given and end is not None:
        data = data_columns(given["data"], inputs, [output.name for output in end[1]], report)
    bindings = Bindings(given)
    return TrainSettings(
        loss=_loss(given["loss"]) if "loss" in given else None,
        optimizer=bindings.configured("optimizer") if "optimizer" in given else None,
        metrics=_metrics(given["metrics"]) if "metrics" in given else (),
        loss_weights=_weights(given["loss_weights"]) if "loss_weights" in given else None,
        batch_size=bindings.whole("batch_size") if "batch_size" in given else None,
        epochs=bindings.whole("epochs") if "epochs" in given else None,
        validation_split=bindings.real("validation_split") if "validation_split" in given else None,
        shuffle=bindings.flag("shuffle") if "shuffle" in given else None,
        seed=bindings.whole("seed") if "seed" in given else None,
        weighted_metrics=_metrics(given["weighted_metrics"]) if "weighted_metrics" in given else (),
        class_weight=_class_weight(given["class_weight"]) if "class_weight" in given else None,
        truncate=bindings.whole("truncate") if "truncate" in given else None,
        classes=_class_names(given["classes"]) if "classes" in given else None,
        checkpoint=bindings.whole("checkpoint") if "checkpoint" in given else None,
        shards=bindings.whole("shards") if "shards" in given else None,
        allow_nan=bindings.flag("allow_nan") if "allow_nan" in given else None,
        callbacks=_callbacks(given["callbacks"]) if "callbacks" in given else (),
        data=data,
    )


def _callbacks(given: LocatedValue) -> tuple[Config, ...]:
    return tuple(item.value for item in _items(given) if isinstance(item.value, Config))


def _items(given: LocatedValue) -> tuple[LocatedValue, ...]:
    return given.value if isinstance(given.value, tuple) else ()


def _check_callbacks(given: LocatedValue, report: Report) -> None:
    """Reports a checkpoint's file whose ending isn't that of its contents."""
    for item in _items(given):
        if isinstance(item.value, Config) and item.value.name == "ModelCheckpoint":
            arguments = dict(item.value.arguments)
            path, ending = str(arguments["filepath"]), CHECKPOINT_ENDINGS[bool(arguments["save_weights_only"])]
            if not path.endswith(ending):
                report.add(errors.layers.CheckpointEnding(span=item.span, path=path, ending=ending))


def _each(given: LocatedValue, count: int) -> tuple[LocatedValue, ...]:
    """What a setting is for each output."""
    return given.value if isinstance(given.value, tuple) else (given,) * count


def _loss(given: LocatedValue) -> Config | tuple[Config | None, ...] | None:
    match given.value:
        case Config() as loss:
            return loss
        case tuple() as items:
            return tuple(item.value if isinstance(item.value, Config) else None for item in items)
        case _:
            return None


def _weights(given: LocatedValue) -> float | tuple[float, ...]:
    match given.value:
        case tuple() as items:
            return tuple(float(item.value) for item in items if isinstance(item.value, int | float))
        case int() | float() as weight:
            return float(weight)
        case _:
            raise InternalError("the loss weights weren't checked")


def _class_weight(given: LocatedValue) -> tuple[float, ...] | tuple[tuple[float, ...] | None, ...]:
    if not isinstance(given.value, tuple):
        raise InternalError("the class weights weren't checked")
    if not any(isinstance(item.value, tuple) for item in given.value):
        return _floats(given.value)
    return tuple(_floats(item.value) if isinstance(item.value, tuple) else None for item in given.value)


def _class_names(given: LocatedValue) -> tuple[str, ...] | tuple[tuple[str, ...] | None, ...]:
    entries = given.value if isinstance(given.value, tuple) else ()
    if not any(isinstance(entry.value, tuple) for entry in entries):
        return _names(entries)
    return tuple(_names(entry.value) if isinstance(entry.value, tuple) else None for entry in entries)


def _names(items: Sequence[LocatedValue]) -> tuple[str, ...]:
    return tuple(item.value for item in items if isinstance(item.value, str))


def _check_class_names(given: LocatedValue, outputs: Sequence[GraphOutput], report: Report) -> None:
    """Checks the names of classes against the outputs: a list alone is for all of them."""
    entries = given.value if isinstance(given.value, tuple) else ()
    flat = not any(isinstance(entry.value, tuple) for entry in entries)
    for place, output in enumerate(outputs):
        entry, width = given if flat else entries[place], output.value.type.features
        found = len(entry.value) if isinstance(entry.value, tuple) else 0
        if found and found != max(width, 2):
            report.add(errors.layers.ClassNameCount(span=entry.span, found=found, classes=max(width, 2), output=output.name))


def _floats(items: Sequence[LocatedValue]) -> tuple[float, ...]:
    return tuple(item.value for item in items if isinstance(item.value, float))


def _metrics(given: LocatedValue) -> tuple[Config | tuple[Config, ...] | None, ...]:
    if not isinstance(given.value, tuple):
        raise InternalError("the metrics weren't checked")
    return tuple(_of_output(item) for item in given.value)


def _of_output(item: LocatedValue) -> Config | tuple[Config, ...] | None:
    """A metric, or those of an output."""
    match item.value:
        case Config() as metric:
            return metric
        case tuple() as metrics:
            return tuple(metric.value for metric in metrics if isinstance(metric.value, Config))
        case _:
            return None


def _fits(name: str, given: LocatedValue, outputs: Sequence[GraphOutput], report: Report) -> bool:
    """Whether a list has one for each output; a list that is one output's setting may be for all of them. If not, it's reported."""
    if not isinstance(given.value, tuple):
        return True
    items, flat = len(given.value), not any(isinstance(item.value, tuple) for item in given.value)
    of_all = (
        (name in _METRICS and items <= 1)
        or (name in _OF_ONE and flat and len(outputs) == 1)
        or (name in ("class_weight", "classes") and flat)
    )
    if items != len(outputs) and not of_all:
        names = [output.name for output in outputs]
        help_ = f"write one for each of {', '.join(names)}, in this order" if len(names) > 1 else "write one without a list"
        counts = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in ((items, "value"), (len(names), "output"))]
        report.add(errors.layers.OutputCount(span=given.span, setting=name, found=counts[0], outputs=counts[1], help=help_))
        return False
    if name == "loss" and all(item.value is None for item in given.value):
        report.add(errors.layers.NoLoss(span=given.span))
        return False
    return True


def _check_class_weight(given: LocatedValue, losses: Sequence[LocatedValue], outputs: Sequence[GraphOutput], report: Report) -> None:
    """Checks class weights against the outputs with a loss: one list is for one output, and has no more weights than that has classes."""
    entries = given.value if isinstance(given.value, tuple) else ()
    trained = [place for place, loss in enumerate(losses) if loss.value is not None]
    flat = not any(isinstance(entry.value, tuple) for entry in entries)
    if flat and len(trained) > 1:
        names = ", ".join(outputs[place].name for place in trained)
        report.add(errors.layers.ClassWeightOutputs(span=given.span, outputs=names))
        return
    for place in trained:
        entry, output = given if flat else entries[place], outputs[place]
        width, count = output.value.type.features, len(entry.value) if isinstance(entry.value, tuple) else 0
        if 1 < width < count:
            report.add(errors.layers.ClassWeightCount(span=entry.span, found=count, classes=width, output=output.name))


def _check_loss(given: LocatedValue, output: GraphOutput, applications: Sequence[Application], own: OwnEquations, report: Report) -> None:
    loss = given.value
    if loss is None:
        return
    if not isinstance(loss, Config):
        raise InternalError("the loss wasn't checked")
    width = output.value.type.features
    if loss.name in SEQUENCE_LOSSES:
        _check_sequence_loss(loss, given.span, output, applications, report)
        return
    if has_states(standard_library.losses(own.losses)[loss.name]) and not output.value.type.sequence:
        report.add(errors.layers.LossNeedsSequence(span=given.span, loss=loss.name, output=output.name))
        return
    before = report.count
    with report.catching():
        check_arguments(standard_library.losses(own.losses)[loss.name], loss, width, own, given.span)
    if report.count != before:
        return
    if loss.name in own.losses:
        with report.catching(), report.within(given.span):
            loss_step(loss, width, own, report)
        return
    if width == 1 and "categorical" in loss.name:
        help_ = "for two classes and one output there is binary_crossentropy"
        report.add(errors.layers.LossWidth(span=given.span, loss=loss.name, problem=f"{output.name} has {width} output", help=help_))
    if loss.name not in _PROBABILITIES or dict(loss.arguments).get("from_logits"):
        return
    layer, ending = _ending(output, applications)
    if layer is not None and isinstance(ending, Config) and ending.name not in _PROBABILITIES[loss.name]:
        expected = _USUAL.get(loss.name, "softmax")
        report.add(
            errors.layers.LossExpectsProbabilities(
                span=given.span, loss=loss.name, layer=layer.name, activation=ending.name, expected=expected
            )
        )


def _check_sequence_loss(loss: Config, span: Span, output: GraphOutput, applications: Sequence[Application], report: Report) -> None:
    if not output.value.type.sequence:
        report.add(errors.layers.LossNeedsSequence(span=span, loss=loss.name, output=output.name))
    blank, width = dict(loss.arguments)["blank"], output.value.type.features
    if isinstance(blank, int) and (problem := blank_problem(blank, width)):
        report.add(errors.layers.LossMisfit(span=span, loss=loss.name, output=output.name, width=width, problem=problem))
    layer, ending = _ending(output, applications)
    if layer is not None and isinstance(ending, Config) and ending.name in _PROBABILITIES["categorical_crossentropy"]:
        report.add(errors.layers.LossExpectsLogits(span=span, loss=loss.name, layer=layer.name, activation=ending.name))


def _ending(output: GraphOutput, applications: Sequence[Application]) -> tuple[Layer | None, Config | Ending]:
    """The last layer on the way to an output that does more than drop, and the activation that it ends in."""
    made = {result: application for application in applications for result in application.results}
    value = output.value
    while value in made:
        layer = made[value].layer
        ending = rules_of(layer).ending(layer)
        if ending is not Ending.OPERAND:
            return layer, ending
        value = made[value].operands[0]
    return None, Ending.UNKNOWN
