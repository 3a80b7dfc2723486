"""Layers as a person would write them: biases and activations in the layer before, no layer whose result isn't used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value, ValueOf, Word
from rnnspec.interop.onnx_files.layer_values import Use

WITH_KERNELS = frozenset({"Dense", "Conv1D"})


def tidied(uses: Sequence[Use], outputs: Sequence[str]) -> list[Use]:
    """The layers that the outputs need, fewer of them where one says what two said."""
    kept = alive(uses, outputs)
    changed = True
    while changed:
        counts = Counter(key for each in kept for key in read_by(each)) + Counter(outputs)
        kept, changed = _joined(kept, counts)
    return [_with_layer(each) for each in kept]


def read_by(use: Use) -> list[str]:
    """The keys of all values that a layer reads."""
    return [*use.inputs, *_named(tuple(use.arguments.values()))]


def _named(value: Value) -> list[str]:
    match value:
        case ValueOf():
            return [value.key]
        case Word():
            return [key for _, each in value.arguments for key in _named(each)]
        case tuple():
            return [key for each in value for key in _named(each)]
        case _:
            return []


def alive(uses: Sequence[Use], outputs: Sequence[str]) -> list[Use]:
    """The layers that the outputs need."""
    wanted, kept = set(outputs), list[Use]()
    for each in reversed(uses):
        if wanted & set(each.outputs):
            wanted.update(read_by(each))
            kept.append(each)
    return kept[::-1]


def _joined(uses: Sequence[Use], counts: Mapping[str, int]) -> tuple[list[Use], bool]:
    """The layers with the first pair of them joined that can be."""
    maker = {key: place for place, each in enumerate(uses) for key in each.outputs}
    for place, use in enumerate(uses):
        before = maker.get(use.inputs[0]) if len(use.inputs) == 1 else None
        if before is None or counts[use.inputs[0]] != 1 or len(uses[before].outputs) != 1:
            continue
        joined = _join(uses[before], use)
        if joined is not None:
            rest = list(uses)
            rest[before] = joined
            del rest[place]
            return rest, True
    return list(uses), False


def _join(first: Use, second: Use) -> Use | None:
    outputs = second.outputs
    plain = first.layer in WITH_KERNELS and "activation" not in first.arguments and "trainable" not in first.arguments
    if second.affine is not None and plain and first.arguments.get("use_bias") is False:
        scale, shift = second.affine
        if scale is None and shift is not None:
            arguments = {**first.arguments, "use_bias": True}
            return replace(first, arguments=arguments, outputs=outputs, weights={**first.weights, "bias": shift})
    if second.affine is not None and first.layer == "LayerNormalization" and first.arguments.get("center") is False:
        scale, shift = _both((first.weights.get("gamma"), None), second.affine)
        weights = {name: array for name, array in (("gamma", scale), ("beta", shift)) if array is not None}
        arguments = {**first.arguments, "scale": scale is not None, "center": shift is not None}
        return replace(first, arguments=arguments, outputs=outputs, weights=weights)
    if second.layer == "Activation" and plain and second.affine is None:
        match second.arguments["activation"]:
            case Word("plus_number", (("number", float(number)),)) if first.arguments.get("use_bias") is False:
                bias = np.full(first.weights["kernel"].shape[-1], number, first.weights["kernel"].dtype)
                return replace(
                    first, arguments={**first.arguments, "use_bias": True}, outputs=outputs, weights={**first.weights, "bias": bias}
                )
            case _:
                pass
        return replace(first, arguments={**first.arguments, "activation": second.arguments["activation"]}, outputs=outputs)
    sequences = first.arguments.get("return_sequences") is True and "units" in first.arguments and first.layer != "Backwards"
    if second.layer == "Last" and sequences and not first.arguments.get("go_backwards"):
        arguments = {name: value for name, value in first.arguments.items() if name not in ("return_sequences", "zero_output_for_mask")}
        return replace(first, arguments=arguments, outputs=outputs)
    if first.affine is not None and second.affine is not None:
        return replace(first, affine=_both(first.affine, second.affine), outputs=outputs)
    return None


def _both(first: tuple[Array | None, Array | None], second: tuple[Array | None, Array | None]) -> tuple[Array | None, Array | None]:
    """One scale and shift after another."""
    scale = first[0] if second[0] is None else second[0] if first[0] is None else first[0] * second[0]
    moved = None if first[1] is None else first[1] if second[0] is None else first[1] * second[0]
    shift = moved if second[1] is None else second[1] if moved is None else moved + second[1]
    return scale, shift


def _with_layer(use: Use) -> Use:
    """A scale and a shift by features as the normalization that they are."""
    if use.affine is None:
        return use
    scale, shift = use.affine
    given = scale if scale is not None else shift
    assert given is not None
    weights = {
        "gamma": np.ones_like(given) if scale is None else scale,
        "beta": np.zeros_like(given) if shift is None else shift,
        "moving_mean": np.zeros_like(given),
        "moving_variance": np.ones_like(given),
    }
    return replace(use, layer="BatchNormalization", arguments={"epsilon": 0.0}, weights=weights, affine=None)
