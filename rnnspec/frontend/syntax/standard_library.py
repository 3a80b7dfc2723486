"""The standard library, written in the language itself: cells, functions, losses and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Generic, TypeVar

from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.parser import parse
from rnnspec.resources import read_resource
from rnnspec.source import SourceFile

FILES = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
"""Every cell that needs no declaration, and the file that it is in."""
NAMES = tuple(FILES.values())

FUNCTION_FILES = ("functions", "activations")
LOSS_FILES = ("losses",)
METRIC_FILES = ("metrics",)

NO_LOSSES: Mapping[str, ast.Loss] = MappingProxyType({})
NO_METRICS: Mapping[str, ast.Metric] = MappingProxyType({})

Declared = TypeVar("Declared", bound=ast.Equations)


class CellLibrary(Mapping[str, ast.Cell]):
    """The cells by name: a spec's own, then those of the standard library, each parsed when it is first needed."""

    def __init__(self, own: Mapping[str, ast.Cell]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> ast.Cell:
        return self._own[name] if name in self._own else standard_cell(name)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in FILES

    def __iter__(self) -> Iterator[str]:
        return iter({**FILES, **self._own})

    def __len__(self) -> int:
        return len({**FILES, **self._own})


@cache
def standard_cell(name: str) -> ast.Cell:
    """A cell of the standard library; KeyError for any other name."""
    file = FILES[name]
    tree = parse(SourceFile(f"stdlib/{file}.rnn", read_resource("stdlib", f"{file}.rnn")))
    (cell,) = (each for each in tree.declarations if isinstance(each, ast.Cell))
    return cell


class Library(Mapping[str, Declared], Generic[Declared]):
    """Declarations of one kind by name: a spec's own, then those of the standard library, each parsed when it is first needed."""

    def __init__(self, kind: type[Declared], files: tuple[str, ...], own: Mapping[str, Declared]) -> None:
        self._kind = kind
        self._files = files
        self._own = own

    @property
    def standard(self) -> Library[Declared]:
        """The standard library alone, which its own text reads."""
        return Library(self._kind, self._files, {})

    def is_own(self, name: str) -> bool:
        """Whether the spec declares it."""
        return name in self._own

    def __getitem__(self, name: str) -> Declared:
        if name in self._own:
            return self._own[name]
        declared = _declared(_place(self._files, self._kind.__name__.lower())[name], name)
        if not isinstance(declared, self._kind):
            raise KeyError(name)
        return declared

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _place(self._files, self._kind.__name__.lower())

    def __iter__(self) -> Iterator[str]:
        return iter({**_place(self._files, self._kind.__name__.lower()), **self._own})

    def __len__(self) -> int:
        return len({**_place(self._files, self._kind.__name__.lower()), **self._own})


def functions(own: Mapping[str, ast.Function]) -> Library[ast.Function]:
    """Functions, a spec's own before those of the library."""
    return Library(ast.Function, FUNCTION_FILES, own)


def losses(own: Mapping[str, ast.Loss]) -> Library[ast.Loss]:
    """Losses, a spec's own before those of the library."""
    return Library(ast.Loss, LOSS_FILES, own)


def metrics(own: Mapping[str, ast.Metric]) -> Library[ast.Metric]:
    """Metrics, a spec's own before those of the library."""
    return Library(ast.Metric, METRIC_FILES, own)


class _Either(Mapping[str, "ast.Loss | ast.Metric"]):
    """Metrics, and losses of other names."""

    def __init__(self, metrics: Mapping[str, ast.Metric], losses: Mapping[str, ast.Loss]) -> None:
        self._metrics, self._losses = metrics, losses

    def __getitem__(self, name: str) -> ast.Loss | ast.Metric:
        return self._metrics[name] if name in self._metrics else self._losses[name]

    def __contains__(self, name: object) -> bool:
        return name in self._metrics or name in self._losses

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._metrics, *self._losses)))

    def __len__(self) -> int:
        return len(dict.fromkeys((*self._metrics, *self._losses)))


def row_equations(
    as_metrics: bool, own_losses: Mapping[str, ast.Loss] = NO_LOSSES, own_metrics: Mapping[str, ast.Metric] = NO_METRICS
) -> Mapping[str, ast.Loss | ast.Metric]:
    """Losses; or metrics, and losses by whose names no metric goes, since each is a metric, too."""
    return _Either(metrics(own_metrics), losses(own_losses)) if as_metrics else losses(own_losses)


@cache
def _place(files: tuple[str, ...], kind: str) -> dict[str, str]:
    """The file of each declaration of a kind."""
    return {name: file for file in files for name in _texts(file) if _texts(file)[name].lstrip().startswith(kind)}


_HEAD = re.compile(r"^(?:function|loss|metric) +(\w+)", re.MULTILINE)


@cache
def _texts(file: str) -> dict[str, str]:
    """A file's declarations by name, each behind as many empty lines as there are before it, so that its lines keep their numbers.

    One is parsed in a tenth of the time that the whole file takes.
    """
    text = read_resource("stdlib", f"{file}.rnn")
    heads = [*_HEAD.finditer(text)]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head.group(1): "\n" * text.count("\n", 0, head.start()) + text[head.start() : end] for head, end in zip(heads, ends, strict=True)
    }


@cache
def _declared(file: str, name: str) -> ast.Declaration:
    (declared,) = parse(SourceFile(f"stdlib/{file}.rnn", _texts(file)[name])).declarations
    return declared
