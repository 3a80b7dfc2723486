"""Predictions of batch after batch, put together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import PairSignature, Signature
from rnnspec.runtime.data.batches import CallBatch, CheckedInputs
from rnnspec.runtime.data.prefetch import closing, prefetched
from rnnspec.runtime.data.sources import Batch, Source, inputs_of, numbered
from rnnspec.runtime.data.validate import shows, whole_number

USUAL_ROWS = 32
"""Samples of a batch where memory or states are counted by them, and the fewest of any other."""

STEPS_AT_ONCE = 2**13
"""Steps of a batch that is chosen for speed: beyond that, calls gain nothing, and what they read and write leaves the caches."""

MOST_ROWS = 2**12

Infer: TypeAlias = Callable[[CallBatch], tuple[Array, ...]]


def rows_at_once(signature: Signature, inputs: CheckedInputs) -> int:
    """How many samples a prediction computes at a time where nobody says: as many as make calls worth their cost.

    Attention takes memory for each pair of steps, and calls that carry states over are for as many samples as ever: these keep to 32.
    """
    if signature.states or any(isinstance(index, PairSignature) for index in signature.indices):
        return USUAL_ROWS
    longest = max((sequence.time for sequence in inputs.sequences.values()), default=1)
    rows = STEPS_AT_ONCE // max(longest, 1) // USUAL_ROWS * USUAL_ROWS
    return min(max(rows, USUAL_ROWS), MOST_ROWS)


def predicted(
    signature: Signature,
    source: Source,
    check: Callable[[Batch], CheckedInputs],
    infer: Infer,
    steps: int | None,
) -> tuple[Array, ...]:
    """The outputs for one pass of a source, or for its first `steps` batches, one after the other; ValueError if it gives none.

    Sequences of fewer steps than another batch's end in zeros.
    """
    if steps is not None:
        whole_number("steps", steps, 1)
    elif source.kind == "indexed" and source.length is None:
        raise ValueError(f"{source.name} doesn't say how many batches it has: steps says how many are taken")

    def made(item: object) -> CallBatch:
        return check(inputs_of(signature, item)).batch().owned()

    source.tell("on_epoch_begin")
    with closing(prefetched(numbered(_first(source, steps), "", made))) as batches:
        parts = [infer(batch) for batch in batches]
    source.tell("on_epoch_end")
    if not parts:
        raise ValueError(f"{source.name} gave no batch")
    return joined(parts, [output.is_sequence for output in signature.outputs])


@contextmanager
def counted(infer: Infer, batches: int | None, verbose: bool | int) -> Generator[Infer]:
    """`infer`, of which each call moves a bar on a terminal or in a notebook if `verbose`; `batches`: how many calls, None if unknown."""
    if not shows("verbose", verbose):
        yield infer
        return
    try:
        from rich.console import Console
    except ImportError:  # a model's own package has numpy alone
        yield infer
        return
    from rnnspec.runtime.model.bars import bar_of_batches

    with bar_of_batches(Console()) as bar:
        task = bar.add_task("prediction", total=batches, pace="")

        def counting(batch: CallBatch) -> tuple[Array, ...]:
            given = infer(batch)
            bar.advance(task)
            return given

        yield counting


def _first(source: Source, steps: int | None) -> Iterator[object]:
    items = source.one_pass()
    try:
        yield from islice(items, steps)
    finally:
        items.close()


def joined(parts: Sequence[tuple[Array, ...]], sequences: Sequence[bool]) -> tuple[Array, ...]:
    """The outputs of batches, one batch after the other; sequences padded with zeros to the longest."""
    columns = zip(*parts, strict=True)
    return tuple(_whole(pieces) if is_sequence else np.concatenate(pieces) for pieces, is_sequence in zip(columns, sequences, strict=True))


def _whole(pieces: Sequence[Array]) -> Array:
    time = max(piece.shape[1] for piece in pieces)
    first = pieces[0]
    result = np.zeros((sum(len(piece) for piece in pieces), time, *first.shape[2:]), first.dtype)
    start = 0
    for piece in pieces:
        result[start : start + len(piece), : piece.shape[1]] = piece
        start += len(piece)
    return result
