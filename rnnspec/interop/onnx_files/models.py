"""A graph of sequences as a model of layers: read with several meanings of its inputs' axes, and twice with the one that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import Role, SourceCall, arranged, roles_of
from rnnspec.interop.graph.graph import ImportedGraph, ImportedInput, ImportedLayer, ImportedOutput
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.choices import composed, outputs_of
from rnnspec.interop.onnx_files.elements import Elements, Entry, Pool, layout_of
from rnnspec.interop.onnx_files.ids import Tables
from rnnspec.interop.onnx_files.layer_values import Use
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.loops import looped
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph, SourceInput
from rnnspec.interop.onnx_files.products import Products
from rnnspec.interop.onnx_files.roles import InputRoles, assignments, batch_of, lengths_of
from rnnspec.interop.onnx_files.scans import scanned
from rnnspec.interop.onnx_files.sequence_operations import LAYER_OPERATIONS, embedded
from rnnspec.interop.onnx_files.tidying import alive, read_by, tidied
from rnnspec.interop.onnx_files.tracing import Known, Tracer

PROBES = ((3, (11, 13, 17, 19)), (5, (23, 29, 31, 37)))
"""Sizes of the batch and of lengths while a file is read: what comes of it must be the same for both."""

SCALES = (1, 16, 256)
"""Times so many, where windows don't fit into fewer steps."""

OUTPUT = Node("output", "", "", (), (), {}, 0)


@frozen(eq=False)
class Outcome:
    """What came of a walk: the layers, the outputs' values, and what can't be said. `walked`: how many nodes were."""

    layers: Layers
    inputs: tuple[ImportedInput, ...]
    outputs: tuple[ImportedOutput, ...]
    findings: Findings
    walked: int

    @property
    def uses(self) -> list[Use]:
        """The layers, as they are written."""
        return tidied(self.layers.uses, [each.key for each in self.outputs])


def model_of(graph: NodeGraph, name: str, findings: Findings) -> ImportedGraph | None:
    """The model that a graph is; None with findings for one that can't be said."""
    best: Outcome | None = None
    for chosen in assignments(graph.inputs, in_steps=True):
        outcome = _outcome(graph, chosen, 0)
        if not outcome.findings.found:
            again = _outcome(graph, chosen, 1)
            if again.findings.found or not _same(outcome.uses, again.uses):
                outcome.findings.add(
                    "", "", "what it computes depends on the size of the batch, or on lengths, in a way that no layer does"
                )
            else:
                return _graph(graph, name, outcome, findings)
        if best is None or (outcome.walked, -len(outcome.findings.found)) > (best.walked, -len(best.findings.found)):
            best = outcome
    if best is None:
        shapes = ", ".join(f"{each.name} {list(each.dimensions or ())}" for each in graph.inputs)
        findings.add("", "", f"its inputs can't be rows or sequences of a fixed number of features: {shapes}")
        return None
    for each in best.findings.found:
        findings.add(each.place, each.attribute, each.reason)
    return None


def _outcome(graph: NodeGraph, chosen: Sequence[InputRoles], probe: int) -> Outcome:
    for scale in SCALES:
        found = _walked(graph, chosen, probe, scale)
        if not any("has no window" in each.reason for each in found.findings.found):
            return found
    return _walked(graph, chosen, probe, 1)


def _walked(graph: NodeGraph, chosen: Sequence[InputRoles], probe: int, scale: int) -> Outcome:
    batch, primes = PROBES[probe]
    layers, findings = Layers(Pool(batch_of(chosen, batch))), Findings()
    lengths, tables = lengths_of(chosen, primes, scale), Tables(layers)
    products = Products(layers)
    given: dict[str, Elements] = {}
    inputs: list[ImportedInput] = []

    def compute(node: Node, operands: Sequence[Known]) -> Sequence[Known] | None:
        if node.op == "Scan" and not node.domain:
            return scanned(layers, node, operands, tracer)
        if node.op == "Loop" and not node.domain:
            return looped(layers, node, operands, tracer)
        found = tables.outputs(node, operands)
        found = products.outputs(node, operands) if found is None else found
        return _computed(layers, node, operands) if found is None else found

    outputs: list[ImportedOutput] = []
    walked = 0
    try:
        for each in chosen:
            made, given[each.source.name] = _input(layers, each, lengths, findings)
            inputs.append(made)
        tracer = Tracer(graph, layers, compute, findings, given)
        keys: set[str] = {each.name for each in inputs}
        for name in graph.outputs:
            entry = _output(layers, name, tracer.evaluate(name), findings)
            if entry is not None:
                if entry.key in keys:
                    copied = layers.add("Activation", {"activation": layers.word("linear")}, [entry], (entry.steps, entry.features), None)
                    entry = copied
                keys.add(entry.key)
                outputs.append(ImportedOutput(entry.key, name))
        layers.uses = tables.resolved(alive(layers.uses, [each.key for each in outputs]))
        products.unsaid(layers.uses)
        walked = sum(1 for value in tracer.values.values() if value is not None)
    except Unfit as error:
        findings.add("", error.attribute, str(error))
    return Outcome(layers, tuple(inputs), tuple(outputs), findings, walked)


