"""Arrays by name in numpy's archives, `.npz`, as parameter trees of Flax and Haiku are often kept."""

from __future__ import annotations

import math
import os
from io import BytesIO
from zipfile import BadZipFile, LargeZipFile, ZipFile

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.files import large_limit, read_at_most, read_file

MOST_EXPANSION = 64
"""Bytes of arrays for each of a compressed file; weights are hardly compressible."""

_PLAIN = 2**20


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name: OSError if it can't be read, ValueError, which names it, if it isn't sound. Nothing is unpickled."""
    name = os.fspath(path)
    content = read_file(path, large_limit())
    try:
        with ZipFile(BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError("a name stands twice in it")
            limit = min(large_limit(), MOST_EXPANSION * len(content) + _PLAIN)
            if sum(entry.file_size for entry in entries) > limit:
                raise ValueError("its arrays are larger than a file of this size has")
            found: dict[str, Array] = {}
            for own, entry in zip(names, entries, strict=True):
                with archive.open(entry) as member:
                    data = read_at_most(member.read, entry.file_size)
                if data is None:
                    raise ValueError(f"{own} is larger than it says")
                found[own] = _array(own, data)
            return found
    except (BadZipFile, LargeZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError, SyntaxError) as error:
        raise ValueError(f"{name}: not a readable .npz file: {error}") from None


def _array(name: str, data: bytes) -> Array:
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects: save it with a dtype")
    start = file.tell()
    if any(extent < 0 for extent in shape) or math.prod(shape) * dtype.itemsize != len(data) - start or not dtype.itemsize:
        raise ValueError(f"{name} has another shape than numbers")
    flat = np.frombuffer(data, dtype, math.prod(shape), start) if math.prod(shape) else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if by_columns else "C").astype(dtype.newbyteorder("="), copy=False)
