"""`frozen` makes what the standard library's frozen dataclasses with slots are."""

from __future__ import annotations

import copy
import inspect
import pickle
import weakref
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from rnnspec.frozen import frozen


@frozen
class Line:
    """One with every sort of field."""

    start: int
    end: int = 7
    names: list[str] = field(default_factory=list[str], compare=False)
    hidden: str = field(default="h", repr=False)
    length: int = field(init=False, compare=False)
    fixed: int = field(default=3, init=False)
    made: list[int] = field(default_factory=list[int], init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", self.end - self.start)


@dataclass(frozen=True, slots=True)
class Standard:
    """The same by the standard library."""

    start: int
    end: int = 7
    names: list[str] = field(default_factory=list[str], compare=False)
    hidden: str = field(default="h", repr=False)
    length: int = field(init=False, compare=False)
    fixed: int = field(default=3, init=False)
    made: list[int] = field(default_factory=list[int], init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", self.end - self.start)


@frozen(kw_only=True)
class Styled(Line):
    """A class that inherits fields."""

    style: str
    width: float = 1.0


@frozen
class Nothing:
    """A class without fields."""


@frozen(eq=False, slots=False)
class Thing:
    """Equal to itself alone."""

    value: int


@frozen
class Own:
    """A class with methods of its own."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 5

    def __repr__(self) -> str:
        return "own"


@frozen(weakref_slot=True)
class Referred:
    """One that a weak reference may name."""

    value: int


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 2), {}),
    ((), {"end": 4, "start": 1}),
    ((1, 2, ["a"], "z"), {}),
]


@pytest.mark.parametrize(("given", "named"), CALLS)
def test_objects_are_the_standard_library_s(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = Line(*given, **named), Standard(*given, **named)
    assert repr(ours) == repr(theirs).replace("Standard", "Line")
    assert [getattr(ours, member.name) for member in fields(ours)] == [getattr(theirs, member.name) for member in fields(theirs)]
    assert hash(ours) == hash(theirs)
    assert ours == Line(*given, **named) != theirs
    assert is_dataclass(ours)


def test_a_class_is_described_as_the_standard_library_does() -> None:
    assert str(inspect.signature(Line.__init__)).replace(" = <object object>", "").split("->")[1] == " None"
    assert list(inspect.signature(Line).parameters) == list(inspect.signature(Standard).parameters)
    assert Line.__match_args__ == Standard.__match_args__
    assert not hasattr(Line(1), "__dict__")
    assert Line.__init__.__qualname__ == "Line.__init__"


def test_arguments_are_refused_as_ever() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'start'"):
        Line()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'length'"):
        Line(1, length=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional argument"):
        Styled(1, 2, [], "h", "bold")  # type: ignore[misc]


def test_an_initializer_waits_for_the_first_object_and_is_shared() -> None:
    """A start defines hundreds of classes and makes objects of some."""

    @frozen
    class One:
        f1: int
        d0: list[int] = field(default_factory=list[int])
        _set: int = 3

    @frozen
    class Other:
        x: int
        y: dict[str, int] = field(default_factory=dict[str, int])
        z: int = 4

    assert not any(inspect.isfunction(vars(each)["__init__"]) for each in (One, Other))
    assert repr(One(1)).endswith("One(f1=1, d0=[], _set=3)")
    assert repr(Other(z=1, x=2)).endswith("Other(x=2, y={}, z=1)")
    first, second = vars(One)["__init__"], vars(Other)["__init__"]
    assert inspect.isfunction(first)
    assert first.__code__.co_code == second.__code__.co_code
    assert list(inspect.signature(Other).parameters) == ["x", "y", "z"]


def test_fields_of_ancestors_come_first() -> None:
    styled = Styled(1, style="bold")
    assert repr(styled) == "Styled(start=1, end=7, names=[], length=6, fixed=3, made=[], style='bold', width=1.0)"
    assert styled != Styled(1, style="thin")
    assert replace(styled, style="thin") == Styled(1, style="thin")


def test_nothing_is_set_or_deleted() -> None:
    line = Line(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'start'"):
        line.start = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        line.other = 2  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'start'"):
        del line.start
    assert line.start == 1


@pytest.mark.parametrize("value", [Line(1), Styled(1, style="bold"), Nothing(), Referred(2)])
def test_objects_are_copied_and_pickled(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == copy.copy(value) == copy.deepcopy(value) == value


def test_lists_are_each_object_s_own() -> None:
    assert Line(1).names is not Line(1).names


def test_identity_and_own_methods_stay() -> None:
    thing = Thing(1)
    assert thing != Thing(1)
    assert thing == thing
    assert hash(thing) == object.__hash__(thing)
    assert vars(thing) == {"value": 1}
    assert Own(1) == Own(2)
    assert (hash(Own(1)), repr(Own(1))) == (5, "own")
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(())
    referred = Referred(1)
    assert weakref.ref(referred)() is referred


def test_a_text_of_itself_ends() -> None:
    line = Line(1)
    line.names.append(line)  # type: ignore[arg-type]
    assert repr(line) == "Line(start=1, end=7, names=[...], length=6, fixed=3, made=[])"
