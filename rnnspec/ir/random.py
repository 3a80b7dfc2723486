"""The random numbers of `Random`: a hash of the call's key, the stream and the element's place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STREAM_STEP = 0x9E3779B9
"""2**32 divided by the golden ratio: keeps the keys of neighbouring streams apart."""
MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
"""Of lowbias32 (Chris Wellons, "Prospecting for hash functions", 2018)."""


def lowbias32(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A mixing of the 32 bits of each element that is one to one; arithmetic is modulo 2**32."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(MULTIPLIERS[0])
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(MULTIPLIERS[1])
    return x ^ (x >> np.uint32(16))


def uniform(key: int, stream: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2**-24 and so exact in float32: place i is the element's number in row-major order, modulo 2**32."""
    seed = np.array([(key + stream * STREAM_STEP) & 0xFFFFFFFF], np.uint32)
    hashed = lowbias32(seed)
    place = np.arange(np.prod(shape, dtype=np.int64), dtype=np.int64).astype(np.uint32)
    bits = lowbias32(lowbias32(place ^ hashed) + hashed) >> np.uint32(8)
    return (bits.astype(np.float64) * 2.0**-24).reshape(shape)
