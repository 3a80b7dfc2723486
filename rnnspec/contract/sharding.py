"""Which models can be trained in shards of a batch."""

from __future__ import annotations

from rnnspec.contract.signature import Signature


def shards_problem(signature: Signature, truncate: int) -> str:
    """The reason why a model's batches can't be cut into shards; empty if they can. `truncate`: the steps of a part, 0 for none."""
    if truncate:
        return "`truncate` carries states from part to part, which stay with the process that has them"
    if signature.states:
        return "it is stateful, and its states stay with the process that has them"
    return ""
