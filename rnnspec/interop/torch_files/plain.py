"""Modules without states by their weights' names and shapes: PyTorch's, Flax's and Haiku's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.cells import RMS_NORM
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import Layer, Part
from rnnspec.interop.torch_files.tree import Node


@frozen
class _Defaults:
    """What is a framework's where nothing is said: `of_layers`, `of_rms` the epsilons of LayerNorm and RMSNorm. No file has them."""

    of_layers: float
    of_rms: float
    momentum: float


_TORCH = _Defaults(1e-5, float(np.finfo(np.float32).eps), 0.9)
_FLAX = _Defaults(1e-6, 1e-6, 0.99)
_HAIKU = _Defaults(1e-5, 1e-5, 0.99)

BATCH_EPSILON = 1e-5
"""Of all three."""

_SPELLINGS = {"w": "kernel", "b": "bias", "offset": "bias", "embeddings": "embedding", "mean": "running_mean", "var": "running_var"}
"""Flax's and Haiku's words that mean the same."""


_ONE_A_FEATURE = (
    "its one number for each feature may be an RMSNorm's, unless its name has `rms` in it, a LayerNorm's without a bias, or a PReLU's; a "
    "spec of yours decides: --into spec.rnn"
)

_OTHER_MODULES: Mapping[str, tuple[int, str]] = {
    r"group_?norm|^gn_?\d*$": (1, "a GroupNorm's mean is over groups of features and all steps, which no layer here has"),
    r"batch_?norm|^bn_?\d*$": (1, "its moving statistics aren't in the file, as a BatchNorm's have to be"),
    r"instance_?norm": (1, "an InstanceNorm's mean is over all steps of each feature, which no layer here has"),
    r"transpose|deconv|upconv": (3, "no layer here is a transposed convolution"),
    r"bilinear": (3, "no layer here is a bilinear one"),
}
"""By patterns of names the axes of the weight, and why a module isn't what its weights' shapes are taken for."""


def plain(node: Node, findings: Findings) -> list[Part] | None:
    """A module of one or two arrays, such as `Linear`; None for another one."""
    arrays = {_SPELLINGS.get(name, name): value for name, value in node.arrays.items() if name != "num_batches_tracked"}
    names = set(arrays)
    if not names:
        return None
    if {"running_mean", "running_var"} <= names:
        return _batch_norm(node.path, arrays, _defaults(node), findings)
    weight = arrays.get("weight", arrays.get("kernel", arrays.get("scale", arrays.get("embedding", arrays.get("alpha")))))
    if weight is None or not names <= {"weight", "kernel", "scale", "embedding", "bias", "alpha"}:
        return None
    for pattern, (axes, reason) in _OTHER_MODULES.items():
        if weight.ndim == axes and re.search(pattern, _own_name(node.path)):
            findings.add(node.path, "", reason)
            return []
    bias = arrays.get("bias")
    by_columns = "kernel" in arrays
    match weight.ndim:
        case 1 if "kernel" not in names and (bias is None or bias.shape == weight.shape):
            return [_of_features(node.path, weight, bias, _defaults(node))]
        case 2:
            turned = weight.T if by_columns else weight
            if bias is not None and bias.shape != (turned.shape[0],):
                findings.add(node.path, "bias", f"it has the shape {bias.shape}, where the weight has {weight.shape}")
                return []
            return [_of_matrix(node.path, turned, bias, can_be_table=not by_columns, is_table="embedding" in arrays)]
        case 3:
            kernel = weight if by_columns else weight.transpose(2, 1, 0)
            if bias is not None and bias.shape != (kernel.shape[2],):
                findings.add(node.path, "bias", f"it has the shape {bias.shape}, where the weight has {weight.shape}: not a Conv1d")
                return []
            return [_convolution(node.path, kernel, bias)]
        case _:
            findings.add(node.path, "weight", f"there is no layer with a weight of the shape {weight.shape}")
            return []


def dense(rows: Array, bias: Array | None) -> Layer:
    """A `Linear`, whose weight has a row for each unit."""
    arguments: dict[str, Value] = {"units": rows.shape[0]}
    weights = {"kernel": np.ascontiguousarray(rows.T)}
    if bias is None:
        return Layer("Dense", arguments | {"use_bias": False}, weights)
    return Layer("Dense", arguments, weights | {"bias": bias})


def _defaults(node: Node) -> _Defaults:
    """Of the framework whose names a normalisation's arrays have."""
    if "offset" in node.arrays:
        return _HAIKU
    return _FLAX if {"scale", "mean", "var"} & set(node.arrays) else _TORCH


