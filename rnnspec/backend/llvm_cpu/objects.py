"""LLVM text to optimised LLVM text, assembly or object bytes."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from rnnspec.contract.target_names import TARGET_VARIABLE
from rnnspec.diagnostics import InternalError
from rnnspec.kernel.target import Target, chosen_target, machine_target
from rnnspec.locks import in_llvm

if TYPE_CHECKING:
    from llvmlite.binding import ModuleRef, TargetMachine

PASSES = ("always_inliner", "global_dead_code_eliminate", "new_gvn", "loop_rotate", "simplify_cfg", "instruction_combine")
"""LLVM's passes that run. Measured on AVX2 against its standard pipeline at level 2: a third to a half of the time to
compile, the running time between 7 % less and 15 % more. The text is tiled and vectorised before LLVM sees it."""

QUADRATIC = "new_gvn"
"""The pass among these whose time and memory grow with the square of a function's length."""

LONGEST = 4000
"""The most lines of a function with which `QUADRATIC` runs and the back end optimises fully. Usual models stay far below; sums of a hundred
products are above."""

FAR_TOO_LONG = 16_000
"""Lines of a function from which on the back end doesn't optimise: its optimisations take more than linear time."""


def longest_function(text: str) -> int:
    """Lines of the longest function of a module."""
    return max((function.count("\n") for function in text.split("\ndefine ")), default=0)


def passes_for(text: str) -> tuple[str, ...]:
    """The passes that a module gets: all but the quadratic one where a function is very long."""
    return PASSES if longest_function(text) <= LONGEST else tuple(name for name in PASSES if name != QUADRATIC)


def level_for(text: str) -> int:
    """How much the back end does for a module, of 3 at most."""
    longest = longest_function(text)
    return 3 if longest <= LONGEST else 1 if longest <= FAR_TOO_LONG else 0


def host_target() -> Target:
    """The description of this machine, with its own processor's scheduling and instructions; ValueError if there is none.

    With `RNNSPEC_TARGET` in the environment the target of that name, as if the machine had no more; ValueError if it has less.
    """
    return in_llvm(_host_target)


def _host_target() -> Target:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    triple = llvm.get_default_triple()
    parts = llvm.get_triple_parts(triple)
    there = {name for name, has in features.items() if has}
    if chosen := os.environ.get(TARGET_VARIABLE, ""):
        return replace(chosen_target(chosen, parts.Arch, there), triple=triple, object_format=parts.ObjectFormat)
    base = machine_target(parts.Arch, there)
    return replace(base, triple=triple, cpu=llvm.get_host_cpu_name(), features=features.flatten(), object_format=parts.ObjectFormat)


def of_triple(target: Target) -> Target:
    """A target with what its triple says: architecture, kind of objects, bits of an address.

    ValueError for a triple that LLVM has no code for, and for one with the highest byte of a number first.
    """
    return in_llvm(lambda: _of_triple(target))


def _of_triple(target: Target) -> Target:
    import llvmlite.binding as llvm

    try:
        layout = str(_target_machine(target.triple, target.cpu, target.features, 0, target.relocation, target.abi).target_data)
    except RuntimeError:
        raise ValueError(f"LLVM makes no code for {target.triple}") from None
    if layout.startswith("E"):
        raise ValueError(f"{target.triple} has the highest byte of a number first, and constants are written the other way round")
    parts = llvm.get_triple_parts(target.triple)
    pointers = re.search(r"(?:^|-)p:(\d+)", layout)  # https://llvm.org/docs/LangRef.html#data-layout: 64 where it doesn't say
    bits = 64 if pointers is None else int(pointers[1])
    return replace(target, architecture=f"{parts.Arch}{parts.SubArch}", object_format=parts.ObjectFormat, pointer_bits=bits)


def code_bytes(object_code: bytes) -> int:
    """The bytes of all sections of instructions in an object file."""

    def counted() -> int:
        import llvmlite.binding as llvm

        return sum(section.size() for section in llvm.ObjectFileRef.from_data(object_code).sections() if section.is_text())

    return in_llvm(counted)


class Machine:
    """LLVM's back end for one target; `level`: how much it does for every module, of 3 at most, None for `level_for`."""

    def __init__(self, target: Target, level: int | None = None) -> None:
        import llvmlite.binding as llvm

        self._llvm = llvm
        self._target = target
        self._level = level

    @property
    def identity(self) -> str:
        """The facts that object bytes depend on beyond the text and the target: LLVM's version, and the passes and levels in use."""
        return " ".join([".".join(map(str, self._llvm.llvm_version_info)), *PASSES, str(LONGEST), str(FAR_TOO_LONG)])

    def _for(self, text: str) -> TargetMachine:
        return self._machine(level_for(text) if self._level is None else self._level)

    def _machine(self, level: int) -> TargetMachine:
        target = self._target
        return _target_machine(target.triple, target.cpu, target.features, level, target.relocation, target.abi)

    def optimise(self, text: str) -> ModuleRef:
        """The verified module, after its passes."""
        return in_llvm(lambda: self._optimised(text))

    def object_code(self, text: str) -> bytes:
        """The object file of a text, optimised; InternalError if LLVM refuses the text."""
        return in_llvm(lambda: bytes(self._for(text).emit_object(self._optimised(text))))

    def assembly(self, text: str) -> str:
        """The assembly of a text, optimised; InternalError if LLVM refuses the text."""
        return in_llvm(lambda: str(self._for(text).emit_assembly(self._optimised(text))))

    def _optimised(self, text: str) -> ModuleRef:
        llvm = self._llvm
        try:
            module = llvm.parse_assembly(text)
            module.verify()
        except RuntimeError as error:
            raise InternalError(f"LLVM refuses the generated code: {error}") from error
        if self._target.pointer_bits != 64:  # what LLVM supposes where nothing is said, and passes compute places with it
            module.data_layout = str(self._machine(3).target_data)
        passes = llvm.create_new_module_pass_manager()
        for name in passes_for(text):
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, llvm.create_pass_builder(self._machine(3), llvm.create_pipeline_tuning_options()))
        return module


@cache
def _target_machine(triple: str, cpu: str, features: str, level: int, relocation: str, abi: str) -> TargetMachine:
    """Cached, since llvmlite's destructor would swallow an interrupt."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=level, reloc=relocation, codemodel="default", abiname=abi
    )
