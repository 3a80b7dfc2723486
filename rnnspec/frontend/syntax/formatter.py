"""The canonical form of a spec's text: one layout, every comment kept, nothing of its meaning changed.

A statement a line, four columns a level, at most one empty line between two, no more parentheses than
needed. In neighbouring lines of one kind (weights, settings, named values) the columns stand below
each other. What is longer than a line breaks at commas. A comment inside a statement moves above it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_layout import argument_text, call_text, expression_text, parameter_text, wrapped
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile, Span

INDENT = "    "
WIDTH = 120

Statement: TypeAlias = (
    ast.Inputs | ast.FlowStatement | ast.Outputs | ast.Train | ast.Setting | ast.Weight | ast.States | ast.Equation | ast.Return
)
Item: TypeAlias = ast.Declaration | Statement | ast.When
Braced: TypeAlias = ast.Model | ast.Cell | ast.Block | ast.Equations | ast.Train | ast.Repeat | ast.When


def format_spec(source: SourceFile) -> str:
    """The text in its canonical form, ending in a line break; SpecError if it can't be parsed."""
    tree = parse(source)
    comments = _comments(source)
    lines = _Formatter(source, comments).block(tree.declarations, 0, len(source.text), "")
    text = "\n".join(lines) + "\n" if lines else ""
    formatted = SourceFile(source.path, text)
    if parse(formatted) != tree or sorted(c.text for c in _comments(formatted)) != sorted(c.text for c in comments):
        raise InternalError("formatting would change what the spec means, or lose a comment")
    return text


@frozen
class _Comment:
    """`text` with its sign; `alone`: nothing but layout is before it in its line."""

    start: int
    stop: int
    text: str
    alone: bool


def _comments(source: SourceFile) -> list[_Comment]:
    found: list[_Comment] = []
    for match in re.finditer(r'"[^"\n]*"|#[^\n]*', source.text):
        if match.group().startswith("#"):
            line_start = source.text.rfind("\n", 0, match.start()) + 1
            alone = not source.text[line_start : match.start()].strip("\ufeff \t\r\f")
            found.append(_Comment(match.start(), match.end(), match.group().rstrip(), alone))
    return found


@frozen
class _Entry:
    """An entry of a block: a comment alone, or a statement's lines.

    `columns`: the parts of a statement but its last, which neighbours of the same `kind` align;
    `finish` makes the lines that begin with them.
    """

    start: int
    stop: int
    finish: Callable[[str], list[str]]
    kind: str = ""
    columns: tuple[str, ...] = ()
    remark: str = ""
    above: tuple[str, ...] = ()
    """Comments from inside the statement."""


