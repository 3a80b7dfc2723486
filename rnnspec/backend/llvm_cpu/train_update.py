"""A library's update of all weights by an optimizer: clipping, decay, the formula; outside of what flushes denormals, as numpy has it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import assert_never

from rnnspec.backend.llvm_cpu.numpy_sums import NORM, SQUARES, emit_norm, emit_sum
from rnnspec.backend.llvm_cpu.structures import element_of, place_of
from rnnspec.backend.llvm_cpu.updates import update_function
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.templates import render
from rnnspec.contract.step_number import StepNumber
from rnnspec.contract.update_rule import MOST, UpdateRule
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType

UPDATE, RUN, POWER = "rnnspec.update", "rnnspec.update.run", "rnnspec.power"

STATE_BEGIN = 8
"""The bytes of the count before an optimizer's state."""


def emit_update_rule(rule: UpdateRule, weights: int, vectors: Vectors) -> list[str]:
    """`void UPDATE(weights, optimizer, gradient, double rate)`, and what it calls; `weights`: how many numbers there are."""
    dtype = "float32" if vectors.dtype is DType.F32 else "float64"
    run, declarations = update_function(RUN, "internal", rule.formula, len(rule.starts), len(rule.constants), dtype, vectors.target)
    vectors.library.declarations |= dict.fromkeys(sorted(declarations))
    parts = [render("step_power.ll.j2", {"name": POWER}), run]
    if rule.clipping in ("norm", "global norm"):
        parts += [*emit_sum(SQUARES, vectors.element, squared=True), emit_norm(vectors.element)]
    parameters = ["ptr %weights", "ptr %optimizer", "ptr %gradient", "double %rate"]
    writing = _Update(FunctionWriter(UPDATE, parameters), vectors, rule, weights)
    writing.all()
    return [*parts, writing.writer.text()]


def is_rate(writer: FunctionWriter, rule: UpdateRule) -> str:
    """An i1: whether `%rate` is a learning rate."""
    least = writer.assign(f"fcmp {'ogt' if rule.positive else 'oge'} double %rate, 0.0")
    return writer.assign(f"and i1 {least}, {writer.assign(f'fcmp olt double %rate, {double(MOST)}')}")


def double(value: float) -> str:
    """A float64 as LLVM writes it."""
    return f"0x{struct.pack('>d', value).hex().upper()}"


def single(value: float) -> str:
    """A float32 as LLVM writes it; the nearest one."""
    return double(struct.unpack("f", struct.pack("f", value))[0])


