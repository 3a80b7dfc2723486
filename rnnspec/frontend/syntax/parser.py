"""Text to syntax tree: any text at all gives a tree or a `SpecError`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

from lark import Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from rnnspec.diagnostics import Diagnostic, Label, SpecError, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.syntax import advice, ast, lark_tables, limits
from rnnspec.frontend.syntax.build_ast import Parsed, TreeBuilder
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile, Span

STACK_LIMIT = 6 * limits.DEPTH
"""Depth of the parser's stack: more than any tree within the depth limit needs."""

LINES = 64
"""Checkpoints at beginnings of lines that are kept for recovery."""


@dataclass
class Allowance:
    """The remaining size, in bytes and tokens, of a spec with its imports; each parsed file is subtracted."""

    bytes: int = limits.BYTES
    tokens: int = limits.TOKENS


def parse(source: SourceFile, left: Allowance | None = None) -> ast.File:
    """The syntax tree of a spec's text; every syntax error that recovery can reach, at once. Takes its size from what is `left`."""
    left = left or Allowance()
    left.bytes -= len(source.text.encode(errors="surrogatepass"))
    if left.bytes < 0:
        raise SpecError([errors.limits.SpecTooLong(span=Span(source, 0, 0), limit=limits.BYTES)])
    tokens, faults = _tokens(source, left.tokens)
    left.tokens -= len(tokens)
    tree = None if faults else _straight(tokens)
    if tree is None:
        _Recovery(source, tokens, faults).run()
        raise SpecError(limits.shown(sorted(faults, key=lambda fault: fault.span.start)))
    _check_depth(source, tree)
    file = TreeBuilder(source).file(tree)
    _check_parameters(file)
    return file


class _State(Protocol):
    parse_conf: Any

    @property
    def state_stack(self) -> list[int]: ...


class _Parser(Protocol):
    """The methods of Lark's interactive parser that are used here."""

    @property
    def parser_state(self) -> _State: ...
    def accepts(self) -> set[str]: ...
    def copy(self, deepcopy_values: bool = True) -> _Parser: ...
    def feed_token(self, token: Token) -> object: ...
    def feed_eof(self) -> Parsed: ...


class _Grammar(Protocol):
    """The methods of Lark that are used here; its own types leave parts unknown."""

    def lex(self, text: str) -> Iterator[Token]: ...
    def parse_interactive(self, text: str) -> _Parser: ...


@cache
def _lark() -> _Grammar:
    return lark_tables.parser()


def _tokens(source: SourceFile, most: int) -> tuple[list[Token], list[Diagnostic]]:
    """The tokens, with what is no token reported and skipped; `SpecError` where there are more than `most`."""
    text, faults, tokens = source.text, list[Diagnostic](), list[Token]()
    if text.startswith("\ufeff"):
        text = " " + text[1:]
    while True:
        try:
            for token in _lark().lex(text):
                if len(tokens) == most:
                    raise SpecError([errors.limits.TooManyTokens(span=_span(source, token), limit=limits.TOKENS)])
                tokens.append(token)
                if len(token) > limits.NAME and token.type in ("NAME", "PRIMED"):
                    faults.append(errors.limits.NameTooLong(span=_span(source, token), found=len(token), limit=limits.NAME))
            return tokens, faults
        except UnexpectedCharacters as error:
            start = cast(int, error.pos_in_stream)
            diagnostic = _unlexable(source, start)
            faults.append(diagnostic)
            if len(faults) > limits.ERRORS:
                return tokens, faults
            text = _NOT_A_BREAK.sub(" ", text[: diagnostic.span.stop]) + text[diagnostic.span.stop :]


_NOT_A_BREAK = re.compile(r"[^\n]")


def _span(source: SourceFile, token: Token) -> Span:
    start = token.start_pos or 0
    return Span(source, start, start + len(token))


