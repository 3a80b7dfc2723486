"""A model's inputs of texts: their vocabularies, and texts as ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from rnnspec import text_lists
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature, Signature, TextSignature
from rnnspec.files import large_limit, read_file
from rnnspec.runtime.data.sample_errors import sample_error
from rnnspec.runtime.data.tokens import SPECIAL, Vocabulary, most_frequent, padded
from rnnspec.runtime.data.validate import inputs_by_name

FILE_ENDING = ".txt"


class TextInputs:
    """The vocabularies of a model's inputs of texts by the inputs' names; those that aren't known yet are missing."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._specs = {spec.name: (spec, spec.text) for spec in signature.inputs if spec.text is not None}
        self._only = next(iter(self._specs.values()), None) if len(signature.inputs) == 1 else None
        self.vocabularies: dict[str, Vocabulary] = {}

    def named(self, name: str | None) -> str:
        """The input of that name, or the only one; ValueError if there is no such input of texts."""
        if not self._specs:
            raise ValueError(f"model {self._signature.model} has no input of texts: `input name: text[time]` is one")
        if name is None and len(self._specs) == 1:
            return next(iter(self._specs))
        if name not in self._specs:
            given = "several inputs of texts" if name is None else f"no input of texts {name!r}"
            raise ValueError(f"model {self._signature.model} has {given}; they are {', '.join(self._specs)}")
        return name

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs of texts."""
        return tuple(self._specs)

    def adapted(self, texts: object) -> dict[str, Vocabulary]:
        """New vocabularies of the most frequent tokens; `texts` as for `CompiledModel.adapt`."""
        given = cast(Mapping[str, object], texts) if isinstance(texts, Mapping) else {self.named(None): texts}
        made: dict[str, Vocabulary] = {}
        for name, value in given.items():
            spec, rules = self._specs[self.named(name)]
            if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
                raise ValueError(f"input {name}: expected a list of texts to adapt to, got {type(value).__name__}")
            most = None if spec.vocabulary is None else spec.vocabulary - len(SPECIAL)
            tokens = most_frequent(_checked(name, cast(Iterable[object], value)), rules, most)
            if not tokens:
                raise ValueError(f"input {name}: there is no token in the texts to adapt to")
            made[name] = Vocabulary(tokens)
        return made

    def set(self, name: str, tokens: Sequence[str], what: str) -> None:
        """Takes a vocabulary, with or without Keras's first two tokens; ValueError, which begins with `what`, if it doesn't fit."""
        spec, _ = self._specs[self.named(name)]
        own = tokens[len(SPECIAL) :] if tuple(tokens[: len(SPECIAL)]) == SPECIAL else tokens
        text_lists.check_different(own, what)
        if SPECIAL[1] in own:
            raise ValueError(f"{what}: {SPECIAL[1]} stands for all unknown tokens, and isn't one of the vocabulary")
        if spec.vocabulary is not None and len(own) + len(SPECIAL) > spec.vocabulary:
            room = f"{len(own)} tokens and two for padding and unknown ones, input {name} takes {spec.vocabulary} ids"
            raise ValueError(f"{what}: {room}")
        self.vocabularies[name] = Vocabulary(tuple(own))

    def read_files(self, path: str) -> None:
        """Reads the vocabularies that the spec at `path` names; ValueError with the line that names one, if it can't be read."""
        for name, (_, rules) in self._specs.items():
            if rules.vocabulary is not None:
                what = f"{path}:{rules.line}: input {name}: vocabulary {rules.vocabulary}"
                self.set(name, _file(Path(path).parent / rules.vocabulary, what), what)

    def encoded(self, x: object) -> object:
        """The inputs with ids in the place of texts; as they are where there are none."""
        if not self._specs:
            return x
        named = dict(inputs_by_name(self._signature, x))
        for name, (spec, rules) in self._specs.items():
            texts = _texts(name, named[name])
            if texts is not None:
                named[name] = self._ids(spec, rules, texts)
        return named

    def of_one(self, x: object) -> object:
        """For a model whose only input takes texts the ids, int32 (1, tokens), of x's only text; x as it is where it is anything else.

        `encoded` does the same for any number of inputs and texts, and says what is wrong with them; this is for small calls.
        """
        if self._only is None:
            return x
        spec, rules = self._only
        given = x
        if type(given) is dict:
            given = cast(dict[str, object], given).get(spec.name) if len(cast(dict[str, object], given)) == 1 else None
        if type(given) is np.ndarray and given.shape == (1,):
            given = given.tolist()
        if type(given) is not list:
            return x
        items, vocabulary = cast(list[object], given), self.vocabularies.get(spec.name)
        if len(items) != 1 or type(text := items[0]) is not str or vocabulary is None or _has_half(text):
            return x
        ids, steps = vocabulary.ids(text, rules), spec.shape[0]
        return padded([ids], steps, rules.padding) if isinstance(steps, int) else ids[None]

    def _ids(self, spec: InputSignature, rules: TextSignature, texts: Sequence[str]) -> object:
        vocabulary = self.vocabularies.get(spec.name)
        if vocabulary is None:
            advice = "model.adapt(texts) makes one of the texts to train on, model.set_vocabulary(tokens) takes one"
            raise ValueError(f"input {spec.name}: it has no vocabulary yet: {advice}")
        ids = [vocabulary.ids(text, rules) for text in texts]
        steps = spec.shape[0]
        return padded(ids, steps, rules.padding) if isinstance(steps, int) else ids


def _file(path: Path, what: str) -> list[str]:
    """The lines of a vocabulary; only of files that are meant to be read as text, since what they hold gets into the model's file."""
    if not path.resolve().name.endswith(FILE_ENDING):
        raise ValueError(f"{what}: a vocabulary is a file whose name ends in {FILE_ENDING}")
    try:
        return text_lists.decoded(read_file(path, large_limit()))
    except OSError as error:
        raise ValueError(f"{what}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _texts(name: str, value: object) -> list[str] | None:
    """The texts of a value; None where it holds numbers, ValueError where it is one text or holds other things beside texts."""
    if isinstance(value, (str, bytes)):
        raise ValueError(f"input {name}: expected a list of texts, got one: write it as [text]")
    items = listed(value)
    if items is None or not any(isinstance(item, (str, bytes)) for item in items):
        return None
    return list(_checked(name, items))


def listed(value: object) -> list[object] | None:
    """The items of a list, or of an array that isn't of numbers, along its only axis; None of what can't hold texts."""
    if isinstance(value, (list, tuple)):
        return list(cast(Sequence[object], value))
    kind: Any = getattr(value, "dtype", None)
    if kind is None or getattr(kind, "kind", "O") not in "OUST":  # a library's own dtype of texts has another kind, or none
        return None
    array: Array = np.asarray(cast(Any, value), object)
    flat = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
    return flat.tolist() if flat.ndim == 1 else None


def _checked(name: str, items: Iterable[object]) -> Iterable[str]:
    for sample, item in enumerate(items):
        if not isinstance(item, str):
            advice = ": decode it, `.decode()`" if isinstance(item, bytes) else ""
            raise sample_error(f"input {name}", sample, f"expected a text, got {type(item).__name__}{advice}")
        if _has_half(item):
            raise sample_error(f"input {name}", sample, "its text holds half of a surrogate pair, which is no character")
        yield item


def _has_half(text: str) -> bool:
    """Whether a text holds half of a surrogate pair."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
