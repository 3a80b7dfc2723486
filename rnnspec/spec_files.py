"""Reads the text of a spec, given as a path or as the text itself."""

from __future__ import annotations

import os
from typing import TypeAlias

from rnnspec.file_kinds import Mistaken, kind_of, no_spec
from rnnspec.files import SPEC_LIMIT, read_file
from rnnspec.source import SourceFile

Spec: TypeAlias = str | os.PathLike[str]
"""The path of a `.rnn` file, or a spec's text: a str with a brace or more than one line, or an empty one."""


class Unreadable(Exception):
    """A file, or a text, that can't be read as a spec, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotASpec(Unreadable):
    """A file that is known to be something else."""

    def __init__(self, mistaken: Mistaken) -> None:
        super().__init__(f"it is {mistaken.kind.value}, not a spec")
        self.mistaken = mistaken


def read_source(spec: Spec) -> SourceFile:
    """The text of a spec; `Unreadable` if there is none."""
    return read_text(str(spec)) if is_text(spec) else read_spec_file(os.fspath(spec))


def is_text(spec: Spec) -> bool:
    """Whether a spec is given as its text."""
    return isinstance(spec, str) and ("{" in spec or "\n" in spec or not spec.strip())


def read_text(text: str) -> SourceFile:
    """A spec's text that is in no file; `Unreadable` if it is longer than a file may be."""
    if len(text) <= SPEC_LIMIT and len(text.encode(errors="surrogatepass")) <= SPEC_LIMIT:
        return SourceFile.of_text(text)
    raise Unreadable(f"it is longer than {SPEC_LIMIT // 2**20} MiB")


def read_spec_file(path: str) -> SourceFile:
    """The spec in a file; `Unreadable` if it can't be read, is too large, is no text, or is known to be something else."""
    try:
        content = read_file(path, SPEC_LIMIT)
        if (mistaken := no_spec(path, kind_of(path, content))) is not None:
            raise NotASpec(mistaken)
        return SourceFile(path, content.decode())
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError as error:
        reason = f"it isn't UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02X}"
    except ValueError as error:
        reason = str(error)
    raise Unreadable(reason)
