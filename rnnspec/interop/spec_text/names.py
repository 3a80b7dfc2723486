"""Names of a spec, made of the names that a file has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_LANGUAGE = """model cell block function loss metric import input shared repeat output train weight frozen state when else return if and or
not true false none of except batch rows tokens"""

WORDS = frozenset(_LANGUAGE.split())
"""Words of the language, which can't be names, or can't be everywhere."""

LONGEST = 64
"""Characters of a name that is made here; the language takes more."""

_AUTOMATIC = re.compile(r"(.*?)(_\d+)?", re.DOTALL)


def snake_case(name: str) -> str:
    """Keras's spelling of a class name, which automatic names of layers have: `LSTM` is lstm, `SimpleRNN` simple_rnn."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def valid_name(name: str, otherwise: str = "value") -> str:
    """A name that a spec can have: other signs are underscores, none at its ends, a digit or a word of the language has one behind."""
    made = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:LONGEST].rstrip("_") or otherwise
    if made[0].isdigit():
        made = f"{otherwise}_{made}"
    return f"{made}_" if made in WORDS else made


def model_name(name: str, taken: Iterable[str]) -> str:
    """A model's name as a person writes it: `speaker_model` is SpeakerModel."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    made = "".join(part[:1].upper() + part[1:] for part in parts)[:LONGEST] or "Imported"
    made = made if made[0].isalpha() else f"Model{made}"
    return f"{made}Model" if made in set(taken) else made


def is_automatic(name: str, layer: str) -> bool:
    """Whether a layer's name is one that Keras or the language makes of its type: `lstm`, `lstm_3`."""
    found = _AUTOMATIC.fullmatch(name)
    return found is not None and found[1] == snake_case(layer)


class Names:
    """Names that are handed out once each."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def __contains__(self, name: str) -> bool:
        """Whether a name has been handed out."""
        return name in self._taken

    def take(self, wanted: str) -> str:
        """The wanted name, with a number behind it if it is taken."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


class AutomaticNames:
    """The names that the language gives to layers without one, in the order in which they are written."""

    def __init__(self, given: Iterable[str]) -> None:
        self._given = set(given)
        self._seen: Counter[str] = Counter()

    def inner(self, layer: str) -> str:
        """The next name of a layer inside another."""
        stem = snake_case(layer)
        self._seen[stem] += 1
        return stem if self._seen[stem] == 1 else f"{stem}_{self._seen[stem] - 1}"

    def next(self, layer: str) -> str:
        """The next name of a layer, which isn't one that another was given."""
        while (name := self.inner(layer)) in self._given:
            pass
        self._given.add(name)
        return name
