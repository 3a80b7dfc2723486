"""Packing indices whose arrays stay where they are: each call makes them anew, of the masks that it finds, or of a stream's clocks.

With them what native functions look up by them: the tokens that windows see, and those of attention's pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnspec.contract.dimensions import Size, Steps, Tokens, names_in
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import NativeArgument, NativeFunction, Space
from rnnspec.contract.native_structs import ClockRecord, IndexRecord, PairedRecord, PairRecord, SeenRecord, WindowRecord
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import EVERY_STEP, Clock, IndexSignature, PairSignature, Signature, WindowSignature
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
        self._counts, self._rows = np.zeros(2, np.int64), np.full(1, batch, np.int64)

    def take(self, index: PackedIndex) -> None:
        """Takes the arrays of an index of these sizes, which Python made."""
        self.real[...] = index.position.reshape(self.batch, self.time) >= 0
        for name, array in self.arrays.items():
            made = index.shown(*SHOWN[name]) if name in SHOWN else getattr(index, name)
            array[: len(made)] = made

    def record(
        self, sources: Array, places: Mapping[Size, int], number: int, rows: int = 0, windows: int = 0, pairs: int = 0
    ) -> IndexRecord:
        """For native code; `sources`: addresses of the sources' real steps. `places`: addresses of the function's sizes.

        `rows`: address of the number of rows, 0 for the batch. `windows`: how many sources, the last ones, are windows, whose records the
        caller puts in; `pairs`: the address of the record of pairs, or 0.
        """
        shown = {SHOWN[name]: address(array) for name, array in self.arrays.items() if name in SHOWN}
        record = IndexRecord(
            sources=address(sources),
            count=len(sources),
            window_count=windows,
            pairs=pairs,
            batch=rows or address(self._rows),
            time=self.time,
            real=address(self.real),
            lengths=address(self._lengths),
            starts=address(self._starts),
            tokens=self.tokens(places, number),
            steps=places.get(Steps(number), address(self._counts[1:])),
            **{name: address(self.arrays[name]) for name in OWN_ARRAYS},
        )
        for (hold, flip), place in shown.items():
            record.shown[hold + 2 * flip] = place
        return record

    def tokens(self, places: Mapping[Size, int], number: int) -> int:
        """The address of the number of its tokens."""
        return places.get(Tokens(number), address(self._counts))


MOST_PAIRS = 2**18
"""The most pairs of a query with a step that a direct call looks at."""


def made_indices(
    function: NativeFunction,
    signature: Signature,
    indices: Sequence[PackedIndex],
    waiting: Collection[int] = (),
    *,
    streaming: bool = False,
) -> dict[int, MadeIndex] | None:
    """The memory of the indices that depend on masks, by their numbers; None where more depends on them than native code makes.

    `waiting`: the numbers of a stream's indices whose steps fall due only now and then. A stream's windows and pairs aren't made.
    """
    masked: list[bool] = []
    made: dict[int, MadeIndex] = {}
    arguments = [each for each in function.arguments if each.space is Space.INDEX]
    for number, (each, index) in enumerate(zip(signature.indices, indices, strict=False)):
        batch, derived = index.batch, True
        match each:
            case PairSignature(queries=queries, keys=keys):
                masked.append(masked[queries] or masked[keys])
                batch = indices[queries].batch * indices[queries].time if masked[queries] else indices[queries].tokens
            case IndexSignature(sources=sources, joins=joins, windows=windows):
                whole = any(not masked[window.of] for window in windows)  # one source of which all steps are real is enough
                masked.append((bool(sources or joins or windows) and not whole) or number in waiting)
                derived = bool(windows)
        if not masked[number]:
            continue
        if (derived and streaming) or (isinstance(each, IndexSignature) and each.joins) or batch * index.time > MOST_PAIRS:
            return None
        names = {argument.name for argument in arguments if argument.index == number}
        made[number] = MadeIndex(batch, index.time, sorted(names & {*SHOWN}))
    compound = [names_in(dim) for dim in function.dims if not isinstance(dim, Tokens | Steps)]
    counted = {size.number for sizes in compound for size in sizes if isinstance(size, Tokens | Steps)}
    return None if counted & {*made} or (streaming and _looked_up(function, made)) else made


def _looked_up(function: NativeFunction, made: Collection[int]) -> list[NativeArgument]:
    """The index arrays that each call makes of several indices."""
    found = [each for each in function.arguments if each.space is Space.INDEX and each.name in LOOKED_UP]
    return [each for each in found if {each.index, *_parts(each)} & {*made}]


LOOKED_UP = ("window", "pair_queries", "pair_keys")
"""Index arrays that are made of several indices, see `memory.index_array`."""


def _parts(argument: NativeArgument) -> tuple[int, ...]:
    """The indices that an index's array is made of besides its own."""
    return argument.parameters[:1] if argument.name == "window" else argument.parameters


