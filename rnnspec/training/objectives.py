"""Objectives: each output's loss, its share in the whole loss, its metrics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, cast

from rnnspec.contract.executable import Family, Scores
from rnnspec.contract.metric_names import better, computed_name, kind_of_targets
from rnnspec.contract.objective import Objective as NativeObjective
from rnnspec.contract.objective import OutputObjective, RowEquations, UnknownEquations
from rnnspec.contract.sequence_loss import sequence_problem
from rnnspec.contract.signature import Config, OutputSignature
from rnnspec.diagnostics import InternalError, name_faults
from rnnspec.frozen import frozen
from rnnspec.runtime.data.class_names import is_of_logits
from rnnspec.training.losses import Loss, NamedLoss
from rnnspec.training.metrics import Metric, MetricNames, unknown
from rnnspec.training.sequence_losses import SequenceLoss
from rnnspec.training.target_rules import TargetRule


@frozen
class Tracked:
    """A metric of an output under its name in logs: equations, or an object in Python. `weighted`: by the rows' weights."""

    name: str
    of: RowEquations | Metric
    weighted: bool


@frozen
class Objective:
    """The objective of one output with a loss.

    `place`: among the model's outputs. `label`: stands before its name in logs and messages, and is
    empty where the model has one output. `loss`: equations, or an object in Python; `rule`: what it says of targets.
    """

    place: int
    output: OutputSignature
    label: str
    loss: RowEquations | Loss | SequenceLoss
    rule: TargetRule
    weight: float
    metrics: tuple[Tracked, ...]

    @property
    def row_loss(self) -> Loss:
        """The loss, of one that is an object in Python."""
        if isinstance(self.loss, RowEquations | SequenceLoss):
            raise InternalError(f"the loss of {self.output.name} is no object with rows")
        return self.loss

    @property
    def native(self) -> OutputObjective:
        """What native code computes: a loss and metrics that are equations; for the others it gives the output."""
        equations = tuple(metric.of.config for metric in self.metrics if isinstance(metric.of, RowEquations))
        loss = self.loss.config if isinstance(self.loss, RowEquations) else None
        shown = loss is None or any(not isinstance(metric.of, RowEquations) for metric in self.metrics)
        return OutputObjective(self.output.name, 1 if self.rule.classes else self.output.width, loss, equations, shown)


def native_objective(objectives: Sequence[Objective]) -> NativeObjective:
    """What native code computes for all; empty where that is the model's outputs alone."""
    made = tuple(objective.native for objective in objectives)
    return made if any(each.loss is not None or each.metrics for each in made) else ()


def objectives(
    outputs: Sequence[OutputSignature],
    losses: Sequence[NamedLoss | Loss | SequenceLoss | None],
    weights: Sequence[float],
    metrics: MetricNames,
    weighted_metrics: MetricNames,
    scores: Scores,
) -> tuple[Objective, ...]:
    """The objectives of the outputs with a loss, whose names `scores` looks up.

    ValueError for an unknown name, for a metric that doesn't fit its output, and for one whose output has no loss.
    """
    found: list[Objective] = []
    taken = {"loss", *(f"{output.name}_loss" for output in outputs if len(outputs) > 1)}
    kinds = {"metrics": metrics, "weighted_metrics": weighted_metrics}
    for place, (output, loss, weight) in enumerate(zip(outputs, losses, weights, strict=True)):
        if loss is None:
            for kind, names in kinds.items():
                if names.each[place] and not names.of_all:
                    first = _name_of(names.each[place][0])
                    raise ValueError(f"output {output.name}: metric {first} needs a loss: give the output one, or `{kind}` without it")
            continue
        label = output.name if len(outputs) > 1 else ""
        width = output.width
        try:
            found.append(
                _objective(place, output, label, loss, weight, width, [each.each[place] for each in kinds.values()], scores, taken)
            )
        except ValueError as error:
            raise ValueError(f"output {label}: {error}" if label else str(error)) from None
    return tuple(found)


def _objective(
    place: int,
    output: OutputSignature,
    label: str,
    loss: NamedLoss | Loss | SequenceLoss,
    weight: float,
    width: int,
    metrics: Sequence[Sequence[Config | Metric]],
    scores: Scores,
    taken: set[str],
) -> Objective:
    """The objective of one output; `taken`: the names in logs so far, to which its metrics' are added."""
    if isinstance(loss, SequenceLoss):
        loss.check_output(is_sequence=output.is_sequence, width=width)
        for given in (*metrics[0], *metrics[1]):
            raise ValueError(f"metric {_name_of(given)} is one of rows, the loss {loss.name} takes whole sequences of labels")
        return Objective(place, output, label, loss, TargetRule("class", loss.name), weight, ())
    if isinstance(loss, NamedLoss):
        known = _equations("loss", loss.config, width, scores)
        if known.of_sequences and not output.is_sequence:
            raise ValueError(sequence_problem(known.config.name))
        if known.outputs is not None and output.name not in known.outputs:
            where = "which a model has for the outputs that have this loss, with the same arguments, in the spec's train section"
            raise ValueError(f"loss {known.config.name} has weights of its own, {where}")
        rule = TargetRule(known.target, known.config.name, known.unlabelled)
    else:
        known = loss
        rule = TargetRule("class" if loss.classes else "values", type(loss).__name__)
    from_logits = is_of_logits(known)
    prefix = f"{label}_" if label else ""
    tracked: list[Tracked] = []
    for weighted, given in enumerate(metrics):
        for each in given:
            made = _metric(each, rule, width, scores, from_logits=from_logits)
            name = f"{prefix}{_name_in_logs(each, made)}"
            if any(name == other.name and not other.weighted for other in tracked) and weighted:
                name = f"{prefix}weighted_{name.removeprefix(prefix)}"
            number = next(number for number in itertools.count() if (f"{name}_{number}" if number else name) not in taken)
            tracked.append(Tracked(f"{name}_{number}" if number else name, made, bool(weighted)))
            taken.add(tracked[-1].name)
    return Objective(place, output, label, known, rule, weight, tuple(tracked))


