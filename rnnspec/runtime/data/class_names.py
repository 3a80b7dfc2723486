"""The names of an output's classes: targets that are names as numbers, and predictions as names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from rnnspec import text_lists
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config, OutputSignature, Signature
from rnnspec.runtime.data.batches import CheckedInputs, Mask
from rnnspec.runtime.data.sample_errors import SampleError, sample_error
from rnnspec.runtime.data.texts import listed


class ClassNames:
    """The class names of a model's outputs by the outputs' names, in the order of their numbers; those that aren't known are missing."""

    def __init__(self, signature: Signature) -> None:
        self._outputs = {output.name: output for output in signature.outputs}
        given = signature.train.classes or ()
        each = given if any(isinstance(names, tuple) or names is None for names in given) else (given,) * len(signature.outputs)
        pairs = zip(self._outputs, cast(Sequence[tuple[str, ...] | None], each), strict=False)
        self.names: dict[str, tuple[str, ...]] = {name: names for name, names in pairs if names}

    def set(self, names: Sequence[str], output: str | None = None, what: str = "classes") -> None:
        """Names the classes of an output, or of the only one; ValueError if they don't fit it."""
        if output is None and len(self._outputs) > 1:
            raise ValueError(f"{what}: say of which output they are: {', '.join(self._outputs)}")
        chosen = next(iter(self._outputs)) if output is None else output
        if chosen not in self._outputs:
            raise ValueError(f"{what}: there is no output {chosen!r}; there is {', '.join(self._outputs)}")
        if isinstance(names, str):
            raise ValueError(f"{what}: expected a list of names, got a text")
        text_lists.check_different(names, what, "name")
        classes = max(self._outputs[chosen].width, 2)
        if len(names) != classes:
            raise ValueError(f"{what}: {len(names)} names, output {chosen} has {classes} classes")
        self.names[chosen] = tuple(names)

    @contextmanager
    def unless_refused(self) -> Generator[None]:
        """Takes back the names that were learned of targets where what goes with these is refused after all."""
        before = dict(self.names)
        try:
            yield
        except BaseException:
            self.names = before
            raise

    def numbers(self, output: OutputSignature, y: object, what: str, *, rows: bool) -> object:
        """Targets with the numbers of classes in the place of names; as they are where there are none.

        The first names that an output gets name its classes, in the order of the alphabet, unless they have names. `rows`: in the
        place of each name a row with a 1 for its class. ValueError, which begins with `what`, for an unknown name.
        """
        items = listed(y)
        if items is None:
            return y
        if _names_here(items):
            found = self._numbered(output, [items], what, flat=True)[0]
            return np.eye(output.width)[found] if rows else found
        parts = [listed(item) for item in items]
        if not any(part is not None and _names_here(part) for part in parts):
            return y
        numbered = self._numbered(output, [[] if part is None else part for part in parts], what, flat=False)
        return [np.eye(output.width)[each] if rows else each for each in numbered]

    def _numbered(self, output: OutputSignature, samples: Sequence[Sequence[object]], what: str, *, flat: bool) -> list[Array]:
        """`flat`: a single list has the names of all samples."""
        for number, sample in enumerate(samples):
            for place, name in enumerate(sample):
                if not isinstance(name, str):
                    problem = f"expected the name of a class, as others are, got {type(name).__name__}"
                    raise _error(what, number, place, problem, flat=flat)
        texts = cast(Sequence[Sequence[str]], samples)
        known = self.names.get(output.name)
        if known is None:
            different, classes = sorted({name for sample in texts for name in sample}), max(output.width, 2)
            if len(different) != classes:
                advice = "model.set_classes(names), or `classes = [...]` in the spec's train section, says all of them"
                problem = f"{len(different)} different names, output {output.name} has {classes} classes"
                if len(different) < classes:
                    raise ValueError(f"{what}: {problem}: {advice}")
                counts = Counter(name for sample in texts for name in sample)
                rarest = min(counts, key=counts.__getitem__)
                number, place = next((row, sample.index(rarest)) for row, sample in enumerate(texts) if rarest in sample)
                raise _error(what, number, place, f"{problem}; the rarest is {rarest!r}: {advice}", flat=flat)
            self.set(different, output.name, what)
            known = self.names[output.name]
        numbers = {name: number for number, name in enumerate(known)}
        for number, sample in enumerate(texts):
            for place, name in enumerate(sample):
                if name not in numbers:
                    more = ", ..." if len(known) > 12 else ""
                    problem = f"no class is called {name!r}; they are {', '.join(known[:12])}{more}"
                    raise _error(what, number, place, problem, flat=flat)
        return [np.array([numbers[name] for name in sample], np.int64) for sample in texts]


