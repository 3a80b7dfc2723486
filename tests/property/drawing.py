"""Strategies: layers, models of the standard library's cells with a batch, cells drawn from the grammar, and graphs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from tests.specs import Layer, bidirectional, make

CELLS = st.sampled_from(["SimpleRNN", "LSTM", "GRU"])
UNITS = st.sampled_from([1, 2, 3, 5, 8, 16, 17])
"""Around what fills vectors of 2 to 16 lanes."""
SMOOTH = st.sampled_from(["linear", "tanh", "sigmoid", "softmax", "softplus", "silu", "gelu", "exponential"])
"""Activations without a kink that a complex step could straddle; relu and its kin have fixtures."""
VOCABULARY = 5


@st.composite
def cell(draw: st.DrawFn, sequences: bool) -> Layer:
    layer = make(draw(CELLS), units=draw(UNITS))
    if sequences:
        layer["return_sequences"] = True
    if draw(st.booleans()):
        layer["go_backwards"] = True
    if draw(st.booleans()):
        layer["zero_output_for_mask"] = True
    if draw(st.integers(0, 3)) == 0:
        layer["use_bias"] = False
    return layer


@st.composite
def recurrent(draw: st.DrawFn, sequences: bool) -> Layer:
    if draw(st.booleans()):
        return draw(cell(sequences))
    inner = {key: value for key, value in draw(cell(sequences)).items() if key not in ("go_backwards", "zero_output_for_mask")}
    return bidirectional(inner, merge_mode=draw(st.sampled_from(["concat", "sum", "mul", "ave"])))


DENSE = st.builds(lambda units, activation: make("Dense", units=units, activation=activation), UNITS, SMOOTH)


@dataclass(frozen=True)
class Drawn:
    """A model with a batch for it; `mask` is the caller's own, None for none: what it masks is 0 here."""

    layers: list[Layer]
    of_input: str
    x: np.ndarray
    mask: np.ndarray | None
    seed: int


@st.composite
def drawn_models(draw: st.DrawFn) -> Drawn:
    batch, time, features = draw(st.integers(0, 5)), draw(st.integers(0, 6)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    masked = random.random((batch, time)) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    layers: list[Layer] = []
    if draw(st.booleans()):
        of_input, x = "int[time]", random.integers(1, VOCABULARY, (batch, time)).astype(np.int32)
        layers.append(make("Embedding", input_dim=VOCABULARY, output_dim=features, mask_zero=draw(st.booleans())))
        x[masked] = 0
    else:
        of_input, x = f"float[time, {features}]", random.normal(size=(batch, time, features))
        if draw(st.booleans()):
            layers.append(make("Masking", mask_value=0.0))
            x[masked] = 0.0
    mask = ~masked if draw(st.booleans()) else None
    if mask is not None and x.dtype.kind == "f":
        x[masked] = 0.0
    layers += draw(st.lists(st.one_of(recurrent(True), DENSE), max_size=2))
    layers += draw(st.lists(recurrent(False), min_size=0 if layers else 1, max_size=1))
    layers += draw(st.lists(DENSE, max_size=1))
    return Drawn(layers, of_input, x, mask, seed)


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
)
BINARY = ("{} + {}", "{} - {}", "({}) * ({})", "({}) / (2.0 + tanh({}))", "max({}, 0.5 * ({}))", "min({}, {} + 0.25)")
NARROW = ("sum({}) * 0.25", "mean({})", "max({})", "min({})")
"""A row's reduction to width 1, which every operation repeats over the units."""


