"""Reads the Keras fixtures: what a case is, in readable JSON, and its numbers, one flat float64 array a case."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "fixtures" / "keras"


@dataclass(frozen=True, slots=True)
class Case:
    """`about` is the case's JSON entry; `arrays` its numbers by name."""

    name: str
    about: dict[str, Any]
    arrays: dict[str, NDArray[np.float64]]

    def listed(self, prefix: str) -> list[NDArray[np.float64]]:
        """The arrays `prefix/0`, `prefix/1`, ... in order."""
        found: list[NDArray[np.float64]] = []
        while (name := f"{prefix}/{len(found)}") in self.arrays:
            found.append(self.arrays[name])
        return found

    @property
    def inputs(self) -> NDArray[Any]:
        """The model's one input: floats, or ids as int32."""
        x = self.arrays["x"]
        return x.astype(np.int32) if self.about["ids"] else x

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        mask = self.arrays.get("mask")
        return None if mask is None else mask.astype(bool)


def load(group: str) -> list[Case]:
    """The cases of one group: "recurrent", "models", "activations", "losses", "optimizers", "metrics" or "training"."""
    entries: list[dict[str, Any]] = json.loads((FOLDER / f"{group}.json").read_text())
    cases: list[Case] = []
    with np.load(FOLDER / f"{group}.npz") as numbers:
        for entry in entries:
            flat = numbers[entry["name"]]
            arrays: dict[str, NDArray[np.float64]] = {}
            start = 0
            for name, shape in entry["arrays"].items():
                stop = start + int(np.prod(shape, dtype=int))
                arrays[name] = flat[start:stop].reshape(shape)
                start = stop
            if start != len(flat):
                raise ValueError(f"{entry['name']}: {len(flat)} numbers, {start} described")
            cases.append(Case(entry["name"], entry, arrays))
    return cases
