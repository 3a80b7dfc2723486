"""The reader of programs, `.pt2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.file_kinds import is_program
from rnnspec.files import large_limit, read_file
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import Finding, Findings, ImportRefused
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node, NodeGraph, SourceInput
from rnnspec.interop.onnx_files.reader import imported
from rnnspec.interop.torch_files.archive import CheckpointError
from rnnspec.interop.torch_programs.archive import SCALAR_TYPES, Program, read_program
from rnnspec.interop.torch_programs.calls import OPSET, Call, Nodes, Ref, argument_of
from rnnspec.interop.torch_programs.operators import OPERATORS
from rnnspec.interop.torch_programs.writes import Step, unseen_writes

MOST_CALLS = 20_000


class ProgramReader:
    """A `Reader` of what `torch.export.save` writes."""

    name = "PyTorch program (.pt2)"

    def takes(self, path: Path, head: bytes) -> bool:
        """See `Reader`."""
        return is_program(str(path), head)

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """See `Reader`. `options.inputs`: as for ONNX, and by `x.1` a name for an axis of an input, whose length then may differ."""
        source = options.source or str(path)
        try:
            program = read_program(read_file(path, large_limit()))
        except CheckpointError as error:
            raise ImportRefused(source, [Finding("", "", str(error))]) from None
        findings = Findings()
        graph = nodes_of(program, path.stem, findings)
        findings.refuse_import(source)
        graph, left = _opened(graph, options.inputs)
        return imported(graph, path.stem, replace(options, inputs=left), source)

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """See `Reader`: a program is a model of its own."""
        reason = "a program is imported as a whole; for a spec of yours save the weights: torch.save(module.state_dict(), path)"
        raise ImportRefused(options.source or str(path), [Finding("", "", reason)])


def nodes_of(program: Program, name: str, findings: Findings) -> NodeGraph:
    """The program as ONNX's nodes; a finding for each call that the outputs need and that there is nothing for."""
    try:
        return _Reading(program, findings).graph(name)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        findings.add("", "", f"damaged: its graph has another form than it should ({type(error).__name__}: {str(error)[:200]})")
        return NodeGraph(name, (), (), (), {})


