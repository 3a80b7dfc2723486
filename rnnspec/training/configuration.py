"""What a model is trained by, and what a copy of it has beside its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.contract.tuning import Tuning
from rnnspec.frozen import frozen

if TYPE_CHECKING:
    from rnnspec.contract.signature import Config
    from rnnspec.training.callbacks import Callback
    from rnnspec.training.losses import Loss, NamedLoss
    from rnnspec.training.metrics import MetricNames
    from rnnspec.training.optimizers import Optimizer
    from rnnspec.training.sequence_losses import SequenceLoss


@frozen
class Configuration:
    """What a model is trained by; `optimizer` without its state, None if it is the spec's. `truncate`, `checkpoint`: 0 for none."""

    losses: tuple[NamedLoss | Loss | SequenceLoss | None, ...] | None
    loss_weights: tuple[float, ...]
    metrics: MetricNames
    weighted_metrics: MetricNames
    optimizer: Optimizer | None = None
    truncate: int | None = None
    checkpoint: int | None = None
    allow_nan: bool | None = None
    callbacks: tuple[Callback | Config, ...] | None = None
    """Of each `fit`, before those that it is given; a `Config` stands for a new one each time. None for the spec's."""


@frozen
class Beside:
    """The parts of a model's copy beside its file.

    Its seed, where its stream of random numbers is, its threads if they were chosen, its tuning, what `configure` chose, if it
    was called, and the layers that aren't trained.
    """

    seed: int
    random: dict[str, Any] | None
    threads: int | None
    tuning: Tuning
    configuration: Configuration | None
    frozen: frozenset[str] = frozenset()
