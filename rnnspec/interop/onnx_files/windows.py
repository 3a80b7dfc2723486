"""Convolutions and poolings: windows over the steps of a sequence, with ONNX's padding as the language has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.onnx_files.elements import Entry
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node


@frozen
class Windows:
    """Windows of `size` steps, `dilation` apart, every `stride` steps, over a sequence with `pads` steps before and after it."""

    size: int
    stride: int
    dilation: int
    pads: tuple[int, int]

    @property
    def extent(self) -> int:
        """Steps from a window's first to its last."""
        return (self.size - 1) * self.dilation + 1

    def count(self, steps: int) -> int:
        """How many there are."""
        return (steps + sum(self.pads) - self.extent) // self.stride + 1

    def is_same(self, steps: int, *, is_open: bool) -> bool:
        """Whether Keras's `same` pads alike: of an open length only where the stride leaves no choice."""
        if self.stride != 1 and is_open:
            return False
        missing = max(0, (-(-steps // self.stride) - 1) * self.stride + self.extent - steps)
        return self.pads == (missing // 2, missing - missing // 2)

    @property
    def is_causal(self) -> bool:
        """Whether the pads are those of Keras's `causal`."""
        return self.pads == (self.extent - 1, 0) and self.extent > 1


def windows_of(node: Node, kernel_shape: tuple[int, ...], spatial: tuple[int, int], steps: int) -> Windows:
    """The windows of a node over one axis; `spatial`: which one, and how many there are, of which the others are of one element."""
    axis, count = spatial
    shape = node.wholes("kernel_shape") or kernel_shape
    strides = node.wholes("strides") or (1,) * count
    dilations = node.wholes("dilations") or (1,) * count
    pads = node.wholes("pads") or (0,) * (2 * count)
    if {len(shape), len(strides), len(dilations), len(pads) // 2} != {count}:
        raise Unfit(f"a kernel of {list(shape)} over {count} axes", "kernel_shape")
    if min((*shape, *strides, *dilations)) < 1 or min(pads) < 0:
        raise Unfit(f"{list(shape)}, {list(strides)}, {list(dilations)} and {list(pads)} make no windows", "kernel_shape")
    others = [place for place in range(count) if place != axis]
    if any(shape[place] != 1 or pads[place] or pads[count + place] for place in others):
        raise Unfit("windows over several axes", "kernel_shape")
    size, stride, dilation = shape[axis], strides[axis], dilations[axis]
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        missing = max(0, (-(-steps // stride) - 1) * stride + (size - 1) * dilation + 1 - steps)
        less = missing // 2
        around = (less, missing - less) if auto == "SAME_UPPER" else (missing - less, less)
    elif auto == "VALID":
        around = (0, 0)
    else:
        around = pads[axis], pads[count + axis]
    found = Windows(size, stride, dilation, around)
    if found.count(steps) < 1:
        raise Unfit(f"a sequence of {steps} steps has no window of {found.extent}")
    return found


def _auto_same(node: Node) -> bool:
    return node.text("auto_pad", "NOTSET") == "SAME_UPPER"


def convolution(layers: Layers, value: Entry, kernel: Array, bias: Array | None, windows: Windows, node: Node) -> Entry:
    """A Conv1D; `kernel` as ONNX has it, (filters, features, size)."""
    sequence = layers.sequence(value, node)
    arguments: dict[str, Value] = {"filters": kernel.shape[0], "kernel_size": windows.size, "strides": windows.stride}
    sequence, padding = _padded(layers, sequence, windows, node)
    arguments |= {"padding": padding, "dilation_rate": windows.dilation, "use_bias": bias is not None}
    weights: dict[str, Any] = {"kernel": np.ascontiguousarray(kernel.transpose(2, 1, 0))}
    if bias is not None:
        weights["bias"] = bias
    result = windows.count(value.steps), kernel.shape[0]
    made = layers.add("Conv1D", arguments, [sequence], result, node, weights=weights, is_open=value.is_open)
    return layers.as_row(made, node)


def _padded(layers: Layers, sequence: Entry, windows: Windows, node: Node) -> tuple[Entry, Value]:
    if not any(windows.pads):
        return sequence, layers.word("valid")
    if windows.is_same(sequence.steps, is_open=sequence.is_open and not _auto_same(node)):
        return sequence, layers.word("same")
    if windows.is_causal:
        return sequence, layers.word("causal")
    return zero_padded(layers, sequence, windows.pads, node), layers.word("valid")


def zero_padded(layers: Layers, sequence: Entry, pads: tuple[int, int], node: Node) -> Entry:
    """Zeros before a sequence and after it."""
    result = sequence.steps + sum(pads), sequence.features
    return layers.add("ZeroPadding1D", {"padding": pads}, [sequence], result, node, is_open=sequence.is_open)


def pooling(layers: Layers, value: Entry, windows: Windows, node: Node) -> Entry:
    """A MaxPooling1D or an AveragePooling1D."""
    sequence = layers.sequence(value, node)
    if windows.dilation != 1:
        raise Unfit("windows of steps that are apart", "dilations")
    if node.whole("ceil_mode", 0) and (sequence.steps + sum(windows.pads) - windows.size) % windows.stride:
        raise Unfit("a window over the end of the sequence", "ceil_mode")
    if node.whole("ceil_mode", 0) and sequence.is_open:
        raise Unfit("the number of windows is rounded up, and the length isn't fixed", "ceil_mode")
    counted = node.op == "AveragePool" and bool(node.whole("count_include_pad", 0))
    arguments: dict[str, Value] = {"pool_size": windows.size, "strides": windows.stride}
    padding: Value = layers.word("valid")
    if any(windows.pads):
        auto = sequence.is_open and not _auto_same(node)
        if counted:
            sequence = zero_padded(layers, sequence, windows.pads, node)
        elif windows.is_same(sequence.steps, is_open=auto):
            padding = layers.word("same")
        else:
            raise Unfit(f"pads of {list(windows.pads)}, which neither `valid` nor `same` has", "pads")
    kind = "MaxPooling1D" if node.op == "MaxPool" else "AveragePooling1D"
    arguments["padding"] = padding
    result = windows.count(value.steps), value.features
    return layers.as_row(layers.add(kind, arguments, [sequence], result, node, is_open=value.is_open), node)


def normalization(layers: Layers, value: Entry, weights: Mapping[str, Array], epsilon: float, node: Node) -> Entry:
    """A BatchNormalization with its moving moments."""
    return layers.add(
        "BatchNormalization", {"epsilon": epsilon}, [value], (value.steps, value.features), node, weights=weights, is_open=value.is_open
    )
