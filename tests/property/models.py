"""Whole models drawn from the grammar: inputs, named values, arrows, merges, shared layers, blocks, repeats, states, imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from rnnspec.contract.dimensions import Dim, Name, Size
from tests.property.cells import Cell
from tests.property.drawn_model import MAIN, PATTERNS, DrawnModel, long_enough
from tests.property.entries import UNITS, VOCABULARY, WIDEST, Misfit, Number, Shape
from tests.property.entries_windows import steps_needed
from tests.property.layers import CELLS, ENTRIES, drawn_layer, fits, results, state_widths
from tests.specs import Graph, Layer, Statement, make, statement_lines

PARTS, CELL_FILE = "lib/parts.rnn", "lib/cells.rnn"
KINDS = [name for name, entry in ENTRIES.items() for _ in range(entry.weight)]
SINGLE = [name for name in KINDS if ENTRIES[name].most == 1]


@dataclass(frozen=True)
class Block:
    """`body`: its statements; the first takes what is before the block, the last gives what the block gives."""

    name: str
    body: Sequence[Statement]
    units: int
    takes: Shape

    def with_units(self, units: int) -> list[Statement]:
        return [replace(each, layers=[substituted(layer, "units", units) for layer in each.layers]) for each in self.body]


def substituted(value: Any, name: str, number: int) -> Any:
    """A layer with another value for a parameter."""
    match value:
        case Number() if value.name == name:
            return Number(number, name, value.factor)
        case dict():
            return {key: substituted(each, name, number) for key, each in value.items()}
        case list():
            return [substituted(each, name, number) for each in value]
        case _:
            return value


def flow(statements: Sequence[Statement], shape: Shape) -> Shape | None:
    """What a run of statements makes of a value; None where a layer can't take what it gets."""
    named: dict[str, Shape] = {}
    last = shape
    for statement in statements:
        shapes = [named[name] for name in statement.takes] or [last]
        for layer in statement.layers:
            if not fits(layer["layer"], shapes):
                return None
            try:
                shapes = results(layer, shapes)
            except Misfit:
                return None
            if len(shapes) > 1 or shapes[0].width > WIDEST:
                return None
        last = shapes[0]
        named |= dict.fromkeys(statement.names, last)
    return last


