"""rnnspec: recurrent networks from a declarative spec to fused native code, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnspec.version import __version__

if TYPE_CHECKING:
    from rnnspec.api import compile, load
    from rnnspec.contract.tuning import Tuning
    from rnnspec.deploy.build import build
    from rnnspec.deploy.python_package import build_python
    from rnnspec.diagnostics import SpecError
    from rnnspec.interop.exporting import export_model
    from rnnspec.interop.graph.refusals import ExportRefused, ImportRefused
    from rnnspec.interop.importing import import_model
    from rnnspec.training.model import Model

__all__ = [
    "ExportRefused",
    "ImportRefused",
    "Model",
    "SpecError",
    "Tuning",
    "__version__",
    "build",
    "build_python",
    "compile",
    "export_model",
    "import_model",
    "load",
]

_HOMES = {
    "ExportRefused": "rnnspec.interop.graph.refusals",
    "ImportRefused": "rnnspec.interop.graph.refusals",
    "build": "rnnspec.deploy.build",
    "build_python": "rnnspec.deploy.python_package",
    "compile": "rnnspec.api",
    "export_model": "rnnspec.interop.exporting",
    "import_model": "rnnspec.interop.importing",
    "load": "rnnspec.api",
    "Model": "rnnspec.training.model",
    "SpecError": "rnnspec.diagnostics",
    "Tuning": "rnnspec.contract.tuning",
}

_MODULES = ("callbacks", "data", "decoding", "jax", "keras", "losses", "metrics", "optimizers", "schedules", "sklearn", "torch")
"""The public modules, which are there without an import of their own, as Keras's are."""


def __getattr__(name: str) -> Any:
    """A public name, imported from its home at first use: `import rnnspec` itself loads nothing."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
