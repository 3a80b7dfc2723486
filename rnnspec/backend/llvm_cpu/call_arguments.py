"""A direct call's arguments in native code: arrays, lists and mappings of them are found, compared with what is expected, and taken.

Whatever isn't as expected sets `%wrong`, and the call goes the way that says what is wrong. Ids, masks and lengths are native code's
own once they were looked at: each is read once, into the memory that the function reads, so that another thread can't change
one between the look and the use. Floats are read where they lie, or are converted as `runtime.data.validate` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.backend.llvm_cpu.structures import Record, element_of, place_of
from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.contract.native_structs import CallRecord, ElementKind, InputRecord
from rnnspec.frozen import frozen

BUFFER = "{ ptr, ptr, i64, i64, i32, i32, ptr, ptr, ptr, ptr, ptr }"
"""CPython's Py_buffer (PEP 3118): address, owner, bytes, bytes of an element, read-only, axes, format, shape, strides, two more."""

DATA, ELEMENT_BYTES, AXES, FORMAT, SHAPE, STRIDES = 0, 3, 5, 6, 7, 8
"""Fields of it."""

STRIDED = 0x1C
"""PyBUF_STRIDES and PyBUF_FORMAT: what a buffer is asked for."""

_LLVM = {ElementKind.FLOAT32: "float", ElementKind.FLOAT64: "double", ElementKind.INT32: "i32", ElementKind.INT64: "i64"}
_LETTERS = {
    ElementKind.FLOAT32: ("f", 4),
    ElementKind.FLOAT64: ("d", 8),
    ElementKind.INT32: ("ilq", 4),
    ElementKind.INT64: ("ilq", 8),
    ElementKind.BOOL: ("?", 1),
}
"""PEP 3118's letters, and the bytes of an element: a C `long` has four or eight."""

_FLOATS = (ElementKind.FLOAT32, ElementKind.FLOAT64)
_INTEGERS = (ElementKind.INT32, ElementKind.INT64)


@frozen
class _Copy:
    """A conversion, for the elements of one kind of another's."""

    to: ElementKind
    source: ElementKind

    @property
    def name(self) -> str:
        return f"rnnspec.call.copy.{self.to.name.lower()}.{self.source.name.lower()}"

    @property
    def code(self) -> int:
        return self.to * len(ElementKind) + self.source


def _copies() -> Iterator[_Copy]:
    for to in ElementKind:
        own = _FLOATS if to in _FLOATS else (ElementKind.BOOL,) if to is ElementKind.BOOL else ()
        for source in (*own, *_INTEGERS):
            yield _Copy(to, source)


def emit_call_arguments() -> str:
    """`void rnnspec.call.gather(ptr record, ptr arguments, i64 count, ptr views, ptr wrong)` and what it calls.

    `record`: a `CallRecord`. `arguments`: x, and perhaps a mask and lengths. `views`: three zeroed Py_buffers for each input, to be
    released. `wrong`: an i64, which becomes 1 where an argument isn't as expected.
    """
    return "\n".join(each.text() for each in (*map(_copy, _copies()), _read(), _list(), _take(), _item(), _given(), _gather()))


def _copy(copy: _Copy) -> FunctionWriter:
    """Elements in a line; `%wrong` where one can't be what is wanted."""
    writer = FunctionWriter(copy.name, ["ptr %to", "ptr %from", "i64 %count", "i64 %stride", "i64 %limit", "ptr %wrong"])
    with writer.carrying_loop("0", "%count", 1, [("i1", "false")]) as (number, carried, following):
        there = _bytes_behind(writer, "%from", writer.multiply(number, "%stride"))
        following.append(writer.assign(f"or i1 {carried[0]}, {_converted(writer, copy, there, number)}"))
    with writer.when(carried[0]):
        writer.do("store i64 1, ptr %wrong")
    return writer


