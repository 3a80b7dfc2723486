"""Dimensions: how long an axis is, as a whole number or as a size that a call's own lengths give.

Sizes are an algebra of names, sums, products, ceiling divisions and of what is never below 0. They print as `time-2`,
`ceil((time-2)/2)`, `batch*(time-2)`, and `parse_dim` reads that back; nothing else takes a size's text apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias, assert_never, cast

from rnnspec.frozen import frozen

MARK = "@"
"""What a key has behind packed steps: a spec may call a length of its own `steps`."""

_LEXEME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]*{MARK}?|[0-9]+|[^A-Za-z0-9_]", re.DOTALL)
_PACKED = re.compile(rf"(tokens|steps)(?:_([1-9][0-9]*))?({MARK}?)")

_set = object.__setattr__


class _Arithmetic:
    """What all sizes can do: `+`, `-` and `*` with each other and with numbers, `==`, and being printed. None of them changes.

    `key`: the text with packed steps marked. Sizes are canonical, so that equal ones have equal keys; each makes its own once.
    They are no dataclasses: those would take more than a millisecond of every start to make.
    """

    __slots__ = ("_hash", "_key")
    __match_args__: tuple[str, ...] = ()
    _hash: int
    _key: str

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a size doesn't change: {self}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)

    def __add__(self, other: Dim) -> Dim:
        this = cast("Size", self)
        return this if other == 0 else _sum((*_terms(this), *_terms(other)))

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __mul__(self, other: Dim) -> Dim:
        this = cast("Size", self)
        match other:
            case 0 | 1:
                return this if other else 0
            case int():
                return _simplest([Term(factors, coefficient * other) for factors, coefficient in _terms(this)])
            case _:
                factors = _terms(other)
                return _sum(one.times(each) for one in _terms(this) for each in factors)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    @property
    def key(self) -> str:
        try:
            return self._key
        except AttributeError:
            _set(self, "_key", _spelled(cast("Size", self)))
            return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Arithmetic) and self.key == other.key)

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            _set(self, "_hash", hash(self.key))
            return self._hash

    def __str__(self) -> str:
        return self.key.replace(MARK, "")

    def __repr__(self) -> str:
        return self.key


class Name(_Arithmetic):
    """A size by its name: a length's in the spec, `BATCH` or `ROWS`. ValueError for what isn't a name, or is that of tokens."""

    __slots__ = __match_args__ = ("text",)
    text: str

    def __init__(self, text: str) -> None:
        packed = _PACKED.fullmatch(text)
        if not (text.isidentifier() and text.isascii()) or (packed and packed[1] == "tokens"):
            raise ValueError(f"`{text}` is no name of a length")
        _set(self, "text", text)


class Tokens(_Arithmetic):
    """The real steps of all rows together, in a function's packing index of that number: "tokens", "tokens_1", ...."""

    __slots__ = __match_args__ = ("number",)
    number: int

    def __init__(self, number: int = 0) -> None:
        _set(self, "number", number)


class Steps(_Arithmetic):
    """The packed steps in a function's packing index of that number, as many as its longest row has: "steps", "steps_1", ...."""

    __slots__ = __match_args__ = ("number",)
    number: int

    def __init__(self, number: int = 0) -> None:
        _set(self, "number", number)


class CeilDiv(_Arithmetic):
    """The least whole number that isn't below `dividend / divisor`; made by `ceil_div`."""

    __slots__ = __match_args__ = ("dividend", "divisor")
    dividend: Size
    divisor: int

    def __init__(self, dividend: Size, divisor: int) -> None:
        _set(self, "dividend", dividend)
        _set(self, "divisor", divisor)


class AtLeastZero(_Arithmetic):
    """`size`, or 0 where that is below 0; printed as the size in brackets, made by `at_least_zero`."""

    __slots__ = __match_args__ = ("size",)
    size: Size

    def __init__(self, size: Size) -> None:
        _set(self, "size", size)


