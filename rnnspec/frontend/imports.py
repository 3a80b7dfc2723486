"""Follows imports: the cells and blocks of other files, and one text that needs none of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnnspec.diagnostics import Diagnostic, Label, SpecError
from rnnspec.files import SPEC_LIMIT
from rnnspec.frontend import ast, errors
from rnnspec.frontend.parser import parse
from rnnspec.source import SourceFile

MOST_DEEP = 100
"""Files that may be imported inside of each other."""


class Unreadable(Exception):
    """A file that can't be read, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Followed:
    """`tree`: the spec with what it imports in the place of its imports. `text`: a spec that means the same without imports.

    `imported`: the path and the SHA-256 of each file.
    """

    tree: ast.File
    text: str
    imported: tuple[tuple[str, str], ...] = ()


def follow_imports(tree: ast.File, read: Callable[[str], SourceFile]) -> Followed:
    """Follows a spec's imports, each file once; `read` gives a file by its path or raises `Unreadable`.

    Paths are relative to the file that imports. SpecError for what can't be read or parsed, for a
    circle, for more than a model file may hold, and for a model in an imported file.
    """
    if not any(isinstance(declaration, ast.Import) for declaration in tree.declarations):
        return Followed(tree, tree.span.source.text)
    follower = _Follower(read, left=SPEC_LIMIT - len(tree.span.source.text.encode(errors="surrogatepass")))
    declarations = follower.follow(tree, (os.path.normpath(tree.span.source.path),))
    if follower.errors:
        raise SpecError(follower.errors)
    return Followed(replace(tree, declarations=declarations), "\n".join(follower.texts), tuple(follower.imported))


@dataclass
class _Follower:
    read: Callable[[str], SourceFile]
    errors: list[Diagnostic] = field(default_factory=list[Diagnostic])
    texts: list[str] = field(default_factory=list[str])
    seen: set[str] = field(default_factory=set[str])
    imported: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    left: int = SPEC_LIMIT
    """Bytes that the text without imports may still get."""

    def follow(self, tree: ast.File, chain: tuple[str, ...]) -> tuple[ast.Declaration, ...]:
        declarations: list[ast.Declaration] = []
        for declaration in tree.declarations:
            if isinstance(declaration, ast.Import):
                declarations += self._imported(declaration, chain)
            elif isinstance(declaration, ast.Model) and len(chain) > 1:
                self.errors.append(errors.flows.ImportedModel(span=declaration.name.span))
            else:
                declarations.append(declaration)
        self.texts.append(_without_imports(tree))
        return tuple(declarations)

    def _imported(self, statement: ast.Import, chain: tuple[str, ...]) -> tuple[ast.Declaration, ...]:
        path = os.path.normpath(Path(chain[-1]).parent / statement.path.value)
        if path in chain:
            circle = " -> ".join([*chain[chain.index(path) :], path])
            self.errors.append(errors.flows.ImportCycle(span=statement.span, path=statement.path.value, circle=circle))
            return ()
        if path in self.seen:
            return ()
        self.seen.add(path)
        try:
            tree = parse(self._read(path, len(chain)))
        except Unreadable as error:
            self.errors.append(errors.flows.ImportUnreadable(span=statement.span, path=statement.path.value, reason=error.reason))
            return ()
        except SpecError as error:
            here = Label(statement.span, "imported here")
            self.errors += [replace(each, secondary=(*each.secondary, here)) for each in error.diagnostics]
            return ()
        return self.follow(tree, (*chain, path))

    def _read(self, path: str, depth: int) -> SourceFile:
        if depth > MOST_DEEP:
            raise Unreadable(f"more than {MOST_DEEP} files import each other in a row")
        source = self.read(path)
        content = source.text.encode()
        self.left -= len(content) + 1
        if self.left < 0:
            raise Unreadable(f"with all that it imports the spec is longer than {SPEC_LIMIT // 2**20} MiB")
        self.imported.append((path, hashlib.sha256(content).hexdigest()))
        return source


def _without_imports(tree: ast.File) -> str:
    text = tree.span.source.text.removeprefix("\ufeff")
    shift = len(tree.span.source.text) - len(text)
    for declaration in reversed(tree.declarations):
        if isinstance(declaration, ast.Import):
            text = text[: declaration.span.start - shift] + text[declaration.span.stop - shift :]
    return text
