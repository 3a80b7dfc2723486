"""JSON lines: an object a line, with the values of a sample by their names."""

from __future__ import annotations

import json
from typing import Any, cast

from rnnspec.datafiles.content import lines_of
from rnnspec.datafiles.table import Column, Table, Wanted, shown


class _Twice(ValueError):
    """A name that comes twice in an object."""


def read_json_lines(name: str, text: str, wanted: Wanted) -> Table:
    """An object a line; ValueError with the line, and the column, of what is none, and of an object that lacks a name that others have."""
    lines: list[int] = []
    objects: list[dict[str, Any]] = []
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            objects.append(_read(f"{name}: line {number}", line, decoder))
            lines.append(number)
    names = list(dict.fromkeys(key for each in objects for key in each))
    columns: dict[str, Column] = {}
    for each in filter(wanted, names):
        for line, found in zip(lines, objects, strict=True):
            if each not in found:
                raise ValueError(f"{name}: line {line}: there is no {shown(each)}, other lines have it")
        columns[each] = Column(name, each, [found[each] for found in objects], lines)
    return Table(name, columns, tuple(names), "key")


def _read(where: str, line: str, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        found: object = decoder.decode(line.strip())
    except _Twice as error:
        raise ValueError(f"{where}: there is {error} twice") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: no JSON object: {error.msg} at character {error.colno}") from None
    except RecursionError:
        raise ValueError(f"{where}: its lists are nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{where}: expected a JSON object with the values of one sample, {{...}}, got {shown(found)}")
    return cast(dict[str, Any], found)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(shown(next(key for key in keys if keys.count(key) > 1)))
    return made
