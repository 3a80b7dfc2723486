"""Loop-invariant code motion for scans: operations that don't depend on the state run before the loop, over all tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import Law, Linearity
from rnnspec.ir.inference import index, is_fixed
from rnnspec.ir.ops import Binary, Matmul, Module, Operation, Reduce, Region, Scan, Unary, Value
from rnnspec.ir.traverse import definitions, free_values, location_of, operands_of, replace_operands, results_of, with_results
from rnnspec.ir.types import ROWS, Dim, TensorType
from rnnspec.passes.regroup_sums import regroup_sums
from rnnspec.passes.rewrite import rewrite_functions, rewrite_scans


@frozen
class HoistProjection:
    """A step's matmuls and reductions that don't depend on the carried values are done once, over all tokens.

    What feeds them goes along, and so do sums that follow: `(x@K + h@U) + b` becomes `(x@K + b) + h@U`
    with the bracket over all tokens. That regrouping is a reassociation of float sums; nothing else
    changes a bit. Other elementwise work stays in the loop, where it is fused. Operations on weights
    alone leave the loop too.
    """

    name: ClassVar[str] = "hoist-projection"

    def run(self, module: Module) -> Module:
        """The module with each scan's state-independent products and reductions in front of it."""
        return rewrite_functions(module, lambda function: rewrite_scans(function, _hoist))


def _hoist(builder: Builder, scan: Scan) -> Mapping[Value, Value]:
    region = _without_weight_operations(builder, scan.region)
    step = _Step.of(region)
    heavy = step.closure(_heavy_results(step))
    hoisted = step.closure(heavy | _following_sums(step, heavy))
    region, regrouped = regroup_sums(region, step.state, step.uniform, hoisted, builder.names)
    step = _Step.of(region)
    hoisted = step.closure(hoisted | regrouped)
    outside = _append_outside(builder, scan, step, hoisted)
    return _append_scan(builder, scan, step, outside)


def _without_weight_operations(builder: Builder, region: Region) -> Region:
    """Moves operations without any row to the enclosing function, as they are."""
    outside = set(free_values(region))
    kept: list[Operation] = []
    for operation in region.operations:
        if outside.issuperset(operands_of(operation)) and all(_is_fixed(result) for result in results_of(operation)):
            outside.update(builder.append(operation))
        else:
            kept.append(operation)
    return replace(region, operations=tuple(kept))


@frozen
class _Step:
    """A region, and how its values come about.

    `state`: depends on carried values, or sums over the rows of one step. `uniform`: the same for
    every token. The rest depends on the token only.
    """

    region: Region
    defined: Mapping[Value, Operation]
    state: frozenset[Value]
    uniform: frozenset[Value]

    @classmethod
    def of(cls, region: Region) -> _Step:
        state, uniform = set(region.carried), set(free_values(region))
        for operation in region.operations:
            operands, results = operands_of(operation), results_of(operation)
            if not state.isdisjoint(operands) or all(_is_fixed(result) for result in results):
                state.update(results)
            elif uniform.issuperset(operands):
                uniform.update(results)
        return cls(region, definitions(region.operations), frozenset(state), frozenset(uniform))

    def tokenwise(self) -> Iterator[Operation]:
        """The operations that depend on the token only."""
        for operation in self.region.operations:
            result = results_of(operation)[0]
            if result not in self.state and result not in self.uniform:
                yield operation

    def closure(self, values: Iterable[Value]) -> frozenset[Value]:
        """The results of every operation that `values` are made of; they must not depend on the state."""
        closed: set[Value] = set()
        pending = [value for value in values if value in self.defined]
        while pending:
            operation = self.defined[pending.pop()]
            if closed.isdisjoint(results_of(operation)):
                closed.update(results_of(operation))
                pending.extend(operand for operand in operands_of(operation) if operand in self.defined)
        return frozenset(closed)


def _heavy_results(step: _Step) -> frozenset[Value]:
    return frozenset(operation.result for operation in step.tokenwise() if isinstance(operation, Matmul | Reduce))


def _following_sums(step: _Step, heavy: frozenset[Value]) -> frozenset[Value]:
    """Sums and differences of what is hoisted, or of products with it."""
    linear = set(heavy)
    sums: set[Value] = set()
    for operation in step.tokenwise():
        match operation:
            case Binary(result, kind, left, right) if kind.row.linear is not Linearity.NEITHER and (left in linear or right in linear):
                linear.add(result)
                if kind.row.linear is Linearity.TOGETHER:
                    sums.add(result)
            case Unary(result, kind, operand) if Law.LINEAR in kind.row.laws and operand in linear:
                linear.add(result)
            case _:
                continue
    return frozenset(sums)


def _append_outside(builder: Builder, scan: Scan, step: _Step, hoisted: frozenset[Value]) -> dict[Value, Value]:
    """Appends the hoisted operations over all tokens; what each hoisted value and each slice is outside."""
    tokens = index(scan.index.type).tokens
    outside = dict(zip(step.region.slices, scan.sequences, strict=True))
    for operation in step.region.operations:
        results = results_of(operation)
        if results[0] in hoisted:
            with builder.at(location_of(operation)):
                fresh = tuple(builder.value(_over(result, tokens), None if result.name.isdigit() else result.name) for result in results)
            builder.append(with_results(replace_operands(operation, outside), fresh))
            outside.update(zip(results, fresh, strict=True))
    return outside


def _append_scan(builder: Builder, scan: Scan, step: _Step, outside: Mapping[Value, Value]) -> Mapping[Value, Value]:
    """Appends the scan over what is left; a hoisted value that the step reads becomes a slice under its old name."""
    region = step.region
    stays = [value not in outside or value in step.uniform for value in region.stacks]
    stacks = tuple(value for value, stay in zip(region.stacks, stays, strict=True) if stay)
    renamed = {result: outside[value] for result, value, stay in zip(scan.stacks, region.stacks, stays, strict=True) if not stay}
    inside: list[Operation] = []
    read = {*region.carries, *stacks, *region.sums}
    for operation in reversed(region.operations):
        results = results_of(operation)
        if results[0] not in outside or (results[0] in step.uniform and not read.isdisjoint(results)):
            inside.append(operation)
            read.update(operands_of(operation))
    slices = tuple(value for value in outside if value in read and value not in step.uniform)
    rest = replace(
        scan,
        stacks=tuple(result for result, stay in zip(scan.stacks, stays, strict=True) if stay),
        sequences=tuple(outside[value] for value in slices),
        region=replace(region, slices=slices, operations=tuple(reversed(inside)), stacks=stacks),
    )
    if results_of(rest):
        builder.append(rest)
    return renamed


def _over(value: Value, rows: Dim) -> TensorType:
    type_ = Builder.tensor(value)
    return type_.with_shape(tuple(rows if dim == ROWS else dim for dim in type_.shape))


def _is_fixed(value: Value) -> bool:
    return isinstance(value.type, TensorType) and is_fixed(value.type)
