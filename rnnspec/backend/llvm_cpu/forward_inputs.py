"""A library's forward call takes its inputs: lengths and ids are checked, and which steps are real is written down.

Ids are read once, into the workspace: masked ones, which may be anything, become 0. Floats are read where they lie.
"""

from __future__ import annotations

import math
import struct

from rnnspec.backend.llvm_cpu.forward_workspace import Workspace, parameters_of, sizes_given, take_name
from rnnspec.backend.llvm_cpu.structures import element_of, place_of
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.protocol import BAD_ID, BAD_LENGTH, OK, ForwardExport, LibraryExport, LibraryRow
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType


def emit_take(export: LibraryExport, forward: ForwardExport, vectors: Vectors) -> str:
    """The function that takes all inputs: a code, `OK` if nothing is wrong. Steps count as `runtime.data.validate` counts them."""
    writer = FunctionWriter(take_name(export), [*parameters_of(export, forward), "ptr %base"], result="i32")
    result = writer.on_stack("i32", "result")
    writer.do(f"store i32 {OK}, ptr {result}")
    # What stands for lengths and a mask that aren't given: one element, which is read again and again.
    whole, all_steps = writer.on_stack("i32", "whole"), writer.on_stack("i8", "all")
    writer.do(f"store i8 1, ptr {all_steps}")
    sizes = sizes_given(writer, forward)
    taking = _Taking(writer, vectors, forward, Workspace(writer, sizes, forward.memory, vectors.target), result)
    extents = {each.name: each.shape[0] for each in forward.signature.inputs if each.is_sequence}
    for number, each in enumerate(export.inputs):
        if each.sequence:
            time = sizes.of(extents[each.name])
            writer.do(f"store i32 {time if time.isdecimal() else writer.assign(f'trunc i64 {time} to i32')}, ptr {whole}")
            lengths, mask = _Given.of(writer, f"%lengths.{number}", whole), _Given.of(writer, f"%mask.{number}", all_steps)
            taking.sequence(each, number, time, lengths, mask)
        elif each.vocabulary is not None:
            with writer.loop("0", "%batch", hint="row") as row:
                taking.id(each, number, row, "true")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def is_id(writer: FunctionWriter, number: str, vocabulary: int) -> str:
    """An i1: whether an i32 is from 0 to below `vocabulary`, which is 2**31 at most: as an i32, that is the least one."""
    return writer.assign(f"icmp ult i32 {number}, {vocabulary if vocabulary < 2**31 else vocabulary - 2**32}")


@frozen
class _Given:
    """An array, or one element that stands for all of one that isn't given: `stride` is 1 or 0."""

    array: str
    stride: str

    @staticmethod
    def of(writer: FunctionWriter, given: str, otherwise: str) -> _Given:
        is_none = writer.assign(f"icmp eq ptr {given}, null")
        array = writer.assign(f"select i1 {is_none}, ptr {otherwise}, ptr {given}", "array")
        return _Given(array, writer.assign(f"select i1 {is_none}, i64 0, i64 1", "stride"))

    def place(self, writer: FunctionWriter, number: str) -> str:
        return writer.multiply(number, self.stride)