def _converted(writer: FunctionWriter, copy: _Copy, there: str, here: str) -> str:
    """Copies an element; the i1 that says whether it can't be."""
    if copy.source is ElementKind.BOOL:
        byte = writer.assign(f"load i8, ptr {there}")
        flag = writer.assign(f"zext i1 {writer.assign(f'icmp ne i8 {byte}, 0')} to i8")
        writer.do(f"store i8 {flag}, ptr {place_of(writer, 'i8', '%to', here)}")
        return "false"
    kind = _LLVM[copy.source]
    if copy.to in _FLOATS:
        wanted = _LLVM[copy.to]
        value = writer.assign(f"load {kind}, ptr {there}")
        if copy.source in _INTEGERS:
            converted = writer.assign(f"sitofp {kind} {value} to {wanted}")
        elif copy.source is copy.to:
            converted = value
        else:
            converted = writer.assign(f"{'fptrunc' if copy.to is ElementKind.FLOAT32 else 'fpext'} {kind} {value} to {wanted}")
        writer.do(f"store {wanted} {converted}, ptr {place_of(writer, wanted, '%to', here)}")
        if (copy.to, copy.source) != _FLOATS:
            return "false"
        wide = writer.assign(f"fpext float {converted} to double")
        return writer.assign(f"and i1 {_is_infinite(writer, wide)}, {writer.assign(f'xor i1 {_is_infinite(writer, value)}, true')}")
    value = writer.assign(f"load atomic {kind}, ptr {there} unordered, align {8 if kind == 'i64' else 4}")  # once, whoever writes
    number = value if kind == "i64" else writer.assign(f"sext i32 {value} to i64")
    _store_number(writer, copy.to, number, here)
    return writer.assign(f"icmp uge i64 {number}, %limit")


def _is_infinite(writer: FunctionWriter, value: str) -> str:
    size = writer.assign(f"call double @llvm.fabs.f64(double {value})")
    return writer.assign(f"fcmp oeq double {size}, 0x7FF0000000000000")


def _store_number(writer: FunctionWriter, to: ElementKind, number: str, place: str) -> None:
    kind = "i8" if to is ElementKind.BOOL else _LLVM[to]
    value = number if kind == "i64" else writer.assign(f"trunc i64 {number} to {kind}")
    writer.do(f"store {kind} {value}, ptr {place_of(writer, kind, '%to', place)}")


_WANTED = ("i64 %kind", "i64 %rank", "ptr %extents", "ptr %to", "i64 %limit")
"""What an argument is to be: an `ElementKind`, its axes, three extents, memory for a copy, the number that is too large."""
_PASSED = ", ".join(_WANTED)


def _read() -> FunctionWriter:
    """An array's buffer: `%place` becomes the address of its elements, where they lie or where they were copied to."""
    writer = FunctionWriter("rnnspec.call.read", ["ptr %view", *_WANTED, "ptr %place", "ptr %wrong"])
    bytes_, format_, shape = (_field(writer, field) for field in (ELEMENT_BYTES, FORMAT, SHAPE))
    source = _source_kind(writer, bytes_, format_)
    axes = writer.assign(f"sext i32 {_field(writer, AXES)} to i64", "axes")
    same_rank = writer.assign(f"icmp eq i64 {axes}, %rank")
    known = writer.assign(f"and i1 {same_rank}, {writer.assign(f'icmp sge i64 {source}, 0')}")
    stop = writer.assign(f"select i1 {same_rank}, i64 {axes}, i64 0", "stop")
    with writer.carrying_loop("0", stop, 1, [("i1", known)], "axis") as (axis, carried, following):
        same = writer.assign(f"icmp eq i64 {element_of(writer, 'i64', shape, axis)}, {element_of(writer, 'i64', '%extents', axis)}")
        following.append(writer.assign(f"and i1 {carried[0]}, {same}"))
    fits = carried[0]
    with writer.when(writer.assign(f"xor i1 {fits}, true")):
        writer.do("store i64 1, ptr %wrong")
    with writer.when(fits):
        _read_fitting(writer, bytes_, source, axes)
    return writer


