"""`rnnspec inspect`."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Workplace

SHOWN = {
    "ast": "LSTM",
    "graph": "lstm",
    "tensor": "scan",
    "tensor.backward": "func @backward",
    "tensor.stream": "state ",
    "kernel": "lstm/kernel",
    "llvm": "define ",
    "llvm.opt": "define ",
    "asm": ".text",
}


@pytest.mark.parametrize("stage", SHOWN)
def test_every_stage_prints(workplace: Workplace, stage: str) -> None:
    assert SHOWN[stage] in workplace.succeeds("inspect", "trend.rnn", "--stage", stage).out


def test_list_names_stages_and_passes(workplace: Workplace) -> None:
    shown = workplace.succeeds("inspect", "trend.rnn", "--list").out
    for name in (*SHOWN, "hoist-projection", "differentiate", "hoist-weight-gradients"):
        assert name in shown


def test_after_stops_after_a_pass(workplace: Workplace) -> None:
    before = workplace.succeeds("inspect", "trend.rnn", "--stage", "tensor", "--after", "lower").out
    after = workplace.succeeds("inspect", "trend.rnn", "--stage", "tensor", "--after", "hoist-projection").out
    assert before != after


def test_dtype(workplace: Workplace) -> None:
    assert "f64[" in workplace.succeeds("inspect", "trend.rnn", "--dtype", "float64").out


def test_unknown_stage_names_the_known(workplace: Workplace) -> None:
    assert "tensor.backward" in workplace.refuses("inspect", "trend.rnn", "--stage", "tensors")


def test_unknown_pass_names_the_known(workplace: Workplace) -> None:
    assert "hoist-projection" in workplace.refuses("inspect", "trend.rnn", "--after", "hoist-projectoin")


def test_unknown_dtype(workplace: Workplace) -> None:
    assert "float64" in workplace.refuses("inspect", "trend.rnn", "--dtype", "float16")
