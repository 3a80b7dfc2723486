"""Checks a module against every rule of `rnnspec.ir.ops`; a broken rule is the compiler's bug and raises `InternalError`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import assert_never

from rnnspec.contract.dimensions import Size, names_in
from rnnspec.diagnostics import InternalError
from rnnspec.ir import inference
from rnnspec.ir.inference import require
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
    Module,
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
    Unpack,
    Value,
    Window,
    WindowMask,
)
from rnnspec.ir.printer import print_operation
from rnnspec.ir.traverse import operands_of, parameters_of, results_of, yields_of
from rnnspec.ir.types import ROWS, Dim, DType, IndexType, TensorType, Type

OUTSIDE_ONLY = (
    *(Random, Mask, Index, Window, WindowMask, Pairs, PairTokens, Distinct, DistinctIds, Places),
    *(Rearrange, Pack, Unpack, PackSum, FillSum, SortRows, RestoreRows, Scan),
)
"""Operations that a region must not hold."""

PARAMETER_ROLES = (Role.INPUT, Role.STATE, Role.MASK, Role.DUE, Role.WEIGHT, Role.KEY, Role.RESIDUAL, Role.COTANGENT)
RESULT_ROLES = (Role.OUTPUT, Role.STATE, Role.UPDATE, Role.RESIDUAL, Role.GRADIENT)


def verify(module: Module, before: Sequence[Function] = ()) -> None:
    """Raises `InternalError` at the first broken rule, with the operation's text. `before`: functions that were verified already."""
    names = [function.name for function in module.functions]
    require(len(set(names)) == len(names), lambda: f"module {module.name} has two functions of one name")
    for function in module.functions:
        if function not in before:
            verify_function(function)


def verify_function(function: Function) -> None:
    """Checks one function, see `verify`."""
    scope = _Scope(function.name)
    for parameter in function.parameters:
        with scope.about(partial(_described, "parameter", parameter.role, parameter.value)):
            scope.define(parameter.value)
            _check_parameter(parameter)
            scope.dims.update(dim for dim in _dims(parameter.value.type) if isinstance(dim, Size))
    keys = [parameter for parameter in function.parameters if parameter.role is Role.KEY]
    require(len(keys) <= 1, lambda: f"@{function.name} has more than one key")
    for operation in function.operations:
        with scope.about(partial(print_operation, operation, locations=True)):
            scope.operation(operation)
    weights = {parameter.value.name: parameter.value.type for parameter in function.parameters if parameter.role is Role.WEIGHT}
    for result in function.results:
        with scope.about(partial(_described, "result", result.role, result.value, result.name)):
            scope.read(result.value)
            _check_result(result, weights)
    slots = [(result.role, result.name) for result in function.results]
    require(len(set(slots)) == len(slots), lambda: f"@{function.name} has two results of one role and name")


class _Scope:
    """The values defined so far; a name stays taken after its region has ended."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._names: set[str] = set()
        self._visible: set[Value] = set()
        self._fixed: set[Value] = set()
        """The visible values of fixed shape, which a region may read, too."""
        self._region: set[Value] | None = None
        """In a region, its own values."""
        self.dims: set[Dim] = set()

    @contextmanager
    def about(self, describe: Callable[[], str]) -> Generator[None]:
        """Names the place in an `InternalError` raised inside; the innermost place wins."""
        try:
            yield
        except _LocatedError:
            raise
        except InternalError as error:
            raise _LocatedError(f"in @{self._function}: {error.args[0]}\n{describe()}") from None

    def define(self, value: Value) -> None:
        require(value.name not in self._names, lambda: f"%{value.name} is defined twice")
        self._names.add(value.name)
        if self._region is not None:
            self._region.add(value)
            return
        self._visible.add(value)
        if isinstance(value.type, TensorType) and inference.is_fixed(value.type):
            self._fixed.add(value)

    def read(self, value: Value) -> None:
        is_visible = value in self._visible if self._region is None else value in self._region or value in self._fixed
        require(is_visible, lambda: f"%{value.name}: {value.type} is not defined where it is read")

    def operation(self, operation: Operation) -> None:
        if isinstance(operation, Scan):
            self._scan(operation)
        else:
            for operand in operands_of(operation):
                self.read(operand)
        if isinstance(operation, Index | Pairs | Distinct):
            tokens = inference.index(operation.result.type, "the result").tokens
            require(tokens not in self.dims, lambda: f"the dimension {tokens} is already taken")
            self.dims.add(tokens)
        declared = tuple(result.type for result in results_of(operation))
        expected = expected_types(operation)
        require(declared == expected, lambda: f"result types are {_types(declared)}, must be {_types(expected)}")
        for result in results_of(operation):
            self.define(result)
            for dim in _dims(result.type):
                if dim not in self.dims and not self.dims.issuperset(names_in(dim)):
                    raise InternalError(f"the dimension {dim} is unknown here")

    def _scan(self, scan: Scan) -> None:
        for operand in (scan.index, *scan.inits, *scan.sequences):
            self.read(operand)
        outside, dims = self._region, self.dims
        self._region, self.dims = set[Value](), {ROWS}
        for parameter in parameters_of(scan.region):
            self.define(parameter)
        for operation in scan.region.operations:
            with self.about(partial(print_operation, operation)):
                require(not isinstance(operation, OUTSIDE_ONLY), lambda: "a scan's region must not hold this operation")
                self.operation(operation)
        for value in yields_of(scan.region):
            self.read(value)
        self._region, self.dims = outside, dims


class _LocatedError(InternalError):
    """An error that names its operation already."""


def expected_types(operation: Operation) -> tuple[Type, ...]:
    """The types that an operation's results must have; raises `InternalError` if its operands are ill-typed."""
    match operation:
        case Scan():
            return _scan_types(operation)
        case Split():
            return _split_types(operation)
        case _:
            return (_single_type(operation),)


