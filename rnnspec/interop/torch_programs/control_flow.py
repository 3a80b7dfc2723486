"""Branches of a graph of TorchScript: each is decided, or refused where it hangs on a length or a number that differ from call to call.

Torch's modules that are scripted branch on the rank of their input, and on lengths only to raise an error.
"""

from __future__ import annotations

from typing import Any

from rnnspec.interop.graph.refusals import Findings

_LINEAR = frozenset(
    {
        *("aten::add", "aten::sub", "aten::mul", "aten::neg", "aten::Int", "aten::list", "aten::__getitem__", "prim::NumToTensor"),
        *("prim::ListConstruct", "prim::TupleConstruct", "prim::ListUnpack", "prim::TupleUnpack"),
    }
)
"""What may be made of a length: two lengths give two results, by which a number that was fixed is found."""

_LENGTHS = frozenset({"aten::size", "aten::len", "aten::numel"})

_OF_TYPES = frozenset(
    {"aten::dim", "prim::dtype", "prim::device", "prim::layout", "prim::requires_grad", "aten::is_floating_point", "aten::__is__"}
    | {"aten::__isnot__", "prim::is_cuda"}
)
"""What of a tensor is the same at each call."""


class Branches:
    """The branches of a graph, which are put in their place.

    `torch`: the module. `samples`: inputs, of whose ranks and types the conditions are computed.
    """

    def __init__(self, torch: Any, graph: Any, samples: tuple[Any, ...], findings: Findings) -> None:
        self.torch, self.graph, self.samples, self.findings = torch, graph, samples, findings

    def decide(self) -> None:
        """Puts the branch that is taken in the place of each `prim::If`; a finding for each that can't be known, and for each loop."""
        kept: set[str] = set()
        while True:
            first = next((node for node in self.graph.nodes() if node.kind() == "prim::If" and _place(node) not in kept), None)
            if first is None:
                break
            chosen = self._chosen(first)
            if chosen is None:
                kept.add(_place(first))
            else:
                self._put(first, chosen)
        for node in self.graph.nodes():
            if node.kind() == "prim::Loop":
                self.findings.add(_place(node), "", "a loop, which the language has only over the steps of layers and cells")
        self.torch._C._jit_pass_dce(self.graph)
        self._only_linear()

    def _chosen(self, node: Any) -> int | None:
        """The branch that is taken; None, with a finding, where that isn't always the same one."""
        blocks = list(node.blocks())
        raising = [any(each.kind() == "prim::RaiseException" for each in block.nodes()) for block in blocks]
        condition = node.inputsAt(0)
        kinds = _hangs_on(condition)
        if sum(raising) == 1:
            if "a number in a tensor" in kinds:
                self.findings.note(f"{_place(node)}: a check of numbers, which raises an error, was left out")
            return raising.index(False)
        if kinds:
            self.findings.add(_place(node), "", f"a branch on {' and '.join(sorted(kinds))}, which may differ from call to call")
            return None
        return 0 if self._value(condition) else 1

    def _value(self, condition: Any) -> bool:
        """A condition's value, by a copy of the graph that ends with it."""
        self.graph.registerOutput(condition)
        count = len(list(self.graph.outputs()))
        copy = self.graph.copy()
        self.graph.eraseOutput(count - 1)
        for place in range(count - 2, -1, -1):
            copy.eraseOutput(place)
        self.torch._C._jit_pass_dce(copy)
        with self.torch.no_grad():
            return bool(self.torch._C._create_function_from_graph("condition", copy)(*self.samples))

    def _put(self, node: Any, chosen: int) -> None:
        block = list(node.blocks())[chosen]
        for each in list(block.nodes()):
            each.moveBefore(node)
        for own, inner in zip(list(node.outputs()), list(block.outputs()), strict=True):
            own.replaceAllUsesWith(inner)
        node.destroy()

    def _only_linear(self) -> None:
        for node in self.graph.nodes():
            scalars = [each for each in node.outputs() if not _is_tensor(each)]
            if (
                scalars
                and node.kind() not in _LINEAR | _LENGTHS | _OF_TYPES
                and any("a length" in _hangs_on(each) for each in node.inputs())
            ):
                self.findings.add(_place(node), "", "it makes of a length another number than a sum or product")
            if node.kind() == "aten::Int" and not _is_linear(node.inputsAt(0)):
                self.findings.add(
                    _place(node), "", "it makes of a tensor a number, and not one that is a length, or a sum or product of them"
                )


def _hangs_on(value: Any) -> frozenset[str]:
    """What of the calls a number follows: a length, a number in a tensor. Of a tensor only where it holds a length."""
    pending, seen, found = [value], set[str](), set[str]()
    while pending:
        each = pending.pop()
        if each.debugName() in seen:
            continue
        seen.add(each.debugName())
        node = each.node()
        kind = node.kind()
        if kind in _LENGTHS:
            found.add("a length")
        elif kind in _OF_TYPES or kind == "prim::Constant":
            continue
        elif kind == "prim::NumToTensor" or (_is_tensor(each) and _is_linear(each)):
            pending += node.inputs()
        elif _is_tensor(each):
            continue
        elif any(_is_tensor(one) for one in node.inputs()) and kind not in ("prim::ListConstruct", "prim::TupleConstruct"):
            found.add("a number in a tensor")
        else:
            pending += node.inputs()
    return frozenset(found)


def _is_linear(value: Any) -> bool:
    """Whether a tensor is a length that a trace has put into one, or a sum or product of them and numbers."""
    pending, seen = [value], set[str]()
    while pending:
        each = pending.pop()
        kind = each.node().kind()
        if each.debugName() in seen or kind in ("prim::NumToTensor", "prim::Constant"):
            continue
        if kind not in ("aten::add", "aten::sub", "aten::mul"):
            return False
        seen.add(each.debugName())
        pending += each.node().inputs()
    return True


def _is_tensor(value: Any) -> bool:
    return str(value.type().kind()) == "TensorType"


def _place(node: Any) -> str:
    """The node with the line that it comes from."""
    lines = str(node.sourceRange()).splitlines()
    marked = next((place for place, line in enumerate(lines) if "~~~" in line), 0)
    text = lines[marked - 1].strip()[:80] if marked else ""
    names = ", ".join(each.debugName() for each in node.outputs())
    return f"node {names} ({node.kind()})".replace("node  (", "node (") + (f" at `{text}`" if text else "")