@st.composite
def drawn_cells(draw: st.DrawFn) -> str:
    """The text of a `cell Drawn(units)`: what is read is declared, every state is bounded, and nothing divides by 0."""
    states = draw(st.sampled_from([("h",), ("h", "c"), ("h", "c", "n")]))
    known = [*states]
    lines: list[str] = []

    def leaf() -> str:
        kind = draw(st.integers(0, 6))
        if kind == 0:
            return "x @ kernel"
        if kind == 1:
            return f"{draw(st.sampled_from(known))} @ recurrent_kernel"
        if kind == 2:
            return f"peephole * {draw(st.sampled_from(known))}"
        if kind == 3:
            return f"bias[{draw(st.integers(0, 1))}]"
        return draw(st.sampled_from(known))

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
            return f"({leaf()}) - " + draw(st.sampled_from(NARROW)).replace(
                "{}", f"{expression(depth - 1)} + {draw(st.sampled_from(known))}"
            )
        return leaf()

    for number in range(draw(st.integers(0, 2))):
        if draw(st.integers(0, 2)) == 0:
            lines.append(f"l{number}, r{number} = split({draw(st.sampled_from(['x @ gates', f'{states[0]} @ twin + x @ gates']))}, 2)")
            known += [f"l{number}", f"r{number}"]
        else:
            lines.append(f"l{number} = {expression(2)} + {states[-1]}")
            known.append(f"l{number}")
    for state in states:
        lines.append(f"{state}' = tanh({expression(2)} + {draw(st.sampled_from(known))})")
        known.append(f"{state}'")
    output = draw(st.sampled_from([f"{states[0]}'", f"concat({states[0]}', {states[-1]})", f"{expression(1)} + {states[0]}'"]))
    locals_ = [name for name in known if name not in states and not name.endswith("'")]
    unread = [
        name for name in locals_ if not any(f"{name} " in f"{line} " or f"{name})" in line for line in lines if not line.startswith(name))
    ]
    lines += [f"_{name} = {name}" for name in unread]
    weights = {
        "kernel": "[features, units] = glorot_uniform",
        "recurrent_kernel": "[units, units] = orthogonal",
        "peephole": "[units] = random_normal",
        "bias": "[2, units] = random_normal",
        "gates": "[features, 2 * units] = glorot_uniform",
        "twin": "[units, 2 * units] = glorot_uniform",
    }
    read = set(re.findall(r"\w+", " ".join([*lines, output])))
    declared = [f"weight {name} {weights[name]}" for name in weights if name in read]
    state_line = "state " + ", ".join(f"{state} [units]" for state in states)
    return "\n".join(["cell Drawn(units) {", *(f"    {line}" for line in (*declared, state_line, *lines, f"return {output}")), "}", ""])


@dataclass(frozen=True)
class DrawnGraph:
    """A spec of several inputs with a batch for it; `masks` are the caller's own."""

    text: str
    inputs: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    seed: int


@dataclass
class _Values:
    """The named values of a graph so far: sequences by their length, with their widths; rows with theirs."""

    sequences: dict[str, list[tuple[str, int]]] = field(default_factory=dict[str, list[tuple[str, int]]])
    rows: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    lines: list[str] = field(default_factory=list[str])

    def name(self, flow: str) -> str:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {flow}")
        return name

    def sequence(self, length: str, flow: str, width: int) -> None:
        self.sequences[length].append((self.name(flow), width))

    def row(self, flow: str, width: int) -> None:
        self.rows.append((self.name(flow), width))


