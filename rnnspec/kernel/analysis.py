"""Storage analysis of a block: the values that are stored, their order in levels, and the columns at which they are cut.

A value is evaluated inside the stage that needs it, unless it is needed *whole*: as the left side of
a contraction, under a reduction, by a scan. Such a value is a root: a stage of an earlier level
stores it. The level of an operation is the number of such waits before it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Concat,
    Constant,
    Matmul,
    Operation,
    Pack,
    Places,
    Reduce,
    Scan,
    Split,
    Take,
    Unpack,
    Value,
)
from rnnspec.ir.traverse import free_values, operands_of, results_of, use_counts
from rnnspec.ir.types import TensorType
from rnnspec.kernel.op_class import OpClass, depends_on_place, form_of, is_expensive, is_neutral, is_storable, matrix

StageKey = tuple[int, Dim, int]
"""Level, rows and units; one stage computes all values stored under one key."""


@dataclass
class Analysis:
    """The storage analysis of a block.

    `level[v]`: the earliest level at which v can be evaluated. `available[v]`: for a stored v, the earliest level that can load it.
    """

    definitions: dict[Value, Operation] = field(default_factory=dict[Value, Operation])
    level: dict[Value, int] = field(default_factory=dict[Value, int])
    available: dict[Value, int] = field(default_factory=dict[Value, int])
    node_level: dict[int, int] = field(default_factory=dict[int, int])
    roots: dict[Value, None] = field(default_factory=dict[Value, None])
    apart: set[Value] = field(default_factory=set[Value])
    """Roots whose cuts are none of others': what is made of them would fall into too many parts."""
    cuts: dict[Value, set[int]] = field(default_factory=lambda: defaultdict[Value, set[int]](set))
    starts: dict[Value, int] = field(default_factory=dict[Value, int])
    """Of each part of a split along the columns, its first column in the whole."""
    parts: dict[Value, tuple[int, ...]] = field(default_factory=dict[Value, tuple[int, ...]])
    """Of each concatenation along the columns, the first column of each part."""
    neutral: set[Value] = field(default_factory=set[Value])
    """The values that come from constants alone, cheap ones, so that any block can evaluate them."""
    waits: dict[Value, tuple[Value, ...]] = field(default_factory=dict[Value, tuple[Value, ...]])
    """Of each reduction's and broadcast's result, what is stored before it: decided once, with the roots that are known then."""

    def pieces(self, value: Value) -> tuple[tuple[int, int], ...]:
        """First column and width of each part of a root that is computed by itself."""
        width = matrix(value)[1]
        edges = [0, *sorted(cut for cut in self.cuts[value] if 0 < cut < width), width]
        return tuple((start, stop - start) for start, stop in itertools.pairwise(edges))

    def keys(self, value: Value) -> set[StageKey]:
        """The stages that store a value, one for each of its pieces' widths."""
        rows, _ = matrix(value)
        return {(self.level[value], rows, width) for _, width in self.pieces(value)}

    def is_lazy(self, value: Value) -> bool:
        """Whether a value is evaluated inside its users' stages, unless it is a root."""
        operation = self.definitions.get(value)
        return operation is not None and form_of(operation) in (OpClass.POINTWISE, OpClass.LEAF)


def analyse(operations: Sequence[Operation], stored: Iterable[Value], wanted: Iterable[Value], panels_wait: bool) -> Analysis:
    """The analysis of a block whose `stored` values exist before it and whose `wanted` ones must be stored by it.

    `panels_wait`: the right sides of contractions are packed inside the block (the prepare function).
    """
    analysis = Analysis(definitions={result: operation for operation in operations for result in results_of(operation)})
    for operation in operations:
        if is_neutral(operation, analysis.neutral):
            analysis.neutral.update(results_of(operation))
        if isinstance(operation, Split) and form_of(operation) is OpClass.POINTWISE:
            analysis.starts.update(zip(operation.results, _starts(operation.results), strict=True))
        elif isinstance(operation, Concat) and form_of(operation) is OpClass.POINTWISE:
            analysis.parts[operation.result] = _starts(operation.operands)
    for value in stored:
        analysis.level[value] = analysis.available[value] = 0
    _set_apart(analysis, operations)
    for number, operation in enumerate(operations):
        _place(analysis, number, operation, panels_wait)
    for value in wanted:
        if analysis.is_lazy(value) or value not in analysis.definitions:
            analysis.roots[value] = None
    _find_cuts(analysis, operations)
    _store_shared(analysis, operations)
    return analysis


