"""The constants of a library: weights, and what is prepared of them, as functions for a target read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import Space
from rnnspec.contract.signature import weight_ranges
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import KernelFunction
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.executable import Variant
from rnnspec.runtime.native.jit import Jit
from rnnspec.runtime.native.loaded_function import BufferPool, LoadedFunction


class Constants:
    """The bytes that a library's functions read, each part aligned to a vector; equal parts are one.

    `retrained`: only those are one that are so with any weights, so that the places are the same for all weights of a model.
    """

    def __init__(self, model: Compilation, weights: Mapping[str, Array], target: Target, *, retrained: bool = False) -> None:
        self._host = on_this_machine(model, target)
        self._flat = flat_weights(self._host, weights)
        self._align = max(16, target.vector_bytes)
        self._content = bytearray()
        self._known: dict[tuple[bytes, ...], int] = {}
        self._sets = [self._flat]
        if retrained:
            self._sets.append(np.random.default_rng(0).normal(size=self._flat.size).astype(self._flat.dtype))

    @property
    def content(self) -> bytes:
        """All parts one after the other."""
        return bytes(self._content)

    def places(self, variant: Variant, function: KernelFunction) -> Mapping[str, int]:
        """Adds what a function reads: each buffer's place. What is prepared is made by this machine."""
        native = self._host.native(variant)
        loaded = LoadedFunction(native, Jit().load(native.object_code, native.symbols), BufferPool(1))
        prepared = [loaded.prepared(flat, version).memory.bytes.copy() for version, flat in enumerate(self._sets)]
        plan = calling_convention(self._host.kernels(variant).function).prepared
        starts = np.cumsum([0, *(slot.size({}) for slot in plan.slots)]).tolist()
        places: dict[str, int] = {}
        for name in dict.fromkeys(name for node in function.nodes for name in buffers_of(node)):
            buffer = function.buffer(name)
            match buffer.space:
                case Space.WEIGHT:
                    parts = [flat[buffer.offset :][: buffer.width * _rows(buffer.rows)].tobytes() for flat in self._sets]
                case Space.PREPARED:
                    slot = plan.slots[plan.slot_of[name]]
                    start, size = starts[plan.slot_of[name]], slot.row_bytes * max(1, _rows(slot.rows))
                    parts = [each[start:][:size].tobytes() for each in prepared]
                case _:
                    continue
            places[name] = self._place(tuple(parts))
        return places

    def flat_place(self) -> int:
        """Adds all weights as they are: their place."""
        return self._place(tuple(flat.tobytes() for flat in self._sets))

    def _place(self, parts: tuple[bytes, ...]) -> int:
        if parts not in self._known:
            self._content += bytes(-len(self._content) % self._align)
            self._known[parts] = len(self._content)
            self._content += parts[0]
        return self._known[parts]


def on_this_machine(model: Compilation, target: Target) -> Compilation:
    """A model for this machine with a target's lanes, tiles and roundings: LLVM makes vectors of any width of those that there are."""
    host = model.backend.host_target()
    own = replace(target, triple=host.triple, cpu=host.cpu, features=host.features, architecture=host.architecture)
    own = replace(own, object_format=host.object_format, pointer_bits=host.pointer_bits, relocation=host.relocation, abi=host.abi)
    own = replace(own, slot_alignment=host.slot_alignment, slot_gap=host.slot_gap)
    own = replace(own, widens_half=target.widens_half and host.widens_half)  # either way gives the same
    return Compilation(model.tree, model.graph, model.dtype, own, model.backend)


def flat_weights(model: Compilation, weights: Mapping[str, Array]) -> Array:
    """All weights in one array, as native code takes them."""
    dtype = np.dtype(model.signature.dtype)
    places = weight_ranges(model.signature.weights)
    flat = np.zeros(max((place.stop for place in places.values()), default=0), dtype)
    for name, place in places.items():
        flat[place] = np.asarray(weights[name], dtype).ravel()
    return flat


def _rows(rows: int | Size) -> int:
    assert isinstance(rows, int)  # of weights, and of what is prepared
    return rows
