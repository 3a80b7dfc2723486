"""Frozen dataclasses that cost a start little: of the six functions that the standard library compiles for each, `frozen` has one, late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache, partial
from operator import attrgetter
from reprlib import recursive_repr
from types import CodeType, FunctionType
from typing import Any, TypeAlias, TypeVar, dataclass_transform, overload

Node = TypeVar("Node")

_set = object.__setattr__


@overload
def frozen(cls: type[Node], /) -> type[Node]: ...
@overload
def frozen(
    *, kw_only: bool = False, eq: bool = True, slots: bool = True, weakref_slot: bool = False
) -> Callable[[type[Node]], type[Node]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(
    cls: type[Node] | None = None, /, *, kw_only: bool = False, eq: bool = True, slots: bool = True, weakref_slot: bool = False
) -> type[Node] | Callable[[type[Node]], type[Node]]:
    """A dataclass whose fields can't be set again, with slots: what `dataclass(frozen=True, slots=True)` makes, in a third of the time.

    Equality, hash, text, pickling and the refusal to set a field are functions that all such classes share. Both kinds can't inherit
    from each other. `InitVar` and `KW_ONLY` aren't supported; `order` neither.

    Args:
        cls: The class.
        kw_only: All its fields are given by name.
        eq: Equal by its fields, rather than by identity.
        slots: Without a `__dict__`.
        weakref_slot: With a slot for weak references.
    """

    def made(cls: type[Node]) -> type[Node]:
        shared = SHARED | SHARED_WITH_SLOTS if slots else SHARED
        for name, method in shared.items():
            if name not in cls.__dict__:
                setattr(cls, name, method)
        ready: Any = dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots, weakref_slot=weakref_slot)(cls)
        if eq:
            _compare_by(ready, [member.name for member in fields(ready) if member.compare])
        ready.__init__ = _InitializerInWaiting(ready)
        return ready

    return made if cls is None else made(cls)


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, member.name) for member in fields(self)]


def _set_state(self: Any, state: list[object]) -> None:
    for member, value in zip(fields(self), state, strict=True):
        _set(self, member.name, value)


@recursive_repr()
def _text(self: Any) -> str:
    shown = (f"{member.name}={getattr(self, member.name)!r}" for member in fields(self) if member.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


SHARED: dict[str, Callable[..., object]] = {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete, "__repr__": _text}
"""Methods of every frozen class that has none of its own."""

SHARED_WITH_SLOTS: dict[str, Callable[..., object]] = {"__getstate__": _state, "__setstate__": _set_state}
"""Those of one without a `__dict__`: pickling mustn't set fields one by one."""


def _compare_by(cls: Any, names: list[str]) -> None:
    """Equality and hash by the fields of these names, where the class has none of its own."""
    key: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(key(self))

    if "__eq__" not in cls.__dict__:
        cls.__eq__ = __eq__
    if cls.__dict__.get("__hash__") is None:
        cls.__hash__ = __hash__


class _InitializerInWaiting:
    """The `__init__` of a class until it is first asked for: of many classes a process makes no object."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def __get__(self, instance: object | None, owner: type) -> Any:
        method = self._cls.__dict__["__init__"]
        if method is self:
            method = self._cls.__init__ = _initializer(self._cls)
        return method if instance is None else partial(method, instance)


_Place: TypeAlias = tuple[bool, bool, bool, bool]
"""The facts about a field that `__init__` depends on beside its name: is it given, is it by name, has it a default, or a maker of one."""


def _initializer(cls: Any) -> Callable[..., None]:
    """`__init__`: compiled, since objects are made often, once for all classes whose fields differ in their names alone."""
    members = fields(cls)
    values: dict[str, Any] = {"_set": _set, "_MISSING": MISSING}
    shape: list[_Place] = []
    given: list[Any] = []
    by_name: dict[str, Any] = {}
    for number, member in enumerate(members):
        default, factory = member.default is not MISSING, member.default_factory is not MISSING
        shape.append((member.init, bool(member.kw_only), default, factory))
        if default or factory:
            values[f"d{number}"] = member.default if default else member.default_factory
            if member.init and member.kw_only:
                by_name[member.name] = member.default
            elif member.init:
                given.append(member.default)
    code = _code(tuple(shape), hasattr(cls, "__post_init__"))
    names = {f"f{number}": member.name for number, member in enumerate(members)}
    own = code.replace(
        co_varnames=tuple(names.get(name, name) for name in code.co_varnames),
        co_consts=tuple(names.get(each, each) if isinstance(each, str) else each for each in code.co_consts),
        co_qualname=f"{cls.__qualname__}.__init__",
    )
    method = FunctionType(own, values, "__init__", tuple(given))
    method.__kwdefaults__ = by_name
    method.__annotations__ = {member.name: member.type for member in members if member.init} | {"return": None}
    return method


@cache
def _code(shape: tuple[_Place, ...], post: bool) -> CodeType:
    """The code of an `__init__` of fields f0, f1 and so on; d0, d1 and so on are their defaults, or what makes these."""
    given: list[str] = []
    by_name: list[str] = []
    body: list[str] = []
    for number, (is_given, is_by_name, default, factory) in enumerate(shape):
        name = f"f{number}"
        value = f"d{number}()" if factory else f"d{number}" if default else ""
        if is_given:
            (by_name if is_by_name else given).append(f"{name}=None" if value else name)
            value = f"{value} if {name} is _MISSING else {name}" if factory else name
        if value:
            body.append(f"_set(self, {name!r}, {value})")
    if post:
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *given, *(["*", *by_name] if by_name else [])])
    names: dict[str, Any] = {}
    exec("\n ".join([f"def __init__({parameters}):", *(body or ["pass"])]), names)
    return names["__init__"].__code__