def _computed(layers: Layers, node: Node, given: Sequence[Known]) -> Sequence[Elements | None] | None:
    """The outputs of a node that computes; None for an operation that there isn't."""
    if node.domain:
        return None
    if node.op == "Gather":
        return embedded(layers, node, given)
    counted = [given[4]] if node.op in ("LSTM", "GRU", "RNN") and len(given) > 4 else []
    computed = [each for each in given if isinstance(each, Elements) and not any(each is other for other in counted)]
    entries = [entry for each in computed for entry in layers.pool.entries_in(each.numbers)]
    numbers = next((entry for entry in entries if entry.key in layers.ids), None)
    if numbers is not None and node.op != "OneHot":
        what = "whole numbers are looked up in a table, or computed with by themselves, and nothing else is done with them"
        raise Unfit(what if numbers.is_open else f"{what}: fix the input, --input {numbers.key}=value")
    sums = composed(layers, node, given, lambda other, values: _computed(layers, other, values))
    if sums is not None:
        return sums
    special = LAYER_OPERATIONS.get(node.op)
    if special is not None:
        return special(layers, node, given)
    return outputs_of(layers, node, given)


def _input(
    layers: Layers, chosen: InputRoles, lengths: Mapping[tuple[str, int], int], findings: Findings
) -> tuple[ImportedInput, Elements]:
    """An input with its elements as the source's axes have them."""
    source, dimensions = chosen.source, chosen.source.dimensions or ()
    ids = source.element.startswith(("int", "uint"))
    if source.element == "bool":
        findings.note(f"input {source.name}: true and false in the file, 1 and 0 here")
    elif not ids and source.element not in ("float32", "float64", "float16"):
        findings.add(f"input {source.name}", "", f"it takes {source.element}, where a model takes floats or whole numbers")
    sizes: list[int] = []
    steps, features, label = 1, 1, ""
    for axis, (size, role) in enumerate(zip(dimensions, chosen.roles, strict=True)):
        match role:
            case Role.BATCH:
                sizes.append(layers.pool.batch)
            case Role.TIME:
                steps = lengths[source.name, axis]
                sizes.append(steps)
                label = size if isinstance(size, str) else ""
            case Role.FEATURES:
                features *= int(size)
                sizes.append(int(size))
    has_time = Role.TIME in chosen.roles
    usual = [Role.BATCH, *([Role.TIME] if has_time else []), *([] if ids else [Role.FEATURES])]
    if list(chosen.roles) != usual:
        here = ", ".join(role.value for role in usual)
        findings.note(f"input {source.name}: its axes are in another order or number in the file; here it is ({here})")
        layers.axes[source.name] = chosen.roles
    is_open = has_time and not all(isinstance(size, int) for size, role in zip(dimensions, chosen.roles, strict=True) if role is Role.TIME)
    entry = layers.pool.add(source.name, steps, features, is_open=is_open)
    length: int | str = (label or "time") if is_open else steps
    shape: tuple[int | str, ...] = (length,) if has_time else ()
    if ids:
        if features != 1:
            findings.add(f"input {source.name}", "", "whole numbers with features")
        layers.ids.add(source.name)
        layers.lengths[source.name] = False
        made = ImportedInput(source.name, "int", shape)
    else:
        made = ImportedInput(source.name, "float", (*shape, features))
    return made, Elements(arranged(layers.pool.whole(entry), chosen.roles, tuple(sizes)))


