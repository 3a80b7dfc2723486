"""The records by which native code checks a call's arguments: shapes, ids in range, masks, lengths, values that a layer masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnspec.contract.dimensions import Size
from rnnspec.contract.executable import Array
from rnnspec.contract.native_structs import ElementKind, IndexRecord, InputRecord, SourceRecord
from rnnspec.contract.signature import IndexSignature, InputSignature, Signature
from rnnspec.runtime.native.made_index import MadeIndex
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
        self._lists: list[Array] = []

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

    def indices(self, made: Mapping[int, MadeIndex], places: Mapping[Size, int], due: Mapping[int, Array]) -> list[IndexRecord]:
        """Records of the packing indices that each call makes; `places`: addresses of the function's sizes.

        `due`: by index, the rows of a stream of which a step falls due.
        """
        records: list[IndexRecord] = []
        for number, index in made.items():
            signature = self._signature.indices[number]
            sources = signature.sources if isinstance(signature, IndexSignature) else ()
            reals = [self._reals.setdefault(source, np.ones(index.real.shape, np.bool_)) for source in sources]
            reals += [due[number]] if number in due else []
            self._lists.append(np.array([address(real) for real in reals], np.int64))
            records.append(index.record(self._lists[-1], places, number))
        return records

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
