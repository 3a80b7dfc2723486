"""Imports that are compared with their originals, run by Keras and by ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rnnspec
from rnnspec.interop import importing
from rnnspec.interop.originals import CantRun
from tests.interop_keras import models, unpacked
from tests.onnx_models import FIXTURES


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX computes models of float64 in float32
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize("name", models())
def test_keras_gives_what_its_import_gives(name: str, tmp_path: Path) -> None:
    path = unpacked(name, "keras", tmp_path)
    options = importing.reader_options(path)
    imported = importing.import_file(path, None, options)
    proof, difference = importing.run(imported, path, options, 2e-5)
    assert set(proof.outputs) == {each.name for each in imported.model.signature.outputs} and difference <= 2e-5


STEPS = {"lstm_step", "lstm_step_new", "own_step"}
"""Graphs of one step, whose states are inputs."""


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.onnx")), ids=lambda path: path.stem)
def test_onnx_runtime_gives_what_its_import_gives(path: Path) -> None:
    options = importing.reader_options(path)
    imported = importing.import_file(path, None, options)
    if path.stem in STEPS or imported.reordered:
        with pytest.raises(CantRun, match=r"further inputs, |^the axes of .* are others in the file than in the import: compute"):
            importing.run(imported, path, options)
    else:
        assert importing.run(imported, path, options, 2e-5)[1] <= 2e-5


def test_files_that_keras_itself_refuses(tmp_path: Path) -> None:
    """The old format has no operations between layers."""
    path = unpacked("operations", "h5", tmp_path)
    options = importing.reader_options(path)
    with pytest.raises(CantRun, match=r"Keras .* doesn't load the file \(.*\): compute outputs with the original"):
        importing.run(importing.import_file(path, None, options), path, options)


def test_the_command_writes_the_proof(tmp_path: Path) -> None:
    path = unpacked(models()[0], "keras", tmp_path)
    command = [sys.executable, "-m", "rnnspec", "import", path, "-o", tmp_path / "model.rnnc", "--run", "--tolerance", "2e-5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the outputs are the original's: they differ by" in done.stderr
    rnnspec.load(tmp_path / "model.rnnc", self_test=True)
