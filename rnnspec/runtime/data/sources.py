"""Sources of batches: what gives one batch after the other, told from arrays by what it can do, and not by its type."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from itertools import count
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.signature import Signature
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import is_list
from rnnspec.runtime.data.not_numbers import is_array, is_leaf

Kind: TypeAlias = Literal["indexed", "iterable", "iterator", "callable"]

FORMS = "(x, y), (x, y, sample_weight) or rnnspec.data.Batch(...)"


@frozen
class Batch:
    """Samples with what belongs to them, as a source gives them, or as `validation_data`: the arguments of `Model.fit` by these names.

    >>> import numpy as np
    >>> from rnnspec.data import Batch
    >>> Batch(np.ones((2, 5, 3)), np.ones(2), lengths=[5, 2]).lengths
    [5, 2]
    """

    x: object
    y: object = None
    sample_weight: object = None
    mask: object = None
    lengths: object = None


@frozen
class Source:
    """A source of batches.

    `length`: how many there are in one pass, if it says so. A source that is indexed is asked for batches by their numbers, an iterable
    or a callable for a new iterator at each pass; an iterator can be gone through once.
    """

    given: object
    kind: Kind
    length: int | None

    @property
    def begins_again(self) -> bool:
        """Whether there can be a second pass."""
        return self.kind != "iterator"

    @property
    def name(self) -> str:
        """Its type, for messages."""
        return type(self.given).__name__

    def one_pass(self, order: NDArray[np.int64] | None = None) -> Generator[object]:
        """The batches of one pass; of an indexed source in `order`. An iterator that this has begun is closed at the end, no other."""
        given: Any = self.given
        if self.kind == "indexed":
            number = 0
            while self.length is None or number < self.length:
                yield given[number if order is None else int(order[number])]
                number += 1
            return
        begun: object = given() if self.kind == "callable" else given
        iterator = iter(_iterable(begun, self.name))
        try:
            while True:  # `yield from` would close an iterator that is the caller's
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                yield item
        finally:
            if self.kind != "iterator" and iterator is not given and hasattr(iterator, "close"):
                cast(Any, iterator).close()

    def tell(self, hook: Literal["on_epoch_begin", "on_epoch_end"]) -> None:
        """Calls a method that Keras's PyDataset has for an epoch's begin or end."""
        told = getattr(self.given, hook, None) if self.kind == "indexed" else None
        if callable(told):
            told()


def source_of(given: object, *, lists: bool = True) -> Source | None:
    """The value as a source of batches; None for arrays and everything else that is data, or nothing at all.

    `lists`: whether lists, and other sequences, hold batches; without it they hold samples.
    """
    if is_leaf(given) or isinstance(given, (type, Mapping, Set)) or is_array(given) or (not lists and isinstance(given, Sequence)):
        return None
    if is_list(given):
        items = cast(Sequence[object], given)
        return Source(items, "indexed", len(items)) if items and all(map(_is_batch, items)) else None
    if isinstance(given, Iterator):
        return Source(cast(object, given), "iterator", None)
    if hasattr(given, "__getitem__") and (hasattr(given, "__len__") or hasattr(type(given), "num_batches")):
        return Source(given, "indexed", _length(given))
    if hasattr(given, "__iter__"):
        return Source(given, "iterable", _length(given))
    return Source(given, "callable", None) if callable(given) else None


def _is_batch(item: object) -> bool:
    return isinstance(item, Batch) or (isinstance(item, tuple) and len(cast(tuple[object, ...], item)) in (2, 3))


def _length(given: object) -> int | None:
    """How many batches something says that it has; None where it doesn't know."""
    if hasattr(type(given), "num_batches"):
        number: object = cast(Any, given).num_batches
        return None if number is None else int(cast(int, number))
    try:
        return len(cast(Any, given))
    except (TypeError, NotImplementedError):  # of PyTorch's loaders over iterables
        return None


def _iterable(begun: object, name: str) -> Iterable[object]:
    if not hasattr(begun, "__iter__"):
        raise ValueError(f"{name} was called for an iterator of batches, and gave {type(begun).__name__}")
    return cast(Iterable[object], begun)


def unpacked(item: object, what: str = "", *, forms: str = FORMS) -> Batch:
    """A source's item as samples with targets, as Keras unpacks it; ValueError, that begins with `what`, for another form."""
    if isinstance(item, Batch):
        return item
    if not is_list(item):
        raise ValueError(f"{what}expected {forms}, got {type(item).__name__}")
    values = cast(Sequence[object], item)
    if len(values) not in (2, 3):
        raise ValueError(f"{what}expected {forms}, got {len(values)} values")
    return Batch(*values)


def inputs_of(signature: Signature, item: object) -> Batch:
    """A source's item as inputs alone: x, or what is first of (x,), (x, y) and (x, y, sample_weight).

    A list, which may also be x itself, is taken apart where its first entry has the samples in front.
    """
    if isinstance(item, Batch):
        return item
    first = signature.inputs[0]
    if is_list(item) and 1 <= len(entries := cast(Sequence[object], item)) <= 3:
        samples_in_front = len(signature.inputs) == 1 and getattr(entries[0], "ndim", 0) == 1 + len(first.shape)
        if isinstance(item, tuple) or samples_in_front:
            return Batch(entries[0])
    return Batch(item)


def numbered(items: Iterator[object], what: str, made: Callable[[object], Any]) -> Iterator[Any]:
    """What `made` makes of each item; a ValueError of it begins with the item's number. What the items' source raises is noted with it."""
    for number in count():
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            error.add_note(f"raised for {what}batch {number}")
            raise
        try:
            result = made(item)
        except ValueError as error:
            raise ValueError(f"{what}batch {number}: {error}") from None
        yield result
