"""Arguments to run functions of the tensor IR with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.ir.interpret import Packing, interpret
from rnnspec.ir.ops import Function, Module, Role
from rnnspec.ir.types import DType, TensorType

LENGTHS: Mapping[str, int] = {"batch": 5, "time": 7}


def masks(random: np.random.Generator, batch: int, time: int) -> NDArray[np.bool_]:
    """Holed, full, empty, right and left padded rows, in this order, then holed again."""
    mask = random.random((batch, time)) < 0.6
    kinds = [mask[:1], np.ones((1, time)), np.zeros((1, time)), np.arange(time)[None] < time // 2, np.arange(time)[None] >= time // 2]
    return np.concatenate([*(np.asarray(kind, bool) for kind in kinds), mask])[:batch]


def random_arguments(
    function: Function, lengths: Mapping[str, int] = LENGTHS, vocabulary: int = 5, *, all_real: bool = False
) -> dict[str, NDArray[Any]]:
    """An array for each parameter but residuals, the same at every call; symbolic dimensions as in `lengths`.

    A parameter's numbers depend on its name and size only, so that a pass doesn't change them. `all_real`: masks hide nothing.
    """
    arguments: dict[str, NDArray[Any]] = {}
    for parameter in function.parameters:
        if parameter.role is Role.RESIDUAL:
            continue
        type_ = parameter.value.type
        assert isinstance(type_, TensorType)
        random = np.random.default_rng(zlib.crc32(parameter.value.name.encode()))
        shape = tuple(dim if isinstance(dim, int) else lengths[str(dim)] for dim in type_.shape)
        if parameter.role is Role.MASK:
            arguments[parameter.value.name] = np.ones(shape, bool) if all_real else masks(random, *shape)
        elif type_.dtype is DType.I32:
            arguments[parameter.value.name] = random.integers(0, vocabulary, shape).astype(np.int32)
        else:
            arguments[parameter.value.name] = random.normal(size=shape)
    return arguments


def run_module(
    module: Module, lengths: Mapping[str, int] = LENGTHS, *, all_real: bool = False
) -> dict[tuple[str, Role, str], NDArray[Any]]:
    """Every function's results but residuals, by function, role and name; a function's residuals come from those before it."""
    results: dict[tuple[str, Role, str], NDArray[Any]] = {}
    residuals: dict[str, NDArray[Any] | Packing] = {}
    for function in module.functions:
        kept = {
            parameter.value.name: residuals[parameter.value.name] for parameter in function.parameters if parameter.role is Role.RESIDUAL
        }
        for (role, name), value in interpret(function, random_arguments(function, lengths, all_real=all_real) | kept).items():
            if role is Role.RESIDUAL:
                residuals[name] = value
            else:
                assert not isinstance(value, Packing)
                results[function.name, role, name] = value
    return results
