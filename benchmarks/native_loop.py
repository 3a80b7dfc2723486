"""A stream's steps called from native code, as a plugin would: this project's calling convention without Python."""

from __future__ import annotations

import ctypes

import numpy as np
from llvmlite import binding as llvm

from benchmarks.peers import Call
from benchmarks.workloads import Array
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.runtime.native.jit import Jit
from rnnspec.runtime.native.memory import address
from rnnspec.training.model import Model

SYMBOL = "steps"

LOOP = """
; For each number at %x: puts it where the step finds its input, takes the step, copies what it gives to %y.
; The states of one step are the next one's: two tables of pointers take turns.
define dso_local void @steps(ptr %pointers, ptr %dims) {
entry:
  %step = load ptr, ptr %pointers
  %even.place = getelementptr ptr, ptr %pointers, i64 1
  %even = load ptr, ptr %even.place
  %odd.place = getelementptr ptr, ptr %pointers, i64 2
  %odd = load ptr, ptr %odd.place
  %sizes.place = getelementptr ptr, ptr %pointers, i64 3
  %sizes = load ptr, ptr %sizes.place
  %input.place = getelementptr ptr, ptr %pointers, i64 4
  %input = load ptr, ptr %input.place
  %output.place = getelementptr ptr, ptr %pointers, i64 5
  %output = load ptr, ptr %output.place
  %x.place = getelementptr ptr, ptr %pointers, i64 6
  %x = load ptr, ptr %x.place
  %y.place = getelementptr ptr, ptr %pointers, i64 7
  %y = load ptr, ptr %y.place
  %count = load i64, ptr %dims
  br label %head

head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %done

body:
  %given.place = getelementptr float, ptr %x, i64 %i
  %given = load float, ptr %given.place
  store float %given, ptr %input
  %is.odd = trunc i64 %i to i1
  %table = select i1 %is.odd, ptr %odd, ptr %even
  call void %step(ptr %table, ptr %sizes)
  %got = load float, ptr %output
  %got.place = getelementptr float, ptr %y, i64 %i
  store float %got, ptr %got.place
  %next = add i64 %i, 1
  br label %head

done:
  ret void
}
"""


def native_loop(model: Model, steps: int) -> Call:
    """Takes x (1, steps, 1), steps even; gives the outputs of a stream from its beginning, of the same shape."""
    executable = model._executable  # pyright: ignore[reportPrivateUsage]
    assert isinstance(executable, NativeExecutable) and steps % 2 == 0
    batch = model._batch(np.zeros((1, 1, 1), np.float32), None, None, False)  # pyright: ignore[reportPrivateUsage]
    states = {state.name: np.zeros((1, state.width), np.float32) for state in model.signature.stream.states}
    prepared = executable.prepare_step(batch.inputs, states, batch.indices)
    model._parameters.read(prepared.set_weights)  # pyright: ignore[reportPrivateUsage]
    loop = Jit().load(_object_code(), (SYMBOL,))
    tables = prepared.tables
    (given,), (got,) = prepared.inputs.values(), prepared.outputs.values()

    def call(x: Array) -> Array:
        y = np.empty_like(x)
        for state in prepared.states.values():
            state[:] = 0
        arrays = given, got, x, y
        pointers = (ctypes.c_void_p * 8)(
            prepared.function, *(ctypes.addressof(table) for table in tables), prepared.sizes, *(address(array) for array in arrays)
        )
        count = (ctypes.c_int64 * 1)(steps)
        loop.functions[SYMBOL](ctypes.addressof(pointers), ctypes.addressof(count))
        return y

    return call


def _object_code() -> bytes:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic")
    return bytes(machine.emit_object(llvm.parse_assembly(LOOP)))
