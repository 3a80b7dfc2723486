"""The fixed text of native code, from `templates/`: what changes in it is put in by name.

jinja2 renders templates, and takes a twentieth of a second to be imported: a tenth of a first start. So the texts for the described
machines were rendered before; a template that has changed since, or other values, are rendered anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from rnnspec.locks import LLVM
from rnnspec.resources import read_resource

if TYPE_CHECKING:
    from jinja2 import Template

FILE = "rendered.json"
"""In `templates/`; `pytest --regenerate tests/unit/backend/test_templates.py` writes it."""


def render(name: str, values: Mapping[str, object]) -> str:
    """The text of `templates/name` with the values that it names; an error of jinja2's for one that is missing."""
    text = _rendered().get(key(name, values))
    return rendered_by_jinja(name, values) if text is None else text


def key(name: str, values: Mapping[str, object]) -> str:
    """What a text is kept under: a digest of its template and of the values put into it."""
    content = json.dumps([read_resource("templates", name), values], sort_keys=True, default=dict)
    return hashlib.sha256(content.encode()).hexdigest()


def rendered_by_jinja(name: str, values: Mapping[str, object]) -> str:
    """The text as jinja2 makes it."""
    with LLVM:  # a fork waits for who imports
        return _template(name).render(values)


@cache
def _rendered() -> Mapping[str, str]:
    return {key: "\n".join(lines) for key, lines in json.loads(read_resource("templates", FILE)).items()}


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(read_resource("templates", name))
