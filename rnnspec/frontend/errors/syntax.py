"""E00xx: the text isn't a spec at all, or says what this version doesn't know yet."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedText(Diagnostic):
    code = "E0001"
    title = "unexpected {found}"
    label = "{expected}"

    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedCharacter(Diagnostic):
    code = "E0002"
    title = "{found} has no meaning here"
    label = "not part of the language"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclosedText(Diagnostic):
    code = "E0003"
    title = "a text without its end"
    label = "opened here and never closed on this line"
    advice = "close it with a double quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedEnd(Diagnostic):
    code = "E0004"
    title = "the text ends too early"
    label = "{expected}"

    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedTooDeeply(Diagnostic):
    code = "E0005"
    title = "nested more than {limit} levels deep"
    label = "too deep from here on"
    advice = "every bracket is a level, and every operator of a long chain is one"

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet(Diagnostic):
    code = "E0006"
    title = "{what} is not yet in this version"
    label = "comes with a later version"

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedNumber(Diagnostic):
    code = "E0007"
    title = "`{found}` isn't a number"
    label = "neither a number nor a name"
    advice = "numbers look like `12`, `0.5` or `1e-3`; names begin with a letter"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ElseCondition(Diagnostic):
    code = "E0011"
    title = "`else` takes no condition"
    label = "no condition can stand here"
    advice = "put a `when` of its own into the `else`: `else {{ when ... {{ ... }} else {{ ... }} }}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class MisplacedElse(Diagnostic):
    code = "E0012"
    title = "`else` must follow the body of a `when`"
    label = "no `when` waits for its `else` here"
    advice = "write `when condition {{ ... }} else {{ ... }}`, with a single `else` and nothing between the two"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSpec(Diagnostic):
    code = "E0010"
    title = "the spec can't be read: {reason}"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotASpec(Diagnostic):
    code = "E0016"
    title = "this file is {found}, not a spec"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoModel(Diagnostic):
    code = "E0008"
    title = "there is no model"
    label = "expected `model Name {{ ... }}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralModels(Diagnostic):
    code = "E0009"
    title = "a second model in one spec"
    label = "only one model fits into a spec"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedWord(Diagnostic):
    code = "E0013"
    title = "`{word}` is a word of the language and can't be a name"
    label = "reserved"

    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Diagnostic):
    code = "E0014"
    title = "the input `{name}` has no dimensions"
    label = "write `{element}[1]` for a single one"

    name: str
    element: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MisplacedStatement(Diagnostic):
    code = "E0015"
    title = "`{word}` can't stand here"
    label = "{reason}"

    word: str
    reason: str
