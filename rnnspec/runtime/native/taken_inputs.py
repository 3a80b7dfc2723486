"""The records by which native code checks a call's arguments: shapes, ids in range, masks, lengths, values that a layer masks."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array
from rnnspec.contract.native_structs import ElementKind, IndexRecord, InputRecord, SourceRecord, WindowRecord
from rnnspec.contract.signature import InputSignature, PairSignature, Signature
from rnnspec.runtime.native.made_index import Lookups, MadeIndex
from rnnspec.runtime.native.memory import address

_KINDS = {"float32": ElementKind.FLOAT32, "float64": ElementKind.FLOAT64, "int32": ElementKind.INT32}

MOST_IDS = 2**31
"""What int32 ids of no table are below."""


class TakenInputs:
    """The records of one call's inputs.

    `own`: arrays by name, to which native code copies what it doesn't read where it lies. `single`: each sequence has one step, and
    arguments no axis for it.
    """

    def __init__(self, signature: Signature, own: Mapping[str, Array], *, single: bool) -> None:
        self.names = [spec.name for spec in signature.inputs]
        self._own = own
        self._signature = signature
        self._given = {name: np.ones(array.shape[:2] if array.ndim > 1 else 1, np.bool_) for name, array in own.items()}
        self._lengths = {name: np.zeros(len(array), np.int64) for name, array in own.items()}
        self._single = single
        self._reals: dict[tuple[str, tuple[float, ...]], Array] = {}
        self._values: list[Array] = []
        self._kept: list[object] = []

    def inputs(self, places: Mapping[str, int]) -> list[InputRecord]:
        """`places`: of each input in the function's table, for those that it reads."""
        return [self._input(spec, places.get(spec.name, -1)) for spec in self._signature.inputs]

    def _input(self, spec: InputSignature, place: int) -> InputRecord:
        own = self._own[spec.name]
        shape = (own.shape[0], *own.shape[2:]) if self._single and spec.is_sequence else own.shape
        return InputRecord(
            name=id(spec.name),
            place=place,
            kind=_KINDS[own.dtype.name],
            rank=len(shape),
            extents=(*shape, 1, 1, 1)[:3],
            limit=MOST_IDS if spec.vocabulary is None else spec.vocabulary,
            own=address(own),
            sequence=spec.is_sequence,
            steps=(*own.shape[:2], 1, 1)[:3],
            rows=(len(own), 1, 1),
            given=address(self._given[spec.name]),
            lengths=address(self._lengths[spec.name]),
        )

    def indices(
        self, made: Mapping[int, MadeIndex], lookups: Lookups, places: Mapping[Size, int], due: Mapping[int, Array]
    ) -> list[IndexRecord]:
        """Records of the packing indices that each call makes; `places`: addresses of the function's sizes.

        `lookups`: what knows the other indices that they come from. `due`: by index, the rows of a stream of which a step falls due.
        """
        records: list[IndexRecord] = []
        for number, index in made.items():
            signature = self._signature.indices[number]
            if isinstance(signature, PairSignature):
                records.append(self._of_pairs(signature, index, lookups, places, number))
                continue
            reals = [self._reals.setdefault(source, np.ones(index.real.shape, np.bool_)) for source in signature.sources]
            reals += [due[number]] if number in due else []
            windows = [np.zeros(index.real.shape, np.bool_) for _ in signature.windows]
            record = index.record(self._addresses([*reals, *windows]), places, number, windows=len(windows))
            masks = zip(signature.windows, windows, strict=True)
            kept = (WindowRecord * len(windows))(*(lookups.windows(each, index.time, real) for each, real in masks))
            record.windows = ctypes.addressof(kept)
            self._kept += [windows, kept]
            records.append(record)
        return records

    def _of_pairs(
        self, signature: PairSignature, index: MadeIndex, lookups: Lookups, places: Mapping[Size, int], number: int
    ) -> IndexRecord:
        real = np.zeros(index.real.shape, np.bool_)
        pairs = lookups.pairs(signature, real, places)
        self._kept += [real, pairs]
        rows = lookups.tokens(signature.queries, places)
        return index.record(self._addresses([real]), places, number, rows, pairs=ctypes.addressof(pairs))

    def _addresses(self, reals: Sequence[Array]) -> Array:
        addresses = np.array([address(real) for real in reals], np.int64)
        self._kept.append(addresses)
        return addresses

    def sources(self) -> list[SourceRecord]:
        """Records of the sources that the indices need; call it after `indices`."""
        records: list[SourceRecord] = []
        for (name, values), real in self._reals.items():
            own = self._own[name]
            with np.errstate(over="ignore"):
                masked = np.array(values, own.dtype).astype(np.float64)
            self._values.append(masked)
            width = own.shape[2] if own.ndim == 3 else 1
            number = self.names.index(name)
            records.append(
                SourceRecord(input=number, count=real.size, width=width, values=address(masked), masked=len(masked), real=address(real))
            )
        return records