@dataclass
class _Formatter:
    source: SourceFile
    comments: list[_Comment]
    used: set[int] = field(default_factory=set[int])

    def block(self, items: Sequence[Item], start: int, stop: int, indent: str) -> list[str]:
        """The lines of the statements between two places, with the comments that stand there."""
        entries = [self._entry(item, indent, stop) for item in items]
        for comment in self.comments:
            if start <= comment.start < stop and comment.start not in self.used:
                self.used.add(comment.start)
                entries.append(_Entry(comment.start, comment.stop, partial(_as_it_is, [comment.text]), "comment"))
        entries.sort(key=lambda entry: entry.start)
        groups: list[list[_Entry]] = []
        for place, entry in enumerate(entries):
            before = entries[place - 1] if place else None
            if before is None or entry.above or not entry.columns or entry.kind != before.kind or self._apart(before, entry):
                groups.append([])
            groups[-1].append(entry)
        lines: list[str] = []
        last: _Entry | None = None
        for group in groups:
            if last is not None and (self._apart(last, group[0]) or (indent == "" and not self._belongs(last, group[0]))):
                lines.append("")
            lines += [f"{indent}{line}".rstrip() if line else "" for line in _aligned(group)]
            last = group[-1]
        return lines

    def _apart(self, before: _Entry, after: _Entry) -> bool:
        """Whether an empty line stands between two entries."""
        between = self.source.text[before.stop : after.start]
        if before.remark:
            between = between[between.find("\n") :] if "\n" in between else ""
        return bool(re.search(r"\n[ \t\r\f]*\n", between))

    def _belongs(self, before: _Entry, after: _Entry) -> bool:
        """At the top level only comments stay with what follows them, and imports together."""
        return before.kind == "comment" or before.kind == after.kind == "Import"

    def _entry(self, item: Item, indent: str, stop: int) -> _Entry:
        kind, columns = type(item).__name__, ()
        match item:
            case ast.Function(statements=[ast.Return() as only]) if not self._in_braces(item):
                above = self._inside(item.span.start, item.span.stop)
                finish = partial(_as_it_is, _assigned(f"{self._head(item, indent)[-1]} = ", only.value, "", WIDTH - len(indent)))
            case (
                ast.Model()
                | ast.Cell()
                | ast.Block()
                | ast.Function()
                | ast.Loss()
                | ast.Metric()
                | ast.Train()
                | ast.Repeat()
                | ast.When()
            ):
                head, lines = self._braced(item, indent)
                above = self._inside(item.span.start, head)
                if isinstance(item, ast.When) and item.otherwise is not None:
                    above += self._inside(item.body.span.stop, item.otherwise.span.start)
                finish = partial(_as_it_is, lines)
            case _:
                above = self._inside(item.span.start, item.span.stop)
                columns = _columns(item)
                finish = partial(_lines, item, WIDTH - len(indent))
        remark = self._remark(item.span.stop, stop)
        return _Entry(item.span.start, item.span.stop, finish, kind, columns, remark, above)

    def _inside(self, start: int, stop: int) -> tuple[str, ...]:
        """Takes the comments between two places."""
        taken = [comment for comment in self.comments if start <= comment.start < stop and comment.start not in self.used]
        self.used.update(comment.start for comment in taken)
        return tuple(comment.text for comment in taken)

    def _remark(self, place: int, stop: int) -> str:
        """Takes the comment that follows in the same line, if nothing else does."""
        for comment in self.comments:
            if place <= comment.start < stop and comment.start not in self.used:
                if comment.alone or self.source.text[place : comment.start].strip(" \t"):
                    return ""
                self.used.add(comment.start)
                return comment.text
        return ""

    def _braced(self, item: Braced, indent: str) -> tuple[int, list[str]]:
        """The offset of the body's opening brace, and all lines."""
        match item:
            case ast.Train():
                head, statements = ["train"], item.settings
            case ast.Repeat():
                head, statements = [f"repeat {expression_text(item.count)}"], item.statements
            case ast.When():
                opening, lines = self._filled([f"when {expression_text(item.condition)}"], item.body.statements, item.body.span)
                if item.otherwise is None:
                    return opening, lines
                closed = "}" if lines[-1] == "}" else ""
                _, others = self._filled([f"{closed or lines[-1]} else"], item.otherwise.statements, item.otherwise.span)
                return opening, [*lines[:-1], *others]
            case _:
                head, statements = self._head(item, indent), item.statements
        return self._filled(head, statements, Span(self.source, self._opening_brace(item), item.span.stop))

    def _head(self, item: ast.Model | ast.Cell | ast.Block | ast.Equations, indent: str) -> list[str]:
        """A declaration up to its braces."""
        parameters = list(map(parameter_text, item.parameters))
        start = f"{type(item).__name__.lower()} {item.name.text}"
        of = ""
        if isinstance(item, ast.Loss | ast.Metric) and item.target is not None:
            of = f" of {item.target.text}" + (f" except {item.unlabelled.text}" if item.unlabelled is not None else "")
        if not parameters and not isinstance(item, ast.Function):
            return [f"{start}{of}"]
        return wrapped(f"{start}(", parameters, f"){of}", WIDTH - len(indent) - 2)

    def _in_braces(self, item: ast.Function) -> bool:
        """Whether a function's one value stands in braces, which stay, with what comments there are in them."""
        return self.source.text[item.span.stop - 1] == "}"

    def _filled(self, head: list[str], statements: Sequence[Item], braces: Span) -> tuple[int, list[str]]:
        """The offset of the opening brace, and the lines: `head`, the braces and their contents."""
        opening, closing = braces.start, braces.stop - 1
        remark = self._remark(opening + 1, closing) if "\n" in self.source.text[opening:closing] else ""
        body = self.block(statements, opening + 1, closing, INDENT)
        head[-1] += " {" + (f"  {remark}" if remark else "")
        if not body and not remark:
            return opening, [*head[:-1], f"{head[-1]}}}"]
        return opening, [*head, *body, "}"]

    def _opening_brace(self, item: Braced) -> int:
        """A brace in a comment or a text isn't one: parameters hold neither texts with braces nor blocks."""
        place = item.span.start
        while True:
            place = self.source.text.index("{", place)
            if not self._covered(place):
                return place
            place += 1

    def _covered(self, place: int) -> bool:
        line_start = self.source.text.rfind("\n", 0, place) + 1
        before = re.sub(r'"[^"\n]*"', lambda match: "_" * len(match.group()), self.source.text[line_start : self._line_end(place)])
        offset = place - line_start
        return before[offset] != "{" or "#" in before[:offset]

    def _line_end(self, place: int) -> int:
        end = self.source.text.find("\n", place)
        return len(self.source.text) if end < 0 else end


def _as_it_is(lines: list[str], _: str) -> list[str]:
    return lines


def _aligned(group: Sequence[_Entry]) -> Iterator[str]:
    """The lines of neighbours of one kind, their columns and remarks below each other."""
    widths: list[int] = []
    for entry in group:
        for place, column in enumerate(entry.columns):
            widths += [0] * (place + 1 - len(widths))
            widths[place] = max(widths[place], len(column))
    shown = [
        entry.finish("".join(f"{column.ljust(width)} " for column, width in zip(entry.columns, widths, strict=False))) for entry in group
    ]
    furthest = max((len(lines[-1]) for entry, lines in zip(group, shown, strict=True) if entry.remark), default=0)
    for entry, lines in zip(group, shown, strict=True):
        yield from entry.above
        yield from lines[:-1]
        yield f"{lines[-1].ljust(furthest)}  {entry.remark}" if entry.remark else lines[-1]


