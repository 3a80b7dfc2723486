"""Convolutions whose filters look at a part of the features, as plain ones: their kernels have zeros for the other features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.keras_files.archive import Config

DEPTHWISE, SEPARABLE, PLAIN = "DepthwiseConv1D", "SeparableConv1D", "Conv1D"


@frozen(eq=False)
class PlainConvolution:
    """A `Conv1D`: its settings, and its weights in their order."""

    settings: Config
    weights: tuple[Array, ...]


def looks_at_parts(kind: str, settings: Config) -> bool:
    """Whether a layer is such a convolution."""
    return kind in (DEPTHWISE, SEPARABLE) or (kind == PLAIN and settings.get("groups") not in (None, 1))


def plain_convolutions(kind: str, settings: Config, arrays: Sequence[Array]) -> tuple[PlainConvolution, ...]:
    """The convolutions, one behind the other. ValueError for arrays that aren't such a layer's."""
    wants = (2 if kind == SEPARABLE else 1) + (settings.get("use_bias", True) is not False)
    if len(arrays) != wants or arrays[0].ndim != 3:
        raise ValueError(f"expected {wants} arrays, a kernel of three axes first, found {len(arrays)}")
    if kind == PLAIN:
        groups = settings["groups"]
        if type(groups) is not int or groups < 1 or arrays[0].shape[2] % groups:
            raise ValueError(f"{arrays[0].shape[2]} filters in {groups!s:.40} groups")
        return (PlainConvolution({**settings, "groups": 1}, (in_groups(arrays[0], groups), *arrays[1:])),)
    size, features, multiplier = arrays[0].shape
    deep = in_groups(arrays[0].reshape(size, 1, features * multiplier), features)
    own = _without(settings, "depthwise_", "pointwise_", "depth_multiplier", "filters", "groups")
    if kind == DEPTHWISE:
        return (PlainConvolution({**own, "filters": deep.shape[2]}, (deep, *arrays[1:])),)
    first = {**_without(own, "bias_", "activation"), "filters": deep.shape[2], "use_bias": False}
    then = {**_without(own, "strides", "padding", "dilation_rate"), "filters": settings["filters"], "kernel_size": 1}
    return PlainConvolution(first, (deep,)), PlainConvolution(then, tuple(arrays[1:]))


def in_groups(kernel: Array, groups: int) -> Array:
    """A kernel (size, features of a group, filters) over the features of all groups, zero where a filter doesn't look."""
    size, inner, filters = kernel.shape
    wide = np.zeros((size, inner * groups, filters), kernel.dtype)
    for group in range(groups):
        columns = slice(group * filters // groups, (group + 1) * filters // groups)
        wide[:, group * inner : (group + 1) * inner, columns] = kernel[:, :, columns]
    return wide


def _without(settings: Mapping[str, Any], *beginnings: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if not key.startswith(beginnings)}
