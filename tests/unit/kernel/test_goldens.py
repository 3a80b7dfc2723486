"""The kernels of small models as text, after all passes of the pipelines that the driver runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rnnspec.kernel.printer import print_kernels
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, model, scheduled

GOLDEN = Path(__file__).parents[2] / "golden" / "kernel"

CASES: Mapping[str, tuple[str, str]] = {
    "simple_rnn": (model(3, "SimpleRNN(4)"), "forward"),
    "lstm": (model(3, "LSTM(4)"), "forward"),
    "lstm_record": (model(3, "LSTM(4)"), "record"),
    "lstm_backward": (model(3, "LSTM(4)"), "backward"),
    "gru": (model(3, "GRU(20, return_sequences = true)"), "forward"),
    "reset_before": (model(3, "ResetBefore(4)", cell=RESET_BEFORE), "forward"),
    "normed": (model(3, "Normed(4)", cell=NORMED), "forward"),
    "bidirectional": (model(3, "Bidirectional(SimpleRNN(4, return_sequences = true))", "SimpleRNN(2)"), "forward"),
    "bidirectional_backward": (model(3, "Bidirectional(SimpleRNN(4, return_sequences = true))", "SimpleRNN(2)"), "backward"),
    "embedding_record": (model("ids", "Embedding(6, 3, mask_zero = true)", "SimpleRNN(4)"), "record"),
    "embedding_backward": (model("ids", "Embedding(6, 3, mask_zero = true)", "SimpleRNN(4, return_sequences = true)"), "backward"),
    "softmax": (model(3, "SimpleRNN(4)", "Dense(3, activation = softmax)"), "forward"),
    "convolution": (model(3, "Conv1D(4, 2, strides = 2)", "MaxPooling1D(2, padding = same)"), "forward"),
    "convolution_backward": (model(3, "Conv1D(4, 2, strides = 2)"), "backward"),
    "attention": ("model Attends { input q: float[time, 4], v: float[words, 4] [q, v] -> Attention() }", "forward"),
    "permute": ("model Turned { input x: float[5, 3] Permute([2, 1]) Flatten() }", "forward"),
}


@pytest.mark.parametrize("name", CASES)
def test_text(name: str, regenerate: bool) -> None:
    printed = print_kernels(scheduled(*CASES[name]).module)
    path = GOLDEN / f"{name}.kernel"
    if regenerate:
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


def test_every_golden_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)
