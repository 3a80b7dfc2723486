"""`rnnspec check` with `--masks`, `--strict` and `--json`: what becomes of masks, what doubts cost, and diagnostics for editors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import SPEC, Workplace

GRAPH = """\
model Flow {
    input words: int[time], a: float[time, 2], row: float[4]
    e = words -> Embedding(5, 4, mask_zero = true) -> LSTM(4, return_sequences = true)
    m = a -> Masking() -> GRU(4, return_sequences = true, zero_output_for_mask = true) -> Dense(4)
    [e, m] -> Add() -> Bidirectional(SimpleRNN(3, return_sequences = true)) -> SpatialDropout1D(0.1)
    p = GRU(4)
    [p, row] -> Concatenate() -> RepeatVector(3) -> TimeDistributed(Dense(2))
}
"""
BOTH = "words where not all 0 or a where not all 0"
ROWS = [
    ["embedding", "words", "words where not all 0", "created", "row 0"],
    ["lstm", "words where not all 0", "words where not all 0", "passed on", "held"],
    ["masking", "a", "a where not all 0", "created", "zero"],
    ["gru", "a where not all 0", "a where not all 0", "passed on", "zero"],
    ["dense", "a where not all 0", "a where not all 0", "passed on", "computed from what was there"],
    ["add", "words where not all 0", BOTH, "passed on", "computed from what was there"],
    ["bidirectional", BOTH, BOTH, "passed on", "zero"],
    ["spatial_dropout1d", BOTH, BOTH, "passed on", "as before"],
    ["gru_1", BOTH, "", "consumed", ""],
    ["concatenate", "", "", "", ""],
    ["repeat_vector", "", "all steps", "", "none is masked"],
    ["time_distributed", "all steps", "all steps", "passed on", "computed from what was there"],
]
DOUBTFUL = SPEC.replace("    LSTM(units)\n", "    last = LSTM(units)\n    unused = last -> Dense(3)\n    last -> Dense(units)\n")
DROPPING = """\
model Windows {
    input words: int[time]
    Embedding(5, 4, mask_zero = true)
    Conv1D(3, 2)
    LSTM(2)
}
"""
WRONG = SPEC.replace("LSTM(units)", "LSTN(units)").replace("Dense(2", "Dense(2, colour = 3")


def write(workplace: Workplace, text: str) -> None:
    (workplace.folder / "trend.rnn").write_text(text, encoding="utf-8")


def cells_of(shown: str) -> list[list[str]]:
    """The rows of a table whose columns begin under their headings; a cell may go on in the lines below."""
    lines = shown.splitlines()
    (head,) = (place for place, line in enumerate(lines) if "real steps in" in line)
    headings = ("layer", "real steps in", "real steps out", "mask ", "masked steps hold")
    starts, after = list[int](), 0
    for heading in headings:
        after = lines[head].index(heading, after)
        starts.append(after)
        after += len(heading)
    rows: list[list[str]] = []
    for line in lines[head + 2 :]:
        parts = [line[start:stop].strip() for start, stop in zip(starts, [*starts[1:], None], strict=True)]
        if parts[0]:
            rows.append(parts)
        elif any(parts):
            rows[-1] = [f"{one} {more}".strip() for one, more in zip(rows[-1], parts, strict=True)]
    return rows


def test_masks_shows_the_way_of_every_mask(workplace: Workplace) -> None:
    """In the order of the layers; a layer that is used twice has a row for each use."""
    write(workplace, GRAPH)
    done = workplace.succeeds("check", "trend.rnn", "--masks")
    assert cells_of(done.out) == ROWS
    assert done.err == ""


def test_masks_of_a_shared_layer(workplace: Workplace) -> None:
    write(workplace, GRAPH.replace("p = GRU(4)", "shared tell = Dense(6) tell tell p = GRU(4)"))
    rows = cells_of(workplace.succeeds("check", "trend.rnn", "--masks").out)
    assert [row[0] for row in rows].count("tell") == 2


def test_masks_of_sequences_one_after_the_other(workplace: Workplace) -> None:
    inputs = "input a: float[time, 2], b: float[later, 2], c: float[3, 2]"
    write(workplace, f"model Joined {{ {inputs} m = a -> Masking() d = c -> Masking() [m, b, d] -> Concatenate(axis = 1) -> LSTM(2) }}")
    rows = cells_of(workplace.succeeds("check", "trend.rnn", "--masks").out)
    both = "a where not all 0 then b then c where not all 0"
    assert rows[2:] == [["concatenate", "a where not all 0", both, "passed on", "as before"], ["lstm", both, "", "consumed", ""]]


def test_a_spec_without_masks(workplace: Workplace) -> None:
    """A caller's own mask goes the same way as one that the spec makes."""
    write(workplace, "model Plain { input x: float[time, 3] LSTM(2) }")
    assert cells_of(workplace.succeeds("check", "trend.rnn", "--masks").out) == [["lstm", "x", "", "consumed", ""]]


