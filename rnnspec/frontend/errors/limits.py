"""E07xx: more of something than a spec may have."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class TooManyErrors(Diagnostic):
    """The end of a report that is longer than the limit."""

    code = "E0701"
    title = "more than {limit} errors"
    label = "what is wrong from here on isn't shown"
    advice = "mend those that are shown first: one fault often has many errors"

    limit: int


@frozen(kw_only=True)
class SpecTooLong(Diagnostic):
    """A spec whose text, imports included, has more bytes than the limit."""

    code = "E0702"
    title = "a spec of more than {limit} bytes, with what it imports"
    advice = "weights and data don't belong into a spec, and what is there many times is written with `repeat` or a `block`"

    limit: int


@frozen(kw_only=True)
class TooManyTokens(Diagnostic):
    """A spec with more tokens than the limit, imports included."""

    code = "E0703"
    title = "a spec of more than {limit} names, numbers and marks, with what it imports"
    label = "the limit is reached here"
    advice = "what is there many times is written with `repeat` or a `block`"

    limit: int


@frozen(kw_only=True)
class NameTooLong(Diagnostic):
    """An identifier with more characters than the limit."""

    code = "E0704"
    title = "a name of {found} characters"
    label = "a name has at most {limit} characters"

    found: int
    limit: int


@frozen(kw_only=True)
class TooManyParameters(Diagnostic):
    """A definition with more parameters than the limit."""

    code = "E0705"
    title = "`{name}` has {found} parameters"
    label = "at most {limit} are possible"

    name: str
    found: int
    limit: int


@frozen(kw_only=True)
class TooManyStatements(Diagnostic):
    """A model with more statements than the limit after blocks, repeats and cells are expanded."""

    code = "E0706"
    title = "written out, the model has more than {limit} statements"
    label = "the limit is reached here"
    advice = "what is in a block, a repeat, a cell or a function counts at each of its uses, and a long statement counts several times"

    limit: int


@frozen(kw_only=True)
class TooManyImports(Diagnostic):
    """A spec that imports more files than the limit, directly and by others."""

    code = "E0707"
    title = "more than {limit} imported files"
    label = "the limit is reached here"

    limit: int


@frozen(kw_only=True)
class ImportsTooDeep(Diagnostic):
    """A chain of imports longer than the limit."""

    code = "E0708"
    title = "more than {limit} files that import each other"
    label = "too deep from here on"

    limit: int


@frozen(kw_only=True)
class TooManyParts(Diagnostic):
    """A concatenated sequence with more separately masked parts, or a longer text of its length, than the limits."""

    code = "E0709"
    title = "a sequence that is put together from too many others"
    label = "the limit is reached here"
    advice = (
        "it has at most {limit} parts that are masked apart, and a length whose text, such as `time-2`, has at most {length} characters"
    )

    limit: int
    length: int


@frozen(kw_only=True)
class CallsTooDeep(Diagnostic):
    """Calls of functions that are text nested deeper than the limit."""

    code = "E0710"
    title = "more than {limit} calls of functions in each other"
    label = "`{function}` is called too deep here"
    advice = "a function that calls itself must come to an end by a condition that is known when the spec is compiled"

    function: str
    limit: int
