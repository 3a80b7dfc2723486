"""Truncated back-propagation through time: which models sequences can be cut for."""

from __future__ import annotations

from collections.abc import Collection

from rnnspec.contract.signature import IndexSignature, Signature


def truncation_problem(signature: Signature, trained: Collection[str], whole: Collection[str]) -> str:
    """Why a model can't be trained part by part of its sequences; empty if it can.

    `trained`: the outputs with a loss, `whole`: those of them whose loss is one of the whole sequence. A part must go on where the one
    before it has ended, as a stream does, and have a loss of its own.
    """
    if signature.stream.refusal:
        return f"parts of a sequence can't go on from each other: {signature.stream.refusal}"
    indices = [each for each in signature.indices if isinstance(each, IndexSignature)]
    if any(not (each.sources or each.joins or each.windows) for each in indices):
        return "a layer computes with all padded steps, whose values before a part's beginning aren't known in it"
    if any(each.windows for each in indices):
        return "a layer's windows reach over a part's beginning"
    lengths = dict.fromkeys(source.shape[0] for source in signature.inputs if source.is_sequence)
    if len(lengths) > 1:
        return f"its inputs have different lengths, {' and '.join(map(str, lengths))}: it isn't known which parts belong together"
    for output in signature.outputs:
        if output.name in trained and not output.is_sequence:
            return f"{output.name} is one row a sample, which only the end of the sequence gives: all parts before it have no loss"
        if output.name in whole:
            return f"the loss of {output.name} is one of the whole sequence"
    return ""
