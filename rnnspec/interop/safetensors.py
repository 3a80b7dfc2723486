"""Weights as `.safetensors` files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.file_kinds import kind_of, no_weights
from rnnspec.files import large_limit, read_file, write_atomically


def read_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name; OSError if it can't be read, ValueError if it isn't sound."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_file(path, large_limit())
    try:
        return load(content)
    except KeyError as error:
        raise ValueError(f"{os.fspath(path)}: it holds numbers of type {error.args[0]}, which numpy doesn't have") from None
    except (SafetensorError, ValueError) as error:
        if (mistaken := no_weights(os.fspath(path), kind_of(os.fspath(path), content))) is not None:
            raise ValueError(f"{os.fspath(path)}: it is {mistaken.kind.value}, not weights: {mistaken.advice}") from None
        raise ValueError(f"{os.fspath(path)}: not a readable .safetensors file: {error}") from None


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write arrays by name, of any order in memory; OSError leaves an older file as it was."""
    from safetensors.numpy import save

    native = {name: np.asarray(value, value.dtype.newbyteorder("="), order="C") for name, value in weights.items()}
    write_atomically(Path(path), save(native))
