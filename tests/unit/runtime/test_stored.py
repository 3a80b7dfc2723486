"""Plain data as JSON: what is written is read, and anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, TypeAlias

import pytest

from rnnspec.compile_cache import CachedSpec
from rnnspec.contract.dimensions import BATCH, STEPS, Dim, Name, Tokens, at_least_zero
from rnnspec.contract.native_function import NativeFunction
from rnnspec.driver import compilation, source_files
from rnnspec.runtime.native.executable import Variant
from rnnspec.runtime.storage.dataclass_json import Unfit, from_json, to_json

Argument: TypeAlias = float | int | bool | str | tuple["Argument", ...] | None


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Other:
    name: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Tree:
    leaves: tuple[Leaf | Other, ...]
    pair: tuple[str, int]
    rows: Dim
    arguments: tuple[tuple[str, Argument], ...]
    named: Mapping[str, Argument]
    content: bytes
    inner: tuple[Tree, ...] = ()
    chosen: Leaf | tuple[Leaf | None, ...] | None = None
    number: float = 0.5
    word: Literal["one", "two"] = "one"


TREE = Tree(
    (Leaf("a"), Other("b", Colour.BLUE), Leaf("ü\ud800", -(10**30))),
    ("x", 1),
    BATCH,
    (("rate", 0.1), ("sizes", (1, (2.0, "tanh"), None)), ("flag", True)),
    {"units": 3, "none": None},
    b"\0\xff",
)


@pytest.mark.parametrize(
    "value",
    [
        TREE,
        replace(TREE, rows=7, inner=(TREE, TREE)),
        replace(TREE, rows=BATCH * at_least_zero(Name("time") - 2)),
        replace(TREE, rows=Tokens(3) * 40 + STEPS * 60 + Name("steps") + BATCH * Name("steps") + 5),
        replace(TREE, chosen=Leaf("one")),
        replace(TREE, chosen=(None, Leaf("two"))),
        replace(TREE, number=float("inf"), word="two"),
        replace(TREE, number=1e-310, leaves=(), arguments=(), named={}),
    ],
)
def test_what_is_written_is_read(value: Tree) -> None:
    found = from_json(Tree, to_json(value))
    assert found == value
    assert repr(found) == repr(value)  # 1 and 1.0 and True are equal


def plain(**changed: object) -> bytes:
    return json.dumps({**json.loads(to_json(TREE)), **changed}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        b"9" * 10_000,
        plain(more=1),
        plain(leaves=[{"size": 1}]),
        plain(leaves=[{"name": "a", "size": 1, "colour": "red"}]),
        plain(leaves=[{"name": "a", "size": 1.0}]),
        plain(leaves=[{"name": "a", "size": True}]),
        plain(leaves=[{"name": 3, "size": 1}]),
        plain(leaves=[{"name": "b", "colour": "green"}]),
        plain(leaves={"name": "a", "size": 1}),
        plain(leaves="ab"),
        plain(pair=["x"]),
        plain(pair=["x", 1, 2]),
        plain(pair=[1, "x"]),
        plain(rows=None),
        plain(rows=1.5),
        plain(rows="7"),
        plain(rows="time-"),
        plain(rows={"text": "time"}),
        plain(arguments=[["rate", {}]]),
        plain(arguments=[["rate", [{}]]]),
        plain(named=[]),
        plain(content="0"),
        plain(content="zz"),
        plain(content=3),
        plain(inner=[{}]),
        plain(number="0.5"),
        plain(number=1),
        plain(word="three"),
        plain(word=["one"]),
    ],
)
def test_other_text_is_unfit(content: bytes) -> None:
    with pytest.raises(Unfit, match=r"^not a Tree: "):
        from_json(Tree, content)


def test_what_is_no_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="list isn't plain data"):
        to_json(replace(TREE, pair=[]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="isn't plain data"):
        from_json(Unreadable, b'{"value": 1}')


@dataclass
class Unreadable:
    value: Any


SPEC = """
model Everything(units = 4) {
    input words: int[time]
    input extra: float[3]
    text = words -> Embedding(9, 4, mask_zero = true) -> Bidirectional(LSTM(units, kernel_regularizer = L2(0.1), dropout = 0.5))
    [text, extra] -> Concatenate() -> BatchNormalization() -> Dense(2, activation = softmax, activity_regularizer = L1(0.1))
    train { loss = categorical_crossentropy  optimizer = Adam(clipnorm = 1.0)  metrics = [accuracy]  epochs = 3 }
}
"""


def test_what_the_cache_keeps_of_a_model() -> None:
    compiled = compilation.build(source_files.read_spec(SPEC), {"units": 2}, "float64")
    kept = CachedSpec(compiled.signature, compiled.source, compiled.warnings, (("a.rnn", "0" * 64),))
    found = from_json(CachedSpec, to_json(kept))
    assert found == kept and repr(found) == repr(kept)
    for wanted in (Variant("forward", False, shared=True), Variant("record", True, activities=True), Variant("backward", True)):
        function = compiled.compilation.native(wanted)
        assert from_json(NativeFunction, to_json(function)) == function


def test_a_field_with_a_default_may_be_missing() -> None:
    """As in a file that was written before there was such a field."""
    assert from_json(Leaf, b'{"name": "a"}') == Leaf("a", 0)
    with pytest.raises(Unfit, match="Leaf has other fields"):
        from_json(Leaf, b'{"size": 1}')
