"""Writes LLVM IR as text, one function at a time: fresh names, blocks, counted loops."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager


class FunctionWriter:
    """The body of one LLVM function; operands and results are strings like `%row.4` or `0`."""

    def __init__(self, name: str, parameters: Sequence[str], linkage: str = "internal", result: str = "void") -> None:
        self.name, self._result = name, result
        self._header = f"define {linkage} {result} @{quoted(name)}({', '.join(parameters)}) #0 {{"
        self._lines: list[str] = []
        self._stack: list[str] = []
        self._count = 0
        self.label = ""
        self.block("entry")

    def fresh(self, hint: str) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{hint}.{self._count}"

    def assign(self, text: str, hint: str = "v") -> str:
        """`%hint.n = text`; the register."""
        register = f"%{self.fresh(hint)}"
        self._lines.append(f"  {register} = {text}")
        return register

    def on_stack(self, kind: str, hint: str = "stack", align: int = 8) -> str:
        """The address of memory for a type, which the function has from its beginning, wherever this is written."""
        register = f"%{self.fresh(hint)}"
        self._stack.append(f"  {register} = alloca {kind}, align {align}")
        return register

    def do(self, text: str) -> None:
        """Appends an instruction without a result."""
        self._lines.append(f"  {text}")

    def block(self, label: str) -> None:
        """Starts the block that `label` names; the one before must have ended."""
        self.label = label
        self._lines.append(f"{label}:")

    def branch(self, label: str) -> None:
        """Ends the block with a jump."""
        self.do(f"br label %{label}")

    def branch_if(self, condition: str, on_true: str, on_false: str) -> None:
        """Ends the block with a conditional jump, on an i1."""
        self.do(f"br i1 {condition}, label %{on_true}, label %{on_false}")

    def text(self, value: str = "") -> str:
        """The whole definition; `value`: what a function that has a result gives."""
        begin, *lines = self._lines
        return "\n".join([self._header, begin, *self._stack, *lines, f"  ret {f'{self._result} {value}' if value else 'void'}", "}"]) + "\n"

    # Integer arithmetic on i64

    def add(self, left: str, right: str | int, hint: str = "i") -> str:
        """left + right; adding 0 makes no instruction."""
        if str(right) == "0":
            return left
        if left == "0":
            return str(right)
        return self.assign(f"add nsw i64 {left}, {right}", hint)

    def multiply(self, left: str, right: str | int, hint: str = "i") -> str:
        """left * right; a factor of 0 or 1 makes no instruction."""
        if left == "0" or str(right) == "0":
            return "0"
        return left if str(right) == "1" else self.assign(f"mul nsw i64 {left}, {right}", hint)

    def subtract(self, left: str, right: str | int, hint: str = "i") -> str:
        """left - right; subtracting 0 makes no instruction."""
        return left if str(right) == "0" else self.assign(f"sub nsw i64 {left}, {right}", hint)

    def load_index(self, pointer: str, position: str) -> str:
        """Element of an i32 array, as i64."""
        address = self.assign(f"getelementptr inbounds i32, ptr {pointer}, i64 {position}", "p")
        return self.assign(f"sext i32 {self.assign(f'load i32, ptr {address}, align 4')} to i64", "n")

    def select_by_index(self, kind: str, number: str, values: Sequence[str]) -> str:
        """One of the values, each of a type, by a number in an i64."""
        *others, result = values
        for place, value in reversed(tuple(enumerate(others))):
            is_it = self.assign(f"icmp eq i64 {number}, {place}")
            result = self.assign(f"select i1 {is_it}, {kind} {value}, {kind} {result}", "chosen")
        return result

    # Control flow

    @contextmanager
    def loop(self, start: str, stop: str, step: int = 1, hint: str = "i") -> Generator[str]:
        """`for i = start; i + step <= stop; i += step`; yields the register of i."""
        with self.carrying_loop(start, stop, step, (), hint) as (index, _, _):
            yield index

    @contextmanager
    def carrying_loop(
        self, start: str, stop: str, step: int, carried: Sequence[tuple[str, str]], hint: str = "i"
    ) -> Generator[tuple[str, list[str], list[str]]]:
        """As `loop`, with values carried from turn to turn: (type, initial value) each.

        Yields the index, the registers of the carried values, and a list that the body fills with
        their next values; behind the loop the registers hold what the last turn left.
        """
        name = self.fresh(hint)
        before = self.label
        self.branch(f"{name}.head")
        self.block(f"{name}.head")
        header = len(self._lines)
        index = f"%{name}"
        registers = [f"%{self.fresh('c')}" for _ in carried]
        condition = self.assign(f"icmp sle i64 {self.add(index, step)}, {stop}")
        self.branch_if(condition, f"{name}.body", f"{name}.end")
        self.block(f"{name}.body")
        following: list[str] = []
        yield index, registers, following
        next_index = self.add(index, step)
        after = self.label
        self.branch(f"{name}.head")
        phis = [f"  {index} = phi i64 [ {start}, %{before} ], [ {next_index}, %{after} ]"]
        for register, (kind, initial), value in zip(registers, carried, following, strict=True):
            phis.append(f"  {register} = phi {kind} [ {initial}, %{before} ], [ {value}, %{after} ]")
        self._lines[header:header] = phis
        self.block(f"{name}.end")

    @contextmanager
    def when(self, condition: str) -> Generator[None]:
        """A block that runs only if the i1 is true."""
        name = self.fresh("when")
        self.branch_if(condition, f"{name}.then", f"{name}.end")
        self.block(f"{name}.then")
        yield
        self.branch(f"{name}.end")
        self.block(f"{name}.end")


def quoted(name: str) -> str:
    """A global's name as LLVM writes it."""
    plain = all(character.isalnum() or character in "._$-" for character in name)
    return name if plain else '"' + name.replace("\\", "\\5C").replace('"', "\\22") + '"'
