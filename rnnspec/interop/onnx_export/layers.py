"""Layers of rows and sequences as nodes, each by its class. Sequences are (batch, time, features), as the layer shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnspec.frontend.graph.graph import Application
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.activation import Activation, PReLU, StepSoftmax
from rnnspec.frontend.layers.attention import Attention, Dot
from rnnspec.frontend.layers.bidirectional import Bidirectional
from rnnspec.frontend.layers.convolution import Convolution
from rnnspec.frontend.layers.data_normalization import SMALLEST, Normalization
from rnnspec.frontend.layers.dense import Dense
from rnnspec.frontend.layers.dropout import Drawing
from rnnspec.frontend.layers.embedding import Embedding
from rnnspec.frontend.layers.last import Last
from rnnspec.frontend.layers.masking import Masking
from rnnspec.frontend.layers.merge import Merge, MergeKind
from rnnspec.frontend.layers.normalization import SHORTEST, BatchNormalization, LayerNormalization, UnitNormalization
from rnnspec.frontend.layers.number_of_steps import Cropping, UpSampling, ZeroPadding
from rnnspec.frontend.layers.pooling import GlobalPooling, LocalPooling, LocalPoolingKind, PoolingKind
from rnnspec.frontend.layers.recurrent import Recurrent
from rnnspec.frontend.layers.repeat import RepeatVector
from rnnspec.frontend.layers.reshape import Reshaping
from rnnspec.frontend.layers.slices import FeatureSlice, StepSlice
from rnnspec.frontend.layers.time_distributed import TimeDistributed
from rnnspec.frontend.layers.windows import WindowPadding, WindowShape
from rnnspec.interop.onnx_export import recurrent
from rnnspec.interop.onnx_export.model_writer import CantSay, ModelWriter

LayerWriter: TypeAlias = "Callable[[ModelWriter, Any, Application, list[str]], Sequence[str]]"
"""Writes a layer: of its operands' names, the names of its results."""


def _width(application: Application, place: int = 0) -> int:
    return application.operands[place].type.features


def _mask(m: ModelWriter, application: Application, place: int = 0) -> str | None:
    return m.mask(application.operands[place].type)


def _embedding(m: ModelWriter, layer: Embedding, application: Application, given: list[str]) -> Sequence[str]:
    return [m.writer.one("Gather", m.weight(layer.table), given[0], axis=0)]


def _masking(m: ModelWriter, layer: Masking, application: Application, given: list[str]) -> Sequence[str]:
    return [m.zeroed(given[0], m.mask(application.results[0].type))]


def _recurrent(m: ModelWriter, layer: Recurrent, application: Application, given: list[str]) -> Sequence[str]:
    return recurrent.written(m, layer, given, _mask(m, application))


def _bidirectional(m: ModelWriter, layer: Bidirectional, application: Application, given: list[str]) -> Sequence[str]:
    return recurrent.bidirectional(m, layer, given, _mask(m, application))


