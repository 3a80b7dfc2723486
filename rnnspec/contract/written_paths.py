"""Paths to which a training writes because a spec says so. A spec may come from anybody, so that they stay below the working folder."""

from __future__ import annotations

import re
from pathlib import PurePath

CHECKPOINT_ENDINGS = (".rnnc", ".safetensors")
"""The endings of a checkpoint's file: of a model, and of weights only."""

_PLACE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*(:0?[0-9]{0,2}(\.[0-9]{1,2})?[defg]?)?\}")

_LONGEST = 200


def path_problem(path: str, *, places: bool) -> str | None:
    """The reason why a spec can't name this path, in words; None for one that it can. `places`: places for values are possible."""
    if not path or not path.isprintable():
        return "is no path"
    if len(path) > _LONGEST:
        return f"has {len(path)} characters; {_LONGEST} are possible"
    fixed = _PLACE.sub("0", path) if places else path
    if places and ("{" in fixed or "}" in fixed):
        return "has a place for a value that isn't like `{epoch:02d}` or `{val_loss:.3f}`"
    pure = PurePath(fixed)
    if pure.is_absolute() or pure.drive:
        return "isn't below that folder"
    if ".." in pure.parts:
        return "leads upwards"
    if not pure.name:
        return "is no path"
    return None
