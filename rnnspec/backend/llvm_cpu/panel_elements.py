"""Elements of panels and tables in memory: of the sums' type, or narrower ones, which are widened in registers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType
from rnnspec.kernel.target import ELEMENT_BYTES, Element, NarrowType

_STORED = {NarrowType.F16: "i16", NarrowType.BF16: "i16", NarrowType.I8: "i8"}
"""The elements as LLVM loads and stores them, but float16 where an instruction widens it."""


@frozen(slots=False)
class PanelElements:
    """Vectors of float32 from panels or tables of an element type, and to them; of `lanes` only the first ones, the others being 0.

    Narrow ones are rounded to the nearest, of two to the even one; of float16, what is too large becomes infinite.
    """

    vectors: Vectors
    element: Element

    @property
    def bytes(self) -> int:
        """The bytes of an element."""
        return ELEMENT_BYTES[self.element]

    def pointer(self, base: str, offset: str) -> str:
        """The address `offset` elements behind `base`."""
        if isinstance(self.element, DType):
            return self.vectors.pointer(base, offset)
        stored = _STORED[self.element]
        return base if offset == "0" else self.vectors.writer.assign(f"getelementptr inbounds {stored}, ptr {base}, i64 {offset}", "p")

    def load(self, pointer: str, lanes: int | None = None) -> str:
        """A vector of what is there, widened."""
        vectors, assign = self.vectors, self.vectors.writer.assign
        match self.element:
            case DType():
                return vectors.load(pointer, lanes)
            case NarrowType.F16 if vectors.target.widens_half:
                return assign(f"fpext <{vectors.lanes} x half> {self._loaded('half', pointer, lanes)} to {vectors.type}")
            case NarrowType.F16:
                return self._widened_half(self._whole(pointer, lanes))
            case NarrowType.BF16:
                return self._as_float(self._binary("shl", self._whole(pointer, lanes), 16))
            case NarrowType.I8:
                return assign(f"sitofp <{vectors.lanes} x i8> {self._loaded('i8', pointer, lanes)} to {vectors.type}")
        assert_never(self.element)

    def store_pair(self, low: str, high: str, pointer: str) -> None:
        """Stores two vectors of bfloat16 as one of the halves of 32 bits, see `PanelRow`."""
        upper = self._binary("shl", self._narrowed_bfloat(high), 16)
        both = self._binary("or", self._narrowed_bfloat(low), upper)
        self.vectors.writer.do(f"store {self._whole_type} {both}, ptr {pointer}, align 4")

    def load_pair(self, pointer: str) -> tuple[str, str]:
        """Both vectors of a pair."""
        both = self.vectors.writer.assign(f"load {self._whole_type}, ptr {pointer}, align 4")
        return self._as_float(self._binary("shl", both, 16)), self._as_float(self._binary("and", both, 0xFFFF0000))

    def store(self, value: str, pointer: str, lanes: int | None = None) -> None:
        """Stores a vector, narrowed; of whole numbers one that is from -127 to 127, or NaN, which becomes 0."""
        vectors, writer = self.vectors, self.vectors.writer
        match self.element:
            case DType():
                vectors.store(value, pointer, lanes)
                return
            case NarrowType.F16:
                narrow = writer.assign(f"trunc {self._whole_type} {self._narrowed_half(value)} to <{vectors.lanes} x i16>")
            case NarrowType.BF16:
                narrow = writer.assign(f"trunc {self._whole_type} {self._narrowed_bfloat(value)} to <{vectors.lanes} x i16>")
            case NarrowType.I8:
                narrow, name = f"<{vectors.lanes} x i8>", f"@llvm.fptosi.sat.v{vectors.lanes}i8.{vectors.suffix}"
                vectors.library.declarations[f"declare {narrow} {name}({vectors.type})"] = None
                rounded = vectors.intrinsic("roundeven", value)
                narrow = writer.assign(f"call {narrow} {name}({vectors.type} {rounded})")
            case _:
                assert_never(self.element)
        kind, count = _STORED[self.element], vectors.lanes if lanes is None else lanes
        if count < vectors.lanes:
            stored, places = f"<{vectors.lanes} x {kind}>", ", ".join(f"i32 {lane}" for lane in range(count))
            narrow = writer.assign(f"shufflevector {stored} {narrow}, {stored} poison, <{count} x i32> <{places}>")
        writer.do(f"store <{count} x {kind}> {narrow}, ptr {pointer}, align {self.bytes}")

    def _loaded(self, kind: str, pointer: str, lanes: int | None) -> str:
        """A vector as it is in memory."""
        assign, whole = self.vectors.writer.assign, self.vectors.lanes
        count = whole if lanes is None else lanes
        found = assign(f"load <{count} x {kind}>, ptr {pointer}, align {self.bytes}")
        if count == whole:
            return found
        stored, places = f"<{count} x {kind}>", ", ".join(f"i32 {min(lane, count)}" for lane in range(whole))
        return assign(f"shufflevector {stored} {found}, {stored} zeroinitializer, <{whole} x i32> <{places}>")

    @property
    def _whole_type(self) -> str:
        return f"<{self.vectors.lanes} x i32>"

    def _whole(self, pointer: str, lanes: int | None = None) -> str:
        """The bits of 16-bit elements, as i32."""
        narrow = f"<{self.vectors.lanes} x i16>"
        return self.vectors.writer.assign(f"zext {narrow} {self._loaded('i16', pointer, lanes)} to {self._whole_type}")

    def _binary(self, operation: str, left: str, right: int | str) -> str:
        shown = f"splat (i32 {right})" if isinstance(right, int) else right
        return self.vectors.writer.assign(f"{operation} {self._whole_type} {left}, {shown}")

    def _test(self, predicate: str, left: str, right: int) -> str:
        return self.vectors.writer.assign(f"icmp {predicate} {self._whole_type} {left}, splat (i32 {right})")

    def _choice(self, condition: str, left: str | int, right: str | int) -> str:
        """Of whole numbers."""
        one, other = (f"splat (i32 {each})" if isinstance(each, int) else each for each in (left, right))
        kind = self._whole_type
        return self.vectors.writer.assign(f"select <{self.vectors.lanes} x i1> {condition}, {kind} {one}, {kind} {other}")

    def _as_float(self, bits: str) -> str:
        return self.vectors.writer.assign(f"bitcast {self._whole_type} {bits} to {self.vectors.type}")

    def _bits(self, value: str) -> str:
        return self.vectors.writer.assign(f"bitcast {self.vectors.type} {value} to {self._whole_type}")

    def _widened_half(self, half: str) -> str:
        """Float32 of float16's bits: the exponent moved, infinite and NaN kept, and a denormal number as its 2^-24ths."""
        vectors, assign = self.vectors, self.vectors.writer.assign
        body = self._binary("and", half, 0x7FFF)
        moved = self._binary("shl", body, 13)
        usual = self._binary("add", moved, (127 - 15) << 23)
        usual = self._choice(self._test("uge", body, 0x7C00), self._binary("or", moved, 0x7F800000), usual)
        counted = assign(f"uitofp {self._whole_type} {body} to {vectors.type}")
        small = self._bits(assign(f"fmul {vectors.type} {counted}, {vectors.vector(2.0**-24)}"))
        magnitude = self._choice(self._test("ult", body, 0x400), small, usual)
        return self._as_float(self._binary("or", magnitude, self._binary("shl", self._binary("and", half, 0x8000), 16)))

    def _narrowed_half(self, value: str) -> str:
        """Float16's bits of float32.

        Below the least normal number 0.5 is added, beside which the last place is a denormal number's; else a half of the last place, less
        one where that is even.
        """
        vectors, assign = self.vectors, self.vectors.writer.assign
        bits = self._bits(value)
        magnitude = self._binary("and", bits, 0x7FFFFFFF)
        beyond = self._choice(self._test("ugt", magnitude, 0x7F800000), 0x7E00, 0x7C00)
        added = assign(f"fadd {vectors.type} {self._as_float(magnitude)}, {vectors.vector(0.5)}")
        small = self._binary("sub", self._bits(added), 0x3F000000)
        odd = self._binary("and", self._binary("lshr", magnitude, 13), 1)
        moved = self._binary("sub", magnitude, ((127 - 15) << 23) - 0xFFF)
        usual = self._binary("lshr", self._binary("add", moved, odd), 13)
        usual = self._choice(self._test("ult", magnitude, (127 - 14) << 23), small, usual)
        narrow = self._choice(self._test("uge", magnitude, (127 + 16) << 23), beyond, usual)
        return self._binary("or", narrow, self._binary("and", self._binary("lshr", bits, 16), 0x8000))

    def _narrowed_bfloat(self, value: str) -> str:
        """The upper half of float32's bits, rounded; NaN stays NaN."""
        bits = self._bits(value)
        upper = self._binary("lshr", bits, 16)
        rounded = self._binary("lshr", self._binary("add", self._binary("add", bits, 0x7FFF), self._binary("and", upper, 1)), 16)
        return self._choice(self.vectors.compare("uno", value, value), self._binary("or", upper, 0x40), rounded)


