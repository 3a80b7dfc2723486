"""Losses and metrics that nobody wrote before: native values and gradients are the interpreter's, and gradients central differences.

A few in every run; `make fuzz` draws FUZZ_MODELS of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.executable import CallRequest
from rnnspec.contract.objective import Objective, OutputObjective, loss_name, metrics_name, target_name
from rnnspec.contract.packing import pack
from rnnspec.contract.signature import Config
from rnnspec.driver.compilation import compilation_of
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Module, Role
from tests.property.bounds import FUZZ, bounded
from tests.property.losses import DrawnLoss, drawn_losses
from tests.thorough import examples
from tests.unit.passes.gradient_check import differentiate, run_backward

Array = NDArray[Any]
STEP = 1e-5
OUTPUT = "activation"
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
MODELS = int(os.environ["FUZZ_MODELS"]) if FUZZ else examples(16, 60)
slowly = settings(suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Case:
    """A drawn loss with rows: `real` are those that count, (batch, time), or all of a model without steps."""

    drawn: DrawnLoss
    prediction: Array
    target: Array
    real: NDArray[np.bool_]

    @property
    def objective(self) -> Objective:
        """The loss and both metrics, their arguments filled in."""
        width = 1 if self.drawn.of == "class" else self.drawn.width
        metrics = tuple(Config(name, (("factor", 0.25),)) for name in ("each", "whole"))
        return (OutputObjective(OUTPUT, width, Config("drawn", (("factor", 0.5),)), metrics),)

    def arguments(self, prediction: Array, dtype: str) -> dict[str, Array]:
        """The interpreter's."""
        masks = {"p.mask": self.real} if self.drawn.sequence else {}
        return {"p": prediction.astype(dtype), target_name(OUTPUT): self.target.astype(dtype), **masks}

    def counted(self, rows: Array) -> Array:
        """The real rows of what is padded."""
        return rows[self.real] if self.drawn.sequence else rows


@st.composite
def drawn_cases(draw: st.DrawFn) -> Case:
    """Rows of moderate numbers, and with few of them equal ones and zeros."""
    drawn = draw(drawn_losses())
    batch = draw(st.integers(0, 4))
    lead = (batch, draw(st.integers(0, 4))) if drawn.sequence else (batch,)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    prediction = random.normal(scale=draw(st.sampled_from([0.5, 2.0])), size=(*lead, drawn.width))
    match drawn.of:
        case "class":
            target = random.integers(0, drawn.width, (*lead, 1)).astype(np.float64)
        case "binary":
            target = random.integers(0, 2, (*lead, drawn.width)).astype(np.float64)
        case "probabilities":
            target = random.random((*lead, drawn.width))
        case _:
            target = random.normal(size=(*lead, drawn.width))
    real = random.random(lead[:2]) < draw(st.sampled_from([0.0, 0.6, 1.0]))
    return Case(drawn, prediction, target, real)


def near(found: Array, expected: Array, dtype: str, what: str) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=what)


def interpreted(function: Function, arguments: dict[str, Array]) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        results: dict[tuple[Role, str], Any] = interpret(function, arguments)
    return {name: value for (role, name), value in results.items() if role is Role.OUTPUT}


def check_native(case: Case, dtype: str) -> None:
    """Values and gradients, without and with a tape."""
    compilation = compilation_of(case.drawn.spec, dtype=dtype)
    lowered = compilation.module("tensor", True, "lower", objective=case.objective)
    arguments = case.arguments(case.prediction, dtype)
    expected = interpreted(lowered.function("forward"), arguments)

    native = rnnspec.compile(case.drawn.spec, dtype=dtype)._executable  # pyright: ignore[reportPrivateUsage]
    indices = (pack(case.real),) if case.drawn.sequence else ()
    targets = {OUTPUT: arguments[target_name(OUTPUT)]}
    flat = np.zeros(0, dtype)
    request = CallRequest({"p": arguments["p"]}, indices, flat, 0, True, objective=case.objective, targets=targets)
    names = (loss_name(OUTPUT), metrics_name(OUTPUT))
    plain = native.forward(request)
    recorded, tape = native.record(request)
    for one, other, name in zip(plain, recorded, names, strict=True):
        near(one, expected[name], dtype, name)
        near(other, expected[name], dtype, f"recorded {name}")

    random = np.random.default_rng(len(case.drawn.text))
    cotangents = {name: random.normal(size=expected[name].shape).astype(dtype) for name in names}
    _, found = native.backward(tape, [cotangents[name] for name in names], flat, 0, input_gradients=True)
    with np.errstate(all="ignore"):
        wanted = run_backward(differentiate(lowered), arguments, cotangents)
    near(found["p"], wanted["p"], dtype, "gradient")
    assert not case.drawn.sequence or not found["p"][~case.real].any()


def check_slope(case: Case) -> None:
    """The interpreter's gradient along a direction, against central differences where no kink is near."""
    lowered = compilation_of(case.drawn.spec, dtype="float64").module("tensor", True, "lower", objective=case.objective)
    forward, name = lowered.function("forward"), loss_name(OUTPUT)
    random = np.random.default_rng(len(case.drawn.text))
    along = random.normal(size=case.prediction.shape)
    values = [
        interpreted(forward, case.arguments(case.prediction + step * along, "float64"))[name]
        for step in (-STEP, -STEP / 2, 0, STEP / 2, STEP)
    ]
    loss = Module("Case", (stopped(forward),))
    slope = run_backward(differentiate(loss), case.arguments(case.prediction, "float64"), {name: np.ones_like(values[0])})["p"]
    rows = np.sum(slope * along, axis=-1, keepdims=True)
    wide, narrow = (values[4] - values[0]) / (2 * STEP), (values[3] - values[1]) / STEP
    size = np.maximum(1.0, np.sum(np.abs(slope * along), axis=-1, keepdims=True))
    bent = np.abs(values[4] - 2 * values[2] + values[0]) / STEP > 1e-3 * size
    wrong = (np.abs(rows - wide) > 1e-5 * size) & (np.abs(wide - narrow) < 1e-5 * size) & ~bent
    if "stop_gradient" not in case.drawn.text:
        assert not case.counted(wrong).any(), f"{case.counted(rows)} and by differences {case.counted(wide)}"


def stopped(forward: Function) -> Function:
    """The function with its loss alone."""
    return Function(
        forward.name, forward.parameters, forward.operations, tuple(each for each in forward.results if each.name == loss_name(OUTPUT))
    )


@settings(slowly, max_examples=MODELS)
@given(drawn_cases(), st.sampled_from(["float64", "float64", "float32"]))
def test_values_and_gradients(case: Case, dtype: str) -> None:
    with bounded(case.drawn.spec):
        check_native(case, dtype)
        check_slope(case)