def _unlexable(source: SourceFile, start: int) -> Diagnostic:
    text = source.text
    if text[start] == '"':
        line_end = text.find("\n", start)
        return errors.syntax.UnclosedText(span=Span(source, start, len(text) if line_end < 0 else line_end))
    part = _PART.match(text, start)
    if part and start and (_WORD.fullmatch(text, start - 1, start) or text[start - 1] in ")]"):
        return errors.syntax.UnexpectedCharacter(span=Span(source, start, part.end()), found=f"`{part.group()[:40]}`", help=advice.PARTS)
    number = _NUMBER_LIKE.match(text, start)
    if number:
        return errors.syntax.MalformedNumber(span=Span(source, start, number.end()), found=number.group()[:40])
    word = _WORD.match(text, start)
    if word:
        span = Span(source, _word_start(text, start), word.end())
        help_ = "names consist of the letters a to z and A to Z, digits and underscores"
        return errors.syntax.UnexpectedCharacter(span=span, found=f"`{span.text[:40]}`", help=help_)
    character = text[start]
    found = f"`{character}`" if character.isprintable() else f"the character U+{ord(character):04X}"
    stop = start + 1 + (character in _DOUBLED and text.startswith(character, start + 1))
    found = found if stop == start + 1 else f"`{character}{character}`"
    help_ = advice.LENGTH if character == "?" and _in_dimensions(text, start) else advice.SIGNS.get(character, "")
    return errors.syntax.UnexpectedCharacter(span=Span(source, start, stop), found=found, help=help_)


_NUMBER_LIKE = re.compile(r"[0-9.][A-Za-z0-9_.]*")
_PART = re.compile(r"\.[A-Za-z_][A-Za-z0-9_.]*")
_WORD = re.compile(r"\w+")
_DOUBLED = "&|"
_DIMENSIONS = re.compile(r"\binput\b[^\[{}]*\[[^\]]*$")


def _in_dimensions(text: str, place: int) -> bool:
    """Whether a place is in the square brackets behind an input."""
    return _DIMENSIONS.search(text, max(0, place - _NEAR), place) is not None


_NEAR = 200


def _word_start(text: str, place: int) -> int:
    while place > 0 and _WORD.fullmatch(text, place - 1, place):
        place -= 1
    return place


def _straight(tokens: list[Token]) -> Parsed | None:
    """The tree of tokens without a fault; None if there is one: `_Recovery`, which takes five times as long, finds out which."""
    parser = _lark().parse_interactive("")
    try:
        for token in tokens:
            parser.feed_token(token)
            if len(parser.parser_state.state_stack) > STACK_LIMIT:
                return None
        return parser.feed_eof()
    except UnexpectedToken:
        return None


