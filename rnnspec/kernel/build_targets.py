"""The machines that libraries are built for: each described by itself, whatever machine builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnspec.contract.arena import ALIGNMENT, SLOT_GAP
from rnnspec.frozen import frozen
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, Intrinsic, Target

# No vector registers: the lanes are how far loops are unrolled, and registers are counted in such groups. Caches are small, if any.
_SMALL = Target(
    name="cortex-m4",
    triple="thumbv7em-unknown-none-eabihf",
    architecture="thumbv7em",
    cpu="cortex-m4",
    features="",
    vector_bytes=8,
    registers=16,
    fused_multiply_add=True,
    pause=Intrinsic("llvm.arm.hint", (("i32", 1),)),
    cycle_counter="llvm.readcyclecounter",
    denormals=None,
    pointer_bits=32,
    first_level_bytes=2**14,
    second_level_bytes=2**14,
    relocation="static",
    frames="saves",
    slot_alignment=8,
    slot_gap=0,
    widens_half=True,
)

# Neither has an instruction for a thread that waits, of all its processors at least.
_NOTHING = Intrinsic("llvm.donothing")

_WASM = replace(
    _SMALL,
    name="wasm32",
    triple="wasm32-unknown-unknown",
    architecture="wasm32",
    cpu="generic",
    features="+bulk-memory",
    fused_multiply_add=False,
    pause=_NOTHING,
    object_format="Wasm",
    frames="offsets",
    slot_alignment=16,
    widens_half=False,
    first_level_bytes=2**15,
    second_level_bytes=2**19,
)

_RISCV = replace(
    _SMALL,
    name="riscv64",
    triple="riscv64-unknown-linux-gnu",
    architecture="riscv64",
    cpu="generic-rv64",
    features="+m,+a,+f,+d,+c",
    pause=_NOTHING,
    pointer_bits=64,
    first_level_bytes=2**15,
    second_level_bytes=2**17,
    relocation="pic",
    frames="offsets",
    abi="lp64d",
    slot_alignment=ALIGNMENT,
    slot_gap=SLOT_GAP,
    widens_half=False,
)

_DESCRIBED = (
    replace(SSE42, name="x86-64-v2", cpu="x86-64-v2"),
    replace(AVX2, name="x86-64-v3", cpu="x86-64-v3"),
    replace(AVX512, name="x86-64-v4", cpu="x86-64-v4"),
    replace(AVX2, name="x86-64-v3-windows", cpu="x86-64-v3", triple="x86_64-pc-windows-msvc", object_format="COFF"),
    replace(NEON, name="aarch64"),
    replace(NEON, name="aarch64-apple", triple="arm64-apple-macosx11.0", cpu="apple-m1", features="", object_format="MachO"),
    _WASM,
    replace(_WASM, name="wasm32-simd", features="+simd128,+bulk-memory", vector_bytes=16),
    replace(
        _SMALL,
        name="cortex-m0plus",
        triple="thumbv6m-unknown-none-eabi",
        architecture="thumbv6m",
        cpu="cortex-m0plus",
        registers=2,
        fused_multiply_add=False,
        widens_half=False,
    ),
    _SMALL,
    replace(_SMALL, name="cortex-m7", cpu="cortex-m7"),
    replace(_SMALL, name="cortex-m33", triple="thumbv8m.main-unknown-none-eabihf", architecture="thumbv8m.main", cpu="cortex-m33"),
    replace(
        _RISCV,
        name="riscv32",
        triple="riscv32-unknown-none-elf",
        architecture="riscv32",
        cpu="generic-rv32",
        features="+m,+a,+f,+c",
        pointer_bits=32,
        first_level_bytes=2**14,
        second_level_bytes=2**14,
        relocation="static",
        abi="ilp32f",
        slot_alignment=8,
        slot_gap=0,
    ),
    _RISCV,
)

APPLE_NAMES: Mapping[str, str] = {NEON.architecture: "arm64"}
"""What Apple's tools call an architecture, where that is another name."""

BUILD_TARGETS: Mapping[str, Target] = {target.name: target for target in _DESCRIBED}
"""All machines by their names, in the order of `contract.target_names.BUILD_TARGET_NAMES`."""


@frozen
class Microcontroller:
    """A microcontroller of Arm's.

    `unit`: its floating-point unit as compilers name it. `soft_triple`: of programs on it that don't pass numbers in the unit's registers.
    """

    unit: str = ""
    soft_triple: str = ""


MICROCONTROLLERS: Mapping[str, Microcontroller] = {
    "cortex-m0plus": Microcontroller(),
    "cortex-m4": Microcontroller("fpv4-sp-d16", "thumbv7em-unknown-none-eabi"),
    "cortex-m7": Microcontroller("fpv5-d16", "thumbv7em-unknown-none-eabi"),
    "cortex-m33": Microcontroller("fpv5-sp-d16", "thumbv8m.main-unknown-none-eabi"),
}
"""Those of `BUILD_TARGETS` that are microcontrollers of Arm's, by their names."""
