"""Follows imports: the cells and blocks of other files, and one text that needs none of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnnspec.diagnostics import Diagnostic, Label, SpecError
from rnnspec.frontend import errors
from rnnspec.frontend.syntax import ast, limits
from rnnspec.frontend.syntax.parser import Allowance, parse
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile
from rnnspec.spec_files import Unreadable


@frozen
class Followed:
    """A spec with its imports followed.

    `tree`: the imported definitions in place of the imports. `text`: an equivalent spec without imports. `imported`: each file's path and
    SHA-256.
    """

    tree: ast.File
    text: str
    imported: tuple[tuple[str, str], ...] = ()


def follow_imports(tree: ast.File, read: Callable[[str], SourceFile], left: Allowance | None = None) -> Followed:
    """A spec with its imports followed, each file once.

    `read`: a path to its file; raises `Unreadable`. `left`: the size that the spec's own text leaves to its imports. Paths are relative
    to the importing file. SpecError for unreadable or faulty files, an import cycle, a model in an imported file, and more files or
    text than `limits` allows.
    """
    if not any(isinstance(declaration, ast.Import) for declaration in tree.declarations):
        return Followed(tree, tree.span.source.text)
    follower = _Follower(read, left or Allowance())
    declarations = follower.follow(tree, (os.path.normpath(tree.span.source.path),))
    if follower.errors:
        raise SpecError(limits.shown(follower.errors))
    return Followed(replace(tree, declarations=declarations), "\n".join(follower.texts), tuple(follower.imported))


@dataclass
class _Follower:
    """What follows the imports of a spec: the files read so far, and what is wrong with them."""

    read: Callable[[str], SourceFile]
    left: Allowance
    errors: list[Diagnostic] = field(default_factory=list[Diagnostic])
    texts: list[str] = field(default_factory=list[str])
    seen: set[str] = field(default_factory=set[str])
    imported: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

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
        if len(self.seen) >= limits.IMPORTS:
            raise SpecError(limits.shown([*self.errors, errors.limits.TooManyImports(span=statement.span, limit=limits.IMPORTS)]))
        if len(chain) > limits.IMPORT_DEPTH:
            raise SpecError(limits.shown([*self.errors, errors.limits.ImportsTooDeep(span=statement.span, limit=limits.IMPORT_DEPTH)]))
        self.seen.add(path)
        try:
            tree = parse(self._read(path), self.left)
        except Unreadable as error:
            self.errors.append(errors.flows.ImportUnreadable(span=statement.span, path=statement.path.value, reason=error.reason))
            return ()
        except SpecError as error:
            here = Label(statement.span, "imported here")
            self.errors += [replace(each, secondary=(*each.secondary, here)) for each in error.diagnostics]
            return ()
        return self.follow(tree, (*chain, path))

    def _read(self, path: str) -> SourceFile:
        source = self.read(path)
        self.imported.append((path, hashlib.sha256(source.text.encode()).hexdigest()))
        return source


def _without_imports(tree: ast.File) -> str:
    pieces: list[str] = []
    place = 0
    for declaration in tree.declarations:
        if isinstance(declaration, ast.Import):
            pieces.append(tree.span.source.text[place : declaration.span.start])
            place = declaration.span.stop
    return "".join((*pieces, tree.span.source.text[place:])).removeprefix("\ufeff")
