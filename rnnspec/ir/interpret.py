"""Runs the tensor IR in numpy, in float64 whatever the declared types: slow, obvious, the oracle of every pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import Size, value_of
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir import inference
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    Distinct,
    DistinctIds,
    FillSum,
    Function,
    Index,
    Mask,
    Matmul,
    Operation,
    Pack,
    PackSum,
    Pairs,
    PairTokens,
    Places,
    Positions,
    Random,
    Rearrange,
    Reduce,
    ReduceKind,
    Reshape,
    RestoreRows,
    Role,
    Scan,
    ScatterAdd,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    Unpack,
    Value,
    Window,
    WindowMask,
)
from rnnspec.ir.random import uniform
from rnnspec.ir.traverse import results_of
from rnnspec.ir.types import ROWS, DType, IndexType, TensorType

Array: TypeAlias = NDArray[Any]


@frozen
class Packing:
    """An index as plain lists.

    `order[r]`: the caller's row of sorted row r. `tokens[i]`: the caller's row and the time step of
    token i. `steps[k]`: the tokens of the k-th packed step, those of sorted rows 0, 1, ....
    """

    batch: int
    time: int
    order: list[int]
    tokens: list[tuple[int, int]]
    steps: list[range]


Held: TypeAlias = Array | Packing
Outcome: TypeAlias = tuple[Role, str]


def pack_mask(mask: Array) -> Packing:
    """The packing of a mask, bool [batch, time], by the definition at `rnnspec.ir.types.IndexType`."""
    batch, time = mask.shape
    real = [[t for t in range(time) if mask[row, t]] for row in range(batch)]
    order = sorted(range(batch), key=lambda row: -len(real[row]))
    tokens: list[tuple[int, int]] = []
    steps: list[range] = []
    for k in range(max((len(times) for times in real), default=0)):
        rows = [row for row in order if len(real[row]) > k]
        steps.append(range(len(tokens), len(tokens) + len(rows)))
        tokens.extend((row, real[row][k]) for row in rows)
    return Packing(batch, time, order, tokens, steps)


def interpret(function: Function, arguments: Mapping[str, Array | Packing], *, rounded: bool = False) -> dict[Outcome, Array | Packing]:
    """The results of a verified function by role and name; `arguments` by parameter name, shapes as declared.

    Floats are computed in float64; with `rounded` each result is rounded to its declared type. i32 stays int32, i1 is bool.
    """
    names = {parameter.value.name for parameter in function.parameters}
    if names != set(arguments):
        raise InternalError(f"@{function.name} takes {sorted(names)}, not {sorted(arguments)}")
    frame = _Frame({}, {}, rounded)
    for parameter in function.parameters:
        frame.bind(parameter.value, arguments[parameter.value.name])
    with np.errstate(all="ignore"):
        for operation in function.operations:
            frame.run(operation)
    return {(result.role, result.name): frame.values[result.value] for result in function.results}


@frozen
class _Frame:
    """The arrays of values and the numbers of symbolic dimensions while a function runs."""

    values: dict[Value, Held]
    dims: dict[Size, int]
    rounded: bool

    def bind(self, value: Value, held: Held) -> None:
        """Sets a value; its array's shape must agree with the dimensions known so far."""
        match value.type:
            case TensorType():
                if isinstance(held, Packing):
                    raise InternalError(f"%{value.name} is {value.type}, not a packing")
                array = np.asarray(held)
                if array.ndim != value.type.rank:
                    raise InternalError(f"%{value.name} is {value.type}, not of shape {array.shape}")
                wanted, given, held = value.type.shape, array.shape, array.astype(_dtype(value.type.dtype, self.rounded))
            case IndexType():
                if not isinstance(held, Packing):
                    raise InternalError(f"%{value.name} is {value.type}, not an array")
                wanted, given = (value.type.batch, value.type.time, value.type.tokens), (held.batch, held.time, len(held.tokens))
            case _:
                assert_never(value.type)
        for dim, length in zip(wanted, given, strict=True):
            expected = self.dims.setdefault(dim, length) if isinstance(dim, Size) else dim
            if expected != length:
                raise InternalError(f"%{value.name} is {value.type} with {dim} = {expected}, not of shape {given}")
        self.values[value] = held

    def run(self, operation: Operation) -> None:
        held = self._scan(operation) if isinstance(operation, Scan) else self._simple(operation)
        for result, one in zip(results_of(operation), held, strict=True):
            self.bind(result, one)

    def array(self, value: Value) -> Array:
        held = self.values[value]
        if isinstance(held, Packing):
            raise InternalError(f"%{value.name} is a packing")
        return held

    def packing(self, value: Value) -> Packing:
        held = self.values[value]
        if isinstance(held, Packing):
            return held
        raise InternalError(f"%{value.name} is no packing")

    def shape(self, value: Value) -> tuple[int, ...]:
        if not isinstance(value.type, TensorType):
            raise InternalError(f"%{value.name} has no shape")
        return tuple(max(value_of(dim, self.dims), 0) for dim in value.type.shape)

    def _simple(self, operation: Operation) -> list[Held]:
        match operation:
            case Constant():
                return [np.full(self.shape(operation.result), operation.value)]
            case Positions():
                return [np.arange(*self.shape(operation.result), dtype=np.float64)]
            case Unary():
                return [operation.kind.row.numpy(self.array(operation.operand))]
            case Binary():
                return [operation.kind.row.numpy(self.array(operation.left), self.array(operation.right))]
            case Compare():
                return [operation.kind.row.numpy(self.array(operation.left), self.array(operation.right))]
            case Select():
                return [np.where(self.array(operation.condition), self.array(operation.on_true), self.array(operation.on_false))]
            case Broadcast():
                return [np.broadcast_to(self.array(operation.operand), self.shape(operation.result))]
            case Reshape():
                return [self.array(operation.operand).reshape(self.shape(operation.result))]
            case Split():
                ends = np.cumsum([self.shape(result)[operation.axis] for result in operation.results])
                return list(np.split(self.array(operation.operand), ends[:-1], axis=operation.axis))
            case Concat():
                return [np.concatenate([self.array(operand) for operand in operation.operands], axis=operation.axis)]
            case Matmul():
                left, right = self.array(operation.left), self.array(operation.right)
                product = (left.T if operation.transpose_left else left) @ (right.T if operation.transpose_right else right)
                return [product if operation.init is None else self.array(operation.init) + product]
            case Reduce():
                return [_reduce(operation, self.array(operation.operand))]
            case Take():
                ids = self.array(operation.ids)[:, 0]
                found = np.zeros(self.shape(operation.result))
                found[ids >= 0] = self.array(operation.table)[ids[ids >= 0]]
                return [found]
            case ScatterAdd():
                sums = np.zeros(self.shape(operation.result))
                ids = self.array(operation.ids)[:, 0]
                np.add.at(sums, ids[ids >= 0], self.array(operation.updates)[ids >= 0])
                return [sums]
            case Random():
                return [uniform(int(self.array(operation.key)), operation.stream, self.shape(operation.result))]
            case Mask():
                return [np.any(self.array(operation.operand) != operation.value, axis=2)]
            case Index():
                return [pack_mask(self.array(operation.mask))]
            case Window():
                return [window_ids(operation, self.packing(operation.source), self.packing(operation.index))]
            case WindowMask():
                return [window_mask(operation, self.array(operation.mask))]
            case Pairs():
                return [pack_mask(visible_keys(operation, self.packing(operation.queries), self.packing(operation.keys)))]
            case PairTokens():
                return [self._pair_tokens(operation)]
            case Distinct():
                return [pack_mask(named_rows(operation, self.array(operation.ids)))]
            case DistinctIds():
                return [np.array([[row] for _, row in self.packing(operation.distinct).tokens], np.int32).reshape(-1, 1)]
            case Places():
                place_of = {row: place for place, (_, row) in enumerate(self.packing(operation.distinct).tokens)}
                found = [place_of.get(int(row), -1) for row in self.array(operation.ids)[:, 0]]
                return [np.array(found, np.int32).reshape(-1, 1)]
            case Rearrange():
                operand = self.array(operation.operand)
                return [(operand.swapaxes(1, 2) if operation.transpose else operand).reshape(self.shape(operation.result))]
            case Pack():
                sequence = self.array(operation.operand)
                rows = [sequence[row, t] for row, t in self.packing(operation.index).tokens]
                return [np.array(rows).reshape(-1, sequence.shape[2])]
            case Unpack():
                return [self._unpack(operation)]
            case PackSum() | FillSum():
                return [self._shown_sum(operation)]
            case SortRows():
                return [self.array(operation.operand)[self.packing(operation.index).order]]
            case RestoreRows():
                rows = self.array(operation.operand)
                restored = np.empty_like(rows)
                restored[self.packing(operation.index).order] = rows
                return [restored]
            case Scan():
                raise InternalError("a scan is no simple operation")
            case _:
                assert_never(operation)

    def _pair_tokens(self, operation: PairTokens) -> Array:
        queries, keys = self.packing(operation.queries), self.packing(operation.keys)
        key_of = {place: token for token, place in enumerate(keys.tokens)}
        tokens = self.packing(operation.pairs).tokens
        found = [key_of[queries.tokens[query][0], t] if operation.of_keys else query for query, t in tokens]
        return np.array(found, np.int32).reshape(-1, 1)

    def _unpack(self, operation: Unpack) -> Array:
        packing, fill, rows = self.packing(operation.index), self.array(operation.fill), self.array(operation.operand)
        unpacked = np.empty((packing.batch, packing.time, rows.shape[1]))
        for (row, t), token in shown_tokens(packing, operation.hold, operation.flip).items():
            unpacked[row, t] = fill[0] if token is None else rows[token]
        return unpacked

    def _shown_sum(self, operation: PackSum | FillSum) -> Array:
        packing, padded, sums = self.packing(operation.index), self.array(operation.operand), np.zeros(self._sum_shape(operation))
        for (row, t), token in shown_tokens(packing, operation.hold, operation.flip).items():
            if isinstance(operation, FillSum) and token is None:
                sums[0] += padded[row, t]
            if isinstance(operation, PackSum) and token is not None:
                sums[token] += padded[row, t]
        return sums

    def _sum_shape(self, operation: PackSum | FillSum) -> tuple[int, int]:
        rows = 1 if isinstance(operation, FillSum) else len(self.packing(operation.index).tokens)
        return rows, self.array(operation.operand).shape[2]

    def _scan(self, scan: Scan) -> list[Held]:
        packing, region = self.packing(scan.index), scan.region
        state = [self.array(init).copy() for init in scan.inits]
        stacks = [np.zeros(self.shape(stack)) for stack in scan.stacks]
        sums = [np.zeros(self.shape(total)) for total in scan.sums]
        for tokens in reversed(packing.steps) if scan.reverse else packing.steps:
            running = len(tokens)
            step = _Frame(dict(self.values), {**self.dims, ROWS: running}, self.rounded)
            for value, held in zip(region.carried, state, strict=True):
                step.bind(value, held[:running])
            for value, sequence in zip(region.slices, scan.sequences, strict=True):
                step.bind(value, self.array(sequence)[tokens.start : tokens.stop])
            for operation in region.operations:
                step.run(operation)
            for held, value in zip(state, region.carries, strict=True):
                held[:running] = step.array(value)
            for stack, value in zip(stacks, region.stacks, strict=True):
                stack[tokens.start : tokens.stop] = step.array(value)
            for total, value in zip(sums, region.sums, strict=True):
                total += step.array(value)
        return [*state, *stacks, *sums]


