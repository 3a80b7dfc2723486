"""Who may know whom, held by walking the imports of every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import rnnspec

ROOT = Path(rnnspec.__file__).parent
CHECKOUT = Path(__file__).parents[2]

GROUND = {"version", "frozen", "resources", "source", "diagnostics", "files", "file_kinds", "spec_files", "text_lists", "signals", "locks"}

LOW = GROUND | {"contract"}
"""What every room may know. `contract` is the plain data, and the protocols, between the compiler and the runtime; it knows neither."""

ERRORS, CATALOGUE, SYNTAX, BINDING, CELLS, GRAPH, LOWERING, LAYERS, MODEL = FRONTEND = tuple(
    f"frontend.{room}" for room in ("errors", "catalogue", "syntax", "binding", "cells", "graph", "lowering", "layers", "model")
)
INTEROP_GRAPH, SPEC_TEXT, KERAS_FILES, KERAS_EXPORT, TORCH_FILES, TORCH_EXPORT, TORCH_PROGRAMS, *_ONNX_AND_ENDS = INTEROP = tuple(
    f"interop.{room}"
    for room in (
        *("graph", "spec_text", "keras_files", "keras_export", "torch_files", "torch_export", "torch_programs"),
        *("onnx_files", "onnx_export", "originals", "importing", "exporting"),
    )
)
ONNX_FILES, ONNX_EXPORT, ORIGINALS, IMPORTING, EXPORTING = _ONNX_AND_ENDS
DATA, STORAGE, NATIVE, RUNTIME_MODEL = RUNTIME = tuple(f"runtime.{room}" for room in ("data", "storage", "native", "model"))
PACKAGED = "runtime.packaged"

MAY_KNOW: dict[str, set[str]] = {
    "": {"version", "api", "contract", "deploy", "diagnostics", "training", INTEROP_GRAPH, IMPORTING, EXPORTING},
    "version": set(),
    "resources": set(),
    "frozen": set(),
    "source": {"frozen"},
    "file_kinds": {"frozen"},
    "signals": set(),
    "keras_names": {"frozen"},
    "files": {"signals"},
    "locks": {"signals"},
    "diagnostics": {"frozen", "source", "version"},
    "spec_files": {"source", "files", "file_kinds"},
    "text_lists": set(),
    "svg": set(),
    "contract": {"frozen", "locks", "source", "diagnostics"},
    "ir": LOW,
    "passes": LOW | {"ir"},
    "kernel": LOW | {"ir"},
    "kernel.cpu": LOW | {"ir", "kernel"},
    "backend": LOW | {"ir", "kernel"},
    "backend.llvm_cpu": LOW | {"ir", "kernel", "kernel.cpu", "backend"},
    "frontend": set(),
    ERRORS: LOW,
    CATALOGUE: LOW,
    SYNTAX: LOW | {"frontend", ERRORS},
    BINDING: LOW | {"frontend", ERRORS, CATALOGUE, SYNTAX, "keras_names"},
    CELLS: LOW | {"frontend", ERRORS, CATALOGUE, SYNTAX, BINDING, "keras_names"},
    GRAPH: LOW | {BINDING, CELLS},
    LOWERING: LOW | {CELLS, GRAPH, "ir"},
    LAYERS: LOW | {"frontend", ERRORS, CATALOGUE, SYNTAX, BINDING, CELLS, GRAPH, LOWERING, "ir"},
    MODEL: LOW | {"frontend", *FRONTEND, "ir"},
    "runtime": set(),
    DATA: LOW,
    STORAGE: LOW,
    NATIVE: LOW | {STORAGE},
    RUNTIME_MODEL: LOW | {DATA, STORAGE, NATIVE},
    PACKAGED: LOW | set(RUNTIME),
    "scorer": LOW | {DATA, "datafiles"},
    "training": LOW | {*RUNTIME, BINDING, "keras_names", "interop", "decoding", "scorer", "svg"},
    "callbacks": {"training"},
    "optimizers": {"training"},
    "schedules": {"training"},
    "losses": {"training"},
    "metrics": {"training"},
    "driver": LOW | {"frontend", *FRONTEND, "ir", "passes", "kernel", "backend", "backend.llvm_cpu", STORAGE, NATIVE},
    "compile_cache": LOW | {STORAGE, NATIVE},
    "api": LOW | {"compile_cache", "driver", *RUNTIME, "training"},
    "estimators": LOW | {"api", "callbacks", "data", "driver", DATA, "training"},
    "sklearn": {"estimators"},
    "frameworks": LOW | {"training"},
    "jax": {"frameworks", "training"},
    "keras": LOW | {"api", "frameworks", "jax", "training"},
    "interop": LOW | {DATA, "frontend", SYNTAX},
    INTEROP_GRAPH: LOW | {GRAPH},
    SPEC_TEXT: LOW | {"frontend", CATALOGUE, SYNTAX, BINDING, INTEROP_GRAPH},
    KERAS_FILES: LOW | {"interop", "frontend", CATALOGUE, SYNTAX, BINDING, INTEROP_GRAPH, SPEC_TEXT},
    KERAS_EXPORT: LOW | {CATALOGUE, BINDING, GRAPH, INTEROP_GRAPH, SPEC_TEXT},
    TORCH_PROGRAMS: LOW | {INTEROP_GRAPH, ONNX_FILES, TORCH_FILES},
    TORCH_FILES: LOW | {"interop", INTEROP_GRAPH},
    TORCH_EXPORT: LOW | {"frontend", CELLS, GRAPH, MODEL, SYNTAX, INTEROP_GRAPH, TORCH_FILES},
    ONNX_FILES: LOW | {INTEROP_GRAPH},
    ONNX_EXPORT: LOW | {"frontend", SYNTAX, BINDING, CELLS, GRAPH, LAYERS, MODEL, INTEROP_GRAPH, ONNX_FILES},
    ORIGINALS: LOW | {"training", INTEROP_GRAPH},
    IMPORTING: LOW
    | {
        "api",
        "driver",
        "training",
        *RUNTIME,
        "frontend",
        SYNTAX,
        BINDING,
        GRAPH,
        MODEL,
        "datafiles",
        "interop",
        INTEROP_GRAPH,
        SPEC_TEXT,
        KERAS_FILES,
        TORCH_FILES,
        ONNX_FILES,
        TORCH_PROGRAMS,
        ONNX_EXPORT,
        ORIGINALS,
    },
    EXPORTING: LOW | {"driver", "training", "interop", BINDING, MODEL, INTEROP_GRAPH, KERAS_EXPORT, TORCH_EXPORT, ONNX_EXPORT, ORIGINALS},
    "torch": LOW | {"frameworks", RUNTIME_MODEL, "training"},
    "data": LOW | {DATA},
    "datafiles": LOW | {DATA},
    "decoding": LOW | {DATA},
    "scoring": LOW | {"api", "datafiles", "scorer", "training"},
    "profile": LOW | {"ir", "kernel", "backend", "backend.llvm_cpu", "driver", *RUNTIME, "training"},
    "deploy": LOW | {"api", "ir", "kernel", "backend", "driver", "frontend.binding", *RUNTIME, PACKAGED, "training"},
    "__main__": {"cli"},
    "cli": LOW
    | {"", "api", "driver", *RUNTIME, "training", "interop", IMPORTING, EXPORTING, "datafiles", "profile", "deploy", "scorer", "scoring"},
}
"""What each room may import besides itself; a room is a folder or a module of the package, or a folder in such a folder.

