"""Drawn specs that try a compiler: cells whose values are a graph, blocks in blocks, names that mean something elsewhere, gross damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from rnnspec.contract.dimensions import Name
from tests.property.drawn_model import MAIN, DrawnModel
from tests.property.entries import Shape
from tests.property.models import drawn_models
from tests.specs import Graph

WORDS = (
    "tokens", "steps", "batch", "rows", "time", "time_3", "tokens_1", "index", "order", "rank", "offsets", "prepared", "scratch", "tape",
    "buffer", "zeros", "start", "stop", "define", "declare", "ret", "br", "phi", "i64", "float", "double", "ptr", "undef", "poison",
    "__init__", "__class__", "__dict__", "self", "None", "True", "lambda", "class", "def", "exec", "nan", "inf", "e1", "_", "__", "_0",
    "forward", "backward", "record", "stream", "gradient", "mask", "key", "kernel", "bias",
)  # fmt: skip
"""Names that mean something to Python, to LLVM or to the compiler."""

TAKEN = ("model", "cell", "block", "input", "return", "when", "shared", "train", "import", "output", "units", "features", "x", "tanh", "0a")
"""Words that can't be a name, or not everywhere."""

LETTERS = "abcxyzABCXYZ_0189"
STRANGE = (
    '"',
    "'",
    "\\\\",
    "/",
    ".",
    " ",
    "\t",
    "\0",
    "%",
    "@",
    "é",
    "\u202e",
    "\u0000",
    "😀",
    "{",
    "}",
    "#",
    "->",
    "\ufeff",
    "\r",
    "\x1b[31m",
)

NAMES = st.one_of(
    st.sampled_from(WORDS),
    st.builds(lambda first, rest: first + rest, st.sampled_from("abzABZ_"), st.text(LETTERS, max_size=12)),
    st.builds(lambda letter, count: letter * count, st.sampled_from("aZ_"), st.sampled_from([1, 100, 254, 255])),
)
WRONG = st.one_of(st.sampled_from(TAKEN), st.builds(lambda count: "a" * count, st.sampled_from([256, 1000, 100_000])))


@st.composite
def names(draw: st.DrawFn, count: int) -> list[str]:
    """So many different names, one of which can now and then be none."""
    drawn = draw(st.lists(NAMES, min_size=count, max_size=count, unique=True))
    if draw(st.integers(0, 4)) == 0:
        drawn[draw(st.integers(0, count - 1))] = draw(WRONG)
    return drawn


STEPS = (
    "tanh({}) * {}", "{} + {}", "{} - 0.5 * {}", "max({}, {})", "sigmoid({} * {})", "{} * 0.5 + mean({})", "{} / (2.0 + abs({}))",
    "min({}, tanh({}))", "softmax({}) - {}", "tanh({} @ w) + {}",
)  # fmt: skip


def of_text(text: str, shape: Shape) -> DrawnModel:
    """A spec of one input `x`."""
    return DrawnModel({MAIN: text}, Graph({}, []), {"x": shape}, [], False, {}, 3, {Name("time"): 4}, {"x": "holed"}, 0)


@st.composite
def graph_cells(draw: st.DrawFn) -> DrawnModel:
    """A cell whose values are used several times: each one is made of any before it, or of the last few, or cut and put together."""
    length = draw(st.sampled_from([3, 8, 20, 40]))
    near = draw(st.sampled_from([1, 2, 5, 100]))
    values = ["x @ k + h", "h", "x @ k"]
    lines: list[str] = []
    targets = draw(names(length)) if draw(st.booleans()) else [f"a{n}" for n in range(length)]
    for name in targets:
        first, second = (f"({draw(st.sampled_from(values[-near:]))})" for _ in range(2))
        if draw(st.integers(0, 5)) == 0:
            lines.append(f"{name}_l, {name}_r = split({first}, 2)\n    {name} = concat({name}_l * {name}_r, tanh({name}_r))")
        else:
            lines.append(f"{name} = {draw(st.sampled_from(STEPS)).format(first, second)}")
        values.append(name)
    unread = [name for name in dict.fromkeys(targets) if not any(name in line.partition("=")[2] for line in lines)]
    last = " + ".join(f"0.1 * {name}" for name in (unread or targets[-1:])[-20:])
    body = "\n    ".join([*lines, *(f"_{name} = {name}" for name in unread[:-20]), "_used = h @ w + x @ k", f"h' = tanh({last})"])
    weights = "weight k [features, units] = glorot_uniform\n    weight w [units, units] = orthogonal"
    cell = f"cell Own(units) {{\n    {weights}\n    state h [units]\n    {body}\n    return h'\n}}\n"
    layer = draw(st.sampled_from(["Own(4)", "Bidirectional(Own(4))", "Own(2, return_sequences = true)", "RNN([Own(4), LSTM(2)])"]))
    return of_text(f"{cell}model Hostile {{\n    input x: float[time, 3]\n    {layer}\n    Dense(1)\n}}\n", Shape(Name("time"), 3))


