"""Private names that tests take from the package: each with its reason, in one table. What isn't in it goes through the public surface."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]

REACHED: dict[tuple[str, str], str] = {
    ("e2e/test_function_advice.py", "_SAME"): "every proposal of the table is computed; users see one at a time, in a message",
    ("e2e/test_late_updates.py", "_parameters"): "whether updates are owed: whatever is public pays them first",
    ("e2e/test_steady.py", "_known"): "the bytes that a call's scratch has taken, against what was planned",
    ("e2e/test_steady.py", "_prepared"): "the bytes of prepared weights, against what was planned",
    ("e2e/test_streams.py", "_alone"): "the middle of a step, where only a signal's handler could be",
    ("e2e/test_threads.py", "_Team"): "a process without worker threads, which other tests have started",
    ("e2e/test_threads.py", "_team"): "a process without worker threads, which other tests have started",
    ("e2e/test_extreme_losses.py", "_executable"): "the numbers of single rows: `evaluate` reports their means",
    ("e2e/test_lists_in_equations.py", "_executable"): "the numbers of single rows: `evaluate` reports their means",
    ("property/test_drawn_losses.py", "_executable"): "the module of an objective, for the interpreter",
    ("property/test_invariance_of_losses.py", "_executable"): "the bits of single rows: `evaluate` reports their means",
    ("row_equations.py", "_executable"): "the numbers of single rows and their gradients: `evaluate` reports the rows' means",
    ("unit/frontend/test_functions.py", "_declared"): "a process that hasn't parsed the library yet",
    ("unit/passes/test_residuals.py", "_Network"): "how many rounds a cut takes, of which each is linear",
    ("unit/passes/test_residuals.py", "_levels"): "how many rounds a cut takes, of which each is linear",
    ("unit/runtime/test_artifact.py", "_MANIFEST_LIMIT"): "a manifest above the real limit would be megabytes",
    ("unit/runtime/test_cache.py", "_looked_at"): "a process that hasn't looked at a folder yet",
    ("unit/runtime/test_cache.py", "_refused"): "a process that hasn't warned of a folder yet",
    ("unit/test_locks.py", "_owners"): "owners that are gone leave nothing that would be seen before memory is full",
    ("unit/test_nearest.py", "_slips"): "that long names are never compared: comparing them would take minutes",
    ("unit/test_signals.py", "_section"): "whether signals are deferred, asked where asking by a signal would end the test",
    ("unit/test_signals.py", "_set_handler"): "how often handlers are replaced: all else about them stays the same",
}

OF_PYTHON = {"_exit", "_fields_", "_is_gil_enabled", "_fn", "_repr_html_", "_repr_svg_"}
"""Names of Python's, Keras's and Jupyter's own that begin so."""


def reached(tree: ast.AST) -> Iterator[str]:
    """Private names that a file asks other objects for, as attributes, by `vars`, by `setattr` or by an import."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name("self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                yield name
            case ast.Subscript(value=ast.Call(func=ast.Name("vars")), slice=ast.Constant(str(name))):
                yield name
            case ast.Call(func=ast.Name("getattr" | "setattr") | ast.Attribute(attr="setattr"), args=[*_, ast.Constant(str(name)), _]):
                yield name.rpartition(".")[2]
            case ast.ImportFrom(names=aliases):
                yield from (alias.name for alias in aliases)
            case _:
                pass


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_PYTHON


def test_private_names_are_reached_only_with_a_reason() -> None:
    found = {
        (path.relative_to(TESTS).as_posix(), name)
        for path in TESTS.rglob("*.py")
        for name in reached(ast.parse(path.read_text(encoding="utf-8")))
        if is_private(name)
    }
    assert found == REACHED.keys()


def test_each_way_to_a_private_name_is_seen() -> None:
    text = (
        "from a import _one\nb._two\nvars(c)['_three']\npatch.setattr(d, '_four', 4)\npatch.setattr('e._five', 5)\ngetattr(f, '_six', 6)\n"
    )
    text += "self._own\nos._exit(0)\ng.__dict__\nh.public\n"
    assert {name for name in reached(ast.parse(text)) if is_private(name)} == {"_one", "_two", "_three", "_four", "_five", "_six"}
