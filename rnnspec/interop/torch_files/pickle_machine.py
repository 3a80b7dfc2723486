"""A pickle's values without Python's unpickler: nothing is imported, called or built but plain containers and what tensors are made of.

The opcodes of a pickle are a program for a machine with a stack. This one knows the containers; names and calls stay
as they are written, and whoever reads the result decides what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from pickletools import genops
from typing import Any, TypeAlias, cast

from rnnspec.frozen import frozen
from rnnspec.interop.torch_files.archive import CheckpointError

Value: TypeAlias = Any
"""None, a bool, a number, a text, bytes, a tuple, a list, a dict, or one of the three classes here."""

LARGEST_KEY = 2**60
"""Of whole numbers as keys: from here on they could be chosen so that all of them fall on one place of a dict."""


MOST_OPCODES = 1_000_000
"""A tensor takes about forty."""


@frozen
class Named:
    """Something by its module and name, which isn't imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Call:
    """A call that isn't made: what is called, its arguments, and the state that the result would be given."""

    __slots__ = ("arguments", "called", "state")

    def __init__(self, called: Named, arguments: tuple[Value, ...]) -> None:
        self.called, self.arguments = called, arguments
        self.state: Value = None


@frozen
class Reference:
    """Something that lies outside of the pickle."""

    value: Value


class _OddKey:
    """A key that isn't a text or a small number; two of them are never the same."""


_MARK = object()

_PLAIN = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NEW: dict[str, Callable[[], Value]] = {"EMPTY_LIST": list[Any], "EMPTY_DICT": dict[Any, Any], "EMPTY_TUPLE": tuple[Any, ...]}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_WRITTEN = _NUMBERS | _TEXTS | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


def values_of(pickle: bytes) -> Value:
    """The value of a pickle; CheckpointError for a damaged one, and for opcodes that `torch.save` doesn't write."""
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(genops(pickle)):
            if number > MOST_OPCODES:
                raise CheckpointError(f"its pickle has more than {MOST_OPCODES:,} opcodes, which no state dict needs")
            machine.step(opcode.name, argument)
        return machine.pop()
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, EOFError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"damaged: its pickle can't be read ({type(error).__name__}: {str(error)[:200]})") from None


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}

    def pop(self) -> Value:
        value = self.stack.pop()
        if value is _MARK:
            raise CheckpointError("damaged: its pickle has a mark where a value belongs")
        return value

    def to_mark(self) -> list[Value]:
        """Takes all that is above the last mark, and the mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise CheckpointError("damaged: its pickle lacks a mark")
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _WRITTEN:
            stack.append(argument)
        elif name in _PLAIN:
            stack.append(_PLAIN[name])
        elif name in _NEW:
            stack.append(_NEW[name]())
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            stack.append(tuple(reversed([self.pop() for _ in range(count)])))
        elif name in _PUTS:
            self.memo[argument] = self._top()
        elif name in _GETS:
            stack.append(self.memo[argument])
        else:
            self._other(name, argument)

    def _other(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case "MEMOIZE":
                self.memo[len(self.memo)] = self._top()
            case "POP":
                stack.pop()
            case "POP_MARK":
                self.to_mark()
            case "TUPLE":
                stack.append(tuple(self.to_mark()))
            case "LIST":
                stack.append(self.to_mark())
            case "DICT":
                stack.append(_put({}, self.to_mark()))
            case "APPEND":
                value = self.pop()
                self._list().append(value)
            case "APPENDS":
                values = self.to_mark()
                self._list().extend(values)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self._set([key, value])
            case "SETITEMS":
                self._set(self.to_mark())
            case "GLOBAL":
                module, _, attribute = argument.partition(" ")
                stack.append(Named(module, attribute))
            case "STACK_GLOBAL":
                attribute, module = self.pop(), self.pop()
                if not isinstance(attribute, str) or not isinstance(module, str):
                    raise CheckpointError("damaged: a name in its pickle isn't a text")
                stack.append(Named(module, attribute))
            case "BINPERSID":
                stack.append(Reference(self.pop()))
            case "REDUCE" | "NEWOBJ":
                arguments, called = self.pop(), self.pop()
                stack.append(_called(called, arguments))
            case "NEWOBJ_EX":
                _, arguments, called = self.pop(), self.pop(), self.pop()
                stack.append(_called(called, arguments))
            case "BUILD":
                state, built = self.pop(), self._top()
                if isinstance(built, Call):
                    built.state = (built.state, state)
                elif not isinstance(built, dict):  # a state dict's own attributes, `_metadata`, are of no use here
                    raise CheckpointError("its pickle sets attributes of something that has none")
            case _:
                raise CheckpointError(f"its pickle has the opcode {name}, which torch.save doesn't write")

    def _top(self) -> Value:
        if self.stack[-1] is _MARK:
            raise CheckpointError("damaged: its pickle has a mark where a value belongs")
        return self.stack[-1]

    def _list(self) -> list[Value]:
        top = self._top()
        if isinstance(top, Call):  # of a class that is a list
            entries: list[Value] = []
            top.state = (top.state, entries)
            return entries
        if not isinstance(top, list):
            raise CheckpointError("damaged: its pickle appends to what isn't a list")
        return cast(list[Value], top)

    def _set(self, pairs: list[Value]) -> None:
        top = self._top()
        if isinstance(top, Call):
            top.state = (top.state, pairs)
        elif isinstance(top, dict):
            _put(cast(dict[Value, Value], top), pairs)
        else:
            raise CheckpointError("damaged: its pickle sets items of what isn't a dict")


def _put(target: dict[Value, Value], pairs: list[Value]) -> dict[Value, Value]:
    if len(pairs) % 2:
        raise CheckpointError("damaged: a dict in its pickle has a key without a value")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        plain = isinstance(key, str) or (isinstance(key, int) and abs(key) < LARGEST_KEY)
        target[key if plain else _OddKey()] = value
    return target


def _called(called: Value, arguments: Value) -> Value:
    """An ordered dict or a set of items as plain containers, everything else as a call that isn't made."""
    if not isinstance(called, Named):
        raise CheckpointError(f"its pickle calls what isn't a name, but {type(called).__name__}")
    given: tuple[Value, ...] = cast("tuple[Value, ...]", arguments) if isinstance(arguments, tuple) else (arguments,)
    if (called.module, called.name) == ("collections", "OrderedDict"):
        if not given:
            return {}
        if len(given) == 1 and isinstance(given[0], list):
            entries = cast("list[Value]", given[0])
            if all(isinstance(entry, (list, tuple)) and len(cast("list[Value]", entry)) == 2 for entry in entries):
                return _put({}, [part for entry in entries for part in cast("list[Value]", entry)])
        raise CheckpointError("damaged: an OrderedDict in its pickle is made of something else than pairs")
    return Call(called, given)
