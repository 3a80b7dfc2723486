"""Strategies: chains of layers of the standard library's cells, with a batch; `models` draws whole specs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.specs import Layer, bidirectional, make

CELLS = st.sampled_from(["SimpleRNN", "LSTM", "GRU"])
UNITS = st.sampled_from([1, 2, 3, 5, 8, 16, 17])
"""Around what fills vectors of 2 to 16 lanes."""
SMOOTH = st.sampled_from(["linear", "tanh", "sigmoid", "softmax", "softplus", "silu", "gelu", "exponential"])
"""Activations without a kink that a complex step could straddle; relu and its kin have fixtures."""
VOCABULARY = 5


@st.composite
def cell(draw: st.DrawFn, sequences: bool) -> Layer:
    layer = make(draw(CELLS), units=draw(UNITS))
    if sequences:
        layer["return_sequences"] = True
    if draw(st.booleans()):
        layer["go_backwards"] = True
    if draw(st.booleans()):
        layer["zero_output_for_mask"] = True
    if draw(st.integers(0, 3)) == 0:
        layer["use_bias"] = False
    return layer


@st.composite
def recurrent(draw: st.DrawFn, sequences: bool) -> Layer:
    if draw(st.booleans()):
        return draw(cell(sequences))
    inner = {key: value for key, value in draw(cell(sequences)).items() if key not in ("go_backwards", "zero_output_for_mask")}
    return bidirectional(inner, merge_mode=draw(st.sampled_from(["concat", "sum", "mul", "ave"])))


DENSE = st.builds(lambda units, activation: make("Dense", units=units, activation=activation), UNITS, SMOOTH)


@st.composite
def windows(draw: st.DrawFn) -> Layer:
    """A layer of windows that hands the mask on."""
    name = draw(st.sampled_from(["Conv1D", "Conv1D", "MaxPooling1D", "AveragePooling1D"]))
    is_pooling = name != "Conv1D"
    layer = make(name, carry_mask=True, padding=draw(st.sampled_from(["valid", "same", *([] if is_pooling else ["causal"])])))
    layer["pool_size" if is_pooling else "kernel_size"] = draw(st.integers(1, 4))
    layer["strides"] = draw(st.integers(1, 3))
    if not is_pooling:
        layer |= {"filters": draw(UNITS), "activation": draw(SMOOTH)}
        if layer["strides"] == 1:
            layer["dilation_rate"] = draw(st.integers(1, 4))
    return layer


@dataclass(frozen=True)
class Drawn:
    """A model with a batch for it; `mask` is the caller's own, None for none: what it masks is 0 here."""

    layers: list[Layer]
    of_input: str
    x: np.ndarray
    mask: np.ndarray | None
    seed: int


@st.composite
def drawn_models(draw: st.DrawFn) -> Drawn:
    batch, time, features = draw(st.integers(0, 5)), draw(st.integers(0, 6)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    masked = random.random((batch, time)) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    layers: list[Layer] = []
    if draw(st.booleans()):
        of_input, x = "int[time]", random.integers(1, VOCABULARY, (batch, time)).astype(np.int32)
        layers.append(make("Embedding", input_dim=VOCABULARY, output_dim=features, mask_zero=draw(st.booleans())))
        x[masked] = 0
    else:
        of_input, x = f"float[time, {features}]", random.normal(size=(batch, time, features))
        if draw(st.booleans()):
            layers.append(make("Masking", mask_value=0.0))
            x[masked] = 0.0
    mask = ~masked if draw(st.booleans()) else None
    if mask is not None and x.dtype.kind == "f":
        x[masked] = 0.0
    layers += draw(st.lists(st.one_of(recurrent(True), DENSE), max_size=2))
    layers += draw(st.lists(recurrent(False), min_size=0 if layers else 1, max_size=1))
    layers += draw(st.lists(DENSE, max_size=1))
    return Drawn(layers, of_input, x, mask, seed)


@st.composite
def windowed_models(draw: st.DrawFn) -> Drawn:
    """Windows that hand the mask on, cells between them, over samples with holes; all of them have a real step at both ends."""
    batch, time, features = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    lengths = random.integers(1, time + 1, batch)
    mask = random.random((batch, time)) < draw(st.sampled_from([1.0, 0.8, 0.5]))
    mask &= np.arange(time) < lengths[:, None]
    mask[:, 0] = mask[np.arange(batch), lengths - 1] = True
    layers: list[Layer] = []
    if draw(st.booleans()):
        of_input, x = "int[time]", random.integers(1, VOCABULARY, (batch, time)).astype(np.int32)
        layers.append(make("Embedding", input_dim=VOCABULARY, output_dim=features, mask_zero=True))
    else:
        of_input, x = f"float[time, {features}]", random.normal(size=(batch, time, features))
    x[~mask] = 0
    layers += draw(st.lists(recurrent(True), max_size=1))
    layers += draw(st.lists(windows(), min_size=1, max_size=2))
    layers += draw(st.lists(st.one_of(recurrent(True), windows(), DENSE), max_size=2))
    layers.append(draw(st.one_of(recurrent(False), st.sampled_from([make("GlobalAveragePooling1D"), make("GlobalMaxPooling1D")]))))
    return Drawn(layers, of_input, x, mask, seed)
