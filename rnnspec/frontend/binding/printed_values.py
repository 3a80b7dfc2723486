"""Values of arguments as the language would write them."""

from __future__ import annotations

from rnnspec.contract.signature import ArgumentValue, Config


def plain(value: ArgumentValue) -> str:
    """A number, a word, a choice, a list or none."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"[{', '.join(map(plain, value))}]"
        case Config():
            return configured(value)
        case float():
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
        case int() | str():
            return str(value)


def configured(choice: Config) -> str:
    """A choice by name, with the arguments that aren't none."""
    given = [f"{name} = {plain(value)}" for name, value in choice.arguments if value is not None]
    return f"{choice.name}({', '.join(given)})" if given else choice.name
