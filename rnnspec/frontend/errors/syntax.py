"""E00xx: the text isn't a spec at all, or says what this version doesn't know yet."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class UnexpectedText(Diagnostic):
    """A token that the grammar doesn't allow at its place."""

    code = "E0001"
    title = "unexpected {found}"
    label = "{expected}"

    found: str
    expected: str


@frozen(kw_only=True)
class UnexpectedCharacter(Diagnostic):
    """A character that begins no token of the language."""

    code = "E0002"
    title = "{found} has no meaning here"
    label = "not part of the language"

    found: str


@frozen(kw_only=True)
class UnclosedText(Diagnostic):
    """A string literal without its closing quote on the same line."""

    code = "E0003"
    title = "a text without its end"
    label = "opened here and never closed on this line"
    advice = "close it with a double quote"


@frozen(kw_only=True)
class UnexpectedEnd(Diagnostic):
    """A text that ends inside of a declaration or a bracket."""

    code = "E0004"
    title = "the text ends too early"
    label = "{expected}"

    expected: str


@frozen(kw_only=True)
class NestedTooDeeply(Diagnostic):
    """Brackets or operators nested deeper than the parser's limit."""

    code = "E0005"
    title = "nested more than {limit} levels deep"
    label = "too deep from here on"
    advice = "every bracket is a level, and every operator of a long chain is one"

    limit: int


@frozen(kw_only=True)
class NotYet(Diagnostic):
    """A construct that is part of the language's plan, and not of this version."""

    code = "E0006"
    title = "{what} is not yet in this version"
    label = "comes with a later version"

    what: str


@frozen(kw_only=True)
class MalformedNumber(Diagnostic):
    """A numeric literal with letters or marks that make it none."""

    code = "E0007"
    title = "`{found}` isn't a number"
    label = "neither a number nor a name"
    advice = "numbers look like `12`, `0.5` or `1e-3`; names begin with a letter"

    found: str


@frozen(kw_only=True)
class ElseCondition(Diagnostic):
    """An `else` with a condition of its own, as in other languages' `else if`."""

    code = "E0011"
    title = "`else` takes no condition"
    label = "no condition can stand here"
    advice = "put a `when` of its own into the `else`: `else {{ when ... {{ ... }} else {{ ... }} }}`"


@frozen(kw_only=True)
class MisplacedElse(Diagnostic):
    """An `else` that isn't directly behind the body of a `when`, or is its second one."""

    code = "E0012"
    title = "`else` must follow the body of a `when`"
    label = "no `when` waits for its `else` here"
    advice = "write `when condition {{ ... }} else {{ ... }}`, with a single `else` and nothing between the two"


@frozen(kw_only=True)
class UnreadableSpec(Diagnostic):
    """A path that can't be opened, read or decoded as a spec."""

    code = "E0010"
    title = "the spec can't be read: {reason}"

    reason: str


@frozen(kw_only=True)
class NotASpec(Diagnostic):
    """A file of another kind, such as a `.rnnc`, a `.keras` archive or an image."""

    code = "E0016"
    title = "this file is {found}, not a spec"

    found: str


@frozen(kw_only=True)
class NoModel(Diagnostic):
    """A spec of definitions alone."""

    code = "E0008"
    title = "there is no model"
    label = "expected `model Name {{ ... }}`"


@frozen(kw_only=True)
class SeveralModels(Diagnostic):
    """A second `model` in one spec."""

    code = "E0009"
    title = "a second model in one spec"
    label = "only one model fits into a spec"


@frozen(kw_only=True)
class ReservedWord(Diagnostic):
    """A keyword of the language in place of a name."""

    code = "E0013"
    title = "`{word}` is a word of the language and can't be a name"
    label = "reserved"

    word: str


@frozen(kw_only=True)
class MisplacedStatement(Diagnostic):
    """A statement in a section that doesn't have its kind, such as `state` in a model."""

    code = "E0015"
    title = "`{word}` can't stand here"
    label = "{reason}"

    word: str
    reason: str


@frozen(kw_only=True)
class UnfitKind(Diagnostic):
    """What is said of a parameter's values is neither a text, nor `none`, nor the word for a sort of values with its bounds."""

    code = "E0017"
    title = "this doesn't say what the parameter may be"
    label = "expected a text, `none`, or a sort of values such as `int`, with bounds in rising order"
    advice = 'write `a: "one" or "two"`, `a: none or int >= 1`, or `a: 0 <= float < 1`'
