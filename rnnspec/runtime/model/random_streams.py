"""Seeds, streams and keys of a model's random numbers."""

from __future__ import annotations

import hashlib
import os

import numpy as np


def fresh_seed() -> int:
    """A seed from the system's entropy, for a model that was given none."""
    return int.from_bytes(os.urandom(8), "little")


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The stream of random numbers for one purpose: a weight's stream doesn't depend on the other weights."""
    words = np.frombuffer(hashlib.sha256(purpose.encode()).digest(), "<u4")
    return np.random.default_rng(np.random.SeedSequence([seed, *map(int, words)]))


def draw_key(random: np.random.Generator) -> int:
    """The next key for a call's dropout, 0 .. 2³² - 1."""
    return int(random.integers(0, 2**32, dtype=np.uint64))


def unlocked(random: np.random.Generator) -> np.random.Generator:
    """The same stream with a lock of its own: in a fork's child, numpy's may be held by a thread that is gone."""
    bits = type(random.bit_generator)()
    bits.state = random.bit_generator.state
    return np.random.Generator(bits)
