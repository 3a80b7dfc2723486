"""`rnnspec inspect`."""

from __future__ import annotations

import pytest

from rnnspec.contract.target_names import TARGET_NAMES
from rnnspec.driver import commands
from rnnspec.kernel.target import TARGETS
from tests.e2e.conftest import SPEC, Workplace

SHOWN = {
    "ast": "LSTM",
    "graph": "lstm",
    "tensor": "scan",
    "tensor.backward": "func @backward",
    "tensor.stream": "state ",
    "kernel": "lstm/kernel",
    "kernel.backward": "kernel @backward",
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


@pytest.mark.parametrize("target", TARGET_NAMES)
def test_any_described_target(workplace: Workplace, target: str) -> None:
    """Whichever machine this is, and the same text on each."""
    shown = workplace.succeeds("inspect", "trend.rnn", "--stage", "llvm", "--target", target).out
    assert shown.startswith(f'target triple = "{TARGETS[target].triple}"')
    assert shown.rstrip() == commands.inspect(SPEC, "llvm", target=target).rstrip()


def test_kernels_depend_on_the_target(workplace: Workplace) -> None:
    shown = {workplace.succeeds("inspect", "trend.rnn", "--stage", "kernel", "--target", target).out for target in ("avx512", "sse4.2")}
    assert len(shown) == 2


def test_after_a_pass_over_kernels(workplace: Workplace) -> None:
    options = ("inspect", "trend.rnn", "--stage", "kernel.backward", "--target", "avx2", "--after")
    texts = [workplace.succeeds(*options, name).out for name in ("schedule", "time-blocks", "alias-tape")]
    assert len(set(texts)) == 3
    assert texts[2].count("  buffer tape.") < texts[1].count("  buffer tape."), "several buffers became a part of another one"


@pytest.mark.parametrize("stage", ["asm", "ast"])
def test_unknown_target_names_the_known(workplace: Workplace, stage: str) -> None:
    message = workplace.refuses("inspect", "trend.rnn", "--stage", stage, "--target", "neons")
    assert "there is no target named `neons`; did you mean `neon`? there are avx512, avx2, sse4.2, neon" in message


@pytest.mark.parametrize("command", ["inspect", "compile"])
def test_help_lists_the_targets(workplace: Workplace, command: str) -> None:
    assert "avx512, avx2, sse4.2 or neon" in " ".join(workplace.succeeds(command, "--help").out.split())
