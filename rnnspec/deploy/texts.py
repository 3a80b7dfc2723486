"""The texts of a library's folder: header, example, what CMake and pkg-config read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.backend.protocol import BAD_ID, OK
from rnnspec.backend.templates import render
from rnnspec.deploy.step_layout import Field, StepLayout
from rnnspec.version import __version__


def texts(layout: StepLayout, model: str, digest: str, targets: Sequence[str]) -> Mapping[str, str]:
    """The texts by their paths in the folder; `digest`: of the model, the same for all targets."""
    prefix, upper = layout.prefix, layout.prefix.upper()
    state = f"{prefix}_state *state"
    parameters = [state, *(_parameter(each, layout, constant=True) for each in layout.inputs)]
    parameters += [_parameter(each, layout, constant=False) for each in layout.outputs]
    rows = [state, *(f"const {_type(each, layout)} *{each.name}" for each in layout.inputs)]
    rows += [f"{layout.element} *{each.name}" for each in layout.outputs]
    states = [f"    {layout.element} {each.name}[{each.width}];" for each in layout.states]
    values: dict[str, object] = {
        "prefix": prefix,
        "upper": upper,
        "model": model,
        "version": __version__,
        "digest": digest,
        "ok": OK,
        "bad_id": BAD_ID,
        "widths": "\n".join(f"#define {_width(each, layout)} {each.width}" for each in (*layout.inputs, *layout.outputs)),
        "states": "\n".join(states) or "    char none; /* this model carries nothing from step to step */",
        "parameters": ", ".join(parameters),
        "parameters_of_several": ", ".join((*rows, "size_t steps")),
        "targets": ", ".join(targets),
        "first": targets[0],
        "opened": "{",
        "closed": "}",
        **_example(layout),
    }
    return {
        f"include/{prefix}.h": render("library.h.j2", values),
        "example.c": render("library_example.c.j2", values),
        f"{prefix}-config.cmake": render("library_config.cmake.j2", values),
        f"{prefix}.pc": render("library.pc.j2", values),
    }


def _type(each: Field, layout: StepLayout) -> str:
    return layout.element if each.vocabulary is None else "int32_t"


def _width(each: Field, layout: StepLayout) -> str:
    return f"{layout.prefix.upper()}_{each.name.upper()}_WIDTH"


def _parameter(each: Field, layout: StepLayout, *, constant: bool) -> str:
    return f"{'const ' if constant else ''}{_type(each, layout)} {each.name}[{_width(each, layout)}]"


def _example(layout: StepLayout) -> Mapping[str, str]:
    """What the example does with the inputs and outputs of a step."""
    both = (*layout.inputs, *layout.outputs)
    declared = [f"        {_type(each, layout)} {each.name}[{_width(each, layout)}];" for each in both]
    declared += [f"        {layout.element} expected_{each.name}[{_width(each, layout)}];" for each in layout.outputs]
    read = [each.name for each in layout.inputs] + [f"expected_{each.name}" for each in layout.outputs]
    return {
        "declarations": "\n".join(declared),
        "reads": " || ".join(f"fread({name}, sizeof {name}, 1, file) != 1" for name in read),
        "arguments": ", ".join(("&state", *(each.name for each in both))),
        "compared": " || ".join(f"memcmp({each.name}, expected_{each.name}, sizeof {each.name}) != 0" for each in layout.outputs),
    }
