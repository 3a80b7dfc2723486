"""Compares `@backward` with central differences of `@forward`, both interpreted in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import BATCH, Name, Size
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Function, Module, Role
from rnnspec.ir.types import DType, TensorType
from rnnspec.ir.verify import verify
from rnnspec.passes.differentiate import Differentiate

Array = NDArray[Any]

STEP = 1e-5
TOLERANCE = 1e-6
"""Of the largest gradient of the same weight or input."""

MASK = np.array(
    [
        [True, True, False, False, False],
        [False, False, False, False, False],
        [True, False, True, True, False],
        [True, True, True, True, True],
        [False, False, False, True, True],
    ]
)
"""Right padding, an empty row, holes, a full row, left padding; [5, 5]."""

DIMS = {"batch": len(MASK), "time": MASK.shape[1]}


def arguments_for(function: Function, random: np.random.Generator, mask: Array = MASK) -> dict[str, Array]:
    """Random arguments for `@forward`; what a masked step holds is drawn too. Ids are 0 .. 3."""
    arguments: dict[str, Array] = {}
    for parameter in function.parameters:
        type_ = parameter.value.type
        assert isinstance(type_, TensorType)
        shape = tuple({BATCH: mask.shape[0], Name("time"): mask.shape[1]}[dim] if isinstance(dim, Size) else dim for dim in type_.shape)
        match parameter.role, type_.dtype:
            case Role.MASK, _:
                arguments[parameter.value.name] = mask
            case _, DType.I32:
                arguments[parameter.value.name] = random.integers(0, 4, shape, dtype=np.int32)
            case _:
                arguments[parameter.value.name] = random.normal(0.0, 0.8, shape)
    return arguments


def differentiate(module: Module, *, input_gradients: bool = True) -> Module:
    """The pass, with the result verified."""
    differentiated = Differentiate(input_gradients=input_gradients).run(module)
    verify(differentiated)
    return differentiated


def run_backward(module: Module, arguments: Mapping[str, Array], cotangents: Mapping[str, Array]) -> dict[str, Array]:
    """The gradients by name, `@forward` run before for the residuals."""
    forward, backward = module.function("forward"), module.function("backward")
    kept = {name: held for (role, name), held in interpret(forward, arguments).items() if role is Role.RESIDUAL}
    given = {**arguments, **kept}
    taken = {
        parameter.value.name: cotangents[parameter.value.name] if parameter.role is Role.COTANGENT else given[parameter.value.name]
        for parameter in backward.parameters
    }
    return {name: np.asarray(held) for (_, name), held in interpret(backward, taken).items()}


def outputs(module: Module, arguments: Mapping[str, Array]) -> dict[str, Array]:
    results = interpret(module.function("forward"), arguments)
    return {name: np.asarray(held) for (role, name), held in results.items() if role is Role.OUTPUT}


def central_differences(module: Module, arguments: Mapping[str, Array], cotangents: Mapping[str, Array], name: str) -> Array:
    """The gradient of sum(cotangent · output) over all outputs with regard to one argument."""

    def loss(argument: Array) -> float:
        shown = outputs(module, {**arguments, name: argument})
        return float(sum(np.sum(cotangents[output] * shown[output]) for output in cotangents))

    gradient = np.zeros(arguments[name].shape)
    for place in np.ndindex(gradient.shape):
        shift = np.zeros(gradient.shape)
        shift[place] = STEP
        gradient[place] = (loss(arguments[name] + shift) - loss(arguments[name] - shift)) / (2 * STEP)
    return gradient


def check_gradients(module: Module, seed: int = 0, mask: Array = MASK, arguments: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Asserts that every gradient agrees with central differences; the gradients.

    `module` has `@forward` only, or both functions, which are then taken as they are.
    """
    random = np.random.default_rng(seed)
    differentiated = module if len(module.functions) > 1 else differentiate(module)
    given = {**arguments_for(module.function("forward"), random, mask), **(arguments or {})}
    cotangents = {name: random.normal(size=held.shape) for name, held in outputs(module, given).items()}
    gradients = run_backward(differentiated, given, cotangents)
    wanted = {
        parameter.value.name
        for parameter in module.function("forward").parameters
        if parameter.role in (Role.INPUT, Role.WEIGHT) and given[parameter.value.name].dtype == np.float64
    }
    assert set(gradients) == wanted
    for name, gradient in gradients.items():
        expected = central_differences(module, given, cotangents, name)
        assert gradient.shape == expected.shape
        scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-3)
        error = float(np.max(np.abs(gradient - expected), initial=0.0)) / scale
        assert error <= TOLERANCE, f"gradient of {name} is off by {error:.2g} of its largest:\n{gradient}\nexpected\n{expected}"
    return gradients
