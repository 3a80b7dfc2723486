"""Floats of few bits, which numpy doesn't have, as float32: each of them is exactly one."""

from __future__ import annotations

import numpy as np

from rnnspec.contract.executable import Array


def bfloat16(bits: Array) -> Array:
    """The upper half of a float32; `bits`: uint16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float8_e5m2(bits: Array) -> Array:
    """The upper half of a float16; `bits`: uint8."""
    return (bits.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def float8_e4m3fn(bits: Array) -> Array:
    """A sign, four bits of an exponent, three of a fraction, without infinities; NaN has all bits set. `bits`: uint8.

    Source: Micikevicius et al., FP8 Formats for Deep Learning, 2022.
    """
    codes = np.arange(256)
    power, fraction = (codes >> 3) & 15, (codes & 7) / 8
    values = np.where(power > 0, np.ldexp(1 + fraction, power - 7), np.ldexp(fraction, -6))
    values[(codes & 127) == 127] = np.nan
    return np.where(codes > 127, -values, values).astype(np.float32)[bits]
