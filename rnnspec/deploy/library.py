"""The object code of a model's functions for any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnspec.backend.protocol import WEIGHTS_HEADER, ForwardExport, HeldPlaces, LibraryExport, LibraryRow, StepExport
from rnnspec.contract.dimensions import ROWS, Dim, Name, Size, names_in
from rnnspec.contract.executable import Array
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.deploy.constants import Constants
from rnnspec.deploy.forward_layout import ForwardLayout
from rnnspec.deploy.step_layout import StepLayout, counted_of
from rnnspec.deploy.train_layout import TrainLayout
from rnnspec.deploy.train_library import train_export
from rnnspec.driver.compilation import Compilation
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import sizes_of
from rnnspec.kernel.fixed_sizes import with_sizes
from rnnspec.kernel.forward_memory import forward_memory
from rnnspec.kernel.nodes import KernelFunction
from rnnspec.kernel.target import Target
from rnnspec.runtime.native.executable import Variant

STREAM, FORWARD = Variant("stream", False), Variant("forward", False)


@frozen
class Library:
    """The object code of a model's functions for a target; `prefix`: how their names begin. `export`: what it was made of."""

    prefix: str
    target: Target
    object_code: bytes
    symbols: tuple[str, ...]
    export: LibraryExport

    @property
    def constants(self) -> int:
        """The bytes of weights, and of what is prepared of them, in the object or in the file of weights."""
        return len(self.export.constants)

    @property
    def weights_file(self) -> bytes | None:
        """The content of the file of weights; None for a library that has them inside."""
        return None if self.export.file is None else self.export.file + self.export.constants

    @property
    def workspace(self) -> Dim | None:
        """The bytes of a forward call's workspace, of the batch and the lengths; None without that function."""
        return None if self.export.forward is None else self.export.forward.memory.bytes


def library(
    model: Compilation,
    weights: Mapping[str, Array],
    target: Target,
    *,
    step: StepLayout | None = None,
    forward: ForwardLayout | None = None,
    train: TrainLayout | None = None,
    storage: WeightStorage = WeightStorage.FULL,
    weights_file: bool = False,
) -> Library:
    """The functions of a model with these weights, whose matrices are kept as `storage` says, as code for a target.

    Of `step`, `forward` and `train` those that have a layout. `weights_file`: the weights aren't in the object, but in a file beside it.
    """
    layout = step or forward or (train and train.forward)
    assert layout is not None
    target = fitting(target, layout.bytes)
    made = Compilation(model.tree, model.graph, model.dtype, target, model.backend)
    constants = Constants(model, weights, target, retrained=weights_file)
    sequences = {each.name: each.is_sequence for each in made.signature.inputs}
    stepping = None if step is None else _step(made, step, constants, replace(STREAM, storage=storage))
    calling = None if forward is None else _forward(made, constants, replace(FORWARD, storage=storage))
    training = None if train is None else train_export(made, train, constants)
    export = LibraryExport(
        layout.prefix,
        tuple(LibraryRow(each.source, each.width, each.vocabulary, sequences[each.source]) for each in layout.inputs),
        tuple(LibraryRow(each.source, each.width) for each in layout.outputs),
        constants.content,
        stepping,
        calling,
        train=training,
    )
    if weights_file:
        # The text has the places of all weights, and no weight: a file fits this code if it is made for the same text.
        blank = replace(export, file=bytes(WEIGHTS_HEADER))
        export = replace(blank, file=_header(made.backend.emit_library(blank, target).text))
    emitted = made.backend.emit_library(export, target)
    object_code = made.backend.assemble(emitted.text, target)
    return Library(export.prefix, target, object_code, emitted.symbols, export)


def _header(text: str) -> bytes:
    """The header of a file of weights: a name, and the SHA-256 of the code's text."""
    return (b"rnnspec weights".ljust(32, b"\0") + hashlib.sha256(text.encode()).digest()).ljust(WEIGHTS_HEADER, b"\0")


def fitting(target: Target, element_bytes: int) -> Target:
    """A target of which a vector has two elements at least."""
    return replace(target, vector_bytes=2 * element_bytes) if target.vector_bytes < 2 * element_bytes else target


def _step(made: Compilation, layout: StepLayout, constants: Constants, variant: Variant) -> StepExport:
    kernels = made.kernels(variant)
    function = with_sizes(kernels.function, _ones(kernels.function))
    prepare = with_sizes(kernels.prepare, _ones(kernels.prepare))
    starts = np.cumsum([0, *(state.width * layout.bytes for state in layout.states)]).tolist()
    places = {state.source: start for state, start in zip(layout.states, starts, strict=False)}
    states = {state.name: places[state.name] for state in made.signature.stream.states}
    held = tuple(HeldPlaces(each.output, each.index, places[each.shown], places[each.started]) for each in layout.held)
    clocks = {clock: places[counted_of(clock)] for clock in layout.clocks}
    kernels = replace(kernels, prepare=prepare, function=function)
    constants_at = constants.places(variant, function)
    return StepExport(kernels, states, starts[len(states)], constants_at, made.signature.of_step, held, clocks)


def _forward(made: Compilation, constants: Constants, variant: Variant) -> ForwardExport:
    kernels, target = made.kernels(variant), made.machine()
    memory = forward_memory([kernels.function], made.signature, target)
    return ForwardExport(kernels, made.signature, memory, constants.places(variant, kernels.function))


def _ones(function: KernelFunction) -> Mapping[Size, int]:
    """One for each size of a function: a sequence, a step."""
    dims = [*(buffer.rows for buffer in function.buffers), *(size for node in function.nodes for size in sizes_of(node))]
    return {name: 1 for dim in dims for name in names_in(dim) if name != ROWS and isinstance(name, Name)}
