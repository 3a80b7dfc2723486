"""The weights that a layer of Keras has, by name and in the order in which its files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value, Word

_GATES = {"LSTM": (0, 2, 1, 3), "GRU": (0, 1, 2)}
"""The places of a layer's gates in files of Keras 1, in the order of Keras 2: LSTM's are i, c, f, o there, GRU's z, r, h."""


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


def as_keras_2(layer: str, arguments: Mapping[str, Value], arrays: Sequence[Array], flipped: bool) -> list[Array]:
    """Weights as Keras 2 has them, of files of Keras 1 too, which have an array for each gate and kernels of four axes.

    `flipped`: whether kernels of convolutions are Theano's. ValueError for arrays that are no layer's.
    Source: `preprocess_weights_for_loading` in tf_keras/src/saving/legacy/hdf5_format.py.
    """
    inner, backward = arguments.get("layer"), arguments.get("backward_layer")
    if layer == "Bidirectional" and isinstance(inner, Word):
        other = backward if isinstance(backward, Word) else inner
        half = len(arrays) // 2
        parts = ((inner, arrays[:half]), (other, arrays[half:]))
        return [array for word, each in parts for array in as_keras_2(word.name, dict(word.arguments), each, flipped)]
    if layer == "TimeDistributed" and isinstance(inner, Word):
        return as_keras_2(inner.name, dict(inner.arguments), arrays, flipped)
    if layer in _GATES and len(arrays) == 3 * len(_GATES[layer]):
        return [np.concatenate([arrays[3 * gate + part] for gate in _GATES[layer]], axis=-1) for part in range(3)]
    if layer == "Conv1D" and arrays:
        kernel = arrays[0]
        if kernel.ndim == 4:
            size = arguments.get("kernel_size")
            kernel = kernel if kernel.shape[:2] == (size, 1) else np.transpose(kernel, (2, 3, 1, 0))
            kernel = kernel[:, 0]
        return [np.ascontiguousarray(kernel[::-1]) if flipped else kernel, *arrays[1:]]
    return list(arrays)