class _Reading:
    def __init__(self, program: Program, findings: Findings) -> None:
        self.findings = findings
        self.json = program.graph
        self.signature = program.signature
        self.values = cast("dict[str, Any]", self.json["tensor_values"])
        self.inputs: list[str] = []
        self.constants: dict[str, Array] = {}
        for spec in cast("list[dict[str, Any]]", self.signature["input_specs"]):
            ((kind, entry),) = spec.items()
            match kind:
                case "user_input":
                    ((form, value),) = entry["arg"].items()
                    if form == "as_tensor":
                        self.inputs.append(str(value["name"]))
                case "parameter" | "buffer" | "tensor_constant":
                    (own,) = (str(value) for key, value in entry.items() if key.endswith("_name"))
                    if own not in program.weights:
                        raise ValueError(f"{own} isn't among its weights")
                    self.constants[str(entry["arg"]["name"])] = program.weights[own]
                case "constant_input":
                    pass
                case _:
                    findings.add(f"input {entry!s:.60}", "", f"a program with a {kind[:40]}")
        shapes: dict[str, tuple[int | str, ...]] = {name: self._sizes(name) for name in self.values}
        self.nodes = Nodes(self.constants, shapes | {name: value.shape for name, value in self.constants.items()})
        self.nodes.names |= {each: each for each in self.inputs}

    def _sizes(self, name: str) -> tuple[int | str, ...]:
        """A tensor's shape, a text for a size that may differ."""
        found: list[int | str] = []
        for size in self.values[name]["sizes"]:
            match size:
                case {"as_int": int(number)} if number > 0:
                    found.append(number)
                case {"as_expr": {"expr_str": str(text)}}:
                    found.append(text if text.isidentifier() else "")
                case _:
                    raise ValueError(f"{name} has no shape of sizes from 1")
        return tuple(found)

    def graph(self, name: str) -> NodeGraph:
        """All calls that the outputs need."""
        outputs = self._outputs()
        calls = cast("list[dict[str, Any]]", self.json["nodes"])
        if len(calls) > MOST_CALLS:
            raise ValueError(f"more than {MOST_CALLS:,} calls")
        steps = self._steps(calls, outputs)
        for place in unseen_writes(steps, outputs):
            reason = "it writes into a tensor that is read by another name behind it: write this as a new tensor"
            self.findings.add(_place(calls[place], steps[place].makes), "", reason)
        for call, step in zip(calls, steps, strict=True):
            if step.needed:
                self._call(call, step.makes)
        for each in outputs:
            if each in self.nodes.names:
                self.nodes.made.append(Node("Identity", "", f"output {each}", (self.nodes.names[each],), (f"{each}",), {}, OPSET))
        inputs = tuple(SourceInput(each, self._element(each), self._sizes(each)) for each in self.inputs)
        return NodeGraph(name, inputs, tuple(outputs), tuple(self.nodes.made), self.nodes.constants)

    def _steps(self, calls: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> list[Step]:
        needed = set(outputs)
        found: list[Step] = []
        for call in reversed(calls):
            made = [each for output in call["outputs"] for each in _made(output)]
            reads = [each for argument in call["inputs"] for each in _read(argument["arg"])]
            wanted = not needed.isdisjoint(made)
            needed.update(reads if wanted else ())
            found.append(Step(_target(call), reads, made, wanted))
        return found[::-1]

    def _element(self, name: str) -> str:
        kind = int(self.values[name]["dtype"])
        return SCALAR_TYPES[kind][1] if kind in SCALAR_TYPES else f"type {kind}"

    def _outputs(self) -> list[str]:
        found: list[str] = []
        for spec in cast("list[dict[str, Any]]", self.signature["output_specs"]):
            ((kind, entry),) = spec.items()
            match kind:
                case "user_output" if "as_tensor" in entry["arg"]:
                    found.append(str(entry["arg"]["as_tensor"]["name"]))
                case "user_output":
                    self.findings.add("outputs", "", f"one of them is no tensor, but {' '.join(entry['arg'])[:40]}")
                case "buffer_mutation":
                    self.findings.add(
                        f"buffer {entry['buffer_name']!s:.60}", "", "the program changes it at each call: export module.eval()"
                    )
                case _:
                    self.findings.add("outputs", "", f"one of them is a {kind[:40]}")
        return found

    def _call(self, call: Mapping[str, Any], made: Sequence[str]) -> None:
        target, place = _target(call), _place(call, made)
        handler = OPERATORS.get(target)
        if handler is None:
            self.findings.add(place, "", "the language has nothing that says it, or it isn't known here")
            self.nodes.names |= {each: each for each in made}
            return
        try:
            arguments = {str(each["name"]) or f"{number}": argument_of(each["arg"]) for number, each in enumerate(call["inputs"])}
            found = handler(Call(self.nodes, f"{call.get('name') or made[0]}", target, arguments, len(made)))
        except Unfit as error:
            self.findings.add(place, error.attribute, str(error))
            self.nodes.names |= {each: each for each in made}
            return
        results = (found,) if isinstance(found, str) else found
        self.nodes.names |= dict(zip(made, results, strict=False))


def _target(call: Mapping[str, Any]) -> str:
    return str(call["target"]).removeprefix("torch.ops.")


def _place(call: Mapping[str, Any], made: Sequence[str]) -> str:
    return f"node {str(call.get('name') or ', '.join(made))[:80]} ({_target(call)[:80]})"


def _made(output: object) -> list[str]:
    return [each.name for each in _refs(argument_of(output))]


def _read(argument: object) -> list[str]:
    try:
        return [each.name for each in _refs(argument_of(argument))]
    except Unfit:
        return []


def _refs(found: object) -> list[Ref]:
    match found:
        case Ref():
            return [found]
        case tuple():
            return [ref for each in cast("tuple[object, ...]", found) for ref in _refs(each)]
        case _:
            return []


def _opened(graph: NodeGraph, given: Mapping[str, float | int | str]) -> tuple[NodeGraph, dict[str, float | int | str]]:
    """The graph with axes that a user names, and the rest of what is said.

    `torch.export` fixes the number of steps of each LSTM, which needn't be.
    """
    left = dict(given)
    inputs: list[SourceInput] = []
    for each in graph.inputs:
        dimensions = list(each.dimensions or ())
        for axis in range(len(dimensions)):
            name = given.get(f"{each.name}.{axis}")
            if isinstance(name, str) and name.isidentifier():
                dimensions[axis] = name
                del left[f"{each.name}.{axis}"]
        inputs.append(SourceInput(each.name, each.element, tuple(dimensions)))
    return NodeGraph(graph.name, tuple(inputs), graph.outputs, graph.nodes, graph.initializers), left
