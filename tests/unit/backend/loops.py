"""LLVM text as functions, loops and instructions: a view on LLVM's parsed module.

Tests ask it for loads, stores, calls and addresses. Names of labels and registers only tell one value from another here: which
name a value has makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import llvmlite.binding as llvm

if TYPE_CHECKING:
    from llvmlite.binding import ValueRef

Operand: TypeAlias = int | str
"""An integer constant; or the name of an argument, a result, a block or a function; or another constant's text, with its type."""

Numbers: TypeAlias = Mapping[str | tuple[str, int], int]
"""What values are to be taken to be: results and parameters by name, and elements in memory by what they lie in and their place there."""

NOTHING: Numbers = {}


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """An instruction: `name` is its result's, "" if it has none; `called` is the function's that a call names."""

    opcode: str
    name: str
    operands: tuple[Operand, ...]
    called: str = ""
    come_from: tuple[str, ...] = ()
    """Of a phi: the block of each operand."""
    predicate: str = ""
    """Of a comparison: sle, eq and so on."""

    def calls(self, function: str) -> bool:
        """Whether it calls a function, or an intrinsic of that name for any type."""
        return self.called == function or self.called.startswith(f"{function}.")


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions of which all run if the first one runs."""

    name: str
    instructions: tuple[Instruction, ...]
    successors: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Loop:
    """A natural loop: the blocks from `header` to the jumps back to it."""

    function: Code
    header: str
    blocks: frozenset[str]

    @property
    def instructions(self) -> list[Instruction]:
        """Those of inner loops too."""
        return [each for name in self.function.blocks if name in self.blocks for each in self.function.blocks[name].instructions]

    @property
    def inner(self) -> list[Loop]:
        """The loops within, of any depth."""
        return [loop for loop in self.function.loops if loop.blocks < self.blocks]

    def calls(self, function: str) -> list[Instruction]:
        return [each for each in self.instructions if each.calls(function)]

    @cached_property
    def counter(self) -> Counter:
        """The loop's counter; AssertionError if it hasn't one that grows by a constant until the next value would pass a limit."""
        head = self.function.blocks[self.header].instructions
        for phi in (each for each in head if each.opcode == "phi"):
            values = list(zip(phi.operands, phi.come_from, strict=True))
            first, following = ({value for value, block in values if (block in self.blocks) is back} for back in (False, True))
            steps = {self.function.step(value, phi.name) for value in following}
            for compared in head:
                if compared.predicate == "sle" and len(first) == 1 and {self.function.step(compared.operands[0], phi.name)} == steps - {0}:
                    return Counter(phi.name, first.pop(), steps.pop(), compared.operands[1])
        raise AssertionError(f"{self.header} is the head of a loop without a counter")

    def turns(self, given: Numbers = NOTHING) -> range:
        """The values that the counter takes, where other values are these."""
        counter, at = self.counter, self.function.evaluate
        return range(at(counter.first, given), at(counter.limit, given) - counter.step + 1, counter.step)


@dataclass(frozen=True, slots=True)
class Counter:
    """A loop's counter, from `first` by `step` as long as the next value is at most `limit`."""

    name: str
    first: Operand
    step: int
    limit: Operand


