"""Advice for signs and words of other languages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

POWER = "a power is `pow(v, p)`, or a product, `v * v`"

CHOICE = "within a step `where(condition, a, b)` chooses; `if` is for what is known when the spec is compiled"

SLICE = "there are no slices: `split` gives equal parts, `a, b = split(v, 2)`, and `concat` puts parts together again"

LENGTH = "a length that may differ from call to call is a name: `float[time, 12]`"

PARTS = "nothing has parts behind a point: a function stands before its value, `sum(x)`, a layer under its name alone, `Dense(4)`"

CALLED = "what a layer works on stands before it: `x -> Dense(4)`, or the line above"

NAMED = "an argument's value stands behind `=`: `Dense(units = 4)`"

ONE_VALUE = "every line is one layer, without a mark at its end; several values for a layer are a list: `[a, b] -> Concatenate()`"

SIGNS: Mapping[str, str] = MappingProxyType(
    {
        ";": "a statement needs no mark at its end",
        "%": "there is no remainder in this version",
        "^": POWER,
        "&": "write `and`",
        "|": "write `or`; the absolute value is `abs(v)`",
        "!": "write `not`",
        "~": "write `not`",
        "?": f"a choice is written `a if condition else b`; {CHOICE}",
        "$": "a parameter is written by its name alone",
        **dict.fromkeys("'`\u2018\u2019\u201c\u201d\u201e", "a text stands in straight double quotes"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "the minus sign is the hyphen of the keyboard"),
        **dict.fromkeys("\u00d7\u22c5\u00b7\u2299\u2297\u2218", "a product is `a * b`, one with a matrix `v @ weight`"),
        "\u2295": "a sum is `a + b`",
        **dict.fromkeys("\u00b2\u00b3", POWER),
    }
)
"""Characters that no token begins with."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("for", "while", "loop"), "there are no loops: `repeat 3 { ... }` repeats the layers of a model or a block"),
        **dict.fromkeys(
            ("def", "fn", "func", "function", "lambda"), "a function is written `function f(x) = x * x`; layers are used again as a `block`"
        ),
        "class": "what is used again is a `cell`, a `block` or a `function`",
        **dict.fromkeys(("let", "var", "const", "val"), "a name needs no word before it: `a = ...`"),
        **dict.fromkeys(("elif", "switch", "case", "match"), "a choice is written `when condition { ... } else { when ... { ... } }`"),
        **dict.fromkeys(("from", "include", "use"), 'cells and blocks of another file come with `import "cells.rnn"`'),
        "print": "nothing can be printed; `rnnspec inspect` shows what a spec becomes",
    }
)
"""Words that begin a statement in other languages, and are plain names here."""

TOP_LEVEL = ("model", "cell", "block", "function", "loss", "metric", "import")
"""Words that begin a declaration."""

DECLARATIONS = ("MODEL", "CELL", "BLOCK", "TRAIN", "_FUNCTION", "_LOSS", "_METRIC")
"""What has braces of its own, by the first token."""

HEADS: Mapping[str, str] = MappingProxyType(
    {
        **{word: f"it is written `{word} f {{ return ... }}`, or `{word} f(a = 1) {{ return ... }}` with parameters"
           for word in ("loss", "metric")},
        "of": "it is written `of class {`; `of class except a {` names the parameter that holds the class of rows without a label",
    }
)  # fmt: skip
"""Words of the head of a declaration, which are plain names where it isn't right."""

_OF_A_CELL = "`{word}` is a statement of a cell"

_EQUATIONS = ("_FUNCTION", "_LOSS", "_METRIC")

MISPLACED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("BLOCK", "INPUT"): "a block has one input, the value before it: it needs no `input`",
        ("BLOCK", "OUTPUT"): "a block has one output, its last value: it needs no `output`",
        ("BLOCK", "RETURN"): "a block gives its last value: it needs no `return`",
        ("BLOCK", "TRAIN"): "`train` belongs into the model",
        ("CELL", "INPUT"): "a cell's input is `x`, with `features` numbers a step: it needs no `input`",
        ("CELL", "OUTPUT"): "a cell gives what stands behind `return`",
        ("MODEL", "RETURN"): "a model's outputs are named by `output`; without it the last value is the output",
        ("_FUNCTION", "INPUT"): "a function works on its parameters: it needs no `input`",
        **{(owner, "INPUT"): "its equations read `prediction` and `target`: it needs no `input`" for owner in ("_LOSS", "_METRIC")},
        **{(owner, "OUTPUT"): "what stands behind `return` is the value" for owner in _EQUATIONS},
        **{(owner, "SHARED"): "`shared` layers belong into a model or a block" for owner in ("CELL", *_EQUATIONS)},
        **{(owner, "REPEAT"): "`repeat` repeats layers, in a model or a block" for owner in ("CELL", *_EQUATIONS)},
        **{(owner, "TRAIN"): "`train` belongs into the model" for owner in ("CELL", *_EQUATIONS)},
        **{(owner, word): _OF_A_CELL.format(word=word.lower()) for owner in ("MODEL", "BLOCK") for word in ("WEIGHT", "STATE", "WHEN")},
        **{(owner, word): _OF_A_CELL.format(word=word.lower()) for owner in ("_FUNCTION", "_METRIC") for word in ("WEIGHT", "STATE")},
        **{(owner, word): f"`{word.lower().strip('_')}` can't stand in another one's braces" for owner in DECLARATIONS
           for word in ("MODEL", "BLOCK", "CELL", "IMPORT", *_EQUATIONS)},
    }
)  # fmt: skip
"""Statements that are in another kind of declaration than theirs, both by the names of their tokens."""
