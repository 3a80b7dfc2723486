"""Files as `torch.save` writes them, made without torch: to be read, and to be damaged."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, cast
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from rnnspec.contract.executable import Array

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage", "u1": "ByteStorage", "b1": "BoolStorage"}


class Global:
    """Pickled as a name in a module, which needn't be there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Called:
    """Pickled as a call."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.called, self.arguments = Global(module, name), arguments


class Storage:
    def __init__(self, kind: str, key: str, count: int) -> None:
        self.identity = ("storage", Global("torch", kind), key, "cpu", count)


def pickled(value: object) -> bytes:
    """A pickle, of names that needn't be there; a dict that stands in several places is written once."""
    known: dict[int, int] = {}

    def written(each: Any) -> bytes:
        match each:
            case None | bool():
                return {None: b"N", True: b"\x88", False: b"\x89"}[each]
            case int():
                content = each.to_bytes(9, "little", signed=True)
                return b"\x8a\x09" + content
            case float():
                return b"G" + struct.pack(">d", each)
            case str():
                return b"X" + struct.pack("<I", len(each.encode())) + each.encode()
            case bytes():
                return b"B" + struct.pack("<I", len(each)) + each
            case tuple():
                return b"(" + b"".join(map(written, cast("tuple[Any, ...]", each))) + b"t"
            case list():
                return b"](" + b"".join(map(written, cast("list[Any]", each))) + b"e"
            case dict():
                if id(each) in known:
                    return b"j" + struct.pack("<I", known[id(each)])
                items = cast("dict[Any, Any]", each).items()
                content = b"}(" + b"".join(written(key) + written(one) for key, one in items) + b"u"
                known[id(each)] = len(known)
                return content + b"r" + struct.pack("<I", known[id(each)])
            case Global():
                return f"c{each.module}\n{each.name}\n".encode()
            case Called():
                return written(each.called) + written(each.arguments) + b"R"
            case Storage():
                return written(each.identity) + b"Q"
            case _:
                raise TypeError(each)

    return b"\x80\x02" + written(value) + b"."


def tensor(storage: Storage, shape: Sequence[Any], strides: Sequence[Any], offset: Any = 0) -> Called:
    return Called("torch._utils", "_rebuild_tensor_v2", storage, offset, tuple(shape), tuple(strides), False, OrderedDict())


def archive(
    data: bytes, storages: Mapping[str, bytes], *, order: str = "little", compression: int = ZIP_STORED, top: str = "archive"
) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w", compression) as members:
        members.writestr(f"{top}/data.pkl", data)
        members.writestr(f"{top}/byteorder", order)
        for key, content in storages.items():
            members.writestr(f"{top}/data/{key}", content)
        members.writestr(f"{top}/version", "3\n")
    return file.getvalue()


def checkpoint(weights: Mapping[str, Array], *, order: str = "little") -> bytes:
    """A state dict."""
    entries: OrderedDict[str, Called] = OrderedDict()
    storages: dict[str, bytes] = {}
    for key, (name, value) in enumerate(weights.items()):
        kind = value.dtype.newbyteorder("<" if order == "little" else ">")
        storages[str(key)] = np.ascontiguousarray(value, kind).tobytes()
        strides = [stride // value.itemsize for stride in np.zeros(value.shape, value.dtype).strides]
        entries[name] = tensor(Storage(STORAGES[value.dtype.str[1:]], str(key), value.size), value.shape, strides)
    return archive(pickled(entries), storages, order=order)
