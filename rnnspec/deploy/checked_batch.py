"""The batch of `check_forward.bin`: sequences of several lengths, with gaps and silence, on which a target's outputs are compared."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.dimensions import BATCH, Size, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.deploy.forward_layout import ForwardLayout
from rnnspec.deploy.forward_library import PaddedBatch
from rnnspec.kernel.forward_memory import least_lengths

SEQUENCES, STEPS = 5, 9


def checked_sizes(signature: Signature, layout: ForwardLayout) -> Mapping[str, int]:
    """The sizes of the batch by their names in C: as many steps as windows need, and some more."""
    sizes: dict[Size, int] = {length.size: STEPS for length in layout.lengths}
    while any(value_of(length, sizes) < 1 for length in least_lengths(signature)):
        sizes = {size: steps + 1 for size, steps in sizes.items()}
    return {"batch": SEQUENCES, **{length.name: sizes[length.size] for length in layout.lengths}}


def checked_batch(signature: Signature, layout: ForwardLayout) -> PaddedBatch:
    """The batch: whole sequences, shorter ones, one without a step and some with masked steps; ids from the first to the last."""
    random = np.random.default_rng(0)
    named = checked_sizes(signature, layout)
    sizes: dict[Size, int] = {size: named[name] for size, name in layout.names.items()}
    batch = sizes[BATCH]
    inputs, lengths, masks = dict[str, Array](), dict[str, Array](), dict[str, Array]()
    for each in layout.inputs:
        time = value_of(layout.times[each.name], sizes) if each.name in layout.times else None
        rows = (batch,) if time is None else (batch, time)
        if each.vocabulary is not None:
            inputs[each.source] = random.integers(0, each.vocabulary, rows).astype(np.int32)
        else:
            values = random.normal(size=(*rows, each.width))
            values[1] = 0
            inputs[each.source] = values.astype(np.float64 if layout.bytes == 8 else np.float32)
        if time is not None:
            lengths[each.source] = np.array([time, time, time // 2, 0, 1], np.int32)
            masks[each.source] = random.random(rows) < 0.8
    return PaddedBatch(inputs, lengths, masks)


def batch_file(batch: PaddedBatch, layout: ForwardLayout, outputs: Sequence[Array]) -> bytes:
    """The sizes, each input with its lengths and its mask, and the outputs, all little-endian."""
    first = batch.inputs[layout.inputs[0].source]
    sizes = {BATCH: len(first)}
    sizes |= {layout.times[each.name]: batch.inputs[each.source].shape[1] for each in layout.inputs if each.name in layout.times}
    arrays: list[Array] = []
    for each in layout.inputs:
        arrays.append(batch.inputs[each.source])
        if each.name in layout.times:
            arrays += [batch.lengths[each.source], batch.masks[each.source].astype(np.uint8)]
    little = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in (*arrays, *outputs)]
    return struct.pack(f"<{len(layout.names)}I", *(sizes[size] for size in layout.names)) + b"".join(array.tobytes() for array in little)
