"""What training asks of the states that calls carry over, before its first step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from rnnspec.contract.executable import Executable
from rnnspec.contract.sharding import shards_problem
from rnnspec.contract.signature import Signature
from rnnspec.contract.truncation import truncation_problem
from rnnspec.diagnostics import StateWarning, caller_level
from rnnspec.runtime.data.validate import whole_number
from rnnspec.training.feeds import Feed
from rnnspec.training.objectives import Objective
from rnnspec.training.sequence_losses import SequenceLoss

SHUFFLED = (
    "the samples of a stateful model are shuffled: each goes on with the states that another sample has left. "
    "shuffle=False keeps their order; in a spec it is `shuffle = false`, in the command `--no-shuffle`"
)


def checked_truncate(signature: Signature, objectives: Sequence[Objective], given: int | None) -> int:
    """The steps of a part, 0 for whole sequences; ValueError for a model that can't be trained in parts, and for another number."""
    steps = whole_number("truncate", 0 if given is None else given, 0)
    whole = [each.output.name for each in objectives if isinstance(each.loss, SequenceLoss) or getattr(each.loss, "of_sequences", False)]
    if steps and (problem := truncation_problem(signature, [each.output.name for each in objectives], whole)):
        raise ValueError(f"truncate: model {signature.model} can't be trained by truncated back-propagation: {problem}")
    return steps


def checked_shards(signature: Signature, given: int | None, truncate: int) -> int:
    """The shards of a batch, 1 for none; ValueError for a model whose batches can't be cut, and for another number."""
    shards = whole_number("shards", 1 if given is None else given, 1)
    if shards > 1 and (problem := shards_problem(signature, truncate)):
        raise ValueError(f"shards: model {signature.model} can't be trained in shards: {problem}")
    return shards


def check_states(
    signature: Signature,
    executable: Executable,
    feed: Feed,
    validation: Feed | None,
) -> None:
    """ValueError if a stateful model can't take the samples in such batches, or those to validate on; a warning if they are shuffled."""
    feed.check_samples(executable)
    if validation is not None:
        try:
            validation.check_samples(executable.apart())
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
    if signature.states and feed.shuffles:
        warnings.warn(SHUFFLED, StateWarning, stacklevel=caller_level())
