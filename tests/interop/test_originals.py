"""Imports and exports that are compared with what Keras, ONNX Runtime and PyTorch make of the files."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rnnspec
from rnnspec.interop import exporting, importing
from rnnspec.interop.originals.original import CantRun
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


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.onnx")), ids=lambda path: path.stem)
def test_onnx_runtime_gives_what_its_import_gives(path: Path) -> None:
    options = importing.reader_options(path)
    imported = importing.import_file(path, None, options)
    assert importing.run(imported, path, options, 2e-5)[1] <= 2e-5


def test_files_that_keras_itself_refuses(tmp_path: Path) -> None:
    """The old format has no operations between layers."""
    path = unpacked("operations", "h5", tmp_path)
    options = importing.reader_options(path)
    with pytest.raises(CantRun, match=r"Keras .* doesn't load the file \(.*\): compute outputs with the original"):
        importing.run(importing.import_file(path, None, options), path, options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")
def test_convolutions_that_look_at_parts(tmp_path: Path) -> None:
    import keras

    twice, x = keras.layers.SeparableConv1D(4, 3, padding="same", depth_multiplier=2), keras.Input((30, 4))
    layers = [keras.layers.DepthwiseConv1D(3, strides=2, depth_multiplier=2), keras.layers.Conv1D(6, 3, groups=2), keras.layers.GRU(5)]
    flow = twice(twice(x))
    for layer in layers:
        flow = layer(flow)
    keras.Model(x, flow).save(tmp_path / "parts.keras")
    options = importing.reader_options(tmp_path / "parts.keras")
    imported = importing.import_file(tmp_path / "parts.keras", None, options)
    assert importing.run(imported, tmp_path / "parts.keras", options, 2e-5)[1] <= 2e-5
    assert sum("zeros where a filter doesn't look" in note for note in imported.notes) == 3


TORCH = """
import sys, torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.linear = nn.Embedding(11, 5), nn.LSTM(5, 6, bidirectional=True), nn.Linear(12, 4)

    def forward(self, ids, *, extra):
        steps, (h, _) = self.lstm(self.embedding(ids))
        return self.linear(steps) + extra, h


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.linear = nn.LSTMCell(3, 6), nn.Linear(6, 4)

    def forward(self, x, h_in, c_in):
        h, c = self.cell(x, (h_in, c_in))
        return self.linear(h), h, c


class Loud(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 6, batch_first=True)

    def forward(self, x):
        return torch.tanh(self.gru(x)[0]).double()


torch.manual_seed(0)
folder = sys.argv[1]
given = (torch.zeros(5, 2, dtype=torch.int64),), {"extra": torch.zeros(2, 4)}
torch.export.save(torch.export.export(Tagger().eval(), *given), f"{folder}/tagger.pt2")
rows = torch.zeros(1, 3), torch.zeros(1, 6), torch.zeros(1, 6)
torch.export.save(torch.export.export(Step().eval(), rows), f"{folder}/step.pt2")
torch.jit.script(Loud().eval()).save(f"{folder}/loud.pt")
"""


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("torch") is None:
        pytest.skip("torch isn't installed")
    folder = tmp_path_factory.mktemp("torch")
    program = folder / "program.py"  # torch compiles a script from its file
    program.write_text(TORCH)
    subprocess.run([sys.executable, "-W", "ignore", program, folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(("name", "inputs"), [
    ("tagger.pt2", {}), ("step.pt2", {}), ("loud.pt", {"x": "float[batch, time, 3]"}), ("loud.pt", {"x": "float[1, 4, 3]"}),
])  # fmt: skip
def test_torch_gives_what_its_import_gives(name: str, inputs: dict[str, str], torch_files: Path) -> None:
    path = torch_files / name
    options = importing.reader_options(path, inputs=inputs, trusted=True)
    imported = importing.import_file(path, None, options)
    proof, difference = importing.run(imported, path, options)
    assert set(proof.outputs) == {each.name for each in imported.model.signature.outputs} and difference <= 2e-5


EXPORTED = """model Words {
    input ids: int[time]
    input extra: float[2]

    words = ids -> Embedding(11, 5, mask_zero = true)
    steps = words -> Bidirectional(LSTM(4, return_sequences = true))
    last = steps -> GRU(3)
    sums = [last, extra] -> Concatenate() -> Dense(4, activation = "softmax")
    output sums, steps
}
"""


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("ending", "package"), [(".keras", "keras"), (".onnx", "onnxruntime"), (".py", "torch")])
def test_frameworks_give_what_was_exported(ending: str, package: str, dtype: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} isn't installed")
    model = rnnspec.compile(EXPORTED, dtype=dtype, seed=2)
    exporting.export_model(model, tmp_path / f"words{ending}")
    assert exporting.run(model, tmp_path / f"words{ending}") <= 2e-5


def test_export_says_that_the_file_gives_the_same(tmp_path: Path) -> None:
    rnnspec.compile(EXPORTED, seed=2).save(tmp_path / "words.rnnc")
    command = [sys.executable, "-m", "rnnspec", "export", tmp_path / "words.rnnc", "--to", "onnx", "--run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the outputs are the model's: they differ by" in done.stderr


def test_the_command_writes_the_proof(tmp_path: Path) -> None:
    path = unpacked(models()[0], "keras", tmp_path)
    command = [sys.executable, "-m", "rnnspec", "import", path, "-o", tmp_path / "model.rnnc", "--run", "--tolerance", "2e-5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the outputs are the original's: they differ by" in done.stderr
    rnnspec.load(tmp_path / "model.rnnc", self_test=True)
