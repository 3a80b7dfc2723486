"""The texts of a library's forward call: its part of the header, and its example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnspec.backend.templates import render
from rnnspec.contract.dimensions import BATCH, Dim, Size
from rnnspec.deploy.forward_layout import ForwardLayout, in_c
from rnnspec.deploy.step_layout import Field
from rnnspec.deploy.weights_text import WEIGHTS_PARAMETER, WeightsFile
from rnnspec.frozen import frozen

CHECK = "check_forward.bin"


@frozen
class CArray:
    """An array of a call: its name, type and number of elements in C; `given`: as an input, or with an input."""

    name: str
    type: str
    elements: str
    given: bool = True

    @property
    def own(self) -> str:
        """Its name in the example, which has variables of its own."""
        return f"{'given' if self.given else 'got'}_{self.name}"


def forward_header(layout: ForwardLayout, workspace: Dim, file: WeightsFile | None = None) -> str:
    """The forward call's part of the header; `workspace`: the bytes that it needs on any of the targets; `file`: of weights."""
    names = [*layout.names.values()]
    cast: Mapping[Size, str] = {size: f"(int64_t)({name})" for size, name in layout.names.items()}
    sizes = [f"size_t {name}" for name in names]
    arrays = [f"{'const ' if each.given else ''}{each.type} *{each.name}" for each in arrays_of(layout)]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "upper": layout.prefix.upper(),
        "sizes": ", ".join(names),
        "size_parameters": ", ".join(sizes),
        "workspace": in_c(workspace, cast),
        "shapes": "\n".join(shape_text(each, layout) for each in (*layout.inputs, *layout.outputs)),
        "parameters": ", ".join((*([WEIGHTS_PARAMETER] if file else []), *sizes, *arrays, "void *workspace", "size_t bytes")),
    }
    return render("library_forward.h.j2", values)


def forward_example(layout: ForwardLayout, checked: Mapping[str, int], file: WeightsFile | None = None) -> str:
    """The program that runs `check_forward.bin`; `checked`: the sizes of its batch, by their names in C; `file`: of weights."""
    sizes = {name: f"checked_{name}" for name in checked}
    arrays = [*arrays_of(layout, sizes)]
    outputs = [each for each in arrays if not each.given]
    names = [(each.own, each) for each in arrays if each.given] + [(f"expected_{each.name}", each) for each in outputs]
    reads = [read_text(f"fread(&size, sizeof size, 1, file) != 1 || size != {size}", name, CHECK) for name, size in sizes.items()]
    reads += [
        read_text(f"fread({name}, sizeof *{name}, {each.elements}, file) != {each.elements}", each.name, CHECK) for name, each in names
    ]
    declared = [f"static {each.type} {name}[{each.elements}];" for name, each in (*names, *((each.own, each) for each in outputs))]
    compared = [f"    different += memcmp({each.own}, expected_{each.name}, sizeof {each.own}) != 0;" for each in outputs]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "upper": layout.prefix.upper(),
        "sizes": "\n".join(f"enum {{ {size} = {checked[name]} }};" for name, size in sizes.items()),
        "size_names": ", ".join(sizes.values()),
        "arrays": "\n".join(declared),
        "reads": "".join(reads).rstrip("\n"),
        "weights_reader": file.reader if file else "",
        "weights_read": file.read if file else "",
        "arguments": ", ".join((*(["weights"] if file else []), *sizes.values(), *(each.own for each in arrays))),
        "compares": "\n".join(compared),
        "outputs": len(outputs),
    }
    return render("library_example_forward.c.j2", values)


def read_text(condition: str, name: str, file: str) -> str:
    """The lines of an example that read something of a file; they end the program on a condition."""
    return render("library_example_read.c.j2", {"condition": condition, "name": name, "file": file})


def arrays_of(layout: ForwardLayout, sizes: Mapping[str, str] | None = None) -> Iterator[CArray]:
    """The arrays of a call, in the order of its parameters; `sizes`: the sizes' names in the example, by those in C."""
    names = _names(layout, sizes)
    for each in layout.inputs:
        rows = rows_of(each, layout, sizes)
        yield CArray(each.name, layout.element if each.vocabulary is None else "int32_t", f"{rows} * {_width(each, layout)}")
        if each.name in layout.times:
            yield CArray(f"{each.name}_lengths", "int32_t", names[BATCH])
            yield CArray(f"{each.name}_mask", "uint8_t", rows)
    for each in layout.outputs:
        yield CArray(each.name, layout.element, f"{rows_of(each, layout, sizes)} * {_width(each, layout)}", given=False)


def _names(layout: ForwardLayout, sizes: Mapping[str, str] | None) -> Mapping[Size, str]:
    return {size: (sizes or {}).get(name, name) for size, name in layout.names.items()}


def rows_of(each: Field, layout: ForwardLayout, sizes: Mapping[str, str] | None = None) -> str:
    """The number of an array's rows; `sizes`: see `arrays_of`."""
    names = _names(layout, sizes)
    if each.name not in layout.times:
        return names[BATCH]
    return f"{names[BATCH]} * {_factor(layout.times[each.name], names)}"


def _factor(dim: Dim, names: Mapping[Size, str]) -> str:
    text = in_c(dim, names)
    return f"({text})" if " " in text and not text.startswith("(") else text


def shape_text(each: Field, layout: ForwardLayout) -> str:
    """The shape of an input or output."""
    steps = [in_c(layout.times[each.name], layout.names)] if each.name in layout.times else []
    return f"   `{each.name}`: ({', '.join(('batch', *steps, _width(each, layout)))})"


def _width(each: Field, layout: ForwardLayout) -> str:
    return f"{layout.prefix.upper()}_{each.name.upper()}_WIDTH"
