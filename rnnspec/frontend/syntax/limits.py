"""Limits on a spec's size and nesting, so that each spec is compiled or refused in bounded time; docs/language.md states them."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.diagnostics import Diagnostic
from rnnspec.frontend import errors

BYTES = 2**18
"""Bytes of a spec's text in UTF-8, imports included."""

TOKENS = 20_000
"""Tokens of a spec (names, numbers, texts and marks), imports included."""

NAME = 255
"""Characters of a name."""

DEPTH = 100
"""Nesting depth of brackets, and of operators in a chain."""

PARAMETERS = 200
"""Parameters of a model, a cell or a block."""

LAYERS = 2000
"""Layers of a model, uses of shared layers included: far beyond any model, and a bound for repeats in repeats."""

NESTING = 50
"""Nesting depth of blocks and repeats."""

STATEMENTS = 20_000
"""Statements of a model when written out: those of blocks, repeats and cells count at each use. See `Report.walk`."""

BLOCK = 6
"""Statements for which the use of a block counts, besides those in it."""

CALLS = 64
"""Nesting depth of calls of functions that are text, a function's calls of itself included."""

PARTS = 200
"""Sequences that are joined to one sequence."""

LENGTH = 500
"""Characters of the text of a sequence's length, as in `ceil((time-2)/2)`."""

CHARACTERS = 100
"""Characters of a statement for which it counts once more."""

IMPORTS = 100
"""Imported files, each counted once."""

IMPORT_DEPTH = 50
"""Length of a chain of imports."""

ERRORS = 20
"""Errors shown at once."""


def shown(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The first errors up to the limit, and a note if there are more."""
    if len(found) <= ERRORS:
        return list(found)
    return [*found[:ERRORS], errors.limits.TooManyErrors(span=found[ERRORS].span, limit=ERRORS)]
