"""Training as functions of a C library: a step of training, inference with the caller's weights, and what both begin with.

All memory is the caller's: weights, the optimizer's state and a workspace, in which a step has its tape and its gradient. Nothing is
changed unless the loss, the gradient and new moving statistics are finite.
"""

from __future__ import annotations

from dataclasses import replace

from rnnspec.backend.llvm_cpu.call_packing import emit_index
from rnnspec.backend.llvm_cpu.call_windows import emit_call_windows
from rnnspec.backend.llvm_cpu.entry import CONSTANTS
from rnnspec.backend.llvm_cpu.forward_exports import checked_call, emit_bytes, emit_needed, size_kinds
from rnnspec.backend.llvm_cpu.forward_inputs import emit_take
from rnnspec.backend.llvm_cpu.forward_workspace import parameters_of, pointers_of
from rnnspec.backend.llvm_cpu.gradient_exports import emit_gradient, gradient_parameters
from rnnspec.backend.llvm_cpu.numpy_sums import SUM, emit_sum
from rnnspec.backend.llvm_cpu.structures import place_of
from rnnspec.backend.llvm_cpu.train_calls import Code, Place
from rnnspec.backend.llvm_cpu.train_loss import Losses, all_below, is_below
from rnnspec.backend.llvm_cpu.train_update import STATE_BEGIN, UPDATE, double, emit_update_rule, is_rate, single
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.backend.protocol import BAD_RATE, BAD_SIZE, NOT_FINITE, OK, ForwardExport, LibraryExport, TrainExport
from rnnspec.contract.update_rule import MOST
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import Buffer
from rnnspec.kernel.target import ELEMENT_BYTES, Target


@frozen
class TrainSymbols:
    """The names of the functions; `step`, `predict` and so on: see `TrainExport`."""

    step: str
    step_bytes: str
    predict: str
    predict_bytes: str
    initial: str
    begin: str

    @staticmethod
    def of(prefix: str) -> TrainSymbols:
        """The names that begin so."""
        calls = ("train_step", "train_bytes", "predict", "predict_bytes", "initial_weights", "begin")
        return TrainSymbols(*(f"{prefix}_{call}" for call in calls))


def train_parameters(export: LibraryExport, train: TrainExport, target: Target) -> dict[str, tuple[tuple[str, ...], str]]:
    """The types of each function's parameters and of its result, by its name."""
    names, size = TrainSymbols.of(export.prefix), f"i{target.pointer_bits}"
    sizes = (size,) * (1 + len(train.record.lengths))
    given, shown = ("ptr",) * len(pointers_of(replace(export, outputs=()))), ("ptr",) * len(export.outputs)
    targets = ("ptr",) * len(train.outputs)
    further = {} if train.gradient is None else gradient_parameters(export, train.gradient, target)
    return {
        names.step: (("ptr", "ptr", "double", "i32", *sizes, *given, *targets, "ptr", "ptr", size), "i32"),
        names.step_bytes: (sizes, size),
        names.predict: (("ptr", *sizes, *given, *shown, "ptr", size), "i32"),
        names.predict_bytes: (sizes, size),
        names.initial: (("ptr",), "void"),
        names.begin: (("ptr",), "void"),
        **further,
    }


