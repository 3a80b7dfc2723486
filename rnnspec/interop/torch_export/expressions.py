"""Equations of rows as expressions of PyTorch: a cell's step, an activation behind a layer."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from typing import assert_never

from rnnspec.frontend.cells.cell_ir import (
    Applied,
    Choice,
    Combined,
    Compared,
    Condition,
    Elementwise,
    Joined,
    Literal,
    Negation,
    Pairwise,
    Positions,
    Product,
    Reduced,
    Reduction,
    Row,
    Spread,
    Step,
    Term,
    Variable,
    WeightTerm,
    Zeros,
)

_METHODS: Mapping[Reduction, str] = {
    Reduction.SUM: "sum(-1, keepdim=True)",
    Reduction.MEAN: "mean(-1, keepdim=True)",
    Reduction.MAX: "amax(-1, keepdim=True)",
    Reduction.MIN: "amin(-1, keepdim=True)",
}


def identifier(name: str) -> str:
    """A name of Python's for one of a spec's: `h'` is h_new."""
    made = re.sub(r"\W", "_", name.replace("'", "_new"), flags=re.ASCII)
    return f"{made}_" if keyword.iskeyword(made) or made in ("self", "torch", "nn", "functional", "scan") else made


def bare(text: str) -> str:
    """An expression without the parentheses around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return text[1:-1] if place == len(text) - 1 else text
    return text


class Equations:
    """A step's equations as statements. `weight`: an expression for a weight's name; `like`: a row of the step."""

    def __init__(self, weight: Callable[[str], str], like: str = "x") -> None:
        self._weight = weight
        self._like = like

    def lines(self, step: Step, rename: Callable[[str], str] = identifier) -> list[str]:
        """The assignments."""
        self._rename = rename
        found: list[str] = []
        for assignment in step.assignments:
            value = bare(self.term(assignment.value))
            names = [rename(target) for target in assignment.targets]
            if len(names) > 1:
                value = f"torch.chunk({value}, {len(names)}, -1)"
            found.append(f"{', '.join(names)} = {value}")
        return found

    def term(self, term: Term) -> str:
        """An expression, in parentheses if it has a sign of its own."""
        like = self._like
        match term:
            case Literal(value):
                return repr(float(value)) if value == value and abs(value) != float("inf") else f'float("{value}")'
            case Variable(name):
                return self._rename(name)
            case WeightTerm(name):
                return self._weight(name)
            case Zeros(shape):
                return f"{like}.new_zeros({', '.join(map(str, shape.dimensions))})"
            case Positions(shape):
                return f"torch.arange({shape.dimensions[-1]}, dtype={like}.dtype, device={like}.device)"
            case Pairwise(kind=Elementwise.MIN | Elementwise.MAX as kind, left=left, right=right):
                return f"torch.{'minimum' if kind is Elementwise.MIN else 'maximum'}({self._tensor(left)}, {self._tensor(right)})"
            case Pairwise(kind=kind, left=left, right=right):
                return f"({self.term(left)} {'**' if kind is Elementwise.POW else kind.value} {self.term(right)})"
            case Negation(operand):
                return f"(-{self.term(operand)})"
            case Applied(function="stop_gradient", operand=operand):
                return f"{self.term(operand)}.detach()"
            case Applied(function=function, operand=operand):
                return f"torch.{function}({bare(self._tensor(operand))})"
            case Product(left=left, right=right):
                return f"({self.term(left)} @ {self.term(right)})"
            case Reduced(kind=kind, operand=operand):
                return f"{self.term(operand)}.{_METHODS[kind]}"
            case Row(matrix=matrix, position=position):
                whole = self.term(matrix)
                return f"{whole}[{position}]" if len(matrix.shape.dimensions) == 2 else f"{whole}[..., {position} : {position + 1}]"
            case Joined(parts=parts, shape=shape):
                rows = [self.term(part) if part.shape.stepwise or not shape.stepwise else self._spread(part) for part in parts]
                return f"torch.cat([{', '.join(rows)}], -1)"
            case Spread(operand=operand, shape=shape):
                size = f"(*{like}.shape[:-1], {shape.dimensions[-1]})" if shape.stepwise else f"({', '.join(map(str, shape.dimensions))},)"
                return f"torch.broadcast_to({bare(self._tensor(operand))}, {size})"
            case Choice(condition=condition, on_true=on_true, on_false=on_false):
                return f"torch.where({bare(self._condition(condition))}, {bare(self._tensor(on_true))}, {bare(self._tensor(on_false))})"
            case _:
                assert_never(term)

    def _spread(self, part: Term) -> str:
        return f"torch.broadcast_to({bare(self._tensor(part))}, (*{self._like}.shape[:-1], {part.shape.dimensions[-1]}))"

    def _tensor(self, term: Term) -> str:
        """An expression of a tensor, of a number too."""
        return f"{self._like}.new_tensor({self.term(term)})" if isinstance(term, Literal) else self.term(term)

    def _condition(self, condition: Condition) -> str:
        match condition:
            case Compared(kind=kind, left=left, right=right):
                return f"({self.term(left)} {kind.value} {self.term(right)})"
            case Combined(both=both, left=left, right=right):
                return f"({self._condition(left)} {'&' if both else '|'} {self._condition(right)})"
            case _:
                assert_never(condition)
