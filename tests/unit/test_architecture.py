"""Who may know whom, held by walking the imports of every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rnnspec

ROOT = Path(rnnspec.__file__).parent
CHECKOUT = Path(__file__).parents[2]

GROUND = {"version", "resources", "source", "diagnostics", "files", "file_kinds", "signals", "locks"}
CONTRACT = {
    "runtime.signature",
    "runtime.lengths",
    "runtime.metric_names",
    "runtime.packing",
    "runtime.executable",
    "runtime.summary",
    "runtime.threads",
}
"""Plain data and protocols between the compiler and the runtime; they know neither."""

MAY_KNOW: dict[str, set[str]] = {
    "": {"version", "kept", "diagnostics", "training"},
    "version": set(),
    "resources": set(),
    "source": set(),
    "files": {"signals"},
    "file_kinds": set(),
    "diagnostics": {"source", "version"},
    "keras_names": set(),
    "signals": set(),
    "locks": {"signals"},
    "runtime.lengths": set(),
    "runtime.metric_names": set(),
    "runtime.signature": {"runtime.lengths"},
    "runtime.packing": {"locks", "runtime.lengths"},
    "runtime.summary": {"runtime.signature"},
    "runtime.threads": set(),
    "runtime.executable": {"runtime.packing", "runtime.signature", "runtime.threads"},
    "ir": GROUND | CONTRACT,
    "frontend": GROUND | CONTRACT | {"ir", "keras_names"},
    "passes": GROUND | {"ir"},
    "kernel": GROUND | {"ir"},
    "codegen": GROUND | {"ir", "kernel"},
    "runtime": GROUND | CONTRACT,
    "training": GROUND | CONTRACT | {"runtime", "keras_names"},
    "stages": GROUND | CONTRACT | {"ir", "passes", "kernel", "codegen", "runtime"},
    "compiler": GROUND | CONTRACT | {"ir", "frontend", "passes", "kernel", "codegen", "stages", "runtime", "training"},
    "kept": GROUND | CONTRACT | {"compiler", "runtime", "training"},
    "interop": GROUND | CONTRACT | {"compiler", "runtime", "training", "frontend"},
    "profile": GROUND | CONTRACT | {"ir", "kernel", "codegen", "stages", "compiler", "runtime", "training"},
    "__main__": {"cli"},
    "cli": GROUND | CONTRACT | {"", "compiler", "kept", "runtime", "training", "interop", "profile"},
}
"""What each room may import besides itself; a room is a folder or module of the package, or one module of a folder by name."""

COMMANDS = (".check", ".compile", ".evaluate", ".format", ".inspect", ".predict", ".profile", ".train")
HEAVY = {"jinja2", "lark", "llvmlite", "rich", "safetensors", "threadpoolctl", "typer"}
LATE = {
    "rnnspec",
    "rnnspec.kept",
    "rnnspec.training.constructors",
    "rnnspec.training.metrics",
    *(f"rnnspec.cli{module}" for module in ("", *COMMANDS)),
}
"""Modules that may import the package's own modules inside functions, so that `import rnnspec`, `--version`, `--help` and a command
each load only what they need, and advice is loaded with the first fault."""

CELL_NAMES = re.compile(r"lstm|gru(?![a-z])|simple_?rnn", re.IGNORECASE)


@dataclass(frozen=True)
class Import:
    """One imported module; `late` if it's inside a function, `typing` if it's for the type checker only."""

    module: str
    line: int
    late: bool
    typing: bool


def module_name(path: Path) -> str:
    parts = ["rnnspec", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for path in sorted(ROOT.rglob("*.py")) if not {"grammar", "templates"} & set(path.relative_to(ROOT).parts)
}


def imports(name: str) -> Iterator[Import]:
    def walk(node: ast.AST, late: bool, typing: bool) -> Iterator[Import]:
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, node.lineno, late, typing)
            case ast.ImportFrom():
                assert node.level == 0, f"{name}:{node.lineno}: relative import"
                assert node.module is not None
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield Import(full if full in MODULES else node.module, node.lineno, late, typing)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, True, typing)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, late, True)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, late, typing)

    yield from walk(ast.parse(MODULES[name].read_text(encoding="utf-8")), False, False)


def room(name: str) -> str:
    """The key of MAY_KNOW that a module of the package belongs to."""
    inner = name.removeprefix("rnnspec").removeprefix(".")
    return inner if inner in MAY_KNOW else inner.partition(".")[0]


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_only_what_their_room_may_know(name: str) -> None:
    own = room(name)
    assert own in MAY_KNOW, f"{name} is in no room: give `{own}` its place in MAY_KNOW"
    for imported in imports(name):
        if imported.module.partition(".")[0] != "rnnspec":
            continue
        assert imported.module in MODULES, f"{name}:{imported.line} imports {imported.module}, which doesn't exist"
        other = room(imported.module)
        assert other == own or other in MAY_KNOW[own], f"{name}:{imported.line}: `{own}` may not know `{other}` ({imported.module})"


@pytest.mark.parametrize("name", MODULES)
def test_late_imports_hide_no_cycle(name: str) -> None:
    for imported in imports(name):
        if not imported.late:
            continue
        top = imported.module.partition(".")[0]
        if top == "rnnspec":
            assert name in LATE, f"{name}:{imported.line} imports {imported.module} inside a function"
        else:
            assert top in HEAVY | set(sys.stdlib_module_names), f"{name}:{imported.line} imports {top} inside a function"


def test_modules_form_no_cycle() -> None:
    graph = {name: {i.module for i in imports(name) if not i.late and not i.typing and i.module in MODULES} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "import cycle: " + " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())
    assert done == set(MODULES)


def test_import_rnnspec_loads_no_heavy_library() -> None:
    code = f"import sys, rnnspec; print(sorted({HEAVY!r} & {{m.partition('.')[0] for m in sys.modules}}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [n for n in MODULES if room(n) in {"ir", "passes", "kernel", "codegen"}])
def test_no_compiler_stage_names_a_cell(name: str) -> None:
    """Names and strings of the code; what a docstring says by way of example is no matter."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text) | ast.keyword(arg=str(text)):
                pass
            case ast.ClassDef(name=text) | ast.FunctionDef(name=text) | ast.alias(name=text):
                pass
            case ast.Constant(value=str(text)) if id(node) not in prose:
                pass
            case _:
                continue
        assert not CELL_NAMES.search(text), f"{name}:{node.lineno} knows a cell by name: {text!r}"


@pytest.mark.parametrize("folder", ["grammar", "templates"])
def test_text_folders_hold_no_code(folder: str) -> None:
    """Their files are package data under another path: a module there couldn't be imported in every kind of install."""
    assert (CHECKOUT / folder).is_dir()
    assert not list((CHECKOUT / folder).rglob("*.py"))
