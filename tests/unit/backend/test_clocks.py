"""A timed build computes what the ordinary one does, and counts the ticks of each loop nest."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine
from rnnspec.backend.llvm_cpu.probes import emit_probes
from rnnspec.ir.types import DType
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.target import TARGETS, Target
from tests.unit.backend.loops import functions_of
from tests.unit.kernel.scheduled import NORMED, model, scheduled

SPEC = model(3, "Normed(4)", "Dense(2)", cell=NORMED)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_clock_stands_around_each_nest(target: Target) -> None:
    kernels = scheduled(SPEC, target=target)
    defined = functions_of(emit_module(kernels.module, target, timed=True))
    nests = sum(len(nests_of(function)) for function in kernels.module.functions)
    assert sum(len(code.calls(target.cycle_counter)) for code in defined.values()) == 2 * nests


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_an_ordinary_build_has_no_clock(target: Target) -> None:
    defined = functions_of(emit_module(scheduled(SPEC, target=target).module, target))
    assert not any(code.calls(target.cycle_counter) for code in defined.values())


def test_what_is_timed_is_the_ordinary_code() -> None:
    """Only the entry points and the time loop, which call the nests, have clocks in them."""
    kernels = scheduled(SPEC)
    timed, ordinary = (
        {name: [astuple(each) for each in code.instructions] for name, code in functions_of(text).items()}
        for text in (emit_module(kernels.module, kernels.target, timed=clocks) for clocks in (True, False))
    )
    for_threads = {"rnnspec_forward_shared", "rnnspec_forward_prepare_shared", "rnnspec.join", "rnnspec.wait", "rnnspec.rest"}
    assert ordinary.keys() - timed.keys() == {*for_threads, "rnnspec.first_row"} and not timed.keys() - ordinary.keys()
    assert {name for name in timed if timed[name] != ordinary[name]} == {"rnnspec_forward", "rnnspec_forward_prepare", "forward.2"}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_has_instructions_for_it(target: Target) -> None:
    machine = Machine(target)
    assert machine.object_code(emit_module(scheduled(SPEC, target=target).module, target, timed=True))
    for dtype in (DType.F32, DType.F64):
        assert machine.object_code(emit_probes(target, dtype))
