"""Any text at all gives a graph that can be lowered and printed, or a `SpecError` that can be shown; never anything else, and soon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnnspec.diagnostics import SpecError, render_all
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.graph_printer import print_ast, print_graph
from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.imports import Unreadable, follow_imports
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frontend.syntax.standard_library import NAMES
from rnnspec.ir.verify import verify
from rnnspec.resources import read_resource
from rnnspec.source import SourceFile

SECONDS = 10.0
"""What no text may take. The slowest here takes a tenth of it; what is exponential, or quadratic in 100 000, takes far more."""

CASES = Path(__file__).parent / "cases"
EXAMPLES = Path(__file__).parents[2] / "examples"
USES = {"simple_rnn": "SimpleRNN(4)", "lstm": "LSTM(4, use_bias = false)", "gru": "GRU(4, activation = relu)"}


def used(name: str) -> str:
    """A cell of the standard library in a spec of its own, with a model around it."""
    return read_resource("stdlib", f"{name}.rnn") + f"\nmodel Used {{ input x: float[time, 3] {USES[name]} Dense(2) }}\n"


GRAPH = """
block Encoder(units, rate = 0.5) {
    wide = LSTM(units, return_sequences = true)
    shared tell = Dense(units)
    wide -> tell -> Dropout(rate)
}

