"""What a model is trained by, and what a copy of it has beside its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from rnnspec.contract.tuning import DEFAULT_TUNING, Tuning, checked_tuning
from rnnspec.frozen import frozen
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.contract.signature import Config
    from rnnspec.training.callbacks import Callback
    from rnnspec.training.losses import Loss, NamedLoss
    from rnnspec.training.metrics import MetricNames
    from rnnspec.training.optimizers import Optimizer
    from rnnspec.training.sequence_losses import SequenceLoss


@frozen
class Configuration:
    """What a model is trained by; `optimizer` without its state, None if it is the spec's. `truncate`, `checkpoint`: 0 for none;
    `shards`: 1 for none."""

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
    shards: int | None = None


@frozen
class Beside:
    """The parts of a model's copy beside its file.

    Its seed, where its stream of random numbers is, its threads if they were chosen, its tuning. `configuration` and `optimizer`: those
    of which something can't be written to a file, such as a loss of one's own; None else. `storage`: see `rnnspec.load`.
    """

    seed: int
    random: dict[str, Any] | None
    threads: int | None
    tuning: Tuning
    configuration: Configuration | None = None
    optimizer: Optimizer | None = None
    storage: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """A dict for pickle, which another version can look at before it takes it."""
        tuning = {each.name: getattr(self.tuning, each.name) for each in fields(Tuning)}
        changed = {name: value for name, value in tuning.items() if value != getattr(DEFAULT_TUNING, name)}
        return {"rnnspec": __version__, **{each.name: getattr(self, each.name) for each in fields(Beside)}, "tuning": changed}


def beside_of(given: object) -> Beside:
    """What `Beside.as_plain` gave; ValueError for what another version of this package has pickled, and can't be read here."""
    said: dict[str, Any] = dict(cast(Mapping[str, Any], given)) if isinstance(given, Mapping) else {}
    writer = said.pop("rnnspec", "another version")
    tuning: Any = said.pop("tuning", None)
    parts, thresholds = ({each.name for each in fields(cls)} for cls in (Beside, Tuning))
    if {*said, "tuning"} != parts or not isinstance(tuning, dict) or not thresholds.issuperset(cast(Mapping[str, Any], tuning)):
        advice = "pickle it with this one, or take the file that model.save writes"
        raise ValueError(f"this model was pickled by rnnspec {writer}, and version {__version__} can't read it: {advice}")
    return Beside(tuning=checked_tuning(Tuning(**cast(Mapping[str, Any], tuning))), **said)
