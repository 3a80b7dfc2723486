"""The calls of ATen's operations as ONNX's nodes, which the reader of ONNX makes layers of.

Arguments have the names and defaults of `aten/src/ATen/native/native_functions.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Attribute
from rnnspec.interop.torch_programs.calls import Argument, Call
from rnnspec.interop.torch_programs.composed import COMPOSED, causal
from rnnspec.interop.torch_programs.recurrent import RECURRENT
from rnnspec.interop.torch_programs.windows import WINDOWS

Handler: TypeAlias = "Callable[[Call], str | tuple[str, ...]]"

_END = 2**62

_CASTS: Mapping[int, int] = {1: 2, 2: 3, 3: 5, 4: 6, 5: 7, 6: 10, 7: 1, 8: 11, 12: 9, 13: 1}
"""ONNX's numbers of types by torch's; halves are computed in float32."""


def _same(call: Call) -> str:
    (first, *_) = call.listed()
    return call.named(first, "self")


def _unary(op: str, **attributes: Attribute) -> Handler:
    return lambda call: call.one(op, call.value("self"), **attributes)


def _binary(op: str) -> Handler:
    def made(call: Call) -> str:
        left, right = call.value("self"), call.value("other")
        factor = call.get("alpha", 1)
        if factor != 1:
            right = call.one("Mul", right, call.named(factor, "alpha"))
        return call.one(op, left, right)

    return made


def _swapped(call: Call) -> str:
    right = call.value("self") if call.get("alpha", 1) == 1 else call.one("Mul", call.value("self"), call.value("alpha"))
    return call.one("Sub", call.value("other"), right)


def _quotient(call: Call) -> str:
    if call.get("rounding_mode") is not None:
        raise Unfit("a quotient that is rounded", "rounding_mode")
    return call.one("Div", call.value("self"), call.value("other"))


def _power(call: Call) -> str:
    return call.one("Pow", call.value("self"), call.value("exponent"))


def _linear(call: Call) -> str:
    product = call.one("MatMul", call.value("input"), call.one("Transpose", call.value("weight"), perm=(1, 0)))
    bias = call.optional("bias")
    return product if bias is None else call.one("Add", product, bias)


def _product(call: Call) -> str:
    return call.one("MatMul", call.value("self"), call.value("mat2") if call.get("mat2") is not None else call.value("other"))


def _added_product(call: Call) -> str:
    if call.get("beta", 1) != 1 or call.get("alpha", 1) != 1:
        raise Unfit("a sum with factors", "beta, alpha")
    return call.one("Add", call.one("MatMul", call.value("mat1"), call.value("mat2")), call.value("self"))


def _attention(call: Call) -> str:
    if call.get("attn_mask") is not None or call.number("dropout_p", 0.0) or call.flag("enable_gqa"):
        raise Unfit("an attention with a mask, dropout or groups", "attn_mask, dropout_p, enable_gqa")
    rank, units = len(call.shape_of("query")), call.shape_of("query")[-1]
    if not isinstance(units, int):
        raise Unfit("queries whose number of features isn't known", "query")
    order = (*range(rank - 2), rank - 1, rank - 2)
    scale = call.number("scale", 1 / np.sqrt(units)) if call.get("scale") is not None else 1 / float(np.sqrt(units))
    products = call.one("MatMul", call.value("query"), call.one("Transpose", call.value("key"), perm=order))
    scaled = call.one("Mul", products, call.named(scale, "scale"))
    shares = call.one("Softmax", causal(call, scaled) if call.flag("is_causal") else scaled, axis=-1)
    return call.one("MatMul", shares, call.value("value"))


def _embedding(call: Call) -> str:
    return call.one("Gather", call.value("weight"), call.value("indices"), axis=0)


def _whole_weight(call: Call) -> str:
    v, kept = call.value("v"), call.whole("dim", 0)
    axes = [axis for axis in range(len(call.sizes("v"))) if axis != kept]
    norm = call.one("Sqrt", call.one("ReduceSum", call.one("Mul", v, v), call.wholes_of(axes), keepdims=1))
    return call.one("Mul", v, call.one("Div", call.value("g"), norm))


def _layer_norm(call: Call) -> str:
    sizes = call.wholes("normalized_shape") or ()
    kind = np.float64 if call.nodes.doubles else np.float32
    scale = call.optional("weight") or call.nodes.constant(np.ones(sizes, kind))
    shift = call.optional("bias") or ""
    return call.one("LayerNormalization", call.value("input"), scale, shift, axis=-len(sizes), epsilon=call.number("eps", 1e-5))


def _rms_norm(call: Call) -> str:
    sizes = call.wholes("normalized_shape") or ()
    epsilon = call.get("eps")
    small = float(np.finfo(np.float64 if call.nodes.doubles else np.float32).eps) if epsilon is None else epsilon
    x = call.value("input")
    mean = call.one("ReduceMean", call.one("Mul", x, x), call.wholes_of(range(-len(sizes), 0)), keepdims=1)
    root = call.one("Sqrt", call.one("Add", mean, call.named(small, "eps")))
    scale, normal = call.optional("weight"), call.one("Div", x, root)
    return normal if scale is None else call.one("Mul", normal, scale)


def _silu(call: Call) -> str:
    x = call.value("self")
    return call.one("Mul", x, call.one("Sigmoid", x))


def _root_below(call: Call) -> str:
    return call.one("Reciprocal", call.one("Sqrt", call.value("self")))


def _gelu(call: Call) -> str:
    return call.one("Gelu", call.value("self"), approximate=str(call.get("approximate", "none")))


def _elu(call: Call) -> str:
    if call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
        raise Unfit("an ELU with scales", "scale, input_scale")
    return call.one("Elu", call.value("self"), alpha=call.number("alpha", 1.0))


def _softplus(call: Call) -> str:
    if call.number("beta", 1.0) != 1:
        raise Unfit("a softplus with a factor", "beta")
    return call.one("Softplus", call.value("self"))


def _between(low: str, high: str, lowest: Argument = None, highest: Argument = None) -> Handler:
    def made(call: Call) -> str:
        limits = [call.get(low, lowest), call.get(high, highest)]
        return call.one("Clip", call.value("self"), *("" if each is None else call.named(float_of(each), low) for each in limits))

    return made


def float_of(given: Argument) -> Argument:
    """A whole number as another one, for a function of floats."""
    return float(given) if isinstance(given, int) else given


def _softmax(op: str) -> Handler:
    return lambda call: call.one(op, call.value("self"), axis=call.whole("dim"))


def _reduced(op: str) -> Handler:
    def made(call: Call) -> str:
        axes = call.wholes("dim")
        keep = int(call.flag("keepdim"))
        return call.one(op, call.value("self"), *([] if axes is None else [call.wholes_of(axes)]), keepdims=keep)

    return made


# Movements


def _transpose(call: Call) -> str:
    rank = len(call.shape_of("self"))
    order = list(range(rank))
    first, second = (call.whole(name) % rank for name in ("dim0", "dim1"))
    order[first], order[second] = order[second], order[first]
    return call.one("Transpose", call.value("self"), perm=tuple(order))


def _turned(call: Call) -> str:
    return call.one("Transpose", call.value("self")) if len(call.shape_of("self")) > 1 else call.value("self")


def _permute(call: Call) -> str:
    rank = len(call.shape_of("self"))
    return call.one("Transpose", call.value("self"), perm=tuple(each % rank for each in call.wholes("dims") or ()))


def _select(call: Call) -> str:
    index = call.nodes.constant(np.asarray(call.whole("index"), np.int64))
    return call.one("Gather", call.value("self"), index, axis=call.whole("dim"))


def _slice(call: Call) -> str:
    start, end = (default if call.get(name) is None else call.get(name) for name, default in (("start", 0), ("end", _END)))
    if not isinstance(start, int) or not isinstance(end, int):
        raise Unfit("bounds that are known only when the program runs", "start, end")
    parts = (start, end, call.whole("dim", 0), call.whole("step", 1))
    return call.one("Slice", call.value("self"), *(call.wholes_of([each]) for each in parts))


def _squeeze(call: Call) -> str:
    axes = call.wholes("dim")
    if axes is None:
        return call.one("Squeeze", call.value("self"))
    shape = call.shape_of("self")
    narrow = [axis for axis in axes if shape[axis] == 1]
    return call.one("Squeeze", call.value("self"), call.wholes_of(narrow)) if narrow else call.value("self")


def _unsqueeze(call: Call) -> str:
    return call.one("Unsqueeze", call.value("self"), call.wholes_of([call.whole("dim")]))


def _flatten(call: Call) -> str:
    rank = len(call.shape_of("self"))
    first, last = call.whole("start_dim", 0) % rank, call.whole("end_dim", -1) % rank
    if first == last:
        return call.value("self")
    shape = call.one("Shape", call.value("self"))
    parts = [call.one("Slice", shape, *map(call.wholes_of, ([start], [end], [0]))) for start, end in ((0, first), (last + 1, _END))]
    return call.one("Reshape", call.value("self"), call.one("Concat", parts[0], call.wholes_of([-1]), parts[1], axis=0))


def _unflattened(call: Call) -> str:
    axis = call.whole("dim") % len(call.shape_of("self"))
    shape = call.one("Shape", call.value("self"))
    before, behind = (call.one("Slice", shape, *map(call.wholes_of, ([start], [end], [0]))) for start, end in ((0, axis), (axis + 1, _END)))
    return call.one("Reshape", call.value("self"), call.one("Concat", before, call.shape("sizes"), behind, axis=0), allowzero=1)


def _reshape(call: Call) -> str:
    return call.one("Reshape", call.value("self"), call.shape("size" if call.get("size") is not None else "shape"), allowzero=1)


def _expand(call: Call) -> str:
    sizes = call.get("size", ())
    if isinstance(sizes, tuple) and -1 in sizes:
        sizes = tuple(1 if isinstance(each, int) and each == -1 else each for each in sizes)
    return call.one("Expand", call.value("self"), call.listed_shape(sizes, "size"))


def _concatenated(call: Call) -> str:
    return call.one("Concat", *call.refs("tensors"), axis=call.whole("dim", 0))


def _stacked(call: Call) -> str:
    axis = call.whole("dim", 0)
    parts = [call.one("Unsqueeze", each, call.wholes_of([axis])) for each in call.refs("tensors")]
    return call.one("Concat", *parts, axis=axis)


def _split(call: Call) -> tuple[str, ...]:
    sizes = call.wholes("split_sizes")
    axis = call.whole("dim", 0)
    if sizes is None:
        width, each = call.shape_of("self")[axis], call.whole("split_size")
        if not isinstance(width, int) or each < 1:
            raise Unfit("parts of an axis whose size isn't known", "dim")
        sizes = tuple(min(each, width - start) for start in range(0, width, each))
    return call.several("Split", len(sizes), call.value("self"), call.wholes_of(sizes), axis=axis)


def _chunks(call: Call) -> tuple[str, ...]:
    return call.several("Split", call.outputs, call.value("self"), axis=call.whole("dim", 0))


def _unbound(call: Call) -> tuple[str, ...]:
    axis = call.whole("dim", 0)
    places = [call.nodes.constant(np.asarray(place, np.int64)) for place in range(call.outputs)]
    return tuple(call.one("Gather", call.value("self"), place, axis=axis) for place in places)


def _flipped(call: Call) -> str:
    axes = call.wholes("dims") or ()
    starts, ends, steps = ([number] * len(axes) for number in (-1, -_END, -1))
    return call.one("Slice", call.value("self"), *map(call.wholes_of, (starts, ends, list(axes), steps)))


def _repeated(call: Call) -> str:
    times = call.wholes("repeats") or ()
    more = len(times) - len(call.shape_of("self"))
    wide = call.value("self") if more <= 0 else call.one("Unsqueeze", call.value("self"), call.wholes_of(range(more)))
    return call.one("Tile", wide, call.wholes_of(times))


def _cast(call: Call) -> str:
    kind = call.get("dtype")
    if not isinstance(kind, int):
        return call.value("self")
    if kind not in _CASTS:
        raise Unfit(f"numbers of the type {kind}", "dtype")
    return call.one("Cast", call.value("self"), to=_CASTS[kind])


def _dropped(call: Call) -> str:
    if call.flag("train") and call.number("p", 0.5) > 0:
        raise Unfit("it was exported in training, with dropout: export module.eval()", "train")
    return call.value("input")


# Constants and sizes


def _filled(number: float | None, *, shape: str = "size") -> Handler:
    def made(call: Call) -> str:
        value = call.number("fill_value", 0.0) if number is None else number
        kind = call.get("dtype")
        whole = isinstance(kind, int) and kind in (1, 2, 3, 4, 5)
        element = np.int64 if whole else np.float64 if call.nodes.doubles else np.float32
        sizes = call.shape(shape) if shape == "size" else call.one("Shape", call.value("self"))
        return call.one("ConstantOfShape", sizes, value=np.asarray([value], element))

    return made


def _range(call: Call) -> str:
    parts = [call.get("start", 0), call.get("end"), call.get("step", 1)]
    return call.one("Range", *(call.named(each, "end") for each in parts))


def _size(call: Call) -> str:
    place = call.nodes.constant(np.asarray(call.whole("dim"), np.int64))
    return call.one("Gather", call.one("Shape", call.value("self")), place, axis=0)


def _of_sizes(op: str) -> Handler:
    def made(call: Call) -> str:
        left, right = call.listed()
        return call.one(op, call.named(left, "a"), call.named(right, "b"))

    return made


_SAME: Sequence[str] = (
    *("clone.default", "contiguous.default", "alias.default", "detach.default", "detach_.default", "lift_fresh_copy.default"),
    *("type_as.default", "view_as.default", "_assert_tensor_metadata.default"),
)

_UNARY: Mapping[str, str] = {
    **{name: name.capitalize() for name in ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "abs", "neg", "sin", "cos", "erf")},
    **{name: name.capitalize() for name in ("floor", "ceil", "round", "sign", "reciprocal", "mish", "selu")},
    "hardswish": "HardSwish",
}

_BINARY: Mapping[str, str] = {"add": "Add", "sub": "Sub", "mul": "Mul"}

OPERATORS: Mapping[str, Handler] = {
    **{f"aten.{name}": _same for name in _SAME},
    **{f"aten.{name}{form}.default": _unary(op) for name, op in _UNARY.items() for form in ("", "_")},
    **{f"aten.{name}{form}": _binary(op) for name, op in _BINARY.items() for form in (".Tensor", ".Scalar", "_.Tensor", "_.Scalar")},
    **dict.fromkeys(("aten.div.Tensor", "aten.div.Scalar", "aten.div_.Tensor", "aten.true_divide.Tensor"), _quotient),
    **dict.fromkeys(("aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", "aten.pow.Scalar"), _power),
    "aten.rsub.Scalar": _swapped,
    "aten.rsub.Tensor": _swapped,
    "aten.square.default": lambda call: call.one("Pow", call.value("self"), call.named(2.0, "exponent")),
    "aten.maximum.default": _binary("Max"),
    "aten.minimum.default": _binary("Min"),
    "aten.linear.default": _linear,
    **dict.fromkeys(("aten.matmul.default", "aten.mm.default", "aten.bmm.default"), _product),
    "aten.addmm.default": _added_product,
    "aten.scaled_dot_product_attention.default": _attention,
    "aten.embedding.default": _embedding,
    "aten._weight_norm.default": _whole_weight,
    "aten.layer_norm.default": _layer_norm,
    "aten.rms_norm.default": _rms_norm,
    "aten.silu.default": _silu,
    "aten.silu_.default": _silu,
    "aten.rsqrt.default": _root_below,
    "aten.gelu.default": _gelu,
    "aten.elu.default": _elu,
    "aten.elu_.default": _elu,
    "aten.celu.default": lambda call: call.one("Celu", call.value("self"), alpha=call.number("alpha", 1.0)),
    "aten.leaky_relu.default": lambda call: call.one("LeakyRelu", call.value("self"), alpha=call.number("negative_slope", 0.01)),
    "aten.leaky_relu_.default": lambda call: call.one("LeakyRelu", call.value("self"), alpha=call.number("negative_slope", 0.01)),
    "aten.hardsigmoid.default": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "aten.softplus.default": _softplus,
    "aten.log_sigmoid.default": lambda call: call.one("Neg", call.one("Softplus", call.one("Neg", call.value("self")))),
    "aten.relu6.default": lambda call: call.one("Clip", call.value("self"), call.named(0.0, "min"), call.named(6.0, "max")),
    **dict.fromkeys(("aten.hardtanh.default", "aten.hardtanh_.default"), _between("min_val", "max_val", -1.0, 1.0)),
    **dict.fromkeys(("aten.clamp.default", "aten.clamp_.default"), _between("min", "max")),
    "aten.clamp_min.default": _between("min", "max"),
    "aten.clamp_max.default": _between("min", "max"),
    **dict.fromkeys(("aten.softmax.int", "aten._softmax.default"), _softmax("Softmax")),
    **dict.fromkeys(("aten.log_softmax.int", "aten._log_softmax.default"), _softmax("LogSoftmax")),
    **dict.fromkeys(("aten.mean.dim", "aten.mean.default"), _reduced("ReduceMean")),
    **dict.fromkeys(("aten.sum.dim_IntList", "aten.sum.default"), _reduced("ReduceSum")),
    **dict.fromkeys(("aten.amax.default", "aten.max.dim"), _reduced("ReduceMax")),
    **dict.fromkeys(("aten.amin.default", "aten.min.dim"), _reduced("ReduceMin")),
    "aten.transpose.int": _transpose,
    "aten.t.default": _turned,
    "aten.numpy_T.default": _turned,
    "aten.permute.default": _permute,
    "aten.select.int": _select,
    "aten.slice.Tensor": _slice,
    **dict.fromkeys(("aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims"), _squeeze),
    "aten.unsqueeze.default": _unsqueeze,
    "aten.flatten.using_ints": _flatten,
    "aten.unflatten.int": _unflattened,
    **dict.fromkeys(("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default"), _reshape),
    "aten.expand.default": _expand,
    "aten.cat.default": _concatenated,
    "aten.concat.default": _concatenated,
    "aten.stack.default": _stacked,
    **dict.fromkeys(("aten.split.Tensor", "aten.split.sizes", "aten.split_with_sizes.default"), _split),
    **dict.fromkeys(("aten.chunk.default", "aten.unsafe_chunk.default"), _chunks),
    "aten.unbind.int": _unbound,
    "aten.flip.default": _flipped,
    "aten.repeat.default": _repeated,
    **dict.fromkeys(("aten.to.dtype", "aten.to.dtype_layout", "aten._to_copy.default", "aten.to.device"), _cast),
    **dict.fromkeys(("aten.dropout.default", "aten.dropout_.default", "aten.feature_dropout.default"), _dropped),
    "aten.zeros.default": _filled(0),
    "aten.ones.default": _filled(1),
    "aten.full.default": _filled(None),
    "aten.new_zeros.default": _filled(0),
    "aten.new_ones.default": _filled(1),
    "aten.zeros_like.default": _filled(0, shape="self"),
    "aten.ones_like.default": _filled(1, shape="self"),
    **dict.fromkeys(("aten.arange.default", "aten.arange.start", "aten.arange.start_step"), _range),
    "aten.sym_size.int": _size,
    **{f"_operator.{name}": _of_sizes(op) for name, op in (("add", "Add"), ("sub", "Sub"), ("mul", "Mul"), ("floordiv", "Div"))},
    **COMPOSED,
    **RECURRENT,
    **WINDOWS,
}
"""By the targets of calls, without `torch.ops.`."""
