"""Result types of operations from their operands' types; ill-typed operands raise `InternalError`.

One function for each rule of `rnnspec.ir.ops`; the builder makes results with them and the
verifier compares declared results with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from rnnspec.contract.dimensions import Name, Size, Tokens, Windows, plus
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import BinaryKind, ReduceKind, UnaryKind
from rnnspec.ir.types import Dim, DType, IndexType, TensorType, Type


def require(condition: bool, message: Callable[[], str]) -> None:
    """Raises `InternalError` unless the condition holds; the message is made only then, since printing types is slow."""
    if not condition:
        raise InternalError(message())


def tensor(type_: Type, what: str) -> TensorType:
    """`type_`, which must be a tensor's; `what` names it in the error."""
    if isinstance(type_, TensorType):
        return type_
    raise InternalError(f"{what} must be a tensor, not {type_}")


def index(type_: Type, what: str = "the index") -> IndexType:
    """`type_`, which must be a packing index's; `what` names it in the error."""
    if isinstance(type_, IndexType):
        return type_
    raise InternalError(f"{what} must be an index, not {type_}")


def is_fixed(type_: TensorType) -> bool:
    """Whether no dimension is symbolic."""
    return all(isinstance(dim, int) for dim in type_.shape)


def is_padded(type_: TensorType) -> bool:
    """[batch, time, d]: a sequence with its masked steps."""
    return type_.rank == 3 and isinstance(type_.shape[0], Size)


def _dense(type_: Type, what: str) -> TensorType:
    """A tensor that computing operations take: only its first dimension may be symbolic."""
    checked = tensor(type_, what)
    require(not is_padded(checked), lambda: f"{what} must not be a padded sequence, not {checked}")
    require(all(isinstance(dim, int) for dim in checked.shape[1:]), lambda: f"{what} has a symbolic dimension after the first: {checked}")
    return checked


def _float(type_: Type, what: str) -> TensorType:
    checked = _dense(type_, what)
    require(checked.dtype.is_float, lambda: f"{what} must be float, not {checked}")
    return checked


def _matrix(type_: Type, what: str) -> TensorType:
    checked = _float(type_, what)
    require(checked.rank == 2, lambda: f"{what} must be a matrix, not {checked}")
    return checked


MOST_F32_POSITIONS = 2**24
"""As far as float32 can count by ones."""


def positions(type_: TensorType) -> TensorType:
    """`type_`, which must be a float row [w] whose elements can hold its positions."""
    row = _float(type_, "the result of positions")
    require(row.rank == 1, lambda: f"positions are a row, not {row}")
    width = _axis_length(row, 0, "the result of positions")
    require(row.dtype is not DType.F32 or width <= MOST_F32_POSITIONS, lambda: f"{row} can't hold its positions")
    return row


def unary(kind: UnaryKind, operand: Type) -> TensorType:
    """The operand's own type, float."""
    return _float(operand, f"the operand of {kind.value}")


def binary(kind: BinaryKind, left: Type, right: Type) -> TensorType:
    """The sides' one type: float, or i1 for logic; only a sum takes padded sequences."""
    require(left == right, lambda: f"the sides of {kind.value} differ: {left} and {right}")
    if kind.row.on_flags:
        checked = tensor(left, f"the left side of {kind.value}")
        require(checked.dtype is DType.I1, lambda: f"{kind.value} takes i1, not {checked}")
        return checked
    if kind.is_sum and isinstance(left, TensorType) and is_padded(left) and left.dtype.is_float:
        return left
    return _float(left, f"the left side of {kind.value}")


def compare(left: Type, right: Type) -> TensorType:
    """i1 in the shape of the sides, which are float and of one type."""
    require(left == right, lambda: f"the sides of a comparison differ: {left} and {right}")
    return TensorType(DType.I1, _float(left, "the left side of a comparison").shape)


def select(condition: Type, on_true: Type, on_false: Type) -> TensorType:
    """The sides' one type, float; the condition is i1 of their shape."""
    require(on_true == on_false, lambda: f"the sides of select differ: {on_true} and {on_false}")
    chosen = _float(on_true, "a side of select")
    require(condition == TensorType(DType.I1, chosen.shape), lambda: f"the condition of select over {chosen} is {condition}")
    return chosen


