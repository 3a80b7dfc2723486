"""Golden text of the pass, and the gradients of the models in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
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
