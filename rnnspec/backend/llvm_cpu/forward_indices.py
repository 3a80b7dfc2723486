"""A library's forward call makes its packing indices, and what is looked up by them, in its workspace.

The functions of `call_packing` and `call_windows` do it, as in a direct call of Python's; here native code fills their records in.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from rnnspec.backend.llvm_cpu.forward_workspace import Workspace
from rnnspec.backend.llvm_cpu.size_values import SizeValues
from rnnspec.backend.llvm_cpu.structures import Record, element_of, place_of, struct_type
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.backend.protocol import ForwardExport
from rnnspec.contract.dimensions import at_least_zero
from rnnspec.contract.native_function import DistinctIndex
from rnnspec.contract.native_structs import IndexRecord, PairedRecord, PairRecord, SeenRecord, WindowRecord
from rnnspec.contract.signature import IndexSignature, PairSignature, WindowSignature
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.kernel.forward_memory import OWN_ARRAYS, SHOWN_ARRAYS, array_of, time_of
from rnnspec.kernel.nodes import Buffer, IndexArray


def make_indices(
    writer: FunctionWriter, sizes: SizeValues, workspace: Workspace, forward: ForwardExport, counts: Mapping[int, str]
) -> dict[str, str]:
    """Makes all indices; the addresses of the arrays that were looked up, by their buffers.

    `counts`: by index, the address of two i64, its tokens and its steps, which are filled in.
    """
    made = _Made(writer, sizes, workspace, forward, counts)
    for number in forward.memory.indices:
        made.index(number)
    return {buffer.name: made.lookup(buffer) for buffer in forward.memory.looked_up}


@frozen
class _Made:
    writer: FunctionWriter
    sizes: SizeValues
    workspace: Workspace
    forward: ForwardExport
    counts: Mapping[int, str]

    def index(self, number: int) -> None:
        """Makes a packing index."""
        writer, shape = self.writer, self.forward.memory.indices[number]
        masks = self._masks(number)
        sources = writer.on_stack(f"[{len(masks)} x ptr]")
        for place, mask in enumerate(masks):
            writer.do(f"store ptr {mask}, ptr {place_of(writer, 'ptr', sources, str(place))}")
        record = self._record(IndexRecord)
        record.store("sources", sources)
        record.store("count", len(masks))
        record.store("windows", 0)
        record.store("window_count", 0)
        record.store("pairs", 0)
        record.store("batch", self._rows(number))
        record.store("time", self.sizes.of(shape.time))
        for name in (*OWN_ARRAYS, "real", "lengths", "starts"):
            record.store(name, self.workspace.of("index", number, name))
        for place, name in enumerate(SHOWN_ARRAYS):
            record.store("shown", self.workspace.find("index", number, name), place)
        record.store("tokens", self.counts[number])
        record.store("steps", writer.assign(f"getelementptr inbounds i64, ptr {self.counts[number]}, i64 1", "p"))
        writer.do(f"call void @rnnspec.call.index(ptr {record.address})")

    def _rows(self, number: int) -> str:
        """The address of the number of an index's rows."""
        is_distinct = number in self.forward.memory.distinct
        index = None if is_distinct else self.forward.signature.indices[number]
        if isinstance(index, PairSignature):
            return self.counts[index.queries]
        rows = self.writer.on_stack("i64")
        self.writer.do(f"store i64 {1 if is_distinct else '%batch'}, ptr {rows}")
        return rows

    def _masks(self, number: int) -> list[str]:
        if (distinct := self.forward.memory.distinct.get(number)) is not None:
            return [self._named(distinct)]
        match self.forward.signature.indices[number]:
            case PairSignature() as pairs:
                return [self._pairs(number, pairs)]
            case IndexSignature() as index:
                return self._masks_of((number,), index)

    def _named(self, distinct: DistinctIndex) -> str:
        """The rows of a table that the ids at an index's tokens name."""
        writer, named = self.writer, self.workspace.of("named", distinct.number)
        writer.do(f"call void @llvm.memset.p0.i64(ptr {named}, i8 0, i64 {distinct.rows}, i1 false)")
        ids, source = self.workspace.of("ids", distinct.input), self.workspace.of("index", distinct.index, "source")
        tokens = writer.assign(f"load i64, ptr {self.counts[distinct.index]}", "tokens")
        with writer.loop("0", tokens, hint="token") as token:
            row = writer.load_index(ids, writer.load_index(source, token))
            writer.do(f"store i8 1, ptr {place_of(writer, 'i8', named, row)}")
        return named

    def _masks_of(self, key: tuple[int, ...], index: IndexSignature) -> list[str]:
        """The masks of an index, or of a part of a joined sequence, of which a step is real in one at least."""
        masks = [self.workspace.of("real", name, values) for name, values in index.sources]
        masks += [self._join((*key, place), key, place, join, index) for place, join in enumerate(index.joins)]
        masks += [self._windows(key, place, each) for place, each in enumerate(index.windows)]
        if masks:
            return masks
        found = self.workspace.of("all", key)
        steps = self.writer.multiply("%batch", self._time(index))
        self.writer.do(f"call void @llvm.memset.p0.i64(ptr {found}, i8 1, i64 {steps}, i1 false)")
        return [found]

    def _time(self, index: IndexSignature) -> str:
        return self.sizes.of(time_of(self.forward.signature, index))

    def _join(
        self, inner: tuple[int, ...], key: tuple[int, ...], place: int, parts: Sequence[IndexSignature], whole: IndexSignature
    ) -> str:
        """The real steps of sequences one after the other."""
        writer, joined, start = self.writer, self.workspace.of("join", key, place), "0"
        time = self._time(whole)
        for number, part in enumerate(parts):
            masks, own = self._masks_of((*inner, number), part), self._time(part)
            with writer.loop("0", "%batch", hint="row") as row:
                first, there = writer.multiply(row, own), writer.add(writer.multiply(row, time), start)
                with writer.loop("0", own, hint="step") as step:
                    real = "0"
                    for mask in masks:
                        real = writer.assign(f"or i8 {real}, {element_of(writer, 'i8', mask, writer.add(first, step))}")
                    writer.do(f"store i8 {real}, ptr {place_of(writer, 'i8', joined, writer.add(there, step))}")
            start = writer.add(start, own)
        return joined

    def _windows(self, key: tuple[int, ...], place: int, each: WindowSignature) -> str:
        """The real windows over another index."""
        windows, of = each.windows, self.forward.memory.indices[each.of]
        real = self.workspace.of("windows", key, place)
        record = self._record(WindowRecord)
        record.store("of", self.workspace.of("index", each.of, "real"))
        record.store("rows", "%batch")
        record.store("time", self.sizes.of(of.time))
        record.store("flip", int(each.flip))
        for name in ("size", "stride", "dilation", "start", "ahead"):
            record.store(name, getattr(windows, name))
        record.store("span", windows.span if windows.same else 0)
        record.store("count", self.sizes.of(at_least_zero(each.length)))
        record.store("real", real)
        self.writer.do(f"call void @rnnspec.call.windows(ptr {record.address})")
        return real

    def _pairs(self, number: int, pairs: PairSignature) -> str:
        """The steps of the keys that each query may look at."""
        indices = self.forward.memory.indices
        real = self.workspace.of("pairs", number)
        record = self._record(PairRecord)
        record.store("tokens", self.counts[pairs.queries])
        record.store("source", self.workspace.of("index", pairs.queries, "source"))
        record.store("time", self.sizes.of(indices[pairs.queries].time))
        record.store("position", self.workspace.of("index", pairs.keys, "position"))
        record.store("steps", self.sizes.of(indices[pairs.keys].time))
        record.store("causal", int(pairs.causal))
        record.store("real", real)
        self.writer.do(f"call void @rnnspec.call.pairs(ptr {record.address})")
        return real

    def lookup(self, buffer: Buffer) -> str:
        """Makes an array of several indices: its address."""
        array, result = array_of(buffer), self.workspace.of("looked up", buffer.name)
        match array.name:
            case "window":
                self._seen(array, result, self.workspace.of("bounds", buffer.name))
            case "pair_queries" | "pair_keys":
                self._paired(array, result)
            case other:
                raise InternalError(f"no library makes an index's array named {other}")
        return result

    def _seen(self, array: IndexArray, result: str, bounds: str) -> None:
        """The tokens under one place of windows."""
        of, stride, offset, span, clamp, at_end, own = array.parameters
        time, steps = (self.sizes.of(self.forward.memory.indices[each].time) for each in (array.index, of))
        record = self._record(SeenRecord)
        record.store("tokens", self.counts[array.index])
        record.store("source", self.workspace.of("index", array.index, "source"))
        record.store("time", time)
        record.store("position", self.workspace.of("index", of, "position"))
        record.store("steps", steps)
        for name, value in (("stride", stride), ("offset", offset), ("span", span), ("clamp", clamp), ("own", own)):
            record.store(name, value)
        rows = self._rows(of)
        record.store("rows", self.writer.assign(f"load i64, ptr {rows}", "rows"))
        record.store("bounds", bounds)
        record.store("before", self.writer.assign(f"sub i64 {time}, {steps}") if at_end else 0)
        record.store("result", result)
        self.writer.do(f"call void @rnnspec.call.seen(ptr {record.address})")

    def _paired(self, array: IndexArray, result: str) -> None:
        """The tokens of pairs' queries, or of their keys."""
        memory, pairs = self.forward.memory, self.forward.signature.indices[array.index]
        if not isinstance(pairs, PairSignature):
            raise InternalError(f"index {array.index} is of steps")
        record = self._record(PairedRecord)
        record.store("tokens", self.counts[array.index])
        record.store("source", self.workspace.of("index", array.index, "source"))
        record.store("time", self.sizes.of(memory.indices[array.index].time))
        record.store("queries", self.workspace.of("index", pairs.queries, "source"))
        record.store("query_time", self.sizes.of(memory.indices[pairs.queries].time))
        record.store("position", self.workspace.of("index", pairs.keys, "position") if array.name == "pair_keys" else 0)
        record.store("result", result)
        self.writer.do(f"call void @rnnspec.call.paired(ptr {record.address})")

    def _record(self, structure: type[ctypes.Structure]) -> Record:
        return Record(self.writer, structure, self.writer.on_stack(struct_type(structure)))
