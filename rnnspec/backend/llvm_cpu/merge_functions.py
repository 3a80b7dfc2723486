"""Functions of one text are one function: the nests of a stack's equal layers, or of both directions, differ in their buffers alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAME = r'@(?:"[^"]+"|[-\w$.]+)'
_DEFINED = re.compile(rf"define internal void ({_NAME})")
_NAMES = re.compile(_NAME)


def merge_functions(definitions: Sequence[str]) -> list[str]:
    """The LLVM text of each function, internal ones of equal text once; what is called stands before what calls it."""
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
