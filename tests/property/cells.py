"""Cells drawn from the grammar, and what their equations mean, read as Python: for the numpy oracle."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.reference_activations import ACTIVATIONS, erf, magnitude

Array = NDArray[Any]

UNARY = (
    "tanh({})",
    "sigmoid({})",
    "softsign({})",
    "silu({})",
    "softplus({})",
    "softmax({})",
    "exp(-abs({}))",
    "-({})",
    "sqrt(1.0 + ({}) * ({}))",
    "sin({})",
    "cos(2.0 * ({}))",
    "erf({})",
    "log1p(abs({}))",
    "expm1(-abs({}))",
    "pow({}, 2)",
    "pow(2.0, tanh({}))",
)
CHOICES = (
    "where({0} > {1}, {0}, {1})",
    "where({0} <= 0, -({0}), {0}) + {1}",
    "({0}) * round(0.9 + 1e-3 * tanh({1})) + floor(1e-3 * {1} - 0.5)",
)
"""Continuous, or jumps that nothing comes near: where a difference reaches across a jump it is no slope."""

BINARY = ("{} + {}", "{} - {}", "({}) * ({})", "({}) / (2.0 + tanh({}))", "max({}, 0.5 * ({}))", "min({}, {} + 0.25)", *CHOICES)
TOTALS = ("{} + {}", "{} + {}", "{} - {}", "{1} + ({0})", "{1} - ({0})")
NARROW = ("sum({}) * 0.25", "mean({})", "max({})", "min({})")
"""A row's reduction to width 1, which every operation repeats over the units."""
WEIGHTS = {
    "kernel": "[features, units] = glorot_uniform",
    "recurrent_kernel": "[units, units] = orthogonal",
    "peephole": "[units] = random_normal",
    "bias": "[2, units] = random_normal",
    "gates": "[features, 2 * units] = glorot_uniform",
    "twin": "[units, 2 * units] = glorot_uniform",
    "duo": "[features, 2] = glorot_uniform",
    "pair": "[units, 2] = glorot_uniform",
    "column": "[units, 1] = glorot_uniform",
    "back": "[1, units] = glorot_uniform",
    "scale": "[1] = random_normal",
}
PARTS_OF_ONE = (
    "x @ duo",
    "{} @ pair",
    "x @ duo + {} @ pair",
    "{} @ pair - sigmoid(x @ duo)",
    "concat(mean({}), sum(x @ duo))",
    "concat({} @ column, scale * max({}))",
)
"""What falls into two parts of width 1."""


@dataclass(frozen=True)
class Cell:
    """A `cell Drawn(units)`: its weights in order, how many states of `units` it has, its equations and its output.

    `outputs`: how many times `units` the output is wide.
    """

    weights: tuple[str, ...]
    states: int
    lines: tuple[str, ...]
    output: str

    @property
    def outputs(self) -> int:
        return 2 if self.output.startswith("concat(") else 1

    @property
    def names(self) -> tuple[str, ...]:
        return ("h", "c", "n")[: self.states]

    def text(self, name: str) -> str:
        declared = [f"weight {weight} {WEIGHTS[weight]}" for weight in self.weights]
        states = "state " + ", ".join(f"{state} [units]" for state in self.names)
        return "\n".join(
            [f"cell {name}(units) {{", *(f"    {line}" for line in (*declared, states, *self.lines, f"return {self.output}")), "}", ""]
        )

    def step(self, weights: Iterator[Array]) -> Callable[[Array, list[Array]], tuple[Array, list[Array]]]:
        """The step as the oracle takes it; takes the cell's weights off the list."""
        own = {name: next(weights) for name in self.weights}
        code = compile(
            "\n".join(re.sub(r"(\w)'", r"\1_after", line) for line in (*self.lines, f"output_ = {self.output}")), "<cell>", "exec"
        )

        def step(x: Array, states: list[Array]) -> tuple[Array, list[Array]]:
            known: dict[str, Any] = {**FUNCTIONS, **own, "x": x, **dict(zip(self.names, states, strict=True))}
            exec(code, known)
            output, *after = (known[name] for name in ("output_", *(f"{name}_after" for name in self.names)))
            rows = (len(x), states[0].shape[-1])
            return np.broadcast_to(output, (rows[0], rows[1] * self.outputs)), [np.broadcast_to(state, rows) for state in after]

        return step


def larger(first: Array, second: Array | None = None) -> Array:
    if second is None:
        return np.take_along_axis(first, first.real.argmax(axis=-1)[..., None], axis=-1)
    return np.where(first.real >= second.real, first, second)


def smaller(first: Array, second: Array | None = None) -> Array:
    return -larger(-first, None if second is None else -second)