def _output(layers: Layers, name: str, value: Known, findings: Findings) -> Entry | None:
    """The value of an output; None with a finding, or where the reason was told."""
    if value is None:
        if not findings.found:
            findings.add(f"output {name}", "", "no node gives it")
        return None
    if not isinstance(value, Elements):
        findings.add(f"output {name}", "", "it is the same for all inputs")
        return None
    try:
        layout = layout_of(layers.pool, value)
        entry = layers.value(layout.first, OUTPUT)
    except Unfit as error:
        findings.add(f"output {name}", error.attribute, str(error))
        return None
    if len(layout.first) > 1 or value.numbers.ndim > 2:
        whole, here = layers.pool.whole(entry), layout.back(entry)
        is_row = entry.steps == 1 and not entry.is_open
        plain = whole[:, 0] if is_row else whole
        if here.shape != plain.shape or not np.array_equal(here, plain):
            axes = "(batch, features)" if is_row else "(batch, time, features)"
            findings.note(f"output {name}: its axes are in another order or number in the file; here it is {axes}")
            layers.axes[name] = roles_of(here, whole)
    return entry


def _same(one: Sequence[Use], other: Sequence[Use]) -> bool:
    def shown(uses: Sequence[Use]) -> list[object]:
        return [
            (each.layer, each.arguments, each.inputs, each.outputs, {name: array.shape for name, array in each.weights.items()})
            for each in uses
        ]

    return shown(one) == shown(other)


def _graph(graph: NodeGraph, name: str, outcome: Outcome, findings: Findings) -> ImportedGraph:
    layers, uses = outcome.layers, outcome.uses
    for note in (*outcome.findings.notes, *layers.notes):
        findings.note(note)
    read = {key for each in uses for key in read_by(each)} | {each.key for each in outcome.outputs}
    inputs: list[ImportedInput] = []
    lengths: list[str] = []
    unused: list[str] = []
    for each, source in zip(outcome.inputs, graph.inputs, strict=True):
        if layers.lengths.get(each.name):
            findings.note(f"input {each.name}: lengths of the sequences are given with each call, `lengths = ...`")
            lengths.append(each.name)
        elif each.name not in read:
            findings.note(f"input {each.name} is dropped: nothing that is computed depends on it")
            unused.append(each.name)
        else:
            inputs.append(each)
            _note_input(each, source, findings)
    texts = _texts(layers, uses)
    made = tuple(
        ImportedLayer(each.layer, each.arguments, each.inputs, each.outputs, source=each.source, weights=each.weights, hint=_hint(each))
        for each in uses
    )
    doubles = any(array.dtype == np.float64 for each in uses for array in each.weights.values())
    return ImportedGraph(
        name,
        tuple(inputs),
        made,
        outcome.outputs,
        texts,
        notes=tuple(findings.notes),
        dtype="float64" if doubles else "float32",
        call=SourceCall(layers.axes, {}, tuple(lengths), tuple(unused)),
    )


_OPERATION = re.compile(r"(node_)?[A-Z][A-Za-z0-9]*(_+\d+)?(_quant)?")
"""A part of a node's name that tells its operation, as exporters put one behind the name of a module."""


def _hint(use: Use) -> str:
    """A name for what a layer gives: its module's, without the operation; without a module that of the layer."""
    parts = [part for part in re.split(r"[/:]", use.source) if part]
    while parts and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    return "_".join(parts).removeprefix("node_") or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", use.layer).lower()


def _texts(layers: Layers, uses: Sequence[Use]) -> tuple[str, ...]:
    """The declarations that the layers need."""
    shown = repr([(each.layer, each.arguments) for each in uses])
    named = [(text, text.split("(")[0].split()[1]) for text in layers.texts]
    return tuple(text for text, name in named if f"'{name}'" in shown)


def _note_input(made: ImportedInput, source: SourceInput, findings: Findings) -> None:
    dimensions = source.dimensions or ()
    if made.element == "float" and len(dimensions) != len(made.dimensions) + 1:
        findings.note(f"input {source.name}: {_shown(dimensions)} in the file, {_shown(('batch', *made.dimensions))} here")


def _shown(dimensions: Sequence[int | str]) -> str:
    return f"({', '.join(str(each or '?') for each in dimensions)})"
