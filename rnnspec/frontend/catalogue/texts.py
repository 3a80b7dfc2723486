"""The settings of an input of texts: Keras's `TextVectorization` and `pad_sequences`, under their names."""

from __future__ import annotations

from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, Int, OneOf, Text

SIDES = OneOf(("pre", "post"))

TEXT = (
    ArgumentSpec("max_tokens", Int(3), None, optional=True, positional=False),
    ArgumentSpec(
        "standardize",
        OneOf(("lower_and_strip_punctuation", "lower", "strip_punctuation", None)),
        "lower_and_strip_punctuation",
        positional=False,
    ),
    ArgumentSpec("split", OneOf(("whitespace", "word", "character")), "whitespace", positional=False),
    ArgumentSpec("maxlen", Int(), None, optional=True, positional=False),
    ArgumentSpec("truncating", SIDES, "post", positional=False),
    ArgumentSpec("padding", SIDES, "post", positional=False),
    ArgumentSpec("vocabulary", Text("the path of a text file, in quotes"), None, optional=True, positional=False),
)
