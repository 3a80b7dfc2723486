"""A tape that is stored in place, and fetched ahead, has the bits that one in buffers of its own has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec import Tuning
from rnnspec.driver.compilation import build
from rnnspec.kernel.cpu.prefetch import PrefetchTokens
from rnnspec.kernel.cpu.tape_aliasing import AliasTape
from rnnspec.kernel.pipeline import Kernels
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.source import SourceFile
from rnnspec.training.model import Model

LAYERS = {
    "LSTM": ("float[time, 5]", "LSTM(19, return_sequences = true)\n    Dense(3)"),
    "stack": ("float[time, 4]", "Bidirectional(LSTM(7, return_sequences = true))\n    GRU(17, return_sequences = true)\n    SimpleRNN(20)"),
    "normalized": (
        "float[time, 3]",
        "LSTM(9, return_sequences = true)\n    LayerNormalization()\n    Dense(8, activation = tanh)\n    GRU(3)",
    ),
    "words": ("int[time]", "Embedding(13, 20, mask_zero = true)\n    Bidirectional(LSTM(17))"),
    "rearranged": ("float[4, 3]", "LSTM(5, return_sequences = true)\n    Permute([2, 1])\n    Flatten()\n    Dense(2)"),
    "dropout": ("float[time, 3]", "LSTM(6, dropout = 0.3, return_sequences = true)\n    Dropout(0.5)\n    GRU(33)"),
}
"""`normalized` has stages over all tokens whose values take the place of what they read, `words` none that do."""


PASSES = {"alias_tape": AliasTape, "prefetch": PrefetchTokens}


def unchanged(_: object, kernels: Kernels) -> Kernels:
    return kernels


def made(name: str) -> Model:
    """Compiled here and now: what was compiled before isn't asked for."""
    of_input, layers = LAYERS[name]
    built = build(SourceFile.of_text(f"model Case {{\n    input x: {of_input}\n\n    {layers}\n}}\n"), {}, "float32")
    executable = NativeExecutable(built.signature, built.compilation.native, built.compilation.print)
    return Model(built.signature, executable, built.source, seed=3)


def bits(model: Model, x: NDArray[Any], mask: NDArray[np.bool_] | None) -> list[bytes]:
    """Of an output, and of the gradients of two backward calls on its tape, forwards and then backwards scaled."""
    output, tape = model.forward(x, mask=mask, record=True, training=True)
    found = [output.tobytes()]
    cotangent = np.random.default_rng(1).normal(size=output.shape).astype(np.float32)
    for scale in (1.0, -0.5, 1.0):
        gradients = model.backward(tape, cotangent * np.float32(scale))
        found += [gradient.tobytes() for gradient in (*gradients.weights.values(), *gradients.inputs.values())]
    return found


@pytest.mark.every(4)
@pytest.mark.parametrize("change", PASSES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_same_bits(name: str, threads: int, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    batch, time = 37, 4 if name == "rearranged" else 9
    x = random.integers(0, 13, (batch, time)).astype(np.int32)
    if name != "words":
        x = random.normal(size=(batch, time, int(LAYERS[name][0][-2]))).astype(np.float32)
    holes = None if name == "rearranged" else random.random((batch, time)) < 0.7
    changed = made(name)
    monkeypatch.setattr(PASSES[change], "run", unchanged)
    plain = made(name)
    for model in (changed, plain):
        model.threads = threads
        model.tuning = Tuning(least_saved_operations=0, spin_limit=1 << 40)
    for mask in (None, holes):
        assert bits(changed, x, mask) == bits(plain, x, mask)
