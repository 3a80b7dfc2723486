"""Commands of specs take a compiled model as well: what it holds is what they show, and what training goes on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.runtime.storage import model_file
from tests.e2e.conftest import Workplace

SHOWN: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "masks": ("check", "--masks"),
    "graph": ("inspect", "--stage", "graph"),
    "kernel": ("inspect", "--stage", "kernel", "--target", "avx2"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_model_is_shown_as_its_spec(workplace: Workplace, name: str) -> None:
    """With the parameters and the dtype that it was compiled with."""
    command, *options = SHOWN[name]
    chosen = ("-P", "units=7", *(() if command == "check" else ("--dtype", "float64")))
    workplace.succeeds("compile", "trend.rnn", "-o", "m.rnnc", "-P", "units=7", "--dtype", "float64")
    assert workplace.succeeds(command, "m.rnnc", *options).out == workplace.succeeds(command, "trend.rnn", *options, *chosen).out


def test_a_model_is_profiled(trained: Workplace) -> None:
    assert "Trend, float32, batch 2" in trained.succeeds("profile", "trend.rnnc", "--batch", "2", "--time", "3", "--seconds", "0").out


def test_training_goes_on_from_a_model(trained: Workplace, tmp_path: Path) -> None:
    """From its weights, the optimizer's state and its random numbers, as in Python to the bit."""
    done = trained.succeeds("train", "trend.rnnc", "-d", "trend.npz", "--epochs", "2", "-o", tmp_path / "more.rnnc")
    assert done.err.startswith("epoch 1/2: loss ")
    model = rnnspec.load(trained.folder / "trend.rnnc")
    with np.load(trained.folder / "trend.npz") as data:
        model.fit(np.split(data["x_train"], np.cumsum(data["length_train"])[:-1]), data["y_train"], epochs=2, verbose=False)
    more = rnnspec.load(tmp_path / "more.rnnc")
    assert more.iterations == model.iterations > rnnspec.load(trained.folder / "trend.rnnc").iterations
    assert all(np.array_equal(more.weights[name], value) for name, value in model.weights.items())


@pytest.mark.parametrize("command", ["check", "inspect", "profile", "train"])
def test_what_a_model_has_of_its_own_is_not_given(trained: Workplace, command: str) -> None:
    more = ("-d", "trend.npz", "-o", "new.rnnc") if command == "train" else ()
    message = trained.refuses(command, "trend.rnnc", *more, "-P", "units=3")
    assert "`trend.rnnc` is a compiled model, which has its own" in message


def test_a_damaged_model_is_told(workplace: Workplace) -> None:
    (workplace.folder / "m.rnnc").write_bytes(b"PK\x03\x04" + b"damage" * 9)
    for words in (("check", "m.rnnc"), ("inspect", "m.rnnc"), ("train", "m.rnnc", "-d", "trend.npz", "-o", "new.rnnc")):
        assert workplace.refuses(*words).startswith("error: m.rnnc: ")


def test_a_model_from_strangers_reads_no_other_file(workplace: Workplace) -> None:
    text = 'import "trend.rnn"\nmodel Thief { input x: float[3]  Dense(1) }'
    weights = {"dense/kernel": np.zeros((3, 1), np.float32), "dense/bias": np.zeros(1, np.float32)}
    model_file.save(model_file.Artifact("Thief", text, {}, "float32", weights), workplace.folder / "m.rnnc")
    for command in ("check", "inspect", "profile"):
        assert "a model file holds all of its spec" in workplace.refuses(command, "m.rnnc")
