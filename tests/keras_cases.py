"""Reads the Keras fixtures: what a case is, in readable JSON, and its numbers, one flat float64 array a case.

The groups "recurrent", "models", "activations" and "training" are of chains with one input `x`: arrays
`x`, `mask`, `x_gradient`. In "options", "layers", "more_layers", "held" and "regularized" `about["inputs"]` says each input's
name, and the arrays are `x/<name>`, `mask/<name>`, `x_gradient/<name>`. `named_inputs`, `masks` and
`input_gradients` read both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.specs import Graph, Statement, chain

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

    def named(self, prefix: str) -> dict[str, NDArray[np.float64]]:
        """The arrays `prefix/<name>` by name."""
        return {key.removeprefix(f"{prefix}/"): array for key, array in self.arrays.items() if key.startswith(f"{prefix}/")}

    @property
    def inputs(self) -> NDArray[Any]:
        """The model's one input: floats, or ids as int32."""
        (x,) = self.named_inputs.values()
        return x

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Of the model's one input."""
        (name,) = self.named_inputs
        return self.masks.get(name)

    @property
    def named_inputs(self) -> dict[str, NDArray[Any]]:
        """Floats, or ids as int32, by the input's name."""
        if "inputs" not in self.about:
            x = self.arrays["x"]
            return {"x": x.astype(np.int32) if self.about["ids"] else x}
        inputs: dict[str, str] = self.about["inputs"]
        return {
            name: self.arrays[f"x/{name}"].astype(np.int32) if of.startswith("int") else self.arrays[f"x/{name}"]
            for name, of in inputs.items()
        }

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """By the input's name; without those that have none."""
        found = self.named("mask") if "inputs" in self.about else {"x": self.arrays["mask"]} if "mask" in self.arrays else {}
        return {name: mask.astype(bool) for name, mask in found.items()}

    @property
    def input_gradients(self) -> dict[str, NDArray[np.float64]]:
        """By the input's name; without ids."""
        if "inputs" in self.about:
            return self.named("x_gradient")
        return {"x": self.arrays["x_gradient"]} if "x_gradient" in self.arrays else {}

    @property
    def graph(self) -> Graph:
        """The model as descriptions of layers, for `tests.reference.run_graph`."""
        if "inputs" not in self.about:
            return chain(self.about["layers"], "int[time]" if self.about["ids"] else "float[time, features]")
        return Graph(self.about["inputs"], [Statement(**statement) for statement in self.about["statements"]], self.about["outputs"])

    def second(self) -> Case:
        """The second call of a stateful model: its own inputs, outputs and gradients, and the same weights."""
        weights = {name: array for name, array in self.arrays.items() if name.startswith("weight/")}
        return Case(f"{self.name}-second", self.about, weights | self.named("second"))


def load(group: str) -> list[Case]:
    """The cases of one group.

    "recurrent", "models", "activations", "losses", "optimizers", "metrics", "training"; and "options",
    "layers", "more_layers", "normalization", "regularized", "initializers", "held", "several_outputs", "weights".
    """
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
