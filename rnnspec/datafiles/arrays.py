"""numpy's own files: an archive of named arrays, or one array. Nothing in them is unpickled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.datafiles.table import ENTRY, Column, Table, Wanted
from rnnspec.files import large_limit

_TEXTS = "as text, `np.array(names, dtype=str)`"


def read_npz(name: str, file: BinaryIO, wanted: Wanted) -> Table:
    """The arrays of an archive under their keys; ValueError, which says why, for what is none."""
    limit = large_limit()
    try:
        start = file.read(6)
        if not start.startswith(b"PK"):
            raise ValueError("it is a single array" if start == b"\x93NUMPY" else "it is no archive of arrays")
        file.seek(0)
        content: Any = np.load(file, allow_pickle=False)
        size = sum(entry.file_size for entry in content.zip.infolist())
        if size > limit:
            raise ValueError(f"its arrays are {size / 2**20:,.0f} MiB, the most that is read here are {limit / 2**20:,.0f}")
        keys: list[str] = list(content.files)
        if twice := [key for key, times in Counter(keys).items() if times > 1]:
            raise ValueError(f"it has {twice[0]} twice")
        columns = {key: Column(name, key, _array(content, key), unit=ENTRY) for key in keys if wanted(key)}
    except Exception as error:  # numpy and zipfile raise a dozen kinds for files that aren't sound
        text = "it is no archive of arrays" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise ValueError(f"{name}: not a readable .npz file: {text}") from None
    return Table(name, columns, tuple(keys), "key")


def read_npy(name: str, file: BinaryIO, key: str) -> Table:
    """One array under a key; ValueError, which says why, for what is none."""
    try:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("it is no array in numpy's format")
        file.seek(0)
        array = cast(Array, np.load(file, allow_pickle=False))
    except Exception as error:
        text = "it holds Python objects: save it with a dtype" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise ValueError(f"{name}: not a readable .npy file: {text}") from None
    return Table(name, {key: Column(name, key, array, unit=ENTRY)}, (key,), "key")


def _array(content: Mapping[str, object], key: str) -> Array:
    try:
        found = content[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        advice = "with a dtype such as float32, one length for all rows" if not key.startswith("classes") else _TEXTS
        raise ValueError(f"{key} holds Python objects: save it {advice}") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{key} isn't an array in numpy's format")
    return cast(Array, found)
