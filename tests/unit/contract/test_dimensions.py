"""The algebra of sizes: its texts, its values, and that equal sizes are one."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnspec
from rnnspec.contract.dimensions import (
    BATCH,
    ROWS,
    STEPS,
    TOKENS,
    AtLeastZero,
    CeilDiv,
    Dim,
    Name,
    Size,
    Steps,
    Sum,
    Tokens,
    addends,
    at_least_zero,
    ceil_div,
    coefficient_of,
    names_in,
    parse_dim,
    plus,
    shortfall,
    substituted,
    value_of,
)

TIME, LATER = Name("time"), Name("later")
NAMES = (BATCH, TIME, LATER, TOKENS, Tokens(2), STEPS, Steps(1))


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (TIME - 2, "time-2"),
        (TIME - 2 - 3, "time-5"),
        (TIME - 0, "time"),
        (TIME - TIME, "0"),
        ((TIME * -1) * -1, "time"),
        (3 - TIME, "-time+3"),
        (ceil_div(TIME, 1), "time"),
        (ceil_div(TIME, 2), "ceil(time/2)"),
        (ceil_div(ceil_div(TIME, 2), 3), "ceil(time/6)"),
        (ceil_div(TIME - 2, 2), "ceil((time-2)/2)"),
        (ceil_div(TIME - 2, 2) - 3, "ceil((time-2)/2)-3"),
        (ceil_div(ceil_div(TIME, 2) - 3, 2), "ceil((ceil(time/2)-3)/2)"),
        (TIME + LATER, "later+time"),
        (TIME + 3, "time+3"),
        (plus(TIME, LATER, 4) - 5, "later+time-1"),
        (plus(TIME - 2, LATER - 3, 5), "later+time"),
        (TIME + TIME - 4, "time+time-4"),
        (ceil_div(TIME - 2, 2) + (LATER - 1), "ceil((time-2)/2)+later-1"),
        (ceil_div(TIME - 2, 2) * 2 + TIME, "ceil((time-2)/2)+ceil((time-2)/2)+time"),
        (ceil_div(TIME + LATER, 2), "ceil((later+time)/2)"),
        (ceil_div(ceil_div(TIME + ceil_div(LATER, 3), 2), 2), "ceil((ceil(later/3)+time)/4)"),
        (BATCH * TIME, "batch*time"),
        (BATCH * Name("a"), "batch*a"),
        (TOKENS * TIME, "tokens*time"),
        (BATCH * 20, "batch*20"),
        (BATCH * at_least_zero(TIME - 2), "batch*(time-2)"),
        (BATCH * at_least_zero(TIME + TIME), "batch*(time+time)"),
        (BATCH * at_least_zero(ceil_div(TIME - 1, 2)), "batch*(ceil((time-1)/2))"),
        (BATCH * at_least_zero(TIME), "batch*time"),
        (Tokens(3), "tokens_3"),
        (Steps(1), "steps_1"),
        (TOKENS * 40 + STEPS * 60 + BATCH * TIME * 3 + 5, "batch*time*3+steps*60+tokens*40+5"),
        (TOKENS * -2 - BATCH, "-batch-tokens*2"),
        (plus(3, 4), "7"),
        (ceil_div(7, 2), "4"),
        (at_least_zero(-3), "0"),
    ],
)
def test_texts(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_fixed_dimensions_are_numbers() -> None:
    made = [plus(3, 4), ceil_div(7, 2), at_least_zero(-1), TIME - TIME + 2]
    read = [parse_dim("7"), parse_dim("ceil(7/2)"), substituted(TIME, {TIME: 4})]
    assert [(type(dim), dim) for dim in made + read] == [(int, number) for number in (7, 4, 0, 2, 7, 4, 4)]
    assert (value_of(7, {}), names_in(7), addends(0), coefficient_of(1, 7)) == (7, (), (), 7)


# Drawn sizes


def dims(names: tuple[Size, ...] = NAMES) -> st.SearchStrategy[Dim]:
    """Sums, products, ceiling divisions and brackets of a few names and numbers."""
    leaves = st.sampled_from(names) | st.integers(-4, 9)

    def wider(inner: st.SearchStrategy[Dim]) -> st.SearchStrategy[Dim]:
        return st.one_of(
            st.builds(lambda left, right: left + right, inner, inner),
            st.builds(lambda left, right: left - right, inner, inner),
            st.builds(lambda left, right: left * right, inner, inner),
            st.builds(ceil_div, inner, st.integers(1, 5)),
            st.builds(at_least_zero, inner),
        )

    return st.recursive(leaves, wider, max_leaves=8)


KNOWN = st.fixed_dictionaries({name: st.integers(0, 30) for name in NAMES})


@given(dims())
def test_a_text_is_read_as_what_it_prints(dim: Dim) -> None:
    """Keys are, and texts without packed steps, which are not told from lengths of that name."""
    if isinstance(dim, int):
        assert parse_dim(str(dim)) == dim
        return
    assert parse_dim(dim.key) == dim
    assert parse_dim(dim.key).__class__ is dim.__class__
    if not any(isinstance(name, Steps) for name in names_in(dim)):
        assert parse_dim(str(dim)) == dim


@given(dims(), dims(), st.integers(1, 6), KNOWN)
def test_sizes_mean_what_the_numbers_do(left: Dim, right: Dim, divisor: int, known: Mapping[Size, int]) -> None:
    a, b = value_of(left, known), value_of(right, known)
    assert value_of(left + right, known) == a + b
    assert value_of(left - right, known) == a - b
    assert value_of(left * right, known) == a * b
    assert value_of(ceil_div(left, divisor), known) == -(-a // divisor)
    assert value_of(at_least_zero(left), known) == max(a, 0)
    assert value_of(plus(left, right, divisor), known) == a + b + divisor
    assert sum(value_of(addend, known) * times for addend, times in addends(left)) == a


@given(dims(), dims(), dims(), st.integers(-5, 5))
def test_the_laws_of_sums_and_products(a: Dim, b: Dim, c: Dim, number: int) -> None:
    """Both sides are one size: equal, of one hash and one text, or one number."""
    for left, right in (
        (a + b, b + a),
        (a * b, b * a),
        ((a + b) + c, a + (b + c)),
        ((a * b) * c, a * (b * c)),
        (a * (b + c), a * b + a * c),
        (a - a, 0),
        ((a * -1) * -1, a),
        (0 - (0 - a), a),
        (a + a, a * 2),
        (a * 1, a),
        (a * 0, 0),
        (a - b, a + b * -1),
        (at_least_zero(at_least_zero(a)), at_least_zero(a)),
        (ceil_div(ceil_div(a, 2), 3), ceil_div(a, 6)),
        ((a + b) * number, a * number + b * number),
    ):
        assert left == right
        assert not left != right  # noqa: SIM202
        assert hash(left) == hash(right)
        assert (type(left), str(left)) == (type(right), str(right))


def parts_of(dim: Dim) -> Iterator[Size]:
    match dim:
        case int():
            return
        case CeilDiv(dividend=inner) | AtLeastZero(size=inner):
            yield from parts_of(inner)
        case Sum():
            for term in dim.terms:
                for factor in term.factors:
                    yield from parts_of(factor)
        case _:
            pass
    yield dim


@given(dims(), dims())
def test_a_size_has_one_form(left: Dim, right: Dim) -> None:
    """A sum is of several terms, or of one that isn't a factor alone; none is 0 or has another one's factors, and no factor is a sum."""
    for size in (part for dim in (left, left * -1, left - right, left * right) for part in parts_of(dim)):
        match size:
            case Sum(terms):
                factors = [term.factors for term in terms]
                assert len(set(factors)) == len(factors)
                assert all(term.coefficient for term in terms)
                assert not any(isinstance(factor, Sum) for each in factors for factor in each)
                assert len(terms) > 1 or len(factors[0]) > 1 or (factors[0] and terms[0].coefficient != 1)
            case CeilDiv(dividend, divisor):
                assert divisor > 1
                assert not isinstance(dividend, int | CeilDiv)
            case AtLeastZero(inner):
                assert isinstance(inner, CeilDiv | Sum)
            case _:
                pass


@given(st.data())
@settings(max_examples=200)
def test_sums_of_products_are_equal_where_their_numbers_are(data: st.DataObject) -> None:
    """Polynomials that agree at more places than their degree and their coefficients allow are one size, others aren't."""
    factors = st.lists(st.sampled_from((BATCH, TIME, TOKENS)), max_size=3)
    terms = st.lists(st.tuples(factors, st.integers(-2, 2)), max_size=4)

    def made(drawn: list[tuple[list[Name | Tokens], int]]) -> Dim:
        total: Dim = 0
        for factors, coefficient in drawn:
            product: Dim = coefficient
            for factor in factors:
                product = product * factor
            total = product + total
        return total

    left, right = made(data.draw(terms)), made(data.draw(terms))
    far: dict[Size, int] = {BATCH: 10**4, TIME: 10**16, TOKENS: 10**64}
    assert (left == right) == (value_of(left, far) == value_of(right, far))


