"""Objectives: each output's loss, its share in the whole loss, its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import cast

from rnnspec.contract.signature import OutputSignature
from rnnspec.diagnostics import InternalError, name_faults
from rnnspec.frozen import frozen
from rnnspec.training.losses import Loss
from rnnspec.training.metrics import Metric, MetricNames, metric
from rnnspec.training.sequence_losses import SequenceLoss


@frozen
class Objective:
    """The objective of one output with a loss.

    `place`: among the model's outputs. `label`: stands before its name in logs and messages, and is
    empty where the model has one output. `metrics` are means over rows, `weighted_metrics` means by the rows' weights.
    """

    place: int
    output: OutputSignature
    label: str
    loss: Loss | SequenceLoss
    weight: float
    metrics: tuple[Metric, ...]
    weighted_metrics: tuple[Metric, ...] = ()

    def log_name(self, metric: Metric, *, weighted: bool = False) -> str:
        """The metric's name in logs; as in Keras, `weighted_` is put before a weighted one only if there is an unweighted namesake."""
        twice = weighted and any(metric.name == other.name for other in self.metrics)
        return f"{f'{self.label}_' if self.label else ''}{'weighted_' if twice else ''}{metric.name}"

    @property
    def row_loss(self) -> Loss:
        """The loss, of an output whose targets are rows."""
        if isinstance(self.loss, SequenceLoss):
            raise InternalError(f"the loss {self.loss.name} takes whole sequences")
        return self.loss


def objectives(
    outputs: Sequence[OutputSignature],
    losses: Sequence[Loss | SequenceLoss | None],
    weights: Sequence[float],
    metrics: MetricNames,
    weighted_metrics: MetricNames,
) -> tuple[Objective, ...]:
    """The objectives of the outputs with a loss; ValueError for a metric that doesn't fit its output, or whose output has no loss."""
    found: list[Objective] = []
    kinds = {"metrics": metrics, "weighted_metrics": weighted_metrics}
    for place, (output, loss, weight) in enumerate(zip(outputs, losses, weights, strict=True)):
        if loss is None:
            for kind, names in kinds.items():
                if names.each[place] and not names.of_all:
                    first = names.each[place][0]
                    raise ValueError(f"output {output.name}: metric {first} needs a loss: give the output one, or `{kind}` without it")
            continue
        label = output.name if len(outputs) > 1 else ""
        width = cast(int, output.shape[-1])
        try:
            made = [_metrics(loss, output, width, names.each[place]) for names in kinds.values()]
        except ValueError as error:
            raise ValueError(f"output {label}: {error}" if label else str(error)) from None
        found.append(Objective(place, output, label, loss, weight, *made))
    return tuple(found)


def _metrics(loss: Loss | SequenceLoss, output: OutputSignature, width: int, names: Sequence[str]) -> tuple[Metric, ...]:
    if not isinstance(loss, SequenceLoss):
        return tuple(metric(name, loss, width) for name in names)
    loss.check_output(is_sequence=output.is_sequence, width=width)
    if names:
        raise ValueError(f"metric {names[0]} is one of rows, the loss {loss.name} takes whole sequences of labels")
    return ()


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


def batch_values(trained: Sequence[Objective], logs: Mapping[str, float]) -> float | list[float]:
    """The values of a batch's `logs` as Keras's `train_on_batch` lists them; the loss alone if there is nothing else.

    The whole loss, each output's own if there are several, the metrics, the weighted metrics. The metrics of a model with several
    outputs follow the alphabet of their names.
    """
    names = list(logs)
    losses = 1 + (len(trained) if len(trained) > 1 else 0)
    if any(each.label for each in trained):
        names[losses:] = sorted(names[losses:])
    return logs[names[0]] if len(names) == 1 else [logs[name] for name in names]
