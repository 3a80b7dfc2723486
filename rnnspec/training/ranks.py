"""What the ranks of a training must have in common, compared before its first update, after each epoch, and at its end."""

from __future__ import annotations

import hashlib
import json
import platform
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import ModelSource
from rnnspec.runtime.native.processor import flags_of_linux
from rnnspec.training.exchange import EPOCH, Exchange, agreed, summed
from rnnspec.training.feeds import ArrayFeed, Feed
from rnnspec.training.sequence_losses import Sequences
from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.training.loop import Fit

LOOKED_AT = 256
"""The samples, evenly spread, that a digest of data is of, beside its size."""

_EXTENSIONS = ("sse", "avx", "fma", "f16c", "bmi", "amx")
"""How the names of the processor's features begin by which native code is chosen."""


def compare(fit: Fit, source: ModelSource, begin: int) -> None:
    """RankError, naming what differs, unless all ranks train the same model in the same way on the same data by the same code."""
    exchange = fit.trainer.shards.exchange
    if exchange.size == 1:
        return
    fit.trainer.shards.owned  # noqa: B018 - more ranks than shards are refused
    optimizer = fit.updates.optimizer
    settings = {name: repr(value) for name, value in optimizer.settings().items()}
    agreed(
        exchange,
        {
            "version of rnnspec": __version__,
            "kind of processor": processor_kind(),
            "spec": _hash(source.text, source.dtype, json.dumps(sorted(map(str, dict(source.parameters).items())))),
            "number of shards": str(fit.trainer.shards.count),
            "number of epochs": f"{fit.epochs} from {begin}",
            "optimizer": f"{type(optimizer).__name__} {json.dumps(settings)}",
            "data": feed_digest(fit.feed),
            "validation data": "none" if fit.validation is None else feed_digest(fit.validation),
            "weights (give `compile` a seed)": f"{weights_digest(fit):08x}",
            "state of the optimizer": f"{digest(optimizer.states().values()):08x}",
            "random numbers (give `fit` or `compile` a seed)": _hash(json.dumps(fit.random.bit_generator.state, default=_plain)),
        },
    )


def meet(fit: Fit, epoch: int, stopped: bool) -> None:
    """RankError unless all ranks have come to this epoch's end with the same weights, and go on or stop alike."""
    exchange = fit.trainer.shards.exchange
    if exchange.size > 1:
        rate = zlib.crc32(repr(fit.updates.optimizer.rate_after(fit.updates.optimizer.batches)).encode(), weights_digest(fit))
        summed(exchange, (EPOCH, epoch + 1, rate, int(stopped)), ())


def sent_by_all(exchange: Exchange) -> tuple[int, int]:
    """The bytes and the messages that all ranks have sent so far."""
    sent, messages = summed(exchange, (0,), (exchange.bytes_sent, exchange.messages_sent))
    return sent, messages


def weights_digest(fit: Fit) -> int:
    """A digest of all weights, late updates made."""
    return fit.trainer.parameters.read(lambda weights, _: digest([weights]))


def feed_digest(feed: Feed) -> str:
    """A feed in words: its size, how it is cut, and a digest of some of its samples, as far as they are known."""
    if not isinstance(feed, ArrayFeed):
        return f"{type(feed).__name__} of {feed.batches} batches, {'' if feed.shuffles else 'not '}shuffled"
    chosen = np.unique(np.linspace(feed.rows.start, feed.rows.stop - 1, min(LOOKED_AT, len(feed.rows))).astype(np.int64))
    batch = feed.examples.batch(chosen)
    arrays: list[Array] = [batch.inputs.inputs[name] for name in sorted(batch.inputs.inputs)]
    arrays += [real for real in batch.inputs.reals if real is not None]
    for targets in batch.targets:
        numbers = targets.labels if isinstance(targets, Sequences) else targets.targets
        arrays += [numbers, *(() if targets.weights is None else (targets.weights,))]
    order = "" if feed.shuffle else "not "
    return f"{len(feed.rows)} samples by {feed.batch_size}, {order}shuffled, digest {digest(arrays):08x}"


def digest(arrays: Iterable[Array]) -> int:
    """A checksum of arrays' bytes, shapes and types."""
    value = 0
    for array in arrays:
        value = zlib.crc32(f"{array.shape}{array.dtype}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return value


def processor_kind() -> str:
    """The processor's architecture, and those of its features by which native code is chosen."""
    flags = flags_of_linux() or frozenset[str]()
    return " ".join([platform.machine(), *sorted(flag for flag in flags if flag.startswith(_EXTENSIONS))])


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _plain(value: object) -> Any:
    """Numbers of numpy as JSON has them."""
    return cast(Array, value).tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
