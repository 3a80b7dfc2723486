"""A text's tokens, by the rules of an input of texts, and the ids of tokens."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import TextSignature
from rnnspec.frozen import frozen
from rnnspec.locks import cached_property

PADDING, UNKNOWN = "", "[UNK]"
"""What the ids 0 and 1 stand for, as in Keras: no token, and any token that isn't in the vocabulary."""

SPECIAL = (PADDING, UNKNOWN)

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def tokens_of(text: str, rules: TextSignature) -> list[str]:
    """The tokens of a text, all of them.

    `standardize`: `lower` makes capitals small, in any script; `strip_punctuation` takes ASCII's 32 signs away, so that what is on
    both sides of one becomes one word. `split`: `whitespace`; `word`, the runs of letters, digits and underscores, with apostrophes
    inside; `character`, each character.
    """
    if rules.standardize is not None:
        if "lower" in rules.standardize:
            text = text.lower()
        if "strip_punctuation" in rules.standardize:
            text = text.translate(_PUNCTUATION)
    match rules.split:
        case "character":
            return list(text)
        case "word":
            return _WORD.findall(text)
        case _:
            return text.split()


def most_frequent(texts: Iterable[str], rules: TextSignature, most: int | None) -> tuple[str, ...]:
    """The most frequent tokens of the texts, at most `most`; of equally frequent ones the later in the alphabet first, as in Keras."""
    counts = Counter[str]()
    for text in texts:
        counts.update(tokens_of(text, rules))
    for token in SPECIAL:
        counts.pop(token, None)
    ordered = sorted(counts, reverse=True)  # by code points, as the bytes of UTF-8 are
    ordered.sort(key=counts.__getitem__, reverse=True)
    return tuple(ordered if most is None else ordered[:most])


@frozen(slots=False)
class Vocabulary:
    """The tokens with ids of their own, from 2 on, in their order: `tokens[n]` has id n + 2."""

    tokens: tuple[str, ...]

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {token: number for number, token in enumerate(self.tokens, len(SPECIAL))}

    @property
    def size(self) -> int:
        """The number of ids, 0 and 1 included."""
        return len(self.tokens) + len(SPECIAL)

    @property
    def all_tokens(self) -> list[str]:
        """The token of each id, as Keras's `get_vocabulary` lists them."""
        return [*SPECIAL, *self.tokens]

    def ids(self, text: str, rules: TextSignature) -> Array:
        """The ids of a text's tokens, int32; no more of them than `maxlen`."""
        tokens = tokens_of(text, rules)
        if rules.maxlen is not None and len(tokens) > rules.maxlen:
            tokens = tokens[-rules.maxlen :] if rules.truncating == "pre" else tokens[: rules.maxlen]
        find = self._ids.get
        return np.array([find(token, 1) for token in tokens], np.int32)


def padded(ids: Sequence[Array], steps: int, side: str) -> Array:
    """Ids of at most `steps` tokens as an array (texts, steps), with zeros before them (`pre`) or behind them."""
    array = np.zeros((len(ids), steps), np.int32)
    for row, each in zip(array, ids, strict=True):
        if side == "pre":
            row[steps - len(each) :] = each
        else:
            row[: len(each)] = each
    return array
