"""A model as a module of PyTorch in a Python file, and its state dict beside it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.files import write_atomically
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frozen import frozen
from rnnspec.interop.graph.refusals import ExportRefused, Finding
from rnnspec.interop.torch_export.expressions import identifier
from rnnspec.interop.torch_export.layers import written
from rnnspec.interop.torch_export.module_text import HELPERS, CantSay, ModuleText
from rnnspec.interop.torch_files.writing import state_dict_bytes
from rnnspec.locks import LLVM
from rnnspec.resources import read_resource
from rnnspec.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template

LINE = 120


class Given(Protocol):
    """A model on its way out."""

    @property
    def graph(self) -> Graph:
        """The layers, with the parameters' values put in."""
        ...

    @property
    def weights(self) -> Mapping[str, Array]:
        """By name."""
        ...

    @property
    def signature(self) -> Signature:
        """The inputs, outputs and dtype."""
        ...


@frozen
class TorchExporter:
    """An `Exporter` to PyTorch: `net.py` has the module, `net.pt` its state dict, whichever of the two is named."""

    name: str = "torch"
    endings: tuple[str, ...] = (".py", ".pt")

    def write(self, model: Given, path: Path) -> Sequence[str]:
        """See `Exporter`."""
        made = module_files(model.graph, model.weights, model.signature, str(path), path.stem)
        write_atomically(path.with_suffix(".pt"), made.state_dict)
        write_atomically(path.with_suffix(".py"), made.text.encode())
        return made.notes


TORCH = TorchExporter()


@frozen
class TorchFiles:
    """A module's text, its state dict as a file's bytes, and notes on what they haven't."""

    text: str
    state_dict: bytes
    notes: tuple[str, ...]


def module_files(graph: Graph, weights: Mapping[str, Array], signature: Signature, path: str, stem: str) -> TorchFiles:
    """A model as a module in `STEM.py` with the weights in `STEM.pt`; `ExportRefused`, about `path`, with all that can't be said."""
    m = ModuleText(graph, weights, signature.dtype)
    arguments: list[str] = []
    for each in graph.inputs:
        name = m.variable(each.name)
        arguments.append(name)
        m.values[each.value.number] = name
        if each.is_scalar and not each.value.type.ids:
            m.body.append(f"{name} = {name}.unsqueeze(-1)")
    findings: list[Finding] = []
    failed: set[int] = set()
    for application in graph.applications:
        if any(operand.number in failed for operand in application.operands):
            failed.update(result.number for result in application.results)
            continue
        layer = application.layer
        try:
            values = written(m, layer, application, [m.values[operand.number] for operand in application.operands])
        except CantSay as error:
            findings.append(Finding(f"layer {layer.name}", error.attribute, str(error)))
            failed.update(result.number for result in application.results)
            continue
        for result, value in zip(application.results, values, strict=True):
            m.values[result.number] = value if value.isidentifier() else m.let(layer.name, value)
    if findings:
        raise ExportRefused(path, findings)
    given = [m.values[output.value.number] for output in graph.outputs]
    m.body.append(f"return {', '.join(given)}")
    if signature.dtype == "float64":
        m.attributes.append("self.to(torch.float64)")
    if [each for each in graph.inputs if each.value.type.sequence]:
        m.notes["masks and lengths of calls aren't in the module: every step that the spec doesn't mask is a real one"] = None
    texts = [each.name for each in graph.inputs if each.text is not None]
    if texts:
        m.notes[f"the vocabulary of {', '.join(texts)} isn't in the module, which takes ids"] = None
    name, shown = identifier(graph.model), re.sub(r"[^\w .-]", "_", stem)
    text = _template().render(
        name=name,
        version=__version__,
        file=shown if shown.isidentifier() else "...",
        weights=f"{shown}.pt",
        about=textwrap.fill("Sequences are (batch, time, features). " + " ".join(f"{_sentence(note)}" for note in m.notes), LINE),
        helpers="".join(f"\n\n{read_resource('templates', f'torch_{helper}.py.txt')}" for helper in HELPERS if helper in m.helpers),
        classes="".join(f"\n\nclass {each}(nn.Module):\n{body}\n" for each, body in m.classes.items()),
        signature=_signature(arguments, graph),
        attributes="\n".join(f"        {line}" for line in m.attributes),
        arguments=", ".join(arguments),
        body="\n".join(f"        {line}" for line in m.body),
    )
    return TorchFiles(text, state_dict_bytes(m.weights, re.sub(r"\W", "_", stem, flags=re.ASCII) or "archive"), tuple(m.notes))


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _signature(arguments: list[str], graph: Graph) -> str:
    """`ids (batch, time) -> dense (batch, 2)`."""
    inputs = [
        f"{name} ({', '.join(['batch', *([] if each.is_scalar else map(str, each.value.type.shape))])})"
        for name, each in zip(arguments, graph.inputs, strict=True)
    ]
    outputs = [f"{each.name} ({', '.join(['batch', *map(str, each.value.type.shape)])})" for each in graph.outputs]
    return f"{', '.join(inputs)} -> {', '.join(outputs)}"


@cache
def _template() -> Template:
    with LLVM:  # a fork waits for who imports
        from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(read_resource("templates", "torch_module.py.j2"))
