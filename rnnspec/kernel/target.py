"""Target machines: vectors, registers, caches, intrinsics; and the tiles of loops."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from enum import Enum
from typing import Literal, TypeAlias

from rnnspec.contract.arena import ALIGNMENT, SLOT_GAP
from rnnspec.contract.target_names import TARGET_VARIABLE
from rnnspec.frozen import frozen
from rnnspec.ir.types import DType

CACHE_LINE = 64
"""Bytes that come from memory together, on all targets."""


class NarrowType(Enum):
    """An element type of packed weights alone, which are widened where they are read; the value is its spelling."""

    F16 = "f16"
    BF16 = "bf16"
    I8 = "i8"


Element: TypeAlias = DType | NarrowType

ELEMENT_BYTES: Mapping[Element, int] = {
    DType.F32: 4,
    DType.F64: 8,
    DType.I32: 4,
    DType.I1: 1,
    NarrowType.F16: 2,
    NarrowType.BF16: 2,
    NarrowType.I8: 1,
}


@frozen
class Intrinsic:
    """A function that LLVM knows by `name` and makes instructions of; `arguments`: the numbers that it takes, each with its type."""

    name: str
    arguments: tuple[tuple[str, int], ...] = ()


@frozen
class DenormalSwitch:
    """Bits of a 32-bit control register that make a processor take denormal numbers for zero.

    `read`, `write`: the names of LLVM's functions that copy the register to memory and back.
    """

    read: str
    write: str
    bits: int


Frames = Literal["offsets", "saves", "instructions"]
"""How assembly tells what a function's frame takes: by how far its beginning lies from the stack's, by the registers that are saved, or
by the instructions that move the stack alone, where the arguments of calls are pushed, too."""


@frozen
class Target:
    """A machine that code is generated for: all that the code asks about it.

    `triple`, `cpu`, `features`: as LLVM has them; `architecture`: as LLVM names it, whichever way a triple spells it.
    `vector_bytes`: of a register, `registers`: vector registers. `pause`: tells a processor that a thread waits in a loop.
    `cycle_counter`: the name of LLVM's function that reads a counter of one rate. `denormals`: None where there is no switch, or
    nothing to gain by it. `needs`: features, by LLVM's names, without which a machine of the architecture isn't this one.
    `first_level_bytes`, `second_level_bytes`: a core's caches. `relocation`: whether code may lie anywhere ("pic") or where it is linked
    to ("static"); `abi`: how numbers are passed, by LLVM's name, where the triple doesn't say. `widens_half`: whether an instruction makes
    float32 of float16. `frames`: see `Frames`. `slot_alignment`, `slot_gap`: of a workspace's parts, see `contract.arena`; small ones
    where there is no cache.
    """

    name: str
    triple: str
    architecture: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fused_multiply_add: bool
    pause: Intrinsic
    cycle_counter: str
    denormals: DenormalSwitch | None
    needs: frozenset[str] = frozenset()
    pointer_bits: int = 64
    object_format: str = "ELF"
    first_level_bytes: int = 2**15
    second_level_bytes: int = 2**19
    relocation: Literal["pic", "static"] = "pic"
    abi: str = ""
    widens_half: bool = False
    frames: Frames = "offsets"
    slot_alignment: int = ALIGNMENT
    slot_gap: int = SLOT_GAP

    def lanes(self, dtype: DType) -> int:
        """Elements of a vector register."""
        return self.vector_bytes // ELEMENT_BYTES[dtype]


SSE42 = Target(
    name="sse4.2",
    triple="x86_64-unknown-linux-gnu",
    architecture="x86_64",
    cpu="nehalem",
    features="",
    vector_bytes=16,
    registers=16,
    fused_multiply_add=False,
    pause=Intrinsic("llvm.x86.sse2.pause"),
    cycle_counter="llvm.readcyclecounter",
    # Flush-to-zero and denormals-are-zero, bits 15 and 6 of MXCSR.
    denormals=DenormalSwitch("llvm.x86.sse.stmxcsr", "llvm.x86.sse.ldmxcsr", 0x8040),
    frames="instructions",
)
AVX2 = replace(
    SSE42,
    name="avx2",
    cpu="haswell",
    vector_bytes=32,
    fused_multiply_add=True,
    needs=frozenset({"avx2", "fma", "f16c"}),
    widens_half=True,
)
AVX512 = replace(
    AVX2,
    name="avx512",
    cpu="skylake-avx512",
    vector_bytes=64,
    registers=32,
    needs=frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl", "f16c"}),
    second_level_bytes=2**20,
)
NEON = Target(
    name="neon",
    triple="aarch64-unknown-linux-gnu",
    architecture="aarch64",
    cpu="generic",
    features="+neon",
    vector_bytes=16,
    registers=32,
    fused_multiply_add=True,
    pause=Intrinsic("llvm.aarch64.hint", (("i32", 1),)),
    # Its cycle counter is the system's alone to read.
    cycle_counter="llvm.readsteadycounter",
    denormals=None,
    widens_half=True,
)

TARGETS: Mapping[str, Target] = {target.name: target for target in (AVX512, AVX2, SSE42, NEON)}
"""All described targets by their names; of one architecture's the one that needs most comes first."""


def machine_target(architecture: str, features: Collection[str]) -> Target:
    """The first target of an architecture whose features are all there; ValueError for an architecture without one."""
    for target in TARGETS.values():
        if target.architecture == architecture and target.needs.issubset(features):
            return target
    known = ", ".join(dict.fromkeys(target.architecture for target in TARGETS.values()))
    raise ValueError(f"no code can be generated for this machine: its processor is a {architecture}, and there are targets for {known}")


def chosen_target(name: str, architecture: str, features: Collection[str]) -> Target:
    """The target of that name; ValueError if there is none, or a machine with that architecture and these features isn't one."""
    target = TARGETS.get(name)
    if target is None:
        raise ValueError(f"{TARGET_VARIABLE}: expected one of {', '.join(TARGETS)}, got {name!r}")
    if target.architecture != architecture or not target.needs.issubset(features):
        missing = ", ".join(sorted(target.needs.difference(features))) or target.architecture
        raise ValueError(f"{TARGET_VARIABLE}: this machine can't run code for {name}: it has no {missing}")
    return target


@frozen
class CacheBlock:
    """A part of a contraction that stays in the caches: `rows` rows, `tiles` tiles of units, and `depth` turns over the depth or all.

    Between two parts of the depth the sums wait in memory.
    """

    rows: int
    tiles: int
    depth: int | None = None


@frozen
class Tile:
    """`rows`: the row counts that code is made for, largest first, 1 last; `vectors` of units side by side.

    `wide`: how many tiles of units a single row takes at once, where one alone has too few sums to keep the processor busy.
    `block`: None where all rows and units are one.
    """

    rows: tuple[int, ...]
    vectors: int
    wide: int = 1
    block: CacheBlock | None = None
