"""A page that runs a model: one HTML file with the module of WebAssembly inside."""

from __future__ import annotations

import base64

from rnnspec.backend.templates import render
from rnnspec.deploy.built import Layouts
from rnnspec.deploy.package_texts import module_text
from rnnspec.deploy.step_layout import StepLayout
from rnnspec.resources import read_resource
from rnnspec.version import __version__


def page_text(layout: StepLayout, model: str, digest: str, module: bytes) -> str:
    """The page for a linked module. It asks nothing of the network, and nothing else of the disk."""
    script = "\n".join(
        (
            module_text(Layouts(layout, None), model, digest, ()),
            *(read_resource("templates", name) for name in ("page_session.js", "page_view.js")),
        )
    )
    values: dict[str, object] = {
        "model": model,
        "version": __version__,
        "digest": digest,
        "summary": f"{_counted(len(layout.inputs), 'input')}, {_counted(len(layout.outputs), 'output')}, "
        f"{_counted(sum(state.width for state in layout.states), 'number')} of state, {-(-len(module) // 1000):,} kB of code and weights",
        "style": read_resource("templates", "page.css"),
        "module": base64.b64encode(module).decode(),
        "script": script,
    }
    return render("page.html.j2", values)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
