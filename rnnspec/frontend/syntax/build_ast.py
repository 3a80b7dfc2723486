"""Lark's tree to the syntax tree: one method a rule of `grammar/rnn.lark`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import TypeAlias

from lark import Token, Tree

from rnnspec.diagnostics import InternalError, SpecError
from rnnspec.frontend import errors
from rnnspec.frontend.syntax import ast
from rnnspec.source import SourceFile, Span

Parsed: TypeAlias = Tree[Token]
Child: TypeAlias = Token | Parsed


class TreeBuilder:
    """Converts the tree of one source; recursive, so the tree's depth must be bounded before."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._expressions: dict[str, Callable[[Parsed], ast.Expression]] = {
            "number": self._number,
            "string": self._string,
            "true": lambda tree: ast.Boolean(self._span(tree), True),
            "false": lambda tree: ast.Boolean(self._span(tree), False),
            "none": lambda tree: ast.Nothing(self._span(tree)),
            "name": lambda tree: ast.Name(self._span(tree), str(tree.children[0])),
            "primed": lambda tree: ast.Name(self._span(tree), str(tree.children[0])[:-1], primed=True),
            "list": lambda tree: ast.List(self._span(tree), self._all(tree.children)),
            "group": lambda tree: self._expression(tree.children[0]),
            "call": self._call,
            "minus": lambda tree: ast.Unary(self._span(tree), "-", self._expression(tree.children[-1])),
            "negation": lambda tree: ast.Unary(self._span(tree), "not", self._expression(tree.children[-1])),
            "sum": self._binary,
            "product": self._binary,
            "comparison": self._binary,
            "conjunction": lambda tree: self._logical(tree, "and"),
            "disjunction": lambda tree: self._logical(tree, "or"),
            "conditional": self._conditional,
            "index": self._subscript,
        }

    def file(self, tree: Parsed) -> ast.File:
        """The syntax tree of a whole file; its span is the whole text."""
        whole = Span(self._source, 0, len(self._source.text))
        return ast.File(whole, tuple(self._declaration(child) for child in _trees(tree)))

    def _declaration(self, tree: Parsed) -> ast.Declaration:
        span = self._span(tree)
        if tree.data == "import":
            return ast.Import(span, self._string(tree))
        name = self._identifier(tree.children[0])
        parameters = tuple(self._parameter(each) for each in _trees(tree, "parameters") for each in _trees(each))
        body = [child for child in _trees(tree) if child.data not in ("parameters", "target_kind")]
        match tree.data:
            case "model":
                declared = _declared(body)
                statements = [statement for child in body for statement in self._model_statements(child, declared)]
                return ast.Model(span, name, parameters, tuple(statements))
            case "block":
                return ast.Block(span, name, parameters, tuple(self._flow_statement(child) for child in body))
            case "cell":
                return ast.Cell(span, name, parameters, tuple(self._cell_statement(child) for child in body))
            case "function":
                return ast.Function(span, name, parameters, tuple(self._function_statement(child) for child in body))
            case "loss" | "metric":
                kind = ast.Loss if tree.data == "loss" else ast.Metric
                said = [self._identifier(name) for each in _trees(tree, "target_kind") for name in each.children]
                statements = tuple(self._cell_statement(child) for child in body)
                return kind(span, name, parameters, said[0] if said else None, said[1] if len(said) > 1 else None, statements)
            case _:
                raise _unknown(tree)

    def _function_statement(self, tree: Parsed) -> ast.CellStatement:
        """A statement, or the one value behind `=`, which is what is returned."""
        if tree.data in ("equation", "output", "when"):
            return self._cell_statement(tree)
        return ast.Return(self._span(tree), self._expression(tree))

    def _parameter(self, tree: Parsed) -> ast.Parameter:
        kind = tuple(self._alternative(child) for each in _trees(tree, "kind") for child in _trees(each))
        default = [self._expression(child) for child in _trees(tree) if child.data != "kind"]
        return ast.Parameter(self._span(tree), self._identifier(tree.children[0]), default[0] if default else None, kind)

    def _alternative(self, tree: Parsed) -> ast.Alternative:
        """What a parameter may be; `SpecError` for what is no text, no `none`, and no word with bounds around it."""
        span = self._span(tree)
        parts = self._all([child for child in tree.children if isinstance(child, Tree)])
        signs = [str(child) for child in tree.children if isinstance(child, Token)]
        match parts, signs:
            case [ast.Text() | ast.Nothing() as only], []:
                return only
            case [word], []:
                return self._range(span, word, None, None)
            case [word, limit], [sign] if self._is_sort(word) or not self._is_sort(limit):
                bound = ast.Bound(limit.span, limit, sign in "<>")
                return self._range(span, word, *((None, bound) if sign in ("<", "<=") else (bound, None)))
            case [limit, word], [sign]:
                bound = ast.Bound(limit.span, limit, sign in "<>")
                return self._range(span, word, *((bound, None) if sign in ("<", "<=") else (None, bound)))
            case [low, word, high], [("<" | "<=") as first, ("<" | "<=") as second]:
                return self._range(span, word, ast.Bound(low.span, low, first == "<"), ast.Bound(high.span, high, second == "<"))
            case _:
                raise SpecError([errors.syntax.UnfitKind(span=span)])

    def _is_sort(self, part: ast.Expression) -> bool:
        """Whether a part between signs is the word for a sort of values, and no bound."""
        word = part.value if isinstance(part, ast.Subscript) else part
        return isinstance(word, ast.Name) and word.text in ast.SORTS

    def _range(self, span: Span, word: ast.Expression, low: ast.Bound | None, high: ast.Bound | None) -> ast.Range:
        named, length = (word.value, word.position) if isinstance(word, ast.Subscript) else (word, None)
        if not isinstance(named, ast.Name) or named.primed:
            raise SpecError([errors.syntax.UnfitKind(span=span)])
        return ast.Range(span, ast.Identifier(named.span, named.text), low, high, length)

    def _model_statements(self, tree: Parsed, declared: Set[str]) -> Iterator[ast.Inputs | ast.FlowStatement | ast.Outputs | ast.Train]:
        match tree.data:
            case "inputs":
                *others, last = _trees(tree)
                items = [self._input(child) for child in (*others, last)]
                yield ast.Inputs(Span(self._source, tree.meta.start_pos, items[-1].span.stop), tuple(items))
                if last.data == "joined":
                    yield self._joined(last, declared)
            case "outputs":
                yield ast.Outputs(self._span(tree), tuple(self._identifier(child) for child in tree.children))
            case "train":
                yield ast.Train(self._span(tree), tuple(self._setting(child) for child in _trees(tree)))
            case _:
                yield self._flow_statement(tree)

    def _joined(self, tree: Parsed, declared: Set[str]) -> ast.Flow:
        """The statement behind an input without dimensions; `SpecError` where the brackets are dimensions, since they hold no values."""
        _, _, values, *stages = tree.children
        items = self._dimensions(values)
        names = [item for item in items if isinstance(item, ast.Name) and item.text in declared]
        start, end = _tree(values).meta.start_pos, _tree(values).meta.end_pos
        if not items or len(names) < len(items):
            arrow = self._source.text.index("->", end)
            expected = "expected a layer, `input`, `train`, `,`, `(` or `}`"
            raise SpecError([errors.syntax.UnexpectedText(span=Span(self._source, arrow, arrow + 2), found="`->`", expected=expected)])
        join = ast.Join(Span(self._source, start, end), tuple(ast.Reference(each.span, each.text) for each in names))
        return ast.Flow(Span(self._source, start, tree.meta.end_pos), (), (join, *(self._stage(_tree(stage)) for stage in stages)))

    def _input(self, tree: Parsed) -> ast.Input:
        name, element, *rest = tree.children
        kind = self._identifier(element)
        if not rest or tree.data == "joined":
            span = Span(self._source, tree.meta.start_pos, kind.span.stop)
            return ast.Input(span, self._identifier(name), kind, ())
        dimensions, *settings = rest
        arguments = [child for each in settings for child in _tree(each).children]
        call = None
        if arguments:
            call = ast.Call(self._span(_tree(settings[0])), kind, tuple(self._argument(_tree(each)) for each in arguments))
        return ast.Input(self._span(tree), self._identifier(name), kind, self._dimensions(dimensions), call)

    def _setting(self, tree: Parsed) -> ast.Setting:
        name, value = tree.children
        return ast.Setting(self._span(tree), self._identifier(name), self._expression(value))

    def _flow_statement(self, tree: Parsed) -> ast.FlowStatement:
        match tree.data:
            case "repeat":
                count, *statements = _trees(tree)
                return ast.Repeat(self._span(tree), self._expression(count), tuple(self._flow_statement(child) for child in statements))
            case "shared":
                name, call = tree.children
                return ast.Shared(self._span(tree), self._identifier(name), self._call(_tree(call)))
            case _:
                targets = tuple(self._identifier(child) for child in tree.children if isinstance(child, Token))
                return ast.Flow(self._span(tree), targets, tuple(self._stage(child) for child in _trees(tree)))

    def _stage(self, tree: Parsed) -> ast.Stage:
        match tree.data:
            case "call":
                return self._call(tree)
            case "reference":
                return self._reference(tree)
            case "join":
                return ast.Join(self._span(tree), tuple(self._reference(child) for child in _trees(tree)))
            case _:
                raise _unknown(tree)

    def _reference(self, tree: Parsed) -> ast.Reference:
        return ast.Reference(self._span(tree), str(tree.children[0]))

    def _cell_statement(self, tree: Parsed) -> ast.CellStatement:
        span = self._span(tree)
        match tree.data:
            case "weight":
                frozen = bool(_trees(tree, "frozen"))
                name, dimensions, initializer, *condition = tree.children[:-1] if frozen else tree.children
                return ast.Weight(
                    span,
                    self._identifier(name),
                    self._dimensions(dimensions),
                    self._expression(initializer),
                    self._expression(condition[0]) if condition else None,
                    frozen,
                )
            case "states":
                return ast.States(span, tuple(self._state(child) for child in _trees(tree)))
            case "equation":
                *targets, value = _trees(tree)
                return ast.Equation(span, tuple(self._target(target) for target in targets), self._expression(value))
            case "output":
                return ast.Return(span, self._expression(tree.children[0]))
            case "when":
                condition, body, *otherwise = _trees(tree)
                return ast.When(span, self._expression(condition), self._body(body), self._body(otherwise[0]) if otherwise else None)
            case _:
                raise _unknown(tree)

    def _body(self, tree: Parsed) -> ast.Body:
        return ast.Body(self._span(tree), tuple(self._cell_statement(child) for child in _trees(tree)))

    def _state(self, tree: Parsed) -> ast.State:
        name, dimensions = tree.children
        return ast.State(self._span(tree), self._identifier(name), self._dimensions(dimensions))

    def _target(self, tree: Parsed) -> ast.Name:
        text = str(tree.children[0])
        return ast.Name(self._span(tree), text.removesuffix("'"), primed=text.endswith("'"))

    def _dimensions(self, child: Child) -> tuple[ast.Expression, ...]:
        return self._all(_tree(child).children)

    def _all(self, items: list[Child]) -> tuple[ast.Expression, ...]:
        return tuple(self._expression(child) for child in items)

    def _expression(self, child: Child) -> ast.Expression:
        tree = _tree(child)
        if tree.data not in self._expressions:
            raise _unknown(tree)
        return self._expressions[tree.data](tree)

    def _number(self, tree: Parsed) -> ast.Number:
        text = str(tree.children[0])
        exact = text.isdigit() and len(text) <= 18
        return ast.Number(self._span(tree), int(text) if exact else float(text))

    def _string(self, tree: Parsed) -> ast.Text:
        return ast.Text(self._span(tree), str(tree.children[0])[1:-1])

    def _call(self, tree: Parsed) -> ast.Call:
        callee, *arguments = tree.children
        return ast.Call(self._span(tree), self._identifier(callee), tuple(self._argument(_tree(each)) for each in arguments))

    def _argument(self, tree: Parsed) -> ast.Argument:
        if tree.data == "named":
            name, value = tree.children
            return ast.Argument(self._span(tree), self._identifier(name), self._expression(value))
        return ast.Argument(self._span(tree), None, self._expression(tree))

    def _binary(self, tree: Parsed) -> ast.Binary:
        left, operator, right = tree.children
        return ast.Binary(self._span(tree), str(operator), self._expression(left), self._expression(right))

    def _logical(self, tree: Parsed, operator: str) -> ast.Binary:
        left, right = tree.children
        return ast.Binary(self._span(tree), operator, self._expression(left), self._expression(right))

    def _conditional(self, tree: Parsed) -> ast.Conditional:
        on_true, condition, on_false = self._all(tree.children)
        return ast.Conditional(self._span(tree), on_true, condition, on_false)

    def _subscript(self, tree: Parsed) -> ast.Subscript:
        value, position = self._all(tree.children)
        return ast.Subscript(self._span(tree), value, position)

    def _identifier(self, child: Child) -> ast.Identifier:
        if not isinstance(child, Token):
            raise _unknown(child)
        start = child.start_pos or 0
        return ast.Identifier(Span(self._source, start, start + len(child)), str(child))

    def _span(self, tree: Parsed) -> Span:
        return Span(self._source, tree.meta.start_pos, tree.meta.end_pos)


def _tree(child: Child) -> Parsed:
    if isinstance(child, Token):
        raise InternalError(f"the grammar gave the token {child.type} where a rule was expected")
    return child


def _declared(statements: list[Parsed]) -> Set[str]:
    """The names of a model's inputs and values."""
    names = set[str]()
    for statement in statements:
        for tree in statement.iter_subtrees():
            if tree.data in ("input", "joined"):
                names.add(str(tree.children[0]))
            elif tree.data == "flow":
                names.update(str(child) for child in tree.children if isinstance(child, Token))
    return names


def _trees(tree: Parsed, data: str | None = None) -> list[Parsed]:
    """The children that are trees; only those of one rule if `data` is given."""
    return [child for child in tree.children if isinstance(child, Tree) and data in (None, child.data)]


def _unknown(tree: Parsed) -> InternalError:
    return InternalError(f"the grammar's rule {tree.data} has no place here")
