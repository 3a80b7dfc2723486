"""Lark's parser for the language, with tables that were made from the grammar once rather than at each start."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from typing import Any, cast

import lark

from rnnspec.resources import read_resource

FILE = "rnn.tables.json"
"""In `grammar/`; `pytest --regenerate tests/unit/frontend/test_tables.py` writes it."""


def parser() -> lark.Lark:
    """The parser of `grammar/rnn.lark`: from the tables that are kept, made anew if they are of another grammar or version of Lark."""
    kept: dict[str, Any] = json.loads(read_resource("grammar", FILE))
    grammar = read_resource("grammar", "rnn.lark")
    if (kept["lark"], kept["grammar"]) != (lark.__version__, digest(grammar)):
        return made(grammar)
    # Lark takes what its files hold as well as a file; its files are pickles, which may run anything and can't be read by people.
    return cast(Any, lark.Lark).load(_with_whole_keys(kept["tables"]))


def made(grammar: str) -> lark.Lark:
    """A parser made from a grammar's text, LALR(1) with Lark's basic lexer: the slow way, without kept tables."""
    return lark.Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False)


def text(grammar: str) -> str:
    """The contents of the tables file for a grammar. The numbers of states differ from process to process."""
    saved = io.BytesIO()
    cast(Any, made(grammar)).save(saved)
    tables = pickle.loads(saved.getvalue())
    return json.dumps({"lark": lark.__version__, "grammar": digest(grammar), "tables": tables}, separators=(",", ":")) + "\n"


def digest(grammar: str) -> str:
    """A grammar's SHA-256 in hexadecimal, by which kept tables are recognised."""
    return hashlib.sha256(grammar.encode()).hexdigest()


def _with_whole_keys(tables: dict[str, Any]) -> dict[str, Any]:
    """The numbers of states, tokens and rules, which JSON writes as text where they are keys, are numbers again."""
    parser = tables["data"]["parser"]["parser"]
    states = {number: _whole(following) for number, following in _whole(parser["states"]).items()}
    parser = {**parser, "states": states, "tokens": _whole(parser["tokens"])}
    data = {**tables["data"], "parser": {**tables["data"]["parser"], "parser": parser}}
    return {**tables, "data": data, "memo": _whole(tables["memo"])}


def _whole(table: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}
