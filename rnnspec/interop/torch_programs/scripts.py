"""The reader of TorchScript's archives, which `torch.jit.save` writes: torch makes a program of `torch.export` of one.

An archive is code in a language of torch's own. `torch.jit.load` runs the part that restores a module's state, and operations on constants
run as the program is made; some of torch's operations reach files. So only a file that a user says to be trusted gets that far.
"""

from __future__ import annotations

import importlib
import io
import logging
import re
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile, ZipFile

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.file_kinds import Kind, kind_of
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import Finding, Findings, ImportRefused
from rnnspec.interop.onnx_files.nodes import Attribute, Node, NodeGraph
from rnnspec.interop.onnx_files.reader import imported
from rnnspec.interop.torch_files.archive import SCRIPT_ADVICE, CheckpointError, is_script
from rnnspec.interop.torch_programs.archive import read_program
from rnnspec.interop.torch_programs.control_flow import Branches
from rnnspec.interop.torch_programs.reader import nodes_of

_LENGTHS = ((11, 13, 17, 19, 23, 29, 31, 37), (13, 17, 19, 23, 29, 31, 37, 41))
"""Lengths of the axes that may differ, in two programs of the same module: a number that follows them shows where these differ."""

_SHAPE = re.compile(r"(float|int|bool)\s*\[([\w\s,]*)\]")


@frozen
class _Shape:
    """An input as a user describes it: its kind of numbers, and its sizes, a name for one that may differ."""

    element: str
    sizes: tuple[int | str, ...]


class ScriptReader:
    """A `Reader` of what `torch.jit.save` writes, where torch is installed."""

    name = "TorchScript (.pt)"

    def takes(self, path: Path, head: bytes) -> bool:
        """See `Reader`. The names of all members tell, since the first ones are those of any file of torch."""
        if kind_of(str(path), head) is not Kind.PYTORCH:
            return False
        try:
            with ZipFile(path) as archive:
                return is_script(archive.namelist())
        except (BadZipFile, OSError, ValueError):
            return False

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """See `Reader`. `options.inputs`: the type of each input, as `float[batch, time, 3]`, and as for ONNX.

        Axes with the same name have the same length. The program of torch may hold for the lengths alone that it was made with, as where a
        branch or a reshape depends on one; so it is made twice, and refused where the two differ.
        """
        source = options.source or str(path)
        if not options.trusted or find_spec("torch") is None:
            raise ImportRefused(source, [Finding("", "", f"a TorchScript archive, which is code, {SCRIPT_ADVICE}")])
        findings = Findings()
        module = _loaded(path, findings)
        findings.refuse_import(source)
        arguments = _arguments(module)
        shapes = _shapes(arguments, options.inputs, findings)
        findings.refuse_import(source)
        one, other = (_graph(module, path.stem, shapes.values(), lengths, findings) for lengths in _LENGTHS)
        findings.refuse_import(source)
        place = _difference(one, other)
        if place is not None:
            reason = "it depends on the length of an axis that has a name: give this axis a number, or export the module by torch.export"
            raise ImportRefused(source, [Finding(place, "", reason)])
        left = {name: value for name, value in options.inputs.items() if name not in shapes}
        graph = imported(_named(one, shapes), path.stem, replace(options, inputs=left), source)
        return replace(graph, notes=(*findings.notes, *graph.notes))

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """See `Reader`: an archive is a model of its own."""
        reason = f"for a spec of yours save the weights: torch.save(torch.jit.load({str(path)!r}).state_dict(), new)"
        raise ImportRefused(options.source or str(path), [Finding("", "", f"a TorchScript archive, which is code, not weights; {reason}")])


def _loaded(path: Path, findings: Findings) -> Any:
    torch = cast(Any, importlib.import_module("torch"))
    try:
        with _quiet():
            module = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError, TypeError) as error:
        findings.add("", "", f"torch can't load it ({_first_line(error)})")
        return None
    return module.eval()


def _arguments(module: Any) -> Mapping[str, bool]:
    """The names of the module's arguments, and whether it does without."""
    given = list(module.forward.schema.arguments)[1:]
    return {str(each.name): bool(each.has_default_value()) for each in given}