def _read_fitting(writer: FunctionWriter, bytes_: str, source: str, axes: str) -> None:
    """An array of the wanted shape, of whichever strides: three axes at most, of which the last one is copied at once."""
    given, data = _field(writer, STRIDES), _field(writer, DATA)
    start = [("i64", bytes_), ("i1", "true"), *[("i64", "1"), ("i64", "0")] * 3]
    with writer.carrying_loop("0", axes, 1, start, "back") as (back, carried, following):
        axis = writer.subtract(writer.add(axes, -1), back)
        stride, extent = element_of(writer, "i64", given, axis), element_of(writer, "i64", "%extents", axis)
        dense = writer.assign(f"icmp eq i64 {stride}, {carried[0]}")
        alone = writer.assign(f"icmp eq i64 {extent}, 1")
        following.append(writer.multiply(carried[0], extent))
        following.append(writer.assign(f"and i1 {carried[1]}, {writer.assign(f'or i1 {dense}, {alone}')}"))
        for place in range(3):  # the last axis first
            is_it = writer.assign(f"icmp eq i64 {back}, {place}")
            for offset, value in enumerate((extent, stride)):
                following.append(writer.assign(f"select i1 {is_it}, i64 {value}, i64 {carried[2 + 2 * place + offset]}"))
    extents, strides = carried[2::2], carried[3::2]
    is_float = writer.assign(f"icmp ule i64 %kind, {ElementKind.FLOAT64}")
    as_is = writer.assign(f"and i1 {is_float}, {writer.assign(f'icmp eq i64 {source}, %kind')}")
    where_it_lies = writer.assign(f"and i1 {carried[1]}, {as_is}")
    with writer.when(where_it_lies):
        writer.do(f"store ptr {data}, ptr %place")
    with writer.when(writer.assign(f"xor i1 {where_it_lies}, true")):
        writer.do("store ptr %to, ptr %place")
        code = writer.add(writer.multiply("%kind", len(ElementKind)), source)
        function = "null"
        for copy in _copies():
            function = writer.assign(f"select i1 {writer.assign(f'icmp eq i64 {code}, {copy.code}')}, ptr @{copy.name}, ptr {function}")
        is_known = writer.assign(f"icmp ne ptr {function}, null")
        with writer.when(writer.assign(f"xor i1 {is_known}, true")):
            writer.do("store i64 1, ptr %wrong")
        with writer.when(is_known):
            size = writer.assign(f"select i1 {writer.assign(f'icmp eq i64 %kind, {ElementKind.BOOL}')}, i64 1, i64 8")
            narrow = _is_any(writer, "%kind", (ElementKind.FLOAT32, ElementKind.INT32))
            size = writer.assign(f"select i1 {narrow}, i64 4, i64 {size}", "size")
            with writer.loop("0", extents[2], hint="i") as i, writer.loop("0", extents[1], hint="j") as j:
                line = writer.add(writer.multiply(i, extents[1]), j)
                to = _bytes_behind(writer, "%to", writer.multiply(writer.multiply(line, extents[0]), size))
                origin = writer.add(writer.multiply(i, strides[2]), writer.multiply(j, strides[1]))
                passed = f"ptr {to}, ptr {_bytes_behind(writer, data, origin)}, i64 {extents[0]}, i64 {strides[0]}, i64 %limit, ptr %wrong"
                writer.do(f"call void {function}({passed})")


def _source_kind(writer: FunctionWriter, bytes_: str, format_: str) -> str:
    """The `ElementKind` of a format; -1 for others: swapped and unaligned elements have a mark before their letter."""
    letter, behind = (element_of(writer, "i8", format_, str(place)) for place in range(2))
    found = "-1"
    for kind, (letters, size) in _LETTERS.items():
        is_letter = "false"
        for each in letters:
            is_letter = writer.assign(f"or i1 {is_letter}, {writer.assign(f'icmp eq i8 {letter}, {ord(each)}')}")
        is_it = writer.assign(f"and i1 {is_letter}, {writer.assign(f'icmp eq i64 {bytes_}, {size}')}")
        found = writer.assign(f"select i1 {is_it}, i64 {int(kind)}, i64 {found}", "kind")
    return writer.assign(f"select i1 {writer.assign(f'icmp eq i8 {behind}, 0')}, i64 {found}, i64 -1", "kind")


def _list() -> FunctionWriter:
    """A list or a tuple of Python's whole numbers, or of numpy's int64, in the place of an array with one axis."""
    writer = FunctionWriter("rnnspec.call.list", ["ptr %record", "ptr %object", "i1 %is.list", *_WANTED, "ptr %place", "ptr %wrong"])
    record = Record(writer, CallRecord, "%record")
    whole, whole64 = record.load("int_type"), record.load("int64_type")
    size = _size(writer, "%object", "%is.list")
    fits = writer.assign(f"icmp eq i64 {size}, {element_of(writer, 'i64', '%extents', '0')}")
    with writer.when(writer.assign(f"xor i1 {fits}, true")):
        writer.do("store i64 1, ptr %wrong")
    with writer.when(fits):
        with writer.loop("0", size, hint="n") as number:
            item = _entry(writer, "%object", "%is.list", number)
            kind = _type_of(writer, item)
            of_python = writer.assign(f"icmp eq ptr {kind}, {whole}")
            is_whole = writer.assign(f"or i1 {of_python}, {writer.assign(f'icmp eq ptr {kind}, {whole64}')}")
            with writer.when(writer.assign(f"xor i1 {is_whole}, true")):
                writer.do("store i64 1, ptr %wrong")
            with writer.when(is_whole):  # what is too large for an i64 becomes the largest one
                value = writer.assign(f"call i64 @PyNumber_AsSsize_t(ptr {item}, ptr null)")
                with writer.when(writer.assign(f"icmp uge i64 {value}, %limit")):
                    writer.do("store i64 1, ptr %wrong")
                with writer.when(writer.assign(f"icmp eq i64 %kind, {ElementKind.INT32}")):
                    _store_number(writer, ElementKind.INT32, value, number)
                with writer.when(writer.assign(f"icmp eq i64 %kind, {ElementKind.INT64}")):
                    _store_number(writer, ElementKind.INT64, value, number)
        writer.do("store ptr %to, ptr %place")
    return writer


