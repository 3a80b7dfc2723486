"""Feeds: what an epoch of training, or an evaluation, takes its samples from, batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Executable
from rnnspec.diagnostics import ClassWarning, caller_level
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import ALL_ROWS
from rnnspec.runtime.data.columns import Rows, is_list
from rnnspec.runtime.data.missing_classes import missing_classes
from rnnspec.runtime.data.prefetch import DrawTime, drawn_here, prefetched
from rnnspec.runtime.data.sample_errors import told_of
from rnnspec.runtime.data.sources import FORMS, Batch, Source, numbered, source_of, unpacked
from rnnspec.runtime.data.validate import whole_number
from rnnspec.runtime.model.random_streams import draw_key, generator
from rnnspec.training.alike import Alike
from rnnspec.training.class_weights import ClassWeights
from rnnspec.training.examples import Examples, split_off
from rnnspec.training.target_rules import TargetRule
from rnnspec.training.targets import Targets

Portion: TypeAlias = tuple[Examples, Rows]
"""A batch: the chosen samples of checked ones."""

Check: TypeAlias = Callable[[Batch], Examples]
"""Checks samples with their targets; ValueError for those that can't be trained or evaluated on."""


class Feed(Protocol):
    """Batches, epoch by epoch."""

    @property
    def batches(self) -> int | None:
        """How many an epoch has; None where that is seen at its end."""
        ...

    @property
    def shuffles(self) -> bool:
        """Whether an epoch's order is another one each time."""
        ...

    def epoch(self, random: np.random.Generator | None) -> Generator[Portion]:
        """An epoch's batches, shuffled by `random` if they are to be. To be closed by its user."""
        ...

    def is_spent(self, taken: int) -> bool:
        """Whether there is no other epoch after one of so many batches; ValueError if there wasn't a first."""
        ...

    def check_samples(self, executable: Executable) -> None:
        """ValueError if a stateful model can't take its batches one after the other, as far as they are known."""
        ...