class Lookups:
    """The tokens that windows see, and those of pairs, which each call looks up by the indices that it has made."""

    def __init__(
        self, function: NativeFunction, signature: Signature, indices: Sequence[PackedIndex], made: Mapping[int, MadeIndex]
    ) -> None:
        self._signature, self._indices, self._made = signature, indices, made
        self._constants: list[Array] = []
        self._arrays: dict[tuple[int, str, tuple[int, ...]], Array] = {}
        for each in _looked_up(function, made):
            index = made.get(each.index)
            most = indices[each.index].tokens if index is None else index.batch * index.time
            self._arrays[each.index, each.name, each.parameters] = np.zeros(most, np.int32)

    def array(self, argument: NativeArgument) -> Array | None:
        """The array of an argument, if each call makes it."""
        return self._arrays.get((argument.index, argument.name, argument.parameters))

    def array_of(self, number: int, name: str) -> int:
        """The address of an array of an index, whether calls make it or not."""
        return address(self._made[number].arrays[name] if number in self._made else getattr(self._indices[number], name))

    def tokens(self, number: int, places: Mapping[Size, int]) -> int:
        """The address of an index's number of tokens."""
        if number in self._made:
            return self._made[number].tokens(places, number)
        self._constants.append(np.full(1, self._indices[number].tokens, np.int64))
        return address(self._constants[-1])

    def seen(self, places: Mapping[Size, int]) -> list[SeenRecord]:
        """Records of what windows see; `places`: addresses of the function's sizes."""
        records: list[SeenRecord] = []
        for (number, name, parameters), result in self._arrays.items():
            if name != "window":
                continue
            of, stride, offset, span, clamp, at_end, own = parameters
            index, source = self._indices[number], self._indices[of]
            self._constants.append(np.zeros((source.batch, 2), np.int64))
            records.append(
                SeenRecord(
                    tokens=self.tokens(number, places),
                    source=self.array_of(number, "source"),
                    time=index.time,
                    position=self.array_of(of, "position"),
                    steps=source.time,
                    stride=stride,
                    offset=offset,
                    span=span,
                    clamp=clamp,
                    own=own,
                    rows=source.batch,
                    bounds=address(self._constants[-1]),
                    before=index.time - source.time if at_end else 0,
                    result=address(result),
                )
            )
        return records

    def paired(self, places: Mapping[Size, int]) -> list[PairedRecord]:
        """Records of the tokens of pairs."""
        records: list[PairedRecord] = []
        for (number, name, _), result in self._arrays.items():
            signature = self._signature.indices[number]
            if name == "window" or not isinstance(signature, PairSignature):
                continue
            record = PairedRecord(
                tokens=self.tokens(number, places),
                source=self.array_of(number, "source"),
                time=self._indices[number].time,
                queries=self.array_of(signature.queries, "source"),
                query_time=self._indices[signature.queries].time,
                position=self.array_of(signature.keys, "position") if name == "pair_keys" else 0,
                result=address(result),
            )
            records.append(record)
        return records

    def pairs(self, signature: PairSignature, real: Array, places: Mapping[Size, int]) -> PairRecord:
        """The record of an index of pairs; `real`: what it fills in."""
        return PairRecord(
            tokens=self.tokens(signature.queries, places),
            source=self.array_of(signature.queries, "source"),
            time=self._indices[signature.queries].time,
            position=self.array_of(signature.keys, "position"),
            steps=self._indices[signature.keys].time,
            causal=signature.causal,
            real=address(real),
        )

    def windows(self, signature: WindowSignature, count: int, real: Array) -> WindowRecord:
        """The record of `count` windows over an index that calls make; `real`: what it fills in."""
        of, windows = self._made[signature.of], signature.windows
        return WindowRecord(
            of=address(of.real),
            rows=of.batch,
            time=of.time,
            flip=signature.flip,
            size=windows.size,
            stride=windows.stride,
            dilation=windows.dilation,
            start=windows.start,
            span=windows.span if windows.same else 0,
            ahead=windows.ahead,
            count=count,
            real=address(real),
        )


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