def _columns(item: Statement | ast.Import) -> tuple[str, ...]:
    """The parts of a statement that neighbours of its kind align."""
    match item:
        case ast.Setting():
            return (item.name.text,)
        case ast.Weight():
            return f"weight {item.name.text}", _dimensions(item.dimensions)
        case ast.Flow(targets=[_, *_], stages=[first, _, *_]):
            return _targets(item), f"= {_stage(first)}"
        case ast.Flow(targets=[_, *_]):
            return (_targets(item),)
        case ast.Shared(name=name):
            return (f"shared {name.text}",)
        case (
            ast.Inputs()
            | ast.States()
            | ast.Return()
            | ast.Import()
            | ast.Equation()
            | ast.Flow()
            | ast.Outputs()
            | ast.Train()
            | ast.Repeat()
        ):
            return ()
        case _:
            assert_never(item)


def _lines(item: Statement | ast.Import, width: int, head: str) -> list[str]:
    """A statement in as few lines as fit, behind its aligned columns."""
    match item:
        case ast.Import():
            return [f'import "{item.path.value}"']
        case ast.Inputs():
            *others, last = item.items
            if others or last.settings is None:
                return wrapped("input ", [_input(each) + _settings(each) for each in item.items], "", width)
            return wrapped(f"input {_input(last)}(", [argument_text(each) for each in last.settings.arguments], ")", width)
        case ast.Setting():
            return _assigned(f"{head}= ", item.value, "", width)
        case ast.Weight():
            condition = "" if item.condition is None else f" if {expression_text(item.condition, 1)}"
            condition += " frozen" if item.frozen else ""
            return _assigned(f"{head}= ", item.initializer, condition, width)
        case ast.States():
            return wrapped("state ", [f"{each.name.text} {_dimensions(each.dimensions)}" for each in item.items], "", width)
        case ast.Equation():
            return _assigned(f"{', '.join(target.spelling for target in item.targets)} = ", item.value, "", width)
        case ast.Return():
            return _assigned("return ", item.value, "", width)
        case ast.Flow():
            return _flow(item, width, head)
        case ast.Shared():
            return call_text(f"{head}= ", item.call, width)
        case ast.Outputs():
            return wrapped("output ", [each.text for each in item.items], "", width)
        case ast.Train() | ast.Repeat():
            raise InternalError(f"{type(item).__name__} is a block")
        case _:
            assert_never(item)


def _targets(item: ast.Flow) -> str:
    return ", ".join(target.text for target in item.targets)


def _flow(item: ast.Flow, width: int, head: str) -> list[str]:
    first, *others = item.stages
    rest = [_stage(stage) for stage in others]
    if item.targets and not rest:
        head += "= "
    elif not item.targets:
        head = f"{_stage(first)} " if rest else ""
    if not rest:
        return call_text(head, first, width) if isinstance(first, ast.Call) else [head + _stage(first)]
    whole = f"{head}-> {' -> '.join(rest)}"
    return [whole] if len(whole) <= width else [head.rstrip(), *(f"{INDENT}-> {stage}" for stage in rest)]


def _assigned(head: str, value: ast.Expression, tail: str, width: int) -> list[str]:
    """`head`, an expression and `tail`, broken at the commas of a call or a list if that is too long."""
    if isinstance(value, ast.Call):
        lines = call_text(head, value, width - len(tail))
    elif isinstance(value, ast.List):
        lines = wrapped(f"{head}[", [expression_text(each) for each in value.items], "]", width - len(tail))
    elif isinstance(value, ast.Conditional) and len(head + expression_text(value) + tail) > width:
        lines = _choices(head, value)
    else:
        lines = [head + expression_text(value)]
    return [*lines[:-1], lines[-1] + tail]


def _choices(head: str, value: ast.Conditional) -> list[str]:
    """A choice in lines, each `else` below the first value."""
    lines: list[str] = []
    rest: ast.Expression = value
    while isinstance(rest, ast.Conditional):
        start = " " * len(head) + "else " if lines else head
        lines.append(f"{start}{expression_text(rest.on_true, 1)} if {expression_text(rest.condition, 1)}")
        rest = rest.on_false
    return [*lines, f"{' ' * len(head)}else {expression_text(rest)}"]


def _input(item: ast.Input) -> str:
    return f"{item.name.text}: {item.element.text}{_dimensions(item.dimensions) if item.dimensions else ''}"


def _settings(item: ast.Input) -> str:
    return "" if item.settings is None else f"({', '.join(map(argument_text, item.settings.arguments))})"


def _dimensions(dimensions: Sequence[ast.Expression]) -> str:
    return f"[{', '.join(map(expression_text, dimensions))}]"


def _stage(stage: ast.Stage) -> str:
    match stage:
        case ast.Call():
            return expression_text(stage)
        case ast.Reference():
            return stage.name
        case ast.Join():
            return f"[{', '.join(each.name for each in stage.items)}]"
        case _:
            assert_never(stage)
