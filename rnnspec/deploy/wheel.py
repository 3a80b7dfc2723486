"""Wheels (PEP 427) of files at hand: the same files give the same bytes."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16


def wheel(content: Mapping[str, bytes], dist_info: str, metadata: str, tags: str) -> bytes:
    """The wheel's bytes: `content` by paths, and in the folder `dist_info` what installers read, with a digest of each file."""
    members = {**content, f"{dist_info}/METADATA": metadata.encode(), f"{dist_info}/WHEEL": tags.encode()}
    record = f"{dist_info}/RECORD"
    lines = [*(f"{path},{_digest(data)},{len(data)}" for path, data in members.items()), f"{record},,"]
    members[record] = "\n".join([*lines, ""]).encode()
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for path, data in members.items():
            entry = ZipInfo(path, _EPOCH)
            entry.external_attr = _READABLE
            archive.writestr(entry, data, ZIP_DEFLATED, 9)
    return buffer.getvalue()


def wheel_name(package: str, release: str, platforms: Sequence[str]) -> str:
    """The file's name, for any Python 3 on these platforms."""
    return f"{package}-{release}-py3-none-{'.'.join(platforms)}.whl"


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