MERGES = st.sampled_from(["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])


@st.composite
def drawn_graphs(draw: st.DrawFn) -> DrawnGraph:
    """Two sequences, of one length or of two, and a row; layers on any of the values so far; the last values are the outputs.

    Every sequence is in its own order, and all have two features or as many as a Concatenate makes of them.
    """
    lengths = draw(st.sampled_from([("time", "time"), ("time", "later")]))
    kinds = draw(st.sampled_from([("float", "float"), ("int", "float"), ("int", "int")]))
    values = _Values({length: [] for length in lengths}, [("row", 2)])
    for name, length, kind in zip("ab", lengths, kinds, strict=True):
        if kind == "int":
            flow = f"{name} -> Embedding({VOCABULARY}, 2, mask_zero = {draw(st.sampled_from(['true', 'false']))})"
        else:
            flow = f"{name} -> {draw(st.sampled_from(['Masking()', 'Masking(mask_value = 1)', 'Dense(2, tanh)']))}"
        values.sequence(length, flow, 2)
        if kind == "float" and draw(st.booleans()):
            values.sequences[length].append((name, 2))
    for _ in range(draw(st.integers(2, 6))):
        _another(draw, values)
    if len(values.rows) > 2 and draw(st.booleans()):
        values.row(f"[{', '.join(name for name, _ in values.rows)}] -> Concatenate() -> Dense(2)", 2)
    made = [*(name for each in values.sequences.values() for name, _ in each), *(name for name, _ in values.rows)]
    known = [name for name in made if name not in ("a", "b", "row")]
    outputs = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    element = {"int": "int[{}]", "float": "float[{}, 2]"}
    inputs = ", ".join(f"{name}: {element[kind].format(length)}" for name, length, kind in zip("ab", lengths, kinds, strict=True))
    lines = [
        f"input {inputs}, row: float[2]",
        "shared common = GRU(2, return_sequences = true)",
        *values.lines,
        f"output {', '.join(outputs)}",
    ]
    text = "\n".join(["model Drawn {", *(f"    {line}" for line in lines), "}", ""])
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    batch, times = draw(st.integers(0, 4)), {length: draw(st.integers(0, 5)) for length in dict.fromkeys(lengths)}
    arrays: dict[str, np.ndarray] = {"row": random.normal(size=(batch, 2))}
    masks: dict[str, np.ndarray] = {}
    share = draw(st.sampled_from([0.0, 0.3, 0.7]))
    for name, length, kind in zip("ab", lengths, kinds, strict=True):
        shape = (batch, times[length])
        if kind == "int":
            arrays[name] = np.where(random.random(shape) < share, 0, random.integers(1, VOCABULARY, shape)).astype(np.int32)
        else:
            arrays[name] = random.normal(size=(*shape, 2))
            for value in (0.0, 1.0):
                arrays[name][random.random(shape) < share / 2] = value
        masks[name] = random.random(shape) >= share
    return DrawnGraph(text, arrays, masks, seed)


def _another(draw: st.DrawFn, values: _Values) -> None:
    """One more value."""
    length = draw(st.sampled_from(list(values.sequences)))
    known = values.sequences[length]
    source, width = draw(st.sampled_from(known))
    kind = draw(st.integers(0, 8))
    match kind:
        case 0 | 1:
            alike = [name for name, other in known if other == width]
            merge = draw(MERGES)
            count = 2 if merge == "Subtract" else draw(st.integers(2, 3))
            chosen = [draw(st.sampled_from(alike)) for _ in range(count)]
            values.sequence(length, f"[{', '.join(chosen)}] -> {merge}()", width * count if merge == "Concatenate" else width)
        case 2:
            values.sequence(length, f"{source} -> {draw(CELLS)}({width}, return_sequences = true)", width)
        case 3:
            shared = [name for name, other in known if other == 2]
            values.sequence(length, f"{draw(st.sampled_from(shared))} -> common", 2)
        case 4:
            start = draw(st.sampled_from([name for name, other in values.rows if other == 2]))
            option = draw(st.sampled_from(["", ", return_sequences = true"]))
            flow = f"{source} -> GRU(2, initial_state = {start}{option})"
            if option:
                values.sequence(length, flow, 2)
            else:
                values.row(flow, 2)
        case 5:
            mode = draw(st.sampled_from(["sum", "mul", "ave"]))
            values.sequence(length, f"{source} -> Bidirectional(SimpleRNN(2, return_sequences = true), merge_mode = {mode})", 2)
        case 6:
            values.row(f"{source} -> {draw(CELLS)}(2)", 2)
        case 7:
            values.row(f"{source} -> {draw(st.sampled_from(['GlobalAveragePooling1D', 'GlobalMaxPooling1D']))}()", width)
        case _:
            values.sequence(length, f"{source} -> Dense({width}, sigmoid)", width)
