"""TensorBoard's event files, scalars alone: records of protobuf messages, written by hand (tensorflow/core/util/event.proto).

A record is its length in 8 bytes, that length's checksum, the message, and the message's checksum
(tensorflow/core/lib/io/record_writer.cc). Checksums are CRC-32C, rotated and moved by a constant.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_POLYNOMIAL = 0x82F63B78
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_crc_of(byte) for byte in range(256))


def masked_checksum(content: bytes) -> int:
    """The checksum of a record's part, as TensorFlow stores it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(number: int) -> bytes:
    parts = bytearray()
    number &= 0xFFFFFFFFFFFFFFFF
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _field(number: int, kind: int, content: bytes) -> bytes:
    length = _varint(len(content)) if kind == _BYTES else b""
    return _varint(number << 3 | kind) + length + content


def _event(seconds: float, step: int, what: bytes) -> bytes:
    """An `Event`: `wall_time`, `step`, and a field of its own."""
    return _field(1, _FIXED64, struct.pack("<d", seconds)) + _field(2, _VARINT, _varint(step)) + what


def _record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return b"".join([length, struct.pack("<I", masked_checksum(length)), message, struct.pack("<I", masked_checksum(message))])


class EventFile:
    """A new file of events in a folder, which is made if it isn't there; OSError if that isn't possible."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self.path = folder / f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}.v2"
        self._file: BinaryIO = self.path.open("xb")
        self._file.write(_record(_event(now, 0, _field(3, _BYTES, b"brain.Event:2"))))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes numbers, float32 in the file, under their tags."""
        values = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FIXED32, _float(number))) for tag, number in scalars.items()
        )
        self._file.write(_record(_event(time.time(), step, _field(5, _BYTES, values))))

    def flush(self) -> None:
        """Hands everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def _float(number: float) -> bytes:
    try:
        return struct.pack("<f", number)
    except OverflowError:
        return struct.pack("<f", float("inf") if number > 0 else float("-inf"))