@st.composite
def deep_blocks(draw: st.DrawFn) -> DrawnModel:
    """Blocks in blocks in repeats, some with shared layers, some used twice."""
    depth = draw(st.integers(1, 12))
    layers = ("Dense(3, activation = tanh)", "LayerNormalization()", "Dropout(0.1)", "Activation(tanh)")
    blocks: list[str] = []
    doubled = 0
    for level in range(depth):
        inner = f"B{level + 1}()"
        kinds = [inner, f"repeat {draw(st.integers(0, 3))} {{ {draw(st.sampled_from(layers))} }} {inner}", f"y = {inner} y"]
        if doubled < 4:
            kinds += [f"{inner} {inner}", f"shared s = {inner} s s", f"repeat 2 {{ {inner} }}"]
        chosen = draw(st.sampled_from(kinds))
        doubled += chosen in kinds[3:]
        blocks.append(f"block B{level} {{ {chosen} {draw(st.sampled_from(layers))} }}")
    blocks.append(f"block B{depth} {{ {draw(st.sampled_from(layers))} }}")
    text = "\n".join(blocks)
    return of_text(f"{text}\nmodel Hostile {{\n    input x: float[4]\n    Dense(3)\n    B0()\n    Dense(1)\n}}\n", Shape(None, 4))


@st.composite
def hostile_names(draw: st.DrawFn) -> DrawnModel:
    """Names for everything that has one."""
    of_input, value, parameter, layer, weight, state, cell = draw(names(7))
    given = draw(
        st.one_of(NAMES, st.text(LETTERS, max_size=3).flatmap(lambda text: st.sampled_from(STRANGE).map(lambda mark: text + mark)))
    )
    own = (
        f"cell {cell}(units) {{\n    weight {weight} [features, units] = glorot_uniform\n    state {state} [units]\n"
        f"    {value} = x @ {weight} + {state}\n    {state}' = tanh({value})\n    return {state}'\n}}\n"
    )
    text = (
        f"model {layer}({parameter} = 3) {{\n    input {of_input}: float[time, 3]\n    {value} = {of_input} -> {cell}({parameter})\n"
        f'    {value} -> Dense(2, name = "{given}")\n}}\n'
    )
    drawn = of_text(own + text, Shape(Name("time"), 3))
    return replace(drawn, shapes={of_input: Shape(Name("time"), 3)}, patterns={of_input: "holed"})


@st.composite
def grossly_damaged(draw: st.DrawFn) -> DrawnModel:
    """A drawn spec of which much is wrong at once."""
    drawn = draw(drawn_models())
    text = drawn.files[MAIN]
    for _ in range(draw(st.integers(1, 3))):
        text = _damaged(draw, text, text.splitlines(keepends=True))
    return replace(drawn, files={**drawn.files, MAIN: text}, sound=False)


def _damaged(draw: st.DrawFn, text: str, lines: Sequence[str]) -> str:
    place = draw(st.integers(0, max(0, len(lines) - 1)))
    before, line, after = "".join(lines[:place]), "".join(lines[place : place + 1]), "".join(lines[place + 1 :])
    many = draw(st.sampled_from([2, 30, 3_000]))
    offset = draw(st.integers(0, len(text)))
    match draw(st.integers(0, 8)):
        case 0:
            return before + line * many + after
        case 1:
            return before + after
        case 2:
            return text[:offset]
        case 3:
            return (
                text[:offset]
                + draw(st.sampled_from(["(", "[", "{", "-", "not ", "when true {", "repeat 2 {", "1 + "])) * many
                + text[offset:]
            )
        case 4:
            return text[:offset] + draw(st.sampled_from(STRANGE)) * many + text[offset:]
        case 5:
            return text[:offset] + draw(NAMES) + text[offset:]
        case 6:
            return text * min(many, 100)
        case 7:
            return before + f"repeat {many} {{\n{line}}}\n" + after
        case _:
            return "".join(sorted(lines)) if draw(st.booleans()) else text[::-1]
