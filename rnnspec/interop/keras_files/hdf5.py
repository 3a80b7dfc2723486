"""Files of HDF5, which may come from strangers: numbers and texts are read, and nothing is followed out of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.small_floats import bfloat16

if TYPE_CHECKING:
    import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"

MOST_PACKED = 128
"""How many times as large as in the file a compressed array may be."""

SMALL = 2**16
"""Bytes of an array that are read however few the file has for them."""


class BadFile(ValueError):
    """A file that isn't what it should be, and where."""


def open_hdf5(file: BinaryIO) -> h5py.File:
    """A file of HDF5; `BadFile` if it can't be read, or h5py isn't installed."""
    try:
        import h5py
    except ImportError:
        raise BadFile("Keras's weights are read by h5py, which isn't installed: pip install 'rnnspec[keras-files]'") from None
    try:
        return h5py.File(file, "r")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BadFile(f"it isn't a readable file of HDF5: {error}") from None


def _linked(group: h5py.Group, name: str) -> Any:
    """What a name in a group stands for, None if there is nothing; `BadFile` for a link, which may lead out of the file."""
    import h5py

    try:
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise BadFile(f"`{name}` is a link to another place, which is not followed")
        return group.get(name)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise BadFile(f"`{name}` can't be read: {error}") from None


def group_at(group: h5py.Group, path: str) -> h5py.Group | None:
    """The group below another by its path, None if there is none."""
    import h5py

    found: Any = group
    for part in path.split("/"):
        if not part:
            continue
        if not isinstance(found, h5py.Group):
            return None
        found = _linked(found, part)
        if found is None:
            return None
    return found if isinstance(found, h5py.Group) else None


def names_in(group: h5py.Group) -> tuple[str, ...]:
    """The names of what is in a group."""
    try:
        return tuple(group)
    except (OSError, RuntimeError) as error:
        raise BadFile(f"a group can't be read: {error}") from None


def array_at(group: h5py.Group, path: str) -> Array | None:
    """The numbers in the array of that path below a group, None if there is none; `BadFile` for anything but numbers.

    bfloat16 becomes float32, which holds each of its numbers exactly. Of an array that the file hasn't the bytes for, nothing is read: its
    shape is no measure of its size.
    """
    import h5py

    folder, _, name = path.rpartition("/")
    parent = group_at(group, folder)
    found = None if parent is None else _linked(parent, name)
    if found is None:
        return None
    if not isinstance(found, h5py.Dataset):
        raise BadFile(f"`{path}` is a group, where an array is expected")
    try:
        if found.is_virtual or found.external:
            raise BadFile(f"`{path}` is kept in another file, which is not read")
        is_bfloat16 = str(found.attrs.get("dtype", "")) == "bfloat16" and found.dtype.itemsize == 2
        if found.dtype.kind not in "fiub" and not is_bfloat16:
            raise BadFile(f"`{path}` holds {found.dtype}, not numbers")
        size = math.prod(found.shape or ()) * found.dtype.itemsize
        if size > max(SMALL, MOST_PACKED * found.id.get_storage_size()):
            raise BadFile(f"`{path}` has the shape {found.shape}, for which the file is too small")
        array = np.asarray(found[()])
        return bfloat16(np.frombuffer(array.tobytes(), np.uint16).reshape(array.shape)) if is_bfloat16 else array
    except (OSError, RuntimeError, KeyError, TypeError, MemoryError) as error:
        raise BadFile(f"`{path}` can't be read: {error}") from None


def text_of(group: h5py.Group, name: str) -> str | None:
    """A text among a group's attributes, None if there is none."""
    value = _attribute(group, name)
    return None if value is None else _decoded(value)


def texts_of(group: h5py.Group, name: str) -> tuple[str, ...] | None:
    """A list of texts among a group's attributes, which Keras parts where it is long: `weight_names0`, `weight_names1`."""
    whole = _attribute(group, name)
    if whole is not None:
        return tuple(_listed(whole))
    parts: list[str] = []
    number = 0
    while (part := _attribute(group, f"{name}{number}")) is not None:
        parts += _listed(part)
        number += 1
    return tuple(parts) if number else None


def _attribute(group: h5py.Group, name: str) -> object:
    try:
        return group.attrs.get(name)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise BadFile(f"the attribute `{name}` can't be read: {error}") from None


def _listed(value: object) -> Iterator[str]:
    items: Any = np.asarray(value).reshape(-1)
    for item in items:
        yield _decoded(item)


def _decoded(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadFile("a text in it isn't UTF-8") from None
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and cast(Array, value).shape == ():
        return _decoded(cast(Array, value).item())
    raise BadFile(f"expected a text among the attributes, found {type(cast(object, value)).__name__}")