def _starts(parts: Sequence[Value]) -> tuple[int, ...]:
    """The first column of each of several values side by side."""
    return tuple(itertools.accumulate((matrix(part)[1] for part in parts[:-1]), initial=0))


def _whole(analysis: Analysis, value: Value) -> int:
    """The level from which on a value can be loaded; a lazy one becomes a root."""
    if analysis.is_lazy(value):
        if not is_storable(value):
            raise InternalError(f"%{value.name} can't be stored: {value.type}")
        analysis.roots[value] = None
        return analysis.level[value] + 1
    return analysis.available[value]


def _waits_for(analysis: Analysis, value: Value, waits: Callable[[Operation], bool]) -> tuple[Value, ...]:
    """The values to store so that `value` can be evaluated without an operation that `waits`: existing roots, or `value` itself.

    That a value is a root doesn't help by itself: at its own level it isn't stored yet, and would be evaluated again.
    """
    found: dict[Value, None] = {}
    for current, operation in _tree(analysis, value, analysis.roots):
        if current in analysis.roots:
            if any(waits(inner) for _, inner in _tree(analysis, current, ())):
                found[current] = None
        elif waits(operation):
            return (value,)
    return tuple(found)


def _tree(analysis: Analysis, value: Value, stop: Container[Value]) -> Iterator[tuple[Value, Operation]]:
    """The values evaluated for `value`, each once with its operation; without values stored before the block, and nothing below `stop`."""
    seen: set[Value] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if current in seen or not analysis.is_lazy(current):
            continue
        seen.add(current)
        operation = analysis.definitions[current]
        yield current, operation
        if current not in stop:
            pending.extend(_evaluated_with(operation))


def _evaluated_with(operation: Operation) -> tuple[Value, ...]:
    """The operands of which an element of the result takes the element at the same place, if it is evaluated inside a stage."""
    match operation:
        case Matmul(init=init):
            return () if init is None else (init,)
        case _:
            return operands_of(operation) if form_of(operation) is OpClass.POINTWISE else ()


def _place(analysis: Analysis, number: int, operation: Operation, panels_wait: bool) -> None:
    form = form_of(operation)
    level = 0
    if form is OpClass.POINTWISE or isinstance(operation, Split | Matmul):
        _cut_upwards(analysis, operation)
    for operand in whole_operands(analysis, operation):
        if isinstance(operand.type, TensorType):
            level = max(level, _whole(analysis, operand))
    for operand in inline_operands(analysis, operation):
        level = max(level, _whole(analysis, operand) if operand in analysis.apart else analysis.level[operand])
    if isinstance(operation, Matmul) and not operation.transpose_left and panels_wait:
        level = max(level, _whole(analysis, operation.right) + 1)
    if form is OpClass.NODE:
        analysis.node_level[number] = level
        level += 1
    for result in results_of(operation):
        analysis.level[result] = level
        if form in (OpClass.NODE, OpClass.VIEW):
            analysis.available[result] = level