def emit_train(export: LibraryExport, train: TrainExport, vectors: Vectors) -> list[str]:
    """The functions of `TrainExport`."""
    for name in ("memset.p0.i64(ptr, i8, i64, i1)", "memcpy.p0.p0.i64(ptr, ptr, i64, i1)"):
        vectors.library.declarations[f"declare void @llvm.{name}"] = None
    names = TrainSymbols.of(export.prefix)
    # Their inner functions are called otherwise than those of the library's own forward call.
    stepping = replace(export, prefix=f"{export.prefix}.train", outputs=())
    predicting = replace(export, prefix=f"{export.prefix}.predict")
    parts = [emit_call_windows(), emit_index(), *emit_sum(SUM, "double", squared=False)]
    recorded = Code.of("train.record", train.record.kernels, vectors)
    backward = Code.of("train.backward", train.backward, vectors)
    inference = Code.of("train.predict", train.predict.kernels, vectors)
    for code in (recorded, backward, inference):
        parts += code.parts
    parts += emit_update_rule(train.rule, train.weights, vectors)
    for own, forward, name in ((stepping, train.record, names.step_bytes), (predicting, train.predict, names.predict_bytes)):
        parts += [emit_take(own, forward, vectors), emit_needed(own, forward), emit_bytes(own, forward, vectors.target, name)]
    parts += [_Step(stepping, train, recorded, backward, vectors).text(), _train_step(stepping, train, names.step, vectors)]
    parts += [
        _run_predict(predicting, train.predict, inference, vectors),
        _predict(predicting, train.predict, names.predict, vectors.target),
    ]
    if train.gradient is not None:
        parts += emit_gradient(export, train, train.gradient, vectors)
    return [*parts, _initial(train, names.initial, vectors), _begin(train, names.begin, vectors)]


def _further(train: TrainExport) -> list[str]:
    """What a step takes besides inputs, sizes and the workspace's address."""
    targets = (f"ptr %target.{number}" for number in range(len(train.outputs)))
    return ["ptr %weights", "ptr %optimizer", "double %rate", "i32 %key", *targets, "ptr %loss"]


@frozen(slots=False)
class _Step:
    """The step behind all checks of sizes and inputs: a code."""

    export: LibraryExport
    train: TrainExport
    recorded: Code
    backward: Code
    vectors: Vectors

    def text(self) -> str:
        train, vectors = self.train, self.vectors
        parameters = [*parameters_of(self.export, train.record), "ptr %base", *_further(train)]
        writer = FunctionWriter(f"{self.export.prefix}.run", parameters, result="i32")
        result, key = writer.on_stack("i32", "result"), writer.on_stack("i32", "key")
        writer.do(f"store i32 {OK}, ptr {result}")
        writer.do(f"store i32 %key, ptr {key}")
        place = Place.of(writer, self.export, train.record, vectors.target, key)
        losses = Losses(writer, vectors, place.sizes, place.workspace, train.outputs)
        losses.take(result)
        with writer.when(writer.assign(f"icmp eq i32 {writer.assign(f'load i32, ptr {result}')}, {OK}")):
            gradient = place.workspace.of("gradient")
            self.recorded.call(writer, place, place.workspace.of("prepared", "record"))
            loss = losses.reduce()
            size = train.weights * ELEMENT_BYTES[vectors.dtype]
            writer.do(f"call void @llvm.memset.p0.i64(ptr {gradient}, i8 0, i64 {size}, i1 false)")
            self.backward.call(writer, place, place.workspace.of("prepared", "backward"))
            writer.do(f"store i32 {NOT_FINITE}, ptr {result}")
            with writer.when(self._is_finite(writer, place, gradient, loss)):
                self._apply(writer, place, gradient, loss)
                writer.do(f"store i32 {OK}, ptr {result}")
        return writer.text(writer.assign(f"load i32, ptr {result}", "result"))

    def _is_finite(self, writer: FunctionWriter, place: Place, gradient: str, loss: str) -> str:
        """An i1: whether nothing is NaN, infinite or, of the gradient, so large that an update could make it so."""
        sound = is_below(writer, self.vectors, loss, float("inf"), "double")
        arrays = [(gradient, self.train.weights, MOST)]
        arrays += [(place.pointer(buffer), _numbers(buffer), float("inf")) for buffer, _ in self.train.updated]
        for array, count, limit in arrays:
            sound = all_below(writer, self.vectors, array, count, limit, sound)
        return sound

    def _apply(self, writer: FunctionWriter, place: Place, gradient: str, loss: str) -> None:
        """Changes the weights, the optimizer's state and the moving statistics, and tells the loss."""
        writer.do(f"call void @{UPDATE}(ptr %weights, ptr %optimizer, ptr {gradient}, double %rate)")
        size = ELEMENT_BYTES[self.vectors.dtype]
        for buffer, start in self.train.updated:
            into = writer.assign(f"getelementptr inbounds i8, ptr %weights, i64 {start * size}", "p")
            copied = f"ptr {into}, ptr {place.pointer(buffer)}, i64 {_numbers(buffer) * size}, i1 false"
            writer.do(f"call void @llvm.memcpy.p0.p0.i64({copied})")
        writer.do(f"store double {loss}, ptr %loss")


