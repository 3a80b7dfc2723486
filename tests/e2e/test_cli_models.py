"""`rnnspec train`, `evaluate`, `predict` and `compile`: the way of a model, and what stops it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.target_names import TARGET_NAMES
from rnnspec.driver import commands
from rnnspec.interop.safetensors import write_weights
from rnnspec.kernel.target import TARGETS
from tests.e2e.conftest import SPEC, Workplace


def accuracy(shown: str) -> float:
    found = re.search(r"^test accuracy (\d\.\d+)$", shown, re.MULTILINE)
    assert found, shown
    return float(found[1])


def test_train_learns_and_says_so(trained: Workplace, workplace: Workplace) -> None:
    done = workplace.succeeds("train", "trend.rnn", "--data", "trend.npz", "-o", "trend.rnnc", "--seed", "0")
    assert accuracy(done.out) >= 0.9
    assert (workplace.folder / "trend.rnnc").read_bytes() == (trained.folder / "trend.rnnc").read_bytes()


def test_train_takes_options(workplace: Workplace) -> None:
    workplace.succeeds(
        "train", "trend.rnn", "-d", "trend.npz", "-o", "other.rnnc", "-P", "units=3", "--epochs", "2", "--batch-size", "5",
        "--validation-split", "0.25", "--dtype", "float64",
    )  # fmt: skip
    workplace.succeeds("predict", "other.rnnc", "-d", "trend.npz", "-o", "predictions.npz")
    with np.load(workplace.folder / "predictions.npz") as predictions:
        assert {predictions[name].dtype for name in predictions.files} == {np.dtype(np.float64)}


def test_evaluate_repeats_what_train_said(trained: Workplace) -> None:
    done = trained.succeeds("evaluate", "trend.rnnc", "--data", "trend.npz")
    assert accuracy(done.out) >= 0.9
    assert re.search(r"^test loss \d+\.\d+$", done.out, re.MULTILINE)


def test_metrics_of_the_spec_and_of_several_numbers_are_shown(workplace: Workplace) -> None:
    """As a list in a line; what a spec declares is in the model's file."""
    own = "metric sure of class { return max(prediction) }\n" + SPEC.replace("[accuracy]", "[confusion_matrix, sure, accuracy]")
    (workplace.folder / "own.rnn").write_text(own, encoding="utf-8")
    assert own.count("sure") == 2
    done = workplace.succeeds("train", "own.rnn", "--data", "trend.npz", "-o", "own.rnnc", "--seed", "0", "--epochs", "2")
    assert re.search(r"^test confusion_matrix \[(\d+\.0(, )?){4}\]$", done.out, re.MULTILINE)
    assert re.search(r"^test sure 0\.\d+$", done.out, re.MULTILINE)
    again = workplace.succeeds("evaluate", "own.rnnc", "--data", "trend.npz").out
    assert again.splitlines() == [line for line in done.out.splitlines() if line.startswith("test ")]


def test_predict_writes_outputs(trained: Workplace, tmp_path: Path) -> None:
    trained.succeeds("predict", "trend.rnnc", "--data", "trend.npz", "-o", tmp_path / "predictions.npz")
    with np.load(tmp_path / "predictions.npz") as predictions:
        [probabilities] = [predictions[name] for name in predictions.files if predictions[name].shape == (20, 2)]
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_predict_shows_every_output(workplace: Workplace) -> None:
    """Under its name."""
    write_heads(workplace)
    workplace.succeeds("compile", "heads.rnn", "-o", "heads.rnnc", "--seed", "0")
    shown = workplace.succeeds("predict", "heads.rnnc", "--data", "trend.npz", "--show", "3").out
    assert [word in shown for word in ("kind", "size", "true", "predicted")] == [True, True, False, False]


def test_targets_of_several_outputs(workplace: Workplace) -> None:
    """In one file under their names: trained, evaluated, and refused where one is missing or too much."""
    train = "loss = [sparse_categorical_crossentropy, mse]  metrics = [[accuracy], [mae]]  optimizer = Adam(0.05)  epochs = 12"
    write_heads(workplace, f"    train {{ {train} }}\n")
    with np.load(workplace.folder / "trend.npz") as data:
        given = dict(data)
    for part in ("train", "test"):
        given[f"y_{part}.kind"] = given.pop(f"y_{part}")
        given[f"y_{part}.size"] = given[f"length_{part}"] / 8.0
    np.savez(workplace.folder / "heads.npz", **given)
    done = workplace.succeeds("train", "heads.rnn", "--data", "heads.npz", "-o", "heads.rnnc", "--seed", "0")
    found = dict(line.removeprefix("test ").split() for line in done.out.splitlines())
    assert sorted(found) == ["kind_accuracy", "kind_loss", "loss", "size_loss", "size_mean_absolute_error"]
    assert float(found["kind_accuracy"]) >= 0.9
    assert float(found["size_mean_absolute_error"]) < 0.2
    assert workplace.succeeds("evaluate", "heads.rnnc", "--data", "heads.npz").out == done.out
    assert "the targets should be in y_train.kind, y_train.size; found x_train, " in workplace.refuses(
        "train", "heads.rnn", "--data", "trend.npz", "-o", "heads.rnnc"
    )
    del given["y_train.size"]
    np.savez(workplace.folder / "heads.npz", **given)
    assert "should be in y_train.kind, y_train.size; found " in workplace.refuses(
        "train", "heads.rnn", "--data", "heads.npz", "-o", "heads.rnnc"
    )


