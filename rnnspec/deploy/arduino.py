"""A library as Arduino takes one: https://arduino.github.io/arduino-cli/latest/library-specification/, its precompiled binaries.

Boards of one processor pass floating-point numbers in its registers ("hard") or don't ("softfp"), and a linker refuses to mix the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rnnspec.backend.templates import render
from rnnspec.deploy.built import Layouts
from rnnspec.deploy.step_layout import StepLayout
from rnnspec.deploy.texts import c_type, width
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import MICROCONTROLLERS
from rnnspec.kernel.target import Target
from rnnspec.version import __version__


@frozen
class Variant:
    """A static library for some boards: its folder in `src`, and the target that it is for. `usual`: whether that is the build's own."""

    folder: str
    target: Target
    usual: bool = True


def variants(target: Target) -> tuple[Variant, ...]:
    """The libraries of a target for Arduino; none for what isn't a microcontroller of Arm's."""
    known = MICROCONTROLLERS.get(target.name)
    if known is None:
        return ()
    if not known.unit:
        return (Variant(target.name, target),)
    soft = replace(target, triple=known.soft_triple)
    return Variant(f"{target.name}/{known.unit}-hard", target), Variant(f"{target.name}/{known.unit}-softfp", soft, usual=False)


def arduino_texts(model: str, header: str, layouts: Layouts) -> Mapping[str, str]:
    """The texts by their paths: properties, the header where Arduino looks for it, and a sketch that takes steps."""
    values = {"prefix": layouts.prefix, "model": model, "version": __version__}
    found = {"library.properties": render("library.properties.j2", values), f"src/{layouts.prefix}.h": header}
    if (step := layouts.step) is not None:
        found[f"examples/{step.prefix}_steps/{step.prefix}_steps.ino"] = render("library_sketch.ino.j2", _sketch(step))
    return found


def _sketch(layout: StepLayout) -> Mapping[str, object]:
    given = [(f"given_{each.name}", each) for each in layout.inputs]
    got = [(f"got_{each.name}", each) for each in layout.outputs]
    return {
        "prefix": layout.prefix,
        "arrays": _lines(f"static {c_type(each, layout)} {name}[{width(each, layout)}];" for name, each in (*given, *got)),
        "arguments": ", ".join(("&state", *(name for name, _ in (*given, *got)))),
        "shown": got[0][0],
    }


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