@dataclass(frozen=True, eq=False)
class Code:
    """A function with a body; `exported` is whether another module may call it."""

    name: str
    exported: bool
    parameters: tuple[str, ...]
    pointers: tuple[str, ...]
    """Those of the parameters that are pointers."""
    _value: ValueRef

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """Read when they are asked for, as most of a module's functions aren't."""
        predicates = iter(COMPARISON.findall(str(self._value)))
        return {block.name: _block(block, predicates) for block in self._value.blocks}

    @cached_property
    def instructions(self) -> list[Instruction]:
        return [each for block in self.blocks.values() for each in block.instructions]

    @cached_property
    def results(self) -> Mapping[str, Instruction]:
        """The instruction of each name."""
        return {each.name: each for each in self.instructions if each.name}

    def calls(self, function: str) -> list[Instruction]:
        return [each for each in self.instructions if each.calls(function)]

    def uses(self, value: Operand) -> list[Instruction]:
        return [each for each in self.instructions if value in each.operands]

    @cached_property
    def loops(self) -> list[Loop]:
        """All loops, an outer one before those within; loops after one another in the order of their heads."""
        blocks: dict[str, set[str]] = {}
        for name, block in self.blocks.items():
            for header in block.successors:
                if header in self._dominators[name]:
                    blocks.setdefault(header, {header}).update(self._back_to(header, name))
        return [Loop(self, header, frozenset(blocks[header])) for header in self.blocks if header in blocks]

    @property
    def innermost(self) -> list[Loop]:
        return [loop for loop in self.loops if not loop.inner]

    def around(self, loop: Loop) -> list[Loop]:
        """The loops that a loop lies in, the outermost first."""
        return [each for each in self.loops if loop.blocks < each.blocks]

    @cached_property
    def _entering(self) -> Mapping[str, list[str]]:
        return {name: [other for other, block in self.blocks.items() if name in block.successors] for name in self.blocks}

    @cached_property
    def _dominators(self) -> Mapping[str, set[str]]:
        """Of each block those that every way to it passes, itself included."""
        first, *others = self.blocks
        found = {first: {first}, **{name: set(self.blocks) for name in others}}
        changed = True
        while changed:
            changed = False
            for name in others:
                new = {name} | set[str].intersection(*(found[before] for before in self._entering[name] or [name]))
                changed |= new != found[name]
                found[name] = new
        return found

    def _back_to(self, header: str, name: str) -> set[str]:
        """The blocks on the ways from a header to a block that jumps back to it."""
        found, left = {header}, [name]
        while left:
            if (block := left.pop()) not in found:
                found.add(block)
                left += self._entering[block]
        return found

    def step(self, value: Operand, name: str) -> int:
        """By how much more than the value of that name another one is; 0 if that isn't a constant."""
        made = self.results.get(value) if isinstance(value, str) else None
        if made is None or made.opcode != "add" or made.operands[0] != name or not isinstance(made.operands[1], int):
            return 0
        return made.operands[1]

    def evaluate(self, value: Operand, given: Numbers = NOTHING) -> int:
        """A number computed from those that are given; AssertionError if it takes another one.

        A counter that isn't given is what it is behind its loop.
        """
        if isinstance(value, int):
            return value
        if value in given:
            return given[value]
        assert value in self.results, f"{value} has no number"
        made = self.results[value]
        if made.opcode == "select":
            return self.evaluate(self._chosen(made, given), given)
        if made.opcode == "sext":
            return self.evaluate(made.operands[0], given)
        if made.opcode == "phi":
            (loop,) = (loop for loop in self.loops if made in self.blocks[loop.header].instructions)
            assert loop.counter.name == value, f"{value} has no number"
            return (turns := loop.turns(given)).start + len(turns) * turns.step
        if made.opcode == "load":
            place = self.address(made.operands[0], given)
            assert place in given, f"{place} has no number"
            return given[place]
        assert made.opcode in ARITHMETIC or made.opcode in ("icmp", "call"), f"{value}, made by {made.opcode}, has no number"
        one, other = (self.evaluate(operand, given) for operand in made.operands)
        match made.opcode:
            case "icmp":
                return COMPARED[made.predicate](one, other)
            case "call":
                return min(one, other) if made.calls("llvm.smin") else max(one, other)
            case opcode:
                return ARITHMETIC[opcode](one, other)

    def _chosen(self, select: Instruction, given: Numbers) -> Operand:
        condition, one, other = select.operands
        return one if self.evaluate(condition, given) else other

    def address(self, pointer: Operand, given: Numbers = NOTHING) -> tuple[str, int]:
        """What a pointer points into, and how many elements from its beginning, where other values are these.

        All steps on the way to it must be in elements of one size.
        """
        assert isinstance(pointer, str)
        made = self.results.get(pointer)
        if made is not None and made.opcode == "getelementptr":
            base, index = made.operands
            found, place = self.address(base, given)
            return found, place + self.evaluate(index, given)
        if made is not None and made.opcode == "select":
            return self.address(self._chosen(made, given), given)
        return pointer, 0

    def bases(self, pointer: Operand) -> set[str]:
        """Everything that a pointer may point into."""
        made = self.results.get(pointer) if isinstance(pointer, str) else None
        match made.opcode if made is not None else "":
            case "getelementptr":
                assert made is not None
                return self.bases(made.operands[0])
            case "select":
                assert made is not None
                return self.bases(made.operands[1]) | self.bases(made.operands[2])
            case _:
                return {str(pointer)}

    def loads_behind(self, value: Operand) -> list[Instruction]:
        """The loads that a value is computed from in the same turn of its loop, in the order of its operands."""
        made = self.results.get(value) if isinstance(value, str) else None
        if made is None or made.opcode == "phi":
            return []
        return [made] if made.opcode == "load" else [load for operand in made.operands for load in self.loads_behind(operand)]

    @property
    def loaded(self) -> set[str]:
        """What the function reads memory of."""
        return {base for each in self.instructions for pointer in _read(each) for base in self.bases(pointer)}

    @property
    def stored(self) -> set[str]:
        """What the function writes memory of."""
        return {base for each in self.instructions for pointer in _written(each) for base in self.bases(pointer)}