def broadcast(operand: Type, shape: tuple[Dim, ...]) -> TensorType:
    """The operand's element type over `shape`, to which numpy's rule must stretch it."""
    source = _dense(operand, "the operand of broadcast")
    result = source.with_shape(shape)
    missing = result.rank - source.rank
    fits = missing >= 0 and all(dim in (1, wanted) for dim, wanted in zip(source.shape, shape[max(missing, 0) :], strict=False))
    require(fits, lambda: f"{source} doesn't broadcast to {result}")
    _dense(result, "the result of broadcast")
    return result


def reshape(operand: Type, shape: tuple[Dim, ...]) -> TensorType:
    """The operand's element type over `shape`, the same but for dimensions of length 1; all are fixed."""
    source = _dense(operand, "the operand of reshape")
    result = source.with_shape(shape)
    require(is_fixed(source) and is_fixed(result), lambda: f"reshape takes and gives fixed dimensions, not {source} and {result}")
    kept = [dim for dim in source.shape if dim != 1] == [dim for dim in shape if dim != 1]
    require(kept, lambda: f"reshape from {source} to {result} does more than add or drop dimensions of length 1")
    return result


def _axis_length(type_: TensorType, axis: int, what: str) -> int:
    require(0 <= axis < type_.rank, lambda: f"{what} has no axis {axis}: {type_}")
    length = type_.shape[axis]
    if isinstance(length, int):
        return length
    raise InternalError(f"{what} isn't fixed along axis {axis}: {type_}")


def _with_axis(type_: TensorType, axis: int, length: int) -> TensorType:
    return type_.with_shape((*type_.shape[:axis], length, *type_.shape[axis + 1 :]))


def split(operand: Type, sizes: Sequence[int], axis: int) -> tuple[TensorType, ...]:
    """One type a part; `sizes` add up to the length of `axis`."""
    source = _dense(operand, "the operand of split")
    length = _axis_length(source, axis, "the operand of split")
    require(len(sizes) > 0 and min(sizes) > 0 and sum(sizes) == length, lambda: f"split of {source} along axis {axis} into {list(sizes)}")
    return tuple(_with_axis(source, axis, size) for size in sizes)


def concat(operands: Sequence[Type], axis: int) -> TensorType:
    """The lengths along `axis` added up, all else equal; of step masks, along time, also symbolic lengths."""
    require(len(operands) > 0, lambda: "concat of nothing")
    if axis == 1 and all(_is_step_mask(operand) for operand in operands):
        return _joined_masks([tensor(operand, "a mask") for operand in operands])
    parts = [_dense(operand, "an operand of concat") for operand in operands]
    length = sum(_axis_length(part, axis, "an operand of concat") for part in parts)
    same = len({_with_axis(part, axis, 0) for part in parts}) == 1
    require(same, lambda: f"concat along axis {axis} of {', '.join(map(str, parts))}")
    return _with_axis(parts[0], axis, length)


def _is_step_mask(type_: Type) -> bool:
    return isinstance(type_, TensorType) and type_.dtype is DType.I1 and type_.rank == 2


def _joined_masks(masks: Sequence[TensorType]) -> TensorType:
    """The mask of sequences concatenated along time, of any lengths."""
    require(len({mask.shape[0] for mask in masks}) == 1, lambda: f"concat of the masks {', '.join(map(str, masks))}")
    return masks[0].with_shape((masks[0].shape[0], plus(*(mask.shape[1] for mask in masks))))


def matmul(left: Type, right: Type, transpose_left: bool, transpose_right: bool, init: Type | None = None) -> TensorType:
    """[rows, columns] of two matrices, each transposed if asked; `init`, if any, has the result's type."""
    first, second = _matrix(left, "the left side of matmul"), _matrix(right, "the right side of matmul")
    rows, inner = reversed(first.shape) if transpose_left else first.shape
    inner_right, columns = reversed(second.shape) if transpose_right else second.shape
    text = f"{'transpose ' if transpose_left else ''}{first} by {'transpose ' if transpose_right else ''}{second}"
    require(inner == inner_right and first.dtype == second.dtype, lambda: f"matmul of {text}")
    require(isinstance(columns, int), lambda: f"matmul of {text} would have a symbolic second dimension")
    product = TensorType(first.dtype, (rows, columns))
    require(init is None or init == product, lambda: f"matmul of {text} from {init}")
    return product


def reduce(kind: ReduceKind, operand: Type, axis: int) -> TensorType:
    """Along the last axis [R, 1] or [1], along the first of two [w]."""
    source = _float(operand, f"the operand of reduce_{kind.value}")
    require(source.rank in (1, 2) and 0 <= axis < source.rank, lambda: f"reduce_{kind.value} of {source} along axis {axis}")
    if axis == source.rank - 1:
        return source.with_shape((*source.shape[:-1], 1))
    return source.with_shape(source.shape[1:])


