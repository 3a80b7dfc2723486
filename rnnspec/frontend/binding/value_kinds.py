"""Values that one test tells apart, whatever the argument is that they are given to."""

from __future__ import annotations

from rnnspec.frontend.binding.values import LocatedValue, Symbol, Value


def texts(items: tuple[LocatedValue, ...]) -> tuple[LocatedValue, ...]:
    """Texts, and names as texts; none if something else is among them, or one twice."""
    found = tuple(LocatedValue(item.value.name, item.span) if isinstance(item.value, Symbol) else item for item in items)
    plain_texts = [item.value for item in found if isinstance(item.value, str) and item.value]
    return found if len(plain_texts) == len(items) == len(set(plain_texts)) else ()


def is_number(given: LocatedValue) -> bool:
    """Whether a value is a number, and not true or false."""
    return isinstance(given.value, int | float) and not isinstance(given.value, bool)


def is_list(given: LocatedValue) -> bool:
    """Whether a value is a list."""
    return isinstance(given.value, tuple)


def axes(value: Value) -> Value:
    """A whole number, or a list of them; None if it is neither."""
    match value:
        case int() if not isinstance(value, bool):
            return value
        case tuple() if value and all(isinstance(item.value, int) and not isinstance(item.value, bool) for item in value):
            return value
        case _:
            return None