def _take() -> FunctionWriter:
    """An array, or a list in its place."""
    writer = FunctionWriter("rnnspec.call.take", ["ptr %record", "ptr %object", "ptr %view", *_WANTED, "ptr %place", "ptr %wrong"])
    record = Record(writer, CallRecord, "%record")
    kind = _type_of(writer, "%object")
    is_array, is_list, is_tuple = (
        writer.assign(f"icmp eq ptr {kind}, {record.load(name)}") for name in ("array_type", "list_type", "tuple_type")
    )
    with writer.when(is_array):
        failed = writer.assign(f"call i32 @PyObject_GetBuffer(ptr %object, ptr %view, i32 {STRIDED})")
        is_buffer = writer.assign(f"icmp eq i32 {failed}, 0")
        with writer.when(is_buffer):
            writer.do(f"call void @rnnspec.call.read(ptr %view, {_PASSED}, ptr %place, ptr %wrong)")
        with writer.when(writer.assign(f"xor i1 {is_buffer}, true")):
            writer.do("call void @PyErr_Clear()")
            writer.do("store i64 1, ptr %wrong")
    of_numbers = writer.assign(f"and i1 {_is_any(writer, '%kind', _INTEGERS)}, {writer.assign('icmp eq i64 %rank, 1')}")
    is_listed = writer.assign(f"and i1 {of_numbers}, {writer.assign(f'or i1 {is_list}, {is_tuple}')}")
    with writer.when(is_listed):
        writer.do(f"call void @rnnspec.call.list(ptr %record, ptr %object, i1 {is_list}, {_PASSED}, ptr %place, ptr %wrong)")
    known = writer.assign(f"or i1 {is_array}, {is_listed}")
    with writer.when(writer.assign(f"xor i1 {known}, true")):
        writer.do("store i64 1, ptr %wrong")
    return writer


def _item() -> FunctionWriter:
    """What a container has for an input, at `%found`: under its name, at its number, or the container itself for `%alone`."""
    parameters = ("ptr %record", "ptr %container", "i64 %number", "ptr %name", "i1 %alone", "i64 %several", "ptr %found")
    writer = FunctionWriter("rnnspec.call.item", parameters)
    record = Record(writer, CallRecord, "%record")
    writer.do("store ptr null, ptr %found")
    kind = _type_of(writer, "%container")
    is_dict, is_list, is_tuple = (
        writer.assign(f"icmp eq ptr {kind}, {record.load(name)}") for name in ("dict_type", "list_type", "tuple_type")
    )
    with writer.when(is_dict):
        value = writer.assign("call ptr @PyDict_GetItemWithError(ptr %container, ptr %name)")
        with writer.when(writer.assign(f"icmp eq ptr {value}, null")):
            writer.do("call void @PyErr_Clear()")
        writer.do(f"store ptr {value}, ptr %found")
    is_other = writer.assign(f"xor i1 {is_dict}, true")
    with writer.when(writer.assign(f"and i1 {is_other}, %alone")):
        writer.do("store ptr %container, ptr %found")
    many = writer.assign(f"and i1 {writer.assign('icmp sgt i64 %several, 1')}, {writer.assign(f'or i1 {is_list}, {is_tuple}')}")
    with writer.when(many):
        size = _size(writer, "%container", is_list)
        with writer.when(writer.assign(f"icmp eq i64 {size}, %several")):
            writer.do(f"store ptr {_entry(writer, '%container', is_list, '%number')}, ptr %found")
    return writer


