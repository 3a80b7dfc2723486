"""Weights as `.safetensors` files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnnspec.files import large_limit, read_file, write_atomically
from rnnspec.runtime.executable import Array


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
        raise ValueError(f"{os.fspath(path)}: not a readable .safetensors file: {error}") from None


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write arrays by name, of any order in memory; OSError leaves an older file as it was."""
    from safetensors.numpy import save

    native = {name: np.asarray(value, value.dtype.newbyteorder("="), order="C") for name, value in weights.items()}
    write_atomically(Path(path), save(native))
