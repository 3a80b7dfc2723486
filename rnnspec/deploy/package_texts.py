"""The texts of an npm package: a module of JavaScript around WebAssembly, its types, an example that checks itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rnnspec.backend.protocol import OK
from rnnspec.backend.templates import render
from rnnspec.deploy.left_out_steps import left_out
from rnnspec.deploy.step_layout import Field, StepLayout
from rnnspec.version import __version__


def package_texts(layout: StepLayout, model: str, digest: str, targets: Sequence[str]) -> Mapping[str, str]:
    """The texts by their paths in the folder, for modules of these targets; the first one that a machine knows is taken there."""
    prefix = layout.prefix
    shipped = [f"{prefix}.js", f"{prefix}.d.ts", "node-example.js"]
    shipped += [f"{target}/{name}" for target in targets for name in (f"{prefix}.wasm", "check.bin")]
    values: dict[str, object] = {
        "prefix": prefix,
        "package": package_name(prefix),
        "model": model,
        "version": __version__,
        "numbers": _numbers(layout),
    }
    rows = [("input", each) for each in layout.inputs] + [("output", each) for each in layout.outputs]
    readme: dict[str, object] = {
        **values,
        "example": ", ".join(f"{json.dumps(each.name)}: {_example(each)}" for each in layout.inputs),
        "rows": "\n".join(f"| {kind} | `{each.name}` | {_meaning(each)} |" for kind, each in rows),
        "targets": " and ".join(f"`{target}`" for target in targets),
        "left_out": "".join(f"- {line}\n" for line in left_out(layout)),
    }
    types: dict[str, object] = {
        **values,
        "input_types": _members(layout.inputs, "Values"),
        "output_types": _members(layout.outputs, _numbers(layout)),
        "state_types": _members(layout.states, "Values"),
    }
    return {
        f"{prefix}.js": module_text(layout, model, digest, targets),
        f"{prefix}.d.ts": render("wasm_module.d.ts.j2", types),
        "package.json": render("wasm_package.json.j2", {**values, "files": ",\n".join(f"    {json.dumps(path)}" for path in shipped)}),
        "node-example.js": render("wasm_example.js.j2", values),
        "README.md": render("wasm_readme.md.j2", readme),
    }


def module_text(layout: StepLayout, model: str, digest: str, targets: Sequence[str]) -> str:
    """The module of JavaScript."""
    # Whoever packs the module together with others looks for exactly this form of an address.
    files = [
        f"    {json.dumps(target)}: () => new URL({json.dumps(f'./{target}/{layout.prefix}.wasm')}, import.meta.url)," for target in targets
    ]
    values: dict[str, object] = {
        "prefix": layout.prefix,
        "model": model,
        "version": __version__,
        "digest": digest,
        "ok": OK,
        "numbers": _numbers(layout),
        "inputs": _fields(layout.inputs),
        "outputs": _fields(layout.outputs),
        "states": _fields(layout.states),
        "files": "\n".join(files),
    }
    return render("wasm_module.js.j2", values)


def package_name(prefix: str) -> str:
    """A name that npm takes: of small letters, and not beginning with an underscore."""
    return prefix.lower().strip("_") or "model"


def _numbers(layout: StepLayout) -> str:
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


def _meaning(each: Field) -> str:
    return str(each.width) if each.vocabulary is None else f"an id from 0 to {each.vocabulary - 1}"
