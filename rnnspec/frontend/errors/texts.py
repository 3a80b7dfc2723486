"""Faults in inputs of texts."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class SettingsOfNoText(Diagnostic):
    """Settings in parentheses behind an input of numbers."""

    code = "E0801"
    title = "an input of {element}s has no settings"
    label = "only `text` has settings"

    element: str


@frozen(kw_only=True)
class TextSettingUnused(Diagnostic):
    """A setting that says nothing about an input of this shape."""

    code = "E0802"
    title = "`{name}` has no use for {shape}"
    label = "{reason}"

    name: str
    shape: str
    reason: str


@frozen(kw_only=True)
class TokensBeyondTable(Diagnostic):
    """More tokens than the layer that looks them up has rows."""

    code = "E0803"
    title = "input {input} may have {tokens} tokens, and {layer} has {rows} rows"
    label = "a vocabulary this large doesn't fit"
    advice = "give both the same number, by a parameter of the model for example; without `max_tokens` the layer decides"

    input: str
    tokens: int
    layer: str
    rows: int