Rule: TypeAlias = Callable[[int, int], int]

ARITHMETIC: Mapping[str, Rule] = {
    "add": int.__add__,
    "sub": int.__sub__,
    "mul": int.__mul__,
    "sdiv": int.__floordiv__,
    "udiv": int.__floordiv__,
    "urem": int.__mod__,
    "srem": int.__mod__,
    "and": int.__and__,
    "or": int.__or__,
}
"""Of numbers that aren't negative where these divide."""

COMPARED: Mapping[str, Rule] = {
    "eq": int.__eq__,
    "ne": int.__ne__,
    "slt": int.__lt__,
    "sle": int.__le__,
    "sgt": int.__gt__,
    "sge": int.__ge__,
    "ugt": int.__gt__,
}


def _read(instruction: Instruction) -> Iterator[Operand]:
    if instruction.opcode == "load" or instruction.calls("llvm.masked.load"):
        yield instruction.operands[0]
    elif instruction.calls("llvm.memcpy"):
        yield instruction.operands[1]


def _written(instruction: Instruction) -> Iterator[Operand]:
    if instruction.opcode == "store" or instruction.calls("llvm.masked.store"):
        yield instruction.operands[1]
    elif instruction.calls("llvm.memcpy") or instruction.calls("llvm.memset"):
        yield instruction.operands[0]


def functions_of(text: str) -> Mapping[str, Code]:
    """The functions of a module that have a body, by name; RuntimeError if LLVM refuses it."""
    module = llvm.parse_assembly(text)
    return {each.name: _function(each) for each in module.functions if not each.is_declaration}


def function_of(text: str, name: str) -> Code:
    return functions_of(text)[name]


def _function(value: ValueRef) -> Code:
    parameters = {each.name: str(each.type) for each in value.arguments}
    pointers = tuple(name for name, kind in parameters.items() if kind == "ptr")
    return Code(value.name, value.linkage is llvm.Linkage.external, tuple(parameters), pointers, value)


COMPARISON = re.compile(r"= icmp (?:samesign )?(\w+) ")
"""In LLVM's own print of a function: llvmlite doesn't say which comparison one is."""


def _block(value: ValueRef, predicates: Iterator[str]) -> Block:
    *_, last = instructions = list(value.instructions)
    successors = tuple(each.name for each in last.operands if each.value_kind is llvm.ValueKind.basic_block)
    return Block(value.name, tuple(_instruction(each, predicates) for each in instructions), successors)


def _instruction(value: ValueRef, predicates: Iterator[str]) -> Instruction:
    opcode, operands = value.opcode, list(value.operands)
    function = operands.pop() if opcode == "call" else None
    called = function.name if function is not None and function.value_kind is llvm.ValueKind.function else ""
    come_from = tuple(block.name for block in value.incoming_blocks) if opcode == "phi" else ()
    predicate = next(predicates) if opcode == "icmp" else ""
    return Instruction(opcode, value.name, tuple(map(_operand, operands)), called, come_from, predicate)


def _operand(value: ValueRef) -> Operand:
    if value.value_kind is llvm.ValueKind.constant_int:
        return int(value.get_constant_value(signed_int=True))
    return value.name or f"{value.type} {value}"
