"""How many modules name one thing: an addition is made where its rows are, and nowhere else."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import rnnspec
from rnnspec.backend.llvm_cpu.elementwise import ROWS
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind

ROOT = Path(rnnspec.__file__).parent
KINDS = {each.__name__: each for each in (UnaryKind, BinaryKind, CompareKind)}

IR_ROW, METHOD, CODE_ROW = "ir/elementwise.py", "ir/builder.py", "backend/llvm_cpu/elementwise.py"

LAWS = {"kernel/narrow_tables.py", "passes/logarithms.py", "passes/picks.py", "passes/simplify_logarithms.py"}
"""Laws between several kinds, which are no kind's row, such as that the logarithm of a product is a sum of logarithms, or
that a row of a table is whole numbers times its largest magnitude's 127th."""


def modules_naming_kinds() -> Mapping[str, set[str]]:
    """For each `UnaryKind.TANH`, the modules that write it; the row that defines it is one."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=member) if name in KINDS and member in KINDS[name].__members__:
                    found[f"{name}.{member}"].add(place)
                case ast.ClassDef(name=name) if name in KINDS:
                    for member in KINDS[name].__members__:
                        found[f"{name}.{member}"].add(place)
                case _:
                    pass
    return found


def test_an_elementwise_kind_is_named_by_its_two_rows_and_at_most_a_method_of_the_builder() -> None:
    found = modules_naming_kinds()
    assert found.keys() == {f"{name}.{member}" for name, kinds in KINDS.items() for member in kinds.__members__}
    for kind, modules in found.items():
        assert {IR_ROW, CODE_ROW} <= modules <= {IR_ROW, METHOD, CODE_ROW} | LAWS, f"{kind} is named in {sorted(modules)}"


def test_every_kind_has_a_row_in_code_generation() -> None:
    assert ROWS.keys() == {kind for kinds in KINDS.values() for kind in kinds}
