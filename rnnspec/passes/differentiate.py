"""Adds `@backward`: reverse-mode differentiation of `@forward`, scans included, derived from the operations alone."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rnnspec.contract.dimensions import Dim, Size
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.names import Names
from rnnspec.ir.ops import Function, Module, Operation, Pairs, Parameter, Result, Role, Scan, Value
from rnnspec.ir.traverse import defined_values, location_of, operands_of, rename, results_of
from rnnspec.ir.types import IndexType, TensorType
from rnnspec.passes.activity import active_values
from rnnspec.passes.adjoints import Adjoints
from rnnspec.passes.lift_invariants import lift_invariants
from rnnspec.passes.pipeline import UnsuitableModule
from rnnspec.passes.residuals import Residuals, choose_residuals, size_of
from rnnspec.passes.reverse_scan import reverse_scan


@frozen
class Differentiate:
    """A module with `@forward` alone, to one with `@forward` and `@backward`.

    `@forward` returns what `@backward` needs as residuals. `@backward` takes, in this order, the
    residuals, weights and key that it uses and one cotangent for each output, under the output's
    name; it returns the gradient of every weight and, with `input_gradients`, of every float input,
    but of none of `frozen`, names with spaces between. A masked step's input has gradient zero.
    """

    name: ClassVar[str] = "differentiate"
    input_gradients: bool = True
    frozen: str | None = None

    def run(self, module: Module) -> Module:
        """`@forward` with residuals, and `@backward`; InternalError for a module that has a `@backward`, or no `@forward`."""
        names = [function.name for function in module.functions]
        if "forward" not in names:
            raise UnsuitableModule(f"{self.name}: module {module.name} has no @forward")
        if "backward" in names:
            raise UnsuitableModule(f"{self.name}: module {module.name} already has @backward")
        forward = module.function("forward")
        for result in _outputs(forward):
            if not _has_rows(result.value):
                raise UnsuitableModule(f"{self.name}: the output {result.name} is {result.value.type}, not rows or sequences of a batch")
        forward = lift_invariants(forward, self._active(forward))
        extended, backward = _Reversal(forward, self._sources(forward), self._active(forward)).functions()
        functions = tuple(extended if function.name == "forward" else function for function in module.functions)
        return replace(module, functions=(*functions, backward))

    def _sources(self, forward: Function) -> tuple[Value, ...]:
        roles = (Role.WEIGHT, Role.INPUT) if self.input_gradients else (Role.WEIGHT,)
        frozen = (self.frozen or "").split()
        chosen = [each for each in forward.parameters if each.role in roles and each.value.name not in frozen]
        return tuple(parameter.value for parameter in chosen if _is_float(parameter.value))

    def _active(self, forward: Function) -> frozenset[Value]:
        return active_values(forward.operations, self._sources(forward), [result.value for result in _outputs(forward)])


class _Reversal:
    """One function's backward pass: built in forward names, renamed to the caller's at the end."""

    def __init__(self, forward: Function, sources: Sequence[Value], active: Collection[Value]) -> None:
        self._forward = forward
        self._sources = sources
        reserved = [result.name for result in _outputs(forward)]
        self._body = Builder(Names([*reserved, *(value.name for value in defined_values(forward))]))
        self._adjoints = Adjoints(self._body, active)
        self._active = active

    def functions(self) -> tuple[Function, Function]:
        """`@forward` with residuals, and `@backward`."""
        cotangents = {result: self._cotangent(result) for result in _outputs(self._forward)}
        for result, cotangent in cotangents.items():
            self._adjoints.add(result.value, cotangent)
        operations = self._propagate()
        gradients = [Result(Role.GRADIENT, source.name, self._gradient(source)) for source in self._sources]
        needed = _read(self._body.operations, gradients) - set(cotangents.values())
        needed.update(self._shape_witnesses(gradients, needed))
        parameters = tuple(p.value for p in self._forward.parameters if p.role not in (Role.WEIGHT, Role.KEY))
        order = [p.value for p in self._forward.parameters] + [value for operation in operations for value in results_of(operation)]
        pairs = {index_type(operation.result.type).tokens for operation in operations if isinstance(operation, Pairs)}
        residuals = choose_residuals(parameters, operations, [value for value in order if value in needed], partial(_size, pairs=pairs))
        return self._assemble(operations, residuals, cotangents, gradients)

    def _cotangent(self, result: Result) -> Value:
        with self._body.at(result.value.location):
            return self._body.value(result.value.type, f"d_{result.name}")

    def _propagate(self) -> tuple[Operation, ...]:
        """Emits the adjoint of every operation; the forward operations, scans stacking what they must keep."""
        extended: list[Operation] = []
        for operation in reversed(self._forward.operations):
            if isinstance(operation, Scan):
                extended.append(reverse_scan(operation, self._adjoints, self._active, self._body))
            else:
                with self._body.at(location_of(operation)):
                    self._adjoints.propagate(operation)
                extended.append(operation)
        return tuple(reversed(extended))

    def _gradient(self, source: Value) -> Value:
        with self._body.at(source.location):
            return self._adjoints.total(source) or self._body.constant_like(0.0, source)

    def _assemble(
        self, operations: tuple[Operation, ...], residuals: Residuals, cotangents: Mapping[Result, Value], gradients: Sequence[Result]
    ) -> tuple[Function, Function]:
        body = (*residuals.recomputed, *self._body.operations)
        used = _read(body, gradients)
        parameters = [Parameter(Role.RESIDUAL, value) for value in residuals.saved]
        for role in (Role.WEIGHT, Role.KEY):
            parameters.extend(p for p in self._forward.parameters if p.role is role and p.value in used)
        parameters.extend(Parameter(Role.COTANGENT, value) for value in cotangents.values())
        backward = self._named(Function("backward", tuple(parameters), body, tuple(gradients)), cotangents)
        names = [parameter.value.name for parameter in backward.parameters if parameter.role is Role.RESIDUAL]
        kept = tuple(Result(Role.RESIDUAL, name, value) for name, value in zip(names, residuals.saved, strict=True))
        return replace(self._forward, operations=operations, results=(*self._forward.results, *kept)), backward

    def _named(self, backward: Function, cotangents: Mapping[Result, Value]) -> Function:
        """Cotangents take their outputs' names, forward values of these names take others."""
        taken = {result.name for result in cotangents}
        naming = {value: self._renamed(value) for value in defined_values(backward) if value.name in taken}
        naming.update((cotangent, replace(cotangent, name=result.name)) for result, cotangent in cotangents.items())
        return replace(
            backward,
            parameters=tuple(replace(parameter, value=naming.get(parameter.value, parameter.value)) for parameter in backward.parameters),
            operations=tuple(rename(operation, naming) for operation in backward.operations),
            results=tuple(replace(result, value=naming.get(result.value, result.value)) for result in backward.results),
        )

    def _renamed(self, value: Value) -> Value:
        with self._body.at(value.location):
            return self._body.value(value.type, value.name)

    def _shape_witnesses(self, gradients: Sequence[Result], needed: Collection[Value]) -> list[Value]:
        """Sources with zero gradient whose dimensions no parameter of `@backward` would know."""
        known = [result.value for result in _outputs(self._forward)] + list(needed)
        dims = {dim for value in known for dim in _dims(value)}
        return [source for source in self._sources if any(dim not in dims for dim in _dims(source))]


def _outputs(function: Function) -> tuple[Result, ...]:
    return tuple(result for result in function.results if result.role is Role.OUTPUT)


def _has_rows(value: Value) -> bool:
    """Whether a cotangent can have the value's type."""
    if not isinstance(value.type, TensorType):
        return False
    shape = value.type.shape
    return len(shape) in (2, 3) and not isinstance(shape[0], int) and isinstance(shape[-1], int)


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float


def _dims(value: Value) -> set[Size]:
    """The symbolic dimensions that a value's type names."""
    dims = value.type.shape if isinstance(value.type, TensorType) else (value.type.batch, value.type.time, value.type.tokens)
    return {dim for dim in dims if isinstance(dim, Size)}


def _read(operations: Iterable[Operation], results: Iterable[Result]) -> set[Value]:
    """Values that operations and results read without defining them."""
    listed = tuple(operations)
    read = {value for operation in listed for value in operands_of(operation)} | {result.value for result in results}
    return read - {value for operation in listed for value in results_of(operation)}


def _size(value: Value, pairs: Container[Dim]) -> int | None:
    """Bytes, symbolic dimensions being long, and those of `pairs` longer; None for masks, which are always computed again."""
    return 1 if isinstance(value.type, IndexType) else size_of(value.type, pairs)
