"""Tensor IR to kernel IR: what depends on weights alone goes into a prepare function, the rest becomes loop nests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.contract.dimensions import value_of
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.inference import is_fixed
from rnnspec.ir.ops import (
    Binary,
    Concat,
    Distinct,
    DistinctIds,
    Function,
    Index,
    Mask,
    Operation,
    Pack,
    Pairs,
    PairTokens,
    Result,
    Role,
    Value,
    Window,
    WindowMask,
)
from rnnspec.ir.traverse import operands_of, results_of
from rnnspec.ir.types import DType, IndexType, TensorType
from rnnspec.kernel.block import BlockScheduler
from rnnspec.kernel.block_context import Context
from rnnspec.kernel.narrow_tables import narrow_tables
from rnnspec.kernel.nodes import NO_ALIASES, BufferAliases, KernelFunction, RowMap
from rnnspec.kernel.op_class import OpClass, form_of, index_number, is_neutral, is_storable, matrix, tensor_type
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.stage_writer import Storage
from rnnspec.kernel.tiling import Tiling


def schedule(
    function: Function,
    tiling: Tiling,
    offsets: Mapping[str, int],
    *,
    reader: Function | None = None,
    aliases: BufferAliases = NO_ALIASES,
    storage: WeightStorage = WeightStorage.FULL,
) -> Kernels:
    """The kernels of a tensor-IR function, before any pass over them.

    `offsets`: elements before each weight in the flat array of all weights. `reader`: of a recorded call, the function that reads its
    tape; `aliases`: what lies elsewhere on the tape that this one reads. Masks and the index are the caller's work (see
    `contract.packing`): the native function gets the index's arrays. `storage`: the elements of panels and tables.
    """
    dtype = _float_type(function)
    weight_only, rest = _divide(_without_masks(function), function)

    preparing = Context(tiling, dtype, preparing=True, storage=storage)
    weights = _weights(preparing, function, offsets)
    wanted: dict[Value, Sequence[Storage]] = {}
    for value in _crossing(weight_only, rest, function.results):
        rows, width = matrix(value)
        name = preparing.add(value.name, Space.PREPARED, tensor_type(value).dtype, rows, width)
        wanted[value] = (Storage(name, RowMap.FIRST if rows == 1 else RowMap.ROW),)
    prepare_block = BlockScheduler(preparing, weight_only, dict(weights), wanted)
    prepare_nodes = prepare_block.schedule()

    running = Context(tiling, dtype, dict(preparing.buffers), storage=storage)
    locations = prepare_block.locations | _inputs(running, function, aliases) | _made_ids(running, function)
    nodes = BlockScheduler(running, rest, locations, _results(running, function, offsets)).schedule()

    nodes, narrowed = narrow_tables(running, preparing, nodes)
    packed = running.packing(running.panels.values(), preparing.buffers)
    preparing.buffers |= {name: buffer for name, buffer in running.buffers.items() if buffer.space is Space.PREPARED}
    prepare = KernelFunction(f"{function.name}.prepare", dtype, tuple(preparing.buffers.values()), (*prepare_nodes, *packed, *narrowed))
    itself = KernelFunction(function.name, dtype, tuple(running.buffers.values()), nodes, _distinct(function))
    return Kernels(prepare, itself, tiling.target, reader, aliases)


def _float_type(function: Function) -> DType:
    for value in (*(parameter.value for parameter in function.parameters), *(result.value for result in function.results)):
        if isinstance(value.type, TensorType) and value.type.dtype.is_float:
            return value.type.dtype
    raise InternalError(f"@{function.name} has no float at all")


def _without_masks(function: Function) -> tuple[Operation, ...]:
    """The operations but those that make masks, indices and ids from these, which are the caller's to make."""
    masks = {parameter.value for parameter in function.parameters if parameter.role in (Role.MASK, Role.DUE)}
    kept: list[Operation] = []
    for operation in function.operations:
        match operation:
            case Mask(result=result) | WindowMask(result=result):
                masks.add(result)
            case Binary(result=result, left=left, right=right) if left in masks or right in masks:
                masks.add(result)
            case Concat(result=result, operands=parts) if masks.intersection(parts):
                masks.add(result)
            case Index() | Pairs() | Window() | PairTokens() | Distinct() | DistinctIds():
                pass
            case _:
                kept.append(operation)
    return tuple(kept)


def _divide(operations: Sequence[Operation], function: Function) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """Operations on weights alone, and the others; those on constants alone, and what can't be stored between, belong to both."""
    neutral: set[Value] = set()
    weights = {parameter.value for parameter in function.parameters if parameter.role is Role.WEIGHT}
    both: list[tuple[Operation, bool, bool]] = []
    for operation in operations:
        operands = operands_of(operation)
        results = results_of(operation)
        fixed = all(isinstance(value.type, TensorType) and is_fixed(value.type) for value in (*operands, *results))
        if is_neutral(operation, neutral):
            neutral.update(results)
            both.append((operation, fixed, True))
        elif fixed and operands and all(value in weights or value in neutral for value in operands):
            weights.update(results)
            both.append((operation, True, not all(is_storable(result) for result in results)))
        else:
            both.append((operation, False, True))
    return tuple(op for op, early, _ in both if early), tuple(op for op, _, late in both if late)


