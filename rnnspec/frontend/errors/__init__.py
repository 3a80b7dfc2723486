"""Diagnostics of the frontend by topic, a class for each kind of fault.

A topic is imported with its first fault (`errors.names.UnknownName(...)`): a spec without faults needs none of the classes.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnspec.frontend.errors import cells, flows, layers, limits, names, shapes, syntax, texts, weights

__all__ = ["cells", "flows", "layers", "limits", "names", "shapes", "syntax", "texts", "weights"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
