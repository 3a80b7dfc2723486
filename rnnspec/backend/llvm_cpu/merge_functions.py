"""Merges identical functions: loop nests of equal layers, or of both directions, differ only in the buffers that they are called on."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAME = r'@(?:"[^"]+"|[-\w$.]+)'
_DEFINED = re.compile(rf"define internal void ({_NAME})")
_NAMES = re.compile(_NAME)


def merge_functions(definitions: Sequence[str]) -> list[str]:
    """The definitions without repeated internal ones, whose calls go to the first; callees stand before their callers."""
    kept: dict[str, str] = {}
    instead: dict[str, str] = {}
    result: list[str] = []
    for definition in definitions:
        text = _NAMES.sub(lambda name: instead.get(name[0], name[0]), definition)
        head = _DEFINED.match(text)
        if head is not None:
            body = text[head.end() :]
            if body in kept:
                instead[head[1]] = kept[body]
                continue
            kept[body] = head[1]
        result.append(text)
    return result