class Term(NamedTuple):
    """`coefficient` times the product of `factors`, sorted and none of them a sum; without factors it's a number."""

    factors: tuple[Size, ...]
    coefficient: int

    def times(self, other: Term) -> Term:
        """The product."""
        factors = (*self.factors, *other.factors)
        ordered = tuple(sorted(factors, key=_place)) if self.factors and other.factors else factors
        return Term(ordered, self.coefficient * other.coefficient)


class Sum(_Arithmetic):
    """A sum of terms, sorted, the number last; more than a number or a single factor. Made by `+`, `-` and `*`."""

    __slots__ = __match_args__ = ("terms",)
    terms: tuple[Term, ...]

    def __init__(self, terms: tuple[Term, ...]) -> None:
        _set(self, "terms", terms)


Size: TypeAlias = Name | Tokens | Steps | CeilDiv | AtLeastZero | Sum
"""A whole number that is known when a function is called."""

Dim: TypeAlias = int | Size
"""The length of an axis, fixed or not."""

BATCH = Name("batch")
"""Rows of a batch, in the caller's order unless an operation says that they are sorted."""
ROWS = Name("rows")
"""Rows that are still running at one step of a scan; exists inside a scan's region only."""
TOKENS, STEPS = Tokens(), Steps()
"""Those of a function's first packing index."""


def _terms(dim: Dim) -> tuple[Term, ...]:
    if isinstance(dim, int):
        return (Term((), dim),)
    return dim.terms if isinstance(dim, Sum) else (Term((dim,), 1),)


def _sum(terms: Iterable[Term]) -> Dim:
    """The sum, in its simplest form."""
    coefficients: dict[tuple[Size, ...], int] = {}
    for factors, coefficient in terms:
        coefficients[factors] = coefficients.get(factors, 0) + coefficient
    kept = [Term(factors, coefficient) for factors, coefficient in coefficients.items() if coefficient]
    return _simplest(sorted(kept, key=_order) if len(kept) > 1 else kept)


def _simplest(terms: Sequence[Term]) -> Dim:
    """The sum of sorted terms, none of them 0 or of another one's factors: a number or a factor, where it is one."""
    if len(terms) == 1:
        factors, coefficient = terms[0]
        if not factors:
            return coefficient
        if coefficient == len(factors) == 1:
            return factors[0]
    return Sum(tuple(terms)) if terms else 0


def _place(factor: Size) -> tuple[bool, bool, str]:
    """Where a factor stands in a product: the batch first, then what is packed."""
    return factor != BATCH, not isinstance(factor, Tokens | Steps), factor.key


def _order(term: Term) -> tuple[bool, str]:
    return not term.factors, "*".join([factor.key for factor in term.factors])


def plus(*dims: Dim) -> Dim:
    """The sum of any number of dimensions."""
    return _sum(term for dim in dims for term in _terms(dim))


