"""A library's training step takes its targets, and makes the loss of the rows' losses, as `training.loop` does."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import assert_never

from rnnspec.backend.llvm_cpu.forward_inputs import is_id
from rnnspec.backend.llvm_cpu.forward_workspace import Workspace
from rnnspec.backend.llvm_cpu.numpy_sums import SUM
from rnnspec.backend.llvm_cpu.size_values import SizeValues
from rnnspec.backend.llvm_cpu.structures import element_of, place_of
from rnnspec.backend.llvm_cpu.train_update import double, single
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.protocol import BAD_TARGET, TrainedOutput
from rnnspec.frozen import frozen

COUNTED, LOSSES = "counted", "losses"
"""The areas of which rows count, a byte for each, and of the losses of those that do."""


@frozen
class Losses:
    """The losses in the function that `writer` writes. `target`: the addresses of targets are `%target.0` and so on."""

    writer: FunctionWriter
    vectors: Vectors
    sizes: SizeValues
    workspace: Workspace
    outputs: Sequence[TrainedOutput]

    def take(self, result: str) -> None:
        """Checks and takes all targets; those of rows that don't count become 0. `result`: the address of a code, for `BAD_TARGET`."""
        for number, each in enumerate(self.outputs):
            target, counted = self.workspace.of("buffer", each.target.name), self.workspace.of(COUNTED, number)
            real = None if each.index is None else self.workspace.of("index", each.index, "real")
            with self._rows(each) as (shown, own):
                counts = "true" if real is None else self.writer.assign(f"icmp ne i8 {element_of(self.writer, 'i8', real, own)}, 0")
                if each.kind == "class":
                    counts = self._class(each, number, shown, own, counts, target, result)
                else:
                    self._values(each, number, shown, own, counts, target, result)
                flag = self.writer.assign(f"zext i1 {counts} to i8") if counts != "true" else "1"
                self.writer.do(f"store i8 {flag}, ptr {place_of(self.writer, 'i8', counted, shown)}")

    @contextmanager
    def _rows(self, each: TrainedOutput) -> Generator[tuple[str, str]]:
        """A loop over an output's rows as the caller has them: yields each row's number there, and its number in the kernels' buffers."""
        writer = self.writer
        with writer.loop("0", "%batch", hint="row") as row:
            if each.time is None:
                yield row, row
                return
            steps = self.sizes.of(each.time)
            first = writer.multiply(row, steps)
            with writer.loop("0", steps, hint="step") as step:
                shown = writer.add(first, step)
                yield shown, writer.add(first, writer.subtract(writer.add(steps, -1), step)) if each.flip else shown

    def _class(self, each: TrainedOutput, number: int, shown: str, own: str, counts: str, target: str, result: str) -> str:
        """One class number; an i1, whether its row counts."""
        writer, element = self.writer, self.vectors.element
        given = element_of(writer, "i32", f"%target.{number}", shown)
        if each.unlabelled is not None:
            counts = writer.assign(f"and i1 {counts}, {writer.assign(f'icmp ne i32 {given}, {each.unlabelled}')}")
        inside = is_id(writer, given, each.classes)
        self._refuse(writer.assign(f"and i1 {counts}, {writer.assign(f'xor i1 {inside}, true')}"), result)
        kept = writer.assign(f"select i1 {counts}, i32 {given}, i32 0")
        value = writer.assign(f"sitofp i32 {kept} to {element}")
        writer.do(f"store {element} {value}, ptr {place_of(writer, element, target, own)}")
        return counts

    def _values(self, each: TrainedOutput, number: int, shown: str, own: str, counts: str, target: str, result: str) -> None:
        """One row of numbers."""
        writer, element, width = self.writer, self.vectors.element, each.width
        first, into = writer.multiply(shown, width), writer.multiply(own, width)
        with writer.loop("0", str(width), hint="u") as unit:
            given = element_of(writer, element, f"%target.{number}", writer.add(first, unit))
            sound = self._is_sound(each, given)
            self._refuse(writer.assign(f"and i1 {counts}, {writer.assign(f'xor i1 {sound}, true')}"), result)
            kept = writer.assign(f"select i1 {counts}, {element} {given}, {element} 0.0")
            writer.do(f"store {element} {kept}, ptr {place_of(writer, element, target, writer.add(into, unit))}")

    def _is_sound(self, each: TrainedOutput, value: str) -> str:
        match each.kind:
            case "values":
                return is_below(self.writer, self.vectors, value, float("inf"))
            case "probabilities":
                return self._both("and", self._compared("oge", value, "0.0"), self._compared("ole", value, "1.0"))
            case "binary":
                return self._both("or", self._compared("oeq", value, "0.0"), self._compared("oeq", value, "1.0"))
            case "class":
                return "true"
        assert_never(each.kind)

    def _compared(self, comparison: str, value: str, other: str) -> str:
        return self.writer.assign(f"fcmp {comparison} {self.vectors.element} {value}, {other}")

    def _both(self, operation: str, left: str, right: str) -> str:
        return self.writer.assign(f"{operation} i1 {left}, {right}")

    def _refuse(self, wrong: str, result: str) -> None:
        with self.writer.when(wrong):
            self.writer.do(f"store i32 {BAD_TARGET}, ptr {result}")

    def reduce(self) -> str:
        """The weighted sum of the outputs' means, a double; all cotangents are written."""
        total = "0.0"
        for number, each in enumerate(self.outputs):
            mean = self._of_samples(each, number) if each.of_sequences else self._of_rows(each, number)
            part = self.writer.assign(f"fmul double {double(each.weight)}, {mean}")
            total = self.writer.assign(f"fadd double {total}, {part}")
        return total

    def _of_rows(self, each: TrainedOutput, number: int) -> str:
        """The mean over counted rows."""
        writer, element = self.writer, self.vectors.element
        losses, counted = self.workspace.of(LOSSES, number), self.workspace.of(COUNTED, number)
        found, cotangent = self.workspace.of("buffer", each.loss.name), self.workspace.of("buffer", each.cotangent.name)
        count = writer.on_stack("i64", "count")
        writer.do(f"store i64 0, ptr {count}")
        with self._rows(each) as (shown, own):
            counts = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', counted, shown)}, 0")
            with writer.when(counts):
                so_far = writer.assign(f"load i64, ptr {count}", "n")
                into = place_of(writer, "double", losses, so_far)
                writer.do(f"store double {self._wide(element_of(writer, element, found, own))}, ptr {into}")
                writer.do(f"store i64 {writer.add(so_far, 1)}, ptr {count}")
        rows = writer.assign(f"load i64, ptr {count}", "rows")
        mean, factor = self._mean(losses, rows, each.weight)
        with self._rows(each) as (shown, own):
            counts = writer.assign(f"icmp ne i8 {element_of(writer, 'i8', counted, shown)}, 0")
            value = writer.assign(f"select i1 {counts}, {element} {factor}, {element} 0.0")
            writer.do(f"store {element} {value}, ptr {place_of(writer, element, cotangent, own)}")
        return mean

    def _of_samples(self, each: TrainedOutput, number: int) -> str:
        """The mean of a loss with one number for each sample."""
        writer, element = self.writer, self.vectors.element
        losses, found = self.workspace.of(LOSSES, number), self.workspace.of("buffer", each.loss.name)
        with writer.loop("0", "%batch", hint="row") as row:
            value = self._wide(element_of(writer, element, found, row))
            writer.do(f"store double {value}, ptr {place_of(writer, 'double', losses, row)}")
        mean, factor = self._mean(losses, "%batch", each.weight)
        with writer.loop("0", "%batch", hint="row") as row:
            writer.do(f"store {element} {factor}, ptr {place_of(writer, element, self.workspace.of('buffer', each.cotangent.name), row)}")
        return mean

    def _mean(self, losses: str, rows: str, weight: float) -> tuple[str, str]:
        """The mean of so many losses, and its derivative by each, times the weight, as the model's dtype has it."""
        writer = self.writer
        some = writer.assign(f"icmp sgt i64 {rows}, 0")
        count = writer.assign(f"sitofp i64 {writer.assign(f'select i1 {some}, i64 {rows}, i64 1')} to double", "count")
        found = writer.assign(f"call double @{SUM}(ptr {losses}, i64 {rows})")
        mean = writer.assign(f"fdiv double {writer.assign(f'select i1 {some}, double {found}, double 0.0')}, {count}")
        factor = writer.assign(f"fmul double {writer.assign(f'fdiv double 1.0, {count}')}, {double(weight)}")
        return mean, factor if self.vectors.element == "double" else writer.assign(f"fptrunc double {factor} to float")

    def _wide(self, value: str) -> str:
        return value if self.vectors.element == "double" else self.writer.assign(f"fpext float {value} to double")


def is_below(writer: FunctionWriter, vectors: Vectors, value: str, limit: float, element: str = "") -> str:
    """An i1: whether a number's size is below a limit."""
    element = element or vectors.element
    name = f"llvm.fabs.{'f32' if element == 'float' else 'f64'}"
    vectors.library.declarations[f"declare {element} @{name}({element})"] = None
    size = writer.assign(f"call {element} @{name}({element} {value})")
    return writer.assign(f"fcmp olt {element} {size}, {double(limit) if element == 'double' else single(limit)}")


def all_below(writer: FunctionWriter, vectors: Vectors, array: str, count: int, limit: float, sound: str) -> str:
    """An i1: `sound`, and whether the sizes of so many numbers are below a limit."""
    with writer.carrying_loop("0", str(count), 1, [("i1", sound)], "n") as (number, (so_far,), following):
        below = is_below(writer, vectors, element_of(writer, vectors.element, array, number), limit)
        following.append(writer.assign(f"and i1 {so_far}, {below}"))
    return so_far