def _single_type(operation: Operation) -> Type:
    match operation:
        case Constant():
            return _constant_type(operation)
        case Positions():
            return inference.positions(_declared(operation.result))
        case Unary():
            return inference.unary(operation.kind, operation.operand.type)
        case Binary():
            return inference.binary(operation.kind, operation.left.type, operation.right.type)
        case Compare():
            return inference.compare(operation.left.type, operation.right.type)
        case Select():
            return inference.select(operation.condition.type, operation.on_true.type, operation.on_false.type)
        case Broadcast():
            return inference.broadcast(operation.operand.type, _declared(operation.result).shape)
        case Reshape():
            return inference.reshape(operation.operand.type, _declared(operation.result).shape)
        case Concat():
            return inference.concat([operand.type for operand in operation.operands], operation.axis)
        case Matmul():
            init = None if operation.init is None else operation.init.type
            return inference.matmul(operation.left.type, operation.right.type, operation.transpose_left, operation.transpose_right, init)
        case Reduce():
            return inference.reduce(operation.kind, operation.operand.type, operation.axis)
        case Take():
            return inference.take(operation.table.type, operation.ids.type)
        case ScatterAdd():
            return inference.scatter_add(operation.ids.type, operation.updates.type, _table_rows(operation.result))
        case Random():
            return inference.random(operation.key.type, _declared(operation.result))
        case Window() | Pairs() | PairTokens() | Distinct() | DistinctIds() | Places() | Rearrange():
            return _placing_type(operation)
        case Mask() | Index() | WindowMask() | Pack() | Unpack() | PackSum() | FillSum() | SortRows() | RestoreRows():
            return _packing_type(operation)
        case Split() | Scan():
            raise InternalError("this operation may have several results")
        case _:
            assert_never(operation)


def _packing_type(operation: Mask | Index | WindowMask | Pack | Unpack | PackSum | FillSum | SortRows | RestoreRows) -> Type:
    match operation:
        case Mask():
            return inference.mask(operation.operand.type)
        case WindowMask():
            return inference.window_mask(operation.mask.type, operation.windows)
        case Index():
            return inference.make_index(operation.mask.type, inference.index(operation.result.type, "the result").tokens)
        case Pack():
            return inference.pack(operation.operand.type, operation.index.type)
        case Unpack():
            return inference.unpack(operation.operand.type, operation.fill.type, operation.index.type)
        case PackSum():
            return inference.pack_sum(operation.operand.type, operation.index.type)
        case FillSum():
            return inference.fill_sum(operation.operand.type, operation.index.type)
        case SortRows() | RestoreRows():
            return inference.permuted_rows(operation.operand.type, operation.index.type)
        case _:
            assert_never(operation)


def _placing_type(operation: Window | Pairs | PairTokens | Distinct | DistinctIds | Places | Rearrange) -> Type:
    match operation:
        case Window():
            return inference.window(operation.source.type, operation.index.type, operation.stride)
        case Pairs():
            tokens = inference.index(operation.result.type, "the result").tokens
            return inference.pairs(operation.queries.type, operation.keys.type, tokens)
        case PairTokens():
            return inference.pair_tokens(operation.pairs.type, operation.queries.type, operation.keys.type)
        case Distinct():
            found = inference.index(operation.result.type, "the result")
            return inference.distinct(operation.ids.type, found.time, found.tokens)
        case DistinctIds():
            return inference.distinct_ids(operation.distinct.type)
        case Places():
            return inference.places(operation.ids.type, operation.distinct.type)
        case Rearrange():
            return inference.rearrange(operation.operand.type, _declared(operation.result).shape, operation.transpose)
        case _:
            assert_never(operation)