Read from the top: a room stands on the floor above the highest room that it may know.
"""

COMMANDS = tuple(
    f".{name}"
    for name in (
        "build",
        "check",
        "compile",
        "evaluate",
        "export",
        "format",
        "import_",
        "inspect",
        "opt",
        "predict",
        "profile",
        "score",
        "train",
    )
)
HEAVY = {"h5py", "jinja2", "lark", "llvmlite", "mpi4py", "numpy", "rich", "safetensors", "tensorflow", "threadpoolctl", "torch", "typer"}
LATE = {
    "rnnspec",
    "rnnspec.api",
    "rnnspec.keras",
    "rnnspec.runtime.model.learning",
    "rnnspec.runtime.model.predictions",
    "rnnspec.training.constructors",
    "rnnspec.training.metrics",
    "rnnspec.training.batch_calls",
    "rnnspec.training.callbacks",
    "rnnspec.training.model",
    "rnnspec.training.saved_model",
    "rnnspec.training.scored_model",
    *(f"rnnspec.cli{module}" for module in ("", ".app", ".specs", *COMMANDS)),
}
"""Modules that may import the package's own modules inside functions, so that `import rnnspec`, `--version`, `--help` and a command
each load only what they need, and advice is loaded with the first fault, training with the first loss, drawing with the first curve,
JAX with Keras's back end of that name."""

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


@cache
def imports(name: str) -> tuple[Import, ...]:
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

    return tuple(walk(ast.parse(MODULES[name].read_text(encoding="utf-8")), False, False))


def room(name: str) -> str:
    """The key of MAY_KNOW that a module of the package belongs to."""
    inner = name.removeprefix("rnnspec").removeprefix(".")
    folder = ".".join(inner.split(".")[:2])
    return folder if folder in MAY_KNOW else inner.partition(".")[0]


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


def test_rooms_form_floors() -> None:
    """No two rooms may know each other, by whatever way: each stands on those below."""
    floors: dict[str, int] = {}
    while len(floors) < len(MAY_KNOW):
        ready = {room for room, known in MAY_KNOW.items() if room not in floors and known - {room} <= floors.keys()}
        assert ready, f"no floor for {sorted(MAY_KNOW.keys() - floors.keys())}"
        floors |= dict.fromkeys(ready, 1 + max(floors.values(), default=0))
    assert [floors[room] for room in FRONTEND] == sorted(floors[room] for room in FRONTEND)
    assert floors["ir"] < floors["passes"] < floors["driver"] and floors[RUNTIME_MODEL] < floors["training"] < floors["cli"]


def test_one_module_of_the_driver_knows_which_back_ends_there_are() -> None:
    """All others ask the protocol."""
    known = {name for name in MODULES for i in imports(name) if i.module.startswith("rnnspec.backend.llvm_cpu") and room(name) == "driver"}
    assert known == {"rnnspec.driver.backends"}


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


@pytest.mark.parametrize("name", [n for n in MODULES if room(n).partition(".")[0] in {"ir", "passes", "kernel", "backend"}])
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


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_read_in_a_sitting(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 500
