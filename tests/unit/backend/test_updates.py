"""The native update of a table's rows, on every target, against the optimizers in numpy: the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.backend.llvm_cpu.updates import SYMBOL, emit_update
from rnnspec.contract.executable import Array
from rnnspec.kernel.target import TARGETS, Target
from rnnspec.runtime.native.jit import Jit, calling
from rnnspec.training.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, Ftrl, Lion, Nadam, Optimizer, RMSprop, WeightExtent

ROWS, WIDTH, STEPS = 7, 71, 40
HOST = host_target()
NO_ROW = np.arange(0)

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(learning_rate=0.01, beta_1=0.01, beta_2=0.01),
    "amsgrad": Adam(learning_rate=0.01, beta_1=0.01, beta_2=0.01, amsgrad=True),
    "sgd": SGD(),
    "nesterov": SGD(momentum=0.1, nesterov=True),
    "rmsprop": RMSprop(rho=0.1, momentum=0.9, centered=True),
    "nadam": Nadam(learning_rate=0.01, beta_1=0.01, beta_2=0.01),
    "adagrad": Adagrad(),
    "adadelta": Adadelta(learning_rate=1.0, rho=0.1),
    "adamax": Adamax(learning_rate=0.01, beta_1=0.01, beta_2=0.01),
    "ftrl": Ftrl(l1_regularization_strength=0.01, l2_shrinkage_regularization_strength=0.1, beta=0.1),
    "lion": Lion(learning_rate=0.01, beta_1=0.5, beta_2=0.01),
}
"""With factors by which a state is too small to be a normal number within a few steps."""


def as_on(target: Target) -> Target:
    """Code of a target's shape that this machine runs."""
    return replace(target, triple=HOST.triple, cpu=HOST.cpu, features=HOST.features)


def drawn(dtype: str, random: np.random.Generator) -> tuple[Array, list[tuple[Array, Array]]]:
    """Weights, and for each step the rows that it reads and its gradient; row 0 is never read, 1 and 2 seldom, and some are both zeros."""
    weights = random.normal(size=(ROWS, WIDTH)).astype(dtype)
    weights[:, ::5] = -0.0
    steps: list[tuple[Array, Array]] = []
    for step in range(STEPS):
        rows = np.array([1, 3]) if step == 0 else np.array([2, 3, 6]) if step == 20 else NO_ROW if step % 7 == 3 else np.array([3, 4, 5])
        gradient = np.zeros((ROWS, WIDTH), dtype)
        gradient[rows] = random.normal(size=(len(rows), WIDTH)) * 10.0 ** random.integers(-30, 3, WIDTH)
        gradient[:, ::3] = 0
        steps.append((rows, gradient))
    return weights, steps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_that_catch_up_have_the_bits_of_those_that_never_missed_a_step(name: str, target: Target, dtype: str) -> None:
    at_once, late = replace(OPTIMIZERS[name]), replace(OPTIMIZERS[name])
    assert late.supports_lazy_updates
    for optimizer in (at_once, late):
        optimizer.bind([WeightExtent(0, ROWS * WIDTH)], np.dtype(dtype))
    late.iterations = 1
    count = len(late.constants())
    code = Machine(HOST).object_code(emit_update(late.formula, late.slots, count, dtype, as_on(target)))
    native = calling(Jit().load(code, (SYMBOL,)), SYMBOL)
    constants, steps_applied = np.zeros((STEPS, count), dtype), np.zeros(ROWS, np.int64)
    weights, steps = drawn(dtype, np.random.default_rng(0))
    expected = weights.copy()
    for step, (rows, gradient) in enumerate(steps):
        at_once.step(expected.reshape(-1), gradient.reshape(-1).copy())
        late.iterations = step + 1
        constants[step] = late.constants()
        arrays = [weights, gradient, steps_applied, rows, constants, *late.state]
        addresses = [array.__array_interface__["data"][0] for array in arrays]
        native(addresses, [len(rows), WIDTH, step, 0])
        assert weights[rows].tobytes() != expected[rows].tobytes() or not len(rows)
        native(addresses, [len(rows), WIDTH, step, 1])
        assert weights[rows].tobytes() == expected[rows].tobytes(), step
        assert not gradient.any(), "a gradient is cleared where it was used"
    everything = np.arange(ROWS)
    arrays = [weights, weights, steps_applied, everything, constants, *late.state]
    native([array.__array_interface__["data"][0] for array in arrays], [ROWS, WIDTH, STEPS, 0])
    assert steps_applied.tolist() == [STEPS] * ROWS
    assert weights.tobytes() == expected.tobytes()
    for kept, state in zip(late.state, at_once.state, strict=True):
        assert kept.tobytes() == state.tobytes()


def test_the_code_for_each_target_is_vectors_of_its_width() -> None:
    for target, register in (("avx512", "%zmm"), ("avx2", "%ymm"), ("sse4.2", "%xmm"), ("neon", ".4s")):
        text = emit_update(Adam().formula, 2, 4, "float32", TARGETS[target])
        assembly = Machine(TARGETS[target]).assembly(text)
        assert register in assembly
        assert "fma" not in assembly.replace("rnnspec_", ""), "a sum of products isn't fused: numpy's isn't"
        assert "fmla" not in assembly