@pytest.mark.parametrize("options", [[], ["--masks"]])
def test_a_doubt_is_told_and_refuses_only_if_strict(workplace: Workplace, options: list[str]) -> None:
    write(workplace, DOUBTFUL)
    done = workplace.succeeds("check", "trend.rnn", *options)
    assert "warning[W0501]: the value `unused` is never used" in done.err
    assert "--> trend.rnn:7:5" in done.err
    assert "dense" in done.out
    assert "warning[W0501]" in workplace.refuses("check", "trend.rnn", "--strict", *options)


@pytest.mark.parametrize("options", [["--strict"], ["--strict", "--masks"]])
def test_strict_passes_what_is_not_doubtful(workplace: Workplace, options: list[str]) -> None:
    assert "dense" in workplace.succeeds("check", "trend.rnn", *options).out


def test_a_dropped_mask_is_told_with_its_path(workplace: Workplace) -> None:
    write(workplace, DROPPING)
    done = workplace.succeeds("check", "trend.rnn")
    assert "warning[W0201]: Conv1D drops the mask" in done.err
    assert "its path: Embedding line 3 -> Conv1D line 4 drops it" in done.err
    assert "conv1d" in done.out


def test_masks_shows_a_dropped_mask(workplace: Workplace) -> None:
    write(workplace, DROPPING)
    done = workplace.succeeds("check", "trend.rnn", "--masks")
    assert cells_of(done.out) == [
        ["embedding", "words", "words where not all 0", "created", "row 0"],
        ["conv1d", "words where not all 0", "all steps", "dropped", "none is masked"],
        ["lstm", "all steps", "", "consumed", ""],
    ]
    assert "warning[W0201]" in done.err


@pytest.mark.parametrize("options", [[], ["--masks"], ["--json"]])
def test_strict_refuses_a_dropped_mask(workplace: Workplace, options: list[str]) -> None:
    write(workplace, DROPPING)
    done = workplace.rnnspec("check", "trend.rnn", "--strict", *options)
    assert done.code == 2
    assert "conv1d" not in done.out
    if "--json" in options:
        (found,) = diagnostics(done.out)
        assert (found["code"], found["severity"], found["line"], done.err) == ("W0201", "warning", 4, "")
    else:
        assert "warning[W0201]" in done.err


def test_a_mask_that_is_consumed_passes_strict(workplace: Workplace) -> None:
    write(workplace, DROPPING.replace("Conv1D(3, 2)", "Dense(3)"))
    done = workplace.succeeds("check", "trend.rnn", "--strict")
    assert done.err == ""


def diagnostics(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)
    assert isinstance(found, list)
    for each in found:
        assert set(each) == {"code", "severity", "message", "label", "path", "line", "column", "end_line", "end_column", "related", "help"}
    return found


def test_json_of_a_right_spec_is_an_empty_list(workplace: Workplace) -> None:
    for options in ([], ["--strict"], ["--masks"]):
        done = workplace.succeeds("check", "trend.rnn", "--json", *options)
        assert diagnostics(done.out) == []
        assert done.err == ""


def test_json_of_a_wrong_spec_has_every_error_at_its_place(workplace: Workplace) -> None:
    write(workplace, WRONG)
    done = workplace.rnnspec("check", "trend.rnn", "--json")
    assert (done.code, done.err) == (2, "")
    found = diagnostics(done.out)
    assert [(each["code"], each["severity"], each["line"], each["path"]) for each in found] == [
        ("E0102", "error", 6, "trend.rnn"),
        ("E0103", "error", 7, "trend.rnn"),
    ]
    assert found[0]["message"] in workplace.refuses("check", "trend.rnn")
    lines = WRONG.splitlines()
    assert lines[5][found[0]["column"] - 1 : found[0]["end_column"] - 1] == "LSTN"
    assert lines[6][found[1]["column"] - 1 : found[1]["end_column"] - 1] == "colour"
    assert "LSTM" in " ".join(found[0]["help"])


def test_json_of_a_doubtful_spec(workplace: Workplace) -> None:
    write(workplace, DOUBTFUL)
    (found,) = diagnostics(workplace.succeeds("check", "trend.rnn", "--json").out)
    assert (found["code"], found["severity"], found["line"], found["column"], found["end_column"]) == ("W0501", "warning", 7, 5, 11)
    strict = workplace.rnnspec("check", "trend.rnn", "--json", "--strict")
    assert strict.code == 2
    assert diagnostics(strict.out) == [found]
    assert strict.err == ""


def test_json_of_a_file_that_is_not_there(workplace: Workplace) -> None:
    done = workplace.rnnspec("check", "absent.rnn", "--json")
    assert done.code == 2
    (found,) = diagnostics(done.out)
    assert (found["code"], found["path"]) == ("E0010", "absent.rnn")


def test_json_names_related_places(workplace: Workplace) -> None:
    write(workplace, "model Twice {\n    input x: float[time, 3]\n    x = LSTM(2)\n}\n")
    done = workplace.rnnspec("check", "trend.rnn", "--json")
    (found,) = diagnostics(done.out)
    (related,) = found["related"]
    assert (found["line"], related["line"], related["message"]) == (3, 2, "declared here")
