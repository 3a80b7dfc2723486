"""Texts as ids: Keras's numbers, the rules of splitting, lists of texts as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnspec import text_lists
from rnnspec.contract.signature import TextSignature
from rnnspec.runtime.data.tokens import SPECIAL, Vocabulary, most_frequent, padded, tokens_of

FIXTURE = json.loads((Path(__file__).parents[2] / "fixtures" / "keras" / "texts.json").read_text(encoding="utf-8"))


def rules(standardize: str | None = "lower", split: str = "word", **other: Any) -> TextSignature:
    defaults: dict[str, Any] = {"maxlen": None, "padding": "post", "truncating": "post", "vocabulary": None, "line": 1}
    return TextSignature(standardize=standardize, split=split, **(defaults | other))


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=lambda case: f"{case['standardize']}-{case['split']}-{case['max_tokens']}")
def test_vocabulary_and_ids_are_those_of_keras(case: dict[str, Any]) -> None:
    rule = rules(case["standardize"], case["split"], maxlen=case["output_sequence_length"])
    most = None if case["max_tokens"] is None else case["max_tokens"] - len(SPECIAL)
    vocabulary = Vocabulary(most_frequent(FIXTURE["adapt"], rule, most))
    assert vocabulary.all_tokens == case["vocabulary"]
    ids = [vocabulary.ids(text, rule) for text in FIXTURE["texts"]]
    assert padded(ids, len(case["ids"][0]), "post").tolist() == case["ids"]


@pytest.mark.parametrize(
    ("text", "split", "standardize", "tokens"),
    [
        ("It's GOOD, isn\u2019t it?", "word", "lower", ["it's", "good", "isn\u2019t", "it"]),
        ("don't--stop 3.5 so_so", "word", None, ["don't", "stop", "3", "5", "so_so"]),
        ("'quoted' rock'n'roll", "word", None, ["quoted", "rock'n'roll"]),
        ("ÉTÉ straße 日本語 текст", "word", "lower", ["été", "straße", "日本語", "текст"]),
        ("a\u00a0b\tc\nd", "whitespace", None, ["a", "b", "c", "d"]),
        ("A b\n", "character", "lower", ["a", " ", "b", "\n"]),
        ("end.Next!", "whitespace", "lower_and_strip_punctuation", ["endnext"]),
        ("Stop. «Yes»", "whitespace", "strip_punctuation", ["Stop", "«Yes»"]),
        ("", "word", "lower", []),
        ("?!", "word", "lower", []),
    ],
)
def test_tokens(text: str, split: str, standardize: str | None, tokens: list[str]) -> None:
    assert tokens_of(text, rules(standardize, split)) == tokens


def test_a_text_is_cut_at_its_side() -> None:
    vocabulary = Vocabulary(("a", "b", "c"))
    assert vocabulary.ids("a b c x", rules(maxlen=2)).tolist() == [2, 3]
    assert vocabulary.ids("a b c x", rules(maxlen=2, truncating="pre")).tolist() == [4, 1]
    assert vocabulary.ids("a b", rules(maxlen=2, truncating="pre")).tolist() == [2, 3]
    ids = [np.array([2, 3], np.int32), np.array([], np.int32)]
    assert padded(ids, 3, "pre").tolist() == [[0, 2, 3], [0, 0, 0]]
    assert padded(ids, 3, "post").tolist() == [[2, 3, 0], [0, 0, 0]]


def test_what_stands_for_unknown_tokens_is_none_itself() -> None:
    whole = rules(None, "whitespace")
    vocabulary = Vocabulary(most_frequent(["[UNK] [UNK] a"], whole, None))
    assert vocabulary.all_tokens == ["", "[UNK]", "a"]
    assert vocabulary.ids("[UNK] a", whole).tolist() == [1, 2]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True))
def test_a_list_is_what_was_written(texts: list[str]) -> None:
    written = text_lists.encoded(texts)
    assert text_lists.decoded(written) == texts
    assert written.count(b"\n") == len(texts)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"", []),
        (b"a\nb", ["a", "b"]),
        (b"\xef\xbb\xbfa\r\nb\r\n", ["a", "b"]),
        (b"\\\nC:\\dir\n\\\\n\n\\n\n", ["\\", "C:\\dir", "\\n", "\n"]),
        (b"\x0b\n\xc2\x85\n", ["\x0b", "\x85"]),
    ],
)
def test_lists_of_other_programs_are_read(content: bytes, texts: list[str]) -> None:
    assert text_lists.decoded(content) == texts


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", ""], "words: line 2 is empty"),
        (["a", "b", "a"], "words: line 3 is the same as line 1"),
        (["a", 3], "words: line 2: expected a text, got int"),
        (["\ud800"], "words: line 1 holds half of a surrogate pair"),
    ],
)
def test_a_list_with_a_fault_is_refused_with_its_line(texts: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_lists.check_different(texts, "words")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="it isn't UTF-8 text: byte 2 is 0xFF"):
        text_lists.decoded(b"a\n\xff")