@frozen
class ArrayFeed:
    """Samples that were all checked, cut into batches."""

    examples: Examples
    rows: range
    batch_size: int
    shuffle: bool = False

    @property
    def batches(self) -> int:
        """How many an epoch has."""
        return -(-len(self.rows) // self.batch_size)

    @property
    def shuffles(self) -> bool:
        """Whether the samples are shuffled."""
        return self.shuffle

    def epoch(self, random: np.random.Generator | None) -> Generator[Portion]:
        """The samples in a new order if they are shuffled, in the caller's else."""
        order = random.permutation(np.arange(self.rows.start, self.rows.stop)) if self.shuffle and random is not None else None
        for start in range(0, len(self.rows), self.batch_size):
            stop = min(start + self.batch_size, len(self.rows))
            yield self.examples, slice(self.rows.start + start, self.rows.start + stop) if order is None else order[start:stop]

    def is_spent(self, taken: int) -> bool:
        """Never."""
        return False

    def check_samples(self, executable: Executable) -> None:
        """See `Feed`."""
        executable.check_samples(len(self.rows), self.batch_size)


@dataclass
class SourceFeed:
    """Batches that a source gives, each checked by `check` when it is drawn: in a thread of its own, unless an earlier pass was quick.

    `steps`: the batches of an epoch. With them a source goes on from one epoch to the next, and where it ends it is begun anew, if it can
    be; without them an epoch is a pass. `shuffle`: the order of an indexed source's batches. `what`: how messages call it.
    """

    source: Source
    check: Check
    steps: int | None
    shuffle: bool = False
    what: str = ""
    _orders: np.random.Generator | None = None
    _going_on: Iterator[object] | None = None
    _gave_some: bool = False
    _draw_time: DrawTime = field(default_factory=DrawTime)

    @property
    def batches(self) -> int | None:
        """How many an epoch has, where it is known."""
        return self.source.length if self.steps is None else self.steps

    @property
    def shuffles(self) -> bool:
        """Whether the batches are: those of an indexed source, any other gives them in its own order."""
        return self.shuffle and self.source.kind == "indexed"

    def epoch(self, random: np.random.Generator | None) -> Generator[Portion]:
        """The batches of a pass, or the next `steps` ones; an indexed source is told of the epoch's begin and end."""
        if self._orders is None and self.shuffles and random is not None:
            self._orders = generator(draw_key(random), "the order of batches")
        self.source.tell("on_epoch_begin")
        portions = numbered(self._drawn(), self.what, self._portion)
        yield from drawn_here(portions) if self._draw_time.is_quick else prefetched(portions, self._draw_time)
        self.source.tell("on_epoch_end")

    def is_spent(self, taken: int) -> bool:
        """Whether a pass gave nothing, or too little."""
        if taken == 0 and not self._gave_some:
            raise ValueError(f"{self.what}{self.source.name} gave no batch")
        self._gave_some = True
        return taken < (1 if self.steps is None else self.steps)

    def check_samples(self, executable: Executable) -> None:
        """Each batch is checked when its turn comes."""

    def _portion(self, item: object) -> Portion:
        return self.check(unpacked(item)).owned(), ALL_ROWS

    def _drawn(self) -> Iterator[object]:
        """An epoch's items, drawn in the thread that asks for them."""
        if self.steps is None:
            yield from self._pass()
            return
        if self._going_on is None:
            self._going_on = self._passes()
        for _ in range(self.steps):
            try:
                item = next(self._going_on)
            except StopIteration:
                return
            yield item

    def _passes(self) -> Iterator[object]:
        """Pass after pass, until one gives nothing or there can't be another."""
        while True:
            given = 0
            for item in self._pass():
                given += 1
                yield item
            if not given or not self.source.begins_again:
                return

    def _pass(self) -> Iterator[object]:
        length = self.source.length
        return self.source.one_pass(None if self._orders is None or length is None else self._orders.permutation(length))


def warn_of_end(epoch: int, taken: int, epochs: int, what: str = "") -> None:
    """Tells that a source, which messages call `what`, has ended before the last epoch did."""
    steps = "validation_steps" if what else "steps_per_epoch"
    warnings.warn(
        f"{what}the batches ended with number {taken} of epoch {epoch + 1} of {epochs}: training ends here; a callable that begins them "
        f"anew, or fewer {steps}, would go on",
        stacklevel=caller_level(),
    )


def warn_of_classes(examples: Examples, rows: range, held_out: range) -> None:
    """Tells of classes that only the samples to validate on have."""
    for targets in examples.targets:
        if isinstance(targets, Targets) and targets.class_numbers is not None:
            train, test = (targets.class_numbers[part.start : part.stop] for part in (rows, held_out))
            if problem := missing_classes(train, test, "the rest", "what validation_split holds out"):
                warnings.warn(problem, ClassWarning, stacklevel=caller_level())


@frozen
class Cutting:
    """How data becomes batches.

    `batch_size`: as the caller chose it, None if they didn't; `default_size`: instead. `epochs`: how many passes there may be.
    """

    batch_size: int | None
    default_size: int
    epochs: int


def cutting(batch_size: int | None, of_spec: int | None, epochs: int = 1) -> Cutting:
    """See `Cutting`; `of_spec`: the train section's size, 32 if it has none. ValueError for a size below 1."""
    given = None if batch_size is None else whole_number("batch_size", batch_size, 1)
    return Cutting(given, 32 if of_spec is None else of_spec, epochs)


def feed_of(
    check: Check, rules: Sequence[TargetRule], data: Batch, cuts: Cutting, steps: int | None, *, name: str = "steps", what: str = ""
) -> Feed:
    """The feed of data that isn't shuffled: all of arrays, or what a source gives; ValueError for arguments that don't fit together.

    `rules`: of the targets of each output with a loss. `name`: of the argument `steps`. `what`: how messages call the data.
    """
    source = source_of(data.x) if data.y is None else None
    if source is None:
        try:
            examples = check(data)
        except ValueError as error:
            raise told_of(what, error) from None
        return _array_feed(examples, cuts, steps, name)
    return _source_feed(source, Alike(check, rules), data, cuts, steps, name, what)


def held_out(given: object, mask: object, lengths: object) -> Batch | None:
    """What to validate on, if anything is: `validation_data`, with the mask and the lengths that came beside it. ValueError for others."""
    beside = mask is not None or lengths is not None
    if given is None:
        if beside:
            raise ValueError("validation_mask and validation_lengths are of validation_data, and there is none")
        return None
    in_parts = is_list(given) and not all(isinstance(part, Batch) for part in cast(Sequence[object], given))
    if not in_parts and (isinstance(given, Batch) or source_of(given) is not None):
        if beside:
            raise ValueError("validation_mask and validation_lengths are for (x, y) and (x, y, sample_weight): batches have their own")
        return given if isinstance(given, Batch) else Batch(given)
    return replace(unpacked(given, "validation_data: ", forms="(x, y) or (x, y, sample_weight)"), mask=mask, lengths=lengths)


def training_feeds(
    check: Check,
    rules: Sequence[TargetRule],
    weights: Sequence[ClassWeights | None],
    data: Batch,
    validation: Batch | None,
    cuts: Cutting,
    *,
    steps: int | None,
    validation_steps: int | None,
    split: float,
    shuffle: bool,
) -> tuple[Feed, Feed | None]:
    """The feed to train on, and that to validate on: what is held out, or the part of arrays that `split` takes off. See `feed_of`.

    `weights`: of classes, in training alone.
    """
    source = source_of(data.x) if data.y is None else None
    taken_off: ArrayFeed | None = None
    if source is not None:
        if validation is None and split != 0.0:
            raise ValueError(f"validation_split: what {source.name} gives can't be split: give validation_data")

        alike = Alike(check, rules)

        def weighted(batch: Batch) -> Examples:
            return alike(batch).weighted_by_class(weights)

        feed: Feed = _source_feed(source, weighted, data, cuts, steps, "steps_per_epoch", "", shuffle=shuffle)
    else:
        whole = _array_feed(check(data), cuts, steps, "steps_per_epoch")
        rows, rest = split_off(whole.examples, split if validation is None else 0.0)
        if rest is not None:
            warn_of_classes(whole.examples, rows, rest[1])
        feed = ArrayFeed(whole.examples.weighted_by_class(weights), rows, whole.batch_size, shuffle)
        taken_off = None if rest is None else ArrayFeed(*rest, whole.batch_size)
    if validation is not None:
        sized = replace(cuts, batch_size=None, default_size=cuts.batch_size or cuts.default_size)
        return feed, feed_of(check, rules, validation, sized, validation_steps, name="validation_steps", what="validation, ")
    if validation_steps is not None:
        raise ValueError("validation_steps is of validation_data that gives batches, and there is none")
    return feed, taken_off


def _array_feed(examples: Examples, cuts: Cutting, steps: int | None, name: str) -> ArrayFeed:
    if steps is not None:
        raise ValueError(f"{name}: it is of what gives batches one after the other; arrays are cut into batches by batch_size")
    size = cuts.default_size if cuts.batch_size is None else cuts.batch_size
    return ArrayFeed(examples, range(examples.samples), size)


def _source_feed(
    source: Source, check: Check, data: Batch, cuts: Cutting, steps: int | None, name: str, what: str, *, shuffle: bool = False
) -> SourceFeed:
    beside = {"sample_weight": data.sample_weight, "mask": data.mask, "lengths": data.lengths, "batch_size": cuts.batch_size}
    for argument, value in beside.items():
        if value is not None:
            hint = "its batches are as large as it makes them" if argument == "batch_size" else "they are in its batches"
            raise ValueError(f"{what}{argument}: {source.name} gives batches, {hint}: {FORMS}")
    if steps is not None:
        whole_number(name, steps, 1)
    elif source.length == 0:
        raise ValueError(f"{what}{source.name} gave no batch")
    elif source.kind == "indexed" and source.length is None:
        raise ValueError(f"{what}{source.name} doesn't say how many batches it has: {name} says how many are an epoch")
    elif not source.begins_again and cuts.epochs > 1:
        raise ValueError(
            f"{what}{source.name} can be gone through once, and there are {cuts.epochs} epochs: give a callable that begins it anew, "
            f"or {name} for what goes on from epoch to epoch"
        )
    return SourceFeed(source, check, steps, shuffle, what)
