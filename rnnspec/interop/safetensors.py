"""Weights as `.safetensors` files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rnnspec.runtime.artifact import write_atomically
from rnnspec.runtime.executable import Array


def read_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of a file by name; OSError if it can't be read, ValueError if it isn't sound."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = Path(path).read_bytes()
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)}: not a readable .safetensors file: {error}") from None


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write arrays by name; OSError leaves an older file as it was."""
    from safetensors.numpy import save

    write_atomically(Path(path), save(dict(weights)))
