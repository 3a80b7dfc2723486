"""The weights that a layer of Keras has, by name and in the order in which its files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value

RECURRENT = ("kernel", "recurrent_kernel", "bias")


def expected(layer: str, arguments: Mapping[str, Value]) -> tuple[str, ...]:
    """The names of a plain layer's weights; a cell of the library's is one. Empty for a layer without any."""

    def unless(name: str, weight: str, default: bool = True) -> tuple[str, ...]:
        return (weight,) if arguments.get(name, default) is True else ()

    match layer:
        case "Dense" | "Conv1D":
            return ("kernel", *unless("use_bias", "bias"))
        case "LSTM" | "GRU" | "SimpleRNN":
            return ("kernel", "recurrent_kernel", *unless("use_bias", "bias"))
        case "Embedding":
            return ("embeddings",)
        case "BatchNormalization":
            return (*unless("scale", "gamma"), *unless("center", "beta"), "moving_mean", "moving_variance")
        case "LayerNormalization":
            if arguments.get("rms_scaling") is True:
                return ("gamma",)
            return (*unless("scale", "gamma"), *unless("center", "beta"))
        case "PReLU":
            return ("alpha",)
        case "Attention":
            return unless("use_scale", "scale", False)
        case "Normalization":
            return () if arguments.get("mean") is not None else ("mean", "variance", "count")
        case _:
            return ()


def from_fused(cells: Sequence[Array], units: int) -> list[Array]:
    """Weights of CuDNNLSTM or CuDNNGRU as those of the plain layer: kernels turned gate by gate, biases of two halves.

    A gate's kernel lies in the file as its transpose, read line by line; a recurrent one is transposed.
    """
    kernel, recurrent, bias = cells
    gates = kernel.shape[1] // units
    parts = [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, axis=1)]
    turned = [part.T for part in np.split(recurrent, gates, axis=1)]
    halves = bias.reshape(2, -1)
    return [np.concatenate(parts, axis=1), np.concatenate(turned, axis=1), halves.sum(axis=0) if gates == 4 else halves]


def from_gates(layer: str, arrays: Sequence[Array]) -> list[Array]:
    """Weights of Keras 1, an array for each gate, as one for all gates: LSTM's are i, c, f, o there, GRU's z, r, h."""
    order = (0, 2, 1, 3) if layer == "LSTM" else (0, 1, 2)
    return [np.concatenate([arrays[3 * gate + part] for gate in order], axis=-1) for part in range(3)]
