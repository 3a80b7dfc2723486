"""The proof of an import: a few inputs, with the outputs that the model's origin gives for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array, each_output
from rnnspec.frozen import frozen
from rnnspec.training.model import Model

TOLERANCES: Mapping[str, float] = {"float32": 2e-5, "float64": 1e-9}
"""The largest difference that is taken for rounding, by the model's element type; of an output above 1 in its own size."""

_INPUT, _OUTPUT, TOLERANCE = "inputs/", "outputs/", "tolerance"


class ProofFailed(ValueError):
    """A model that doesn't give what its origin gives."""


@frozen
class Proof:
    """`inputs`, `outputs`: arrays by the model's names, batch first. `tolerance`: the largest difference."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    tolerance: float

    def arrays(self) -> dict[str, Array]:
        """The proof as a model's file holds it."""
        named = {f"{_INPUT}{name}": value for name, value in self.inputs.items()}
        named |= {f"{_OUTPUT}{name}": value for name, value in self.outputs.items()}
        return {**named, TOLERANCE: np.array(self.tolerance)}


def proof_in(arrays: Mapping[str, Array]) -> Proof:
    """The proof in a model's file; ValueError for arrays that are none."""
    inputs, outputs = (
        {name.removeprefix(kind): value for name, value in arrays.items() if name.startswith(kind)} for kind in (_INPUT, _OUTPUT)
    )
    tolerance = arrays.get(TOLERANCE)
    if tolerance is None or tolerance.shape != () or not inputs or not outputs or len(inputs) + len(outputs) + 1 != len(arrays):
        raise ValueError("its proof isn't one that was written here")
    return Proof(inputs, outputs, float(tolerance))


def prove(model: Model, proof: Proof) -> float:
    """The largest difference; `ProofFailed` if it is above the tolerance, or the model has other outputs."""
    names = [output.name for output in model.signature.outputs]
    given = model.predict(dict(proof.inputs))
    found = dict(zip(names, each_output(given), strict=True))
    worst = 0.0
    for name, wanted in proof.outputs.items():
        if name not in found:
            raise ProofFailed(f"the model has no output `{name}`; there are {', '.join(names)}")
        value = np.asarray(found[name])
        if value.shape != wanted.shape:
            raise ProofFailed(f"output `{name}`: expected the shape {wanted.shape}, got {value.shape}")
        difference = np.abs(value.astype(np.float64) - wanted) / np.maximum(np.abs(wanted), 1)
        largest = float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")
        if largest > proof.tolerance:
            place = tuple(int(each) for each in np.unravel_index(int(np.nan_to_num(difference, nan=np.inf).argmax()), difference.shape))
            told = f"expected {wanted[place]:g}, got {value[place]:g}"
            raise ProofFailed(f"output `{name}` differs by {largest:.3g}, more than {proof.tolerance:g}: at {place} {told}")
        worst = max(worst, largest)
    return worst


def proof_of(
    model: Model,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    names: tuple[Mapping[str, str], Mapping[str, str]],
    tolerance: float | None = None,
) -> Proof:
    """A proof of arrays under the file's names, or the model's; one alone may have any. `names`: of inputs and outputs, theirs to ours."""
    ends = (model.signature.inputs, model.signature.outputs)
    renamed = (
        _renamed(kind, given, known, [end.name for end in each])
        for kind, given, known, each in zip(("input", "output"), (inputs, outputs), names, ends, strict=True)
    )
    taken, wanted = renamed
    return Proof(taken, wanted, TOLERANCES[model.signature.dtype] if tolerance is None else tolerance)


def _renamed(kind: str, given: Mapping[str, Array], known: Mapping[str, str], own: list[str]) -> dict[str, Array]:
    if len(given) == 1 and len(own) == 1:
        return {own[0]: next(iter(given.values()))}
    found = {known.get(name, name): value for name, value in given.items()}
    if sorted(found) != sorted(own):
        raise ValueError(f"expected an array for each {kind}: {', '.join(known or own)}; got {', '.join(given) or 'none'}")
    return {name: found[name] for name in own}
