"""A function for CPython that calls a native function on an array: what a small network's step costs from Python is mostly the way there.

It uses CPython's stable ABI (PEP 384, and PEP 3118's buffers, stable since 3.11) and is the same for all models.
"""

from __future__ import annotations

from rnnspec.kernel.target import Target

SYMBOL = "rnnspec_python_call"

API = (
    "PyBuffer_Release",
    "PyErr_Clear",
    "PyLong_AsVoidPtr",
    "PyObject_CallNoArgs",
    "PyObject_GetBuffer",
    "PyObject_Type",
    "PyTuple_GetItem",
    "PyTuple_New",
    "PyTuple_SetItem",
    "Py_DecRef",
    "Py_IncRef",
)
"""The functions of CPython's that the text calls."""

_TEXT = """\
target triple = "{triple}"

; As `runtime.direct.Record`: the type of an array, None; the weights' version and the one that this is made for;
; the function, its pointer tables and sizes, which table comes next and what that is combined with after a call;
; the input's place in a table, its format, rank and shape; what copies the outputs, and how many
; there are; whether a call is under way.
%record = type {{ ptr, ptr, ptr, i64, ptr, [2 x ptr], ptr, ptr, i64, i64, i64, i64, ptr, ptr, i64, i64 }}
%buffer = type {{ ptr, ptr, i64, i64, i32, i32, ptr, ptr, ptr, ptr, ptr }}

declare void @PyBuffer_Release(ptr)
declare void @PyErr_Clear()
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare ptr @PyObject_Type(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare void @Py_DecRef(ptr)
declare void @Py_IncRef(ptr)

; The outputs for the array %x, or None if it isn't one as described, the weights are others or a call is under way.
define dso_local ptr @rnnspec_python_call(ptr %self, ptr %x) #0 {{
entry:
  %view = alloca %buffer
  %number = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %r = call ptr @PyLong_AsVoidPtr(ptr %number)
  %type = call ptr @PyObject_Type(ptr %x)
  call void @Py_DecRef(ptr %type)
  %array.type = load ptr, ptr %r
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %free.or.not, label %decline

free.or.not:
  %busy = getelementptr %record, ptr %r, i64 0, i32 15
  %is.busy = load i64, ptr %busy
  %version.place = getelementptr %record, ptr %r, i64 0, i32 2
  %version.now = load ptr, ptr %version.place
  %now = load i64, ptr %version.now
  %made.place = getelementptr %record, ptr %r, i64 0, i32 3
  %made = load i64, ptr %made.place
  %aged = xor i64 %now, %made
  %hindered = or i64 %aged, %is.busy
  %is.free = icmp eq i64 %hindered, 0
  br i1 %is.free, label %look, label %decline

look:  ; 60: C-contiguous, with shape and format
  %failed = call i32 @PyObject_GetBuffer(ptr %x, ptr %view, i32 60)
  %is.buffer = icmp eq i32 %failed, 0
  br i1 %is.buffer, label %compare, label %no.buffer

no.buffer:
  call void @PyErr_Clear()
  br label %decline

compare:  ; numpy's format of an array that isn't aligned has another first letter
  %data = load ptr, ptr %view
  %format.place = getelementptr %buffer, ptr %view, i64 0, i32 6
  %format = load ptr, ptr %format.place
  %letter.byte = load i8, ptr %format
  %letter = zext i8 %letter.byte to i64
  %letter.wanted.place = getelementptr %record, ptr %r, i64 0, i32 10
  %letter.wanted = load i64, ptr %letter.wanted.place
  %other.letter = xor i64 %letter, %letter.wanted
  %rank.place = getelementptr %buffer, ptr %view, i64 0, i32 5
  %rank.short = load i32, ptr %rank.place
  %rank = sext i32 %rank.short to i64
  %rank.wanted.place = getelementptr %record, ptr %r, i64 0, i32 11
  %rank.wanted = load i64, ptr %rank.wanted.place
  %other.rank = xor i64 %rank, %rank.wanted
  %differs = or i64 %other.letter, %other.rank
  %fits = icmp eq i64 %differs, 0
  %shape.place = getelementptr %buffer, ptr %view, i64 0, i32 7
  %shape = load ptr, ptr %shape.place
  %shape.wanted.place = getelementptr %record, ptr %r, i64 0, i32 12
  %shape.wanted = load ptr, ptr %shape.wanted.place
  br i1 %fits, label %axis, label %let.go

axis:
  %i = phi i64 [ 0, %compare ], [ %next.i, %compare.axis ]
  %more = icmp slt i64 %i, %rank
  br i1 %more, label %compare.axis, label %run

compare.axis:
  %extent.place = getelementptr i64, ptr %shape, i64 %i
  %extent = load i64, ptr %extent.place
  %extent.wanted.place = getelementptr i64, ptr %shape.wanted, i64 %i
  %extent.wanted = load i64, ptr %extent.wanted.place
  %same = icmp eq i64 %extent, %extent.wanted
  %next.i = add i64 %i, 1
  br i1 %same, label %axis, label %let.go

let.go:
  call void @PyBuffer_Release(ptr %view)
  br label %decline

decline:
  %none.place = getelementptr %record, ptr %r, i64 0, i32 1
  %none = load ptr, ptr %none.place
  call void @Py_IncRef(ptr %none)
  ret ptr %none

run:
  store i64 1, ptr %busy
  %turn.place.place = getelementptr %record, ptr %r, i64 0, i32 7
  %turn.place = load ptr, ptr %turn.place.place
  %turn = load i64, ptr %turn.place
  %table.place = getelementptr %record, ptr %r, i64 0, i32 5, i64 %turn
  %table = load ptr, ptr %table.place
  %input.place.place = getelementptr %record, ptr %r, i64 0, i32 9
  %input.place = load i64, ptr %input.place.place
  %input = getelementptr ptr, ptr %table, i64 %input.place
  store ptr %data, ptr %input
  %function.place = getelementptr %record, ptr %r, i64 0, i32 4
  %function = load ptr, ptr %function.place
  %sizes.place = getelementptr %record, ptr %r, i64 0, i32 6
  %sizes = load ptr, ptr %sizes.place
  call void %function(ptr %table, ptr %sizes)
  %step.place = getelementptr %record, ptr %r, i64 0, i32 8
  %step = load i64, ptr %step.place
  %turned = xor i64 %turn, %step
  store i64 %turned, ptr %turn.place
  call void @PyBuffer_Release(ptr %view)
  %copies.place = getelementptr %record, ptr %r, i64 0, i32 13
  %copies = load ptr, ptr %copies.place
  %count.place = getelementptr %record, ptr %r, i64 0, i32 14
  %count = load i64, ptr %count.place
  %is.one = icmp eq i64 %count, 1
  br i1 %is.one, label %single, label %several

single:
  %copy.first = load ptr, ptr %copies
  %only = call ptr @PyObject_CallNoArgs(ptr %copy.first)
  br label %done

several:
  %tuple = call ptr @PyTuple_New(i64 %count)
  %is.tuple = icmp ne ptr %tuple, null
  br i1 %is.tuple, label %output, label %done

output:
  %k = phi i64 [ 0, %several ], [ %next.k, %put ]
  %left = icmp slt i64 %k, %count
  br i1 %left, label %copy, label %done

copy:
  %copy.place = getelementptr ptr, ptr %copies, i64 %k
  %copy.k = load ptr, ptr %copy.place
  %value = call ptr @PyObject_CallNoArgs(ptr %copy.k)
  %is.value = icmp ne ptr %value, null
  br i1 %is.value, label %put, label %no.value

put:
  %ignored = call i32 @PyTuple_SetItem(ptr %tuple, i64 %k, ptr %value)
  %next.k = add i64 %k, 1
  br label %output

no.value:
  call void @Py_DecRef(ptr %tuple)
  br label %done

done:  ; null: with CPython's exception
  %given = phi ptr [ %only, %single ], [ null, %several ], [ %tuple, %output ], [ null, %no.value ]
  store i64 0, ptr %busy
  ret ptr %given
}}

attributes #0 = {{ nounwind }}
"""


def emit_python_call(target: Target) -> str:
    """`PyObject *rnnspec_python_call(PyObject *self, PyObject *x)` as LLVM text; `self`: a tuple, first the record's address."""
    return _TEXT.format(triple=target.triple)
