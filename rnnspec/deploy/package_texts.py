"""The texts of an npm package: a module of JavaScript around WebAssembly, its types, an example that checks itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rnnspec.backend.protocol import OK
from rnnspec.backend.templates import render
from rnnspec.contract.dimensions import Name
from rnnspec.deploy.built import Layouts
from rnnspec.deploy.forward_layout import ForwardLayout, in_c
from rnnspec.deploy.left_out_steps import left_out
from rnnspec.deploy.step_layout import Field, StepLayout
from rnnspec.frozen import frozen
from rnnspec.resources import read_resource
from rnnspec.version import __version__

_SUMMARIES = {"step": "one step at a time", "forward": "for whole sequences", "step forward": "step by step and for whole sequences"}


@frozen
class _Part:
    """The texts of one function: of the module, its types, its example, the calls and the points of the readme, its file of checks."""

    function: str
    module: str
    types: str
    example: str
    call: str
    points: str
    check: str


def package_texts(layouts: Layouts, model: str, digest: str, targets: Sequence[str]) -> Mapping[str, str]:
    """The texts by their paths in the folder, for modules of these targets; the first one that a machine knows is taken there."""
    layout, parts = layouts.first, _parts(layouts)
    prefix, checks = layout.prefix, [part.check for part in parts]
    shipped = [f"{prefix}.js", f"{prefix}.d.ts", "node-example.js"]
    shipped += [f"{target}/{name}" for target in targets for name in (f"{prefix}.wasm", *checks)]
    values: dict[str, object] = {
        "prefix": prefix,
        "package": package_name(prefix),
        "model": model,
        "version": __version__,
        "numbers": _numbers(layout),
        "summary": _summary(parts),
        "files": " and ".join(checks),
    }
    rows = [("input", each) for each in layout.inputs] + [("output", each) for each in layout.outputs]
    readme: dict[str, object] = {
        **values,
        "calls": "\n".join(part.call for part in parts),
        "points": "\n".join(part.points.rstrip() for part in parts),
        "rows": "\n".join(f"| {kind} | `{each.name}` | {_meaning(each)} |" for kind, each in rows),
        "targets": " and ".join(f"`{target}`" for target in targets),
    }
    example = {**values, "checks": "\n".join(part.example.rstrip() for part in parts)}
    return {
        f"{prefix}.js": module_text(layouts, model, digest, targets),
        f"{prefix}.d.ts": render("wasm_module.d.ts.j2", {**values, "types": "\n".join(part.types for part in parts)}),
        "package.json": render("wasm_package.json.j2", {**values, "files": ",\n".join(f"    {json.dumps(path)}" for path in shipped)}),
        "node-example.js": render("wasm_example.js.j2", example),
        "README.md": render("wasm_readme.md.j2", readme),
    }


def module_text(layouts: Layouts, model: str, digest: str, targets: Sequence[str]) -> str:
    """The module of JavaScript."""
    # Whoever packs the module together with others looks for exactly this form of an address.
    layout, parts = layouts.first, _parts(layouts)
    files = [
        f"    {json.dumps(target)}: () => new URL({json.dumps(f'./{target}/{layout.prefix}.wasm')}, import.meta.url)," for target in targets
    ]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "model": model,
        "version": __version__,
        "summary": _summary(parts),
        "digest": digest,
        "function": parts[0].function,
        "numbers": _numbers(layout),
        "inputs": _fields(layout.inputs),
        "outputs": _fields(layout.outputs),
        "files": "\n".join(files),
        "functions": "".join(part.module for part in parts),
    }
    return render("wasm_module.js.j2", values)


def _summary(parts: Sequence[_Part]) -> str:
    return _SUMMARIES[" ".join(part.function for part in parts)]


def _parts(layouts: Layouts) -> list[_Part]:
    """The parts of the functions that there are."""
    return [*([_of_step(layouts.step)] if layouts.step else []), *([_of_forward(layouts.forward)] if layouts.forward else [])]


def _of_step(layout: StepLayout) -> _Part:
    numbers = _numbers(layout)
    values: dict[str, object] = {"prefix": layout.prefix, "ok": OK, "numbers": numbers, "states": _fields(layout.states)}
    types: dict[str, object] = {
        "numbers": numbers,
        "input_types": _members(layout.inputs, "Values"),
        "output_types": _members(layout.outputs, numbers),
        "state_types": _members(layout.states, "Values"),
    }
    given = ", ".join(f"{json.dumps(each.name)}: {_example(each)}" for each in layout.inputs)
    call = f"const stream = model.stream();\nconst shown = stream.step({{ {given} }});"
    example, points = (
        render("wasm_example_step.js.j2", values),
        read_resource("templates", "wasm_step_readme.md") + "".join(f"- {line}\n" for line in left_out(layout)),
    )
    module, declared = render("wasm_step.js.j2", values), render("wasm_step.d.ts.j2", types)
    return _Part("step", module, declared, example, call, points, "check.bin")


def _of_forward(layout: ForwardLayout) -> _Part:
    numbers, names = _numbers(layout), dict(layout.names)
    chosen = [length.name for length in layout.lengths]
    sequences = [each for each in layout.inputs if each.name in layout.times]
    of_inputs = {each.name: names[time] for each in sequences if isinstance(time := layout.times[each.name], Name)}
    steps = [
        f"    {name}: ({{ {', '.join(chosen)} }}) => {in_c(time, names, quotient='Math.floor({sum} / {divisor})')},"
        for name, time in layout.times.items()
    ]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "ok": OK,
        "numbers": numbers,
        "steps": "\n".join(steps),
        "chosen": json.dumps(chosen),
        "sizes": json.dumps(of_inputs),
    }
    types: dict[str, object] = {
        "input_types": _members(layout.inputs, "readonly Values[]"),
        "output_types": _members(layout.outputs, f"{numbers}[]"),
        "length_types": " ".join(f"{each.name}?: Values;" for each in sequences),
        "mask_types": " ".join(f"{each.name}?: readonly (Values | readonly boolean[])[];" for each in sequences),
    }
    own = {**values, "steps": "\n".join(f"        {line}" for line in steps)}
    given = ", ".join(f"{json.dumps(each.name)}: [{_example_of_rows(each, each in sequences)}]" for each in layout.inputs)
    call = f"const whole = model.forward({{ {given} }});"
    example, points = render("wasm_example_forward.js.j2", own), read_resource("templates", "wasm_forward_readme.md")
    module, declared = render("wasm_forward.js.j2", values), render("wasm_forward.d.ts.j2", types)
    return _Part("forward", module, declared, example, call, points, "check_forward.bin")


def package_name(prefix: str) -> str:
    """A name that npm takes: of small letters, and not beginning with an underscore."""
    return prefix.lower().strip("_") or "model"


def _numbers(layout: StepLayout | ForwardLayout) -> str:
    """The kind of array that outputs and states are."""
    return "Float64Array" if layout.bytes == 8 else "Float32Array"


def _fields(fields: Sequence[Field]) -> str:
    return json.dumps([_described(each) for each in fields])


def _described(each: Field) -> Mapping[str, object]:
    described: dict[str, object] = {"name": each.name, "width": each.width}
    return described if each.vocabulary is None else {**described, "vocabulary": each.vocabulary}


def _members(fields: Sequence[Field], kind: str) -> str:
    return "\n".join(f"    {each.name}: {kind};" for each in fields) or "    [none: string]: never;"


def _example(each: Field) -> str:
    return "0" if each.width == 1 else f"new Array({each.width}).fill(0)"


def _example_of_rows(each: Field, is_sequence: bool) -> str:
    """The numbers of one entry, of a sequence of ten steps."""
    return f"new Array({10 * each.width}).fill(0)" if is_sequence else _example(each)


def _meaning(each: Field) -> str:
    return str(each.width) if each.vocabulary is None else f"an id from 0 to {each.vocabulary - 1}"
