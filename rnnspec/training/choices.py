"""What `Model.configure` takes for a loss and for the metrics of an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rnnspec.contract.signature import Config
from rnnspec.training.losses import Loss, NamedLoss
from rnnspec.training.metrics import Metric, NamedMetric
from rnnspec.training.sequence_losses import SequenceLoss

LossChoice: TypeAlias = str | Config | NamedLoss | Loss | SequenceLoss
OneMetric: TypeAlias = str | Config | NamedMetric | NamedLoss | Metric
MetricChoice: TypeAlias = OneMetric | Sequence[OneMetric] | None