def _crossing(weight_only: Sequence[Operation], rest: Sequence[Operation], results: Sequence[Result]) -> tuple[Value, ...]:
    """Values that the prepare function computes for the other."""
    later = {value for operation in rest for value in results_of(operation)}
    needed = {value: None for operation in rest for value in operands_of(operation)} | {result.value: None for result in results}
    made = {value for operation in weight_only if form_of(operation) is not OpClass.VIEW for value in results_of(operation)}
    return tuple(value for value in needed if value in made and value not in later)


def _weights(context: Context, function: Function, offsets: Mapping[str, int]) -> dict[Value, Storage]:
    locations: dict[Value, Storage] = {}
    for parameter in function.parameters:
        if parameter.role is Role.WEIGHT:
            value = parameter.value
            rows, width = matrix(value)
            name = context.add(value.name, Space.WEIGHT, context.dtype, rows, width, offsets[value.name])
            locations[value] = Storage(name, RowMap.FIRST if rows == 1 else RowMap.ROW)
    return locations


PARAMETER_SPACE = {
    Role.INPUT: Space.INPUT,
    Role.STATE: Space.INPUT,
    Role.KEY: Space.KEY,
    Role.RESIDUAL: Space.TAPE,
    Role.COTANGENT: Space.COTANGENT,
}


def _inputs(context: Context, function: Function, aliases: BufferAliases) -> dict[Value, Storage]:
    locations: dict[Value, Storage] = {}
    for parameter in function.parameters:
        value = parameter.value
        space = PARAMETER_SPACE.get(parameter.role)
        if space is None or isinstance(value.type, IndexType):
            continue
        rows, width = matrix(value)
        name, column = f"{space.value}.{value.name}", 0
        if name in aliases:
            shared, column = aliases[name].buffer, aliases[name].column
            name = shared.name
            context.buffers[name] = shared
        else:
            name = context.add(name, space, value.type.dtype, rows, width)
        locations[value] = Storage(name, RowMap.FIRST if rows == 1 else RowMap.ROW, column=column)
    return locations


def _made_ids(context: Context, function: Function) -> dict[Value, Storage]:
    made = [operation for operation in function.operations if isinstance(operation, Window | PairTokens | DistinctIds)]
    return {operation.result: Storage(context.ids(operation), RowMap.ROW) for operation in made}


def _distinct(function: Function) -> tuple[DistinctIndex, ...]:
    """The packing indices that a call makes of its inputs' ids, in the order of their numbers."""
    inputs = {parameter.value: parameter.value.name for parameter in function.parameters if parameter.role is Role.INPUT}
    packs = {operation.result: operation for operation in function.operations if isinstance(operation, Pack)}
    found: list[DistinctIndex] = []
    for operation in function.operations:
        if isinstance(operation, Distinct):
            pack, made = packs.get(operation.ids), index_type(operation.result.type)
            if pack is None or pack.operand not in inputs:
                raise InternalError(f"%{operation.ids.name}: distinct ids of what isn't an input")
            found.append(
                DistinctIndex(index_number(made), inputs[pack.operand], index_number(index_type(pack.index.type)), value_of(made.time, {}))
            )
    return tuple(sorted(found, key=lambda each: each.number))


def _results(context: Context, function: Function, offsets: Mapping[str, int]) -> dict[Value, list[Storage]]:
    """Where each result goes; the gradients of weights into the flat array."""
    weights = {parameter.value.name for parameter in function.parameters if parameter.role is Role.WEIGHT} | set(offsets)
    wanted: dict[Value, list[Storage]] = {}
    for result in function.results:
        if not isinstance(result.value.type, TensorType):
            continue
        rows, width = matrix(result.value)
        dtype, shape = result.value.type.dtype, result.value.type.shape
        match result.role:
            case Role.RESIDUAL:
                name = context.add(f"tape.{result.name}", Space.TAPE, dtype, rows, width)
            case Role.GRADIENT if result.name in weights:
                name = context.add(f"gradient.{result.name}", Space.GRADIENT, dtype, rows, width, offsets[result.name])
            case _:
                time = shape[1] if len(shape) == 3 else None
                name = context.add(f"{result.role.value}.{result.name}", Space.OUTPUT, dtype, rows, width, time=time)
        wanted.setdefault(result.value, []).append(Storage(name, RowMap.FIRST if rows == 1 else RowMap.ROW))
    return wanted
