"""The canonical form of specs: pairs of text, and what holds for every text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.diagnostics import SpecError
from rnnspec.frontend.syntax.expression_layout import expression_text
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frontend.syntax.parser import parse
from rnnspec.source import SourceFile

GOLDEN = Path(__file__).parents[2] / "golden" / "format"
CHECKOUT = Path(__file__).parents[3]
CASES = sorted(GOLDEN.glob("*.before.rnn"))
SPECS = sorted([*CHECKOUT.glob("examples/**/*.rnn"), *CHECKOUT.glob("rnnspec/stdlib/*.rnn")])


def formatted(text: str) -> str:
    return format_spec(SourceFile("case.rnn", text))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".before.rnn"))
def test_text(path: Path, regenerate: bool) -> None:
    after = path.with_name(path.name.replace(".before.", ".after."))
    text = formatted(path.read_text(encoding="utf-8"))
    if regenerate:
        after.write_text(text, encoding="utf-8")
    assert text == after.read_text(encoding="utf-8")
    assert formatted(text) == text


def test_there_are_pairs() -> None:
    assert len(CASES) >= 3


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_what_ships_is_in_canonical_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("text", ["", " \n\n", "# only a comment", "#a\n#b\n\n\n#c"])
def test_text_without_a_declaration(text: str) -> None:
    assert formatted(text) == "\n".join(line for line in text.replace("\n\n\n", "\n\n").strip().split("\n") if text.strip()) + (
        "\n" if text.strip() else ""
    )


def test_what_does_not_parse_is_a_diagnostic() -> None:
    with pytest.raises(SpecError):
        formatted("model {")


EXPRESSIONS = {
    "a + (b + c)": "a + (b + c)",
    "(a + b) + c": "a + b + c",
    "(a * b) + c": "a * b + c",
    "a * (b + c)": "a * (b + c)",
    "a - (b - c)": "a - (b - c)",
    "a @ (b * c)": "a @ (b * c)",
    "-(a + b)": "-(a + b)",
    "-(-a)": "--a",
    "-a * b": "-a * b",
    "-(a * b)": "-(a * b)",
    "(a + b)[0]": "(a + b)[0]",
    "(a[0])[1]": "a[0][1]",
    "not (a and b)": "not (a and b)",
    "not (a == b)": "not a == b",
    "(not a) == b": "(not a) == b",
    "(a < b) == c": "(a < b) == c",
    "(a or b) and c": "(a or b) and c",
    "a or (b and c)": "a or b and c",
    "a if (b if c else d) else e": "a if (b if c else d) else e",
    "a if b else (c if d else e)": "a if b else c if d else e",
    "(a if b else c) if d else e": "(a if b else c) if d else e",
    "(a if b else c) + 1": "(a if b else c) + 1",
    "1e-3 * 0.50 + .5": "1e-3 * 0.50 + .5",
    'f(a,b=[1,(2)],c="x, y")': 'f(a, b = [1, 2], c = "x, y")',
}


@pytest.mark.parametrize(("written", "canonical"), EXPRESSIONS.items())
def test_expression(written: str, canonical: str) -> None:
    text = f"model M(p = {written}) {{}}"
    assert formatted(text) == f"model M(p = {canonical}) {{}}\n"


NAMES = st.sampled_from(["a", "b1", "units"])


def expressions() -> st.SearchStrategy[str]:
    leaves = st.one_of(NAMES, st.sampled_from(["1", "0.5", "true", "none", '"t # {"']))

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = inner.map(lambda text: f"({text})")
        operators = st.sampled_from(["+", "-", "*", "/", "@", "<", "==", "and", "or"])
        return st.one_of(
            st.tuples(group, operators, group).map(" ".join),
            group.map(lambda text: f"-{text}"),
            group.map(lambda text: f"not {text}"),
            st.tuples(group, group, group).map(lambda parts: f"{parts[0]} if {parts[1]} else {parts[2]}"),
            st.tuples(NAMES, st.lists(inner, max_size=3)).map(lambda parts: f"{parts[0]}({', '.join(parts[1])})"),
            st.tuples(group, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        )

    return st.recursive(leaves, larger, max_leaves=8)


COMMENTS = st.sampled_from(["", "", "", "# c", "# { }", '# "', "\n# alone\n", "\n\n\n# far\n\n", " # d \n", "\n", "\n\n\n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A file whose layout is anything: comments and line breaks between any two words of it."""
    words: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        words += ["cell C", "(", "u", "=", draw(expressions()), ")", "{"]
        for _ in range(draw(st.integers(0, 4))):
            words += draw(
                st.sampled_from(
                    [
                        ["weight", "kernel", "[u,", "2*u]", "=", "zeros"],
                        ["weight", "b", "[u]", "=", "[zeros,", "ones]", "if", "u"],
                        ["state", "h", "[u],", "c [u]"],
                        ["h'", "=", draw(expressions())],
                        ["a,", "b", "=", "split(x,", "2)"],
                        ["return", "h'"],
                    ]
                )
            )
        words += [
            "}",
            "model M",
            "{",
            "input",
            "x:",
            "float[time,",
            "3]",
            "s",
            "=",
            "x",
            "->",
            "LSTM(3)",
            "Dense(2,",
            "name",
            "=",
            '"d # x")',
        ]
        words += ["train", "{", "loss", "=", "mse", "batch_size", "=", "3", "}", "}"]
    parts: list[str] = []
    for word in words:
        comment = draw(COMMENTS)
        parts += [word, comment, "\n" if comment.lstrip().startswith("#") and not comment.endswith("\n") else " "]
    return "".join(parts)


@settings(max_examples=40)
@given(texts())
def test_meaning_and_comments_stay_and_a_second_time_changes_nothing(text: str) -> None:
    once = formatted(text)
    assert parse(SourceFile.of_text(once)) == parse(SourceFile.of_text(text))
    assert once.count("#") == text.count("#")
    assert formatted(once) == once
    assert all(line == line.rstrip() for line in once.split("\n"))


def test_expression_text_of_every_kind_is_read_back() -> None:
    tree = parse(SourceFile.of_text("model M(p = [-a, not b, c[0], f(1, x = none), a + b * c, d if e else f]) {}"))
    (model,) = tree.declarations
    default = model.parameters[0].default
    assert default is not None
    assert expression_text(default) == "[-a, not b, c[0], f(1, x = none), a + b * c, d if e else f]"