def _given() -> FunctionWriter:
    """A mask or lengths, which may be None or a mapping of some inputs' names, for each input with steps."""
    parameters = ("ptr %record", "ptr %container", "ptr %views", "i1 %is.mask", "ptr %wrong")
    writer = FunctionWriter("rnnspec.call.given", parameters)
    found, unused = writer.assign("alloca ptr", "found"), writer.assign("alloca ptr", "unused")
    record = Record(writer, CallRecord, "%record")
    with writer.when(writer.assign(f"icmp ne ptr %container, {record.load('none')}")):
        kind = _type_of(writer, "%container")
        is_dict = writer.assign(f"icmp eq ptr {kind}, {record.load('dict_type')}")
        only = writer.assign(f"icmp eq i64 {record.load('sequences')}, 1")
        alone = writer.assign(f"and i1 {only}, {writer.assign(f'xor i1 {is_dict}, true')}")
        inputs = Record(writer, InputRecord, record.load("inputs"))
        with writer.carrying_loop("0", record.load("input_count"), 1, [("i64", "0")], "n") as (number, carried, following):
            each = inputs.item(number)
            has_steps = writer.assign(f"icmp ne i64 {each.load('sequence')}, 0")
            passed = f"ptr %record, ptr %container, i64 {number}, ptr {each.load('name')}, i1 {alone}, i64 0, ptr {found}"
            writer.do(f"call void @rnnspec.call.item({passed})")
            item = writer.assign(f"load ptr, ptr {found}")
            there = writer.assign(f"and i1 {has_steps}, {writer.assign(f'icmp ne ptr {item}, null')}")
            with writer.when(there):
                view = writer.assign(f"getelementptr inbounds {BUFFER}, ptr %views, i64 {number}", "view")
                with writer.when("%is.mask"):
                    wanted = f"i64 {ElementKind.BOOL}, i64 2, ptr {each.place('steps')}, ptr {each.load('given')}, i64 2"
                    writer.do(f"call void @rnnspec.call.take(ptr %record, ptr {item}, ptr {view}, {wanted}, ptr {unused}, ptr %wrong)")
                with writer.when(writer.assign("xor i1 %is.mask, true")):
                    limit = writer.add(each.load("steps", 1), 1)
                    wanted = f"i64 {ElementKind.INT64}, i64 1, ptr {each.place('rows')}, ptr {each.load('lengths')}, i64 {limit}"
                    writer.do(f"call void @rnnspec.call.take(ptr %record, ptr {item}, ptr {view}, {wanted}, ptr {unused}, ptr %wrong)")
                    _cut(writer, each)
            following.append(writer.add(carried[0], writer.assign(f"zext i1 {there} to i64")))
        with writer.when(is_dict):
            size = writer.assign("call i64 @PyDict_Size(ptr %container)")
            with writer.when(writer.assign(f"icmp ne i64 {size}, {carried[0]}")):
                writer.do("store i64 1, ptr %wrong")
        known = writer.assign(f"or i1 {is_dict}, {alone}")
        with writer.when(writer.assign(f"xor i1 {known}, true")):
            writer.do("store i64 1, ptr %wrong")
    return writer


def _cut(writer: FunctionWriter, each: Record) -> None:
    """Takes steps behind a row's length from those that are given."""
    rows, time, given, lengths = each.load("steps", 0), each.load("steps", 1), each.load("given"), each.load("lengths")
    with writer.loop("0", rows, hint="row") as row:
        length = element_of(writer, "i64", lengths, row)
        first = writer.multiply(row, time)
        with writer.loop("0", time, hint="step") as step:
            place = place_of(writer, "i8", given, writer.add(first, step))
            within = writer.assign(f"zext i1 {writer.assign(f'icmp slt i64 {step}, {length}')} to i8")
            writer.do(f"store i8 {writer.assign(f'and i8 {within}, ' + writer.assign(f'load i8, ptr {place}'))}, ptr {place}")


