"""Each pass turns `<case>.before.ir` into `<case>.after.ir`, and doesn't change what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnspec.ir.parser import parse_module
from rnnspec.ir.printer import print_module
from rnnspec.passes.differentiate import Differentiate
from rnnspec.passes.pipeline import Pass, Pipeline
from rnnspec.passes.promote_single_step import PromoteSingleStep
from rnnspec.passes.registry import PASSES as REGISTERED
from rnnspec.passes.registry import parse_passes
from rnnspec.passes.rematerialize import Rematerialize
from tests.ir_arguments import LENGTHS, run_module

GOLDEN = Path(__file__).parents[2] / "golden" / "passes"
APART = (Differentiate.name, Rematerialize.name)
PASSES: tuple[Pass, ...] = parse_passes(",".join(name for name in REGISTERED if name not in APART))
"""All but those that change which functions there are, or what one hands to the other: test_differentiate.py, test_rematerialize.py."""
CASES = [(step, path) for step in PASSES for path in sorted((GOLDEN / step.name.replace("-", "_")).glob("*.before.ir"))]
SINGLE = {"batch": 3, "time": 1}
"""What functions are called with whose rows have one step each."""
CASE_NAMES = [f"{step.name}/{path.name.removesuffix('.before.ir')}" for step, path in CASES]


def test_every_pass_has_a_golden() -> None:
    assert {step for step, _ in CASES} == set(PASSES)


@pytest.mark.parametrize(("step", "path"), CASES, ids=CASE_NAMES)
def test_text(step: Pass, path: Path, regenerate: bool) -> None:
    before = path.read_text(encoding="utf-8")
    assert print_module(parse_module(before)) == before
    after = print_module(Pipeline((step,)).run(parse_module(before)))
    expected = path.with_name(path.name.replace(".before.", ".after."))
    if regenerate:
        expected.write_text(after, encoding="utf-8")
    assert after == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("lengths", [LENGTHS, {"batch": 1, "time": 3}, {"batch": 4, "time": 0}], ids=["several", "one", "none"])
@pytest.mark.parametrize(("step", "path"), CASES, ids=CASE_NAMES)
def test_meaning(step: Pass, path: Path, lengths: dict[str, int]) -> None:
    before = parse_module(path.read_text(encoding="utf-8"))
    after = step.run(before)
    single = isinstance(step, PromoteSingleStep)
    expected, got = (run_module(module, SINGLE if single else lengths, all_real=single) for module in (before, after))
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        shown = got[name].reshape(value.shape) if single else got[name]
        np.testing.assert_allclose(shown, value, rtol=0, atol=1e-12, err_msg=str(name))


@pytest.mark.parametrize(("step", "path"), CASES, ids=CASE_NAMES)
def test_a_second_run_changes_nothing(step: Pass, path: Path) -> None:
    once = step.run(parse_module(path.read_text(encoding="utf-8")))
    assert print_module(step.run(once)) == print_module(once)
