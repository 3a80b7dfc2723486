"""Models of Keras's that tests import: the archive of fixtures, unpacked a model at a time."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "interop" / "keras"


@cache
def archive(name: str = "models") -> zipfile.ZipFile:
    """The fixtures, which stay open."""
    return zipfile.ZipFile(io.BytesIO((FOLDER / f"{name}.zip").read_bytes()))


def models(name: str = "models") -> list[str]:
    """The names of all models."""
    return [each.removesuffix(".npz") for each in archive(name).namelist() if each.endswith(".npz")]


def unpacked(model: str, ending: str, folder: Path, name: str = "models") -> Path:
    """A file of a model in a folder."""
    path = folder / f"{model}.{ending}"
    path.write_bytes(archive(name).read(f"{model}.{ending}"))
    return path


def numbers(model: str, name: str = "models") -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Inputs by Keras's names, in their order, and outputs."""
    with np.load(io.BytesIO(archive(name).read(f"{model}.npz"))) as content:
        inputs = {key.partition(":")[2]: content[key] for key in content.files if key.startswith("in")}
        return inputs, [content[key] for key in content.files if key.startswith("out")]


def edited(path: Path, change: Any) -> Path:
    """A `.keras` file with its configuration changed by a function."""
    with zipfile.ZipFile(path) as given:
        members = {name: given.read(name) for name in given.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as written:
        for name, content in members.items():
            written.writestr(name, content)
    return path
