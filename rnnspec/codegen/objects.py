"""LLVM text to optimised LLVM text, assembly or object bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rnnspec.diagnostics import InternalError
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, Target


def host_target() -> Target:
    """The description of this machine, with its own processor's scheduling and instructions."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    triple = llvm.get_default_triple()
    if triple.startswith("aarch64"):
        base = NEON
    elif all(features.get(name, False) for name in ("avx512f", "avx512dq", "avx512bw", "avx512vl")):
        base = AVX512
    elif features.get("avx2", False) and features.get("fma", False):
        base = AVX2
    else:
        base = SSE42
    return replace(base, triple=triple, cpu=llvm.get_host_cpu_name(), features=features.flatten())


class Machine:
    """LLVM's back end for one target."""

    def __init__(self, target: Target) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        self._llvm: Any = llvm
        self.machine: Any = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
        )

    @property
    def version(self) -> str:
        """Which LLVM this is."""
        return ".".join(str(part) for part in self._llvm.llvm_version_info)

    def optimise(self, text: str) -> Any:
        """The verified module, after LLVM's passes."""
        try:
            module = self._llvm.parse_assembly(text)
            module.verify()
        except RuntimeError as error:
            raise InternalError(f"LLVM refuses the generated code: {error}") from error
        options = self._llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = False
        options.slp_vectorization = False
        builder = self._llvm.create_pass_builder(self.machine, options)
        builder.getModulePassManager().run(module, builder)
        return module

    def object_code(self, text: str) -> bytes:
        return bytes(self.machine.emit_object(self.optimise(text)))

    def assembly(self, text: str) -> str:
        return str(self.machine.emit_assembly(self.optimise(text)))
