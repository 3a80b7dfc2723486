"""Golden text of the pass, the gradients of the models in it, and what `@backward` takes and gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnspec.contract.dimensions import BATCH, Name
from rnnspec.diagnostics import InternalError
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Module, Result, Role, Scan, Unpack
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.traverse import function_use_counts, results_of
from rnnspec.ir.types import DType, TensorType
from tests.unit.passes.gradient_check import MASK, check_gradients, differentiate

GOLDEN = Path(__file__).parents[2] / "golden" / "passes" / "differentiate"
CASES = sorted(path.name.removesuffix(".before.ir") for path in GOLDEN.glob("*.before.ir"))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    before = (GOLDEN / f"{case}.before.ir").read_text()
    module = parse_module(before)
    assert print_module(module) == before
    assert print_module(differentiate(module)) == (GOLDEN / f"{case}.after.ir").read_text()


@pytest.mark.parametrize("case", CASES)
def test_golden_gradients(case: str) -> None:
    check_gradients(parse_module((GOLDEN / f"{case}.before.ir").read_text()))


def test_masked_steps_have_zero_gradient_whatever_they_hold() -> None:
    module = parse_module((GOLDEN / "simple_rnn.before.ir").read_text())
    gradient = check_gradients(module)["x"]
    assert np.all(gradient[~MASK] == 0.0)
    assert np.all(gradient[MASK] != 0.0)


ROW = TensorType(DType.F64, (BATCH, 3))


def test_backward_has_only_what_it_uses() -> None:
    module = differentiate(parse_module((GOLDEN / "embedding_lstm.before.ir").read_text()))
    forward, backward = module.functions
    read = function_use_counts(backward)
    assert all(read[parameter.value] for parameter in backward.parameters)
    assert all(read[result] for operation in backward.operations for result in results_of(operation)[-1:])
    residuals = [result.name for result in forward.results if result.role is Role.RESIDUAL]
    assert residuals == [parameter.value.name for parameter in backward.parameters if parameter.role is Role.RESIDUAL]


def test_no_work_for_inputs_without_input_gradients() -> None:
    module = parse_module((GOLDEN / "lstm.before.ir").read_text())
    backward = differentiate(module, input_gradients=False).function("backward")
    assert [result.name for result in backward.results] == ["lstm/kernel", "lstm/recurrent_kernel", "lstm/bias"]
    (scan,) = (operation for operation in backward.operations if isinstance(operation, Scan))
    assert scan.stacks == ()
    assert not any(isinstance(operation, Unpack) for operation in backward.operations)


def test_what_influences_no_output_has_zero_gradient() -> None:
    builder = Builder()
    sequence = builder.parameter(Role.INPUT, "sequence", TensorType(DType.F64, (BATCH, Name("time"), 2)))
    row = builder.parameter(Role.INPUT, "row", ROW)
    builder.parameter(Role.WEIGHT, "unused", TensorType(DType.F64, (2, 2)))
    builder.index(builder.mask(sequence, 0.0))
    results = [Result(Role.OUTPUT, "out", builder.exp(row)), Result(Role.OUTPUT, "constant", builder.constant_like(1.0, row))]
    gradients = check_gradients(Module("M", (builder.function("forward", results),)))
    assert gradients["sequence"].shape == (*MASK.shape, 2)
    assert np.all(gradients["sequence"] == 0.0)
    assert np.all(gradients["unused"] == 0.0)


def test_outputs_that_are_named_like_values_of_the_forward_pass() -> None:
    builder = Builder()
    row = builder.parameter(Role.INPUT, "x", ROW)
    weight = builder.parameter(Role.WEIGHT, "weight", TensorType(DType.F64, (3, 3)))
    hidden = builder.tanh(builder.matmul(row, weight), "d_x")
    shown = builder.exp(builder.matmul(hidden, weight), "hidden")
    results = [Result(Role.OUTPUT, name, value) for name, value in {"x": shown, "hidden": hidden, "d_x": row, "0": shown}.items()]
    module = Module("M", (builder.function("forward", results),))
    check_gradients(module)
    backward = differentiate(module).function("backward")
    cotangents = [parameter.value for parameter in backward.parameters if parameter.role is Role.COTANGENT]
    assert [(value.name, value.type) for value in cotangents] == [(name, ROW) for name in ("x", "hidden", "d_x", "0")]


def test_one_padded_sequence_under_two_names() -> None:
    module = parse_module((GOLDEN / "simple_rnn.before.ir").read_text())
    forward = module.function("forward")
    twice = replace(forward, results=(*forward.results, replace(forward.results[0], name="again")))
    check_gradients(replace(module, functions=(twice,)))


def test_a_module_with_backward_is_refused() -> None:
    module = differentiate(parse_module((GOLDEN / "dense.before.ir").read_text()))
    with pytest.raises(InternalError, match="already has @backward"):
        differentiate(module)