@given(dims(), dims(), dims(), KNOWN)
def test_what_is_put_in_a_names_place_counts_there(dim: Dim, time: Dim, tokens: Dim, known: Mapping[Size, int]) -> None:
    changed = substituted(dim, {TIME: time, TOKENS: tokens})
    assert value_of(changed, known) == value_of(dim, {**known, TIME: value_of(time, known), TOKENS: value_of(tokens, known)})
    assert substituted(dim, {}) == dim


@given(dims())
def test_names_are_all_that_a_size_depends_on(dim: Dim) -> None:
    found = names_in(dim)
    assert len(set(found)) == len(found)
    value_of(dim, dict.fromkeys(found, 3))
    for name in found:
        with pytest.raises(KeyError):
            value_of(dim, {other: 3 for other in found if other != name})


@given(dims())
def test_copies_are_equal(dim: Dim) -> None:
    assert pickle.loads(pickle.dumps(dim)) == dim
    assert copy.deepcopy(dim) == dim


def test_names_of_other_kinds_are_other_sizes() -> None:
    """Packed steps and a spec's own `steps` print alike; nothing takes one for the other."""
    own = Name("steps")
    assert (str(STEPS), str(own)) == ("steps", "steps")
    assert own != STEPS
    assert len({STEPS, own, TOKENS, Tokens(1), Steps(1), BATCH, ROWS, TIME}) == 8
    assert value_of(BATCH * own + STEPS, {BATCH: 2, own: 5, STEPS: 3}) == 13
    assert parse_dim("steps") == own
    assert parse_dim("tokens_12") == Tokens(12)
    assert parse_dim("tokens_0") == Name("tokens_0")
    assert TIME != "time"
    assert BATCH * TIME != 6


