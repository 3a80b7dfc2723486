"""All that training needs beside a model, imported with the model's first loss or optimizer: a model that predicts needs none of it."""

from __future__ import annotations

from rnnspec.runtime.data.finite_inputs import refuse_not_finite
from rnnspec.runtime.data.moments import tell_unadapted
from rnnspec.runtime.data.validate import true_or_false
from rnnspec.training.call_states import check_states, checked_shards, checked_truncate
from rnnspec.training.callback_list import CallbackList, checked_callbacks
from rnnspec.training.callbacks import History
from rnnspec.training.class_weights import class_weights_for
from rnnspec.training.examples import Examples, check_examples
from rnnspec.training.exchange import ALONE, connected, telling
from rnnspec.training.feeds import ArrayFeed, cutting, feed_of, held_out, training_feeds
from rnnspec.training.loop import Fit, Totals, Trainer
from rnnspec.training.not_finite import NotFinite
from rnnspec.training.objectives import batch_values, directions, native_objective, objectives
from rnnspec.training.penalties import penalties
from rnnspec.training.progress import evaluation, progress
from rnnspec.training.ranks import compare
from rnnspec.training.sequence_losses import NativeLosses
from rnnspec.training.settings import loss_weights_for, losses_for, make_optimizer, metrics_for
from rnnspec.training.shards import Shards
from rnnspec.training.updates import Updates

__all__ = [
    "ALONE",
    "ArrayFeed",
    "CallbackList",
    "Examples",
    "Fit",
    "History",
    "NativeLosses",
    "NotFinite",
    "Shards",
    "Totals",
    "Trainer",
    "Updates",
    "batch_values",
    "check_examples",
    "check_states",
    "checked_callbacks",
    "checked_shards",
    "checked_truncate",
    "class_weights_for",
    "compare",
    "connected",
    "cutting",
    "directions",
    "evaluation",
    "feed_of",
    "held_out",
    "loss_weights_for",
    "losses_for",
    "make_optimizer",
    "metrics_for",
    "native_objective",
    "objectives",
    "penalties",
    "progress",
    "refuse_not_finite",
    "tell_unadapted",
    "telling",
    "training_feeds",
    "true_or_false",
]