def window_ids(window: Window, source: Packing, index: Packing) -> Array:
    """See `rnnspec.ir.ops.Window`."""
    token_of = {place: token for token, place in enumerate(source.tokens)}
    before = index.time - source.time if window.at_end else 0
    real = [[t for where, t in source.tokens if where == row] for row in range(source.batch)]
    ids: list[int] = []
    for row, t in index.tokens:
        first, last = ((real[row] or [0])[0], (real[row] or [-1])[-1]) if window.own else (0, source.time - 1)
        count = last + 1 - first
        lacking = max((-(-count // window.stride) - 1) * window.stride + window.span - count, 0) if window.span else 0
        step = first + (t - before - first // window.stride) * window.stride + window.offset - lacking // 2
        if window.clamp:
            step = min(max(step, first), last)
        ids.append(token_of.get((row, step), -1))
    return np.array(ids, np.int32).reshape(-1, 1)


def window_mask(operation: WindowMask, mask: Array) -> Array:
    """See `rnnspec.ir.ops.WindowMask`."""
    windows, time = operation.windows, mask.shape[1]
    result = np.zeros((len(mask), max(value_of(windows.length(time), {}), 0)), bool)
    for row, given in enumerate(mask[:, ::-1] if operation.flip else mask):
        real = [t for t in range(time) if given[t]]
        if not real:
            continue
        first, count = real[0], real[-1] + 1 - real[0]
        own = max(-(-(count - windows.ahead) // windows.stride), 0)
        lacking = max((own - 1) * windows.stride + windows.span - count, 0) if windows.same else 0
        for number in range(own):
            start = first + number * windows.stride + windows.start - lacking // 2
            seen = [t for t in range(start, start + windows.span, windows.dilation) if first <= t <= real[-1]]
            result[row, first // windows.stride + number] = not seen or any(t in real for t in seen)
    return result


def visible_keys(pairs: Pairs, queries: Packing, keys: Packing) -> Array:
    """The pairs as a mask: the steps that each token of `queries` may look at, bool [tokens, time of keys]."""
    real = set(keys.tokens)
    seen = [[(row, t) in real and (t <= now or not pairs.causal) for t in range(keys.time)] for row, now in queries.tokens]
    return np.array(seen, bool).reshape(len(seen), keys.time)


def named_rows(distinct: Distinct, ids: Array) -> Array:
    """Which rows of the table some id names, bool [1, rows]."""
    rows = value_of(inference.index(distinct.result.type).time, {})
    if np.any((ids < 0) | (ids >= rows)):
        raise InternalError(f"%{distinct.ids.name} names no row of {rows}")
    return np.isin(np.arange(rows), ids)[None, :]


def shown_tokens(packing: Packing, hold: bool, flip: bool) -> dict[tuple[int, int], int | None]:
    """The token that each step (row, t) of an unpacked sequence shows, None for its fill; see `rnnspec.ir.ops.Unpack`."""
    token_of = {place: token for token, place in enumerate(packing.tokens)}
    shown: dict[tuple[int, int], int | None] = {}
    for row in range(packing.batch):
        latest: int | None = None
        for t in range(packing.time):
            token = token_of.get((row, packing.time - 1 - t if flip else t))
            latest = latest if token is None else token
            shown[row, t] = latest if hold else token
    return shown


def _reduce(operation: Reduce, operand: Array) -> Array:
    keep = operation.axis == operand.ndim - 1
    match operation.kind:
        case ReduceKind.SUM:
            return np.sum(operand, axis=operation.axis, keepdims=keep)
        case ReduceKind.MAX:
            return np.max(operand, axis=operation.axis, keepdims=keep, initial=-np.inf)
        case ReduceKind.MIN:
            return np.min(operand, axis=operation.axis, keepdims=keep, initial=np.inf)
        case _:
            assert_never(operation.kind)


def _dtype(dtype: DType, rounded: bool) -> type[np.generic]:
    match dtype:
        case DType.F32:
            return np.float32 if rounded else np.float64
        case DType.F64:
            return np.float64
        case DType.I32:
            return np.int32
        case DType.I1:
            return np.bool_
        case _:
            assert_never(dtype)
