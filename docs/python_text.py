"""The public API as text: of each public module its names, their signatures and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = (
    "rnnspec",
    "rnnspec.callbacks",
    "rnnspec.optimizers",
    "rnnspec.schedules",
    "rnnspec.losses",
    "rnnspec.metrics",
    "rnnspec.training.reports",
    "rnnspec.data",
    "rnnspec.decoding",
    "rnnspec.sklearn",
    "rnnspec.diagnostics",
)
"""Public modules, in the page's order; the tests hold that each module beside `rnnspec/api.py` that has an `__all__` is one."""

HIDDEN = {
    *("MetricNames", "Named", "NamedLoss", "NamedMetric", "OutputReport", "mean_of_rows", "reported", "unknown"),
    *("value_and_gradient", "values_of_rows", "Model.renew_locks", "Model.state_artifact", "Model.take_texts", "Model.take_training"),
    *("Model.share_weights", "Stream.renew_locks", "InternalError"),
}
"""What only the package itself calls."""

GIVEN = {"Model", "Stream", "Gradients", "Decoded", "Report", "ReportTable", "ClassReport", "ValueReport"}
"""Classes whose objects users get and don't make."""

BESIDE = {"rnnspec": ("rnnspec.runtime.model.stream.Stream", "rnnspec.runtime.model.tape.Gradients")}
"""What public calls give without being importable from the module."""


def api(_: str, name: str) -> str:
    """A module's docstring, then each public name under a heading of its own."""
    module = import_module(name)
    parts = [_docstring(inspect.getdoc(module) or "")]
    for each, value in public(module):
        parts += [f"### `{_signature(each, value)}`", _docstring(inspect.getdoc(value) or "")]
        parts += [
            part for method, found in _methods(value) for part in (f"#### `{_method(each, method, found)}`", _docstring(_doc_of(found)))
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes and functions that a module has for others: its `__all__`, or what it defines without an underscore."""
    listed: list[str] | None = getattr(module, "__all__", None)
    names = sorted(listed) if listed is not None else sorted(name for name in vars(module) if not name.startswith("_"))
    for name in names:
        value = getattr(module, name)
        own = listed is not None or getattr(value, "__module__", "") == module.__name__
        own = own and (module.__name__ != "rnnspec.diagnostics" or (inspect.isclass(value) and issubclass(value, Exception)))
        if own and name not in HIDDEN and (inspect.isclass(value) or inspect.isfunction(value)) and inspect.getdoc(value):
            yield name, value
    for path in BESIDE.get(module.__name__, ()):
        home, _, name = path.rpartition(".")
        yield name, getattr(import_module(home), name)


def _methods(value: Any) -> Iterator[tuple[str, Any]]:
    """The methods and properties of a class that is used by them: not of settings, nor of callbacks, whose hooks are their base's."""
    if not inspect.isclass(value) or (is_dataclass(value) and not hasattr(value, "as_dict")) or issubclass(value, BaseException):
        return
    from rnnspec.callbacks import Callback, History

    hooks = set() if value is Callback else set(dir(Callback))
    if issubclass(value, Callback) and value not in (Callback, History):
        return
    for name in sorted(dir(value)):
        found = inspect.getattr_static(value, name)
        hidden = name.startswith("_") or name in hooks or f"{value.__name__}.{name}" in HIDDEN or _is_foreign(found)
        if hidden or not (inspect.isfunction(found) or _is_property(found)) or not _doc_of(found):
            continue
        yield name, found


def _is_property(found: Any) -> bool:
    return isinstance(found, property) or (hasattr(found, "__get__") and hasattr(found, "func"))


def _is_foreign(found: Any) -> bool:
    """Whether a method is inherited from another package."""
    return not getattr(getattr(found, "fget", found), "__module__", "rnnspec").startswith("rnnspec")


def _doc_of(found: Any) -> str:
    return inspect.getdoc(found.fget if isinstance(found, property) else getattr(found, "func", found)) or ""


def _signature(name: str, value: Any) -> str:
    if inspect.isclass(value) and (name in GIVEN or issubclass(value, BaseException) or getattr(value, "_is_protocol", False)):
        return name
    try:
        return f"{name}{_arguments(value)}"
    except (ValueError, TypeError):
        return name


def _method(of: str, name: str, found: Any) -> str:
    if _is_property(found):
        return f"{of}.{name}"
    return f"{of}.{name}{_arguments(found)}"


def _arguments(value: Any) -> str:
    """The arguments with their defaults; their types are in the docstrings' tables."""
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in inspect.signature(value).parameters.values()]
    shown = inspect.Signature([each for each in parameters if each.name != "self"])
    return re.sub(r"<[^>]* at 0x[0-9a-f]+>|<factory>|Tuning\([^)]*\)", "...", str(shown))


def _docstring(text: str) -> str:
    """A docstring as Markdown: tables and examples in fences, the rest as it is."""
    shown: list[str] = []
    for paragraph in text.split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        is_code = first.startswith((">>>", "    "))
        if is_code and shown and shown[-1].startswith("```text\n>>>"):
            shown[-1] = f"{shown[-1].removesuffix('```')}\n{paragraph}\n```"
        elif is_code or re.match(r"-{3,}( +-{3,})+", rest):
            shown.append(f"```text\n{paragraph.rstrip()}\n```")
        else:
            shown.append(_escaped(paragraph))
    return "\n\n".join(shown)


def _escaped(paragraph: str) -> str:
    """Without what Markdown takes for a tag or for emphasis outside of code."""
    parts = re.split(r"(`[^`]*`)", paragraph)
    return "".join(part if part.startswith("`") else re.sub(r"([<*_])", r"\\\1", part) for part in parts)
