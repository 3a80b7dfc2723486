"""The modules of the runtime that inference needs, copied under another package's name: they know no stage of the compiler."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

from rnnspec.frozen import frozen

OWN = "rnnspec"
FIRST = f"{OWN}.runtime.packaged.model"
"""The module that a package begins with."""


@frozen
class _Module:
    """A module's file in the package, its text, and the lines on which it imports others of the package's."""

    path: str
    text: str
    imports: Mapping[int, tuple[str, ...]]


def copied_modules(name: str) -> Mapping[str, str]:
    """The texts by their paths, with `name`, of a package, in the place of `rnnspec` in imports; without the package's own first module."""
    found: dict[str, _Module] = {}
    waiting = [FIRST]
    while waiting:
        module = waiting.pop()
        if module == OWN or module in found:
            continue
        found[module] = read = _read(module)
        parents = [module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)]
        waiting += [*parents, *(each for line in read.imports.values() for each in line)]
    return {read.path: _renamed(read, name) for _, read in sorted(found.items())}


def _path(module: str) -> str | None:
    """A module's file in the package; None if it isn't one."""
    inside = module.removeprefix(f"{OWN}.").replace(".", "/")
    return next((path for path in (f"{inside}.py", f"{inside}/__init__.py") if (files(OWN) / path).is_file()), None)


def _read(module: str) -> _Module:
    path = _path(module)
    assert path is not None, module  # a module of the package imports it
    text = (files(OWN) / path).read_text(encoding="utf-8")
    imports: dict[int, tuple[str, ...]] = {}
    for node in _imports(ast.parse(text)):
        match node:
            case ast.ImportFrom(module=str(source)) if source.partition(".")[0] == OWN:
                inner = (f"{source}.{alias.name}" for alias in node.names)
                imports[node.lineno] = (source, *(each for each in inner if _path(each) is not None))
            case ast.Import() if any(alias.name.partition(".")[0] == OWN for alias in node.names):
                imports[node.lineno] = tuple(alias.name for alias in node.names)
            case _:
                pass
    return _Module(path, text, imports)


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports but those for the type checker."""
    match node:
        case ast.Import() | ast.ImportFrom():
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            pass
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _imports(child)


def _renamed(module: _Module, name: str) -> str:
    lines = module.text.split("\n")
    for number in module.imports:
        lines[number - 1] = re.sub(rf"\b{OWN}\b", name, lines[number - 1], count=1)
    return "\n".join(lines)
