"""Valid modules of the tensor IR, drawn by hypothesis through the builder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from rnnspec.contract.dimensions import BATCH, ROWS, TOKENS, Name
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import BinaryKind, CompareKind, Function, Module, ReduceKind, Result, Role, UnaryKind, Value
from rnnspec.ir.types import Dim, DType, IndexType, TensorType

WIDTHS = st.integers(1, 4)
NUMBERS = st.one_of(st.floats(width=32, allow_nan=False), st.just(math.nan), st.integers(-3, 3).map(float))
HINTS = st.none() | st.sampled_from(["h", "c", "cell/kernel", "a.b", "x-1", "0"])


class Drawing:
    """The values that one function, or one step of its scan, can use so far."""

    def __init__(self, draw: st.DrawFn, builder: Builder, known: Sequence[Value], rows: Dim, inside: bool) -> None:
        self.draw = draw
        self.builder = builder
        self.known = list(known)
        self.rows = rows
        self.inside = inside

    def pick(self, fits: Callable[[TensorType], bool]) -> Value | None:
        """Any value whose type fits, None if there is none."""
        found = [value for value in self.known if isinstance(value.type, TensorType) and fits(value.type)]
        return self.draw(st.sampled_from(found)) if found else None

    def floats(self) -> Value:
        """A float matrix or vector of some width; a constant of the step's rows if nothing else is there."""
        picked = self.pick(lambda type_: type_.dtype is DType.F32 and type_.rank in (1, 2))
        if picked is not None and self.draw(st.integers(0, 9)):
            return picked
        return self.add(self.builder.constant(self.draw(NUMBERS), TensorType(DType.F32, (self.rows, self.draw(WIDTHS)))))

    def of_type(self, type_: TensorType) -> Value:
        picked = self.pick(lambda other: other == type_)
        if picked is not None:
            return picked
        value = 1.0 if type_.dtype is DType.I1 else self.draw(NUMBERS)
        return self.add(self.builder.constant(value, type_))

    def add(self, value: Value) -> Value:
        self.known.append(value)
        return value

    def step(self) -> None:
        """Appends one operation, or a few."""
        kinds = [self.unary, self.binary, self.compared, self.shaped, self.divided, self.product, self.reduced, self.counted]
        if not self.inside:
            kinds += [self.drawn, self.scanned, self.padded]
        self.draw(st.sampled_from(kinds))()

    def unary(self) -> None:
        self.add(self.builder.unary(self.draw(st.sampled_from(UnaryKind)), self.floats(), self.draw(HINTS)))

    def binary(self) -> None:
        left = self.floats()
        kind = self.draw(st.sampled_from([kind for kind in BinaryKind if kind not in (BinaryKind.AND, BinaryKind.OR)]))
        self.add(self.builder.binary(kind, left, self.of_type(Builder.tensor(left)), self.draw(HINTS)))

    def compared(self) -> None:
        left = self.floats()
        type_ = Builder.tensor(left)
        condition = self.add(self.builder.compare(self.draw(st.sampled_from(CompareKind)), left, self.of_type(type_)))
        both = self.add(self.builder.and_(condition, self.of_type(Builder.tensor(condition))))
        self.add(self.builder.select(both, left, self.of_type(type_), self.draw(HINTS)))

    def shaped(self) -> None:
        value = self.floats()
        type_ = Builder.tensor(value)
        if type_.rank == 1:
            self.add(self.builder.reshape(value, (1, *type_.shape)))
            self.add(self.builder.broadcast(value, (self.rows, *type_.shape)))
        elif type_.shape[1] == 1:
            self.add(self.builder.broadcast(value, (type_.shape[0], self.draw(WIDTHS))))

    def divided(self) -> None:
        value = self.floats()
        axis = Builder.tensor(value).rank - 1
        width = Builder.tensor(value).shape[axis]
        assert isinstance(width, int)
        cut = self.draw(st.integers(1, width))
        parts = [cut, width - cut] if cut < width else [width]
        pieces = self.builder.split(value, parts, axis, [self.draw(HINTS) for _ in parts])
        self.known.extend(pieces)
        self.add(self.builder.concat([*reversed(pieces), pieces[0]], axis, self.draw(HINTS)))

    def counted(self) -> None:
        self.add(self.builder.positions(self.draw(WIDTHS), DType.F32, self.draw(HINTS)))

    def product(self) -> None:
        left = self.floats()
        if Builder.tensor(left).rank == 1:
            return
        rows, width = Builder.tensor(left).shape
        if self.draw(st.booleans()):
            self.add(self.builder.matmul(left, self.of_type(TensorType(DType.F32, (rows, 3))), transpose_left=True))
        elif self.draw(st.booleans()):
            self.add(self.builder.matmul(left, self.of_type(TensorType(DType.F32, (2, width))), transpose_right=True))
        else:
            right = self.of_type(TensorType(DType.F32, (width, 2)))
            init = self.of_type(TensorType(DType.F32, (rows, 2))) if self.draw(st.booleans()) else None
            self.add(self.builder.matmul(left, right, init=init))

    def reduced(self) -> None:
        value = self.floats()
        axis = self.draw(st.integers(0, Builder.tensor(value).rank - 1))
        self.add(self.builder.reduce(self.draw(st.sampled_from(ReduceKind)), value, axis))

    def drawn(self) -> None:
        key = self.pick(lambda type_: type_ == TensorType(DType.I32, ()))
        assert key is not None
        self.add(self.builder.random(key, self.draw(st.integers(0, 5)), TensorType(DType.F32, (self.rows, self.draw(WIDTHS)))))

    def padded(self) -> None:
        place = self.index()
        value = self.pick(lambda type_: type_.rank == 2 and type_.shape[0] == TOKENS and type_.dtype is DType.F32)
        assert value is not None
        hold, flip = self.draw(st.booleans()), self.draw(st.booleans())
        fill = self.of_type(TensorType(DType.F32, (1, Builder.tensor(value).shape[1])))
        shown = self.builder.unpack(value, fill, place, hold=hold, flip=flip, name=self.draw(HINTS))
        self.add(self.builder.pack(shown, place))
        self.add(self.builder.pack_sum(shown, place, hold=flip, flip=hold))
        self.add(self.builder.fill_sum(shown, place, hold=hold, flip=flip))
        stride, offset, own = self.draw(st.integers(1, 3)), self.draw(st.integers(-2, 2)), self.draw(st.booleans())
        ids = self.builder.window(place, place, stride=stride, offset=offset, clamp=hold, at_end=flip and not own, own=own)
        self.add(self.builder.scatter_add(ids, self.add(self.builder.take(value, ids)), TOKENS))
        rows = self.of_type(TensorType(DType.F32, (BATCH, self.draw(WIDTHS))))
        self.add(self.builder.restore_rows(self.add(self.builder.sort_rows(rows, place)), place))

    def index(self) -> Value:
        return next(value for value in self.known if isinstance(value.type, IndexType))

    def scanned(self) -> None:
        inits = [self.of_type(TensorType(DType.F32, (BATCH, self.draw(WIDTHS)))) for _ in range(self.draw(st.integers(0, 2)))]
        sequences = [self.pick(lambda type_: type_.rank == 2 and type_.shape[0] == TOKENS) for _ in range(self.draw(st.integers(0, 2)))]
        given = [sequence for sequence in sequences if sequence is not None]
        builder = self.builder.scan(
            self.index(),
            inits,
            given,
            reverse=self.draw(st.booleans()),
            carried_names=[self.draw(HINTS) for _ in inits],
            slice_names=[self.draw(HINTS) for _ in given],
        )
        outside = [
            value for value in self.known if isinstance(value.type, TensorType) and all(isinstance(d, int) for d in value.type.shape)
        ]
        step = Drawing(self.draw, builder, [*outside, *builder.carried, *builder.slices], ROWS, True)
        for _ in range(self.draw(st.integers(0, 4))):
            step.step()
        carries = [step.of_type(Builder.tensor(value)) for value in builder.carried]
        stack = step.pick(lambda type_: type_.rank == 2 and type_.shape[0] == ROWS and type_.dtype is DType.F32)
        total = step.pick(lambda type_: type_.dtype is DType.F32 and all(isinstance(dim, int) for dim in type_.shape))
        stacks = [] if stack is None else [stack]
        sums = [] if total is None else [total]
        if carries or stacks or sums:
            scan = builder.finish(carries, stacks, sums, final_names=[self.draw(HINTS) for _ in carries])
            self.known.extend((*scan.finals, *scan.stacks, *scan.sums))


