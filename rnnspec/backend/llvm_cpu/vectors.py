"""Vector instructions of one element type on one target."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ctypes import c_float
from dataclasses import dataclass, field

from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.frozen import frozen
from rnnspec.ir.ops import ReduceKind
from rnnspec.ir.types import DType
from rnnspec.kernel.target import ELEMENT_BYTES, Target

ELEMENT_TYPE = {DType.F32: "float", DType.F64: "double", DType.I32: "i32"}


@dataclass
class Library:
    """The elementary functions and declarations that a module's functions use."""

    elementary: set[str] = field(default_factory=set[str])
    declarations: dict[str, None] = field(default_factory=dict[str, None])


@frozen(slots=False)
class Vectors:
    """Emits into one function; `lanes` elements of `dtype` a vector."""

    writer: FunctionWriter
    target: Target
    dtype: DType
    library: Library

    @property
    def lanes(self) -> int:
        """The number of elements of a vector."""
        return self.target.lanes(self.dtype)

    @property
    def element(self) -> str:
        """LLVM's name of the element type."""
        return ELEMENT_TYPE[self.dtype]

    @property
    def bytes(self) -> int:
        """The bytes of an element."""
        return ELEMENT_BYTES[self.dtype]

    @property
    def type(self) -> str:
        """LLVM's name of the vector type."""
        return f"<{self.lanes} x {self.element}>"

    @property
    def suffix(self) -> str:
        """The suffix of overloaded intrinsics' names, such as `v16f32`."""
        return f"v{self.lanes}{self.dtype.value}"

    def constant(self, value: float) -> str:
        """A float constant, exact: LLVM takes the bits of a double. What is beyond float32 is infinity there, as in numpy."""
        if self.dtype is DType.F32:
            value = c_float(value).value
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"

    def vector(self, value: float) -> str:
        """The constant vector with `value` in every lane."""
        return f"splat ({self.element} {self.constant(value)})"

    def consecutive(self, start: str) -> str:
        """`start`, an i64, and the numbers behind it, one in each lane; exact as far as the elements can count by ones."""
        steps = ", ".join(f"{self.element} {self.constant(lane)}" for lane in range(self.lanes))
        if start == "0":
            return f"<{steps}>"
        first = self.splat(self.writer.assign(f"sitofp i64 {start} to {self.element}", "s"))
        return self.writer.assign(f"fadd {self.type} {first}, <{steps}>")

    def pointer(self, base: str, offset: str) -> str:
        """The address `offset` elements behind `base`."""
        return base if offset == "0" else self.writer.assign(f"getelementptr inbounds {self.element}, ptr {base}, i64 {offset}", "p")

    def mask(self, lanes: int) -> str:
        """The constant mask of the first `lanes` lanes."""
        return "<" + ", ".join(f"i1 {'true' if lane < lanes else 'false'}" for lane in range(self.lanes)) + ">"

    def load(self, pointer: str, lanes: int | None = None) -> str:
        """A vector; only its first `lanes` elements are read, the others are 0."""
        if lanes is None or lanes == self.lanes:
            return self.writer.assign(f"load {self.type}, ptr {pointer}, align {self.bytes}")
        name = f"@llvm.masked.load.{self.suffix}.p0"
        self.library.declarations[f"declare {self.type} {name}(ptr, <{self.lanes} x i1>, {self.type})"] = None
        mask = f"<{self.lanes} x i1> {self.mask(lanes)}"
        return self.writer.assign(f"call {self.type} {name}(ptr align {self.bytes} {pointer}, {mask}, {self.type} zeroinitializer)")

    def prefetch(self, pointer: str, *, written: bool = False) -> None:
        """Brings what is read there soon, or `written`, into the first-level cache; any address will do."""
        self.library.declarations["declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"] = None
        self.writer.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(written)}, i32 3, i32 1)")

    def store(self, value: str, pointer: str, lanes: int | None = None) -> None:
        """Stores a vector, or only its first `lanes` elements."""
        if lanes is None or lanes == self.lanes:
            self.writer.do(f"store {self.type} {value}, ptr {pointer}, align {self.bytes}")
            return
        name = f"@llvm.masked.store.{self.suffix}.p0"
        self.library.declarations[f"declare void {name}({self.type}, ptr, <{self.lanes} x i1>)"] = None
        self.writer.do(f"call void {name}({self.type} {value}, ptr align {self.bytes} {pointer}, <{self.lanes} x i1> {self.mask(lanes)})")

    def load_splat(self, pointer: str) -> str:
        """The element at a pointer, in every lane."""
        return self.splat(self.writer.assign(f"load {self.element}, ptr {pointer}, align {self.bytes}", "s"))

    def splat(self, scalar: str) -> str:
        """A scalar register's value, in every lane."""
        first = self.writer.assign(f"insertelement {self.type} poison, {self.element} {scalar}, i64 0")
        return self.writer.assign(f"shufflevector {self.type} {first}, {self.type} poison, <{self.lanes} x i32> zeroinitializer")

    def multiply_add(self, left: str, right: str, addend: str) -> str:
        """`left * right + addend`, rounded once where the target can."""
        if not self.target.fused_multiply_add:
            return self.writer.assign(f"fadd {self.type} {self.writer.assign(f'fmul {self.type} {left}, {right}')}, {addend}", "a")
        self.library.declarations[f"declare {self.type} @llvm.fma.{self.suffix}({self.type}, {self.type}, {self.type})"] = None
        return self.writer.assign(
            f"call {self.type} @llvm.fma.{self.suffix}({self.type} {left}, {self.type} {right}, {self.type} {addend})", "a"
        )

    def compare(self, predicate: str, left: str, right: str) -> str:
        """LLVM's fcmp: a mask of i1, one a lane."""
        return self.writer.assign(f"fcmp {predicate} {self.type} {left}, {right}", "m")

    def select(self, condition: str, on_true: str, on_false: str) -> str:
        """`on_true` in the lanes where the mask holds, else `on_false`."""
        return self.writer.assign(f"select <{self.lanes} x i1> {condition}, {self.type} {on_true}, {self.type} {on_false}")

    def intrinsic(self, name: str, operand: str) -> str:
        """LLVM's intrinsic of one vector, declared where it is first used."""
        symbol = f"@llvm.{name}.{self.suffix}"
        self.library.declarations[f"declare {self.type} {symbol}({self.type})"] = None
        return self.writer.assign(f"call {self.type} {symbol}({self.type} {operand})")

    def min_max(self, maximum: bool, left: str, right: str) -> str:
        """The larger (smaller) one; NaN if either is NaN."""
        larger = self.select(self.compare("ogt" if maximum else "olt", left, right), left, right)
        return self.select(self.compare("uno", left, left), left, larger)

    def identity(self, kind: ReduceKind) -> str:
        """The reduction's neutral value, in every lane."""
        match kind:
            case ReduceKind.SUM:
                return "zeroinitializer"
            case ReduceKind.MAX:
                return self.vector(float("-inf"))
            case ReduceKind.MIN:
                return self.vector(float("inf"))

    def combine(self, kind: ReduceKind, left: str, right: str) -> str:
        """Two partial results of a reduction made one, lane by lane."""
        if kind is ReduceKind.SUM:
            return self.writer.assign(f"fadd {self.type} {left}, {right}")
        return self.min_max(kind is ReduceKind.MAX, left, right)

    def reduce_lanes(self, kind: ReduceKind, value: str) -> str:
        """A vector reduced over its lanes, halves first, always in the same order; a scalar."""
        half = self.lanes // 2
        while half:
            order = ", ".join(f"i32 {lane + half if lane < half else lane}" for lane in range(self.lanes))
            swapped = self.writer.assign(f"shufflevector {self.type} {value}, {self.type} poison, <{self.lanes} x i32> <{order}>")
            value = self.combine(kind, value, swapped)
            half //= 2
        return self.writer.assign(f"extractelement {self.type} {value}, i64 0", "s")

    def transposed(self, start: str, width: int, side: int) -> list[str]:
        """The columns of the `side` by `side` elements from `start` on, in rows `width` apart: quarters change places, then theirs."""
        kind = f"<{side} x {self.element}>"
        square = [
            self.writer.assign(f"load {kind}, ptr {self.pointer(start, str(row * width))}, align {self.bytes}") for row in range(side)
        ]

        def shuffled(left: str, right: str, order: Sequence[int]) -> str:
            places = ", ".join(f"i32 {place}" for place in order)
            return self.writer.assign(f"shufflevector {kind} {left}, {kind} {right}, <{side} x i32> <{places}>")

        distance = side // 2
        while distance:
            upper = [place - distance + side if place & distance else place for place in range(side)]
            lower = [place + side if place & distance else place + distance for place in range(side)]
            for row in (row for row in range(side) if not row & distance):
                pair = square[row], square[row + distance]
                square[row], square[row + distance] = shuffled(*pair, upper), shuffled(*pair, lower)
            distance //= 2
        return square

    def smin(self, left: str, right: str) -> str:
        """The smaller of two whole numbers."""
        self.library.declarations["declare i64 @llvm.smin.i64(i64, i64)"] = None
        return self.writer.assign(f"call i64 @llvm.smin.i64(i64 {left}, i64 {right})", "least")

    def uniform(self, key: str, stream: int, row: str, width: int, column: str, across: bool) -> str:
        """Uniform numbers in [0, 1) for the elements from (row, column) on; see `rnnspec.ir.random`.

        `key`: an i32 register. `across`: one column for every lane.
        """
        writer, lanes = self.writer, self.lanes
        kind = f"<{lanes} x i32>"
        seed = writer.assign(f"add i32 {key}, {_signed(stream * 0x9E3779B9)}")
        for step in _lowbias32("i32", "{}"):
            seed = _apply(writer, step, seed)
        place = writer.assign(f"trunc i64 {writer.add(writer.multiply(row, width), column)} to i32")
        first = writer.assign(f"insertelement {kind} poison, i32 {place}, i64 0")
        places = writer.assign(f"shufflevector {kind} {first}, {kind} poison, {kind} zeroinitializer")
        if not across:
            places = writer.assign(f"add {kind} {places}, <{', '.join(f'i32 {lane}' for lane in range(lanes))}>")
        first = writer.assign(f"insertelement {kind} poison, i32 {seed}, i64 0")
        seeds = writer.assign(f"shufflevector {kind} {first}, {kind} poison, {kind} zeroinitializer")
        value = writer.assign(f"xor {kind} {places}, {seeds}")
        for step in _lowbias32(kind, "splat (i32 {})"):
            value = _apply(writer, step, value)
        value = writer.assign(f"add {kind} {value}, {seeds}")
        for step in _lowbias32(kind, "splat (i32 {})"):
            value = _apply(writer, step, value)
        value = writer.assign(f"lshr {kind} {value}, splat (i32 8)")
        return writer.assign(f"fmul {self.type} {writer.assign(f'uitofp {kind} {value} to {self.type}')}, {self.vector(2.0**-24)}")


def _lowbias32(kind: str, constant: str) -> tuple[tuple[str, str, str], ...]:
    """The steps of the hash: (operation, type, constant); "shift" is x ^= x >> n."""
    return (
        ("shift", kind, constant.format(16)),
        ("mul", kind, constant.format(_signed(0x7FEB352D))),
        ("shift", kind, constant.format(15)),
        ("mul", kind, constant.format(_signed(0x846CA68B))),
        ("shift", kind, constant.format(16)),
    )


def _apply(writer: FunctionWriter, step: tuple[str, str, str], value: str) -> str:
    operation, kind, constant = step
    if operation == "mul":
        return writer.assign(f"mul {kind} {value}, {constant}")
    return writer.assign(f"xor {kind} {value}, {writer.assign(f'lshr {kind} {value}, {constant}')}")


def _signed(value: int) -> int:
    """A 32-bit pattern as LLVM's signed constant."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value