class _Recovery:
    """Feeds the tokens to the parser; after an error goes on with the next line of the same block.

    A checkpoint is the parser's state where a statement may begin: before the first token of a line,
    or behind a closing brace. The statement with the error is dropped: parsing goes on from its
    checkpoint with the first later line at the same depth of braces. No tree is made.
    """

    def __init__(self, source: SourceFile, tokens: list[Token], faults: list[Diagnostic]) -> None:
        self._source = source
        self._tokens = tokens
        self._faults = faults
        self._unlexable = tuple(faults)
        self._depths = list(_brace_depths(tokens))
        self._opened = [0, *(depth + (token.type == "LBRACE") for depth, token in zip(self._depths, tokens, strict=True))]
        self._bracketed = list(_in_brackets(tokens))

    def run(self) -> None:
        """Adds what is wrong to the faults."""
        parser = _lark().parse_interactive("")
        without_tree = copy(parser.parser_state.parse_conf)
        without_tree.callbacks = {}
        parser.parser_state.parse_conf = without_tree
        checkpoint = _Begun(0, parser.copy(deepcopy_values=False))
        lines = [checkpoint]
        place = 0
        while place < len(self._tokens):
            if len(parser.parser_state.state_stack) > STACK_LIMIT:
                self._faults.append(errors.syntax.NestedTooDeeply(span=self._span(self._tokens[place]), limit=limits.DEPTH))
                return
            if self._may_begin(place):
                lines.append(_Begun(place, parser.copy(deepcopy_values=False)))
                if len(lines) > LINES:
                    checkpoint, lines = self._latest(checkpoint, lines), lines[-1:]
            try:
                parser.feed_token(self._tokens[place])
                place += 1
            except UnexpectedToken:
                checkpoint = self._latest(checkpoint, lines)
                self._report(place, checkpoint.place, self._before(place, lines[-1]))
                if len(self._faults) > limits.ERRORS:
                    return
                place = self._next_line(place, self._opened[checkpoint.place])
                parser = checkpoint.parser.copy(deepcopy_values=False)
                lines = [_Begun(place, parser.copy(deepcopy_values=False))]
        self._finish(parser)

    def _latest(self, checkpoint: _Begun, lines: Sequence[_Begun]) -> _Begun:
        """The last of some beginnings of lines that a statement may begin at."""
        return next((line for line in reversed(lines) if _ends_statement(line.parser, self._opened[line.place])), checkpoint)

    def _before(self, place: int, line: _Begun) -> _Parser:
        """The parser before a token."""
        parser = line.parser.copy(deepcopy_values=False)
        for token in self._tokens[line.place : place]:
            parser.feed_token(token)
        return parser

    def _report(self, place: int, begin: int, before: _Parser) -> Diagnostic | None:
        token = self._tokens[place]
        if self._unreadable(self._tokens[begin].start_pos or 0, token):
            return None
        fault = self._misplaced(place, before) or self._unexpected(token, place, before)
        # A name that is a word of the language is reported once: what it is meant to be is the same everywhere.
        known = (other.word for other in self._faults if isinstance(other, errors.syntax.ReservedWord))
        if not isinstance(fault, errors.syntax.ReservedWord) or fault.word not in known:
            self._faults.append(fault)
        return fault

    def _finish(self, parser: _Parser) -> None:
        expected = _expected(parser)
        try:
            parser.feed_eof()
        except UnexpectedToken:
            if not self._faults:
                self._faults.append(errors.syntax.UnexpectedEnd(span=self._end(), expected=expected, secondary=self._unclosed()))

    def _end(self) -> Span:
        """The empty place after the last token."""
        if not self._tokens:
            return self._source.end()
        stop = self._span(self._tokens[-1]).stop
        return Span(self._source, stop, stop)

    def _unclosed(self) -> tuple[Label, ...]:
        """The innermost bracket that is open at the end, if one is."""
        opened: list[Token] = []
        for token in self._tokens:
            if token.type in ("LBRACE", "LPAR", "LSQB"):
                opened.append(token)
            elif token.type in ("RBRACE", "RPAR", "RSQB") and opened:
                opened.pop()
        return (Label(self._span(opened[-1]), "never closed"),) if opened else ()

    def _starts_line(self, place: int) -> bool:
        return place == 0 or self._tokens[place].line != self._tokens[place - 1].line

    def _may_begin(self, place: int) -> bool:
        return not self._bracketed[place] and (self._starts_line(place) or self._tokens[place - 1].type == "RBRACE")

    def _next_line(self, place: int, depth: int) -> int:
        """The first token after `place` that begins a line at `depth`, or closes the block.

        A line that begins with a token of `_CONTINUING`, such as a brace, an arrow or `else`, belongs to the dropped statement.
        """
        for later in range(place + 1, len(self._tokens)):
            dropped = self._tokens[later].type in _CONTINUING
            if self._depths[later] < depth or (self._depths[later] == depth and self._starts_line(later) and not dropped):
                return later
        return len(self._tokens)

    def _unreadable(self, begin: int, token: Token) -> bool:
        """Whether the statement holds characters that are no token: these are its fault, and later faults in it follow from them."""
        return any(begin <= error.span.start < (token.start_pos or 0) for error in self._unlexable)

    def _misplaced(self, place: int, parser: _Parser) -> Diagnostic | None:
        """A specific diagnostic for an unexpected token; None where no more is known than that."""
        before = self._tokens[place - 1] if place else None
        after = self._tokens[place + 1].type if place + 1 < len(self._tokens) else ""
        token, choices = self._tokens[place], parser.accepts()
        # `elif` stands for `else when`.
        if before is not None and before.type == "ELSE" and token.type in ("WHEN", "IF") and "LBRACE" in choices:
            return errors.syntax.ElseCondition(span=self._span(token))
        if before == "elif" and place > 1 and self._tokens[place - 2].type == "RBRACE":
            return errors.syntax.ElseCondition(span=self._span(before))
        if token.type == "ELSE" and after in ("LBRACE", "WHEN") and choices & {"WHEN", "LBRACE"}:
            return errors.syntax.MisplacedElse(span=self._span(token))
        if (word := self._reserved(place, choices)) is not None:
            return errors.syntax.ReservedWord(span=self._span(word), word=str(word))
        reason = advice.MISPLACED.get((self._owner(place), token.type), "")
        begins = self._may_begin(place) or (before is not None and before.type == "LBRACE")
        if reason and begins and _ends_statement(parser, 1):
            return errors.syntax.MisplacedStatement(span=self._span(token), word=str(token), reason=reason)
        return None

    def _reserved(self, place: int, choices: set[str]) -> Token | None:
        """The word of the language that stands where a name could, and is used like one; the token at `place` is the unexpected one."""
        token = self._tokens[place]
        before = self._tokens[place - 1] if place else None
        if before is not None and _is_word(before) and token.type in ("ASSIGN", "ARROW", "COMMA", "COLON") and "NAME" in choices:
            return before
        if not _is_word(token) or "NAME" not in choices:
            return None
        ends = place + 1 == len(self._tokens) or self._starts_line(place + 1)
        return token if ends or self._tokens[place + 1].type in _AFTER_A_NAME else None

    def _owner(self, place: int) -> str:
        """The kind of the declaration around a token, by its first token."""
        depth = 0
        for earlier in range(place - 1, -1, -1):
            token = self._tokens[earlier]
            depth += (token.type == "RBRACE") - (token.type == "LBRACE")
            if depth < 0 and token.type in advice.DECLARATIONS:
                return token.type
        return ""

    def _unexpected(self, token: Token, place: int, parser: _Parser) -> Diagnostic:
        help_ = self._advice(token, place, parser.accepts())
        return errors.syntax.UnexpectedText(
            span=self._span(token), found=_shown(token), expected=_expected(parser, _shown(token)), help=help_
        )

    def _advice(self, token: Token, place: int, choices: set[str]) -> str:
        text, start = self._source.text, token.start_pos or 0
        before = self._tokens[place - 1] if place else None
        first = next((each for each in range(place, -1, -1) if each == 0 or self._may_begin(each)), 0)
        match token.type:
            case "TIMES" if text.startswith("*", start - 1):
                return advice.POWER
            case "OVER" if text.startswith("//", start) or text.startswith("//", start - 1):
                return "a quotient is `a / b`; a comment begins with `#`"
            case "COMMA" if "RPAR" in choices and "NAME" not in choices:
                return "several values in one are a list, in square brackets: `[20, 12]`"
            case "COMMA" if before is not None and before.type == "RPAR":
                return advice.ONE_VALUE
            case "IF" if "WHEN" in choices:
                return "statements are chosen with `when condition { ... } else { ... }`"
            case "LPAR" if before is not None and before.type == "RPAR":
                return advice.CALLED
            case "LPAR" if place > 1 and self._tokens[place - 2].type == "COLON" and "LSQB" in choices:
                return "dimensions stand in square brackets: `float[time, 12]`"
            case "COLON" if _in_dimensions(text, start):
                return advice.LENGTH
            case "COLON" if "RSQB" in choices:
                return advice.SLICE
            case "COLON" if {"ASSIGN", "RPAR"} <= choices:
                return advice.NAMED
            case "PLUS" | "MINUS" | "TIMES" | "OVER" if text.startswith("=", start + 1):
                return "an equation gives a name its one value: `h' = h + x`"
            case _ if _is_word(token) and "NAME" in choices:
                return f"`{token}` is a word of the language and can't be a name"
            case "NAME" if choices & {"MODEL", "LBRACE"} and token in advice.HEADS:
                return advice.HEADS[str(token)]
            case "NAME" if "MODEL" in choices and token not in advice.WORDS:
                return nearest(str(token), advice.TOP_LEVEL)
            case _ if self._tokens[first].type == "NAME":
                return advice.WORDS.get(str(self._tokens[first]), "")
            case _:
                return ""

    def _span(self, token: Token) -> Span:
        return _span(self._source, token)


