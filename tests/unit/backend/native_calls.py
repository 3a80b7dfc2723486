"""Runs functions of the tensor IR as native code, without a model around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.backend.llvm_cpu.backend import LlvmCpu
from rnnspec.contract.dimensions import Size, value_of
from rnnspec.contract.native_function import Space
from rnnspec.contract.packing import PackedIndex, pack, pair, window_mask
from rnnspec.driver.native import native_function
from rnnspec.ir import inference
from rnnspec.ir.ops import Constant, Function, Index, Pairs, Role, Value, WindowMask
from rnnspec.ir.types import BATCH, DType, TensorType
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.jit import Jit
from rnnspec.runtime.native.loaded_function import BufferPool, LoadedFunction
from rnnspec.runtime.native.memory import with_distinct
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder

Array = NDArray[Any]


@cache
def jit() -> Jit:
    return Jit()


BACKEND = LlvmCpu()


def weight_offsets(function: Function) -> dict[str, int]:
    """Elements before each weight, in the order of the parameters."""
    offsets: dict[str, int] = {}
    total = 0
    for parameter in function.parameters:
        if parameter.role is Role.WEIGHT:
            assert isinstance(parameter.value.type, TensorType)
            offsets[parameter.value.name] = total
            total += int(np.prod([int(dim) for dim in parameter.value.type.shape], dtype=int))
    return offsets


def load(function: Function, target: Target) -> LoadedFunction:
    """The function, compiled for a target that this machine can run."""
    kernels = BACKEND.schedule(function, target, weight_offsets(function), "kernel")
    compiled = native_function(kernels, BACKEND, ObjectCache(default_folder()))
    return LoadedFunction(compiled, jit().load(compiled.object_code, (compiled.symbol, compiled.prepare_symbol)), BufferPool(1))


def float_type(function: Function) -> DType:
    return next(
        parameter.value.type.dtype
        for parameter in function.parameters
        if isinstance(parameter.value.type, TensorType) and parameter.value.type.dtype.is_float
    )


def call(bound: LoadedFunction, function: Function, arguments: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs by name for arguments as `interpret` takes them; masks are the indices' own, whatever the function makes of them."""
    dtype = np.dtype(np.float32 if float_type(function) is DType.F32 else np.float64)
    given: dict[tuple[Space, str], Array] = {}
    weights: list[Array] = []
    masks: dict[Value, Array] = {}
    times: dict[Size, int] = {}
    batch = 0
    for parameter in function.parameters:
        name, array = parameter.value.name, np.asarray(arguments[parameter.value.name])
        if isinstance(parameter.value.type, TensorType) and parameter.value.type.shape[:1] == (BATCH,):
            extents = zip(parameter.value.type.shape[1:2], array.shape[1:2], strict=True)
            times.update((extent, size) for extent, size in extents if isinstance(extent, Size))
        match parameter.role:
            case Role.MASK:
                masks[parameter.value] = array
            case Role.KEY:
                given["key", ""] = np.array([array], np.int32)
            case Role.WEIGHT:
                weights.append(array.astype(dtype).reshape(-1))
            case _:
                batch = len(array)
                given["input", name] = np.ascontiguousarray(array.astype(np.int32 if array.dtype.kind == "i" else dtype))
    inputs = {name: array for (_, name), array in given.items()}
    indices = with_distinct(_indices(function, masks, {**times, BATCH: batch}), bound.function.distinct, inputs)
    flat = np.concatenate([*weights, np.zeros(0, dtype)])
    outputs, _ = bound.call(given, indices, batch, times, dtype, flat, 0)
    return outputs


def _indices(function: Function, masks: dict[Value, Array], lengths: Mapping[Size, int]) -> list[PackedIndex]:
    """A function's packing indices in the order in which it makes them."""
    made: dict[Value, PackedIndex] = {}
    known = dict(masks)
    for operation in function.operations:
        match operation:
            case Constant(result=result, value=value) if isinstance(result.type, TensorType) and result.type.dtype is DType.I1:
                known[result] = np.full([value_of(dim, lengths) for dim in result.type.shape], bool(value))
            case WindowMask() if operation.mask in known:
                mask, time = known[operation.mask], value_of(inference.tensor(operation.result.type, "a mask").shape[1], lengths)
                known[operation.result] = window_mask(mask, operation.windows, max(time, 0), flip=operation.flip)
            case Index():
                made[operation.result] = pack(known.get(operation.mask, next(iter(masks.values()), np.zeros((0, 0), bool))))
            case Pairs():
                made[operation.result] = pair(made[operation.queries], made[operation.keys], causal=operation.causal)
            case _:
                pass
    return list(made.values())
