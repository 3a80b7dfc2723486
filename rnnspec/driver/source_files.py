"""Specs as syntax trees, imports included; unreadable files become diagnostics."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rnnspec.diagnostics import Diagnostic, SpecError
from rnnspec.file_kinds import LOOKED_AT, Mistaken, kind_of, no_spec
from rnnspec.frontend import errors
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.imports import Followed, follow_imports
from rnnspec.frontend.syntax.parser import Allowance, parse
from rnnspec.source import SourceFile, Span
from rnnspec.spec_files import NotASpec, Spec, Unreadable, is_text, read_source, read_spec_file, read_text

SPEC_ENDING = ".rnn"


def read_spec(spec: Spec) -> SourceFile:
    """The text of a spec that is given as a path or as the text itself; SpecError if it can't be read."""
    try:
        return read_source(spec)
    except Unreadable as error:
        raise told(spec, error) from None


def of_text(text: str) -> SourceFile:
    """A text that is in no file, a spec whatever is in it; SpecError if it is too long for one."""
    try:
        return read_text(text)
    except Unreadable as error:
        raise told("", error) from None


def told(spec: Spec, error: Unreadable) -> SpecError:
    """The diagnostic of a spec that couldn't be read."""
    path = SourceFile.of_text("").path if is_text(spec) else os.fspath(spec)
    if isinstance(error, NotASpec):
        return SpecError([_not_a_spec(path, error.mistaken)])
    return SpecError([errors.syntax.UnreadableSpec(span=Span(SourceFile(path, ""), 0, 0), reason=error.reason)])


def _not_a_spec(path: str, mistaken: Mistaken) -> Diagnostic:
    return errors.syntax.NotASpec(span=Span(SourceFile(path, ""), 0, 0), found=mistaken.kind.value, help=mistaken.advice)


def parse_spec(spec: Spec | SourceFile) -> ast.File:
    """The syntax tree of a spec with its imports; SpecError for faults. A source is the text in a model's file, which imports nothing."""
    if isinstance(spec, SourceFile):
        return parse_model_source(spec, imports=False).tree
    return parse_all(read_spec(spec))[0]


def parse_all(source: SourceFile) -> tuple[ast.File, str]:
    """The syntax tree with its imports, and an equivalent text without imports; SpecError for faults in any of the files."""
    followed = _followed(source, _read_import)
    return followed.tree, followed.text


def parse_model_source(source: SourceFile, *, imports: bool) -> Followed:
    """The parsed text of a model, with its imports if `imports` allows them; SpecError for faults in any of the files."""
    if (mistaken := no_spec(source.path, kind_of(source.path, source.text[:LOOKED_AT].encode()))) is not None:
        raise SpecError([_not_a_spec(source.path, mistaken)])
    return _followed(source, _read_import if imports else _refuse_import)


def _followed(source: SourceFile, read: Callable[[str], SourceFile]) -> Followed:
    left = Allowance()
    return follow_imports(parse(source, left), read, left)


def _read_import(path: str) -> SourceFile:
    """A spec that another one imports. Nothing else is read, or it would be shown in a message about what is wrong with it."""
    place = Path(path)
    if not path.endswith(SPEC_ENDING) and not place.is_dir():
        raise Unreadable(f"what is imported are files whose names end in `{SPEC_ENDING}`")
    if place.is_file() and not place.resolve().name.endswith(SPEC_ENDING):
        raise Unreadable(f"it is a link to a file whose name doesn't end in `{SPEC_ENDING}`")
    return read_spec_file(path)


def _refuse_import(path: str) -> SourceFile:
    raise Unreadable("a model file holds all of its spec")
