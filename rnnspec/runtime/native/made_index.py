"""Packing indices whose arrays stay where they are: each call makes them anew, of the masks that it finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rnnspec.contract.dimensions import Size, Steps, Tokens, names_in
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import NativeArgument, NativeFunction, Space
from rnnspec.contract.native_structs import IndexRecord
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import IndexSignature, PairSignature, Signature
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