def power(base: Array | float, exponent: Array | float) -> Array:
    """Of a complex base only whole exponents, which are products; of a number any."""
    return np.exp(np.asarray(exponent) * np.log(base)) if isinstance(base, float) else base**exponent


FUNCTIONS: dict[str, Any] = {
    **ACTIVATIONS,
    "cos": np.cos,
    "erf": erf,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": lambda row: np.floor(row.real),
    "log1p": np.log1p,
    "pow": power,
    "round": lambda row: np.rint(row.real),
    "sin": np.sin,
    "where": np.where,
    "sqrt": np.sqrt,
    "abs": magnitude,
    "sum": lambda row: row.sum(axis=-1, keepdims=True),
    "mean": lambda row: row.mean(axis=-1, keepdims=True),
    "max": larger,
    "min": smaller,
    "concat": lambda *rows: np.concatenate(rows, axis=-1),
    "split": lambda row, parts: np.split(row, parts, axis=-1),
}


@st.composite
def drawn_cells(draw: st.DrawFn) -> Cell:
    """What is read is declared, every state is bounded, and nothing divides by 0."""
    states = draw(st.sampled_from([("h",), ("h", "c"), ("h", "c", "n")]))
    known = [*states]
    narrow = ["scale", f"{states[0]} @ column"]
    lines: list[str] = []

    def leaf() -> str:
        kind = draw(st.integers(0, 8))
        if kind == 0:
            return "x @ kernel"
        if kind == 1:
            return f"{draw(st.sampled_from(known))} @ recurrent_kernel"
        if kind == 2:
            return f"peephole * {draw(st.sampled_from(known))}"
        if kind == 3:
            return f"bias[{draw(st.integers(0, 1))}]"
        if kind == 4:
            return f"({draw(st.sampled_from(narrow))}) * {draw(st.sampled_from(known))}"
        if kind == 5:
            return f"({draw(st.sampled_from(narrow[1:]))}) @ back"
        return draw(st.sampled_from(known))

    def total() -> str:
        """Products, states, biases and differences of them, in any order."""
        terms = [leaf() for _ in range(draw(st.integers(2, 4)))]
        return functools.reduce(lambda before, term: draw(st.sampled_from(TOTALS)).format(before, term), terms)

    def expression(depth: int) -> str:
        if depth == 0:
            return leaf()
        kind = draw(st.integers(0, 5))
        if kind <= 1:
            inner = expression(depth - 1)
            return draw(st.sampled_from(UNARY)).replace("{}", inner)
        if kind <= 3:
            left, right = expression(depth - 1), expression(depth - 1)
            return draw(st.sampled_from(BINARY)).format(left, right)
        if kind == 4:
            narrow = draw(st.sampled_from(NARROW)).replace("{}", f"{expression(depth - 1)} + {draw(st.sampled_from(known))}")
            return f"({leaf()}) - {narrow}"
        return leaf()

    for number in range(draw(st.integers(0, 2))):
        kind = draw(st.integers(0, 4))
        if kind <= 1:
            parts = draw(st.sampled_from(PARTS_OF_ONE)).replace("{}", draw(st.sampled_from(known)))
            lines.append(f"p{number}, q{number} = split({parts}, 2)")
            narrow += [f"p{number}", f"q{number}"]
        elif kind == 2:
            lines.append(f"l{number}, r{number} = split({draw(st.sampled_from(['x @ gates', f'{states[0]} @ twin + x @ gates']))}, 2)")
            known += [f"l{number}", f"r{number}"]
        else:
            lines.append(f"l{number} = {total() if kind == 3 else expression(2)} + {states[-1]}")
            known.append(f"l{number}")
    for state in states:
        kind = draw(st.integers(0, 3))
        if kind == 0:
            lines.append(f"{state}' = tanh({total()})")
        elif kind == 1 and state != states[0] and draw(st.booleans()):
            lines.append(f"{state}' = {states[0]}'")
        else:
            lines.append(f"{state}' = tanh({expression(2)} + {draw(st.sampled_from(known))})")
        known.append(f"{state}'")
    output = draw(st.sampled_from([f"{states[0]}'", f"concat({states[0]}', {states[-1]})", f"{expression(1)} + {states[0]}'"]))
    made = [name for line in lines for name in line.partition(" = ")[0].split(", ") if not name.endswith("'")]
    used = set(re.findall(r"\w+", " ".join([*(line.partition(" = ")[2] for line in lines), output])))
    lines += [f"_{name} = {name}" for name in made if name not in used]
    read = set(re.findall(r"\w+", " ".join([*lines, output])))
    return Cell(tuple(name for name in WEIGHTS if name in read), len(states), tuple(lines), output)
