"""The seam: the driver runs whole stages on a back end that shares no emitter with the real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from rnnspec.backend.llvm_cpu.backend import INFERENCE, LlvmCpu
from rnnspec.backend.protocol import SCHEDULE, Backend, Emitted
from rnnspec.contract.dimensions import Dim
from rnnspec.contract.executable import Formula
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.native_function import Space
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError
from rnnspec.driver.compilation import Compilation, python_call, target_named
from rnnspec.driver.pipelines import stages_of
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.ops import Function
from rnnspec.ir.types import DType
from rnnspec.kernel.nodes import NO_ALIASES, BufferAliases, Contract, Statement
from rnnspec.kernel.pipeline import KernelPipeline, Kernels
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.schedule import schedule
from rnnspec.kernel.target import AVX2, NEON, Element, Target, Tile
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile
from rnnspec.training.optimizers import Adam
from tests.unit.kernel.scheduled import model

TOY = replace(NEON, name="toy", triple="toy-unknown-none", architecture="toy", vector_bytes=8)
SPEC = model(3, "LSTM(5)")


@dataclass(frozen=True)
class OneByOne:
    """Tiles of one row and one vector."""

    target: Target

    def contraction(self, sums: int, units: int, dtype: DType, panels: Element) -> Tile:
        return Tile((1,), 1)

    def beside_weights(
        self, tile: Tile, contracts: tuple[Contract, ...], sums: int, rows: Dim, units: int, dtype: DType, panels: Element
    ) -> Tile:
        return tile

    def pointwise(self, units: int, body: tuple[Statement, ...], dtype: DType) -> Tile:
        return Tile((1,), 1)


@dataclass(frozen=True)
class Marked:
    """A pass that can be seen: the function's name gets a mark."""

    name = "mark"

    def run(self, kernels: Kernels) -> Kernels:
        return replace(kernels, function=replace(kernels.function, name=f"{kernels.function.name}.marked"))


class Toy:
    """A back end whose text is the kernels' own, and whose object code is that text."""

    targets: ClassVar[Mapping[str, Target]] = {"toy": TOY}
    texts: ClassVar[tuple[str, ...]] = ("toy",)
    pipelines: ClassVar[Mapping[str, KernelPipeline]] = {"kernel": KernelPipeline((Marked(),)), "kernel.backward": KernelPipeline(())}

    def host_target(self) -> Target:
        return TOY

    def schedule(
        self,
        function: Function,
        target: Target,
        offsets: Mapping[str, int],
        stage: str,
        *,
        reader: Function | None = None,
        aliases: BufferAliases = NO_ALIASES,
        storage: WeightStorage = WeightStorage.FULL,
        after: str | None = None,
    ) -> Kernels:
        kernels = schedule(function, OneByOne(target), offsets, reader=reader, aliases=aliases, storage=storage)
        return kernels if after == SCHEDULE else self.pipelines[stage].run(kernels, after)

    def emit(self, kernels: Kernels, *, timed: bool = False, shared: bool = True) -> Emitted:
        return Emitted(print_kernels(kernels.module), (self.symbol(kernels.function.name), self.symbol(kernels.prepare.name)))

    def symbol(self, name: str) -> str:
        return f"toy_{name}"

    def shared_symbol(self, name: str) -> str:
        return f"toy_shared_{name}"

    def assemble(self, text: str, target: Target) -> bytes:
        return f"{target.name}: {text}".encode()

    def identity(self, target: Target) -> tuple[str, ...]:
        return ("toy",)

    def show(self, stage: str, kernels: Kernels) -> str:
        return f"{stage} of {kernels.target.name}\n{self.emit(kernels).text}"

    def emit_update(self, formula: Formula, states: int, constants: int, dtype: str, target: Target) -> Emitted:
        return Emitted(f"update {dtype}", ("toy_update",))

    def emit_sequence_loss(self, name: str, dtype: str, target: Target) -> Emitted:
        return Emitted(f"{name} {dtype}", ("toy_loss",))

    def emit_python_call(self, target: Target) -> Emitted:
        return Emitted("call", ("toy_call",), ("toy_import",))


def toy(spec: str = SPEC) -> Compilation:
    tree = parse(SourceFile.of_text(spec))
    backend: Backend = Toy()
    return Compilation(tree, resolve(tree), "float32", backend=backend)


