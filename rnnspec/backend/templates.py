"""The fixed text of native code, from `templates/`: what changes in it is put in by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from rnnspec.locks import LLVM
from rnnspec.resources import read_resource

if TYPE_CHECKING:
    from jinja2 import Template


def render(name: str, values: Mapping[str, object]) -> str:
    """The text of `templates/name` with the values that it names; an error of jinja2's for one that is missing."""
    with LLVM:  # a fork waits for who imports
        return _template(name).render(values)


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(read_resource("templates", name))
