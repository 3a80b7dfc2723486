"""Arguments of Keras's that take only their default here, each with the reason and a substitute."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.contract.signature import ArgumentValue
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, DefaultOnly


def _fixed(name: str, default: ArgumentValue, reason: str, advice: str = "", *others: ArgumentValue) -> ArgumentSpec:
    return ArgumentSpec(name, DefaultOnly(reason, advice or f"leave `{name}` out", others), default)


SEED = _fixed("seed", None, "one seed decides all draws of a call", "write `seed = 1` in `train`, or give Python's calls a `seed`")

UNROLL = replace(
    _fixed("unroll", False, "a step is compiled once, whatever the number of steps", "leave `unroll` out", True), positional=False
)

DATA_FORMAT = _fixed("data_format", None, "the features are the last axis", "leave `data_format` out", "channels_last")

LORA_RANK = _fixed("lora_rank", None, "weights are trained as they are, not by factors")

GIVEN_WEIGHTS = _fixed(
    "weights", None, "a spec holds no weights", "set them in Python by `model.set_weights(...)`, or choose an initializer"
)

GROUPS = _fixed("groups", 1, "every filter looks at all features")

NOISE_SHAPE = _fixed(
    "noise_shape", None, "every number is dropped or kept for itself", "SpatialDropout1D drops whole features of a sequence"
)

EACH_NUMBER = _fixed("noise_shape", None, "every number is dropped or kept for itself")

SCORE_MODE = _fixed("score_mode", "dot", "scores are products of queries and keys")

SYNCHRONIZED = _fixed("synchronized", False, "a batch is in one process as a whole")

_BATCH_ALONE = ("training normalizes by the moments of the batch", "leave `renorm` and what belongs to it out")

RENORM = (
    _fixed("renorm", False, *_BATCH_ALONE),
    _fixed("renorm_clipping", None, *_BATCH_ALONE),
    _fixed("renorm_momentum", 0.99, *_BATCH_ALONE),
)