def _own_name(path: str) -> str:
    """The last part of a path that isn't a number, as those of a `Sequential` are."""
    return next((part for part in reversed(path.lower().split(".")) if not part.isdecimal()), "")


def _of_matrix(path: str, rows: Array, bias: Array | None, *, can_be_table: bool, is_table: bool) -> Part:
    """`Linear`, or an `Embedding`, whose table has the same name and as many axes as the weight of a `Linear` without a bias."""
    linear = dense(rows, bias)
    if bias is not None or not can_be_table:
        return Part(path, (linear,), rows.shape[1], rows.shape[0])
    table = Layer("Embedding", {"input_dim": rows.shape[0], "output_dim": rows.shape[1]}, {"embeddings": np.ascontiguousarray(rows)})
    if is_table:
        return Part(path, (table,), None, rows.shape[1])
    if any(word in path.lower() for word in ("emb", "lookup", "wte", "wpe", "token", "vocab")):
        return Part(path, (table, linear), None, rows.shape[1])
    return Part(path, (linear, table), rows.shape[1], rows.shape[0])


def _of_features(path: str, weight: Array, bias: Array | None, defaults: _Defaults) -> Part:
    """A number for each feature: `LayerNorm`, `RMSNorm` or `PReLU`.

    Keras's `rms_scaling` isn't an RMSNorm, which is a cell here: it divides by the deviation from the mean.
    """
    width = weight.shape[0]
    if bias is not None:
        normalised = _without_what_does_nothing(
            Layer("LayerNormalization", {"epsilon": defaults.of_layers}, {"gamma": weight, "beta": bias})
        )
        return Part(path, normalised, width, width, "eps")
    unbiased = Layer("LayerNormalization", {"epsilon": defaults.of_layers, "center": False}, {"gamma": weight})
    leaky = (
        Layer("PReLU", {"shared_axes": (1,) if width > 1 else (1, 2)}, {"alpha": weight[None]}),
        Layer("PReLU", {}, {"alpha": weight}),
    )
    rms = Layer(RMS_NORM, {"epsilon": defaults.of_rms}, {"scale": weight})
    if "rms" in path.lower():
        return Part(path, (rms, unbiased, *leaky), width, width, "eps")
    if "relu" in path.lower() or width == 1:
        return Part(path, (*leaky, unbiased, rms), None if width == 1 else width, None, "whether it is a PReLU")
    return Part(path, (unbiased, rms, *leaky), width, width, refusal=_ONE_A_FEATURE)


def _batch_norm(path: str, arrays: dict[str, Array], defaults: _Defaults, findings: Findings) -> list[Part]:
    mean, variance = arrays["running_mean"], arrays["running_var"]
    gamma, beta = arrays.get("weight", arrays.get("scale")), arrays.get("bias")
    given = [each for each in (mean, variance, gamma, beta) if each is not None]
    if any(each.ndim != 1 or each.shape != mean.shape for each in given):
        findings.add(path, "", "it has names of a BatchNorm1d, and other shapes")
        return []
    arguments: dict[str, Value] = {"momentum": defaults.momentum, "epsilon": BATCH_EPSILON}
    weights: dict[str, Array] = {}
    for name, flag, value in (("gamma", "scale", gamma), ("beta", "center", beta)):
        if value is None:
            arguments[flag] = False
        else:
            weights[name] = value
    weights |= {"moving_mean": mean, "moving_variance": variance}
    found = _without_what_does_nothing(Layer("BatchNormalization", arguments, weights))
    return [Part(path, found, mean.shape[0], mean.shape[0], "eps, momentum")]


def _without_what_does_nothing(layer: Layer) -> tuple[Layer, ...]:
    """A normalisation, and the same without a scale of ones, an offset of zeros, or both."""
    found = [layer]
    for name, flag, neutral in (("gamma", "scale", 1), ("beta", "center", 0)):
        if name in layer.weights and (layer.weights[name] == neutral).all():
            found += [Layer(each.layer, {**each.arguments, flag: False}, _without(each.weights, name)) for each in found]
    return tuple(found)


def _without(weights: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {own: value for own, value in weights.items() if own != name}


def _convolution(path: str, kernel: Array, bias: Array | None) -> Part:
    size, features, filters = kernel.shape
    arguments: dict[str, Value] = {"filters": filters, "kernel_size": size}
    weights = {"kernel": np.ascontiguousarray(kernel)}
    if bias is None:
        arguments["use_bias"] = False
    else:
        weights["bias"] = bias
    return Part(path, (Layer("Conv1D", arguments, weights),), features, filters, "stride, padding, dilation, groups")