@frozen
class _Taking:
    """The function under way; `result`: the address of its code."""

    writer: FunctionWriter
    vectors: Vectors
    forward: ForwardExport
    workspace: Workspace
    result: str

    def sequence(self, taken: LibraryRow, number: int, time: str, lengths: _Given, mask: _Given) -> None:
        """The real steps of a sequence, by each set of values that some layer masks, and its ids."""
        writer = self.writer
        sets = dict.fromkeys(values for name, values in self.forward.signature.sources() if name == taken.name) or {(): None}
        known = {values for name, values in self.forward.memory.sources if name == taken.name}
        with writer.loop("0", "%batch", hint="row") as row:
            length = writer.load_index(lengths.array, lengths.place(writer, row))
            self._refuse(writer.assign(f"icmp ugt i64 {length}, {time}"), BAD_LENGTH)
            if not known and taken.vocabulary is None:
                return
            first = writer.multiply(row, time)
            with writer.loop("0", time, hint="step") as step:
                here = writer.add(first, step)
                unmasked = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', mask.array, mask.place(writer, here))}, 0")
                given = writer.assign(f"and i1 {unmasked}, {writer.assign(f'icmp slt i64 {step}, {length}')}")
                any_real = "false"
                for values in sets:
                    real = given
                    for value in values:
                        real = writer.assign(f"and i1 {real}, {differs(writer, self.vectors, taken, f'%in.{number}', here, value)}")
                    any_real = writer.assign(f"or i1 {any_real}, {real}")
                    if values in known:
                        place = place_of(writer, "i8", self.workspace.of("real", taken.name, values), here)
                        writer.do(f"store i8 {writer.assign(f'zext i1 {real} to i8')}, ptr {place}")
                if taken.vocabulary is not None:
                    self.id(taken, number, here, any_real)

    def id(self, taken: LibraryRow, number: int, here: str, real: str) -> None:
        """One id; `real`: an i1, whether it counts."""
        writer = self.writer
        given = element_of(writer, "i32", f"%in.{number}", here)
        assert taken.vocabulary is not None
        is_inside = is_id(writer, given, taken.vocabulary)
        self._refuse(writer.assign(f"and i1 {real}, {writer.assign(f'xor i1 {is_inside}, true')}"), BAD_ID)
        kept = writer.assign(f"select i1 {is_inside}, i32 {given}, i32 0")
        writer.do(f"store i32 {kept}, ptr {place_of(writer, 'i32', self.workspace.of('ids', taken.name), here)}")

    def _refuse(self, wrong: str, code: int) -> None:
        with self.writer.when(wrong):
            self.writer.do(f"store i32 {code}, ptr {self.result}")


def differs(writer: FunctionWriter, vectors: Vectors, row: LibraryRow, array: str, step: str, value: float) -> str:
    """An i1: whether any element of a step of an input isn't the value, as the model's dtype holds it."""
    if row.vocabulary is not None:
        return writer.assign(f"icmp ne i32 {element_of(writer, 'i32', array, step)}, {int(value)}")
    # Bits, since a processor may take denormal numbers for zeros. NaN equals nothing, and both zeros are equal.
    kind, expected = _bits(value, vectors.dtype)
    if expected is None:
        return "true"
    first = writer.multiply(step, row.width)
    with writer.carrying_loop("0", str(row.width), 1, [("i1", "false")], "u") as (unit, (found,), following):
        element = element_of(writer, kind, array, writer.add(first, unit))
        if expected == 0:
            element = writer.assign(f"shl {kind} {element}, 1")
        following.append(writer.assign(f"or i1 {found}, {writer.assign(f'icmp ne {kind} {element}, {expected}')}"))
    return found


def literal(value: float, dtype: DType) -> str:
    """A number as LLVM writes it, rounded to the dtype."""
    return f"0x{struct.pack('>d', _rounded(value, dtype)).hex().upper()}"


def _bits(value: float, dtype: DType) -> tuple[str, int | None]:
    """The bits of a number, rounded to the dtype, as an integer of a type: 0 for both zeros, None for NaN."""
    kind, number, integer = ("i32", "f", "I") if dtype is DType.F32 else ("i64", "d", "Q")
    rounded = _rounded(value, dtype)
    if math.isnan(rounded):
        return kind, None
    return kind, 0 if rounded == 0 else struct.unpack(f"<{integer}", struct.pack(f"<{number}", rounded))[0]


def _rounded(value: float, dtype: DType) -> float:
    """A number as the dtype holds it: too large ones are infinite."""
    if dtype is DType.F32:
        try:
            return struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return math.copysign(math.inf, value)
    return value