model Graph(depth = 2) {
    input x: float[time, 3], y: float[time, 3], z: float[4]
    shared read = Bidirectional(GRU(2, return_sequences = true), merge_mode = sum)
    a = x -> Masking() -> read
    b = y -> read -> Encoder(2)
    repeat depth {
        e = [a, b] -> Add() -> PReLU(shared_axes = [1])
    }
    h, c, d = [x, y] -> Concatenate() -> LSTM(4, return_state = true, initial_state = [z, z])
    last = h -> RepeatVector(3) -> GRU(4, initial_state = c)
    [last, d] -> Multiply() -> LayerNormalization()
    output a, last
}
"""

SPECS = [*map(used, NAMES), GRAPH, *(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.rglob("*.rnn")))]
FAULTY = [path.read_bytes().decode("utf-8") for path in sorted(CASES.glob("*.rnn"))]
TOKENS = [
    *"()[]{},:=<>+-*/@'\"# \n\t\0\ufeffé", "\r\n", "==", "!=", "->", "0", "1", "2", "-1", "0.5", "1e308", "1e400", "1000000000",
    "model", "cell", "block", "repeat", "import", "input", "train", "weight", "state", "return", "if", "else", "and", "or", "not", "true",
    "false", "none", "float", "int", "time", "batch", "x", "h", "h'", "c", "c'", "i", "f", "features", "units", "kernel", "bias",
    "activation", "zeros", "ones", "orthogonal", "[zeros, ones]", "split", "concat", "clip", "sum", "mean", "min", "max", "exp", "tanh",
    "softmax", "relu", "leaky_relu(0.1)",
    '"tanh"', "x @ kernel", "h' = h", "LSTM", "GRU", "Dense(2)", "Dropout(0.5)", "Masking()", "Embedding(5, 2)",
    "Bidirectional", "LSTM(3, return_sequences = true)", "GRU(4)", 'name = "a"', "merge_mode = none", "loss", "mse", "optimizer", "Adam()",
    "metrics = [accuracy]", "epochs", "shared", "output", "[x, y]", "x ->", "-> y", "y =", "a, b =", "repeat 2 {", "Concatenate()", "Add()",
    "return_state = true", "initial_state = h", "initial_state = [h, c]", "RepeatVector(3)", "TimeDistributed(Dense(2))", "Encoder(3)",
    "GlobalMaxPooling1D()", "backward_layer = GRU(2, go_backwards = true)", "PReLU()", "SpatialDropout1D(0.5)", "stateful = true",
    "RNN", "RNN([LSTM(2), GRU(3)])", "BatchNormalization()", "GaussianNoise(0.5)",
]  # fmt: skip


def read(path: str) -> SourceFile:
    """What the cases import; nothing else can be read."""
    if not path.startswith("imported/"):
        raise Unreadable("it isn't there")
    try:
        return SourceFile(path, (CASES / path).read_bytes().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise Unreadable(str(error)) from None


def outcome(text: str, parameters: Mapping[str, ParameterValue] | None = None) -> Graph | SpecError:
    """Of a text; fails on any exception besides SpecError."""
    source = SourceFile.of_text(text)
    started = time.monotonic()
    try:
        tree = parse(source)
        assert print_ast(tree).startswith("File @ 1:1\n")
        graph = resolve(follow_imports(tree, read).tree, parameters)
    except SpecError as error:
        check_shown(error, source)
        return error
    finally:
        assert time.monotonic() - started < SECONDS
    assert render_all(graph.warnings).count("warning[W") == len(graph.warnings)
    assert print_graph(graph).startswith(f"graph {graph.model}\n")
    verify(lower(graph, dtype="float64", training=True))
    assert time.monotonic() - started < SECONDS
    return graph


def check_shown(error: SpecError, source: SourceFile) -> None:
    shown = str(error)
    assert error.diagnostics
    assert shown.count("error[E") >= len(error.diagnostics)
    for diagnostic in error.diagnostics:
        for span in (diagnostic.span, *(label.span for label in diagnostic.secondary)):
            assert 0 <= span.start <= span.stop <= len(span.source.text)
            assert span.source == source or span.source.path.startswith(("stdlib/", "imported/"))


@st.composite
def mutated(draw: st.DrawFn, specs: list[str]) -> str:
    """A spec with a few characters or pieces deleted, doubled, exchanged or replaced."""
    text = draw(st.sampled_from(specs))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        before, piece, after = text[:start], text[start:stop], text[stop:]
        match draw(st.integers(0, 4)):
            case 0:
                text = before + after
            case 1:
                text = before + piece + piece + after
            case 2:
                text = before + after[: len(piece)] + piece + after[len(piece) :]
            case 3:
                text = before + draw(st.sampled_from(TOKENS)) + after
            case _:
                text = before + draw(st.sampled_from(TOKENS)) + piece + after
    return text


@st.composite
def retokened(draw: st.DrawFn, specs: list[str]) -> str:
    """A spec with whole words exchanged, dropped or replaced, which stays readable more often."""
    words = draw(st.sampled_from(specs)).replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split(" ")
    for _ in range(draw(st.integers(1, 4))):
        place, other = draw(st.integers(0, len(words) - 1)), draw(st.integers(0, len(words) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                words[place] = words[other]
            case 1:
                words[place], words[other] = words[other], words[place]
            case 2:
                words[place] = draw(st.sampled_from(TOKENS))
            case _:
                words[place] = ""
    return " ".join(words)


def terms(leaves: list[str], operators: list[str], functions: list[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(operators), inner).map(lambda parts: f"({' '.join(parts)})"),
            st.tuples(st.sampled_from(functions), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"),
            inner.map(lambda term: f"-{term}"),
            inner.map(lambda term: f"({term} if use else h)"),
        ),
        max_leaves=6,
    )


TAME = terms(
    ["x", "h", "c", "(b + h)", "(x * m[1])", "concat(sum(x), sum(h), b[0] if false else mean(c), max(x))"],
    ["+", "-", "*", "/", "* 0.5 -", "+ 0 *", "- r[0] *", "@ r +"],
    ["tanh", "softmax", "log_softmax", "abs", "act", "leaky_relu", "x - sum", "h * mean", "c / max"],
)
WILD = terms(
    ["x", "h", "c", "b", "m[1]", "0.5", "k", "m", "h'", "a", "features", "true", "tanh", "none", "b[0]"],
    ["+", "*", "@", "<", "==", "and"],
    ["tanh", "sum", "max", "concat", "act", "not", "split", "clip"],
)


@st.composite
def cells(draw: st.DrawFn) -> str:
    """A spec whose cell has random equations, well formed but seldom well typed."""
    first, second, third, output = (draw(draw(st.sampled_from([TAME, TAME, TAME, WILD]))) for _ in range(4))
    condition = draw(st.sampled_from(["", " if use", " if not use"]))
    return f"""
    cell Drawn(units, act = tanh, use = true) {{
        weight k [features, units] = glorot_uniform
        weight r [units, units] = orthogonal
        weight b [units] = zeros{condition}
        weight m [3, units] = zeros{condition}
        state h [units], c [units]
        a = {first} + 0 * sum(x @ k) + 0 * sum(h @ r)
        h' = {second} + 0 * (b + m[2])
        c' = {third}
        return {output}
    }}
    model Drawing {{ input x: float[time, 4] Drawn(4, return_sequences = true) Bidirectional(Drawn(4)) }}
    """


quickly = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(quickly, max_examples=100)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map(" ".join) | st.text(max_size=60))
@example("")
@example("\0\ud800\u202e")
@example("model \u0130 {")
def test_any_text(text: str) -> None:
    assert isinstance(outcome(text), SpecError)


@settings(quickly, max_examples=120)
@given(mutated(SPECS + FAULTY))
def test_a_spec_with_other_characters(text: str) -> None:
    outcome(text)


@settings(quickly, max_examples=150)
@given(retokened(SPECS + FAULTY))
def test_a_spec_with_other_words(text: str) -> None:
    outcome(text)


@settings(quickly, max_examples=250)
@given(cells())
def test_a_cell_with_any_equations(text: str) -> None:
    outcome(text)


PARAMETERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


@settings(quickly, max_examples=60)
@given(st.dictionaries(st.sampled_from(["units", "act", "rate", "colour"]), PARAMETERS))
def test_any_parameters(parameters: dict[str, ParameterValue]) -> None:
    outcome(
        "model A(units = 4, act = tanh, rate) { input x: float[time, units] LSTM(2 * units, act) Dropout(rate) Dense(units / 2) }",
        parameters,
    )


@pytest.mark.parametrize("text", SPECS)
def test_the_specs_themselves_are_valid(text: str) -> None:
    assert isinstance(outcome(text), Graph)


def model(body: str) -> str:
    return f"model A {{ input x: float[time, 3]\n{body}\n}}"


def cell(equations: str, use: str = "C(1)", weights: str = "") -> str:
    return f"cell C(units) {{ {weights}\n state h [units]\n {equations}\n return h' }}\n" + model(use)


LARGE = {
    "brackets": model(f"Dense({'(' * 100_000}1{')' * 100_000})"),
    "braces": "{" * 100_000,
    "minus signs": model(f"Dense({'-' * 100_000}1)"),
    "choices": model(f"Dense({'1 if true else ' * 20_000}1)"),
    "sum": model(f"Dense({'1 + ' * 20_000}1)"),
    "list": model(f"Dense([{'1, ' * 10_000}1])"),
    "digits": model(f"Dense({'1' * 100_000})"),
    "name": model(f"{'L' * 100_000}(3)"),
    "faulty lines": "a b c\n" * 20_000,
    "characters": "$" * 100_000,
    "unknown layers": model("Foo(3)\n" * 500),
    "lists of lists": "model A(a0 = [1, 2], "
    + ", ".join(f"a{place} = [a{place - 1}, a{place - 1}]" for place in range(1, 60))
    + ") { input x: float[time, 3] LSTM(a59) }",
    "wide concat": cell(
        "a0 = x " + " ".join(f"a{place} = concat(a{place - 1}, a{place - 1})" for place in range(1, 70)) + " h' = sum(a69)"
    ),
    "too many rows": cell("h' = h + w[1000000000]", weights="weight w [10000000000, 1] = zeros"),
}
LARGE_BUT_VALID = {
    "units": cell("h' = h + sum(x)", use="C(1000000000)"),
    "rows": cell("h' = h + w[0] + w[1000000000] + w[1999999999]", weights="weight w [2000000000, 1] = zeros"),
    "features": "model A { input x: float[time, 2000000000] Dropout(0.5) Activation(softmax) }",
    "layers": model("LSTM(3, return_sequences = true)\n" * 50),
    "equations": cell("a0 = x " + " ".join(f"a{place} = a{place - 1} + x" for place in range(1, 300)) + " h' = h + sum(a299)"),
    "deep equation": cell(f"h' = {'min(1, ' * 90}h{')' * 90}"),
    "within the depth limit": model(f"Dense({'(' * 90}1{')' * 90})") + "# " + "(" * 10_000,
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_large_and_wrong(text: str) -> None:
    error = outcome(text)
    assert isinstance(error, SpecError)
    assert all(len(diagnostic.render()) < 3000 for diagnostic in error.diagnostics)


@pytest.mark.parametrize("text", LARGE_BUT_VALID.values(), ids=LARGE_BUT_VALID)
def test_large_and_right(text: str) -> None:
    assert isinstance(outcome(text), Graph)
