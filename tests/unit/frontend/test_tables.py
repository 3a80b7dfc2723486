"""The parser's tables are kept: they are those of today's grammar, and parse what tables made from it parse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnnspec.frontend.syntax import lark_tables

CHECKOUT = Path(__file__).parents[3]
GRAMMAR = CHECKOUT / "grammar" / "rnn.lark"
KEPT = CHECKOUT / "grammar" / lark_tables.FILE


def grammar() -> str:
    return GRAMMAR.read_text(encoding="utf-8")


def test_the_kept_tables_are_those_of_the_grammar(regenerate: bool) -> None:
    digest = json.loads(KEPT.read_text(encoding="utf-8"))["grammar"] if KEPT.exists() else ""
    if regenerate and digest != lark_tables.digest(grammar()):
        KEPT.write_text(lark_tables.text(grammar()), encoding="utf-8")
        return
    assert digest == lark_tables.digest(grammar()), "the grammar was changed: pytest --regenerate tests/unit/frontend/test_tables.py"


def test_kept_and_made_tables_give_the_same_trees() -> None:
    kept, made = lark_tables.parser(), lark_tables.made(grammar())
    specs = [path for folder in ("rnnspec", "examples", "benchmarks", "tests") for path in (CHECKOUT / folder).rglob("*.rnn")]
    read = 0
    for path in specs:
        text = path.read_text(encoding="utf-8")
        try:
            expected = made.parse(text)
        except Exception:  # a spec that a test of diagnostics refuses
            continue
        assert kept.parse(text) == expected, path
        read += 1
    assert read > 10


def test_tables_of_another_grammar_or_another_lark_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever version of Lark is installed: the tables of one aren't loaded by another here either."""
    made: list[str] = []
    loaded: list[object] = []
    monkeypatch.setattr(lark_tables, "made", made.append)
    monkeypatch.setattr(lark_tables.lark.Lark, "load", loaded.append)
    monkeypatch.setattr(lark_tables.lark, "__version__", json.loads(KEPT.read_text(encoding="utf-8"))["lark"])
    lark_tables.parser()
    assert len(loaded) == 1 and not made
    with monkeypatch.context() as patch:
        patch.setattr(lark_tables.lark, "__version__", "0.0")
        lark_tables.parser()
    assert made == [grammar()]
    resource = lark_tables.read_resource
    monkeypatch.setattr(lark_tables, "read_resource", lambda folder, name: resource(folder, name) + (" " if name == "rnn.lark" else ""))
    lark_tables.parser()
    assert made == [grammar(), grammar() + " "]
    assert len(loaded) == 1