def _ids(type_: Type) -> TensorType:
    ids = _dense(type_, "ids")
    require(ids.dtype is DType.I32 and ids.rank == 2 and ids.shape[1] == 1, lambda: f"ids must be i32 [rows, 1], not {ids}")
    return ids


def take(table: Type, ids: Type) -> TensorType:
    """[R, w] of a table [n, w] and ids i32 [R, 1]."""
    rows = _matrix(table, "the table of take")
    return rows.with_shape((_ids(ids).shape[0], rows.shape[1]))


def scatter_add(ids: Type, updates: Type, table_rows: Dim) -> TensorType:
    """[table_rows, w] of ids i32 [R, 1] and updates [R, w]."""
    source = _matrix(updates, "the updates of scatter_add")
    require(_ids(ids).shape[0] == source.shape[0], lambda: f"scatter_add of {source} by ids {ids}")
    return source.with_shape((table_rows, source.shape[1]))


def random(key: Type, type_: TensorType) -> TensorType:
    """`type_`, which must be float; the key is an i32 scalar."""
    require(key == TensorType(DType.I32, ()), lambda: f"the key of random must be an i32 scalar, not {key}")
    return _float(type_, "the result of random")


def mask(operand: Type) -> TensorType:
    """i1 [batch, time] of a padded sequence [batch, time, d]."""
    source = tensor(operand, "the operand of mask")
    require(is_padded(source) and source.dtype is not DType.I1, lambda: f"mask takes [batch, time, d], not {source}")
    return TensorType(DType.I1, source.shape[:2])


def make_index(mask_: Type, tokens: Dim) -> IndexType:
    """The index of a mask i1 [batch, time]; `tokens` is a dimension that the mask doesn't have."""
    source = tensor(mask_, "the operand of index")
    fits = source.dtype is DType.I1 and source.rank == 2 and isinstance(source.shape[0], Size)
    require(fits, lambda: f"index takes i1 [batch, time], not {source}")
    own = isinstance(tokens, Name | Tokens) and tokens not in source.shape
    require(own, lambda: f"the tokens of an index need a name of their own, not {tokens}")
    return IndexType(source.shape[0], source.shape[1], tokens)


def window(source: Type, index_: Type, stride: int) -> TensorType:
    """i32 [tokens, 1] over the tokens of `index_`; both indices have one batch."""
    before, after = index(source, "the source of window"), index(index_)
    require(before.batch == after.batch, lambda: f"a window from {before} to {after}")
    require(stride > 0, lambda: f"a window with stride {stride}")
    return TensorType(DType.I32, (after.tokens, 1))


def window_mask(mask_: Type, windows: Windows) -> TensorType:
    """i1 [batch, windows] of a mask i1 [batch, time]."""
    source = tensor(mask_, "the operand of window_mask")
    require(source.dtype is DType.I1 and source.rank == 2, lambda: f"window_mask takes i1 [batch, time], not {source}")
    require(min(windows.size, windows.stride, windows.dilation) > 0, lambda: f"a window_mask of {windows}")
    return source.with_shape((source.shape[0], windows.length(source.shape[1])))


def pairs(queries: Type, keys: Type, tokens: Dim) -> IndexType:
    """The index with a row a token of `queries` and a step a step of `keys`; both have one batch."""
    first, second = index(queries, "the queries"), index(keys, "the keys")
    require(first.batch == second.batch, lambda: f"pairs of {first} and {second}")
    require(isinstance(tokens, Name | Tokens), lambda: f"the tokens of an index need a name of their own, not {tokens}")
    return IndexType(first.tokens, second.time, tokens)


def pair_tokens(pairs_: Type, queries: Type, keys: Type) -> TensorType:
    """i32 [pairs, 1]; `pairs_` is an index of these queries and keys."""
    place = index(pairs_, "the pairs")
    require(place == pairs(queries, keys, place.tokens), lambda: f"{place} are no pairs of {queries} and {keys}")
    return TensorType(DType.I32, (place.tokens, 1))


def distinct(ids: Type, rows: Dim, tokens: Dim) -> IndexType:
    """An index of one row with `rows` steps, of ids i32 [R, 1]."""
    _ids(ids)
    require(isinstance(rows, int), lambda: f"distinct of {rows} rows")
    require(isinstance(tokens, Name | Tokens), lambda: f"the tokens of an index need a name of their own, not {tokens}")
    return IndexType(1, rows, tokens)


