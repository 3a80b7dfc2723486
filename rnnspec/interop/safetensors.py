"""Weights as `.safetensors` files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.file_kinds import kind_of, no_weights
from rnnspec.files import large_limit, read_file, write_atomically
from rnnspec.interop.small_floats import bfloat16, float8_e4m3fn, float8_e5m2

_TYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "b1",
    "C64": "c8",
}

_WIDENED = {"BF16": ("u2", bfloat16), "F8_E5M2": ("u1", float8_e5m2), "F8_E4M3": ("u1", float8_e4m3fn)}


def read_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name, in the file's order; OSError if it can't be read, ValueError if it isn't sound.

    Floats that numpy doesn't have, such as bfloat16, are read as float32.
    """
    from safetensors import SafetensorError, deserialize  # pyright: ignore[reportUnknownVariableType]

    content = read_file(path, large_limit())
    try:
        stored = cast(list[tuple[str, dict[str, Any]]], deserialize(content))  # pyright: ignore[reportUnknownVariableType]
        return {name: _array(value) for name, value in stored}
    except KeyError as error:
        raise ValueError(f"{os.fspath(path)}: it holds numbers of type {error.args[0]}, which numpy doesn't have") from None
    except (SafetensorError, ValueError) as error:
        if (mistaken := no_weights(os.fspath(path), kind_of(os.fspath(path), content))) is not None:
            raise ValueError(f"{os.fspath(path)}: it is {mistaken.kind.value}, not weights: {mistaken.advice}") from None
        raise ValueError(f"{os.fspath(path)}: not a readable .safetensors file: {error}") from None


def _array(stored: Mapping[str, Any]) -> Array:
    kind: str = stored["dtype"]
    if kind in _WIDENED:
        of_bits, widened = _WIDENED[kind]
        return widened(np.frombuffer(stored["data"], f"<{of_bits}")).reshape(stored["shape"])
    return np.frombuffer(stored["data"], f"<{_TYPES[kind]}").reshape(stored["shape"])


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write arrays by name, of any order in memory; OSError leaves an older file as it was."""
    from safetensors.numpy import save

    native = {name: np.asarray(value, value.dtype.newbyteorder("="), order="C") for name, value in weights.items()}
    write_atomically(Path(path), save(native))