def _constant_type(operation: Constant) -> TensorType:
    declared = _declared(operation.result)
    if declared.dtype is DType.I1:
        require(operation.value in (0, 1), lambda: f"an i1 constant of {operation.value}")
    if declared.dtype is DType.I32:
        # A NaN or an infinity fails the first comparison, so that it is never converted.
        fits = -(2.0**31) <= operation.value < 2.0**31 and operation.value == int(operation.value)
        require(fits, lambda: f"an i32 constant of {operation.value}")
    return declared


def _split_types(operation: Split) -> tuple[TensorType, ...]:
    sizes: list[int] = []
    for result in operation.results:
        declared = _declared(result)
        if not 0 <= operation.axis < declared.rank:
            raise InternalError(f"split along axis {operation.axis} into {declared}")
        size = declared.shape[operation.axis]
        if not isinstance(size, int):
            raise InternalError(f"split into a symbolic length {size}")
        sizes.append(size)
    return inference.split(operation.operand.type, sizes, operation.axis)


def _scan_types(scan: Scan) -> tuple[Type, ...]:
    place, region = inference.index(scan.index.type), scan.region
    require(len(results_of(scan)) > 0, lambda: "a scan without results")
    counts = (len(scan.finals), len(scan.inits), len(region.carried), len(region.carries))
    require(len(set(counts)) == 1, lambda: f"finals, inits, carried values before and after the step are {counts} in number")
    require(len(scan.sequences) == len(region.slices), lambda: f"{len(scan.sequences)} sequences for {len(region.slices)} slices")
    inside = [inference.step_of(init.type, place.batch, ROWS, f"the init %{init.name}") for init in scan.inits]
    inside += [inference.step_of(value.type, place.tokens, ROWS, f"the sequence %{value.name}") for value in scan.sequences]
    parameters = tuple(value.type for value in parameters_of(region))
    require(parameters == tuple(inside), lambda: f"region parameters are {_types(parameters)}, must be {_types(inside)}")
    before, after = (tuple(value.type for value in values) for values in (region.carried, region.carries))
    require(before == after, lambda: f"carried values are {_types(before)} before the step and {_types(after)} after it")
    for value in region.sums:
        type_ = inference.tensor(value.type, f"the sum %{value.name}")
        if not (type_.dtype.is_float and inference.is_fixed(type_)):
            raise InternalError(f"the sum %{value.name} must be float of fixed shape, not {type_}")
    stacks = [inference.step_of(value.type, ROWS, place.tokens, f"the stacked %{value.name}") for value in region.stacks]
    return (*(init.type for init in scan.inits), *stacks, *(value.type for value in region.sums))


def _check_parameter(parameter: Parameter) -> None:
    role, type_ = parameter.role, parameter.value.type
    require(role in PARAMETER_ROLES, lambda: f"a parameter can't be {role.value}")
    if role is Role.RESIDUAL:
        return
    given = inference.tensor(type_, f"a parameter that is {role.value}")
    batched = given.rank > 0 and isinstance(given.shape[0], Size)
    match role:
        case Role.INPUT | Role.COTANGENT:
            ids = given.dtype is DType.I32 and given.shape[-1] == 1 and role is Role.INPUT
            fits = batched and given.rank in (2, 3) and isinstance(given.shape[-1], int) and (given.dtype.is_float or ids)
        case Role.STATE:
            fits = batched and given.rank == 2 and isinstance(given.shape[1], int) and given.dtype.is_float
        case Role.MASK | Role.DUE:
            fits = batched and given.rank == 2 and given.dtype is DType.I1
        case Role.KEY:
            fits = given == TensorType(DType.I32, ())
        case _:
            fits = given.dtype.is_float and inference.is_fixed(given)
    require(fits, lambda: f"a parameter that is {role.value} can't be {given}")


def _check_result(result: Result, weights: Mapping[str, Type]) -> None:
    require(result.role in RESULT_ROLES, lambda: f"a result can't be {result.role.value}")
    if result.role is Role.RESIDUAL:
        return
    given = inference.tensor(result.value.type, f"a result that is {result.role.value}")
    require(given.dtype.is_float, lambda: f"a result that is {result.role.value} must be float, not {given}")
    if result.role is Role.UPDATE:
        require(given == weights.get(result.name), lambda: f"{given} is no new value of the weight {result.name}")


def _declared(value: Value) -> TensorType:
    return inference.tensor(value.type, f"the result %{value.name}")


def _table_rows(value: Value) -> Dim:
    declared = _declared(value)
    require(declared.rank == 2, lambda: f"scatter_add gives a matrix, not {declared}")
    return declared.shape[0]


def _dims(type_: Type) -> tuple[Dim, ...]:
    return (type_.batch, type_.time, type_.tokens) if isinstance(type_, IndexType) else type_.shape


def _described(what: str, role: Role, value: Value, name: str = "") -> str:
    return f"{what} {role.value} {f'{name!r} ' if name else ''}%{value.name}: {value.type}"


def _types(types: Sequence[Type]) -> str:
    return ", ".join(str(type_) for type_ in types) or "none"
