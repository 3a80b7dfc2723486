"""The command's data files and the files it writes: what each form means, and what is told before the work is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from tests.e2e.conftest import Workplace

TAGGER = """\
model Tagger {
    input x: float[time, 2]

    LSTM(3, return_sequences = true)
    Dense(2)

    train {
        loss      = mse
        optimizer = SGD(learning_rate = 0.1)
        epochs    = 2
    }
}
"""
RANDOM = np.random.default_rng(4)
LENGTHS = np.array([3, 1, 6, 4, 5])
REAL = np.arange(6) < LENGTHS[:, None]
X = np.where(REAL[..., None], RANDOM.normal(size=(5, 6, 2)), 9.0).astype(np.float32)
Y = np.where(REAL[..., None], RANDOM.normal(size=(5, 6, 2)), 5.0)
FORMS: dict[str, dict[str, Any]] = {
    "padded": {"x": X, "y": Y, "length": LENGTHS},
    "masked": {"x": X, "y": Y, "mask": REAL},
    "padded with both": {"x": X, "y": Y, "length": LENGTHS, "mask": np.ones((5, 6))},
    "one after the other": {"x": X[REAL], "y": Y[REAL], "length": LENGTHS},
}
"""The same data."""


@pytest.fixture
def tagger(workplace: Workplace) -> Workplace:
    """A workplace with `tagger.rnn`, and `tagger.rnnc` with fresh weights."""
    (workplace.folder / "tagger.rnn").write_text(TAGGER, encoding="utf-8")
    rnnspec.compile(TAGGER, seed=0).save(workplace.folder / "tagger.rnnc")
    return workplace


def write(workplace: Workplace, **arrays: Any) -> None:
    np.savez(workplace.folder / "data.npz", **arrays)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_data_in_any_form(tagger: Workplace, form: str) -> None:
    """Trained on, validated on, evaluated and predicted: padding counts in none of them."""
    given = FORMS[form]
    write(tagger, **{f"{key}_{part}": value for part in ("train", "val", "test") for key, value in given.items()})
    done = tagger.succeeds("train", "tagger.rnn", "-d", "data.npz", "-o", "new.rnnc", "--seed", "1", "--epochs", "2")
    model = rnnspec.compile(TAGGER, seed=1)
    history = model.fit(X, Y, lengths=LENGTHS, validation_data=(X, Y), validation_lengths=LENGTHS, seed=1, verbose=False).history
    lines = [f"epoch {epoch + 1}/2: loss {history['loss'][epoch]!r}, val_loss {history['val_loss'][epoch]!r}" for epoch in range(2)]
    assert [line.partition(" (")[0] for line in done.err.splitlines()] == [*lines, "wrote new.rnnc"]
    assert done.out == f"test loss {model.evaluate(X, Y, lengths=LENGTHS)['loss']!r}\n"
    assert tagger.succeeds("evaluate", "new.rnnc", "-d", "data.npz").out == done.out
    tagger.succeeds("predict", "new.rnnc", "-d", "data.npz", "-o", "p.csv")
    rows = np.loadtxt(tagger.folder / "p.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(rows[:, :2], np.argwhere(REAL))
    np.testing.assert_array_equal(rows[:, 2:], model.predict(X, lengths=LENGTHS)[REAL])
    shown = tagger.succeeds("predict", "new.rnnc", "-d", "data.npz", "--show", "5").out.splitlines()
    assert [line.split()[:2] for line in shown if line.strip()[:1].isdigit()] == [[str(n), str(LENGTHS[n])] for n in range(5)]


def test_keys_that_are_not_used_are_told(tagger: Workplace) -> None:
    write(tagger, x_train=X, y_train=Y, lengths_train=LENGTHS, y_test=Y)
    done = tagger.succeeds("train", "tagger.rnn", "-d", "data.npz", "-o", "new.rnnc")
    told = "lengths_train (did you mean `length_train`?), y_test (there is no x_test)"
    assert done.err.startswith(f"warning: data.npz: not used: {told}; what is read is x, y, length, mask and sample_weight, ")
    assert done.out == ""


def test_escape_codes_in_keys_do_not_reach_the_terminal(tagger: Workplace) -> None:
    write(tagger, **{"x": X, "\x1b[31mred": X})
    done = tagger.succeeds("predict", "tagger.rnnc", "-d", "data.npz")
    assert "\x1b" not in done.err
    assert "\ufffd[31mred" in done.err


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_missing_targets_are_named(tagger: Workplace, command: str) -> None:
    write(tagger, x=X, mask=REAL)
    words = ("tagger.rnn", "-o", "new.rnnc") if command == "train" else ("tagger.rnnc",)
    message = tagger.refuses(command, *words, "-d", "data.npz")
    assert message == "error: data.npz: the targets should be in y; found x, mask\n"
    write(tagger, x_train=X, y_train=Y, x_val=X)
    if command == "train":
        assert "the targets should be in y_val" in tagger.refuses(command, *words, "-d", "data.npz")
    assert not (tagger.folder / "new.rnnc").exists()


def test_a_test_set_without_targets_is_told_before_training(tagger: Workplace) -> None:
    write(tagger, x_train=X, y_train=Y, x_test=X)
    done = tagger.succeeds("train", "tagger.rnn", "-d", "data.npz", "-o", "new.rnnc")
    assert done.err.splitlines()[0] == "warning: data.npz has no y_test: the model isn't evaluated on x_test"
    assert done.out == ""


def test_a_validation_set_and_a_split(tagger: Workplace) -> None:
    write(tagger, x_train=X, y_train=Y, x_val=X, y_val=Y)
    message = tagger.refuses("train", "tagger.rnn", "-d", "data.npz", "-o", "new.rnnc", "--validation-split", "0.5")
    assert "data.npz has a validation set of its own, x_val" in message


TWO = """
model Two {
    input a: float[2]
    input b: float[time, 1]
    s = b -> GRU(2)
    [a, s] -> Concatenate() -> Dense(2, activation = softmax)

    train { loss = sparse_categorical_crossentropy  optimizer = SGD(learning_rate = 0.1)  epochs = 2  batch_size = 2 }
}
"""
A, STEPS, KINDS, WEIGHTS = [[0.5, 1], [2, -3], [1, 1], [0, 4]], [[1, 2, 3], [4], [5, 6], [7]], ["up", "down", "up", "down"], [1, 2, 0.5, 1]


def test_several_inputs_by_name(workplace: Workplace) -> None:
    """As arrays and as lines of JSON; with weights, a validation set of its own and names of classes, to the digits of Python."""
    folder = workplace.folder
    (folder / "two.rnn").write_text(TWO, encoding="utf-8")
    padded = np.array([[*steps, *[0] * (3 - len(steps))] for steps in STEPS], float)[..., None]
    np.savez(
        folder / "two.npz",
        **{"a": A, "x.b": padded, "length.b": [len(s) for s in STEPS], "y": [0, 1, 0, 1], "sample_weight": WEIGHTS},
    )
    rows = [dict(zip(("a", "b", "kind", "sample_weight"), row, strict=True)) for row in zip(A, STEPS, KINDS, WEIGHTS, strict=True)]
    (folder / "two.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    model = rnnspec.compile(TWO, seed=3)
    model.set_classes(["up", "down"])
    x = {"a": np.array(A), "b": [np.array(steps, float)[:, None] for steps in STEPS]}
    both = {"sample_weight": WEIGHTS, "validation_data": (x, KINDS, WEIGHTS)}
    history = model.fit(x, KINDS, seed=3, verbose=False, **both).history  # type: ignore[arg-type]
    (folder / "named.rnn").write_text(TWO.replace("train {", "train { classes = [up, down] "), encoding="utf-8")
    for spec, name, columns in (("two.rnn", "two.npz", ()), ("named.rnn", "two.jsonl", ("--columns", "y=kind"))):
        words = ("train", spec, "-d", name, "--validation-data", name, "-o", "two.rnnc", "--seed", "3", "--json", *columns)
        done = workplace.succeeds(*words)
        told = json.loads(done.out)
        assert list(told["history"]) == list(history)
        np.testing.assert_allclose([*told["history"].values()], [*history.values()], rtol=1e-6)
        assert told["test"] is None
        assert "not used" not in done.err
    expected = model.evaluate(x, KINDS, sample_weight=WEIGHTS)
    done = workplace.succeeds("evaluate", "two.rnnc", "-d", "two.jsonl", "--columns", "y=kind", "--json")
    assert json.loads(done.out) == {"samples": 4, "test": pytest.approx(expected, rel=1e-6)}
    done = workplace.succeeds("predict", "two.rnnc", "-d", "two.jsonl", "--columns", "y=kind", "-o", "-", "--output-format", "jsonl")
    lines = [json.loads(line) for line in done.out.splitlines()]
    np.testing.assert_allclose([line["dense"] for line in lines], model.predict(x), rtol=1e-6)
    assert [line["dense.class"] for line in lines] == model.predict_classes(x).tolist()
    shown = workplace.succeeds("predict", "two.rnnc", "-d", "two.jsonl", "--columns", "y=kind").out
    assert [line.split()[2] for line in shown.splitlines() if line.strip()[:1].isdigit()] == KINDS


def test_what_a_model_of_several_inputs_lacks_is_named(workplace: Workplace) -> None:
    rnnspec.compile(TWO, seed=0).save(workplace.folder / "two.rnnc")
    write(workplace, x=X, y=Y)
    assert workplace.refuses("evaluate", "two.rnnc", "-d", "data.npz") == "error: data.npz: expected the keys a, b; found x, y\n"
    write(workplace, a=A, bb=X, y=Y)
    message = workplace.refuses("evaluate", "two.rnnc", "-d", "data.npz")
    assert message == "error: data.npz: there is no x.b, and the model takes it; found a, bb, y\n"


def test_class_numbers_in_a_column(trained: Workplace, tmp_path: Path) -> None:
    """As `y` of shape (samples, 1); what is no class is shown as it is."""
    with np.load(trained.folder / "trend.npz") as data:
        given = {key.removesuffix("_test"): data[key] for key in data.files if not key.endswith("_train")}
    given["y"] = given["y"].astype(float)[:, None]
    given["y"][:2] = [[np.nan], [-1]]
    np.savez(tmp_path / "column.npz", **given)
    shown = trained.succeeds("predict", "trend.rnnc", "-d", tmp_path / "column.npz", "--show", "20").out
    expected = [line.split()[2] for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert expected == ["[nan]", "-1", *("falls" if number % 2 == 0 else "rises" for number in range(2, 20))]


def test_classes_that_are_not_the_models(trained: Workplace, tmp_path: Path) -> None:
    with np.load(trained.folder / "trend.npz") as data:
        np.savez(tmp_path / "more.npz", **{**data, "classes": ["a", "b", "c"]})
    message = trained.refuses("predict", "trend.rnnc", "-d", tmp_path / "more.npz")
    assert "more.npz: it names 3 classes, output dense has 2\n" in message


# Texts, and standard input

TONE = "model Tone { input t: text[time]  Embedding(9, 4, mask_zero = true)  LSTM(4)  Dense(1, activation = sigmoid) }"


@pytest.fixture
def tone(workplace: Workplace) -> Workplace:
    """A workplace with `tone.rnnc`, which knows words and the names of its classes."""
    model = rnnspec.compile(TONE, seed=1)
    model.adapt(["so good", "so bad"])
    model.set_classes(["bad", "good"])
    model.save(workplace.folder / "tone.rnnc")
    return workplace


def test_texts_are_predicted(tone: Workplace) -> None:
    texts = ["so good", "bad, so bad", ""]
    done = tone.succeeds("predict", "tone.rnnc", *(word for text in texts for word in ("--text", text)), "--json")
    told = json.loads(done.out)["predictions"]
    model = rnnspec.load(tone.folder / "tone.rnnc")
    assert [each["dense"] for each in told] == model.predict(texts)[:, 0].tolist()
    assert [each["dense.class"] for each in told] == model.predict_classes(texts).tolist()
    for words, message in {
        (): "one of --data and --text says what is predicted",
        ("--text", "a", "-d", "trend.npz"): "one of --data and --text says what is predicted",
        ("--text", "a", "-o", "-", "--json"): "it prints to standard output, where `-o -` writes",
        ("--text", "a", "-o", "-", "--output-format", "xml"): "`xml` is no format; there are .csv, .jsonl, .npy, .npz or .parquet",
        ("-d", "trend.npz", "--format", "xml"): "`xml` is no format; there are npz, npy, csv, tsv, jsonl, parquet",
        ("-d", "trend.npz", "--columns", "x"): "`x` is not of the form NAME=COLUMN",
        ("-d", "trend.npz", "--columns", "x=a", "--columns", "x=b"): "`x` is given twice",
    }.items():
        assert message in tone.refuses("predict", "tone.rnnc", *words)


def test_texts_for_a_model_of_numbers(trained: Workplace) -> None:
    assert "--text: model Trend is none of one text: its input takes no texts" in trained.refuses("predict", "trend.rnnc", "--text", "a")


def test_standard_input_and_output(tone: Workplace) -> None:
    """Lines of texts, and a table; with bytes that are no text nothing is written."""
    model = rnnspec.load(tone.folder / "tone.rnnc")
    expected = model.predict(["so bad", "so\u2028good"])[:, 0].tolist()
    for given, words in (("so bad\r\nso\u2028good\n", ("--text", "-")), ("t\nso bad\nso\u2028good\n", ("-d", "-", "--format", "csv"))):
        done = subprocess.run(
            [sys.executable, "-m", "rnnspec", "predict", "tone.rnnc", *words, "-o", "-"],
            cwd=tone.folder,
            input=given.encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        heading, *rows = done.stdout.decode().splitlines()
        assert heading == "dense,dense.class"
        assert [float(row.partition(",")[0]) for row in rows] == expected
    done = subprocess.run(
        [sys.executable, "-m", "rnnspec", "predict", "tone.rnnc", "--text", "-", "-o", "p.csv"],
        cwd=tone.folder,
        input=b"a\n\xff",
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (2, b"error: standard input: line 2: it isn't UTF-8 text: byte 0xFF\n")
    assert not (tone.folder / "p.csv").exists()


# Outputs


def test_predictions_are_written_as_the_ending_says(trained: Workplace, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for ending in ("csv", "npy", "npz", "CSV"):
        path = tmp_path / f"p.{ending}"
        assert trained.succeeds("predict", "trend.rnnc", "-d", "trend.npz", "-o", path).err == f"wrote {path}\n"
    arrays["npy"] = np.load(tmp_path / "p.npy", allow_pickle=False)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        (arrays["npz"],) = (file[name] for name in file.files)
    arrays["csv"] = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1)
    assert (tmp_path / "p.csv").read_text().startswith("dense.0,dense.1\n")
    for array in arrays.values():
        np.testing.assert_array_equal(array, arrays["npy"])
    assert (tmp_path / "p.CSV").read_bytes() == (tmp_path / "p.csv").read_bytes()
    done = trained.succeeds("predict", "trend.rnnc", "-d", "trend.npz", "-o", "-")
    assert (done.out, done.err) == ((tmp_path / "p.csv").read_text(), "")


@pytest.mark.parametrize("name", ["p.txt", "p", "p.csv.gz", ".csv", "p.npz ", "csv"])
def test_other_endings_are_refused_first(workplace: Workplace, name: str) -> None:
    """Neither the model nor the data is looked at."""
    message = workplace.refuses("predict", "absent.rnnc", "-d", "absent.npz", "-o", name)
    assert "predictions are written as .csv, .jsonl, .npy, .npz or .parquet, so the name has to end in one of these" in message


def test_outputs_that_a_file_cannot_hold_are_refused_before_the_data_is_read(tagger: Workplace) -> None:
    rnnspec.compile(TAGGER.replace("    Dense(2)", "    a = Dense(2) b = a -> LSTM(2) output a, b")).save(tagger.folder / "two.rnnc")
    for ending in ("csv", "npy"):
        message = tagger.refuses("predict", "two.rnnc", "-d", "absent.npz", "-o", f"p.{ending}")
        assert message.rstrip().endswith(": write .npz or .jsonl")
    assert "write .npz" in tagger.refuses("predict", "two.rnnc", "-d", "absent.npz", "-o", "-")
    write(tagger, x=X, length=LENGTHS)
    tagger.succeeds("predict", "two.rnnc", "-d", "data.npz", "-o", "p.npz")
    with np.load(tagger.folder / "p.npz") as file:
        assert [file[name].shape for name in ("a", "b")] == [(5, 6, 2), (5, 2)]


COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "absent.rnn", "-d", "absent.npz"),
    "compile": ("compile", "absent.rnn"),
    "predict": ("predict", "absent.rnnc", "-d", "absent.npz"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_that_cannot_be_written_is_told_first(workplace: Workplace, command: str) -> None:
    """Before the spec, the model or the data is looked at, and without a trace."""
    (workplace.folder / "folder.csv").mkdir()
    (workplace.folder / "loop.csv").symlink_to("loop.csv")
    (workplace.folder / "dangling.csv").symlink_to("nowhere/p.csv")
    os.mkfifo(workplace.folder / "fifo.csv")
    wrong = {
        "absent/p.csv": "there is no folder `absent`",
        "trend.rnn/p.csv": "there is no folder `trend.rnn`",
        "folder.csv": "`folder.csv` is a folder",
        "loop.csv": "`loop.csv` can't be written: a link that leads to itself",
        "dangling.csv": "there is no folder `",
        "fifo.csv": "`fifo.csv` isn't a regular file",
        f"{'a' * 300}.csv": ".csv` can't be written: File name too long",
        "/proc/p.csv": "`/proc/p.csv` can't be written: ",
    }
    before = sorted(workplace.folder.iterdir())
    for name, message in wrong.items():
        assert message in workplace.refuses(*COMMANDS[command], "-o", name), name
    assert sorted(workplace.folder.iterdir()) == before


@pytest.mark.parametrize("command", ["train", "compile"])
def test_models_do_not_go_to_standard_output(workplace: Workplace, command: str) -> None:
    assert "a model isn't written to standard output: name a file" in workplace.refuses(*COMMANDS[command], "-o", "-")


def test_what_is_read_is_not_written_over(trained: Workplace, tmp_path: Path) -> None:
    for name in ("trend.rnn", "trend.npz", "trend.rnnc"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    (tmp_path / "link.rnnc").hardlink_to(tmp_path / "trend.rnn")
    here = Workplace(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for words in (
        ("train", "trend.rnn", "-d", "trend.npz", "-o", "trend.rnn"),
        ("train", "trend.rnn", "-d", "trend.npz", "-o", "link.rnnc"),
        ("train", "trend.rnn", "-d", "trend.npz", "-o", "trend.npz"),
        ("compile", "trend.rnn", "-o", "./trend.rnn"),
        ("compile", "trend.rnn", "-o", "trend.rnnc", "-w", "trend.rnnc"),
        ("predict", "trend.rnnc", "-d", "trend.npz", "-o", "trend.npz"),
    ):
        assert "is what is read, and would be written over" in here.refuses(*words)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_old_file_stays_until_the_new_one_is_whole(tagger: Workplace) -> None:
    """And is there as it was if the command fails."""
    old = tagger.folder / "p.npy"
    old.write_bytes(b"old")
    write(tagger, x=X[..., :1])
    tagger.refuses("predict", "tagger.rnnc", "-d", "data.npz", "-o", "p.npy")
    assert old.read_bytes() == b"old"
    write(tagger, x=X)
    tagger.succeeds("predict", "tagger.rnnc", "-d", "data.npz", "-o", "p.npy")
    assert np.load(old).shape == (5, 6, 2)
    assert not [path for path in tagger.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604])
def test_an_old_files_mode_is_kept(tagger: Workplace, mode: int) -> None:
    write(tagger, x=X)
    for name, words in {"p.csv": ("predict", "tagger.rnnc", "-d", "data.npz"), "c.rnnc": ("compile", "tagger.rnn")}.items():
        path = tagger.folder / name
        path.touch(mode)
        path.chmod(mode)
        tagger.succeeds(*words, "-o", name)
        assert (path.stat().st_size > 0, path.stat().st_mode & 0o777) == (True, mode)


def test_a_stateful_model_is_checked_before_it_is_trained(workplace: Workplace) -> None:
    """The training set and the test set; what is tested starts from zeros."""
    spec = "model Lanes { input x: float[time, 2]  LSTM(3, stateful = true, return_sequences = true)  Dense(2)\n" + (
        "    train { loss = mse  optimizer = SGD(learning_rate = 0.1)  batch_size = 2  shuffle = false } }"
    )
    (workplace.folder / "lanes.rnn").write_text(spec, encoding="utf-8")
    call = ("train", "lanes.rnn", "-d", "data.npz", "-o", "new.rnnc", "--seed", "1")
    write(workplace, x_train=X, y_train=Y)
    refused = workplace.refuses(*call)
    assert "5 samples in batches of 2 end with one of 1; a batch_size of 1 divides them, or leave 1 out" in refused
    write(workplace, x_train=X[:4], y_train=Y[:4], x_test=X[:3], y_test=Y[:3])
    refused = workplace.refuses(*call)
    assert "3 samples in batches of 2 end with one of 1" in refused
    assert not (workplace.folder / "new.rnnc").exists()
    write(workplace, x_train=X[:4], y_train=Y[:4], x_test=X[:1], y_test=Y[:1])
    done = workplace.succeeds(*call)
    fresh = rnnspec.load(workplace.folder / "new.rnnc")
    fresh.reset_states()
    assert f"test loss {fresh.evaluate(X[:1], Y[:1])['loss']!r}" in done.out


# Files whose faults are told with their places


CLASSES = """
model Classes {
    input x: float[time, 2]
    LSTM(2, return_sequences = true)
    Dense(2, activation = softmax)

    train {
        loss      = sparse_categorical_crossentropy
        optimizer = SGD(learning_rate = 0.1)
        epochs    = 2
        data      = columns(x = [a, b], y = kind, group_by = ride, order_by = t, split = part)
    }
}
"""
RIDES = """\
ride,t,a,b,kind,part
A,2,1,2,up,train
A,1,3,4,down,train
B,1,5,6,up,train
C,1,7,8,up,val
D,2,1,1,down,test
D,1,0,1,up,test
"""


@pytest.fixture
def rides(workplace: Workplace) -> Workplace:
    """A workplace with `classes.rnn` and `rides.csv`, a line a step."""
    (workplace.folder / "classes.rnn").write_text(CLASSES, encoding="utf-8")
    (workplace.folder / "rides.csv").write_text(RIDES, encoding="utf-8")
    return workplace


FAULTS: dict[str, tuple[str, str, str]] = {
    "a class to train on": (
        "3,4,down", "3,4,u,train\nA,3,3,4,down", "line 3, column kind: 3 different names, output dense has 2 classes; the rarest is 'u'",
    ),
    "a class to validate on": ("7,8,up", "7,8,upp", "line 5, column kind: no class is called 'upp'; they are down, up"),
    "a class to test on": ("1,1,down", "1,1,dwn", "line 6, column kind: no class is called 'dwn'; they are down, up"),
    "NaN to train on": ("3,4", "3,nan", "line 3, column b: expected a finite number, got nan"),
    "NaN to validate on": ("7,8", "nan,8", "line 5, column a: expected a finite number, got nan"),
    "infinity to test on": ("0,1,up", "0,-inf,up", "line 7, column b: expected a finite number, got -inf"),
    "rubbish to test on": ("0,1,up", "0,one,up", "line 7, column b: expected a number, got 'one'"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_all_sets_are_checked_before_the_first_step(rides: Workplace, name: str) -> None:
    right, wrong, message = FAULTS[name]
    (rides.folder / "rides.csv").write_text(RIDES.replace(right, wrong), encoding="utf-8")
    told = rides.refuses("train", "classes.rnn", "-d", "rides.csv", "-o", "new.rnnc")
    assert told.startswith(f"error: rides.csv: {message}") and told.count("\n") == 1
    assert not (rides.folder / "new.rnnc").exists()


def test_sequences_with_a_step_in_each_line(rides: Workplace) -> None:
    """Trained on, evaluated and predicted as lists of arrays are; predictions keep the keys."""
    x = [np.array(each, np.float32) for each in ([[3, 4], [1, 2]], [[5, 6]], [[0, 1], [1, 1]])]
    model = rnnspec.compile(CLASSES, seed=1)
    model.fit(x[:2], [["down", "up"], ["up"]], seed=1, verbose=False)
    done = rides.succeeds("train", "classes.rnn", "-d", "rides.csv", "-o", "new.rnnc", "--seed", "1", "--json")
    assert json.loads(done.out)["test"] == model.evaluate(x[2:], [["up", "down"]])
    assert json.loads(rides.succeeds("evaluate", "new.rnnc", "-d", "rides.csv", "--json").out)["test"] == json.loads(done.out)["test"]
    rides.succeeds("predict", "new.rnnc", "-d", "rides.csv", "-o", "p.csv")
    heading, *rows = (rides.folder / "p.csv").read_text(encoding="utf-8").splitlines()
    assert heading == "ride,t,dense.0,dense.1,dense.class"
    assert [row.split(",")[:2] for row in rows] == [["D", "1"], ["D", "2"]]
    np.testing.assert_array_equal([[*map(float, row.split(",")[2:4])] for row in rows], model.predict(x[2:])[0])
    shown = rides.succeeds("predict", "new.rnnc", "-d", "rides.csv").out
    assert shown.split()[:2] == ["ride", "steps"] and "D" in shown.split()
    for wrong, place in (("0,nan", "line 7, column b: expected a finite number"), ("0,one", "line 7, column b: expected a number")):
        (rides.folder / "wrong.csv").write_text(RIDES.replace("0,1", wrong), encoding="utf-8")
        assert f"wrong.csv: {place}" in rides.refuses("evaluate", "new.rnnc", "-d", "wrong.csv")
    (rides.folder / "wrong.csv").write_text(RIDES.replace("1,1,down", "1,inf,down").replace("0,1,up", "0,nan,up"), encoding="utf-8")
    done = rides.succeeds("predict", "new.rnnc", "-d", "wrong.csv", "-o", "-")
    assert done.err == "warning: wrong.csv: line 7, column b: it is nan, and the prediction isn't finite\n"