def _dense(m: ModelWriter, layer: Dense, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    if layer.bias is not None and not application.operands[0].type.sequence:
        result = w.one("Gemm", given[0], m.weight(layer.kernel), m.weight(layer.bias))
    else:
        result = w.one("MatMul", given[0], m.weight(layer.kernel))
        if layer.bias is not None:
            result = w.one("Add", result, m.weight(layer.bias))
    return [m.activated(layer.activation, result, layer.units)]


def _as_it_is(m: ModelWriter, layer: Layer, application: Application, given: list[str]) -> Sequence[str]:
    return [given[0]]


def _activation(m: ModelWriter, layer: Activation, application: Application, given: list[str]) -> Sequence[str]:
    return [m.activated(layer.activation, given[0], _width(application), library=layer.kind != "Activation")]


def _prelu(m: ModelWriter, layer: PReLU, application: Application, given: list[str]) -> Sequence[str]:
    return [m.writer.one("PRelu", given[0], m.weight(layer.alpha))]


def _step_softmax(m: ModelWriter, layer: StepSoftmax, application: Application, given: list[str]) -> Sequence[str]:
    w, mask = m.writer, _mask(m, application)
    if mask is None:
        return [w.one("Softmax", given[0], axis=1)]
    return [_masked_softmax(m, given[0], w.unsqueezed(mask, 2), 1)]


def _masked_softmax(m: ModelWriter, scores: str, mask: str, axis: int) -> str:
    """A softmax over what is real; 0 for what isn't, and where nothing is."""
    w = m.writer
    lowest = w.one("Where", mask, scores, w.constant(float(np.finfo(m.writer.dtype).min)))
    powers = w.one("Exp", w.one("Sub", lowest, w.reduce("ReduceMax", lowest, axis)))
    real = w.one("Where", mask, powers, w.constant(0.0))
    total = w.reduce("ReduceSum", real, axis)
    nothing = w.one("Equal", total, w.constant(0.0))
    return w.one("Div", real, w.one("Where", nothing, w.constant(1.0), total))


def _layer_norm(m: ModelWriter, layer: LayerNormalization, application: Application, given: list[str]) -> Sequence[str]:
    w, value = m.writer, given[0]
    if w.opset >= 17 and not layer.rms_scaling and layer.gamma is not None:
        inputs = [value, m.weight(layer.gamma), *([m.weight(layer.beta)] if layer.beta is not None else [])]
        return [w.one("LayerNormalization", *inputs, axis=-1, epsilon=layer.epsilon)]
    centred = w.one("Sub", value, w.reduce("ReduceMean", value, -1))
    variance = w.reduce("ReduceMean", w.one("Mul", centred, centred), -1)
    deviation = w.one("Sqrt", w.one("Add", variance, w.constant(layer.epsilon)))
    result = w.one("Div", value if layer.rms_scaling else centred, deviation)
    if layer.gamma is not None:
        result = w.one("Mul", result, m.weight(layer.gamma))
    return [result if layer.beta is None else w.one("Add", result, m.weight(layer.beta))]


def _batch_norm(m: ModelWriter, layer: BatchNormalization, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    mean, variance = m.numbers(layer.moving_mean), m.numbers(layer.moving_variance)
    gamma = np.ones_like(mean) if layer.gamma is None else m.numbers(layer.gamma)
    beta = np.zeros_like(mean) if layer.beta is None else m.numbers(layer.beta)
    rows = zip(("gamma", "beta", "moving_mean", "moving_variance"), (gamma, beta, mean, variance), strict=True)
    weights = [w.weight(f"{layer.name}/{name}", row) for name, row in rows]
    sequence = application.operands[0].type.sequence
    value = w.transposed(given[0], 0, 2, 1) if sequence else given[0]
    result = w.one("BatchNormalization", value, *weights, epsilon=layer.epsilon)
    return [w.transposed(result, 0, 2, 1) if sequence else result]


def _normalization(m: ModelWriter, layer: Normalization, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    if layer.given is not None:
        moments = [
            w.weight(f"{layer.name}/{name}", np.asarray(each, w.dtype))
            for name, each in zip(("mean", "variance"), layer.given, strict=True)
        ]
    elif layer.mean is not None and layer.variance is not None:
        moments = [m.weight(layer.mean), m.weight(layer.variance)]
    else:
        raise CantSay("it has no moments")
    middle, scale = moments[0], w.one("Max", w.one("Sqrt", moments[1]), w.constant(SMALLEST))
    if layer.invert:
        return [w.one("Add", w.one("Mul", given[0], scale), middle)]
    return [w.one("Div", w.one("Sub", given[0], middle), scale)]


def _unit_norm(m: ModelWriter, layer: UnitNormalization, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    squares = w.reduce("ReduceSum", w.one("Mul", given[0], given[0]), -1)
    return [w.one("Div", given[0], w.one("Sqrt", w.one("Max", squares, w.constant(SHORTEST * SHORTEST))))]


def _windows(window: WindowShape) -> dict[str, Any]:
    """The attributes of a node's windows."""
    made: dict[str, Any] = {"kernel_shape": [window.size], "strides": [window.stride]}
    match window.padding:
        case WindowPadding.SAME:
            made["auto_pad"] = "SAME_UPPER"
        case WindowPadding.CAUSAL:
            made["pads"] = [window.span - 1, 0]
        case WindowPadding.VALID:
            pass
    return made


def _unmasked(m: ModelWriter, application: Application, carry_mask: bool) -> None:
    if carry_mask and _mask(m, application) is not None:
        raise CantSay("windows that leave masked steps out have no node", "carry_mask")


def _convolution(m: ModelWriter, layer: Convolution, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    _unmasked(m, application, layer.carry_mask)
    kernel = w.weight(layer.kernel.path, m.numbers(layer.kernel).transpose(2, 1, 0))
    inputs = [w.transposed(given[0], 0, 2, 1), kernel, *([m.weight(layer.bias)] if layer.bias is not None else [])]
    attributes = _windows(layer.window)
    if layer.window.dilation != 1:
        attributes["dilations"] = [layer.window.dilation]
        if layer.window.padding is WindowPadding.SAME:  # not every runtime pads dilated windows by itself
            del attributes["auto_pad"]
            if layer.window.stride != 1:
                raise CantSay("dilated windows with strides and `padding = same`", "dilation_rate")
            attributes["pads"] = [(layer.window.span - 1) // 2, layer.window.span - 1 - (layer.window.span - 1) // 2]
    result = w.transposed(w.one("Conv", *inputs, **attributes), 0, 2, 1)
    return [m.activated(layer.activation, result, layer.kernel.shape[2])]


def _pooling(m: ModelWriter, layer: LocalPooling, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    _unmasked(m, application, layer.carry_mask)
    kind = "MaxPool" if layer.kind is LocalPoolingKind.MAX else "AveragePool"
    value = w.transposed(given[0], 0, 2, 1)
    return [w.transposed(w.one(kind, value, **_windows(layer.window)), 0, 2, 1)]


def _global_pooling(m: ModelWriter, layer: GlobalPooling, application: Application, given: list[str]) -> Sequence[str]:
    w, mask, keep = m.writer, _mask(m, application), layer.keepdims
    if mask is None:
        return [w.reduce("ReduceMean" if layer.kind is PoolingKind.AVERAGE else "ReduceMax", given[0], 1, keep=keep)]
    real = w.unsqueezed(mask, 2)
    count = w.reduce("ReduceSum", w.one("Cast", real, to=w.onnx.helper.np_dtype_to_tensor_dtype(w.dtype)), 1, keep=keep)
    nothing = w.one("Equal", count, w.constant(0.0))
    if layer.kind is PoolingKind.AVERAGE:
        total = w.reduce("ReduceSum", m.zeroed(given[0], mask), 1, keep=keep)
        return [w.one("Div", total, w.one("Where", nothing, w.constant(1.0), count))]
    lowest = w.one("Where", real, given[0], w.constant(-math.inf))
    return [w.one("Where", nothing, w.constant(0.0), w.reduce("ReduceMax", lowest, 1, keep=keep))]


def _last(m: ModelWriter, layer: Last, application: Application, given: list[str]) -> Sequence[str]:
    w, mask = m.writer, _mask(m, application)
    if mask is None:
        return [w.one("Gather", given[0], w.constant(-1, np.int64, "number"), axis=1)]
    float_type = w.onnx.helper.np_dtype_to_tensor_dtype(w.dtype)
    backwards = w.one("Cast", w.flipped(mask, 1), to=w.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(np.int32)))
    place = w.one("ArgMax", backwards, axis=1, keepdims=1)  # the first of the largest: of no real step any, which is put out
    indices = w.one("Expand", w.unsqueezed(place, 2), w.whole(1, 1, layer.width))
    chosen = w.one("GatherElements", w.flipped(given[0], 1), indices, axis=1)
    anything = w.reduce("ReduceMax", w.one("Cast", mask, to=float_type), 1)
    return [w.one("Where", w.one("Greater", anything, w.constant(0.5)), w.squeezed(chosen, 1), w.constant(0.0))]


def _repeated(m: ModelWriter, layer: RepeatVector, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    row, width = w.unsqueezed(given[0], 1), _width(application)
    if layer.count is not None:
        return [w.one("Expand", row, w.whole(1, layer.count, width))]
    steps = w.one("Concat", w.whole(1), w.size(given[1], 1), w.whole(width), axis=0)
    return [m.zeroed(w.one("Expand", row, steps), m.mask(application.results[0].type))]


def _padding(m: ModelWriter, layer: ZeroPadding, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [m.writer.one("Pad", given[0], m.writer.whole(0, layer.start, 0, 0, layer.end, 0))]


def _cropping(m: ModelWriter, layer: Cropping, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [m.writer.slice(given[0], layer.start, -layer.end or None, 1)]


def _upsampling(m: ModelWriter, layer: UpSampling, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    wide = w.one("Tile", w.unsqueezed(given[0], 2), w.whole(1, 1, layer.size, 1))
    return [w.one("Reshape", wide, w.whole(0, -1, _width(application)))]


def _features(m: ModelWriter, layer: FeatureSlice, application: Application, given: list[str]) -> Sequence[str]:
    return [m.writer.slice(given[0], layer.start, layer.stop, -1)]


def _steps(m: ModelWriter, layer: StepSlice, application: Application, given: list[str]) -> Sequence[str]:
    _unmasked(m, application, layer.carry_mask)
    return [m.writer.slice(given[0], layer.start, layer.stop, 1)]


def _reshaping(m: ModelWriter, layer: Reshaping, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    if layer.transpose:
        return [w.transposed(given[0], 0, 2, 1)]
    return [w.one("Reshape", given[0], w.whole(0, *layer.shape))]


def _merge(m: ModelWriter, layer: Merge, application: Application, given: list[str]) -> Sequence[str]:
    w, types = m.writer, [each.type for each in application.operands]
    if layer.over_steps:
        return [w.one("Concat", *given, axis=1)]
    sequences = [each for each in types if each.sequence]
    masks = {each.steps for each in sequences if each.masked}
    if masks and (len({each.steps for each in sequences}) > 1 or len(sequences) < len(types)):
        raise CantSay("masked values are merged with others that aren't masked alike")
    if sequences and layer.kind is MergeKind.CONCATENATE:
        like = next(name for name, each in zip(given, types, strict=True) if each.sequence)
        given = [name if each.sequence else _at_each(m, name, like, each.features) for name, each in zip(given, types, strict=True)]
    elif sequences:
        given = [name if each.sequence else w.unsqueezed(name, 1) for name, each in zip(given, types, strict=True)]
    result = _combined(m, layer.kind, given)
    if layer.kind is MergeKind.MULTIPLY and masks:
        result = m.zeroed(result, m.mask(application.results[0].type))
    return [result]


def _at_each(m: ModelWriter, row: str, like: str, width: int) -> str:
    w = m.writer
    steps = w.one("Concat", w.whole(1), w.size(like, 1), w.whole(width), axis=0)
    return w.one("Expand", w.unsqueezed(row, 1), steps)


def _combined(m: ModelWriter, kind: MergeKind, given: Sequence[str]) -> str:
    w = m.writer
    kinds = {MergeKind.ADD: "Add", MergeKind.SUBTRACT: "Sub", MergeKind.MULTIPLY: "Mul", MergeKind.AVERAGE: "Add"}
    kinds |= {MergeKind.MAXIMUM: "Max", MergeKind.MINIMUM: "Min"}
    if kind is MergeKind.CONCATENATE:
        return w.one("Concat", *given, axis=-1)
    result = given[0]
    for other in given[1:]:
        result = w.one(kinds[kind], result, other)
    return w.one("Mul", result, w.constant(1 / len(given))) if kind is MergeKind.AVERAGE else result


def _attention(m: ModelWriter, layer: Attention, application: Application, given: list[str]) -> Sequence[str]:
    w = m.writer
    query, value, key = given[0], given[1], given[-1]
    scores = w.one("MatMul", query, w.transposed(key, 0, 2, 1))
    if layer.scale is not None:
        scores = w.one("Mul", scores, m.weight(layer.scale))
    seen = _mask(m, application, 1)
    mask = None if seen is None else w.unsqueezed(seen, 1)
    if layer.causal:
        sizes = [w.size(each, 1) for each in (query, value)]
        ones = w.one("ConstantOfShape", w.one("Concat", *sizes, axis=0), value=w.onnx.numpy_helper.from_array(np.ones(1, np.float32)))
        past = w.one("Greater", w.one("Trilu", ones, upper=0), w.constant(0.5, np.float32))
        mask = past if mask is None else w.one("And", mask, past)
    if seen is None and mask is not None:  # where no query sees nothing
        scores = w.one("Where", mask, scores, w.constant(float(np.finfo(w.dtype).min)))
    weights = w.one("Softmax", scores, axis=-1) if seen is None or mask is None else _masked_softmax(m, scores, mask, -1)
    return [m.zeroed(w.one("MatMul", weights, value), _mask(m, application, 0))]


def _dot(m: ModelWriter, layer: Dot, application: Application, given: list[str]) -> Sequence[str]:
    w, types = m.writer, [each.type for each in application.operands]
    turned = [
        w.transposed(name, 0, 2, 1) if kind.sequence and axis == 0 else name
        for name, kind, axis in zip(given, types, layer.axes, strict=True)
    ]
    if layer.normalize:
        turned = [_unit_norm(m, UnitNormalization(layer.name), application, [name])[0] for name in turned]
    match [each.sequence for each in types]:
        case [True, True]:
            return [w.one("MatMul", turned[0], w.transposed(turned[1], 0, 2, 1))]
        case [False, False]:
            return [w.reduce("ReduceSum", w.one("Mul", *turned), -1)]
        case [first, _]:
            sequence, row = turned if first else turned[::-1]
            return [w.squeezed(w.one("MatMul", sequence, w.unsqueezed(row, 2)), 2)]
        case _:
            raise CantSay("it takes two values")


def _distributed(m: ModelWriter, layer: TimeDistributed, application: Application, given: list[str]) -> Sequence[str]:
    return written(m, layer.layer, application, given)


LAYERS: Mapping[type[Layer], LayerWriter] = {
    Activation: _activation,
    Attention: _attention,
    BatchNormalization: _batch_norm,
    Bidirectional: _bidirectional,
    Convolution: _convolution,
    Cropping: _cropping,
    Dense: _dense,
    Dot: _dot,
    Embedding: _embedding,
    FeatureSlice: _features,
    GlobalPooling: _global_pooling,
    Last: _last,
    LayerNormalization: _layer_norm,
    LocalPooling: _pooling,
    Masking: _masking,
    Merge: _merge,
    Normalization: _normalization,
    PReLU: _prelu,
    Recurrent: _recurrent,
    RepeatVector: _repeated,
    Reshaping: _reshaping,
    StepSlice: _steps,
    StepSoftmax: _step_softmax,
    TimeDistributed: _distributed,
    UnitNormalization: _unit_norm,
    UpSampling: _upsampling,
    ZeroPadding: _padding,
}
"""The writer of each layer by its class; what only training sees is left out."""


def written(m: ModelWriter, layer: Layer, application: Application, given: list[str]) -> Sequence[str]:
    """The names of a layer's results. `CantSay` for one that has no exact form."""
    if isinstance(layer, Drawing):
        return _as_it_is(m, layer, application, given)
    writer = LAYERS.get(type(layer))
    if writer is None:
        raise CantSay("the layer has no form in ONNX here")
    return writer(m, layer, application, given)
