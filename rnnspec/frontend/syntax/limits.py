"""Limits on a spec's size and nesting, so that each spec is compiled or refused in bounded time; docs/language.md states them."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend import errors

BYTES = 2**18
"""Of the text, in UTF-8, with what it imports."""

TOKENS = 20_000
"""Names, numbers, texts and marks of the text, with what it imports."""

NAME = 255
"""Characters of a name."""

DEPTH = 100
"""Brackets, and operators of a chain, inside of each other."""

PARAMETERS = 200
"""Of a model, a cell or a block."""

LAYERS = 2000
"""Of a model, uses of shared layers counted: far beyond any model, and a bound for repeats in repeats."""

NESTING = 50
"""Blocks and repeats inside of each other."""

STATEMENTS = 20_000
"""Of a model that is written out: those of blocks, repeats and cells count at each use. See `Report.walk`."""

BLOCK = 6
"""Statements that the use of a block counts for, besides those in it."""

PARTS = 200
"""Sequences that one sequence's steps are put together from."""

LENGTH = 500
"""Characters of the text of a sequence's length, as in `ceil((time-2)/2)`."""

CHARACTERS = 100
"""A statement counts once more for each so many."""

IMPORTS = 100
"""Files, each counted once."""

IMPORT_DEPTH = 50
"""Files that import each other, one after the other."""

ERRORS = 20
"""That are shown at once."""


def shown(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """As many of the errors as are shown, and that there are more if there are."""
    if len(found) <= ERRORS:
        return list(found)
    return [*found[:ERRORS], errors.limits.TooManyErrors(span=found[ERRORS].span, limit=ERRORS)]