def test_another_back_end_is_shown_by_its_own_stages() -> None:
    assert list(stages_of(Toy()))[-3:] == ["kernel", "kernel.backward", "toy"]
    assert stages_of(Toy())["kernel"] == ("schedule", "mark")
    assert toy().print("toy").startswith("toy of toy\nkernels forward.marked\n")
    assert "kernel @forward.marked" in toy().print("kernel") and "marked" not in toy().print("kernel", "schedule")
    with pytest.raises(ValueError, match="there is no stage named `llvm`"):
        toy().print("llvm")


def test_a_back_end_has_targets_of_its_own() -> None:
    assert target_named("toy", Toy()) is TOY
    with pytest.raises(ValueError, match="there is no target named `avx2`; there is `toy`"):
        target_named("avx2", Toy())


def test_another_back_end_chooses_the_tiles() -> None:
    tiles = [line.split("tile ")[1] for line in toy().print("kernel").splitlines() if " tile " in line]
    assert len(tiles) > 2 and set(tiles) == {"1 rows by 1 vectors {"}


def test_native_functions_are_another_back_end_s() -> None:
    made = toy().native(Variant("forward", False, shared=True))
    assert made.object_code.startswith(b"toy: kernels forward.marked")
    assert (made.symbol, made.prepare_symbol) == ("toy_forward.marked", "toy_forward.prepare")
    assert (made.shared_symbol, made.prepare_shared_symbol) == ("toy_shared_forward.marked", "toy_shared_forward.prepare")
    timed = toy().native(Variant("forward", False, shared=True), timed=True)
    assert timed.shared_symbol == "" and timed.arguments[-1].space is Space.CLOCKS


def test_direct_calls_are_another_back_end_s() -> None:
    made = python_call(Toy())
    assert (made.object_code, made.symbol, made.imports) == (b"toy: call", "toy_call", ("toy_import",))


def test_the_processor_s_texts_say_what_they_define() -> None:
    backend = LlvmCpu()
    compilation = Compilation(tree := parse(SourceFile.of_text(SPEC)), resolve(tree), "float32", AVX2)
    kernels = compilation.kernels(Variant("forward", False))
    plain = ("rnnspec_forward", "rnnspec_forward_prepare")
    assert backend.emit(kernels).symbols == (*plain, "rnnspec_forward_shared", "rnnspec_forward_prepare_shared")
    for options in ({"shared": False}, {"timed": True}):
        assert backend.emit(kernels, **options).symbols == plain
    emitted = [backend.emit(kernels), backend.emit_update(Adam().formula, 2, 4, "float32", AVX2), backend.emit_python_call(AVX2)]
    emitted += [backend.emit_sequence_loss(name, dtype, AVX2) for name in SEQUENCE_LOSSES for dtype in ("float32", "float64")]
    for each in emitted:
        assert all(f"@{symbol}(" in each.text for symbol in (*each.symbols, *each.imports))
        assert backend.assemble(each.text, AVX2).startswith(b"\x7fELF")


def test_object_code_is_known_by_the_processor_too() -> None:
    backend = LlvmCpu()
    one, other = backend.identity(AVX2), backend.identity(replace(AVX2, cpu="znver4"))
    assert one != other and one == LlvmCpu().identity(AVX2)


def test_addresses_of_another_width_are_refused() -> None:
    narrow = replace(AVX2, pointer_bits=32)
    compilation = Compilation(tree := parse(SourceFile.of_text(SPEC)), resolve(tree), "float32", narrow)
    for make in (
        lambda: compilation.print("llvm"),
        lambda: LlvmCpu().emit_update(Adam().formula, 2, 4, "float32", narrow),
        lambda: LlvmCpu().emit_sequence_loss("ctc", "float32", narrow),
        lambda: LlvmCpu().emit_python_call(narrow),
    ):
        with pytest.raises(InternalError, match="avx2: addresses of 32 bits, where 64 are counted with"):
            make()


def test_a_loss_that_does_not_exist() -> None:
    with pytest.raises(InternalError, match="there is no loss of sequences named mse"):
        LlvmCpu().emit_sequence_loss("mse", "float32", AVX2)


def test_a_text_that_does_not_exist() -> None:
    compilation = Compilation(tree := parse(SourceFile.of_text(SPEC)), resolve(tree), "float32", AVX2)
    with pytest.raises(InternalError, match=r"there is no text named llvm\.best"):
        LlvmCpu().show("llvm.best", compilation.kernels(Variant("forward", False)))
    assert INFERENCE.stages == ("time-blocks", "prefetch")