MARGINS = ("hinge", "squared_hinge")
"""The losses whose targets are -1 and 1."""


def is_of_logits(loss: object) -> bool:
    """Whether what a loss takes are logits: as the arguments of its `config` say, or of one of one's own its attribute."""
    config = loss if isinstance(loss, Config) else getattr(loss, "config", None)
    return bool(dict(config.arguments).get("from_logits") if isinstance(config, Config) else getattr(loss, "from_logits", False))


def threshold_of(loss: object) -> float:
    """The value above which an output of one unit is of class 1: 0 of logits and of margins, else one half, and without a loss."""
    config = loss if isinstance(loss, Config) else getattr(loss, "config", None)
    return 0.0 if is_of_logits(loss) or (isinstance(config, Config) and config.name in MARGINS) else 0.5


def chosen(values: Array, names: Sequence[str] | None, threshold: float) -> Array:
    """The class of each row of values, (...): its name, or its number without names.

    It is the place of the largest value, of one unit whether it is above the threshold. The name of a row `without_class` is empty.
    """
    places: Array = values.argmax(axis=-1) if values.shape[-1] > 1 else (values[..., 0] > threshold).astype(np.int64)
    return places if names is None else np.where(without_class(values), "", np.array(names)[places])


def without_class(values: Array) -> Mask:
    """Whether one of the values of a row, (...), is NaN, beside which none is the largest."""
    return np.logical_or.reduce(np.isnan(values), axis=-1)


def refuse_without_class(output: str, values: Array, real: Mask | None) -> None:
    """ValueError, naming sample and step, for a row of an output's values that is `without_class`, in its `real` steps."""
    wrong = without_class(values)
    places: list[list[int]] = np.argwhere(wrong if real is None else wrong & real).tolist()
    if places:
        sample, *step = places[0]
        raise sample_error(f"output {output}", sample, "the prediction is NaN, which is of no class", step=step[0] if step else None)


def _error(what: str, number: int, place: int, problem: str, *, flat: bool) -> SampleError:
    """The error of one name."""
    if flat:
        return sample_error(what, place, problem)
    return sample_error(what, number, problem, step=place, steps="place")


def _names_here(items: Sequence[object]) -> bool:
    return any(isinstance(item, str) for item in items)


def counted_steps(signature: Signature, inputs: CheckedInputs) -> list[Mask | None]:
    """Of each output, the steps that count in a loss, (samples, time); None where all do, and for one that is no sequence."""
    found: list[Mask | None] = []
    for output in signature.outputs:
        real = None if output.index is None or not output.is_sequence else inputs.real_steps(output.index)
        found.append(real[:, ::-1] if real is not None and output.flip else real)
    return found


def of_real_steps(values: Iterable[Array], real: Mask | None) -> list[Array]:
    """Of each sample the values (time, ...) of its real steps; `real`: as `counted_steps` gives it."""
    return [one if real is None else one[real[sample]] for sample, one in enumerate(values)]


def texts_of(vocabularies: Mapping[str, Any], classes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Both as the lists of a model's file."""
    lists = {f"vocabulary/{name}": tuple(each.tokens) for name, each in vocabularies.items()}
    return lists | {f"classes/{name}": names for name, names in classes.items()}
