"""TorchScript's archives as models, traced and scripted, against torch. Run by `make interop`."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch import nn

from rnnspec.interop.graph.refusals import ImportRefused
from rnnspec.interop.importing import import_file, import_model, reader_options


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(x)
        return torch.softmax(self.out(y[:, -1]), dim=-1)


class Stacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, bidirectional=True, dropout=0.5)
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.gru(x.transpose(0, 1))[0].transpose(0, 1))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.norm = nn.LayerNorm(4)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, (h, _) = self.lstm(self.emb(ids))
        return self.norm(y).mean(dim=1), h[0]


class Windows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(3, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2))
        self.gru = nn.GRU(6, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, h = self.gru(self.front(x.transpose(1, 2)).transpose(1, 2))
        return h[-1]


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(3, 4, batch_first=True)
        self.side = nn.Linear(2, 4)

    def forward(self, x: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.rnn(x)[0] + self.side(side).unsqueeze(1))


pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")


class Step(nn.Module):
    """torch cuts a traced cell's gates into pieces and writes into each."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.cell(x, (h, c))


class Started(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> torch.Tensor:
        return self.gru(x, h)[0]


SEQUENCE = "float[batch, time, 3]"
CASES: dict[str, tuple[type[nn.Module], dict[str, str]]] = {
    "classifier": (Classifier, {"x": SEQUENCE}),
    "stacked": (Stacked, {"x": SEQUENCE}),
    "words": (Words, {"ids": "int[batch, time]"}),
    "windows": (Windows, {"x": SEQUENCE}),
    "step": (Step, {"x": "float[batch, 3]", "h": "float[batch, 4]", "c": "float[batch, 4]"}),
    "started": (Started, {"x": SEQUENCE}),
    "pair": (Pair, {"x": SEQUENCE, "side": "float[batch, 2]"}),
}


def saved(module: Any, path: Path) -> Path:
    module.save(str(path))
    return path


def samples(types: dict[str, str], steps: int) -> list[torch.Tensor]:
    sizes = {"batch": 2, "time": steps, "2": 2, "3": 3, "4": 4}
    made: list[torch.Tensor] = []
    for text in types.values():
        shape = [sizes[part.strip()] for part in text.partition("[")[2].rstrip("]").split(",")]
        made.append(torch.randint(0, 11, shape) if text.startswith("int") else torch.randn(shape))
    return made


def listed(given: Any) -> list[Any]:
    return [*given] if isinstance(given, (tuple, list)) else [given]


def compared(model: Any, module: nn.Module, given: list[torch.Tensor]) -> None:
    arrays = [each.numpy() for each in given]
    found: Any = model.predict(arrays if len(arrays) > 1 else arrays[0])
    with torch.no_grad():
        expected = module(*given)
    for ours, theirs in zip(listed(found), listed(expected), strict=True):
        tolerance = 1e-9 if ours.dtype == np.float64 else 2e-5
        assert ours.dtype == theirs.numpy().dtype
        np.testing.assert_allclose(ours, theirs.numpy(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["traced", "scripted"])
def test_an_archive_gives_what_torch_gives(name: str, form: str, tmp_path: Path) -> None:
    """For another number of steps than it was traced with, too."""
    torch.manual_seed(1)
    made, types = CASES[name]
    module = made().eval()
    script = torch.jit.trace(module, tuple(samples(types, 7))) if form == "traced" else torch.jit.script(module)
    model = import_model(saved(script, tmp_path / "net.pt"), inputs=types, trusted=True)
    assert [each.name for each in model.signature.inputs] == list(types)
    for steps in (7, 12):
        compared(model, module, samples(types, steps))


def test_weights_of_doubles_are_a_model_of_doubles(tmp_path: Path) -> None:
    module = Classifier().double().eval()
    path = saved(torch.jit.script(module), tmp_path / "net.pt")
    compared(import_model(path, inputs={"x": SEQUENCE}, trusted=True), module, [torch.randn(2, 5, 3).double()])


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.lstm(x)[0]
        if x.size(1) > 12:
            y = torch.tanh(y)
        return y


class Looping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(x.size(0), 4)
        for step in range(x.size(1)):
            h = torch.tanh(self.cell(torch.cat([x[:, step], h], 1)))
        return h


class Weighing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            x = torch.tanh(x)
        return x


class Shortest(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mul(x, float(min(x.size(1), 5)))


class Written(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.exp(x)
        y[:, :, 0] = 0.5
        return torch.tanh(y)


class Both(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(1) > 12:
            x = torch.tanh(x)
        if bool(x.sum() > 0):
            x = torch.relu(x)
        return x


REFUSED: list[tuple[nn.Module, list[str]]] = [
    (Branching(), [r"\(prim::If\) at `if x.size\(1\) > 12:`: a branch on a length"]),
    (Looping(), [r"\(prim::Loop\).*: a loop"]),
    (Weighing(), ["a branch on a number in a tensor"]),
    (Shortest(), [r"\(prim::min\).*: it makes of a length another number"]),
    (Written(), ["it writes into a tensor that is read by another name"]),
    (Both(), ["a branch on a length", "a branch on a number in a tensor"]),
]


@pytest.mark.parametrize(("module", "reasons"), REFUSED, ids=lambda each: type(each).__name__ if isinstance(each, nn.Module) else "")
def test_control_flow_by_lengths_or_numbers_is_refused(module: nn.Module, reasons: list[str], tmp_path: Path) -> None:
    """The branch that zeros of one length took would be wrong for others."""
    path = saved(torch.jit.script(module.eval()), tmp_path / "net.pt")
    with pytest.raises(ImportRefused) as caught:
        import_model(path, inputs={"x": SEQUENCE}, trusted=True)
    found = [str(each) for each in caught.value.findings]
    assert len(found) >= len(reasons)
    for reason in reasons:
        assert any(re.search(reason, each) for each in found), found


def test_a_number_that_a_trace_makes_of_a_length_is_refused(tmp_path: Path) -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : x.size(1) // 32 + 1]

    path = saved(torch.jit.trace(Half(), torch.randn(2, 7, 3)), tmp_path / "net.pt")
    with pytest.raises(ImportRefused, match="it makes of a"):
        import_model(path, inputs={"x": SEQUENCE}, trusted=True)


def test_checks_of_numbers_are_left_out_and_told(tmp_path: Path) -> None:
    class Checked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool(torch.any(torch.isnan(x))):
                raise ValueError("no number")
            return torch.tanh(x)

    path = saved(torch.jit.script(Checked()), tmp_path / "net.pt")
    options = reader_options(path, inputs={"x": SEQUENCE}, trusted=True)
    imported = import_file(path, None, options)
    assert any("a check of numbers, which raises an error, was left out" in note for note in imported.notes)


def test_sizes_that_a_trace_baked_in_are_refused(tmp_path: Path) -> None:
    class Baked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(2, 21)

    path = saved(torch.jit.trace(Baked(), torch.randn(2, 7, 3)), tmp_path / "net.pt")
    with pytest.raises(ImportRefused, match=r"torch can't make a program of it|depends on the length"):
        import_model(path, inputs={"x": SEQUENCE}, trusted=True)


def test_inputs_without_types_are_told_at_once(tmp_path: Path) -> None:
    path = saved(torch.jit.script(Pair().eval()), tmp_path / "net.pt")
    with pytest.raises(ImportRefused) as caught:
        import_model(path, inputs={"side": "floats"}, trusted=True)
    assert [each.place for each in caught.value.findings] == ["input x", "input side"]
    assert "--input x=float[batch, time, 3]" in str(caught.value) and "`floats` is no type" in str(caught.value)


def test_an_archive_is_refused_unless_trusted_and_sound(tmp_path: Path) -> None:
    path = saved(torch.jit.script(Pair().eval()), tmp_path / "net.pt")
    with pytest.raises(ImportRefused, match=r"a TorchScript archive, which is code, .*trusted=True"):
        import_model(path, inputs={"x": SEQUENCE, "side": "float[batch, 2]"})
    file = io.BytesIO()
    with ZipFile(path) as given, ZipFile(file, "w") as cut:
        for name in given.namelist():
            cut.writestr(name, given.read(name)[:20])
    path.write_bytes(file.getvalue())
    with pytest.raises(ImportRefused, match="torch can't load it"):
        import_model(path, inputs={"x": SEQUENCE, "side": "float[batch, 2]"}, trusted=True)


def test_the_command_takes_an_archive_and_its_types(tmp_path: Path) -> None:
    path = saved(torch.jit.script(Stacked().eval()), tmp_path / "net.pt")
    given = [str(path), "-o", str(tmp_path / "out"), "--trusted", "--input", f"x={SEQUENCE}"]
    subprocess.run([sys.executable, "-m", "rnnspec", "import", *given], check=True, capture_output=True)
    assert "input x: float[time, 3]" in (tmp_path / "out" / "model.rnn").read_text()