def whole_operands(analysis: Analysis, operation: Operation) -> tuple[Value, ...]:
    """The operands that must be stored before the operation runs.

    Under a reduction these are costly operands and those computed in parts: a loop over all columns has a single body, that of
    the first part.
    """
    match operation:
        case Matmul():
            return (operation.left, operation.right) if operation.transpose_left else (operation.left,)
        case Broadcast() | Reduce():
            if operation.result not in analysis.waits:
                analysis.waits[operation.result] = _waits_for(analysis, operation.operand, partial(_waits, operation))
            return analysis.waits[operation.result]
        case Scan():
            inits = tuple(init for init in operation.inits if not is_zero(analysis, init))
            outer = tuple(value for value in free_values(operation.region) if value not in analysis.neutral)
            sequences = (each for sequence in operation.sequences for each in looked_up(analysis, sequence) or (sequence,))
            return (*inits, *sequences, *outer)
        case Unpack():
            return (operation.operand,) if is_zero(analysis, operation.fill) else (operation.operand, operation.fill)
        case _:
            return operands_of(operation) if form_of(operation) is not OpClass.POINTWISE else ()


def _waits(around: Broadcast | Reduce, inner: Operation) -> bool:
    """Whether an operation can't be evaluated where its value is repeated, or reduced.

    A reduction's one pass over all columns can't take another part of a concatenation for each of them.
    """
    match around:
        case Broadcast(result=result, operand=operand):
            return depends_on_place(inner) and matrix(operand) != matrix(result)
        case Reduce():
            return _costs_under(around, inner) or form_of(inner) is OpClass.LEAF or isinstance(inner, Concat)
        case _:
            assert_never(around)


def _costs_under(reduction: Reduce, inner: Operation) -> bool:
    """Whether an operation is worth a loop of its own before a reduction; one number for all of a row's units is computed once a row."""
    of_rows = all(matrix(result)[1] == 1 for result in results_of(inner)) and matrix(reduction.operand)[1] != 1
    return is_expensive(inner) and not of_rows


def looked_up(analysis: Analysis, sequence: Value) -> tuple[Value, ...]:
    """The table and the ids that a step finds its rows by, without a copy of them; none where some ids may be missing."""
    match analysis.definitions.get(sequence):
        case Take(table=table, ids=ids) if isinstance(analysis.definitions.get(ids), Pack | Places):
            return table, ids
        case _:
            return ()


def inline_operands(analysis: Analysis, operation: Operation) -> tuple[Value, ...]:
    """The operands that are evaluated where the operation is."""
    match operation:
        case Broadcast() | Reduce():
            return () if operation.operand in whole_operands(analysis, operation) else (operation.operand,)
        case _:
            return _evaluated_with(operation)


def is_zero(analysis: Analysis, value: Value) -> bool:
    """Whether a value is the constant 0, broadcasts of it included."""
    operation = analysis.definitions.get(value)
    while isinstance(operation, Broadcast):
        operation = analysis.definitions.get(operation.operand)
    return isinstance(operation, Constant) and operation.value == 0.0


MOST_CUTS = 256
"""Of one value, but for what it is put together from itself: parts of parts would double with each equation."""


def _cut_upwards(analysis: Analysis, operation: Operation) -> None:
    """Columns at which a value's parts are computed apart: gates of a joint projection, parts of a concatenation."""
    cuts, own = analysis.cuts, _cuts_of(analysis, operation, {})
    found = _cuts_of(analysis, operation, cuts)
    if any(len(found[result]) > MOST_CUTS + len(own[result]) for result in found):
        analysis.apart.update(operand for operand in _evaluated_with(operation) if analysis.is_lazy(operand) and is_storable(operand))
        found = _cuts_of(analysis, operation, cuts)
    cuts.update(found)


def _cuts_of(analysis: Analysis, operation: Operation, cuts: Mapping[Value, set[int]]) -> dict[Value, set[int]]:
    """The cuts of an operation's results, with those of its operands."""

    def inside(operand: Value) -> Iterable[int]:
        return () if operand in analysis.apart else cuts.get(operand, ())

    match operation:
        case Concat():
            parts = zip(_starts(operation.operands), operation.operands, strict=True)
            return {operation.result: {start + cut for start, operand in parts for cut in (0, *inside(operand))}}
        case Split():
            parts = zip(_starts(operation.results), operation.results, strict=True)
            whole = inside(operation.operand)
            return {result: {cut - start for cut in whole if start < cut < start + matrix(result)[1]} for start, result in parts}
        case _:
            (result,) = results_of(operation)
            alike = (operand for operand in _evaluated_with(operation) if analysis.is_lazy(operand) and _is_as_wide(operand, result))
            return {result: {cut for operand in alike for cut in inside(operand)}}