def ceil_div(dim: Dim, divisor: int) -> Dim:
    """The least whole number that isn't below `dim / divisor`, which is above 0: one of `divisor` steps, the first one included."""
    match dim:
        case int():
            return -(-dim // divisor)
        case CeilDiv():
            return CeilDiv(dim.dividend, dim.divisor * divisor)
        case _:
            return dim if divisor == 1 else CeilDiv(dim, divisor)


def at_least_zero(dim: Dim) -> Dim:
    """The dimension, or 0 where it is below 0, as what is left of too short a sequence."""
    match dim:
        case int():
            return max(dim, 0)
        case Name() | Tokens() | Steps() | AtLeastZero():
            return dim
        case CeilDiv() | Sum():
            return AtLeastZero(dim)
    assert_never(dim)


class Sizes(dict[Size, int]):
    """The numbers of a call's sizes: of names, tokens and steps those that it is made of, of all others what follows, each made once."""

    def __missing__(self, size: Size) -> int:
        match size:
            case Name() | Tokens() | Steps():
                raise KeyError(size)
            case CeilDiv():
                number = -(-self[size.dividend] // size.divisor)
            case AtLeastZero():
                number = max(self[size.size], 0)
            case Sum():
                number = 0
                for factors, product in size.terms:
                    for factor in factors:
                        product *= self[factor]
                    number += product
        self[size] = number
        return number


def value_of(dim: Dim, sizes: Mapping[Size, int]) -> int:
    """The number, for the numbers that `sizes` has for names, tokens and steps; KeyError for one that it hasn't."""
    if isinstance(dim, int):
        return dim
    return sizes[dim] if isinstance(sizes, Sizes) else Sizes(sizes)[dim]


def substituted(dim: Dim, by: Mapping[Size, Dim]) -> Dim:
    """The dimension with others in the place of names, tokens and steps."""
    match dim:
        case int():
            return dim
        case Name() | Tokens() | Steps():
            return by.get(dim, dim)
        case CeilDiv():
            return ceil_div(substituted(dim.dividend, by), dim.divisor)
        case AtLeastZero():
            return at_least_zero(substituted(dim.size, by))
        case Sum():
            return plus(*(_product((term.coefficient, *(substituted(factor, by) for factor in term.factors))) for term in dim.terms))
    assert_never(dim)


def _product(dims: Iterable[Dim]) -> Dim:
    product: Dim = 1
    for dim in dims:
        product = product * dim
    return product


def names_in(dim: Dim) -> tuple[Name | Tokens | Steps, ...]:
    """The names, tokens and steps that a dimension comes from, each once, in the order of its text."""
    return tuple(dict.fromkeys(_names(dim)))


def _names(dim: Dim) -> Iterator[Name | Tokens | Steps]:
    match dim:
        case int():
            pass
        case Name() | Tokens() | Steps():
            yield dim
        case CeilDiv():
            yield from _names(dim.dividend)
        case AtLeastZero():
            yield from _names(dim.size)
        case Sum():
            for term in dim.terms:
                for factor in term.factors:
                    yield from _names(factor)
        case _:
            assert_never(dim)


def addends(dim: Dim) -> tuple[tuple[Dim, int], ...]:
    """What a dimension is the sum of: products of sizes, and 1, each with the coefficient that it's multiplied by."""
    return tuple((_sum((Term(term.factors, 1),)), term.coefficient) for term in _terms(dim) if term.coefficient)


def coefficient_of(addend: Dim, dim: Dim) -> int:
    """How often a product of sizes, or 1, is added in a dimension."""
    return next((coefficient for each, coefficient in addends(dim) if each == addend), 0)


def shortfall(length: Dim, known: Mapping[Size, int]) -> int:
    """The steps that the first name of a length needs so that a window finds at least one; 0 where there are enough."""
    names = names_in(length)
    if not names or value_of(length, known) > 0 or not shortens(length):
        return 0
    numbers: dict[Size, int] = {name: known[name] for name in names}
    while value_of(length, numbers) <= 0:
        numbers[names[0]] += 1
    return numbers[names[0]]


def shortens(length: Dim) -> bool:
    """Whether something is taken off a length."""
    match length:
        case int() | Name() | Tokens() | Steps():
            return False
        case CeilDiv():
            return shortens(length.dividend)
        case AtLeastZero():
            return shortens(length.size)
        case Sum():
            return any(term.coefficient < 0 or any(map(shortens, term.factors)) for term in length.terms)
    assert_never(length)


@frozen
class Windows:
    """Windows over a sequence: of `size` steps `dilation` apart, one every `stride` steps, the first of them `start` steps from there.

    `same`: each begins earlier by half of what they lack at both ends together, and there is one for every (`stride`-th) step.
    """

    size: int
    stride: int
    dilation: int
    start: int
    same: bool

    @property
    def span(self) -> int:
        """The steps from a window's first to its last."""
        return (self.size - 1) * self.dilation + 1

    @property
    def ahead(self) -> int:
        """How many steps must follow the one that a window stands at."""
        return 0 if self.same else self.start + self.span - 1

    def length(self, length: Dim) -> Dim:
        """The number of windows over so many steps."""
        return ceil_div(length - self.ahead, self.stride)


# Text


def _spelled(size: Size) -> str:
    match size:
        case Name():
            return size.text
        case Tokens():
            return f"tokens_{size.number}" if size.number else "tokens"
        case Steps():
            return f"steps_{size.number}{MARK}" if size.number else f"steps{MARK}"
        case CeilDiv(Name() | Tokens() | Steps() as dividend, divisor):
            return f"ceil({dividend.key}/{divisor})"
        case CeilDiv(dividend, divisor):
            return f"ceil(({dividend.key})/{divisor})"
        case AtLeastZero():
            return f"({size.size.key})"
        case Sum():
            first, *others = map(_spelled_term, size.terms)
            return "".join((first, *(other if other[0] == "-" else f"+{other}" for other in others)))
    assert_never(size)


def _spelled_term(term: Term) -> str:
    """`time`, `batch*20`, `7`; a length that is added to itself stands there so often."""
    factors, coefficient = term
    if not factors:
        return str(coefficient)
    text = "*".join(factor.key for factor in factors)
    if len(factors) == 1 and coefficient > 0 and _is_length(factors[0]):
        return "+".join([text] * coefficient)
    times = abs(coefficient)
    return f"{'-' if coefficient < 0 else ''}{text}{'' if times == 1 else f'*{times}'}"


def _is_length(factor: Size) -> bool:
    """Whether it's of a sequence, and no number of rows or packed steps."""
    return not isinstance(factor, Tokens | Steps) and factor not in (BATCH, ROWS)


@lru_cache(maxsize=1024)
def parse_dim(text: str) -> Dim:
    """The dimension that a text or a key prints; ValueError for any other text."""
    try:
        reader = _Reader(_LEXEME.findall(text))
        dim = reader.sum()
    except RecursionError:
        raise ValueError("a size is nested too deeply") from None
    reader.expect("")
    return dim


class _Reader:
    """Reads the parts of a text one after the other."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = [*parts, ""]
        self._place = 0

    def expect(self, part: str) -> None:
        if not self._takes(part):
            raise ValueError(f"expected `{part}` in a size, found `{self._parts[self._place]}`" if part else "a size doesn't end")

    def _takes(self, part: str) -> bool:
        taken = self._parts[self._place] == part
        self._place += taken and part != ""
        return taken

    def sum(self) -> Dim:
        dims = [self._product() * -1 if self._takes("-") else self._product()]
        while (minus := self._takes("-")) or self._takes("+"):
            dims.append(self._product() * (-1 if minus else 1))
        return plus(*dims)

    def _product(self) -> Dim:
        dims = [self._factor()]
        while self._takes("*"):
            dims.append(self._factor())
        return _product(dims)

    def _factor(self) -> Dim:
        if self._takes("("):
            inner = self.sum()
            self.expect(")")
            return at_least_zero(inner)
        part = self._parts[self._place]
        self._place += part != ""
        if part.isascii() and part.isdecimal():
            return int(part)
        if part == "ceil" and self._takes("("):
            return self._ceil_div()
        match found := _PACKED.fullmatch(part):
            case re.Match() if found[1] == "tokens" and not found[3]:
                return Tokens(int(found[2] or 0))
            case re.Match() if found[1] == "steps" and found[3]:
                return Steps(int(found[2] or 0))
            case _:
                return Name(part)

    def _ceil_div(self) -> Dim:
        if self._takes("("):
            dividend = self.sum()
            self.expect(")")
        else:
            dividend = self._factor()
        self.expect("/")
        divisor = self._parts[self._place]
        self._place += divisor != ""
        if not (divisor.isascii() and divisor.isdecimal() and int(divisor)):
            raise ValueError(f"expected a divisor in a size, found `{divisor}`")
        self.expect(")")
        return ceil_div(dividend, int(divisor))