def _gather() -> FunctionWriter:
    """See `emit_call_arguments`."""
    writer = FunctionWriter("rnnspec.call.gather", ["ptr %record", "ptr %arguments", "i64 %count", "ptr %views", "ptr %wrong"])
    found = writer.assign("alloca ptr", "found")
    record = Record(writer, CallRecord, "%record")
    several, inputs = record.load("input_count"), Record(writer, InputRecord, record.load("inputs"))
    packs = writer.assign(f"icmp ne i64 {record.load('packs')}, 0")
    x = element_of(writer, "ptr", "%arguments", "0")
    alone = writer.assign(f"icmp eq i64 {several}, 1")
    is_dict = writer.assign(f"icmp eq ptr {_type_of(writer, x)}, {record.load('dict_type')}")
    with writer.when(is_dict):
        size = writer.assign(f"call i64 @PyDict_Size(ptr {x})")
        with writer.when(writer.assign(f"icmp ne i64 {size}, {several}")):
            writer.do("store i64 1, ptr %wrong")
    with writer.loop("0", several, hint="n") as number:
        each = inputs.item(number)
        passed = f"ptr %record, ptr {x}, i64 {number}, ptr {each.load('name')}, i1 {alone}, i64 {several}, ptr {found}"
        writer.do(f"call void @rnnspec.call.item({passed})")
        item = writer.assign(f"load ptr, ptr {found}")
        is_there = writer.assign(f"icmp ne ptr {item}, null")
        with writer.when(writer.assign(f"xor i1 {is_there}, true")):
            writer.do("store i64 1, ptr %wrong")
        with writer.when(is_there):
            view = writer.assign(f"getelementptr inbounds {BUFFER}, ptr %views, i64 {number}", "view")
            wanted = f"i64 {each.load('kind')}, i64 {each.load('rank')}, ptr {each.place('extents')}, ptr {each.load('own')}"
            taken = f"ptr %record, ptr {item}, ptr {view}, {wanted}, i64 {each.load('limit')}, ptr {each.place('data')}, ptr %wrong"
            writer.do(f"call void @rnnspec.call.take({taken})")
        has_steps = writer.assign(f"icmp ne i64 {each.load('sequence')}, 0")
        with writer.when(writer.assign(f"and i1 {packs}, {has_steps}")):
            steps = writer.multiply(each.load("steps", 0), each.load("steps", 1))
            writer.do(f"call void @llvm.memset.p0.i64(ptr {each.load('given')}, i8 1, i64 {steps}, i1 false)")
    with writer.when(writer.assign("icmp sgt i64 %count, 1")):
        for place, is_mask in ((1, "true"), (2, "false")):
            container = element_of(writer, "ptr", "%arguments", str(place))
            views = writer.assign(f"getelementptr inbounds {BUFFER}, ptr %views, i64 {writer.multiply(several, place)}", "views")
            is_given = writer.assign(f"icmp ne ptr {container}, {record.load('none')}")
            with writer.when(writer.assign(f"and i1 {is_given}, {writer.assign(f'xor i1 {packs}, true')}")):
                writer.do("store i64 1, ptr %wrong")
            with writer.when(packs):
                writer.do(f"call void @rnnspec.call.given(ptr %record, ptr {container}, ptr {views}, i1 {is_mask}, ptr %wrong)")
    return writer


def _is_any(writer: FunctionWriter, value: str, kinds: tuple[ElementKind, ...]) -> str:
    found = "false"
    for kind in kinds:
        found = writer.assign(f"or i1 {found}, {writer.assign(f'icmp eq i64 {value}, {int(kind)}')}")
    return found


def _type_of(writer: FunctionWriter, item: str) -> str:
    """The address of a Python object's type, which lives as long as the object."""
    kind = writer.assign(f"call ptr @PyObject_Type(ptr {item})", "type")
    writer.do(f"call void @Py_DecRef(ptr {kind})")
    return kind


def _size(writer: FunctionWriter, sequence: str, is_list: str) -> str:
    """How many entries a list or a tuple has."""
    function = writer.assign(f"select i1 {is_list}, ptr @PyList_Size, ptr @PyTuple_Size", "count")
    return writer.assign(f"call i64 {function}(ptr {sequence})", "size")


def _entry(writer: FunctionWriter, sequence: str, is_list: str, number: str) -> str:
    """An entry of a list or a tuple, which keeps it."""
    function = writer.assign(f"select i1 {is_list}, ptr @PyList_GetItem, ptr @PyTuple_GetItem", "get")
    return writer.assign(f"call ptr {function}(ptr {sequence}, i64 {number})", "entry")


def _field(writer: FunctionWriter, number: int) -> str:
    kind = {ELEMENT_BYTES: "i64", AXES: "i32"}.get(number, "ptr")
    place = writer.assign(f"getelementptr inbounds {BUFFER}, ptr %view, i64 0, i32 {number}", "p")
    return writer.assign(f"load {kind}, ptr {place}")


def _bytes_behind(writer: FunctionWriter, origin: str, offset: str) -> str:
    return writer.assign(f"getelementptr inbounds i8, ptr {origin}, i64 {offset}", "p")
