"""Whether the metrics of a `train` section fit the losses that they stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnspec.contract.metric_names import SEQUENCE_LOSSES, computed_metric, kind_of_targets
from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import LocatedValue, OwnEquations, Report
from rnnspec.frontend.cells.row_functions import check_arguments, is_own, metric_steps, target_kind
from rnnspec.frontend.graph.graph import GraphOutput
from rnnspec.frontend.syntax import standard_library

_LOGITS = "from_logits"


def check_metrics(
    metrics: LocatedValue, losses: Sequence[LocatedValue], outputs: Sequence[GraphOutput], own: OwnEquations, report: Report
) -> None:
    """Checks metrics against losses, an entry of each for each output; metrics for all outputs count where there is a loss."""
    entries = metrics.value if isinstance(metrics.value, tuple) else ()
    if not entries:
        return
    of_all = len(entries) == 1 and len(outputs) > 1
    nested = any(isinstance(entry.value, tuple) for entry in entries)
    each = entries if nested or len(outputs) > 1 else (metrics,)
    for entry, loss, output in zip(each * len(outputs) if of_all else each, losses, outputs, strict=True):
        if isinstance(loss.value, Config):
            for metric in _listed(entry):
                _check_metric(metric, loss.value, output, own, report)
        elif _listed(entry) and not of_all:
            report.add(errors.layers.MetricWithoutLoss(span=entry.span, output=output.name))


def _listed(entry: LocatedValue) -> tuple[LocatedValue, ...]:
    """The metrics of an output."""
    match entry.value:
        case tuple() as metrics:
            return metrics
        case Config():
            return (entry,)
        case _:
            return ()


def takes_classes(loss: str, own: OwnEquations) -> bool:
    """Whether a loss's targets are class numbers."""
    return target_kind(standard_library.losses(own.losses)[loss]) == "class"


def _check_metric(metric: LocatedValue, beside: Config, output: GraphOutput, own: OwnEquations, report: Report) -> None:
    """Nothing is said of an output that has one unit for a class number, which is an error of the loss."""
    loss = beside.name
    if loss in SEQUENCE_LOSSES and isinstance(metric.value, Config):
        report.add(errors.layers.MetricOfRows(span=metric.span, metric=metric.value.name, loss=loss, output=output.name))
        return
    width, classes = output.value.type.features, takes_classes(loss, own)
    if not isinstance(metric.value, Config) or (classes and width == 1):
        return
    name = metric.value.name
    known = name if name in own.metrics or name in own.losses else computed_metric(name, width, classes)
    declared = standard_library.row_equations(True, own.losses, own.metrics)[known]
    before = report.count
    with report.catching():
        check_arguments(declared, replace(metric.value, name=known), width, own, metric.span)
    if is_own(declared, own) and report.count == before:
        with report.catching(), report.within(metric.span):
            metric_steps(replace(metric.value, name=known), width, own, report)
    if (target_kind(declared) == "class") != classes:
        wanted, given = kind_of_targets(not classes), kind_of_targets(classes)
        report.add(errors.layers.MetricMisfit(span=metric.span, metric=name, loss=loss, output=output.name, wanted=wanted, given=given))
    logits = dict(metric.value.arguments).get(_LOGITS)
    if logits is not None and logits != dict(beside.arguments).get(_LOGITS, logits):
        report.add(errors.layers.MetricFromLogits(span=metric.span, metric=name, loss=loss, written=str(not logits).lower()))
