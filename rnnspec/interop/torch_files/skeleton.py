"""A graph for modules whose order, and all that has no weights, a file doesn't tell: a chain that a person completes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from rnnspec.interop.graph.cells import RMS_NORM
from rnnspec.interop.graph.graph import ImportedGraph, ImportedInput, ImportedLayer, ImportedOutput, Value, Word
from rnnspec.interop.torch_files.parts import CELLS, PROJECTED, Layer, Part, Role
from rnnspec.interop.torch_files.tree import natural

_OTHERS = 3
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", PROJECTED, RMS_NORM)
_RANK = {"Embedding": 0, "Conv1D": 1, "Bidirectional": 2, **dict.fromkeys(_RECURRENT, 2), RMS_NORM: _OTHERS, "Dense": 4}

_MISSING = (
    "A skeleton: the file has weights by name, and nothing else. Complete what it can't tell:",
    "the order of the layers, branches, activations, dropout, what becomes of the steps (`Last()` for `out[:, -1]`).",
)
_DROPPED = "activations, the order of layers and all else that isn't a weight: the file doesn't tell it, the spec is a skeleton to complete"
_BY_KIND = "The file is sorted by names, so that the order here is a guess, by kinds and widths."


def skeleton(name: str, parts: Sequence[Part], notes: Sequence[str], *, ordered: bool) -> ImportedGraph:
    """A chain of the parts in the file's order, or where that tells nothing by their kinds.

    Where a layer takes another width than the one before gives, a new input begins another chain, whose end is an output too, so that the
    spec compiles, and takes the weights, as it stands.
    """
    chain = parts if ordered else _by_kinds(parts)
    inputs: list[ImportedInput] = []
    layers: list[ImportedLayer] = []
    outputs: list[ImportedOutput] = []
    unknown: list[str] = []
    names: set[str] = set()
    here, width = "", None
    attending = _Attending()
    for part in chain:
        layer = part.layer
        is_table = layer.layer == "Embedding"
        opens = part.role in (Role.NONE, Role.FIRST_QUERY)
        if not here or is_table or (opens and part.features is not None and width is not None and part.features != width):
            if here:
                outputs.append(ImportedOutput(here))
            here = _unused("ids" if is_table else "x", names)
            width = part.features
            dimensions = ("time",) if is_table else ("time", width or 1)
            inputs.append(ImportedInput(here, "int" if is_table else "float", dimensions))
        key = f"{len(layers)}"
        taken = attending.taken(part.role, here, key)
        layers.append(ImportedLayer(layer.layer, _of_steps(layer), taken, (key,), _name(part.source, names), part.source, layer.weights))
        here, width = key, part.units if part.units is not None else width
        if part.unknown:
            unknown.append(f"{part.source}: {part.unknown}")
    if here:
        outputs.append(ImportedOutput(here))
    comment = (*_MISSING, *(() if ordered else (_BY_KIND,)), *(("Of single layers:", *unknown) if unknown else ()))
    used = {layer.layer for layer in layers} | {_inner(layer.arguments) for layer in layers}
    wide = any(value.dtype == "float64" for part in parts for value in part.layer.weights.values())
    return ImportedGraph(
        name,
        tuple(inputs),
        tuple(layers),
        tuple(outputs),
        tuple(text for name, text in CELLS.items() if name in used),
        notes=tuple(notes),
        dropped=(_DROPPED,),
        comment=comment,
        dtype="float64" if wide else "float32",
    )


class _Attending:
    """What the layers of an attention take."""

    def __init__(self) -> None:
        self._before = ""
        self._of_head: dict[Role, str] = {}
        self._heads: list[str] = []

    def taken(self, role: Role, here: str, key: str) -> tuple[str, ...]:
        """The keys of the values that a layer takes. `here`: that of the layer before, `key`: the layer's own."""
        match role:
            case Role.NONE | Role.OUTPUT:
                return (here,)
            case Role.FIRST_QUERY:
                self._before, self._heads = here, []
                self._of_head[Role.QUERY] = key
                return (here,)
            case Role.QUERY | Role.KEY | Role.VALUE:
                self._of_head[role] = key
                return (self._before,)
            case Role.SCORES:
                self._heads.append(key)
                return tuple(self._of_head[each] for each in (Role.QUERY, Role.VALUE, Role.KEY))
            case Role.HEADS:
                return tuple(self._heads)
            case _:
                assert_never(role)


def _by_kinds(parts: Sequence[Part]) -> Sequence[Part]:
    """Embeddings, convolutions, recurrent layers, normalisations, dense layers; one that fits behind the last goes first.

    A chain begins with one whose width none of the others gives, if there is one.
    """
    left = _groups(sorted(parts, key=_kind))
    chain: list[Part] = []
    width: int | None = None
    while left:
        fitting = [group for group in left if group[0].layer.layer != "Embedding" and group[0].features in (None, width)]
        given = [group[-1].units for group in left]
        starts = [
            group
            for place, group in enumerate(left)
            if group[0].layer.layer == "Embedding" or group[0].features not in (None, *given[:place], *given[place + 1 :])
        ]
        first = (fitting if chain else [])[:1] or starts[:1] or left[:1]
        left.remove(first[0])
        chain += first[0]
        width = chain[-1].units if chain[-1].units is not None else width
    return chain


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts of each attention together, every other one alone."""
    groups: list[list[Part]] = []
    for part in parts:
        if part.role in (Role.NONE, Role.FIRST_QUERY):
            groups.append([part])
        else:
            groups[-1].append(part)
    return groups


def _kind(part: Part) -> tuple[int, tuple[tuple[int, str], ...]]:
    """The key by which parts are sorted; those of an attention stay together, in their order."""
    if part.role is not Role.NONE:
        return _OTHERS, natural(part.source.rpartition(".")[0])
    return _RANK.get(part.layer.layer, _OTHERS), natural(part.source)


def _of_steps(layer: Layer) -> dict[str, Value]:
    """The arguments, by which a recurrent layer gives each step as a module of PyTorch does."""
    arguments = dict(layer.arguments)
    if layer.layer in _RECURRENT:
        arguments["return_sequences"] = True
    elif layer.layer == "Bidirectional" and isinstance(inner := arguments["layer"], Word):
        arguments["layer"] = replace(inner, arguments=(*inner.arguments, ("return_sequences", True)))
    return arguments


def _inner(arguments: object) -> str:
    match arguments:
        case {"layer": Word(name=name)}:
            return name
        case _:
            return ""


def _name(source: str, used: set[str]) -> str:
    """A layer's name; those of a module of several layers are automatic, so that equal ones can be a `repeat`."""
    return "" if not source or re.search(r"\bl\d+$", source) else _unused(_identifier(source), used)


def _identifier(path: str) -> str:
    """A name for a layer."""
    text = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_")
    return text if text[:1].isalpha() else f"module_{text}" if text else "module"


def _unused(name: str, used: set[str]) -> str:
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name}_{number}"
    used.add(found)
    return found
