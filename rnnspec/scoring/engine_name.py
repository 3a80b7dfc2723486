"""The names of engines, which `--help` shows without loading one."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """Who does the work."""

    local = "local"
    dask = "dask"
    ray = "ray"
