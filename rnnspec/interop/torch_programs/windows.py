"""The calls of convolutions, poolings and normalisations over steps, as ONNX's nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.torch_programs.calls import Call


def _convolution(call: Call) -> str:
    if call.flag("transposed"):
        raise Unfit("a transposed convolution", "transposed")
    padding, dilation = call.get("padding", 0), call.wholes("dilation") or (1,)
    sizes = call.sizes("weight")[2:]
    if padding == "valid":
        pads = (0,) * (2 * len(sizes))
    elif padding == "same":
        around = [step * (size - 1) for size, step in zip(sizes, dilation * len(sizes), strict=False)]
        pads = (*(each // 2 for each in around), *(each - each // 2 for each in around))
    else:
        pads = (call.wholes("padding") or (0,) * len(sizes)) * 2
    bias = call.optional("bias")
    return call.one(
        "Conv",
        call.value("input"),
        call.value("weight"),
        *([] if bias is None else [bias]),
        kernel_shape=sizes,
        strides=call.wholes("stride") or (1,) * len(sizes),
        pads=pads,
        dilations=dilation,
        group=call.whole("groups", 1),
    )


_PADDINGS = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _padded(call: Call) -> str:
    """Pads of torch are pairs for each axis, the last axis first."""
    pads, mode = call.wholes("pad") or (), str(call.get("mode", "constant"))
    rank = len(call.shape_of("self"))
    if mode not in _PADDINGS or len(pads) % 2 or len(pads) > 2 * rank:
        raise Unfit(f"pads {list(pads)} in mode {mode:.40} of a tensor of {rank} axes", "pad")
    around = [(0, 0)] * (rank - len(pads) // 2) + [(pads[place], pads[place + 1]) for place in range(len(pads) - 2, -1, -2)]
    places = call.wholes_of([*(first for first, _ in around), *(last for _, last in around)])
    fill = 0.0 if call.get("value") is None else call.number("value", 0.0)
    return call.one("Pad", call.value("self"), places, call.named(fill, "value"), mode=_PADDINGS[mode])


def _pooling(op: str) -> Callable[[Call], str]:
    def made(call: Call) -> str:
        sizes = call.wholes("kernel_size") or ()
        attributes = {
            "kernel_shape": sizes,
            "strides": call.wholes("stride") or sizes,
            "pads": (call.wholes("padding") or (0,) * len(sizes)) * 2,
            "ceil_mode": int(call.flag("ceil_mode")),
        }
        if op == "MaxPool":
            attributes["dilations"] = call.wholes("dilation") or (1,) * len(sizes)
        else:
            attributes["count_include_pad"] = int(call.flag("count_include_pad", default=True))
        return call.one(op, call.value("self"), **attributes)

    return made


def _adaptive(op: str) -> Callable[[Call], str]:
    def made(call: Call) -> str:
        if call.wholes("output_size") != (1,):
            raise Unfit("an adaptive pooling to more than one step", "output_size")
        return call.one(op, call.value("self"), call.wholes_of([-1]), keepdims=1)

    return made


def _batch_norm(call: Call) -> str:
    mean, variance = call.optional("running_mean"), call.optional("running_var")
    if call.flag("training") or mean is None or variance is None:
        raise Unfit("a batch normalisation in training, or without moving statistics: export module.eval()", "training")
    (count,) = call.sizes("running_mean")
    kind = np.float64 if call.nodes.doubles else np.float32
    scale = call.optional("weight") or call.nodes.constant(np.ones(count, kind))
    shift = call.optional("bias") or call.nodes.constant(np.zeros(count, kind))
    epsilon = call.number("eps", 1e-5)
    return call.one("BatchNormalization", call.value("input"), scale, shift, mean, variance, epsilon=epsilon)


WINDOWS: Mapping[str, Callable[[Call], str]] = {
    **dict.fromkeys(("aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.convolution.default"), _convolution),
    **dict.fromkeys(("aten.max_pool1d.default", "aten.max_pool2d.default"), _pooling("MaxPool")),
    **dict.fromkeys(("aten.avg_pool1d.default", "aten.avg_pool2d.default"), _pooling("AveragePool")),
    **dict.fromkeys(("aten.pad.default", "aten.constant_pad_nd.default"), _padded),
    "aten.adaptive_avg_pool1d.default": _adaptive("ReduceMean"),
    "aten.adaptive_max_pool1d.default": _adaptive("ReduceMax"),
    "aten.batch_norm.default": _batch_norm,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
}
