"""The files of a model in a package: one of plain data, the weights, and the object code of each level of processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import Signature, weight_ranges
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.frozen import frozen
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.storage.dataclass_json import from_json, to_json

MODEL, WEIGHTS, STATES, CALL = "model.json", "weights.npy", "states.npz", "call.o"
"""The plain data; all weights, flat; of a stateful model the states that it goes on from; the code behind direct calls from Python."""


@frozen
class LevelCode:
    """The functions of a level, by the names of variants of inference, "forward" and "stream"."""

    level: str
    functions: Mapping[str, NativeFunction]


@frozen
class PackagedCode:
    """The plain data of a model in a package. Object code lies in files of its own, so that here it is empty.

    `texts`: vocabularies and class names, as a model's file has them. `thresholds`: by output, see `CompiledModel.class_thresholds`.
    `storage`: the elements in which matrices are kept.
    """

    signature: Signature
    source: ModelSource
    texts: Mapping[str, tuple[str, ...]]
    thresholds: Mapping[str, float]
    levels: tuple[LevelCode, ...]
    python_call: PythonCall
    storage: WeightStorage = WeightStorage.FULL


def object_name(level: str, function: str) -> str:
    """The file of a function's object code."""
    return f"{level}.{function}.o"


def write_contents(folder: Path, code: PackagedCode, weights: Mapping[str, Array], states: Mapping[str, Array]) -> None:
    """Writes all files into a folder."""
    bare: list[LevelCode] = []
    for each in code.levels:
        for name, function in each.functions.items():
            (folder / object_name(each.level, name)).write_bytes(function.object_code)
        bare.append(LevelCode(each.level, {name: _bare(function) for name, function in each.functions.items()}))
    (folder / CALL).write_bytes(code.python_call.object_code)
    call = replace(code.python_call, object_code=b"", object_key="")
    (folder / MODEL).write_bytes(to_json(replace(code, levels=tuple(bare), python_call=call)))
    order = [np.asarray(weights[weight.name], code.signature.dtype).ravel() for weight in code.signature.weights]
    np.save(folder / WEIGHTS, np.concatenate(order) if order else np.zeros(0, code.signature.dtype))
    if states:
        write: Callable[..., None] = np.savez  # its named arguments are arrays and settings alike
        with (folder / STATES).open("wb") as file:
            write(file, **states)


def _bare(function: NativeFunction) -> NativeFunction:
    return replace(function, object_code=b"", object_key="")


def read_code(folder: Path) -> PackagedCode:
    """The plain data; ValueError for a file that isn't as it was written."""
    return from_json(PackagedCode, (folder / MODEL).read_bytes())


def read_weights(folder: Path, signature: Signature) -> dict[str, Array]:
    """The weights by name; ValueError for a file that isn't as it was written."""
    flat: Array = np.load(folder / WEIGHTS, allow_pickle=False)
    places = weight_ranges(signature.weights)
    if flat.shape != (max((place.stop for place in places.values()), default=0),) or flat.dtype != signature.dtype:
        raise ValueError(f"{WEIGHTS}: expected all weights of model {signature.model}, found {flat.dtype} {flat.shape}")
    return {weight.name: flat[places[weight.name]].reshape(weight.shape) for weight in signature.weights}


def read_states(folder: Path) -> dict[str, Array]:
    """The states that a stateful model goes on from; empty without any."""
    if not (folder / STATES).exists():
        return {}
    with np.load(folder / STATES, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
