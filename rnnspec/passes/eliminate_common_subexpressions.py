"""Common subexpression elimination: computes equal expressions once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import ClassVar

from rnnspec.contract.location import Location, fused
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import Law
from rnnspec.ir.inference import is_fixed
from rnnspec.ir.ops import Binary, Function, Module, Operation, Scan, Value
from rnnspec.ir.traverse import located, location_of, replace_operands, results_of, with_operations
from rnnspec.ir.types import TensorType
from rnnspec.passes.rewrite import rewrite_functions

Seen = dict[Hashable, tuple[Value, ...]]


@frozen
class EliminateCommonSubexpressions:
    """Replaces operations of one kind on the same operands by the first of them; in a scan it may be one from outside.

    Every operation but a scan is a pure function of its operands, `Random` included.
    """

    name: ClassVar[str] = "eliminate-common-subexpressions"

    def run(self, module: Module) -> Module:
        """The module without repeated expressions."""
        return rewrite_functions(module, _function)


def _function(function: Function) -> Function:
    renamed: dict[Value, Value] = {}
    operations = _operations(function.operations, {}, renamed)
    results = tuple(replace(result, value=renamed.get(result.value, result.value)) for result in function.results)
    return replace(function, operations=operations, results=results)


def _operations(operations: Iterable[Operation], seen: Seen, renamed: dict[Value, Value]) -> tuple[Operation, ...]:
    kept: list[Operation] = []
    shared: dict[Value, list[Location]] = {}
    for operation in operations:
        current = replace_operands(operation, renamed)
        if isinstance(current, Scan):
            kept.append(_scan(current, seen, renamed))
            continue
        earlier = seen.setdefault(_key(current), results_of(current))
        if earlier == results_of(current):
            kept.append(current)
        else:
            renamed.update(zip(results_of(current), earlier, strict=True))
            shared.setdefault(earlier[0], []).append(location_of(current))
    return tuple(_everywhere(operation, shared) for operation in kept) if shared else tuple(kept)


def _everywhere(operation: Operation, shared: Mapping[Value, Sequence[Location]]) -> Operation:
    """The operation, come from all places that it stands for now."""
    others = shared.get(results_of(operation)[0])
    return operation if others is None else located(operation, fused((location_of(operation), *others)))


def _scan(scan: Scan, seen: Seen, renamed: dict[Value, Value]) -> Scan:
    visible = {key: results for key, results in seen.items() if all(_is_visible(result) for result in results)}
    operations = _operations(scan.region.operations, visible, renamed)
    return replace(scan, region=with_operations(scan.region, operations, renamed))


def _is_visible(value: Value) -> bool:
    return isinstance(value.type, TensorType) and is_fixed(value.type)


def _key(operation: Operation) -> Hashable:
    """Equal for operations that compute the same; zeros of different sign are different constants."""
    parts: list[Hashable] = [type(operation), tuple(result.type for result in results_of(operation))]
    for field in fields(operation):
        if field.name not in ("result", "results"):
            part = getattr(operation, field.name)
            parts.append(repr(part) if isinstance(part, float) else part)
    if isinstance(operation, Binary) and Law.COMMUTATIVE in operation.kind.row.laws:
        parts.append(frozenset((operation.left, operation.right)))
        parts = [part for part in parts if not isinstance(part, Value)]
    return tuple(parts)
