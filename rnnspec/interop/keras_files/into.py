"""A file's weights by the names of a given model's: layer by layer, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.interop.graph.refusals import Finding, ImportRefused
from rnnspec.interop.keras_files.archive import KerasFile
from rnnspec.interop.keras_files.hdf5 import array_at, group_at, names_in, text_of, texts_of
from rnnspec.interop.keras_files.weight_names import from_fused

if TYPE_CHECKING:
    import h5py

MOST_GROUPS = 20_000


def weights_into(file: KerasFile, signature: Signature, given: Mapping[str, str], source: str) -> tuple[Mapping[str, Array], Sequence[str]]:
    """The weights that the model has, and notes. `given`: by a layer's name in the file, the one in the model.

    A layer is known by its name in the file, or where that is none of the model's by its class and number, which Keras 3 stores.
    ImportRefused for shapes that differ.
    """
    theirs = _by_layer(file)
    ours: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for weight in signature.weights:
        ours.setdefault(weight.name.partition("/")[0], []).append((weight.name, weight.shape))
    found: dict[str, Array] = {}
    faults: list[Finding] = []
    notes: list[str] = []
    if unknown := [name for name in given if name not in {layer for names, _ in theirs for layer in names}]:
        faults.append(Finding(f"layer {unknown[0]}", "", "there is none of this name in the file"))
    for names, arrays in theirs:
        layer = next((given.get(name, name) for name in names if given.get(name, name) in ours), None)
        if layer is None:
            if arrays:
                notes.append(f"the weights of layer {names[0]} have no place in the spec")
            continue
        wanted = ours[layer]
        arrays = _unfused(arrays, [shape for _, shape in wanted])
        if len(wanted) != len(arrays) or any(array.shape != shape for array, (_, shape) in zip(arrays, wanted, strict=True)):
            shapes, others = (", ".join(map(str, each)) for each in ([shape for _, shape in wanted], [array.shape for array in arrays]))
            faults.append(Finding(f"layer {names[0]}", "", f"expected weights of the shapes {shapes or 'none'}, found {others or 'none'}"))
            continue
        found |= {name: array for (name, _), array in zip(wanted, arrays, strict=True)}
    if faults:
        raise ImportRefused(source, faults)
    return found, notes


def _unfused(arrays: list[Array], shapes: list[tuple[int, ...]]) -> list[Array]:
    """Weights of a CuDNNLSTM, which a bias of two halves tells from an LSTM's, as an LSTM has them."""
    if len(arrays) == len(shapes) == 3 and shapes[2] != arrays[2].shape == (2 * shapes[1][-1],) and shapes[1][-1] == 4 * shapes[1][0]:
        return from_fused(arrays, shapes[1][0])
    return arrays


def _by_layer(file: KerasFile) -> list[tuple[tuple[str, ...], list[Array]]]:
    """Each layer's names, the first of them its own, with its arrays in order."""
    group = file.weights
    if group is None:
        return []
    found: list[tuple[tuple[str, ...], list[Array]]] = []
    if file.by_layer:
        for name in texts_of(group, "layer_names") or ():
            inner = group_at(group, name)
            paths = () if inner is None else texts_of(inner, "weight_names") or ()
            arrays = [array for path in paths if inner is not None and (array := array_at(inner, path)) is not None]
            found.append(((name,), arrays))
        return found
    for folder in ("layers", "_layer_checkpoint_dependencies"):
        layers = group_at(group, folder)
        if layers is None:
            continue
        for name in names_in(layers):
            inner = group_at(layers, name)
            if inner is not None:
                own = group_at(inner, "vars")
                told = None if own is None else text_of(own, "name")
                found.append((tuple(dict.fromkeys(each for each in (told, name) if each)), _arrays(inner)))
    return found


def _arrays(group: h5py.Group) -> list[Array]:
    """All arrays below a layer's group, forward before backward, as Keras orders them."""
    found: list[Array] = []
    pending = [group]
    count = 0
    while pending and count < MOST_GROUPS:
        here = pending.pop()
        count += 1
        own = group_at(here, "vars")
        if own is not None:
            number = 0
            while (array := array_at(own, str(number))) is not None:
                found.append(array)
                number += 1
        inner = sorted(
            (name for name in names_in(here) if name != "vars" and "seed" not in name), key=lambda name: (name.startswith("backward"), name)
        )
        pending += [each for name in reversed(inner) if (each := group_at(here, name)) is not None]
    return found