def _is_as_wide(operand: Value, result: Value) -> bool:
    return isinstance(operand.type, TensorType) and matrix(operand)[1] == matrix(result)[1]


def _find_cuts(analysis: Analysis, operations: Sequence[Operation]) -> None:
    """Adds the columns at which a value's parts are used apart."""
    for operation in reversed(operations):
        for operand, further in _uses_apart(operation, analysis.cuts):
            if operand not in analysis.apart:
                analysis.cuts[operand] |= further


def _set_apart(analysis: Analysis, operations: Sequence[Operation]) -> None:
    """Finds the values of which too many parts are used apart."""
    cuts: dict[Value, set[int]] = defaultdict(set)
    for operation in reversed(operations):
        for operand, further in _uses_apart(operation, cuts):
            cuts[operand] |= further
            own = len(operation.results) if isinstance(operation, Split) else 0
            if len(cuts[operand]) > MOST_CUTS + own and analysis.is_lazy(operand) and is_storable(operand):
                analysis.apart.add(operand)
                cuts[operand] = set()


def _uses_apart(operation: Operation, cuts: Mapping[Value, set[int]]) -> list[tuple[Value, set[int]]]:
    """The columns at which an operation uses its operands' parts apart, with those at which its results are used."""
    match operation:
        case Matmul(init=init, result=result):
            return [] if init is None else [(init, cuts[result])]
        case _ if form_of(operation) is not OpClass.POINTWISE:
            return []
        case Concat():
            return [
                (operand, {cut - start for cut in cuts[operation.result] if start < cut < start + matrix(operand)[1]})
                for start, operand in zip(_starts(operation.operands), operation.operands, strict=True)
            ]
        case Split():
            parts = zip(_starts(operation.results), operation.results, strict=True)
            return [(operation.operand, {start + cut for start, result in parts for cut in (0, *cuts[result])})]
        case _:
            (result,) = results_of(operation)
            return [(operand, cuts[result]) for operand in operands_of(operation) if _is_as_wide(operand, result)]


def _adds_a_product(analysis: Analysis, operation: Operation, uses: Mapping[Value, int]) -> bool:
    if not isinstance(operation, Binary) or not operation.kind.is_sum:
        return False
    sides = (operation.left, operation.right)
    return any(isinstance(analysis.definitions.get(side), Matmul) and uses[side] == 1 for side in sides)


def _store_shared(analysis: Analysis, operations: Sequence[Operation]) -> None:
    """Makes roots of costly values that several stages would compute again.

    Of a product that is only added to something, without starting from it, the sum.
    """
    uses = use_counts(operations)
    needed: dict[Value, set[StageKey | int]] = defaultdict(set)
    for root in analysis.roots:
        needed[root] |= analysis.keys(root)
    for number, operation in reversed(tuple(enumerate(operations))):
        form = form_of(operation)
        if form is OpClass.NODE:
            keys: set[StageKey | int] = {number}
        else:
            keys = set[StageKey | int]().union(*(needed[result] for result in results_of(operation)))
            if form is not OpClass.VIEW and len(keys) > 1 and (is_expensive(operation) or _adds_a_product(analysis, operation, uses)):
                analysis.roots.update((result, None) for result in results_of(operation))
            if any(result in analysis.roots for result in results_of(operation)):
                keys = set[StageKey | int]().union(*(analysis.keys(result) for result in results_of(operation) if result in analysis.roots))
        for operand in inline_operands(analysis, operation):
            needed[operand] |= keys