def test_weighted_metrics_and_class_weights_of_a_spec(workplace: Workplace) -> None:
    """Class weights show in the lines of epochs, not in an evaluation; weighted metrics in both."""
    text = (workplace.folder / "trend.rnn").read_text(encoding="utf-8")
    section = "metrics    = [accuracy]\n        weighted_metrics = [accuracy]\n        class_weight = [1, 0]"
    (workplace.folder / "weighted.rnn").write_text(text.replace("metrics    = [accuracy]", section), encoding="utf-8")
    done = workplace.succeeds("train", "weighted.rnn", "--data", "trend.npz", "-o", "weighted.rnnc", "--seed", "0", "--epochs", "30")
    last = [line for line in done.err.splitlines() if line.startswith("epoch 30/30")]
    values = dict(pair.split() for pair in last[0].partition(": ")[2].partition(" (")[0].split(", "))
    assert list(values)[:3] == ["loss", "accuracy", "weighted_accuracy"]
    assert float(values["weighted_accuracy"]) > 0.9 > float(values["accuracy"])  # nothing was learnt of class 1
    found = dict(line.removeprefix("test ").split() for line in done.out.splitlines())
    assert list(found) == ["accuracy", "weighted_accuracy", "loss"]
    assert found["accuracy"] == found["weighted_accuracy"]
    assert workplace.succeeds("evaluate", "weighted.rnnc", "--data", "trend.npz").out == done.out


def test_sample_weights_of_a_data_file(workplace: Workplace) -> None:
    """They are of training, validation and evaluation alike."""
    text = (workplace.folder / "trend.rnn").read_text(encoding="utf-8")
    text = text.replace("[accuracy]", "[accuracy]  weighted_metrics = [accuracy]")
    (workplace.folder / "weighted.rnn").write_text(text, encoding="utf-8")
    with np.load(workplace.folder / "trend.npz") as data:
        given = dict(data)
    given |= {f"{key}_val": given[f"{key}_test"] for key in ("x", "y", "length") if f"{key}_test" in given}
    for part in ("train", "val", "test"):
        given[f"sample_weight_{part}"] = np.where(given[f"y_{part}"] == 0, 1.0, 0.0)
    np.savez(workplace.folder / "weighted.npz", **given)
    done = workplace.succeeds("train", "weighted.rnn", "--data", "weighted.npz", "-o", "weighted.rnnc", "--seed", "0", "--epochs", "30")
    line = next(line for line in done.err.splitlines() if line.startswith("epoch 30/30"))
    values = {name: float(value) for name, value in (pair.split() for pair in line.partition(": ")[2].partition(" (")[0].split(", "))}
    found = {name: float(value) for name, value in (each.removeprefix("test ").split() for each in done.out.splitlines())}
    for weighted, plain in (("weighted_accuracy", "accuracy"), ("val_weighted_accuracy", "val_accuracy")):
        assert values[weighted] > 0.9 > values[plain]
    assert found == {name: values[f"val_{name}"] for name in found}
    assert workplace.succeeds("evaluate", "weighted.rnnc", "--data", "weighted.npz").out == done.out


def write_heads(workplace: Workplace, train: str = "") -> None:
    """`heads.rnn`: the model of `trend.rnn` with two outputs and that train section."""
    heads = "    h = LSTM(units)\n    kind = h -> Dense(2, activation = softmax)\n    size = h -> Dense(1)\n    output kind, size\n"
    text = (workplace.folder / "trend.rnn").read_text(encoding="utf-8")
    text = text.replace("    LSTM(units)\n    Dense(2, activation = softmax)\n", heads)
    text = text[: text.index("    train {")] + train + "}\n"
    (workplace.folder / "heads.rnn").write_text(text, encoding="utf-8")


def test_predict_shows_some(trained: Workplace) -> None:
    shown = trained.succeeds("predict", "trend.rnnc", "--data", "trend.npz", "--show", "4").out
    assert "rises" in shown
    assert "falls" in shown


