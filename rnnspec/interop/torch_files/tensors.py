"""Tensors of a checkpoint as numpy arrays: views of its storages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.small_floats import bfloat16, float8_e4m3fn, float8_e5m2
from rnnspec.interop.torch_files.archive import Archive, CheckpointError
from rnnspec.interop.torch_files.pickle_machine import Call, Named, Reference, Value

MOST_AXES = 32
MOST_ELEMENTS = 2**48

_REBUILT = {"_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_tensor", "_rebuild_parameter", "_rebuild_parameter_with_state"}


@frozen
class Element:
    """The type of a storage's numbers: numpy's type of their bytes, and what numpy doesn't have as float32."""

    stored: str
    convert: Callable[[Array], Array] | None = None


ELEMENTS = {
    "float64": Element("f8"),
    "float32": Element("f4"),
    "float16": Element("f2"),
    "bfloat16": Element("u2", bfloat16),
    "float8_e5m2": Element("u1", float8_e5m2),
    "float8_e4m3fn": Element("u1", float8_e4m3fn),
    "int64": Element("i8"),
    "int32": Element("i4"),
    "int16": Element("i2"),
    "int8": Element("i1"),
    "uint8": Element("u1"),
    "uint16": Element("u2"),
    "uint32": Element("u4"),
    "uint64": Element("u8"),
    "bool": Element("u1", lambda bits: bits != 0),
    "complex64": Element("c8"),
    "complex128": Element("c16"),
}
"""The element types by torch's names."""

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}


def is_tensor(value: Value) -> bool:
    """Whether a value of a pickle is a tensor, or a parameter."""
    return isinstance(value, Call) and value.called.module in ("torch._utils", "torch._tensor") and value.called.name in _REBUILT


class Tensors:
    """The tensors of one checkpoint. Several may be views of one storage, which is converted once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._converted: dict[tuple[str, str], Array] = {}
        self._elements = 0
        self._there = sum(len(each) for each in archive.storages.values())

    def array(self, value: Value) -> Array:
        """A tensor as an array that isn't to be written to; CheckpointError if it isn't within its storage."""
        call = cast(Call, value)
        if call.called.name.startswith("_rebuild_parameter"):
            inner = call.arguments[0] if call.arguments else None
            if not is_tensor(inner) or cast(Call, inner).called.name.startswith("_rebuild_parameter"):
                raise CheckpointError("damaged: a parameter in it isn't made of a tensor")
            return self.array(inner)
        if len(call.arguments) < 4:
            raise CheckpointError("damaged: a tensor in it lacks its storage, shape or strides")
        reference, offset, shape, strides = call.arguments[:4]
        element = _element(call.arguments[6]) if call.called.name == "_rebuild_tensor_v3" and len(call.arguments) > 6 else None
        storage = self._storage(reference, element)
        shape, strides = _whole_numbers("shape", shape), _whole_numbers("strides", strides)
        (offset,) = _whole_numbers("offset", (offset,))
        if len(shape) != len(strides) or len(shape) > MOST_AXES or math.prod(shape) > MOST_ELEMENTS:
            raise CheckpointError(f"damaged: a tensor in it has the shape {_shown(shape)} and the strides {_shown(strides)}")
        count = math.prod(shape)
        last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True)) if count else 0
        if last >= max(storage.size, 1):
            raise CheckpointError(f"damaged: a tensor of shape {_shown(shape)} reaches beyond its storage of {storage.size} numbers")
        self._elements += count
        if self._elements > 16 * self._there + 2**20:
            raise CheckpointError("its tensors repeat the same numbers more often than a model's do")
        if not count:
            return np.zeros(shape, storage.dtype)
        taken = tuple(stride * storage.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, taken, writeable=False)

    def _storage(self, reference: Value, element: str | None) -> Array:
        kind, key, count = _described(reference)
        name = element or _STORAGES.get(kind)
        if name is None:
            raise CheckpointError(f"it has numbers of the type {kind.removesuffix('Storage')}, which aren't read here")
        if (key, name) not in self._converted:
            described = ELEMENTS[name]
            stored = np.dtype(described.stored).newbyteorder("<" if self._archive.little else ">")
            content = self._archive.storages.get(key)
            size = count if kind == "UntypedStorage" else count * stored.itemsize
            if content is None or len(content) < size or size % stored.itemsize:
                raise CheckpointError(f"damaged: its storage {key[:40]} isn't there, or has fewer bytes than it should")
            numbers = np.frombuffer(content, stored, size // stored.itemsize)
            numbers = numbers.astype(stored.newbyteorder("="), copy=False)
            self._converted[key, name] = numbers if described.convert is None else described.convert(numbers)
        return self._converted[key, name]


def _element(value: Value) -> str:
    """The name of an element type, `torch.float8_e5m2`, which stands for itself."""
    if not isinstance(value, Named) or value.module != "torch" or value.name not in ELEMENTS:
        raise CheckpointError(f"it has numbers of the type {value}, which aren't read here")
    return value.name


def _described(reference: Value) -> tuple[str, str, int]:
    """The class, key and number of elements of a storage."""
    match reference:
        case Reference(value=("storage", Named(module="torch" | "torch.storage", name=kind), str(key), _, int(count))) if count >= 0:
            return kind, key, count
        case _:
            raise CheckpointError("damaged: a tensor in it has no storage")


def _whole_numbers(what: str, value: Value) -> tuple[int, ...]:
    if isinstance(value, Call) and str(value.called) == "torch.Size" and len(value.arguments) == 1:
        value = value.arguments[0]
    if isinstance(value, tuple):
        numbers = cast("tuple[Value, ...]", value)
        if all(type(number) is int and 0 <= number <= MOST_ELEMENTS for number in numbers):
            return cast("tuple[int, ...]", numbers)
    raise CheckpointError(f"damaged: the {what} of a tensor isn't of whole numbers from 0")


def _shown(numbers: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, numbers[:8]))}{', ...' if len(numbers) > 8 else ''})"
