"""Fixed text from `templates/`: it holds text and names, and takes the places of fields from their one declaration."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import jinja2
import pytest

from rnnspec.backend.llvm_cpu import python_call
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.parallel_rows import thread_runtime
from rnnspec.backend.llvm_cpu.python_call import emit_python_call, imported_functions, struct_type
from rnnspec.backend.templates import render
from rnnspec.contract.native_structs import CallRecord, SharedNumbers, field_numbers, word_places
from rnnspec.kernel.target import AVX2, NEON, TARGETS, Intrinsic, Target

TEMPLATES = sorted((Path(__file__).parents[3] / "templates").iterdir())


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
    assert text.count(f"@{target.pause.name}(") == 2, "declared, and called once"
    other = NEON if target is not NEON else AVX2
    assert other.pause.name not in text
    Machine(target).optimise(f'target triple = "{target.triple}"\n{text}attributes #0 = {{ nounwind }}\n')


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
    assert field_numbers(CallRecord)["array_type"] == 0, "the text takes the record's own address for this one"


def test_the_record_s_fields_are_where_the_declaration_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Turned(ctypes.Structure):
        _fields_ = [CallRecord._fields_[0], *CallRecord._fields_[:0:-1]]

    usual = emit_python_call(AVX2)
    monkeypatch.setattr(python_call, "CallRecord", Turned)
    turned = emit_python_call(AVX2)
    field = re.compile(r"%([\w.]+) = getelementptr %record, ptr %r, i64 0, i32 (\d+)")
    numbers, now = dict(field.findall(usual)), dict(field.findall(turned))
    assert numbers.keys() == now.keys() and len(numbers) == 15
    assert all(int(number) + int(now[name]) == 16 for name, number in numbers.items())
    Machine(AVX2).optimise(turned)


def test_the_type_of_a_structure() -> None:
    assert struct_type(CallRecord) == "{ ptr, ptr, ptr, i64, ptr, [2 x ptr], ptr, ptr, i64, i64, i64, i64, ptr, ptr, i64, i64 }"


def test_all_of_the_python_s_functions_are_known_by_what_is_declared() -> None:
    text = emit_python_call(AVX2)
    imported = imported_functions(text)
    assert set(imported) == set(re.findall(r"call [\w]+ @(Py\w+)\(", text))
    assert all(hasattr(ctypes.pythonapi, name) for name in imported)
