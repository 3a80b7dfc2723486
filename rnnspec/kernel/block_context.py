"""The state that all blocks of a function share while they are scheduled: its buffers, and the panels that its weights are packed into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from rnnspec.contract.dimensions import Dim, Steps
from rnnspec.contract.location import Location
from rnnspec.contract.native_function import Space
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import DistinctIds, PairTokens, Value, Window
from rnnspec.ir.types import DType
from rnnspec.kernel.nodes import Buffer, IndexArray, NarrowPanels, Node, PackPanels, PanelColumn
from rnnspec.kernel.op_class import ids_array, index_buffer_name, index_number, padded_rows
from rnnspec.kernel.stage_writer import Panels
from rnnspec.kernel.target import Element, NarrowType
from rnnspec.kernel.tiling import Tiling

PanelKey = tuple[int, int, int, int, tuple[PanelColumn, ...]]
"""A running number where panels aren't shared, depth, units, vectors, gates."""

NARROW = {WeightStorage.FLOAT16: NarrowType.F16, WeightStorage.BFLOAT16: NarrowType.BF16, WeightStorage.INT8: NarrowType.I8}
"""The element types of panels that aren't the sums' own."""

ZEROS = "prepared.zeros"
"""The buffer that an indirect load falls back to; with a dot in its name no value of a spec can be it."""


@dataclass
class Context:
    """The state shared by all blocks of one function: its buffers, and the panels that its prepare function packs."""

    tiling: Tiling
    dtype: DType
    buffers: dict[str, Buffer] = field(default_factory=dict[str, Buffer])
    panels: dict[PanelKey, PackPanels] = field(default_factory=dict[PanelKey, PackPanels])
    preparing: bool = False
    storage: WeightStorage = WeightStorage.FULL
    """The elements of panels."""

    @property
    def lanes(self) -> int:
        """Elements of the function's dtype in a vector of the target."""
        return self.tiling.target.lanes(self.dtype)

    @property
    def panel_type(self) -> Element:
        """The element type of panels."""
        return NARROW.get(self.storage, self.dtype)

    def add(self, name: str, space: Space, dtype: Element, rows: Dim, width: int, offset: int = 0, time: Dim | None = None) -> str:
        """A new buffer under a name that is made unique."""
        unique, number = name, 1
        while unique in self.buffers:
            unique, number = f"{name}.{number}", number + 1
        self.buffers[unique] = Buffer(unique, space, dtype, rows, width, offset, time=time)
        return unique

    def index(self, array: str, index: Value) -> str:
        """The buffer of one of an index's arrays (see `runtime.packing`)."""
        type_ = index_type(index.type)
        number = index_number(type_)
        name = index_buffer_name(array, number)
        if name not in self.buffers:
            batch = type_.batch
            known: dict[str, Dim] = {"source": type_.tokens, "order": batch, "rank": batch, "offsets": Steps(number)}
            rows = known.get(array, padded_rows(batch, type_.time))
            self.buffers[name] = Buffer(name, Space.INDEX, DType.I32, rows, 1, array=IndexArray(array, number))
        return name

    def ids(self, operation: Window | PairTokens | DistinctIds) -> str:
        """The buffer of ids that the runtime makes."""
        array, type_ = ids_array(operation)
        which = f"({', '.join(map(str, array.parameters))})" if array.parameters else ""
        name = f"{index_buffer_name(array.name, array.index)}{which}"
        if name not in self.buffers:
            self.buffers[name] = Buffer(name, Space.INDEX, DType.I32, type_.tokens, 1, array=array)
        return name

    def may_miss(self, ids: str) -> bool:
        """Whether some ids of a buffer may be negative: a window may look at no step; the user's are checked, all others are found."""
        array = self.buffers[ids].array
        return array is not None and array.name == "window"

    def zeros(self, width: int) -> str:
        """A row of at least `width` zeros: prepared memory that nothing writes."""
        known = self.buffers.get(ZEROS)
        self.buffers[ZEROS] = Buffer(ZEROS, Space.PREPARED, self.dtype, 1, max(width, known.width if known else 0))
        return ZEROS

    def pack(self, depth: int, units: int, vectors: int, gates: tuple[PanelColumn, ...], location: Location) -> Panels:
        """The buffers of packed weights, made by the prepare function; `location`: its first reader's."""
        for gate in gates:
            if self.buffers[gate.buffer].space not in (Space.WEIGHT, Space.PREPARED):
                raise InternalError(f"{gate.buffer}: the right side of a contraction isn't made of weights alone")
        key = (len(self.panels) if self.preparing else 0, depth, units, vectors, gates)
        if key not in self.panels:
            columns = vectors * self.lanes
            size = -(-units // columns) * columns * depth * len(gates)
            target = self.add("prepared.panels", Space.PREPARED, self.panel_type, 1, size)
            self.panels[key] = PackPanels(target, depth, units, vectors, gates, location=location)
            if self.panel_type is NarrowType.I8:
                self.add(scales_name(target), Space.PREPARED, self.dtype, 1, size // depth)
        target = self.panels[key].target
        return Panels(target, scales_name(target) if self.panel_type is NarrowType.I8 else None)

    def packing(self, panels: Iterable[PackPanels], buffers: dict[str, Buffer]) -> tuple[Node, ...]:
        """The nests that make panels; narrow ones are wide first, in a buffer that is added to `buffers`, the prepare function's."""
        if self.panel_type is self.dtype:
            return tuple(panels)
        nodes: list[Node] = []
        for each in panels:
            size, name = self.buffers[each.target].width, f"{each.target}.wide"
            buffers[name] = Buffer(name, Space.SCRATCH, self.dtype, 1, size)
            scales = scales_name(each.target) if self.panel_type is NarrowType.I8 else None
            columns = each.vectors * len(each.gates) * self.lanes
            tiles = size // (each.depth * columns)
            narrow = NarrowPanels(name, each.target, scales, tiles, each.depth, columns, location=each.location)
            nodes += (replace(each, target=name), narrow)
        return tuple(nodes)


def scales_name(panels: str) -> str:
    """The buffer of the scales of panels of whole numbers."""
    return f"{panels}.scales"
