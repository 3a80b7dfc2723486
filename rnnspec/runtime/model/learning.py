"""What a model learns of data before it is trained: vocabularies, class names, and the means and variances of layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.locks import LLVM, Lock
from rnnspec.runtime.data.class_names import ClassNames
from rnnspec.runtime.data.texts import TextInputs
from rnnspec.runtime.model.weights import Parameters


class Learning:
    """A model with inputs of texts, named classes, and layers whose weights are the moments of data."""

    signature: Signature
    _parameters: Parameters
    _texts: TextInputs
    _classes: ClassNames

    @property
    @abstractmethod
    def _changing(self) -> Lock:
        """Held by who changes the model by what it was."""

    def adapt(self, x: object, *, mask: object = None, lengths: object = None, validation_split: float = 0.0) -> None:
        """Learns from data what the model needs before it is trained, as Keras's `adapt` of one layer: vocabularies, means, variances.

        argument          shape, type                       meaning                                                           default
        ----------------  --------------------------------  ----------------------------------------------------------------  --------
        x                 list, or another iterable of str  texts of the only input that is to be adapted                     required
                          (n, ...), or list of arrays       numbers of it, as for `forward`, or of all inputs in their order  -
                          dict                              either by the name of an input, or numbers by that of a layer     -
                          iterable, callable, indexed       batches x, (x, y) or `Batch`, as for `fit`: see docs/data.md      -
        mask              (n, time), bool or 0 and 1        steps that count; dict by name                                    None
        lengths           (n,), int                         number of steps that count, from the start; dict by name          None
        validation_split  float from 0 to below 1           fraction of the samples, the last, that `fit` will hold out,      0.0
                                                            and nothing is learned of

        An input of texts gets the vocabulary of the most frequent tokens, as with Keras's `TextVectorization`: at most as many as
        `max_tokens`, or the layer that looks them up, leaves room for, two ids of which stand for padding (0) and for tokens that aren't in
        the vocabulary (1). A `Normalization` on an input gets the mean and the variance of each feature over all real steps, computed
        in float64; one elsewhere is given what it takes by its own name, as `model.adapt({"normalization": y})`. Inputs that nothing
        adapts to may be in the dict. ValueError for other data, for a number that isn't finite, and where there is none; then nothing
        has changed.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tone { input t: text[time]  Embedding(5, 4, mask_zero = true)  LSTM(4) }", seed=1)
        >>> model.adapt(["A good film.", "A bad film!", "A film"])
        >>> model.get_vocabulary()
        ['', '[UNK]', 'film', 'a', 'good']
        >>> model = rnnspec.compile("model Scaled { input x: float[time, 2]  Normalization()  LSTM(4) }", seed=1)
        >>> model.adapt(np.array([[[1.0, 10.0], [3.0, 30.0]], [[5.0, 50.0], [0.0, 0.0]]]), lengths=[2, 1])
        >>> model.weights["normalization/mean"]
        array([ 3., 30.], dtype=float32)
        """
        if validation_split:
            with LLVM:  # a fork waits for who imports
                from rnnspec.runtime.data.held_out import without_held_out
            x = without_held_out(x, validation_split, len(self.signature.inputs))
            mask, lengths = (without_held_out(each, validation_split) for each in (mask, lengths))
        parts = self._parted(x)
        if "numbers" not in parts and (mask is not None or lengths is not None):
            raise ValueError("mask and lengths: texts are adapted to as a whole")
        vocabularies = self._texts.adapted(parts["texts"]) if "texts" in parts else {}
        weights: Mapping[str, Array] = {}
        if "numbers" in parts:
            with LLVM:  # a fork waits for who imports, as in `rnnspec.api`
                from rnnspec.runtime.data import moments
            weights = moments.adapted(self.signature, parts["numbers"], mask, lengths)
        with self._changing:
            if weights:
                self._parameters.assign(weights)
            self._texts.vocabularies |= vocabularies

    def _parted(self, x: object) -> dict[Literal["texts", "numbers"], object]:
        """The part of the data that is texts, and that of numbers."""
        names, layers = self._texts.names, self.signature.moments
        if not layers:
            if not names:
                advice = "an input of texts, `input name: text[time]`, or a layer `Normalization()` is"
                raise ValueError(f"model {self.signature.model} has nothing to adapt: {advice}")
            return {"texts": x}
        if not isinstance(x, Mapping) or not names:
            return {"numbers": x}
        given = cast(Mapping[str, object], x)
        texts = {name: value for name, value in given.items() if name in names}
        others = {spec.name for spec in self.signature.inputs} - {use.input for layer in layers for use in layer.uses}
        numbers = {name: value for name, value in given.items() if name not in names and (name not in others or not texts)}
        parts: dict[Literal["texts", "numbers"], object] = {}
        if texts:
            parts["texts"] = texts
        if numbers or not texts:
            parts["numbers"] = numbers
        return parts

    def get_vocabulary(self, name: str | None = None) -> list[str]:
        """The token of each id, of the input of texts with that name, or of the only one; empty if there is no vocabulary yet."""
        vocabulary = self._texts.vocabularies.get(self._texts.named(name))
        return [] if vocabulary is None else vocabulary.all_tokens

    def set_vocabulary(self, tokens: Sequence[str], name: str | None = None) -> None:
        """Replaces the vocabulary of an input of texts: its tokens from id 2 on, or all that `get_vocabulary` gave.

        ValueError for tokens that are empty, come twice, or are more than the model has ids for; then nothing has changed.
        """
        if isinstance(tokens, str) or not isinstance(tokens, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"vocabulary: expected a list of tokens, got {type(tokens).__name__}")
        with self._changing:
            self._texts.set(self._texts.named(name), tokens, "vocabulary")

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the outputs' classes by output, in the order of their numbers; those of an output without names are missing."""
        return dict(self._classes.names)

    def set_classes(self, names: Sequence[str], output: str | None = None) -> None:
        """Names the classes of an output, or of the only one, in the order of their numbers; of an output of one unit those of 0 and 1.

        ValueError for names that are empty, come twice, or aren't as many as there are classes; then nothing has changed.
        """
        with self._changing:
            self._classes.set(list(names) if not isinstance(names, str) else names, output)

    def take_texts(self, path: str, saved: Mapping[str, Sequence[str]] | None) -> None:
        """Takes the vocabularies and class names of a model's file, or reads the vocabularies that the spec at `path` names.

        `saved`: those of the file; None for a spec. ValueError for a list that doesn't fit, or can't be read.
        """
        if saved is None:
            self._texts.read_files(path)
            return
        for key, texts in saved.items():
            kind, _, name = key.partition("/")
            if kind == "vocabulary":
                self._texts.set(name, texts, f"{key}.txt")
            else:
                self._classes.set(texts, name, f"{key}.txt")