@frozen
class _Begun:
    """The parser before the first token of a line."""

    place: int
    parser: _Parser


_CONTINUING = frozenset(
    {"LBRACE", "RBRACE", "ELSE", "ARROW", "COMMA", "RPAR", "RSQB", "PLUS", "MINUS", "TIMES", "MATMUL", "AND", "OR"}
)  # fmt: skip
"""Tokens that a statement goes on with on its next line, and nobody would begin one with."""

_AFTER_A_NAME = _CONTINUING - {"LBRACE", "ELSE"} | {
    "ASSIGN", "COLON", "LPAR", "LSQB", "OVER", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT", "IF",
}  # fmt: skip
"""Tokens that follow a name, or an expression's end."""


def _is_word(token: Token) -> bool:
    """Whether a token is a word of the language, and so no name."""
    return token.type not in ("NAME", "TRUE", "FALSE", "NONE") and token.isidentifier()


def _brace_depths(tokens: list[Token]) -> Iterator[int]:
    """The number of open braces around each token; a closing brace counts as outside of its block."""
    depth = 0
    for token in tokens:
        if token.type == "RBRACE":
            depth = max(0, depth - 1)
        yield depth
        if token.type == "LBRACE":
            depth += 1


def _in_brackets(tokens: list[Token]) -> Iterator[bool]:
    """Whether round or square brackets are open before each token, counted from the last brace on."""
    opened = 0
    for token in tokens:
        yield opened > 0
        if token.type in ("LPAR", "LSQB"):
            opened += 1
        elif token.type in ("RPAR", "RSQB"):
            opened = max(0, opened - 1)
        elif token.type in ("LBRACE", "RBRACE"):
            opened = 0