def in_pairs(element: Element, count: int) -> int:
    """How many of `count` vectors side by side in a panel's row lie in pairs."""
    return count // 2 * 2 if element is NarrowType.BF16 else 0


@dataclass
class PanelRow:
    """The vectors of one row of a panel, `count` side by side, by their places.

    Two of bfloat16 are the lower and the upper halves of one vector of 32 bits: one instruction makes float32 of each, where it would take
    two from 16 bits.
    """

    elements: PanelElements
    count: int
    _pointers: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    _pairs: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    def pointer(self, start: str, place: int) -> str:
        """The address of a vector, or of its pair, in the row that begins at `start`."""
        if self._is_paired(place):
            place -= place % 2
        if (start, place) not in self._pointers:
            self._pointers[start, place] = self.elements.pointer(start, str(place * self.elements.vectors.lanes))
        return self._pointers[start, place]

    def load(self, pointer: str, place: int) -> str:
        """A vector, of which that is the address; a pair is loaded once."""
        if not self._is_paired(place):
            return self.elements.load(pointer)
        if pointer not in self._pairs:
            self._pairs[pointer] = self.elements.load_pair(pointer)
        return self._pairs[pointer][place % 2]

    def _is_paired(self, place: int) -> bool:
        return place < in_pairs(self.elements.element, self.count)
