"""`rnnspec check`, and what all commands share."""

from __future__ import annotations

import pytest

import rnnspec
from tests.e2e.conftest import SPEC, Workplace

COMMANDS = ["check", "inspect", "train", "evaluate", "predict", "compile"]


def test_version(workplace: Workplace) -> None:
    assert workplace.succeeds("--version").out == f"rnnspec {rnnspec.__version__}\n"


def test_help_names_every_command(workplace: Workplace) -> None:
    shown = workplace.succeeds("--help").out
    assert [command for command in COMMANDS if command not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(workplace: Workplace, command: str) -> None:
    assert "Usage: rnnspec " + command in workplace.succeeds(command, "--help").out


def test_unknown_command_suggests_the_nearest(workplace: Workplace) -> None:
    assert "check" in workplace.refuses("chekc", "trend.rnn")


def test_check_shows_the_layers(workplace: Workplace) -> None:
    shown = workplace.succeeds("check", "trend.rnn").out
    for word in ("Trend", "masking", "lstm", "LSTM", "dense", "Dense"):
        assert word in shown
    assert "138" in shown  # 3*16 + 4*16 + 16 of the LSTM and 4*2 + 2 of the Dense
    assert "128" in shown


def test_check_takes_parameters(workplace: Workplace) -> None:
    assert workplace.succeeds("check", "trend.rnn", "-P", "units=5").out != workplace.succeeds("check", "trend.rnn").out


def test_check_reports_every_fault_of_a_stage_at_its_place(workplace: Workplace) -> None:
    (workplace.folder / "trend.rnn").write_text(SPEC.replace("LSTM(units)", "LSTN(units)").replace("Dense(2", "Dense(2, colour = 3"))
    shown = workplace.refuses("check", "trend.rnn")
    assert shown.count("error[E") == 2
    assert "--> trend.rnn:6:5" in shown
    assert "LSTM" in shown
    assert "--> trend.rnn:7:" in shown


TEXTS = {
    "empty": "",
    "word": "model",
    "brace": "model {",
    "nul": "\0",
    "byte order mark": "\ufeff",
    "deep": "{" * 3000,
    "hollow": "model A() {}",
    "letter": "λ",
    "comment": "#",
    "unclosed": "model A() { input x: float[time, 3] " + "Dense(1) " * 2000,
    "deep expression": f"model A() {{ input x: float[3] Dense({'(' * 3000}1{')' * 3000}) }}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_is_a_diagnostic_at_worst(workplace: Workplace, text: str) -> None:
    (workplace.folder / "trend.rnn").write_text(text, encoding="utf-8")
    assert "error" in workplace.refuses("check", "trend.rnn")


def test_bytes_that_are_no_text(workplace: Workplace) -> None:
    (workplace.folder / "trend.rnn").write_bytes(b"model \xff\xfe {")
    assert "trend.rnn" in workplace.refuses("check", "trend.rnn")


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_missing_file_is_named(workplace: Workplace, command: str) -> None:
    assert "absent.rnn" in workplace.refuses(command, "absent.rnn")


def test_folder_is_no_spec(workplace: Workplace) -> None:
    (workplace.folder / "folder.rnn").mkdir()
    assert "folder.rnn" in workplace.refuses("check", "folder.rnn")


@pytest.mark.parametrize("assignment", ["units", "=3", "units=", "units=3x", "units=4e", "1=2", "unist=4"])
def test_parameter_that_cannot_be(workplace: Workplace, assignment: str) -> None:
    assert assignment.split("=")[0] in workplace.refuses("check", "trend.rnn", "-P", assignment)


def test_parameter_given_twice(workplace: Workplace) -> None:
    assert "units" in workplace.refuses("check", "trend.rnn", "-P", "units=3", "-P", "units=4")


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "true", "none", "tanh", "99999999999999999999"])
def test_parameter_of_a_wrong_value(workplace: Workplace, value: str) -> None:
    assert "units" in workplace.refuses("check", "trend.rnn", "-P", f"units={value}")
