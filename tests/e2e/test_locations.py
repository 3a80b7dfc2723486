"""Every operation and every loop nest knows the lines of the spec that it comes from, whatever passes make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.contract.location import Line, Location
from rnnspec.diagnostics import InternalError
from rnnspec.driver import commands
from rnnspec.driver.compilation import Compilation, build
from rnnspec.driver.pipelines import LOWER, PIPELINES
from rnnspec.frontend.lowering.context import Tools
from rnnspec.ir.ops import Constant, Function, Matmul, Operation, Scan
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.traverse import location_of
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.target import AVX2
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.rnn"))
VARIANTS = (Variant("forward", False), Variant("record", True), Variant("backward", True))

SPEC = """\
cell Twice(units) {
    weight kernel[features, units] = glorot_uniform
    weight recurrent[units, units] = orthogonal
    state h[units]

    a = x @ kernel
    b = h @ recurrent
    h' = tanh(a + b)
    return h' * 2
}

model Lines {
    input words: int[time]

    Embedding(7, 4, mask_zero = true)
    Twice(5, return_sequences = true)
    LSTM(6)
    LayerNormalization()
    Dense(
        3,
        activation = softmax
    )
}
"""
LAYERS = {15, 16, 17, 18, 19}
INPUT = 13
CELL = {6, 7, 8, 9}


def compilation(text: str) -> Compilation:
    return build(SourceFile("lines.rnn", text), {}, "float32", AVX2).compilation


def operations(function: Function) -> Iterator[Operation]:
    for operation in function.operations:
        yield operation
        if isinstance(operation, Scan):
            yield from operation.region.operations


def of_path(location: Location, path: str) -> set[int]:
    return {line.number for line in location if line.path == path}


@pytest.mark.parametrize("stage", PIPELINES)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_operation_of_an_example_has_a_place(path: Path, stage: str) -> None:
    made = build(SourceFile(path.name, path.read_text(encoding="utf-8")), {}, "float32", AVX2).compilation
    if stage == "tensor.stream" and made.signature.stream.refusal:
        return
    module = made.module(stage, stage == "tensor.backward")
    for function in module.functions:
        for operation in operations(function):
            assert location_of(operation), print_module(module, locations=True)


@pytest.mark.parametrize("after", [LOWER, *PIPELINES["tensor.backward"].stages])
def test_places_are_those_of_the_layers_after_each_pass(after: str) -> None:
    module = compilation(SPEC).module("tensor.backward", True, after)
    for function in module.functions:
        for operation in operations(function):
            location = location_of(operation)
            lines = of_path(location, "lines.rnn")
            assert lines and lines <= {INPUT} | LAYERS | CELL, (operation, location)
            assert len(lines & LAYERS) <= 2 or isinstance(operation, Constant), (operation, location)
            if lines & CELL:
                assert 16 in lines, (operation, location)
    assert parse_module(print_module(module)) == module
    text = print_module(module, locations=True)
    assert print_module(parse_module(text), locations=True) == text


def test_an_equation_and_its_derivative_come_from_the_equation_and_the_layer() -> None:
    module = compilation(SPEC).module("tensor.backward", True)
    expected = {Line("lines.rnn", 7), Line("lines.rnn", 16)}
    for name in ("forward", "backward"):
        products = [each for each in operations(module.function(name)) if isinstance(each, Matmul) and expected <= {*location_of(each)}]
        assert products, print_module(module, locations=True)
    (gradient,) = (each for each in module.function("backward").results if each.name == "twice/recurrent")
    assert expected <= {*gradient.value.location} <= {*expected, Line("lines.rnn", 8)}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_loop_nest_has_a_place(variant: Variant) -> None:
    kernels = compilation(SPEC).kernels(variant)
    for function in (kernels.prepare, kernels.function):
        for nest in nests_of(function):
            assert of_path(nest.node.location, "lines.rnn"), nest
    text = print_kernels(kernels.module, locations=True)
    assert " loc(lines.rnn:" in text
    assert "loc(" not in print_kernels(kernels.module)


def test_what_is_computed_does_not_depend_on_where_it_is_written() -> None:
    one, other = compilation(SPEC), compilation("# moved\n\n" + SPEC.replace("LSTM(6)", "\n    LSTM(\n        6)"))
    for variant in VARIANTS:
        first, second = one.kernels(variant), other.kernels(variant)
        assert first == second
        assert [nest.node.location for nest in nests_of(first.function)] != [nest.node.location for nest in nests_of(second.function)]
        assert emit_module(first.module, AVX2) == emit_module(second.module, AVX2)
        assert one.native(variant).object_key == other.native(variant).object_key


def test_an_internal_error_names_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise InternalError("nothing works")

    monkeypatch.setattr(Tools, "run", broken)
    with pytest.raises(InternalError, match=r"^nothing works, in what comes from lines\.rnn:19\n"):
        compilation(SPEC).module("tensor", False)


def test_the_command_shows_places(tmp_path: Path) -> None:
    path = tmp_path / "lines.rnn"
    path.write_text(SPEC, encoding="utf-8")
    assert f'loc("{path}":17' in commands.inspect(path, "tensor", locations=True)
    assert f"loc({path}:17" in commands.inspect(path, "kernel", locations=True)
    assert "loc(" not in commands.inspect(path, "tensor")
    with pytest.raises(ValueError, match="stage `llvm` has no locations; tensor, "):
        commands.inspect(path, "llvm", locations=True)
