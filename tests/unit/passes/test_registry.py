"""Passes by name and their options as text; what `rnnspec opt` makes of a module's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

import rnnspec.passes
from rnnspec.diagnostics import InternalError
from rnnspec.driver.pipelines import PIPELINES
from rnnspec.driver.tensor_ir import ir_of_bytes, list_passes, read_ir, run_passes
from rnnspec.ir.ops import Module
from rnnspec.ir.parser import parse_module
from rnnspec.passes.accumulate import Accumulate
from rnnspec.passes.canonicalize import Canonicalize
from rnnspec.passes.differentiate import Differentiate
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode
from rnnspec.passes.fold_tables import FoldTables
from rnnspec.passes.pipeline import Pipeline
from rnnspec.passes.registry import PASSES, options_of, parse_passes

GOLDEN = Path(__file__).parents[2] / "golden" / "passes"
CASES = sorted(GOLDEN.glob("*/*.before.ir"))


def test_every_pass_of_a_pipeline_is_registered() -> None:
    used = {step.name: type(step) for pipeline in PIPELINES.values() for step in pipeline.passes}
    assert used == {name: PASSES[name] for name in used}
    modules = {path.stem.replace("_", "-") for path in Path(rnnspec.passes.__file__).parent.glob("*.py")}
    assert set(PASSES) <= modules
    assert list(PASSES) == sorted(PASSES)


@pytest.mark.parametrize("name", PASSES)
def test_a_name_alone_is_the_pass_with_its_defaults(name: str) -> None:
    assert parse_passes(name) == (PASSES[name](),)


@pytest.mark.parametrize("name", PASSES)
def test_every_option_reads_its_default(name: str) -> None:
    options = options_of(PASSES[name])
    written = "".join(f":{option.name}={option.default_text}" for option in options.values())
    assert parse_passes(name + written) == (PASSES[name](),)


def test_options_are_the_fields() -> None:
    assert parse_passes("accumulate:only=backward, eliminate-dead-code:keep_carried=true,fold-tables:budget=12") == (
        Accumulate("backward"),
        EliminateDeadCode(keep_carried=True),
        FoldTables(12),
    )
    assert parse_passes("differentiate:input_gradients=false") == (Differentiate(input_gradients=False),)
    assert parse_passes("accumulate:only=none") == (Accumulate(None),)
    assert parse_passes("differentiate:frozen=lstm/kernel lstm/bias") == (Differentiate(frozen="lstm/kernel lstm/bias"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("canonicalise", "there is no pass named `canonicalise`; did you mean `canonicalize`? there are accumulate, "),
        ("", "there is no pass named ``; there are "),
        ("canonicalize,", "there is no pass named ``; there are "),
        ("accumulate:onyl=x", "there is no option of pass accumulate named `onyl`; did you mean `only`? there is `only`"),
        ("canonicalize:deep=true", "there is no option of pass canonicalize named `deep`; there is none"),
        ("accumulate:only", "pass accumulate: `only` is not of the form OPTION=VALUE"),
        ("accumulate:only=a:only=b", "pass accumulate: the option `only` is given twice"),
        ("accumulate:only=@a", "pass accumulate: `only` must be a name, or none, not `@a`"),
        ("differentiate:input_gradients=1", "pass differentiate: `input_gradients` must be true or false, not `1`"),
        ("fold-tables:budget=many", "pass fold-tables: `budget` must be a whole number, not `many`"),
        ("fold-tables:budget=" + "9" * 5000, "must be a whole number, not `99"),
    ],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_passes(text)


def test_a_field_that_no_text_is_read_as() -> None:
    @dataclass(frozen=True)
    class Odd:
        name: ClassVar[str] = "odd"
        ratio: float = 0.5

        def run(self, module: Module) -> Module:
            return module

    with pytest.raises(InternalError, match="the option ratio of odd"):
        options_of(Odd)


def test_the_list_names_all() -> None:
    lines = list_passes().splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(PASSES)
    assert "  :keep_carried=false  (true or false)" in lines


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}/{path.stem}" for path in CASES])
def test_text_to_text_is_the_golden(path: Path) -> None:
    source = read_ir(path)
    assert run_passes(source) == source.text
    after = path.with_name(path.name.replace(".before.", ".after."))
    assert run_passes(source, [path.parent.name.replace("_", "-")]) == after.read_text(encoding="utf-8")


def test_passes_run_in_their_order() -> None:
    source = read_ir(GOLDEN / "differentiate" / "gru.before.ir")
    after = run_passes(source, ["differentiate,canonicalize", "eliminate-dead-code"])
    assert after == run_passes(source, ["differentiate", "canonicalize", "eliminate-dead-code"])
    once = run_passes(source, ["differentiate"])
    assert after == run_passes(ir_of_bytes("once", once.encode()), ["canonicalize,eliminate-dead-code"])
    assert after != once


@pytest.mark.parametrize("name", [name for name in PASSES if name != "differentiate"])
def test_a_module_without_functions(name: str) -> None:
    assert run_passes(ir_of_bytes("empty", b"module M"), [name]) == "module M\n"


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("case", ["gru", "lstm"])
def test_a_module_with_a_backward_function(name: str, case: str) -> None:
    """What is verified before a pass is verified after it, or refused."""
    source = read_ir(GOLDEN / "differentiate" / f"{case}.after.ir")
    if name == "differentiate":
        with pytest.raises(ValueError, match="already has @backward"):
            run_passes(source, [name])
    else:
        assert "func @backward" in run_passes(source, [name])


ROWS = "module M\n\nfunc @forward(input %x: f32[batch, 2], weight %w: f32[2, 2]) {\n"


@pytest.mark.parametrize(
    ("text", "passes", "message"),
    [
        ("", (), "line 1, column 1: not tensor IR"),
        ("module M\n\nfunc @f() {\n  ?", (), "line 4, column 3: not tensor IR\n  ?\n  ^"),
        (ROWS + '  %y = sine %x : f32[batch, 2]\n  return output "y" %y\n}', (), "line 4, column 8: no operation is called sine"),
        (
            ROWS + '  %y = tanh %x : f32[batch, 3]\n  return output "y" %y\n}',
            (),
            "breaks a rule of the tensor IR: in @forward: result types are f32[batch, 3], must be f32[batch, 2]\n%y = tanh %x",
        ),
        ("module M", ("differentiate",), "differentiate: module M has no @forward"),
        (ROWS + '  return output "w" %w\n}', ("differentiate",), "the output w is f32[2, 2], not rows or sequences of a batch"),
        ("model M { input x: float[3] Dense(1) }", (), "it is a spec, not tensor IR; `rnnspec inspect text.ir --after lower`"),
        ("module M", ("canonicalise",), "did you mean `canonicalize`?"),
    ],
)
def test_faults_of_a_text(text: str, passes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        run_passes(ir_of_bytes("text.ir", text.encode()), passes)


def test_regions_in_regions_in_regions() -> None:
    index = "module M\n\nfunc @f(mask %m: i1[batch, time]) {\n  %i = index %m : index[batch, time, tokens]\n"
    deep = "%y = scan %i {reverse = false} carry() over() {\n" * 3000
    ends = "yield carry() stack() sum() } : f32[1]\n" * 3000
    with pytest.raises(ValueError, match="regions are nested too deeply"):
        run_passes(ir_of_bytes("deep.ir", f"{index}{deep}{ends}  return \n}}".encode()))


def test_a_file_that_is_no_text() -> None:
    with pytest.raises(ValueError, match="x: it isn't UTF-8 text: byte 7 is 0xFF"):
        ir_of_bytes("x", b"module \xff")
    with pytest.raises(ValueError, match=r"x\.npz: it is a data file of numpy, not tensor IR"):
        ir_of_bytes("x.npz", b"")


def test_a_pass_that_breaks_a_rule_is_a_bug() -> None:
    class Breaking:
        name: ClassVar[str] = "breaking"

        def run(self, module: Module) -> Module:
            return Module(module.name, (*module.functions, *module.functions))

    with pytest.raises(InternalError, match=r"after breaking: module .* has two functions of one name"):
        Pipeline((Breaking(),)).run(parse_module((GOLDEN / "differentiate" / "dense.before.ir").read_text(encoding="utf-8")))


def test_only_the_functions_that_a_pass_has_changed_are_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """To verify a function takes longer than most passes, of which most leave most functions as they are."""

    @dataclass(frozen=True)
    class Shortening:
        name: ClassVar[str] = "shortening"

        def run(self, module: Module) -> Module:
            forward, backward = module.functions
            return replace(module, functions=(forward, replace(backward, results=backward.results[:-1])))

    verified: list[str] = []
    monkeypatch.setattr("rnnspec.ir.verify.verify_function", lambda function: verified.append(function.name))
    module = parse_module((GOLDEN / "differentiate" / "dense.after.ir").read_text(encoding="utf-8"))
    Pipeline((Canonicalize(), Canonicalize(), Shortening())).run(Canonicalize().run(module))
    assert verified == ["forward", "backward", "backward"]
