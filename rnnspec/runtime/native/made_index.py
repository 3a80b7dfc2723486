"""Packing indices whose arrays stay where they are: each call makes them anew, of the masks that it finds, or of a stream's clocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.dimensions import Size, Steps, Tokens, names_in
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import NativeArgument, NativeFunction, Space
from rnnspec.contract.native_structs import ClockRecord, IndexRecord
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import EVERY_STEP, Clock, IndexSignature, PairSignature, Signature
from rnnspec.frozen import frozen
from rnnspec.runtime.native.memory import SHOWN, address

OWN_ARRAYS = ("order", "rank", "offsets", "source", "position")


class MadeIndex:
    """The memory of one packing index of (batch, time): `real`, bool of that shape, and the arrays of `PackedIndex`, as long as can be."""

    def __init__(self, batch: int, time: int, shown: Sequence[str]) -> None:
        """`shown`: the names of the `SHOWN` arrays that are needed."""
        self.batch, self.time = batch, time
        self.real = np.ones((batch, time), np.bool_)
        steps = batch * time
        lengths = {"order": batch, "rank": batch, "offsets": time + 1, "source": steps, "position": steps, **dict.fromkeys(shown, steps)}
        self.arrays = {name: np.zeros(length, np.int32) for name, length in lengths.items()}
        self._lengths, self._starts = np.zeros(batch, np.int32), np.zeros(time + 1, np.int32)
        self._counts = np.zeros(2, np.int64)

    def take(self, index: PackedIndex) -> None:
        """Takes the arrays of an index of these sizes, which Python made."""
        self.real[...] = index.position.reshape(self.batch, self.time) >= 0
        for name, array in self.arrays.items():
            made = index.shown(*SHOWN[name]) if name in SHOWN else getattr(index, name)
            array[: len(made)] = made

    def record(self, sources: Array, places: Mapping[Size, int], number: int) -> IndexRecord:
        """For native code; `sources`: addresses of the sources' real steps. `places`: addresses of the function's sizes."""
        shown = {SHOWN[name]: address(array) for name, array in self.arrays.items() if name in SHOWN}
        record = IndexRecord(
            sources=address(sources),
            count=len(sources),
            batch=self.batch,
            time=self.time,
            real=address(self.real),
            lengths=address(self._lengths),
            starts=address(self._starts),
            tokens=places.get(Tokens(number), address(self._counts)),
            steps=places.get(Steps(number), address(self._counts[1:])),
            **{name: address(self.arrays[name]) for name in OWN_ARRAYS},
        )
        for (hold, flip), place in shown.items():
            record.shown[hold + 2 * flip] = place
        return record


def made_indices(
    function: NativeFunction, signature: Signature, indices: Sequence[PackedIndex], waiting: Collection[int] = ()
) -> dict[int, MadeIndex] | None:
    """The memory of the indices that depend on masks, by their numbers; None where more depends on them than native code makes.

    `waiting`: the numbers of a stream's indices whose steps fall due only now and then.
    """
    masked: list[bool] = []
    made: dict[int, MadeIndex] = {}
    arguments = [each for each in function.arguments if each.space is Space.INDEX]
    for number, (each, index) in enumerate(zip(signature.indices, indices, strict=False)):
        match each:
            case PairSignature():
                masked.append(masked[each.queries] or masked[each.keys])
            case IndexSignature(sources=sources, joins=joins, windows=windows):
                masked.append(bool(sources or joins) or number in waiting or any(masked[window.of] for window in windows))
        if not masked[number]:
            continue
        names = {argument.name for argument in arguments if argument.index == number}
        if isinstance(each, PairSignature) or each.joins or each.windows or not names <= {*SHOWN, *OWN_ARRAYS}:
            return None
        made[number] = MadeIndex(index.batch, index.time, sorted(names & {*SHOWN}))
    looked_at = {part for argument in arguments for part in _parts(argument)}
    compound = [names_in(dim) for dim in function.dims if not isinstance(dim, Tokens | Steps)]
    counted = {size.number for sizes in compound for size in sizes if isinstance(size, Tokens | Steps)}
    return None if (looked_at | counted) & {*made} else made


def _parts(argument: NativeArgument) -> tuple[int, ...]:
    """The indices that an index's array is made of besides its own."""
    return argument.parameters[:1] if argument.name == "window" else argument.parameters


@frozen
class Countdown:
    """One clock: `left`, int64 (batch,), each row's steps before the one in which it is due; `due`, bool (batch, 1), those of this step."""

    clock: Clock
    left: Array
    due: Array


class DueSteps:
    """The clocks of a stream but `EVERY_STEP`, in arrays whose places native code knows."""

    def __init__(self, clocks: Iterable[Clock], batch: int) -> None:
        self._batch = batch
        made = (Countdown(clock, np.zeros(batch, np.int64), np.zeros((batch, 1), np.bool_)) for clock in dict.fromkeys(clocks))
        self._countdowns = {each.clock: each for each in made if each.clock != EVERY_STEP}
        self.reset(slice(None))

    def __bool__(self) -> bool:
        return bool(self._countdowns)

    def due(self, clock: Clock) -> Array:
        """The rows that are due in this step, bool (batch, 1)."""
        due = self.waiting(clock)
        return np.ones((self._batch, 1), np.bool_) if due is None else due

    def waiting(self, clock: Clock) -> Array | None:
        """The array of the rows that are due, which each step writes; None for a clock by which all always are."""
        return self._countdowns[clock].due if clock in self._countdowns else None

    def records(self) -> list[ClockRecord]:
        """Records of the clocks for native code."""
        return [
            ClockRecord(rows=self._batch, period=each.clock.period, left=address(each.left), due=address(each.due))
            for each in self._countdowns.values()
        ]

    def reset(self, rows: Any) -> None:
        """Begins anew for some rows."""
        for each in self._countdowns.values():
            each.left[rows] = each.clock.first - 1

    def advance(self) -> None:
        """One step of all rows."""
        for each in self._countdowns.values():
            each.due[:, 0] = each.left == 0
            each.left[...] = np.where(each.left == 0, each.clock.period, each.left) - 1
