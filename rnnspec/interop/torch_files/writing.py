"""State dicts as `torch.save` writes them, without torch."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from rnnspec.contract.executable import Array

_STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}

_EPOCH = (1980, 1, 1, 0, 0, 0)


def state_dict_bytes(weights: Mapping[str, Array], name: str = "archive") -> bytes:
    """A file's bytes that `torch.load` reads: an OrderedDict of tensors, each with a storage of its own; float32, float64 and int64.

    The same weights are the same bytes.
    """
    file = BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        _add(archive, f"{name}/data.pkl", _pickle(weights))
        _add(archive, f"{name}/byteorder", b"little")
        for key, value in enumerate(weights.values()):
            _add(archive, f"{name}/data/{key}", np.asarray(value, value.dtype.newbyteorder("<"), order="C").tobytes())
        _add(archive, f"{name}/version", b"3\n")
    return file.getvalue()


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    archive.writestr(ZipInfo(name, _EPOCH), content)


def _pickle(weights: Mapping[str, Array]) -> bytes:
    """Protocol 2: each entry is a call of `_rebuild_tensor_v2` with a storage, an offset, a shape and strides."""
    entries = b"".join(_text(name) + _tensor(str(key), value) for key, (name, value) in enumerate(weights.items()))
    return b"\x80\x02" + _ORDERED + b"(" + entries + b"u."


_ORDERED = b"ccollections\nOrderedDict\n)R"


def _tensor(key: str, value: Array) -> bytes:
    storage = b"(" + _text("storage") + f"ctorch\n{_STORAGES[value.dtype.str[1:]]}\n".encode() + _text(key) + _text("cpu")
    storage += _whole(value.size) + b"tQ"
    strides = [stride // value.itemsize for stride in np.empty(value.shape, value.dtype).strides]
    arguments = storage + _whole(0) + _wholes(value.shape) + _wholes(strides) + b"\x89" + _ORDERED
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _whole(number: int) -> bytes:
    return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)


def _wholes(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_whole, numbers)) + b"t"
