"""Fixed text from `templates/`: it holds text and names, and takes the places of fields from their one declaration."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2
import pytest

from rnnspec.backend.llvm_cpu import parallel_rows, python_call
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.parallel_rows import thread_runtime
from rnnspec.backend.llvm_cpu.python_call import SYMBOL, emit_python_call, imported_functions
from rnnspec.backend.llvm_cpu.structures import struct_type
from rnnspec.backend.templates import FILE, key, render, rendered_by_jinja
from rnnspec.contract.native_structs import CallRecord, HeldRecord, InputRecord, SharedNumbers, word_places
from rnnspec.kernel.target import AVX2, NEON, TARGETS, Intrinsic, Target
from tests.unit.backend.loops import function_of, functions_of

FOLDER = Path(__file__).parents[3] / "templates"
TEMPLATES = sorted(FOLDER.glob("*.j2"))


def test_the_kept_texts_are_those_of_the_templates(regenerate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every described machine, and no others."""
    asked: dict[str, str] = {}

    def rendered(name: str, values: Mapping[str, object]) -> str:
        asked[key(name, values)] = text = rendered_by_jinja(name, values)
        return text

    monkeypatch.setattr(parallel_rows, "render", rendered)
    monkeypatch.setattr(python_call, "render", rendered)
    for target in TARGETS.values():
        parallel_rows.thread_runtime.__wrapped__(target.pause)
        emit_python_call(target)
    if regenerate:
        kept = {name: text.split("\n") for name, text in sorted(asked.items())}
        (FOLDER / FILE).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    kept = {name: "\n".join(lines) for name, lines in json.loads((FOLDER / FILE).read_text(encoding="utf-8")).items()}
    assert kept == asked, "a template was changed: pytest --regenerate tests/unit/backend/test_templates.py"


def test_other_values_are_rendered_anew() -> None:
    other = thread_runtime(Intrinsic("llvm.another.hint", ()))
    assert other.startswith("declare void @llvm.another.hint()\n")
    assert other.replace("llvm.another.hint", AVX2.pause.name) == thread_runtime(AVX2.pause)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_carry_text_and_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"\{\{(.*?)\}\}", text)
    for expression in re.findall(r"\{\{(.*?)\}\}", text):
        assert re.fullmatch(r" [a-z_]+(\.[a-z_]+)? ", expression), f"{path.name}: {expression}"
    assert "{%" not in text


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="pause_declaration"):
        render("thread_runtime.ll.j2", {})


def test_a_template_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError, match="not installed completely: templates/absent"):
        render("absent.ll.j2", {})


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_its_own_instruction_for_waiting(target: Target) -> None:
    text = thread_runtime(target.pause)
    module = f'target triple = "{target.triple}"\n{text}attributes #0 = {{ nounwind }}\n'
    called = [each.called for code in functions_of(module).values() for each in code.instructions]
    assert called.count(target.pause.name) == 1
    other = NEON if target is not NEON else AVX2
    assert other.pause.name not in text
    Machine(target).optimise(module)


def test_an_instruction_takes_its_numbers() -> None:
    text = thread_runtime(Intrinsic("llvm.some.hint", (("i32", 1), ("i64", 7))))
    assert text.startswith("declare void @llvm.some.hint(i32, i64)\n")
    assert "\n  call void @llvm.some.hint(i32 1, i64 7)\n" in text


def test_places_are_ctypes_own() -> None:
    assert word_places(SharedNumbers) == {
        "arrived": 0,
        "joined": 1,
        "wanted": 2,
        "spin_limit": 3,
        "give_way": 4,
        "barrier_budget": 5,
        "timed_out": 6,
        "unused": 7,
        "waiting": 8,
        "rest": 9,
    }
    assert ctypes.sizeof(SharedNumbers) == 16 * 8


def test_the_record_s_fields_are_where_the_declaration_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Turned(ctypes.Structure):
        _fields_ = CallRecord._fields_[::-1]

    def fields() -> list[int]:
        """The numbers of the fields that are asked for, in the order of the text."""
        code = function_of(emit_python_call(AVX2), SYMBOL)
        (record,) = code.calls("PyLong_AsVoidPtr")
        places = [each.operands for each in code.uses(record.name) if each.opcode == "getelementptr"]
        return [number for _, _, number, *_ in places if isinstance(number, int)]

    usual = fields()
    monkeypatch.setattr(python_call, "CallRecord", Turned)
    assert len(usual) == len(set(usual)) == 10
    last = len(CallRecord._fields_) - 1
    assert [number + turned for number, turned in zip(usual, fields(), strict=True)] == [last] * 10


def test_the_type_of_a_structure() -> None:
    assert struct_type(HeldRecord) == "{ i64, i64, ptr, ptr, ptr, ptr }"
    assert struct_type(InputRecord) == "{ ptr, i64, i64, i64, [3 x i64], i64, ptr, ptr, i64, [3 x i64], [3 x i64], ptr, ptr }"


def test_all_of_the_python_s_functions_are_known_by_what_is_declared() -> None:
    text = emit_python_call(AVX2)
    imported = imported_functions(text)
    assert set(imported) == set(re.findall(r"@(Py\w+)", text.replace("declare", "")))
    assert all(len(re.findall(rf"@{name}\b", text)) > 1 for name in imported), "each is called"
    assert all(hasattr(ctypes.pythonapi, name) for name in imported)