def _metric(given: Config | Metric, rule: TargetRule, width: int, scores: Scores, *, from_logits: bool) -> RowEquations | Metric:
    """A metric beside a loss; ValueError for one that needs other targets.

    Beside a loss of logits binary accuracy's threshold of 0.5 is 0, which is the same decision, and `crossentropy` is one of logits.
    """
    if not isinstance(given, Config):
        return given
    made = _equations("metric", given, width, scores, classes=rule.classes)
    if (made.target == "class") != rule.classes:
        wanted, found = kind_of_targets(not rule.classes), kind_of_targets(rule.classes)
        raise ValueError(f"metric {given.name} needs targets that are {wanted}, the loss takes {found}")
    if made.config == Config("binary_accuracy", (("threshold", 0.5),)) and from_logits:
        return replace(made, config=Config("binary_accuracy", (("threshold", 0.0),)))
    if _is_computed(given, made) and from_logits and "from_logits" in dict(made.config.arguments):
        return _equations("metric", Config(made.config.name, (("from_logits", True),)), width, scores, classes=rule.classes)
    return made


def _is_computed(given: Config, made: RowEquations) -> bool:
    """Whether a metric's name stands for one of several, and isn't that of equations."""
    return computed_name(given.name) is not None and given.name != made.config.name


def _name_in_logs(given: Config | Metric, made: RowEquations | Metric) -> str:
    if isinstance(given, Config) and isinstance(made, RowEquations) and _is_computed(given, made):
        return computed_name(given.name) or given.name
    return _name_of(made)


def _equations(family: Family, config: Config, width: int, scores: Scores, *, classes: bool = False) -> RowEquations:
    try:
        return scores.equations(family, config, width, classes=classes)
    except UnknownEquations as error:
        raise ValueError(unknown(family, config.name, error.known)) from None


def _name_of(given: Config | Metric | RowEquations) -> str:
    return given.config.name if isinstance(given, RowEquations) else given.name


def directions(trained: Sequence[Objective]) -> dict[str, str | None]:
    """The names that logs have, in their order, and which way each is better: "min", "max", or None where nobody knows."""
    names: dict[str, str | None] = {"loss": "min"}
    if len(trained) > 1:
        names |= {f"{each.label}_loss": "min" for each in trained}
    tracked = [metric for each in trained for metric in each.metrics]
    for metric in sorted(tracked, key=lambda metric: metric.weighted):
        names[metric.name] = better(metric.of.config.name) if isinstance(metric.of, RowEquations) else None
    return names


def by_objective(what: str, trained: Sequence[Objective], given: object, *, complete: bool = True) -> list[object]:
    """The argument `given` split by output with a loss: itself for one output, else from a list or a mapping by name.

    `complete`: whether a mapping must name every such output; None stands for one that it leaves out.
    """
    names = [objective.output.name for objective in trained]
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        if faults := name_faults(names, named, complete=complete):
            raise ValueError(f"{what}: the outputs with a loss are {', '.join(names)}; {faults}")
        return [named.get(name) for name in names]
    if len(names) == 1:
        return [given]
    if given is None:
        raise ValueError(f"{what}: none are given; expected a list or a mapping with one for each of {', '.join(names)}")
    if not isinstance(given, (list, tuple)) or len(cast(Sequence[object], given)) != len(names):
        found = f"{len(cast(Sequence[object], given))} values" if isinstance(given, (list, tuple)) else type(given).__name__
        raise ValueError(f"{what}: expected a list or a mapping with one for each of {', '.join(names)}, got {found}")
    return list(cast(Sequence[object], given))


def weights_by_objective(trained: Sequence[Objective], given: object) -> list[object]:
    """Sample weights for each output with a loss, None for one without: one array, or a list of numbers, is for all of them."""
    shared = not isinstance(given, (Mapping, list, tuple)) or (
        not isinstance(given, Mapping) and all(isinstance(value, Real) for value in cast(Sequence[object], given))
    )
    return [given] * len(trained) if shared else by_objective("sample_weight", trained, cast(object, given), complete=False)


def batch_values(trained: Sequence[Objective], logs: Mapping[str, Any]) -> float | list[Any]:
    """The values of a batch's `logs` as Keras's `train_on_batch` lists them; the loss alone if there is nothing else.

    The whole loss, each output's own if there are several, the metrics, the weighted metrics. The metrics of a model with several
    outputs follow the alphabet of their names.
    """
    names = list(logs)
    losses = 1 + (len(trained) if len(trained) > 1 else 0)
    if any(each.label for each in trained):
        names[losses:] = sorted(names[losses:])
    return logs[names[0]] if len(names) == 1 else [logs[name] for name in names]