def _shapes(arguments: Mapping[str, bool], given: Mapping[str, object], findings: Findings) -> dict[str, _Shape]:
    """The described inputs, in their order; a finding for each that is missing, or can't be read."""
    found: dict[str, _Shape] = {}
    left_out = ""
    for name, optional in arguments.items():
        text = given.get(name)
        matched = _SHAPE.fullmatch(text.strip()) if isinstance(text, str) else None
        parts = [] if matched is None else [part.strip() for part in matched[2].split(",") if part.strip()]
        if text is None and optional:
            left_out = left_out or name
        elif matched is None or not all(part.isidentifier() or (part.isdecimal() and int(part) > 0) for part in parts):
            told = "an archive has no shapes" if text is None else f"`{text!s:.60}` is no type"
            findings.add(
                f"input {name}", "", f"{told}: tell its type, as `--input {name}=float[batch, time, 3]`, with numbers for features"
            )
        elif left_out:
            findings.add(f"input {name}", "", f"it stands behind {left_out}, whose type isn't told")
        else:
            found[name] = _Shape(matched[1], tuple(int(part) if part.isdecimal() else part for part in parts))
    if len({size for shape in found.values() for size in shape.sizes if isinstance(size, str)}) > len(_LENGTHS[0]):
        findings.add("inputs", "", f"more than {len(_LENGTHS[0])} names of axes")
    return found


def _graph(module: Any, name: str, shapes: Iterable[_Shape], lengths: Sequence[int], findings: Findings) -> NodeGraph:
    """The module as ONNX's nodes, by a program that torch makes for inputs of zeros."""
    torch = cast(Any, importlib.import_module("torch"))
    floats = [each.dtype for each in module.state_dict().values() if each.is_floating_point()]
    elements = {"float": floats[0] if floats else torch.float32, "int": torch.int64, "bool": torch.bool}
    axes: dict[str, int] = {}
    samples: list[Any] = []
    for shape in shapes:
        sizes = [size if isinstance(size, int) else axes.setdefault(size, lengths[len(axes)]) for size in shape.sizes]
        samples.append(torch.zeros(sizes, dtype=elements[shape.element]))
    file = io.BytesIO()
    try:
        with _quiet():
            graph = torch.jit.freeze(module).graph.copy()
            graph.eraseInput(0)
            _without(graph, len(samples))
            Branches(torch, graph, tuple(samples), findings).decide()
            if findings.found:
                return NodeGraph(name, (), (), (), {})
            # the way that torch.export names when it is given a module of TorchScript
            converter = cast(Any, importlib.import_module("torch._export.converter"))
            function = torch._C._create_function_from_graph("forward", graph)
            torch.export.save(converter.TS2EPConverter(function, tuple(samples)).convert(), file)
        program = read_program(file.getvalue())
    except CheckpointError as error:
        findings.add("", "", str(error))
    except (ImportError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        findings.add("", "", f"torch can't make a program of it ({_first_line(error)})")
    else:
        return nodes_of(program, name, findings)
    return NodeGraph(name, (), (), (), {})


def _without(graph: Any, count: int) -> None:
    """Puts None in the place of the inputs behind the first `count`, which a module does without."""
    nodes = list(graph.nodes())
    for value in reversed(list(graph.inputs())[count:]):
        none = graph.insertConstant(None)
        none.node().moveBefore(nodes[0])
        value.replaceAllUsesWith(none)
        graph.eraseInput(len(list(graph.inputs())) - 1)


@contextmanager
def _quiet() -> Generator[None]:
    """Without torch's warnings, of sizes that are fixed, and of deprecation."""
    logger = logging.getLogger("torch._export.non_strict_utils")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _difference(one: NodeGraph, other: NodeGraph) -> str | None:
    """The place of the first node that isn't the same in both, None for graphs that are the same."""
    for left, right in zip_longest(one.nodes, other.nodes):
        if left is None or right is None:
            return "the number of calls"
        if not _alike(left, right, one.initializers, other.initializers):
            return f"node {left.name}"
    return None


def _alike(one: Node, other: Node, mine: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    if (one.op, one.inputs, one.outputs, one.attributes.keys()) != (other.op, other.inputs, other.outputs, other.attributes.keys()):
        return False
    constants = all(_equal(mine[name], others[name]) for name in one.inputs if name in mine)
    return constants and all(_equal(value, other.attributes[name]) for name, value in one.attributes.items())


def _equal(one: Attribute, other: Attribute) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


def _named(graph: NodeGraph, shapes: Mapping[str, _Shape]) -> NodeGraph:
    """The graph with the module's names of inputs and the user's of their axes."""
    names = {each.name: own for each, own in zip(graph.inputs, shapes, strict=True)}
    inputs = tuple(replace(each, name=names[each.name], dimensions=shapes[names[each.name]].sizes) for each in graph.inputs)
    nodes = tuple(replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)) for node in graph.nodes)
    return replace(graph, inputs=inputs, nodes=nodes)
