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
    empty where the model has one output.
    """

    place: int
    output: OutputSignature
    label: str
    loss: Loss | SequenceLoss
    weight: float
    metrics: tuple[Metric, ...]

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
) -> tuple[Objective, ...]:
    """The objectives of the outputs with a loss; ValueError for a metric that doesn't fit its output, or whose output has no loss."""
    found: list[Objective] = []
    for place, (output, loss, weight, names) in enumerate(zip(outputs, losses, weights, metrics.each, strict=True)):
        if loss is None:
            if names and not metrics.of_all:
                raise ValueError(f"output {output.name}: metric {names[0]} needs a loss: give the output one, or `metrics` without it")
            continue
        label = output.name if len(outputs) > 1 else ""
        width = cast(int, output.shape[-1])
        try:
            made = _metrics(loss, output, width, names)
        except ValueError as error:
            raise ValueError(f"output {label}: {error}" if label else str(error)) from None
        found.append(Objective(place, output, label, loss, weight, made))
    return tuple(found)


def _metrics(loss: Loss | SequenceLoss, output: OutputSignature, width: int, names: Sequence[str]) -> tuple[Metric, ...]:
    if not isinstance(loss, SequenceLoss):
        return tuple(metric(name, loss, width) for name in names)
    loss.check_output(is_sequence=output.is_sequence, width=width)
    if names:
        raise ValueError(f"metric {names[0]} is one of rows, the loss {loss.name} takes whole sequences of labels")
    return ()


def by_objective(what: str, trained: Sequence[Objective], given: object) -> list[object]:
    """The argument `given` split by output with a loss: itself for one output, else from a list or a mapping by name."""
    names = [objective.output.name for objective in trained]
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        if faults := name_faults(names, named):
            raise ValueError(f"{what}: the outputs with a loss are {', '.join(names)}; {faults}")
        return [named[name] for name in names]
    if len(names) == 1:
        return [given]
    if given is None:
        raise ValueError(f"{what}: none are given; expected a list or a mapping with one for each of {', '.join(names)}")
    if not isinstance(given, (list, tuple)) or len(cast(Sequence[object], given)) != len(names):
        found = f"{len(cast(Sequence[object], given))} values" if isinstance(given, (list, tuple)) else type(given).__name__
        raise ValueError(f"{what}: expected a list or a mapping with one for each of {', '.join(names)}, got {found}")
    return list(cast(Sequence[object], given))


def weights_by_objective(trained: Sequence[Objective], given: object) -> list[object]:
    """Sample weights for each output with a loss: one array, or a list of numbers, is for all of them."""
    shared = not isinstance(given, (Mapping, list, tuple)) or (
        not isinstance(given, Mapping) and all(isinstance(value, Real) for value in cast(Sequence[object], given))
    )
    return [given] * len(trained) if shared else by_objective("sample_weight", trained, cast(object, given))