@pytest.mark.parametrize("text", ["tokens", "tokens_3", "", "2", "a-b", "batch*time", "steps@", "a b", "é"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no name of a length"):
        Name(text)


NO_SIZES = [
    *("", "time-", "time+", "-", "time--2", "*time", "time/2", "2time", "time.", "time time", "time\n", " time", "time@", "@steps", "٣"),
    *("(time", "time)", "()", "(" * 5000),
    *("ceil(time)", "ceil(time/0)", "ceil(time/n)", "ceil(time/٣)", "ceil(time/2", "ceil((time-2/2)"),
]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|name of a length"):
        parse_dim(text)


# Names and windows


@pytest.mark.parametrize(
    ("dim", "names"),
    [
        (TIME + LATER, (LATER, TIME)),
        (ceil_div(TIME - 2, 2) + (LATER - 1), (TIME, LATER)),
        (ceil_div(ceil_div(TIME + ceil_div(LATER, 3), 2), 2), (LATER, TIME)),
        (ceil_div(TIME, 2) + ceil_div(LATER, 2), (LATER, TIME)),
        (BATCH * at_least_zero(TIME - 2), (BATCH, TIME)),
    ],
)
def test_names_come_in_the_order_of_the_text(dim: Dim, names: tuple[Size, ...]) -> None:
    assert names_in(dim) == names


def test_a_length_below_zero_is_none_in_brackets_alone() -> None:
    assert value_of(TIME - 2, {TIME: 1}) == -1
    assert value_of(BATCH * at_least_zero(TIME - 2) + 3, {BATCH: 5, TIME: 1}) == 3


@pytest.mark.parametrize(("length", "least"), [(TIME - 2, 3), (ceil_div(TIME - 2, 2), 3), (ceil_div(TIME - 2, 2) - 1, 5)])
def test_a_window_says_what_it_lacks(length: Dim, least: int) -> None:
    assert shortfall(length, {TIME: least - 1}) == least
    assert shortfall(length, {TIME: least}) == 0
    assert shortfall(ceil_div(TIME, 2), {TIME: 0}) == 0
    assert shortfall(7, {}) == 0


def test_a_window_over_a_join_says_what_its_first_length_lacks() -> None:
    assert shortfall(LATER + TIME - 4, {LATER: 1, TIME: 2}) == 3
    assert shortfall(LATER + TIME - 4, {LATER: 3, TIME: 2}) == 0
    assert shortfall(LATER + TIME, {LATER: 0, TIME: 0}) == 0


def test_coefficients() -> None:
    cost = TOKENS * 40 + BATCH * TIME * 3 + 5
    assert dict(addends(cost)) == {TOKENS: 40, BATCH * TIME: 3, 1: 5}
    assert [coefficient_of(each, cost) for each in (TOKENS, BATCH * TIME, 1, BATCH)] == [40, 3, 5, 0]
    assert isinstance(cost, Sum)


# No size is text


PACKAGE = Path(rnnspec.__file__).parent
SIZE_ROOMS = (
    "ir",
    "passes",
    "kernel",
    "contract",
    "runtime/native",
    "runtime/data",
    "frontend/graph",
    "frontend/layers",
    "frontend/lowering",
)
"""Where sizes are made, compared and turned into numbers."""
SIZE_WORDS = re.compile(r"(batch|rows|tokens|steps|tokens_|steps_|batch\*.*|ceil\(.*)")
TAKING_APART = {
    *("partition", "rpartition", "split", "rsplit", "replace", "find"),
    *("removeprefix", "removesuffix", "startswith", "endswith", "isidentifier"),
}
OWN = PACKAGE / "contract" / "dimensions.py"


def trees(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            if path != OWN:
                yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))


def taken_apart(tree: ast.AST) -> Iterator[int]:
    """Lines that take a printed thing or a size's key apart, or look for a size's name in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKING_APART:
            match node.func.value:
                case ast.Call(func=ast.Name(id="str"), args=[ast.Name() | ast.Attribute()]) | ast.Attribute(attr="key"):
                    yield node.lineno
                case _:
                    words = (each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str))
                    if any(map(SIZE_WORDS.fullmatch, words)):
                        yield node.lineno


def names_as_text(tree: ast.AST) -> Iterator[int]:
    """Lines that compare with the name of a call's size as text, or use such a text as a key."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                texts = [left, *others]
            case ast.Subscript(slice=index):
                texts = [index]
            case _:
                continue
        if any(isinstance(each, ast.Constant) and isinstance(each.value, str) and SIZE_WORDS.fullmatch(each.value) for each in texts):
            yield node.lineno


def asks_for_text(tree: ast.AST) -> Iterator[int]:
    """Lines that ask whether something is a text, say that it's a number or one, or match a pattern of sizes."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="str")]):
                yield node.lineno
            case ast.BinOp(left=ast.Name(id="int"), op=ast.BitOr(), right=ast.Name(id="str")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=str() as pattern), *_]):
                if re.search(r"batch|rows|tokens|steps|ceil", pattern):
                    yield node.lineno
            case _:
                pass


OF_TEXTS = {"runtime/data/class_names.py", "runtime/data/held_out.py", "runtime/data/texts.py"}
"""What a model is given there are texts: words and names of classes."""


def test_no_size_is_taken_apart_as_text() -> None:
    """The algebra's own module alone looks into a size's text; rooms of other people's files take texts of theirs apart."""
    own = ((name, tree) for name, tree in trees(".") if not name.startswith(("interop/", "datafiles/")))
    assert not {f"{name}:{line}" for name, tree in own for line in taken_apart(tree)}


def test_no_size_is_told_by_its_text() -> None:
    """Where sizes are made and used nothing is a number or a text, no pattern is one of sizes, and no name stands for a size."""
    found = trees(*SIZE_ROOMS, "backend", "driver", "profile")
    assert not {f"{name}:{line}" for name, tree in found for line in names_as_text(tree)}
    assert not {f"{name}:{line}" for name, tree in trees(*SIZE_ROOMS) if name not in OF_TEXTS for line in asks_for_text(tree)}


def test_what_takes_sizes_apart_is_found() -> None:
    """The ways in which it once was done."""
    code = """
rows.replace("tokens", "steps", 1)
str(index.tokens).partition("_")
rows.removeprefix("batch*")
rows.startswith("tokens")
size.key.split("*")
"""
    assert list(taken_apart(ast.parse(code))) == [2, 3, 4, 5, 6]
    assert list(names_as_text(ast.parse('rows == "batch"\nsizes["tokens"]\n"rows" in sizes'))) == [1, 2, 3]
    assert list(asks_for_text(ast.parse('re.sub("tokens", "", name)\nisinstance(dim, str)\nrows: int | str'))) == [1, 2, 3]
