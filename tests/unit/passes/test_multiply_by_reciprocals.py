"""Products with a row's reciprocal: what they are where a division is special, and what they make of gradients and the tape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.objects import host_target
from rnnspec.ir.ops import Module, Role
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.types import TensorType
from rnnspec.passes.differentiate import Differentiate
from rnnspec.passes.eliminate_common_subexpressions import EliminateCommonSubexpressions
from rnnspec.passes.hoist_weight_gradients import HoistWeightGradients
from rnnspec.passes.multiply_by_reciprocals import MultiplyByReciprocals
from rnnspec.passes.residuals import size_of
from tests.ir_arguments import run_module
from tests.unit.backend.native_calls import call, load

GOLDEN = Path(__file__).parents[2] / "golden" / "passes" / "multiply_by_reciprocals"

QUOTIENTS = """module m
func @f(input %x: WIDE[batch, 19], input %v: WIDE[batch, 1]) {
  %root = sqrt %v : WIDE[batch, 1]
  %wide = broadcast %root : WIDE[batch, 19]
  %y = div %x, %wide : WIDE[batch, 19]
  return output "y" %y
}
"""


@pytest.mark.parametrize(("dtype", "largest"), [("f32", 3e38), ("f64", 1e308)])
def test_special_values_come_out_as_from_the_division(dtype: str, largest: float) -> None:
    """Each against each, natively; the largest number by its own root, and the smallest normal one."""
    least = float(np.finfo(np.float32 if dtype == "f32" else np.float64).tiny)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.3, -7e5, 1e-30, -2e30, least, -least, largest, -largest])
    v, x = (grid.ravel() for grid in np.meshgrid(special, special))
    arguments = {"x": np.repeat(x[:, None], 19, axis=1), "v": v[:, None]}
    divided = parse_module(QUOTIENTS.replace("WIDE", dtype))
    multiplied = MultiplyByReciprocals().run(divided)
    assert print_module(multiplied) != print_module(divided)
    expected, got = (
        call(load(module.functions[0], host_target()), module.functions[0], arguments)["y"] for module in (divided, multiplied)
    )
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))
    np.testing.assert_allclose(got, expected, rtol=1.5 * float(np.finfo(got.dtype).eps), atol=0.0)


@pytest.mark.parametrize("kind", ["exp", "abs", "neg", "log", "tanh"])
def test_the_reciprocal_of_another_number_could_be_denormal(kind: str) -> None:
    module = parse_module(QUOTIENTS.replace("WIDE", "f32").replace("sqrt", kind))
    assert print_module(MultiplyByReciprocals().run(module)) == print_module(module)


def gradients(module: Module) -> Module:
    return HoistWeightGradients().run(Differentiate().run(EliminateCommonSubexpressions().run(module)))


def tape(module: Module) -> int:
    """Bytes, with symbolic dimensions as `size_of` counts them."""
    kept = [result.value.type for result in module.function("forward").results if result.role is Role.RESIDUAL]
    return sum(size_of(type_) or 0 for type_ in kept if isinstance(type_, TensorType))


@pytest.mark.parametrize("name", ["roots", "layer_norm_lstm"])
def test_gradients_stay_and_the_tape_doesn_t_grow(name: str) -> None:
    before = parse_module((GOLDEN / f"{name}.before.ir").read_text(encoding="utf-8"))
    forward = replace(before, functions=(before.function("forward"),))
    divided, multiplied = gradients(forward), gradients(MultiplyByReciprocals().run(forward))
    expected, got = run_module(divided), run_module(multiplied)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-9, atol=1e-9, err_msg=str(key))
    assert tape(multiplied) <= tape(divided)


def test_a_gradient_divides_rows_only() -> None:
    """Of a cell with three normalizations, after which nothing is divided but numbers of rows."""
    module = parse_module((GOLDEN / "layer_norm_lstm.after.ir").read_text(encoding="utf-8"))
    backward = Module("m", (gradients(module).function("backward"),))
    divisions = [line for line in print_module(backward).splitlines() if " = div " in line]
    assert divisions
    assert all(line.endswith(", 1]") for line in divisions)
