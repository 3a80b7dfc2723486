"""The `train` section."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.diagnostics import InternalError, Label, nearest
from rnnspec.frontend import ast
from rnnspec.frontend.arguments import Bindings, checked
from rnnspec.frontend.catalogue import SETTINGS
from rnnspec.frontend.errors.layers import LossExpectsProbabilities, LossWidth, SeveralOutputs, UnknownSetting
from rnnspec.frontend.errors.names import DuplicateDeclaration
from rnnspec.frontend.evaluate import evaluate
from rnnspec.frontend.graph import Activation, Application, Dense, Dropout, GraphOutput, Layer
from rnnspec.frontend.values import Given, Report, Scope
from rnnspec.runtime.signature import Configured, TrainSettings
from rnnspec.source import Span

_PROBABILITIES = {
    "binary_crossentropy": {"sigmoid", "hard_sigmoid", "softmax"},
    "categorical_crossentropy": {"softmax", "sigmoid"},
    "sparse_categorical_crossentropy": {"softmax", "sigmoid"},
}
"""The activations that give what a loss without `from_logits` expects; the usual one first in the advice."""

_USUAL = {"binary_crossentropy": "sigmoid"}


def resolve_train(
    train: ast.Train, scope: Scope, end: tuple[Sequence[Application], Sequence[GraphOutput]] | None, report: Report
) -> TrainSettings:
    """The settings, checked; against the model's outputs too if they and the applications are known."""
    given: dict[str, Given] = {}
    places: dict[str, Span] = {}
    for setting in train.settings:
        name = setting.name.text
        if name not in SETTINGS:
            help_ = nearest(name, SETTINGS) or f"there are {', '.join(SETTINGS)}"
            report.add(UnknownSetting(span=setting.name.span, name=name, help=help_))
            continue
        if name in places:
            secondary = (Label(places[name], "set here"),)
            report.add(DuplicateDeclaration(span=setting.name.span, name=name, secondary=secondary))
            continue
        places[name] = setting.name.span
        with report.catching():
            given[name] = checked(SETTINGS[name], evaluate(setting.value, scope), "train", scope)
    if end is not None and "loss" in given:
        _check_loss(given["loss"], *end, report)
    bindings = Bindings(given)
    return TrainSettings(
        loss=bindings.configured("loss") if "loss" in given else None,
        optimizer=bindings.configured("optimizer") if "optimizer" in given else None,
        metrics=_metrics(given["metrics"]) if "metrics" in given else (),
        batch_size=bindings.whole("batch_size") if "batch_size" in given else None,
        epochs=bindings.whole("epochs") if "epochs" in given else None,
        validation_split=bindings.real("validation_split") if "validation_split" in given else None,
        shuffle=bindings.flag("shuffle") if "shuffle" in given else None,
        seed=bindings.whole("seed") if "seed" in given else None,
    )


def _metrics(given: Given) -> tuple[Configured, ...]:
    if not isinstance(given.value, tuple):
        raise InternalError("the metrics weren't checked")
    return tuple(item.value for item in given.value if isinstance(item.value, Configured))


def _check_loss(given: Given, applications: Sequence[Application], outputs: Sequence[GraphOutput], report: Report) -> None:
    loss = given.value
    if not isinstance(loss, Configured):
        raise InternalError("the loss wasn't checked")
    if len(outputs) != 1:
        report.add(SeveralOutputs(span=given.span))
        return
    (output,) = outputs
    width = output.value.type.features
    if width == 1 and "categorical" in loss.name:
        help_ = "for two classes and one output there is binary_crossentropy"
        report.add(LossWidth(span=given.span, loss=loss.name, problem=f"{output.name} has {width} output", help=help_))
    if loss.name not in _PROBABILITIES or dict(loss.arguments)["from_logits"]:
        return
    end = _computing(output, applications)
    activation = end.activation.name if isinstance(end, Dense | Activation) else None
    if end is not None and activation is not None and activation not in _PROBABILITIES[loss.name]:
        expected = _USUAL.get(loss.name, "softmax")
        report.add(LossExpectsProbabilities(span=given.span, loss=loss.name, layer=end.name, activation=activation, expected=expected))


def _computing(output: GraphOutput, applications: Sequence[Application]) -> Layer | None:
    """The last layer on the way to an output that does more than drop."""
    made = {result: application for application in applications for result in application.results}
    value = output.value
    while value in made and isinstance(made[value].layer, Dropout):
        value = made[value].operands[0]
    return made[value].layer if value in made else None