def _ends_statement(parser: _Parser, depth: int) -> bool:
    try:
        parser.copy(deepcopy_values=False).feed_token(Token("RBRACE" if depth else "$END", ""))
    except UnexpectedToken:
        return False
    return True


_STARTS = (
    ({"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE", "PRIMED", "LPAR", "LSQB", "MINUS", "NOT"}, ["a value"]),
    ({"INPUT", "TRAIN", "NAME", "REPEAT", "LSQB"}, ["a layer", "`input`", "`train`"]),
    ({"WEIGHT", "STATE", "RETURN", "NAME", "PRIMED"}, ["`weight`", "`state`", "an equation", "`return`"]),
    ({"RETURN", "NAME", "PRIMED"}, ["an equation", "`return`"]),
    ({"MODEL", "CELL", "BLOCK", "IMPORT"}, [f"`{word}`" for word in advice.TOP_LEVEL]),
    ({"NAME", "PRIMED"}, ["a name"]),
    ({"NAME", "LSQB", "REPEAT"}, ["a layer"]),
)
_OPERATORS = {
    "PLUS", "MINUS", "TIMES", "OVER", "MATMUL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SAME", "DIFFERENT", "AND", "OR",
    "IF", "LSQB", "ARROW",
}  # fmt: skip
_SPELLINGS = {
    "NAME": "a name", "STRING": "a text in double quotes", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`",
    "RBRACE": "`}`", "COLON": "`:`", "COMMA": "`,`", "ASSIGN": "`=`", "ELSE": "`else`",
}  # fmt: skip


def _expected(parser: _Parser, found: str = "") -> str:
    """The tokens that could stand here other than that `found`, in words: groups by their name, operators only if nothing else fits."""
    choices = parser.accepts() - {"$END"}
    phrases: list[str] = []
    for group, words in _STARTS:
        if group <= choices:
            phrases += words
            choices -= group
    choices = choices - _OPERATORS or choices
    phrases += [_SPELLINGS[name] for name in sorted(choices) if name in _SPELLINGS]
    phrases = [phrase for phrase in phrases if phrase != found]
    match phrases:
        case []:
            return "expected an operator"
        case [one]:
            return f"expected {one}"
        case _:
            return f"expected {', '.join(phrases[:-1])} or {phrases[-1]}"


def _shown(token: Token) -> str:
    text = str(token)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}...`"


def _check_depth(source: SourceFile, tree: Parsed) -> None:
    """Refuses what the recursive stages couldn't walk; itself iterative."""
    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > limits.DEPTH:
            span = Span(source, node.meta.start_pos, node.meta.end_pos)
            raise SpecError([errors.syntax.NestedTooDeeply(span=span, limit=limits.DEPTH)])
        pending.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))


def _check_parameters(file: ast.File) -> None:
    for declaration in file.declarations:
        if not isinstance(declaration, ast.Import) and len(declaration.parameters) > limits.PARAMETERS:
            name, found = declaration.name, len(declaration.parameters)
            raise SpecError([errors.limits.TooManyParameters(span=name.span, name=name.text, found=found, limit=limits.PARAMETERS)])
