"""Counts over the package's own text: how many modules know what one place should know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnspec

ROOT = Path(rnnspec.__file__).parent

DESCRIPTIONS = "kernel/target.py"
"""The module that describes machines."""
BUILT_FOR = "kernel/build_targets.py"
"""The one that describes those that libraries are built for; their names are in `contract`, for the command."""

ARCHITECTURES = ("x86_64", "amd64", "i686", "aarch64", "arm64", "riscv", "wasm32")


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """The syntax trees by file."""
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The strings of a module's code with their lines, those in docstrings left out."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def is_triple(node: ast.AST) -> bool:
    """Whether an expression is a target's triple by its name."""
    return (isinstance(node, ast.Name) and node.id == "triple") or (isinstance(node, ast.Attribute) and node.attr == "triple")


def test_no_module_asks_what_a_triple_begins_with(modules: dict[str, ast.Module]) -> None:
    """A triple is passed on as it is: what differs between machines is a field of `Target`."""
    for module, tree in modules.items():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=inner) | ast.Subscript(value=inner):
                    assert not is_triple(inner), f"{module}:{node.lineno} takes a triple apart"
                case ast.Compare(left=left, comparators=others):
                    assert not any(map(is_triple, (left, *others))), f"{module}:{node.lineno} compares a triple"
                case _:
                    pass


def test_only_the_description_of_a_machine_names_its_architecture(modules: dict[str, ast.Module]) -> None:
    found = {module for module, tree in modules.items() for _, text in literals(tree) if any(name in text for name in ARCHITECTURES)}
    assert found == {DESCRIPTIONS, BUILT_FOR, "contract/target_names.py"}


def test_only_the_description_of_a_machine_names_its_instructions(modules: dict[str, ast.Module]) -> None:
    """LLVM's functions of one processor's own; all others are the same for every machine."""
    found = {
        module
        for module, tree in modules.items()
        for _, text in literals(tree)
        if any(f"llvm.{own}." in text for own in ("x86", "aarch64"))
    }
    assert found == {DESCRIPTIONS}