def _one_row(index_: Type) -> IndexType:
    found = index(index_, "the distinct ids")
    require(found.batch == 1, lambda: f"distinct ids are an index of one row, not {found}")
    return found


def distinct_ids(index_: Type) -> TensorType:
    """i32 [tokens, 1] over the tokens of an index of one row."""
    return TensorType(DType.I32, (_one_row(index_).tokens, 1))


def places(ids: Type, index_: Type) -> TensorType:
    """i32 [R, 1], as the ids."""
    _one_row(index_)
    return _ids(ids)


def rearrange(operand: Type, shape: tuple[Dim, ...], transpose: bool) -> TensorType:
    """The operand's element type over `shape`: [R, ...] of as many fixed elements a row."""
    source = tensor(operand, "the operand of rearrange")
    result = source.with_shape(shape)
    fits = source.dtype.is_float and source.rank in (2, 3) and result.rank in (2, 3) and source.shape[0] == shape[0]
    sizes = [dim for dim in (*source.shape[1:], *shape[1:]) if isinstance(dim, int)]
    fixed = len(sizes) == source.rank + result.rank - 2
    require(
        fits and fixed and prod(sizes[: source.rank - 1]) == prod(sizes[source.rank - 1 :]), lambda: f"rearrange of {source} to {result}"
    )
    require(not transpose or source.rank == 3, lambda: f"rearrange transposes a sequence, not {source}")
    return result


def _padded(operand: Type, index_: Type, what: str) -> tuple[TensorType, IndexType]:
    source, place = tensor(operand, what), index(index_)
    require(source.rank == 3 and source.shape[:2] == (place.batch, place.time), lambda: f"{what} is {source}, its index {place}")
    return source, place


def pack(operand: Type, index_: Type) -> TensorType:
    """[tokens, d] of [batch, time, d]."""
    source, place = _padded(operand, index_, "the operand of pack")
    return _dense(source.with_shape((place.tokens, source.shape[2])), "the result of pack")


def unpack(operand: Type, fill: Type, index_: Type) -> TensorType:
    """[batch, time, d] of [tokens, d] and a fill [1, d]."""
    source, place = _matrix(operand, "the operand of unpack"), index(index_)
    require(source.shape[0] == place.tokens, lambda: f"the operand of unpack is {source}, its index {place}")
    require(fill == source.with_shape((1, source.shape[1])), lambda: f"the fill of {source} is {fill}")
    return source.with_shape((place.batch, place.time, source.shape[1]))


def pack_sum(operand: Type, index_: Type) -> TensorType:
    """[tokens, d] of a float [batch, time, d]."""
    source, place = _padded(operand, index_, "the operand of pack_sum")
    return _float(source.with_shape((place.tokens, source.shape[2])), "the result of pack_sum")


def fill_sum(operand: Type, index_: Type) -> TensorType:
    """[1, d] of a float [batch, time, d]."""
    source, _ = _padded(operand, index_, "the operand of fill_sum")
    return _float(source.with_shape((1, source.shape[2])), "the result of fill_sum")


def permuted_rows(operand: Type, index_: Type) -> TensorType:
    """The operand's own type, [batch, d], for `SortRows` and `RestoreRows`."""
    source, place = _dense(operand, "the operand"), index(index_)
    require(source.rank == 2 and source.shape[0] == place.batch, lambda: f"rows of {source} can't be sorted by {place}")
    return source


def step_of(type_: Type, rows: Dim, step_rows: Dim, what: str) -> TensorType:
    """[rows, w] as a region sees it, or the other way round: [step_rows, w] outside."""
    source = _dense(type_, what)
    require(source.rank == 2 and source.shape[0] == rows, lambda: f"{what} must be [{rows}, w], not {source}")
    return source.with_shape((step_rows, source.shape[1]))


def common_shape(shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """The shape that numpy's rule broadcasts all of `shapes` to."""
    common: list[Dim] = [1] * max(len(shape) for shape in shapes)
    for shape in shapes:
        for place, dim in zip(range(-len(shape), 0), shape, strict=True):
            if common[place] == 1:
                common[place] = dim
            elif dim not in (1, common[place]):
                raise InternalError(f"shapes don't broadcast together: {', '.join(map(str, shapes))}")
    return tuple(common)