@frozen(slots=False, eq=False)
class _Update:
    writer: FunctionWriter
    vectors: Vectors
    rule: UpdateRule
    weights: int

    def all(self) -> None:
        """The whole update."""
        writer, rule, element = self.writer, self.rule, self.vectors.element
        self._clip()
        size = 4 if element == "float" else 8
        steps = writer.add(element_of(writer, "i64", "%optimizer", "0"), 1)
        writer.do(f"store i64 {steps}, ptr %optimizer")
        constants = writer.on_stack(f"[{max(1, len(rule.constants))} x {element}]", "constants")
        for place, constant in enumerate(rule.constants):
            value = self._rounded(self._value(constant, steps))
            writer.do(f"store {element} {value}, ptr {place_of(writer, element, constants, str(place))}")
        zero = writer.on_stack("i64", "zero")
        first_row = writer.on_stack("i64", "row")
        writer.do(f"store i64 0, ptr {first_row}")
        pointers = writer.on_stack(f"[{5 + len(rule.starts)} x ptr]", "pointers")
        dims = writer.on_stack("[4 x i64]", "dims")
        for start, stop, decay in rule.runs:
            own = writer.assign(f"getelementptr inbounds {element}, ptr %weights, i64 {start}", "p")
            if decay is not None:
                taken = self._rounded(self._value(decay, steps))
                with writer.loop("0", str(stop - start), hint="decay") as number:
                    weight = element_of(writer, element, own, number)
                    less = writer.assign(f"fsub {element} {weight}, {writer.assign(f'fmul {element} {weight}, {taken}')}")
                    writer.do(f"store {element} {less}, ptr {place_of(writer, element, own, number)}")
            writer.do(f"store i64 0, ptr {zero}")
            gradient = writer.assign(f"getelementptr inbounds {element}, ptr %gradient, i64 {start}", "p")
            states = [
                writer.assign(
                    f"getelementptr inbounds i8, ptr %optimizer, i64 {STATE_BEGIN + (slot * self.weights + start) * size}", "state"
                )
                for slot in range(len(rule.starts))
            ]
            for place, pointer in enumerate((own, gradient, zero, first_row, constants, *states)):
                writer.do(f"store ptr {pointer}, ptr {place_of(writer, 'ptr', pointers, str(place))}")
            for place, dim in enumerate((1, stop - start, 0, 1)):
                writer.do(f"store i64 {dim}, ptr {place_of(writer, 'i64', dims, str(place))}")
            writer.do(f"call void @{RUN}(ptr {pointers}, ptr {dims})")

    def _clip(self) -> None:
        rule, writer = self.rule, self.writer
        match rule.clipping:
            case "none":
                pass
            case "value":
                for start, stop in rule.extents:
                    self._each(start, stop, self._bounded)
            case "norm":
                for start, stop in rule.extents:
                    length = self._root(self._squares(start, stop))
                    longer = writer.assign(f"fcmp ogt double {double(rule.limit)}, {length}")
                    length = writer.assign(f"select i1 {longer}, double {double(rule.limit)}, double {length}")
                    self._scale([(start, stop)], writer.assign(f"fdiv double {double(rule.limit)}, {length}"))
            case "global norm":
                total = double(0.0)
                for start, stop in rule.extents:
                    total = writer.assign(f"fadd double {total}, {self._squares(start, stop)}")
                length = self._root(total)
                scale = writer.assign(f"fdiv double {double(rule.limit)}, {length}")
                scale = writer.assign(f"select i1 {writer.assign(f'fcmp ogt double {scale}, 1.0')}, double 1.0, double {scale}")
                some = writer.assign(f"fcmp une double {length}, 0.0")
                self._scale(rule.extents, writer.assign(f"select i1 {some}, double {scale}, double 1.0"))
            case _:
                assert_never(rule.clipping)

    def _each(self, start: int, stop: int, change: Callable[[str], str]) -> None:
        """Changes each number of a part of the gradient."""
        writer, element = self.writer, self.vectors.element
        with writer.loop(str(start), str(stop), hint="clip") as number:
            value = change(element_of(writer, element, "%gradient", number))
            writer.do(f"store {element} {value}, ptr {place_of(writer, element, '%gradient', number)}")

    def _bounded(self, value: str) -> str:
        writer, element = self.writer, self.vectors.element
        for comparison, limit in (("olt", -self.rule.limit), ("ogt", self.rule.limit)):
            bound = self._literal(limit)
            beyond = writer.assign(f"fcmp {comparison} {element} {value}, {bound}")
            value = writer.assign(f"select i1 {beyond}, {element} {bound}, {element} {value}")
        return value

    def _scale(self, extents: Sequence[tuple[int, int]], factor: str) -> None:
        rounded, element = self._rounded(factor), self.vectors.element
        for start, stop in extents:
            self._each(start, stop, lambda value: self.writer.assign(f"fmul {element} {value}, {rounded}"))

    def _squares(self, start: int, stop: int) -> str:
        place = self.writer.assign(f"getelementptr inbounds {self.vectors.element}, ptr %gradient, i64 {start}", "p")
        return self.writer.assign(f"call double @{NORM}(ptr {place}, i64 {stop - start})")

    def _root(self, value: str) -> str:
        self.vectors.library.declarations["declare double @llvm.sqrt.f64(double)"] = None
        return self.writer.assign(f"call double @llvm.sqrt.f64(double {value})")

    def _literal(self, value: float) -> str:
        """A constant as the model's dtype holds it."""
        return double(value) if self.vectors.element == "double" else single(value)

    def _rounded(self, value: str) -> str:
        return value if self.vectors.element == "double" else self.writer.assign(f"fptrunc double {value} to float")

    def _value(self, number: StepNumber, steps: str) -> str:
        writer = self.writer
        operands = [self._value(each, steps) for each in number.operands]
        match number.operation:
            case "constant":
                return double(number.value)
            case "rate":
                return "%rate"
            case "steps":
                raise InternalError("an update's number is no float64")
            case "power":
                return writer.assign(f"call double @{POWER}(double {double(number.value)}, i64 {steps})")
            case "add" | "subtract" | "multiply" | "divide":
                name = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}[number.operation]
                return writer.assign(f"{name} double {', '.join(operands)}")
            case "root":
                return self._root(operands[0])
        assert_never(number.operation)