def _numbers(buffer: Buffer) -> int:
    assert isinstance(buffer.rows, int)  # of a weight
    return buffer.rows * buffer.width


def _train_step(export: LibraryExport, train: TrainExport, name: str, vectors: Vectors) -> str:
    """The function that users call: checks the learning rate, too, and refuses a batch of none."""
    target = vectors.target
    pointers = [f"ptr {pointer}" for pointer in pointers_of(export)]
    *before, loss = _further(train)
    sizes, targets = size_kinds(train.record, target), before[4:]
    workspace = ["ptr %workspace", f"i{target.pointer_bits} %bytes.given"]
    parameters = [*before[:4], *sizes, *pointers, *targets, loss, *workspace]
    writer = FunctionWriter(name, parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    with checked_call(writer, export, train.record, target, result) as passed:
        writer.do(f"store i32 {BAD_RATE}, ptr {result}")
        with writer.when(is_rate(writer, train.rule)):
            writer.do(f"store i32 {BAD_SIZE}, ptr {result}")
            with writer.when(writer.assign(f"icmp ne i{target.pointer_bits} %given.0, 0")):
                called = f"{quoted(f'{export.prefix}.run')}({', '.join((*passed, *_further(train)))})"
                writer.do(f"store i32 {writer.assign(f'call i32 @{called}', 'code')}, ptr {result}")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def _run_predict(export: LibraryExport, forward: ForwardExport, code: Code, vectors: Vectors) -> str:
    writer = FunctionWriter(f"{export.prefix}.run", [*parameters_of(export, forward), "ptr %base", "ptr %weights"])
    place = Place.of(writer, export, forward, vectors.target)
    code.call(writer, place, place.workspace.of("prepared", "predict"))
    return writer.text()


def _predict(export: LibraryExport, forward: ForwardExport, name: str, target: Target) -> str:
    pointers = [f"ptr {pointer}" for pointer in pointers_of(export)]
    workspace = ["ptr %workspace", f"i{target.pointer_bits} %bytes.given"]
    parameters = ["ptr %weights", *size_kinds(forward, target), *pointers, *workspace]
    writer = FunctionWriter(name, parameters, linkage="dso_local", result="i32")
    result = writer.on_stack("i32", "result")
    with checked_call(writer, export, forward, target, result) as passed:
        writer.do(f"call void @{quoted(f'{export.prefix}.run')}({', '.join((*passed, 'ptr %weights'))})")
    return writer.text(writer.assign(f"load i32, ptr {result}", "result"))


def _initial(train: TrainExport, name: str, vectors: Vectors) -> str:
    writer = FunctionWriter(name, ["ptr %weights"], linkage="dso_local")
    place = writer.assign(f"getelementptr inbounds i8, ptr {CONSTANTS}, i64 {train.initial}", "p")
    size = train.weights * ELEMENT_BYTES[vectors.dtype]
    writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr %weights, ptr {place}, i64 {size}, i1 false)")
    return writer.text()


def _begin(train: TrainExport, name: str, vectors: Vectors) -> str:
    """No update was made, and each slot of the state has its first number."""
    writer, element = FunctionWriter(name, ["ptr %optimizer"], linkage="dso_local"), vectors.element
    writer.do("store i64 0, ptr %optimizer")
    first = writer.assign(f"getelementptr inbounds i8, ptr %optimizer, i64 {STATE_BEGIN}", "state")
    for slot, start in enumerate(train.rule.starts):
        literal = double(start) if element == "double" else single(start)
        with writer.loop(str(slot * train.weights), str((slot + 1) * train.weights), hint="n") as number:
            writer.do(f"store {element} {literal}, ptr {place_of(writer, element, first, number)}")
    return writer.text()