def test_compile_with_weights(trained: Workplace, tmp_path: Path) -> None:
    trained.succeeds("compile", "trend.rnn", "-o", tmp_path / "fresh.rnnc", "--seed", "1")
    assert trained.succeeds("evaluate", tmp_path / "fresh.rnnc", "-d", "trend.npz").out


WRONG_DATA: dict[str, dict[str, np.ndarray]] = {
    "features": {"x_train": np.ones((10, 4), np.float32), "length_train": np.array([4, 6]), "y_train": np.array([0, 1])},
    "lengths": {"x_train": np.ones((10, 3), np.float32), "length_train": np.array([4, 7]), "y_train": np.array([0, 1])},
    "targets": {"x_train": np.ones((10, 3), np.float32), "length_train": np.array([4, 6]), "y_train": np.array([0, 1, 1])},
    "class": {"x_train": np.ones((10, 3), np.float32), "length_train": np.array([4, 6]), "y_train": np.array([0, 2])},
    "text": {"x_train": np.full((10, 3), "a"), "length_train": np.array([4, 6]), "y_train": np.array([0, 1])},
    "objects": {"x_train": np.full((10, 3), None), "length_train": np.array([4, 6]), "y_train": np.array([0, 1])},
    "names": {"frames": np.ones((10, 3), np.float32)},
    "nothing": {},
}


@pytest.mark.parametrize("name", WRONG_DATA)
def test_train_refuses_data_that_does_not_fit(workplace: Workplace, name: str) -> None:
    np.savez(workplace.folder / "wrong.npz", **WRONG_DATA[name])
    workplace.refuses("train", "trend.rnn", "--data", "wrong.npz", "-o", "trend.rnnc")
    assert not (workplace.folder / "trend.rnnc").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100], ids=["empty", "cut", "other"])
def test_train_refuses_a_file_that_is_no_data(workplace: Workplace, content: bytes) -> None:
    (workplace.folder / "wrong.npz").write_bytes(content)
    assert "wrong.npz" in workplace.refuses("train", "trend.rnn", "--data", "wrong.npz", "-o", "trend.rnnc")


IMPOSSIBLE = {
    "--epochs": ["-1", "many"],
    "--batch-size": ["0"],
    "--validation-split": ["1", "-0.1", "nan"],
    "--seed": ["-1"],
    "--data": ["absent.npz"],
    "-o": ["absent/trend.rnnc"],
    "-P": ["units=0"],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in IMPOSSIBLE.items() for value in values])
def test_train_refuses_options_that_cannot_be(workplace: Workplace, option: str, value: str) -> None:
    arguments = {"--data": "trend.npz", "-o": "out.rnnc", option: value}
    workplace.refuses("train", "trend.rnn", *(word for pair in arguments.items() for word in pair))
    assert not (workplace.folder / "out.rnnc").exists()


def test_train_needs_a_train_section(workplace: Workplace) -> None:
    text = SPEC[: SPEC.index("    train {")] + "}\n"
    (workplace.folder / "trend.rnn").write_text(text, encoding="utf-8")
    assert "loss" in workplace.refuses("train", "trend.rnn", "--data", "trend.npz", "-o", "trend.rnnc")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_model_that_cannot_be_read(trained: Workplace, tmp_path: Path, command: str) -> None:
    whole = (trained.folder / "trend.rnnc").read_bytes()
    wrong = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "edited": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        "other": b"hello",
    }
    for name, content in wrong.items():
        (tmp_path / f"{name}.rnnc").write_bytes(content)
        assert f"{name}.rnnc" in trained.refuses(command, tmp_path / f"{name}.rnnc", "--data", "trend.npz")
    assert "absent.rnnc" in trained.refuses(command, "absent.rnnc", "--data", "trend.npz")


def test_evaluate_refuses_data_of_another_model(trained: Workplace, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", x_test=np.ones((10, 4), np.float32), length_test=np.array([4, 6]), y_test=np.array([0, 1]))
    message = trained.refuses("evaluate", "trend.rnnc", "--data", tmp_path / "wrong.npz")
    assert "4" in message
    assert "3" in message


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "other", "none"])
def test_compile_refuses_weights_that_do_not_fit(workplace: Workplace, content: bytes) -> None:
    (workplace.folder / "wrong.safetensors").write_bytes(content)
    workplace.refuses("compile", "trend.rnn", "-o", "trend.rnnc", "--weights", "wrong.safetensors")
    assert not (workplace.folder / "trend.rnnc").exists()