@dataclass
class Builder:
    """Statement by statement, as text and flat, for the oracle."""

    draw: st.DrawFn
    values: dict[str, Shape] = field(default_factory=dict[str, Shape])
    flat: list[Statement] = field(default_factory=list[Statement])
    lines: list[str] = field(default_factory=list[str])
    cells: dict[Cell, str] = field(default_factory=dict[Cell, str])
    blocks: list[Block] = field(default_factory=list[Block])
    shared: dict[str, tuple[Layer, Shape]] = field(default_factory=dict[str, tuple[Layer, Shape]])
    last: tuple[str, ...] = ()
    count: int = 0
    sound: bool = True

    def chance(self, of: int) -> bool:
        return self.draw(st.integers(0, of - 1)) == of - 1

    def pick(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def fresh(self, prefix: str = "v") -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    # Text

    def written(self, layer: Any) -> Any:
        """A layer as `tests.specs` writes it: its cell under its name, without what only the oracle reads."""
        if isinstance(layer, list):
            return [self.written(each) for each in layer]
        if not isinstance(layer, dict):
            return layer
        if "_cell" in layer:
            self.cells.setdefault(layer["_cell"], f"Drawn{len(self.cells)}")
            layer = {**layer, "layer": self.cells[layer["_cell"]]}
        kept = {key: self.written(value) for key, value in layer.items() if not key.startswith("_")}
        return kept | ({"initial_state": list(kept["initial_state"])} if "initial_state" in kept else {})

    def text_of(self, statement: Statement) -> list[str]:
        return statement_lines(replace(statement, layers=[self.written(layer) for layer in statement.layers]))

    def add(self, statement: Statement, shapes: Sequence[Shape], line: str | None = None) -> None:
        """A statement with names for all that it gives; `line` where its text isn't its own."""
        if line is None:
            shown = statement
            if self.last == tuple(statement.takes) and len(self.last) == 1 and self.chance(2):
                shown = replace(statement, takes=())
            (line,) = self.text_of(shown)
        self.lines.append(line)
        self.flat.append(statement)
        self.values |= dict(zip(statement.names, shapes, strict=True))
        self.last = tuple(statement.names)

    # Statements

    def operands(self, name: str) -> list[str]:
        """Values for a layer; with little chance some that don't fit."""
        entry = ENTRIES[name]
        if self.sound and self.chance(30):
            self.sound = False
            return [self.pick(list(self.values)) for _ in range(self.draw(st.integers(1, entry.most)))]
        known = [value for value, shape in self.values.items() if entry.takes(shape)]
        if not known:
            return []
        first = self.pick(known[::-1])
        if entry.most == 1:
            return [first]
        others = [value for value in known if fits(name, [self.values[first], self.values[value]])]
        if not others:
            return []
        chosen = [first, *(self.pick(others) for _ in range(self.draw(st.integers(1, entry.most - 1))))]
        return chosen if fits(name, [self.values[value] for value in chosen]) else chosen[:2]

    def layer_for(self, name: str, *shapes: Shape) -> Layer:
        layer = self.draw(drawn_layer(name, *shapes))
        if "units" in layer and self.chance(5):
            layer["units"] = Number(self.parameter, "width", 1)
        if self.chance(12):
            layer["name"] = f'"{self.fresh("own")}"'
        if name in (*CELLS, "RNN", "Bidirectional") and self.chance(2):
            self.start(layer)
        return layer

    def start(self, layer: Layer) -> None:
        """An initial state from the rows that are there, of the width that one of them has."""
        inner = layer.get("of", layer)
        rows = [value for value, shape in self.values.items() if not shape.sequence and shape.width <= WIDEST // 2]
        if not rows or inner.get("stateful", False) or "backward_layer" in layer:
            return
        first = self.pick(rows)
        width = self.values[first].width
        for cell in inner.get("cells", [inner]):
            cell["units"] = width
        alike = [value for value in rows if self.values[value].width == width]
        count = len(state_widths(inner)) * (2 if inner is not layer else 1)
        layer["initial_state"] = [first, *(self.pick(alike) for _ in range(count - 1))]

    def plain(self) -> None:
        """`names = values -> layer -> layer`."""
        name = self.pick(KINDS)
        takes = self.operands(name)
        if not takes:
            return
        shapes = [self.values[value] for value in takes]
        layers = [self.layer_for(name, *(shapes if fits(name, shapes) else shapes[:1]))]
        if not self.sound:
            self.add(Statement(layers, takes, [self.fresh()]), [replace(shapes[0], known=False)])
            return
        shapes = self.given(layers[0], shapes)
        while len(shapes) == 1 and len(layers) < 3 and self.chance(2):
            name = self.pick(SINGLE)
            if not fits(name, shapes):
                break
            layers.append(self.layer_for(name, shapes[0]))
            shapes = self.given(layers[-1], shapes)
        if all(shape.width <= WIDEST for shape in shapes):
            self.add(Statement(layers, takes, [self.fresh() for _ in shapes]), shapes)

    def given(self, layer: Layer, shapes: Sequence[Shape]) -> list[Shape]:
        """A layer's results; unknown to the oracle where a state is."""
        found = results(layer, shapes)
        if all(self.values[value].known for value in layer.get("initial_state", ())):
            return found
        return [replace(shape, known=False) for shape in found]

    def use_shared(self) -> None:
        fitting = [
            (value, name)
            for value, shape in self.values.items()
            for name, (layer, first) in self.shared.items()
            if (shape.width, shape.ids, shape.sequence) == (first.width, first.ids, first.sequence) and fits(layer["layer"], [shape])
        ]
        if fitting and not self.chance(3):
            value, name = self.pick(fitting)
        else:
            kind = self.pick([kind for kind in SINGLE if kind != "Masking"])
            chosen = self.operands(kind)
            if not chosen or not self.sound:
                return
            (value,), name = chosen, self.fresh("shared")
            layer = {key: each for key, each in self.draw(drawn_layer(kind, self.values[value])).items() if key != "stateful"}
            if "of" in layer:
                layer["of"] = {key: each for key, each in layer["of"].items() if key != "stateful"}
            if "backward_layer" in layer:
                layer["backward_layer"] = {key: each for key, each in layer["backward_layer"].items() if key != "stateful"}
            layer["_shared"] = name
            shapes = results(layer, [self.values[value]])
            if any(shape.width > WIDEST for shape in shapes):
                return
            self.shared[name] = layer, self.values[value]
            self.lines.append(f"shared {' '.join(self.text_of(Statement([layer], (), (name,))))}")
        layer, _ = self.shared[name]
        try:
            shapes = results(layer, [self.values[value]])
        except Misfit:
            return
        names = [self.fresh() for _ in shapes]
        self.add(Statement([layer], [value], names), shapes, f"{', '.join(names)} = {value} -> {name}")

    def body(self, shape: Shape, parameter: str, units: int) -> list[Statement]:
        """One to three layers, or two with a way around the second."""
        layers: list[Layer] = []
        for _ in range(self.draw(st.integers(1, 3))):
            name = self.pick(SINGLE)
            if not fits(name, [shape]) or name == "Masking":
                continue
            layer = self.draw(drawn_layer(name, shape))
            if "units" in layer and self.chance(2):
                layer["units"] = Number(units, parameter, self.pick([1, 2]))
            after = flow([Statement([layer])], shape)
            if after is not None:
                layers.append(layer)
                shape = after
        statements = [Statement([layer]) for layer in layers]
        if len(layers) == 2 and self.chance(2):
            return [
                Statement([layers[0]], (), ("inner",)),
                Statement([layers[1]], ("inner",), ("narrow",)),
                Statement([make(self.pick(["Add", "Multiply", "Concatenate"]))], ("inner", "narrow")),
            ]
        return statements

    def inlined(self, statements: Sequence[Statement], value: str, result: str) -> list[Statement]:
        """A run's statements with names of their own; `result`: what the last is called."""
        prefix = self.fresh("in")
        last, flat = value, list[Statement]()
        for place, statement in enumerate(statements):
            takes = [f"{prefix}_{name}" for name in statement.takes] or [last]
            names = [f"{prefix}_{name}" for name in statement.names] or [f"{prefix}_{place}"]
            flat.append(replace(statement, takes=takes, names=[result] if place == len(statements) - 1 else names))
            (last,) = names
        return flat

    def use_block(self) -> None:
        value = self.pick(list(self.values))
        shape = self.values[value]
        fitting = [block for block in self.blocks if flow(block.body, shape) is not None]
        if fitting and not self.chance(3):
            block = self.pick(fitting)
        else:
            units = int(self.draw(UNITS))
            body = self.body(shape, "units", units)
            if not body or flow(body, shape) is None:
                return
            block = Block(self.fresh("Block"), body, units, shape)
            self.blocks.append(block)
        units = self.pick([block.units, int(self.draw(UNITS))])
        statements = block.with_units(units)
        after = flow(statements, shape)
        if after is None:
            return
        written = self.pick([f"({units})", f"(units = {units})", "()"] if units == block.units else [f"({units})"])
        name = self.fresh()
        self.lines.append(f"{name} = {value} -> {block.name}{written}")
        self.flat += self.inlined(statements, value, name)
        self.values[name] = after
        self.last = (name,)

    def repeat(self) -> None:
        """`repeat n { ... }` of what flows; then one layer that has a name."""
        value = self.pick(list(self.values))
        body = self.body(self.values[value], "width", self.parameter)
        times = self.pick([2, 1, 3, 0])
        shape, names, flat = self.values[value], [value], list[Statement]()
        for _ in range(times):
            after = flow(body, shape)
            if after is None:
                break
            shape = after
            names.append(self.fresh())
            flat += self.inlined(body, names[-2], names[-1])
        if not body or shape.ids:
            return
        end, name = make("Activation", activation="tanh"), self.fresh()
        lines = [line for statement in body for line in self.text_of(statement)]
        self.lines += [value, f"repeat {len(names) - 1} {{", *(f"    {line}" for line in lines), "}"]
        self.flat += flat
        self.add(Statement([end], [names[-1]], [name]), results(end, [shape]), f"{name} = Activation(tanh)")

    # The whole

    def inputs(self) -> list[str]:
        declared: list[str] = []
        for name in ("a", "b", "c")[: self.draw(st.integers(1, 3))]:
            kind = self.pick(["float", "float", "int", "row"])
            length = self.pick([Name("time"), Name("time"), Name("later"), 5])
            width = int(self.pick([2, 3, 1, 4]))
            source = frozenset({(name, tuple[float, ...]())})
            if kind == "row":
                self.values[name] = Shape(None, width, raw=True)
                declared.append(f"{name}: float[{width}]")
            elif kind == "int":
                self.values[name] = Shape(length, VOCABULARY, ids=True, raw=True, masks=source)
                declared.append(f"{name}: int[{length}]")
            else:
                self.values[name] = Shape(length, width, raw=True, masks=source)
                declared.append(f"{name}: float[{length}, {width}]")
        return declared

    def model(self) -> DrawnModel:
        self.parameter = int(self.draw(UNITS))
        declared = self.inputs()
        given = dict(self.values)
        for name, shape in given.items():
            if shape.ids:
                layer = self.draw(drawn_layer("Embedding", shape))
                self.add(Statement([layer], [name], [self.fresh()]), results(layer, [shape]))
        for _ in range(self.draw(st.integers(2, 8))):
            if self.sound:
                self.pick([self.plain, self.plain, self.plain, self.use_shared, self.use_block, self.repeat])()
        outputs = self.outputs(given)
        default = self.pick(["", f" = {self.parameter}", " = 4"])
        names = sorted({shape.length for shape in given.values() if isinstance(shape.length, Size)}, key=str)
        times = {name: self.pick([4, 3, 5, 1, 6, 5, 0]) for name in names}
        return DrawnModel(
            self.files(declared, outputs, default),
            Graph(dict.fromkeys(given, ""), self.flat, outputs or self.last),
            given,
            [self.values[name] for name in outputs or self.last],
            self.sound,
            {} if default == f" = {self.parameter}" else {"width": self.parameter},
            self.pick([3, 2, 5, 1, 4, 4, 5, 0]),
            long_enough(times, self.lengths(given)) if self.sound else times,
            {name: self.pick(PATTERNS) for name, shape in given.items() if shape.sequence},
            self.draw(st.integers(0, 2**32 - 1)),
        )

    def lengths(self, given: Mapping[str, Shape]) -> list[Dim]:
        """Of all sequences, those that no name was given to included."""
        named, found = dict(given), list[Dim]()
        for statement in self.flat:
            shapes = [named[name] for name in statement.takes]
            for layer in statement.layers:
                found += steps_needed(layer, shapes)
                shapes = results(layer, shapes)
                found += [shape.length for shape in shapes if shape.length is not None]
            named |= zip(statement.names, shapes, strict=True)
        return found

    def outputs(self, given: Mapping[str, Shape]) -> list[str]:
        """Some of the values by name, or none: then the last is the output."""
        made = [name for name in self.values if name not in given]
        if not made:
            layer, (name, shape) = make("Activation", activation="tanh"), next(iter(self.values.items()))
            self.add(Statement([layer], [name], [self.fresh()]), results(layer, [shape]))
            return []
        if self.last and self.chance(2):
            return []
        return self.draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))

    def files(self, declared: Sequence[str], outputs: Sequence[str], default: str) -> dict[str, str]:
        statements = [f"input {', '.join(declared)}", *self.lines, *([f"output {', '.join(outputs)}"] if outputs else [])]
        model = "\n".join([f"model Drawn(width{default}) {{", *(f"    {line}" for line in statements), "}", ""])
        blocks: list[str] = []
        for block in self.blocks:
            lines = [line for statement in block.body for line in self.text_of(statement)]
            head = f"block {block.name}(units = {block.units}) {{"
            blocks.append("\n".join([head, *(f"    {line}" for line in lines), "}", ""]))
        cells = [cell.text(name) for cell, name in self.cells.items()]
        if (blocks or cells) and self.chance(3):
            parts = "\n".join(['import "cells.rnn"', *blocks])
            return {MAIN: f'import "{PARTS}"\n{model}', PARTS: parts, CELL_FILE: "\n".join(cells)}
        return {MAIN: "\n".join([*cells, *blocks, model])}


@st.composite
def drawn_models(draw: st.DrawFn) -> DrawnModel:
    return Builder(draw).model()
