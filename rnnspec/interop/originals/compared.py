"""What a file's model gives in its own framework for drawn inputs, as the import takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature
from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import Role, Roles, SourceCall, arranged, gathered
from rnnspec.interop.originals.original import CantRun, Original, first_line
from rnnspec.training.model import Model
from rnnspec.training.proof import Proof, proof_of, prove

SAMPLES, STEPS = 2, 5
"""The size of drawn inputs, where the file leaves it open."""

Shape = Sequence[int | None]


@frozen
class Drawn:
    """Inputs and outputs by the file's names, with the model's axes. `rounding`: as of the `Original`."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    rounding: float


def drawn_calls(
    source: Original, call: SourceCall, names: Mapping[str, str], outputs: Sequence[str], signature: Sequence[InputSignature]
) -> Drawn:
    """Inputs that are drawn, the same each time, and the outputs for them. `names`: of inputs, the file's to the model's; `outputs`: the
    file's names of what the model gives.

    `CantRun` for a model whose inputs in the file can't be told from those of the import, or that its framework doesn't run.
    """
    unknown = [name for name, roles in call.axes.items() if not roles]
    if unknown:
        raise CantRun(f"the axes of {', '.join(unknown)} are others in the file than in the import")
    inputs = drawn_inputs(source, call, names, signature)
    if call.states:
        return Drawn(inputs, _stepped(source, call, inputs, outputs), source.rounding)
    samples = len(next(iter(inputs.values())))
    steps = next((_extent(source.shapes[name], _roles(call, name), Role.TIME) for name in names if _has_time(name, names, signature)), None)
    given = {name: _as_source(array, call.axes.get(name), source.shapes[name]) for name, array in inputs.items()}
    given |= {name: np.full([size or samples for size in source.shapes[name]], steps or STEPS) for name in call.lengths}
    given |= {name: _zeros(source.shapes[name], samples) for name in call.unused if name in source.shapes}
    found = _run(source, given)
    if len(found) != len(outputs):
        raise CantRun(f"{source.framework} gives {len(found)} outputs, and the import {len(outputs)}")
    given_back = {name: _as_model(value, call.axes.get(name)) for name, value in zip(outputs, found, strict=True)}
    return Drawn(inputs, given_back, source.rounding)


def compared(
    model: Model, drawn: Drawn, names: tuple[Mapping[str, str], Mapping[str, str]], tolerance: float | None
) -> tuple[Proof, float]:
    """The proof that a model gives what was drawn, and the largest difference; `ProofFailed` otherwise. `names`: as of `proof_of`."""
    proof = proof_of(model, drawn.inputs, drawn.outputs, names, tolerance)
    if tolerance is None and drawn.rounding > proof.tolerance:
        proof = replace(proof, tolerance=drawn.rounding)
    return proof, prove(model, proof)


def drawn_inputs(source: Original, call: SourceCall, names: Mapping[str, str], signature: Sequence[InputSignature]) -> dict[str, Array]:
    """Arrays with the model's axes, by the file's names; as many samples and steps as the file has, where it says so."""
    own = {each.name: each for each in signature}
    further = set(source.shapes) - set(names) - {*call.states, *call.lengths, *call.unused}
    if further or not set(names) <= set(source.shapes) or set(names.values()) != set(own):
        told = sorted(further or set(names) - set(source.shapes))
        raise CantRun(f"in {source.framework} it has {'further' if further else 'no'} inputs, {', '.join(told)}")
    random = np.random.default_rng(0)
    batches = {_extent(source.shapes[name], _roles(call, name), Role.BATCH, none=1) for name in (*names, *call.states)} - {None}
    samples = batches.pop() if len(batches) == 1 else SAMPLES
    drawn: dict[str, Array] = {}
    for name, ours in names.items():
        spec, sizes, roles = own[ours], source.shapes[name], call.axes.get(name)
        extents = [samples or SAMPLES, *(each if isinstance(each, int) else STEPS for each in spec.shape)]
        if roles is None:
            if len(sizes) != len(extents):
                raise CantRun(f"input {name} has {len(sizes)} axes in {source.framework}, and {len(extents)} in the import")
            extents = [extent if size is None else size for size, extent in zip(sizes, extents, strict=True)]
        elif len(roles) != len(sizes):
            raise CantRun(f"input {name} has {len(sizes)} axes in {source.framework}, and {len(roles)} in the file")
        elif Role.TIME in roles:
            extents[1] = _extent(sizes, roles, Role.TIME) or extents[1]
        drawn[name] = random.integers(0, spec.vocabulary or 2, extents) if spec.integer else random.normal(size=extents)
    return drawn


def _stepped(source: Original, call: SourceCall, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
    """The outputs of a graph of one step, over the steps of the inputs, its states from zeros."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    states = {name: _zeros(source.shapes[name], samples) for name in call.states}
    rest = {name: _zeros(source.shapes[name], samples) for name in call.unused if name in source.shapes}
    made: dict[str, list[Array]] = {name: [] for name in outputs}
    for step in range(steps):
        now = {name: _as_source(array[:, step], call.axes[name], source.shapes[name]) for name, array in inputs.items()}
        found = dict(zip(call.outputs, _run(source, {**now, **states, **rest}), strict=True))
        states = {before: found[after] for before, after in call.states.items()}
        for name, values in made.items():
            values.append(found[name].reshape(samples, -1))
    return {name: np.stack(values, axis=1) for name, values in made.items()}


def _run(source: Original, given: Mapping[str, Array]) -> Sequence[Array]:
    try:
        return source.run(given)
    except Exception as error:  # of any kind: a size that it wasn't made for, say
        raise CantRun(f"{source.framework} doesn't run the file's model ({first_line(error)})") from error


def _roles(call: SourceCall, name: str) -> Roles:
    """An input's, as far as they matter for its sizes: the usual ones begin with these."""
    return call.axes.get(name) or (Role.BATCH, Role.TIME)


def _has_time(name: str, names: Mapping[str, str], signature: Sequence[InputSignature]) -> bool:
    spec = next(each for each in signature if each.name == names[name])
    return len(spec.shape) == 2 - spec.integer


def _extent(sizes: Shape, roles: Roles, role: Role, none: int | None = None) -> int | None:
    """The size of the axis with that meaning, None for any; `none` if there is no such axis."""
    return sizes[roles.index(role)] if role in roles else none


def _as_source(array: Array, roles: Roles | None, sizes: Shape) -> Array:
    """An array with the model's axes, (samples, features) or (samples, steps, features), with those of the file."""
    if roles is None:
        return array
    steps = array.shape[1] if Role.TIME in roles else 1
    extents = {Role.BATCH: len(array), Role.TIME: steps}
    features = array.size // (len(array) * steps)
    known = prod(size for size, role in zip(sizes, roles, strict=True) if role is Role.FEATURES and size is not None)
    whole = tuple(extents.get(role) or size or features // known for size, role in zip(sizes, roles, strict=True))
    return np.ascontiguousarray(arranged(array, roles, whole))


def _as_model(array: Array, roles: Roles | None) -> Array:
    return array if roles is None else gathered(array, roles)


def _zeros(sizes: Shape, samples: int) -> Array:
    return np.zeros([size or samples for size in sizes])
