"""Rematerialization: the gradients stay, and no residual of steps does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnspec.contract.dimensions import BATCH, Tokens
from rnnspec.driver.compilation import compilation_of
from rnnspec.ir.ops import Function, Module, Role, Scan
from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.traverse import defined_values
from rnnspec.ir.types import TensorType
from rnnspec.ir.verify import verify
from rnnspec.passes.rematerialize import Rematerialize
from tests.specs import LEAKY
from tests.unit.passes.gradient_check import arguments_for, run_backward

GOLDEN = Path(__file__).parents[2] / "golden" / "passes" / "rematerialize"
FLOWS = {
    "LSTM": "LSTM(3)\nDense(2)",
    "every step": "GRU(3, return_sequences = true)\nDense(2, activation = softmax)",
    "own cell": "Leaky(3)",
    "a stack": "LSTM(3, return_sequences = true)\nLayerNormalization()\nGRU(2, return_sequences = true)\nSimpleRNN(2)",
    "both directions": "Bidirectional(LSTM(3, return_sequences = true))\nBidirectional(GRU(2))",
    "backwards": "GRU(3, go_backwards = true, return_sequences = true)\nLSTM(2)",
    "states handed on": "s, h, c = x -> LSTM(3, return_sequences = true, return_state = true)\n"
    "s -> LSTM(3, initial_state = [h, c])\nDense(1)",
    "attention": "s = LSTM(3, return_sequences = true)\n[s, s] -> Attention()\nGRU(2)",
    "convolution": "Conv1D(3, 2)\nGRU(2, return_sequences = true)\nGlobalAveragePooling1D()",
}


def trained(flow: str) -> Module:
    spec = f"{LEAKY}\nmodel M {{\ninput x: float[time, 2]\n{flow}\n}}\n"
    return compilation_of(spec, dtype="float64").module("tensor.backward", False)


def test_text(regenerate: bool) -> None:
    before, after = (GOLDEN / f"steps.{when}.ir" for when in ("before", "after"))
    shown = print_module(Rematerialize().run(parse_module(before.read_text(encoding="utf-8"))))
    if regenerate:
        after.write_text(shown, encoding="utf-8")
    assert shown == after.read_text(encoding="utf-8")
    assert print_module(parse_module(shown)) == shown


@pytest.mark.parametrize("flow", FLOWS)
def test_gradients_are_the_same_bits_to_the_interpreter(flow: str) -> None:
    """Of a mask with holes, padding on both sides and a row without a step: what is computed again is what was computed."""
    before = trained(FLOWS[flow])
    after = Rematerialize(checkpoint=2).run(before)
    verify(after)
    random = np.random.default_rng(0)
    mask = np.array(
        [[True, True, True, False, False], [False] * 5, [True, False, True, True, False], [True] * 5, [False, False, True, True, True]]
    )
    given = arguments_for(before.function("forward"), random, mask)
    shapes = {result.name: result.value for result in before.function("forward").results if result.role is Role.OUTPUT}
    cotangents: dict[str, np.ndarray] = {}
    for name, value in shapes.items():
        assert isinstance(value.type, TensorType)
        shape = [dim if isinstance(dim, int) else 5 for dim in value.type.shape]
        shape[0] = 5
        if len(shape) == 3 and flow == "convolution":
            shape[1] = 4
        cotangents[name] = random.normal(size=shape)
    expected, got = (run_backward(module, given, cotangents) for module in (before, after))
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        assert np.array_equal(gradient, got[name]), name
        assert gradient.any(), name


@pytest.mark.parametrize("flow", ["LSTM", "every step", "own cell", "a stack", "backwards"])
def test_no_residual_of_a_step_is_left_but_inputs(flow: str) -> None:
    """Rows of the batch and what the scans read from outside are kept, as before; nothing that is as wide as the units."""
    before = trained(FLOWS[flow])
    after = Rematerialize(checkpoint=2).run(before)

    def of_steps(module: Module) -> set[str]:
        kept = [result for result in module.function("forward").results if result.role is Role.RESIDUAL]
        return {each.name for each in kept if isinstance(each.value.type, TensorType) and each.value.type.shape[0] == Tokens()}

    packed = {operation.result.name for operation in before.function("forward").operations if type(operation).__name__ == "Pack"}
    ends = {"gru/output"} if flow == "backwards" else set[str]()
    assert of_steps(before) > packed
    assert of_steps(after) <= packed | ends


def test_scans_of_both_functions_have_the_checkpoint() -> None:
    module = Rematerialize(checkpoint=7).run(trained(FLOWS["both directions"]))

    def checkpoints(function: Function) -> list[int]:
        return [operation.checkpoint for operation in function.operations if isinstance(operation, Scan)]

    assert checkpoints(module.function("forward")) == [7] * 4
    assert sorted(checkpoints(module.function("backward"))) == [0] * 4 + [7] * 4


def test_nothing_is_done_without_a_checkpoint_or_a_gradient() -> None:
    module = trained(FLOWS["LSTM"])
    assert Rematerialize(checkpoint=0).run(module) is module
    alone = Module("M", (module.function("forward"),))
    assert Rematerialize().run(alone) is alone


def test_names_of_values_stay_unique() -> None:
    for function in Rematerialize(checkpoint=2).run(trained(FLOWS["a stack"])).functions:
        names = [value.name for value in defined_values(function)]
        assert len(names) == len(set(names))
        assert BATCH is not None