def test_compile_names_the_file_of_weights_that_do_not_fit(workplace: Workplace) -> None:
    write_weights(workplace.folder / "other.safetensors", {"lstm/kernel": np.ones((3, 16), np.float32)})
    message = workplace.refuses("compile", "trend.rnn", "-o", "trend.rnnc", "--weights", "other.safetensors")
    assert message.startswith("error: other.safetensors: the weights don't fit the model; missing: lstm/recurrent_kernel, ")


def test_interrupt_ends_training_quietly(workplace: Workplace) -> None:
    """Once the first bytes of the progress are out, Ctrl-C ends the command with 130, no traceback and no model."""
    command = [sys.executable, "-m", "rnnspec", "train", "trend.rnn", "--data", "trend.npz", "-o", "long.rnnc"]
    process = subprocess.Popen(
        [*command, "--epochs", "1000000"], cwd=workplace.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in out + err
    assert not (workplace.folder / "long.rnnc").exists()


def test_weights_beyond_any_machine_are_refused(workplace: Workplace) -> None:
    """5 TB to make: not killed for memory, but told."""
    layers = "LSTM(20000, return_sequences = true) " * 100
    (workplace.folder / "huge.rnn").write_text(f"model Huge {{ input x: float[time, 3] {layers} }}")
    message = workplace.refuses("compile", "huge.rnn", "-o", "huge.rnnc")
    assert message.startswith("error: not enough memory: model Huge: making its ")
    assert not (workplace.folder / "huge.rnnc").exists()


def test_closed_pipe_ends_quietly(workplace: Workplace) -> None:
    shell = f"{sys.executable} -m rnnspec inspect trend.rnn --stage llvm | head -c 10"
    done = subprocess.run(shell, shell=True, cwd=workplace.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stderr == ""
    assert len(done.stdout) == 10


@pytest.mark.parametrize("target", TARGET_NAMES)
def test_compile_for_another_machine(workplace: Workplace, target: str) -> None:
    """All functions are made; the model file is the same as for any."""
    workplace.succeeds("compile", "trend.rnn", "-o", "here.rnnc", "--seed", "0")
    done = workplace.succeeds("compile", "trend.rnn", "-o", "there.rnnc", "--seed", "0", "--target", target)
    machine = f"{TARGETS[target].architecture}, ELF"
    numbers = ", ".join(rf"{name} [\d,]+ bytes" for name in ("forward", "stream", "record", "backward"))
    assert re.search(rf"^compiled for {re.escape(target)} \({machine}\): {numbers}$", done.err, re.MULTILINE)
    assert done.err.endswith("wrote there.rnnc\n")
    assert (workplace.folder / "here.rnnc").read_bytes() == (workplace.folder / "there.rnnc").read_bytes()


def test_compile_for_a_machine_that_is_not_described(workplace: Workplace) -> None:
    message = workplace.refuses("compile", "trend.rnn", "-o", "there.rnnc", "--target", "neons")
    assert "there is no target named `neons`; did you mean `neon`?" in message
    assert not (workplace.folder / "there.rnnc").exists()


def test_only_what_a_model_runs_is_made_for_another_machine() -> None:
    """No gradient without a loss, no stream for a model that can't."""
    spec = "model Two {\n    input x: float[time, 2]\n    Bidirectional(LSTM(3))\n}\n"
    assert list(commands.compile_for(spec, "neon").sizes) == ["forward"]


def test_the_code_is_the_other_machine_s() -> None:
    sizes = {name: commands.compile_for(SPEC, name).sizes["forward"] for name in TARGET_NAMES}
    assert len(set(sizes.values())) == len(sizes)


def test_a_training_that_ends_at_nan_is_an_error_with_the_weights_before(tmp_path: Path) -> None:
    """Where no update was made before, nothing is written."""
    place, train = Workplace(tmp_path), "train { loss = mse  optimizer = SGD(1e12)  epochs = 9  batch_size = 2 }"
    (tmp_path / "m.rnn").write_text(f"model M {{ input x: float[time, 2]  LSTM(2)  Dense(1)  {train} }}", encoding="utf-8")
    for target, wrote in ((1e30, "there was no update before, and m.rnnc isn't written"), (1.0, "wrote m.rnnc, with the weights before")):
        assert not (tmp_path / "m.rnnc").exists()
        np.savez(tmp_path / "data.npz", x=np.ones((4, 3, 2)), y=np.full(4, target))
        message = place.refuses("train", "m.rnn", "-d", "data.npz", "-o", "m.rnnc", "--seed", "1")
        assert re.search(
            r"error: training ended in epoch \d of 9, batch [12]: the loss is (inf|nan): it comes from output dense; ", message
        )
        assert wrote in message
    weights = rnnspec.load(tmp_path / "m.rnnc").get_weights()
    assert all(np.isfinite(each).all() for each in weights)
