"""Models as modules of PyTorch: the text is Python, the state dict comes back to the bit. `make interop` runs them in torch."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import Array
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.interop.graph.refusals import ExportRefused
from rnnspec.interop.importing import import_model
from rnnspec.interop.torch_export.exporter import TORCH
from rnnspec.source import SourceFile

OWN = """cell Leaky(units) {
  weight kernel [features, units] = glorot_uniform  weight u [units, units] = orthogonal  weight b [units] = zeros
  state h [units]
  h' = 0.5 * h + leaky_relu(layer_norm(x @ kernel) + h @ u + min(b, 0.3))
  return concat(h', -h) }
function layer_norm(v) { return (v - mean(v)) / sqrt(mean((v - mean(v)) * (v - mean(v))) + 0.001) }
"""

X = "input x: float[time, 3]"

CASES = {
    "lstm": f"{X}  LSTM(4)",
    "gru_steps": f"{X}  GRU(4, return_sequences = true)",
    "gru_before": f"{X}  GRU(4, reset_after = false)",
    "rnn": f"{X}  SimpleRNN(4, activation = relu, use_bias = false)",
    "both": f"{X}  Bidirectional(GRU(4, return_sequences = true))  Bidirectional(LSTM(3))",
    "both_summed": f"{X}  Masking()  Bidirectional(LSTM(4, return_sequences = true), merge_mode = sum)",
    "backwards": f"{X}  LSTM(4, go_backwards = true, return_sequences = true)  GRU(3, go_backwards = true)",
    "stack": f"{X}  Masking()  RNN([LSTM(3), GRU(4)], return_sequences = true)  Last()",
    "zeros": f"{X}  Masking()  GRU(4, return_sequences = true, zero_output_for_mask = true)  GlobalAveragePooling1D()",
    "own": f"{X}  Masking()  Leaky(3, return_sequences = true)  Leaky(2)",
    "activations": f"""{X}
        Dense(4, activation = gelu)  Dense(4, activation = softmax)  Dense(3, activation = softplus)  ELU()  Activation(mish)""",
    "convolutions": f"{X}  Conv1D(4, 3, strides = 2, padding = same, activation = relu)  MaxPooling1D(2, padding = same)",
    "causal": f"{X}  Conv1D(4, 2, padding = causal, dilation_rate = 2)  AveragePooling1D(2, 1, padding = same)  GlobalMaxPooling1D()",
    "normalisations": f"{X}  BatchNormalization(scale = false)  LayerNormalization(center = false)  UnitNormalization()  Dropout(0.5)",
    "steps": f"{X}  PReLU(shared_axes = [1])  UpSampling1D(2)  ZeroPadding1D(2)  Cropping1D([1, 2])  Slice(1, -1)  Slice(0, 2, axis = -1)",
    "attention": f"{X}  a = Dense(4)  [a, a] -> Attention(use_scale = true, use_causal_mask = true)  Softmax(axis = 1)",
    "shapes": "input x: float[6, 3]  Permute([2, 1])  Dense(4)  Reshape([4, 3])  Flatten()  RepeatVector(3)  GRU(2)",
    "answers": """input ids: int[time], x: float[steps, 3], s: float
        _, h, c = ids -> Embedding(9, 4, mask_zero = true) -> LSTM(3, return_state = true)
        shared again = LSTM(3, initial_state = [h, c])
        a = x -> again
        b = x -> Dense(3) -> Dense(3) -> again
        [a, b, s] -> Concatenate() -> Dense(1)
        up = Dense(2)
        [a, b] -> Multiply()
        down = Dense(2)
        output up, down""",
}


def exported(name: str, folder: Path, dtype: str = "float32") -> rnnspec.Model:
    """A model with weights that are all drawn, written to `net.py` and `net.pt`."""
    text = f"{OWN if name == 'own' else ''}model Case {{\n{CASES[name]}\n}}\n"
    model = rnnspec.compile(text, dtype=dtype, seed=1)
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(0.2, 0.8, value.shape) * (1 if "variance" in name else rng.choice([-1, 1])) for name, value in model.weights.items()]
    )
    TORCH.write(Given(model), folder / "net.py")
    return model


class Given:
    def __init__(self, model: rnnspec.Model) -> None:
        self.graph = resolve(parse(SourceFile("", model.source.text)), dict(model.source.parameters))
        self.weights, self.signature = dict(model.weights), model.signature


def x_of(model: rnnspec.Model) -> list[Array]:
    rng = np.random.default_rng(2)
    found: list[Array] = []
    for place, spec in enumerate(model.signature.inputs):
        shape = (3, *(extent if isinstance(extent, int) else 6 for extent in spec.shape))
        if spec.integer:
            values = rng.integers(1, 9, shape)
            values[0, 4:] = values[1, 2] = 0
        else:
            values = rng.normal(size=shape).astype(model.signature.dtype)
            if len(shape) == 3 and place == 0:
                values[0, 4:], values[1, 2], values[2] = 0, 0, 0
        found.append(values)
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    model = exported(name, tmp_path)
    ast.parse((tmp_path / "net.py").read_text(encoding="utf-8"))
    spec = tmp_path / "spec.rnn"
    spec.write_text(model.source.text, encoding="utf-8")
    again = import_model(tmp_path / "net.pt", into=spec)
    for (path, value), other in zip(model.weights.items(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(other, value, err_msg=path)


def test_modules_of_torch_stand_for_the_packages_cells_and_loops_for_others(tmp_path: Path) -> None:
    exported("both", tmp_path)
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    assert "self.bidirectional = nn.GRU(3, 4, batch_first=True, bidirectional=True)" in text and "def scan" not in text
    exported("own", tmp_path)
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    assert "class LeakyCell(nn.Module):" in text and "leaky, _, _ = scan(self.leaky, masking, mask=real)" in text


def test_what_cant_be_said_is_refused_at_once(tmp_path: Path) -> None:
    spec = f"model Case {{ {X}  Masking()  LSTM(3, stateful = true, return_sequences = true)  Conv1D(2, 2, carry_mask = true) }}"
    with pytest.raises(ExportRefused) as refusal:
        TORCH.write(Given(rnnspec.compile(spec, seed=1)), tmp_path / "net.py")
    assert "layer lstm, stateful: what one call leaves to the next" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_files_name_is_no_code(tmp_path: Path) -> None:
    model = rnnspec.compile(f"model Case {{ {X}  Dense(2) }}", seed=1)
    path = tmp_path / 'a"""; import os; """.py'
    TORCH.write(Given(model), path)
    assert [type(each).__name__ for each in ast.parse(path.read_text(encoding="utf-8")).body] == [
        "Expr",
        "Import",
        "ImportFrom",
        "ImportFrom",
        "ClassDef",
    ]
