"""Files that are taken for each other: specs, model files, weights, data and those of other libraries."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.diagnostics import SpecError
from rnnspec.driver import commands, compilation
from rnnspec.file_kinds import Kind, kind_of
from rnnspec.interop.safetensors import read_weights, write_weights

SPEC = "# A model.\n\nmodel Small { input x: float[time, 2]  LSTM(2) }\n"


def archive(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for member in members:
            written.writestr(member, b"content")
    return buffer.getvalue()


def saved(write: Callable[[Path], object], folder: Path, name: str) -> bytes:
    write(folder / name)
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, bytes]:
    """A file of each kind that bytes tell."""
    folder = tmp_path_factory.mktemp("files")
    return {
        Kind.MODEL: saved(lambda path: rnnspec.compile(SPEC, seed=0).save(path), folder, "a.rnnc"),
        Kind.SPEC: SPEC.encode(),
        Kind.WEIGHTS: saved(lambda path: write_weights(path, {"lstm/bias": np.zeros(8)}), folder, "a.safetensors"),
        Kind.DATA: saved(lambda path: np.savez(path, x=np.zeros(2)), folder, "a.npz"),
        Kind.KERAS: archive("metadata.json", "config.json", "model.weights.h5"),
        Kind.PYTORCH: archive("archive/data.pkl", "archive/version"),
        Kind.TFLITE: struct.pack("<I", 28) + b"TFL3" + bytes(20),
    }


def test_each_kind_is_known_whatever_its_name(contents: dict[Kind, bytes]) -> None:
    for kind, content in contents.items():
        assert kind_of("file", content) is kind
        if kind is not Kind.SPEC:
            assert kind_of("file.rnn", content) is kind
            assert kind_of("file.rnnc", content) is kind
    assert kind_of("old.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)) is Kind.KERAS
    assert kind_of("old", pickle.dumps({"a": 1}, protocol=2)) is Kind.PYTORCH
    assert kind_of("array", saved_array()) is Kind.DATA
    assert kind_of("net.onnx", b"\x08\x07") is Kind.ONNX
    assert kind_of("net.py", b"import keras\nmodel = None\n") is Kind.PYTHON
    assert kind_of("spec.rnnc", SPEC.encode()) is Kind.SPEC
    assert kind_of("spec.txt", b"nothing") is None
    assert kind_of("spec.txt", b"") is None
    assert kind_of("some.zip", archive("a.txt")) is None


def saved_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2))
    return buffer.getvalue()


def test_where_a_spec_is_expected(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.rnn"
    for kind, content in contents.items():
        path.write_bytes(content)
        if kind is Kind.SPEC:
            assert commands.check(path).model == "Small"
            continue
        for call in (commands.check, commands.inspect, compilation.compilation_of, commands.format, rnnspec.compile):
            with pytest.raises(SpecError) as raised:
                call(path)
            (told,) = raised.value.diagnostics
            assert (told.code, told.message) == ("E0016", f"this file is {kind.value}, not a spec")
            assert told.help


def test_a_text_that_is_no_spec_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    path.write_text(SPEC, encoding="utf-8")
    for call in (commands.check, rnnspec.compile):
        with pytest.raises(SpecError, match="this file is a Python file, not a spec"):
            call(path)


def test_what_is_imported(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    (tmp_path / "cells.rnn").write_bytes(contents[Kind.MODEL])
    (tmp_path / "model.rnn").write_text(f'import "cells.rnn"\n{SPEC}', encoding="utf-8")
    with pytest.raises(SpecError, match=r"`cells\.rnn` can't be imported: it is a compiled model, not a spec"):
        commands.check(tmp_path / "model.rnn")


def test_where_a_compiled_model_is_expected(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.rnnc"
    for kind, content in contents.items():
        path.write_bytes(content)
        if kind is Kind.MODEL:
            assert rnnspec.load(path).signature.model == "Small"
            continue
        with pytest.raises(ValueError) as raised:
            rnnspec.load(path)
        assert str(raised.value).startswith(f"{path}: it is {kind.value}, not a compiled model: ")


def test_a_damaged_model_stays_a_model(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.rnnc"
    path.write_bytes(contents[Kind.MODEL][:-40])
    with pytest.raises(ValueError, match="truncated, damaged"):
        rnnspec.load(path)


def test_where_weights_are_expected(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    for kind, content in contents.items():
        path.write_bytes(content)
        if kind is Kind.WEIGHTS:
            assert list(read_weights(path)) == ["lstm/bias"]
        elif kind is not Kind.SPEC:
            with pytest.raises(ValueError) as raised:
                read_weights(path)
            assert str(raised.value).startswith(f"{path}: it is {kind.value}, not weights: ")


def test_the_advice_on_model_files_works(contents: dict[Kind, bytes], tmp_path: Path) -> None:
    """A model file's spec and weights are the members that the advice names."""
    path = tmp_path / "a.rnnc"
    path.write_bytes(contents[Kind.MODEL])
    for call, place in ((commands.check, "model.rnn"), (read_weights, "weights.safetensors")):
        with pytest.raises(ValueError, match=f"unzip -p {path} {place}"):
            call(path)
        with zipfile.ZipFile(path) as opened:
            (tmp_path / place).write_bytes(opened.read(place))
        call(tmp_path / place)
