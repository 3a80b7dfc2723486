"""`rnnspec evaluate --report`: tables of all digits, on a terminal of four."""

from __future__ import annotations

import json
import re

import numpy as np

import rnnspec
from rnnspec.training.reports import Report
from tests.e2e.conftest import Workplace
from tests.e2e.test_cli_models import write_heads
from tests.e2e.test_cli_terminal import on_terminal, piped

EVALUATE = ("evaluate", "trend.rnnc", "-d", "trend.npz")


def expected(place: Workplace) -> Report:
    model = rnnspec.load(place.folder / "trend.rnnc")
    with np.load(place.folder / "trend.npz") as data:
        ends = np.cumsum(data["length_test"])[:-1]
        return model.report(np.split(data["x_test"], ends), data["y_test"])


def test_a_report_has_the_classes_names_and_all_digits(trained: Workplace) -> None:
    done = trained.succeeds(*EVALUATE, "--report")
    plain = trained.succeeds(*EVALUATE).out
    assert done.out.startswith(plain) and not done.err
    cells = [re.split(r"  +", line.strip()) for line in done.out.removeprefix(plain).splitlines()]
    found = expected(trained).outputs["dense"].as_dict()
    for name, number in {"falls": "0", "rises": "1", "macro avg": "macro avg", "weighted avg": "weighted avg"}.items():
        row = next(row for row in cells if row[0] == name)
        assert [float(cell) for cell in row[1:]] == list(found[number].values())
    matrix = cells[next(place for place, row in enumerate(cells) if row[0] == "true, by predicted") :]
    assert [[float(cell) for cell in row[1:]] for row in matrix[2:4]] == found["confusion"]


def test_a_report_is_in_the_json(trained: Workplace) -> None:
    told = json.loads(trained.succeeds(*EVALUATE, "--report", "--json").out)
    assert list(told) == ["samples", "test", "report"]
    assert told["report"]["dense"]["confusion"] == expected(trained).outputs["dense"].as_dict()["confusion"]
    assert told["report"]["dense"]["rises"] == expected(trained).outputs["dense"].as_dict()["1"]


def test_matrices_in_fewer_bits_are_evaluated_beside(trained: Workplace) -> None:
    usual, both = trained.succeeds(*EVALUATE).out, trained.succeeds(*EVALUATE, "--weights", "int8").out
    assert both.startswith(usual)
    assert [line.rsplit(" ", 1)[0] for line in both.splitlines()] == [
        *(line.rsplit(" ", 1)[0] for line in usual.splitlines()),
        *(line.rsplit(" ", 1)[0].replace("test", "test int8") for line in usual.splitlines()),
    ]
    told = json.loads(trained.succeeds(*EVALUATE, "--weights", "int8", "--json").out)
    assert told["int8"].keys() == told["test"].keys()
    assert told["int8"]["loss"] != told["test"]["loss"]
    assert abs(told["int8"]["loss"] - told["test"]["loss"]) < 0.05
    command = ("predict", "trend.rnnc", "-d", "trend.npz", "--json")
    usual, narrow = (json.loads(trained.succeeds(*command, *more).out)["predictions"] for more in ((), ("--weights", "int8")))
    assert len(usual) == len(narrow) and usual != narrow


def test_a_terminal_shows_four_digits_and_cuts_nothing(trained: Workplace) -> None:
    shown = on_terminal(trained.folder, 30, *EVALUATE, "--report")
    assert "…" not in shown
    scores = [f"{value:.4f}" for value in expected(trained).outputs["dense"].as_dict()["macro avg"].values()][:3]
    assert re.split(r"  +", next(line.strip() for line in shown.splitlines() if line.strip().startswith("macro avg"))) == [
        "macro avg",
        *scores,
        "20",
    ]
    assert piped(trained.folder, *EVALUATE, "--report", FORCE_COLOR="1").count("\x1b") > 0


def test_each_output_has_its_report(workplace: Workplace) -> None:
    """One of classes and one of values."""
    write_heads(workplace, "    train { loss = [sparse_categorical_crossentropy, mse]  optimizer = Adam() }\n")
    with np.load(workplace.folder / "trend.npz") as data:
        given = {key: data[key] for key in data if not key.startswith("y")} | {
            "y_train.kind": data["y_train"], "y_train.size": data["length_train"].astype(float),
            "y_test.kind": data["y_test"], "y_test.size": data["length_test"].astype(float),
        }  # fmt: skip
    np.savez(workplace.folder / "heads.npz", **given)
    workplace.succeeds("compile", "heads.rnn", "-o", "heads.rnnc", "--seed", "0")
    done = workplace.succeeds("evaluate", "heads.rnnc", "-d", "heads.npz", "--report").out
    kind, size = done.split("output kind")[1].split("output size")
    assert "rises" in kind and "f1-score" in kind
    assert "RMSE" in size and "R²" in size and "rises" not in size


def test_a_loss_of_paths_is_refused(workplace: Workplace) -> None:
    text = (
        (workplace.folder / "trend.rnn")
        .read_text(encoding="utf-8")
        .replace("    LSTM(units)\n", "    LSTM(units, return_sequences = true)\n")
    )
    text = (
        text.replace("2, activation = softmax", "2")
        .replace("sparse_categorical_crossentropy", "ctc")
        .replace("metrics    = [accuracy]", "")
    )
    (workplace.folder / "paths.rnn").write_text(text, encoding="utf-8")
    workplace.succeeds("compile", "paths.rnn", "-o", "paths.rnnc")
    with np.load(workplace.folder / "trend.npz") as data:
        np.savez(workplace.folder / "paths.npz", x=data["x_test"], length=data["length_test"], y=np.ones((20, 1), int))
    said = workplace.refuses("evaluate", "paths.rnnc", "-d", "paths.npz", "--report")
    assert "the loss ctc is one of whole sequences" in said and "rnnspec.decoding" in said
