"""Builds functions of the tensor IR: one method an operation, result types inferred, names made unique."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rnnspec.contract.dimensions import Size, Windows
from rnnspec.contract.location import UNKNOWN, Location, fused
from rnnspec.diagnostics import InternalError
from rnnspec.ir import inference
from rnnspec.ir.names import Names
from rnnspec.ir.ops import (
    Binary,
    BinaryKind,
    Broadcast,
    Compare,
    CompareKind,
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
    Parameter,
    Places,
    Positions,
    Random,
    Rearrange,
    Reduce,
    ReduceKind,
    Region,
    Reshape,
    RestoreRows,
    Result,
    Role,
    Scan,
    ScatterAdd,
    Select,
    SortRows,
    Split,
    Take,
    Unary,
    UnaryKind,
    Unpack,
    Value,
    Window,
    WindowMask,
)
from rnnspec.ir.traverse import located, operands_of, results_of
from rnnspec.ir.types import ROWS, TOKENS, Dim, DType, TensorType, Type


class Builder:
    """Appends operations to a function's body, or to a scan's region (see `scan`)."""

    def __init__(self, names: Names | None = None) -> None:
        self.names = Names() if names is None else names
        self.location = UNKNOWN
        """The spec's lines of the operations to come; unknown, an operation takes its operands' lines."""
        self._operations: list[Operation] = []
        self._parameters: list[Parameter] = []

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations so far, in the order in which they were appended."""
        return tuple(self._operations)

    def value(self, type_: Type, name: str | None = None) -> Value:
        """A value with a fresh name that nothing defines yet."""
        return Value(self.names.fresh(name), type_, self.location)

    @contextmanager
    def at(self, location: Location) -> Generator[None]:
        """Sets `location` for the operations appended inside the `with` block."""
        before, self.location = self.location, location
        try:
            yield
        finally:
            self.location = before

    def append(self, operation: Operation) -> tuple[Value, ...]:
        """Appends an operation as it is; its results."""
        self._operations.append(operation)
        return results_of(operation)

    def parameter(self, role: Role, name: str, type_: Type) -> Value:
        """A parameter of the function under its exact name."""
        value = self.value(type_, name)
        if value.name != name:
            raise InternalError(f"two values are named %{name}")
        self._parameters.append(Parameter(role, value))
        return value

    def function(self, name: str, results: Sequence[Result]) -> Function:
        """The function of the parameters and operations so far."""
        return Function(name, tuple(self._parameters), self.operations, tuple(results))

    def constant(self, value: float, type_: TensorType, name: str | None = None) -> Value:
        """`value` in every element of a tensor of the given type."""
        return self._one(Constant(self.value(type_, name), float(value)))

    def constant_like(self, value: float, like: Value, name: str | None = None) -> Value:
        """A constant of the type of `like`."""
        return self.constant(value, self.tensor(like), name)

    def positions(self, width: int, dtype: DType, name: str | None = None) -> Value:
        """The row [width] of 0, 1, ..., width - 1."""
        type_ = inference.positions(TensorType(dtype, (width,)))
        return self._one(Positions(self.value(type_, name)))

    def unary(self, kind: UnaryKind, operand: Value, name: str | None = None) -> Value:
        """An elementwise operation of one operand; its methods are named by the kinds."""
        return self._one(Unary(self.value(inference.unary(kind, operand.type), name), kind, operand))

    def neg(self, operand: Value, name: str | None = None) -> Value:
        """-operand."""
        return self.unary(UnaryKind.NEG, operand, name)

    def abs(self, operand: Value, name: str | None = None) -> Value:
        """|operand|."""
        return self.unary(UnaryKind.ABS, operand, name)

    def sign(self, operand: Value, name: str | None = None) -> Value:
        """-1, 0 or 1."""
        return self.unary(UnaryKind.SIGN, operand, name)

    def sqrt(self, operand: Value, name: str | None = None) -> Value:
        """The square root; NaN below 0."""
        return self.unary(UnaryKind.SQRT, operand, name)

    def exp(self, operand: Value, name: str | None = None) -> Value:
        """e to the operand."""
        return self.unary(UnaryKind.EXP, operand, name)

    def expm1(self, operand: Value, name: str | None = None) -> Value:
        """exp(operand) - 1, exact near 0."""
        return self.unary(UnaryKind.EXPM1, operand, name)

    def log(self, operand: Value, name: str | None = None) -> Value:
        """The natural logarithm."""
        return self.unary(UnaryKind.LOG, operand, name)

    def log1p(self, operand: Value, name: str | None = None) -> Value:
        """log(1 + operand), exact near 0."""
        return self.unary(UnaryKind.LOG1P, operand, name)

    def tanh(self, operand: Value, name: str | None = None) -> Value:
        """The hyperbolic tangent."""
        return self.unary(UnaryKind.TANH, operand, name)

    def sigmoid(self, operand: Value, name: str | None = None) -> Value:
        """1 / (1 + exp(-operand))."""
        return self.unary(UnaryKind.SIGMOID, operand, name)

    def erf(self, operand: Value, name: str | None = None) -> Value:
        """The error function."""
        return self.unary(UnaryKind.ERF, operand, name)

    def sin(self, operand: Value, name: str | None = None) -> Value:
        """The sine of radians."""
        return self.unary(UnaryKind.SIN, operand, name)

    def cos(self, operand: Value, name: str | None = None) -> Value:
        """The cosine of radians."""
        return self.unary(UnaryKind.COS, operand, name)

    def floor(self, operand: Value, name: str | None = None) -> Value:
        """The largest whole number that isn't above."""
        return self.unary(UnaryKind.FLOOR, operand, name)

    def stop_gradient(self, operand: Value, name: str | None = None) -> Value:
        """The operand, a constant to derivatives."""
        return self.unary(UnaryKind.STOP_GRADIENT, operand, name)

    def binary(self, kind: BinaryKind, left: Value, right: Value, name: str | None = None) -> Value:
        """An elementwise operation of two operands of one type; its methods are named by the kinds."""
        return self._one(Binary(self.value(inference.binary(kind, left.type, right.type), name), kind, left, right))

    def add(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left + right."""
        return self.binary(BinaryKind.ADD, left, right, name)

    def sub(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left - right."""
        return self.binary(BinaryKind.SUB, left, right, name)

    def mul(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left * right."""
        return self.binary(BinaryKind.MUL, left, right, name)

    def div(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left / right."""
        return self.binary(BinaryKind.DIV, left, right, name)

    def max(self, left: Value, right: Value, name: str | None = None) -> Value:
        """The larger side, NaN if either is."""
        return self.binary(BinaryKind.MAX, left, right, name)

    def min(self, left: Value, right: Value, name: str | None = None) -> Value:
        """The smaller side, NaN if either is."""
        return self.binary(BinaryKind.MIN, left, right, name)

    def pow(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left to the power right, as C's `pow`."""
        return self.binary(BinaryKind.POW, left, right, name)

    def and_(self, left: Value, right: Value, name: str | None = None) -> Value:
        """Both of two i1."""
        return self.binary(BinaryKind.AND, left, right, name)

    def or_(self, left: Value, right: Value, name: str | None = None) -> Value:
        """Either of two i1."""
        return self.binary(BinaryKind.OR, left, right, name)

    def compare(self, kind: CompareKind, left: Value, right: Value, name: str | None = None) -> Value:
        """An elementwise comparison of two floats of one type, as i1."""
        return self._one(Compare(self.value(inference.compare(left.type, right.type), name), kind, left, right))

    def less(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left < right."""
        return self.compare(CompareKind.LT, left, right, name)

    def greater(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left > right."""
        return self.compare(CompareKind.GT, left, right, name)

    def greater_equal(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left >= right."""
        return self.compare(CompareKind.GE, left, right, name)

    def equal(self, left: Value, right: Value, name: str | None = None) -> Value:
        """left == right."""
        return self.compare(CompareKind.EQ, left, right, name)

    def select(self, condition: Value, on_true: Value, on_false: Value, name: str | None = None) -> Value:
        """`on_true` where the i1 `condition` holds, else `on_false`; all of one shape."""
        type_ = inference.select(condition.type, on_true.type, on_false.type)
        return self._one(Select(self.value(type_, name), condition, on_true, on_false))

    def broadcast(self, operand: Value, shape: tuple[Dim, ...], name: str | None = None) -> Value:
        """The operand repeated to `shape`, by numpy's rule."""
        return self._one(Broadcast(self.value(inference.broadcast(operand.type, shape), name), operand))

    def broadcast_to(self, operand: Value, shape: tuple[Dim, ...], name: str | None = None) -> Value:
        """The operand itself where it already has `shape`."""
        return operand if self.tensor(operand).shape == shape else self.broadcast(operand, shape, name)

    def broadcast_like(self, operand: Value, like: Value) -> Value:
        """The operand broadcast to the shape of `like`."""
        return self.broadcast_to(operand, self.tensor(like).shape)

    def broadcast_together(self, *operands: Value) -> tuple[Value, ...]:
        """The operands, broadcast to one shape by numpy's rule."""
        shape = inference.common_shape([self.tensor(operand).shape for operand in operands])
        return tuple(self.broadcast_to(operand, shape) for operand in operands)

    def reshape(self, operand: Value, shape: tuple[Dim, ...], name: str | None = None) -> Value:
        """The operand with dimensions of length 1 added or dropped."""
        return self._one(Reshape(self.value(inference.reshape(operand.type, shape), name), operand))

    def split(self, operand: Value, parts: int | Sequence[int], axis: int, names: Sequence[str | None] = ()) -> tuple[Value, ...]:
        """Into a number of equal parts, or into parts of the given sizes."""
        if isinstance(parts, int):
            length = self.tensor(operand).shape[axis]
            if not isinstance(length, int) or parts < 1 or length % parts:
                raise InternalError(f"split of {operand.type} along axis {axis} into {parts} equal parts")
            parts = [length // parts] * parts
        types = inference.split(operand.type, parts, axis)
        hints = list(names) or [None] * len(types)
        results = tuple(self.value(type_, hint) for type_, hint in zip(types, hints, strict=True))
        return self.append(Split(results, operand, axis))

    def concat(self, operands: Sequence[Value], axis: int, name: str | None = None) -> Value:
        """The operands one after the other along `axis`; step masks are joined along their time, axis 1."""
        type_ = inference.concat([operand.type for operand in operands], axis)
        return self._one(Concat(self.value(type_, name), tuple(operands), axis))

    def matmul(
        self,
        left: Value,
        right: Value,
        *,
        transpose_left: bool = False,
        transpose_right: bool = False,
        init: Value | None = None,
        name: str | None = None,
    ) -> Value:
        """left @ right of two matrices, each transposed first if asked; added to `init`, if there is one."""
        type_ = inference.matmul(left.type, right.type, transpose_left, transpose_right, None if init is None else init.type)
        return self._one(Matmul(self.value(type_, name), left, right, transpose_left, transpose_right, init))

    def reduce(self, kind: ReduceKind, operand: Value, axis: int, name: str | None = None) -> Value:
        """The operand reduced along `axis`: the last axis stays, of length 1; the first of two goes."""
        return self._one(Reduce(self.value(inference.reduce(kind, operand.type, axis), name), kind, operand, axis))

    def reduce_sum(self, operand: Value, axis: int, name: str | None = None) -> Value:
        """The sum along `axis`, see `reduce`."""
        return self.reduce(ReduceKind.SUM, operand, axis, name)

    def reduce_max(self, operand: Value, axis: int, name: str | None = None) -> Value:
        """The maximum along `axis`, see `reduce`."""
        return self.reduce(ReduceKind.MAX, operand, axis, name)

    def reduce_min(self, operand: Value, axis: int, name: str | None = None) -> Value:
        """The minimum along `axis`, see `reduce`."""
        return self.reduce(ReduceKind.MIN, operand, axis, name)

    def take(self, table: Value, ids: Value, name: str | None = None) -> Value:
        """The rows of `table` that `ids`, i32 [R, 1], name: [R, w]."""
        return self._one(Take(self.value(inference.take(table.type, ids.type), name), table, ids))

    def scatter_add(self, ids: Value, updates: Value, rows: Dim, name: str | None = None) -> Value:
        """Into a table of `rows` rows."""
        return self._one(ScatterAdd(self.value(inference.scatter_add(ids.type, updates.type, rows), name), ids, updates))

    def random(self, key: Value, stream: int, type_: TensorType, name: str | None = None) -> Value:
        """Uniform numbers in [0, 1), the same for the same `key` (an i32 scalar) and `stream`."""
        return self._one(Random(self.value(inference.random(key.type, type_), name), key, stream))

    def mask(self, operand: Value, value: float, name: str | None = None) -> Value:
        """The steps of a padded sequence with a feature other than `value`: i1 [batch, time]."""
        return self._one(Mask(self.value(inference.mask(operand.type), name), operand, float(value)))

    def index(self, mask: Value, tokens: Size = TOKENS, name: str | None = None) -> Value:
        """`tokens` names the new dimension; a second index in a function needs another name."""
        return self._one(Index(self.value(inference.make_index(mask.type, tokens), name), mask))

    def window(
        self,
        source: Value,
        index: Value,
        *,
        stride: int,
        offset: int,
        span: int = 0,
        clamp: bool = False,
        at_end: bool = False,
        own: bool = False,
        name: str | None = None,
    ) -> Value:
        """The tokens that one offset of a window sees, i32 [tokens, 1]; for the arguments see `Window`."""
        type_ = inference.window(source.type, index.type, stride)
        return self._one(Window(self.value(type_, name), source, index, stride, offset, span, clamp, at_end, own))

    def window_mask(self, mask: Value, windows: Windows, *, flip: bool = False, name: str | None = None) -> Value:
        """The mask of the windows over a mask, i1 [batch, windows]; `flip`: of the mask in reversed order."""
        type_ = inference.window_mask(mask.type, windows)
        shape = windows.size, windows.stride, windows.dilation, windows.start, windows.same
        return self._one(WindowMask(self.value(type_, name), mask, *shape, flip))

    def pairs(self, queries: Value, keys: Value, tokens: Size, *, causal: bool = False, name: str | None = None) -> Value:
        """`tokens` names the new dimension."""
        return self._one(Pairs(self.value(inference.pairs(queries.type, keys.type, tokens), name), queries, keys, causal))

    def pair_tokens(self, pairs: Value, queries: Value, keys: Value, *, of_keys: bool, name: str | None = None) -> Value:
        """For each of `pairs` the token of its query, or of its key if `of_keys`; i32 [pairs, 1]."""
        type_ = inference.pair_tokens(pairs.type, queries.type, keys.type)
        return self._one(PairTokens(self.value(type_, name), pairs, queries, keys, of_keys))

    def distinct(self, ids: Value, rows: int, tokens: Size, name: str | None = None) -> Value:
        """`rows`: of the table; `tokens` names the new dimension."""
        return self._one(Distinct(self.value(inference.distinct(ids.type, rows, tokens), name), ids))

    def distinct_ids(self, distinct: Value, name: str | None = None) -> Value:
        """The ids of a `Distinct` in rising order, i32 [tokens, 1]."""
        return self._one(DistinctIds(self.value(inference.distinct_ids(distinct.type), name), distinct))

    def places(self, ids: Value, distinct: Value, name: str | None = None) -> Value:
        """The position of each id among those of a `Distinct`, -1 if absent; i32 [R, 1]."""
        return self._one(Places(self.value(inference.places(ids.type, distinct.type), name), ids, distinct))

    def rearrange(self, operand: Value, shape: tuple[Dim, ...], *, transpose: bool = False, name: str | None = None) -> Value:
        """Each row's elements in another shape, gone through column by column if `transpose`."""
        return self._one(Rearrange(self.value(inference.rearrange(operand.type, shape, transpose), name), operand, transpose))

    def pack(self, operand: Value, index: Value, name: str | None = None) -> Value:
        """The real steps of a padded sequence: [tokens, d]."""
        return self._one(Pack(self.value(inference.pack(operand.type, index.type), name), operand, index))

    def unpack(self, operand: Value, fill: Value, index: Value, *, hold: bool, flip: bool, name: str | None = None) -> Value:
        """A packed sequence in the padded form [batch, time, d]; `fill` is [1, d]. `hold`, `flip`: see `Unpack`."""
        type_ = inference.unpack(operand.type, fill.type, index.type)
        return self._one(Unpack(self.value(type_, name), operand, fill, index, hold, flip))

    def pack_sum(self, operand: Value, index: Value, *, hold: bool, flip: bool, name: str | None = None) -> Value:
        """The adjoint of `unpack` to its operand: [tokens, d]. `hold`, `flip`: see `Unpack`."""
        return self._one(PackSum(self.value(inference.pack_sum(operand.type, index.type), name), operand, index, hold, flip))

    def fill_sum(self, operand: Value, index: Value, *, hold: bool, flip: bool, name: str | None = None) -> Value:
        """The adjoint of `unpack` to its fill: [1, d]. `hold`, `flip`: see `Unpack`."""
        return self._one(FillSum(self.value(inference.fill_sum(operand.type, index.type), name), operand, index, hold, flip))

    def sort_rows(self, operand: Value, index: Value, name: str | None = None) -> Value:
        """The rows [batch, d] in the sorted order of `index`."""
        return self._one(SortRows(self.value(inference.permuted_rows(operand.type, index.type), name), operand, index))

    def restore_rows(self, operand: Value, index: Value, name: str | None = None) -> Value:
        """Sorted rows [batch, d] in the caller's order again."""
        return self._one(RestoreRows(self.value(inference.permuted_rows(operand.type, index.type), name), operand, index))

    def scan(
        self,
        index: Value,
        inits: Sequence[Value],
        sequences: Sequence[Value],
        *,
        reverse: bool = False,
        carried_names: Sequence[str | None] = (),
        slice_names: Sequence[str | None] = (),
    ) -> ScanBuilder:
        """A builder of the scan's region; its `finish` appends the scan here."""
        return ScanBuilder(self, index, inits, sequences, reverse, carried_names, slice_names)

    @staticmethod
    def tensor(value: Value) -> TensorType:
        """The value's type, which must be a tensor's."""
        return inference.tensor(value.type, f"%{value.name}")

    def _one(self, operation: Operation) -> Value:
        if not self.location:
            operation = located(operation, fused(operand.location for operand in operands_of(operation)))
        return self.append(operation)[0]


class ScanBuilder(Builder):
    """Builds a scan's region: read `carried` and `slices`, append operations, then `finish`."""

    def __init__(
        self,
        parent: Builder,
        index: Value,
        inits: Sequence[Value],
        sequences: Sequence[Value],
        reverse: bool,
        carried_names: Sequence[str | None],
        slice_names: Sequence[str | None],
    ) -> None:
        super().__init__(parent.names)
        self.location = parent.location
        place = inference.index(index.type)
        carried = [inference.step_of(init.type, place.batch, ROWS, "an init") for init in inits]
        slices = [inference.step_of(sequence.type, place.tokens, ROWS, "a sequence") for sequence in sequences]
        self.carried = tuple(self.value(t, hint) for t, hint in zip(carried, list(carried_names) or [None] * len(carried), strict=True))
        self.slices = tuple(self.value(t, hint) for t, hint in zip(slices, list(slice_names) or [None] * len(slices), strict=True))
        self._parent, self._index, self._inits, self._sequences, self._reverse = parent, index, tuple(inits), tuple(sequences), reverse
        self._tokens: Dim = place.tokens

    def append(self, operation: Operation) -> tuple[Value, ...]:
        """Appends an operation to the region; InternalError for a scan, since scans don't nest."""
        if isinstance(operation, Scan):
            raise InternalError("a scan inside a scan's region")
        return super().append(operation)

    def finish(
        self,
        carries: Sequence[Value],
        stacks: Sequence[Value] = (),
        sums: Sequence[Value] = (),
        *,
        final_names: Sequence[str | None] = (),
        stack_names: Sequence[str | None] = (),
        sum_names: Sequence[str | None] = (),
    ) -> Scan:
        """Appends the scan to the enclosing function; read its `finals`, `stacks` and `sums`."""
        if [value.type for value in carries] != [value.type for value in self.carried]:
            before, after = (", ".join(str(value.type) for value in values) for values in (self.carried, carries))
            raise InternalError(f"a scan's carried values change their types: from {before} to {after}")
        stacked = [inference.step_of(value.type, ROWS, self._tokens, "a stacked value") for value in stacks]
        finals = [init.type for init in self._inits]
        region = Region(self.carried, self.slices, self.operations, tuple(carries), tuple(stacks), tuple(sums))
        scan = Scan(
            self._results(finals, final_names),
            self._results(stacked, stack_names),
            self._results([value.type for value in sums], sum_names),
            self._index,
            self._inits,
            self._sequences,
            region,
            self._reverse,
        )
        self._parent.append(scan)
        return scan

    def _results(self, types: Sequence[Type], names: Sequence[str | None]) -> tuple[Value, ...]:
        return tuple(self.value(type_, hint) for type_, hint in zip(types, list(names) or [None] * len(types), strict=True))