@st.composite
def functions(draw: st.DrawFn, name: str = "forward") -> Function:
    """A function with inputs, a mask, ids, weights and a key; symbolic dimensions are batch, time and tokens."""
    builder = Builder()
    x = builder.parameter(Role.INPUT, "x", TensorType(DType.F32, (BATCH, Name("time"), draw(WIDTHS))))
    mask = builder.parameter(Role.MASK, "x.mask", TensorType(DType.I1, (BATCH, Name("time"))))
    ids = builder.parameter(Role.INPUT, "ids", TensorType(DType.I32, (BATCH, Name("time"), 1)))
    table = builder.parameter(Role.WEIGHT, "embedding/table", TensorType(DType.F32, (5, draw(WIDTHS))))
    vector = builder.parameter(Role.WEIGHT, "v", TensorType(DType.F32, (draw(WIDTHS),)))
    key = builder.parameter(Role.KEY, "key", TensorType(DType.I32, ()))
    real = builder.and_(mask, builder.mask(x, draw(NUMBERS)))
    place = builder.index(real, name="index")
    packed = builder.pack(x, place)
    taken = builder.take(table, builder.pack(ids, place))
    known = [table, vector, key, place, packed, taken, builder.scatter_add(builder.pack(ids, place), taken, 5)]
    drawing = Drawing(draw, builder, known, BATCH, False)
    for _ in range(draw(st.integers(0, 8))):
        drawing.step()
    results = [value for value in drawing.known if isinstance(value.type, TensorType) and value.type.dtype is DType.F32]
    names = st.sampled_from(["y", 'a "quoted" name', "back\\slash", "ünïcode", ""])
    chosen = draw(st.lists(st.tuples(names, st.sampled_from(results)), max_size=3, unique_by=lambda pair: pair[0]))
    return builder.function(name, [Result(Role.OUTPUT, shown, value) for shown, value in chosen])


@st.composite
def modules(draw: st.DrawFn) -> Module:
    names = draw(st.lists(st.sampled_from(["forward", "backward", "f_2"]), max_size=2, unique=True))
    return Module(draw(st.sampled_from(["m", "Case_1"])), tuple(draw(functions(name)) for name in names))
