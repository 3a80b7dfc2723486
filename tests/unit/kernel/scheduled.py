"""Specs as kernels, the way the driver makes them."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.driver.compilation import Compilation
from rnnspec.frontend.model.lower import Precision
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.kernel.nodes import Contract, FusedLoop, KernelFunction, Node, RowReduce, ScanLoop, Store
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.target import AVX2, Target
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile

RESET_BEFORE = """
cell ResetBefore(units) {
    weight kernel    [features, 3 * units] = glorot_uniform
    weight gates     [units, 2 * units]    = orthogonal
    weight candidate [units, units]        = orthogonal
    weight bias      [3 * units]           = zeros
    state  h [units]

    xz, xr, xh = split(x @ kernel + bias, 3)
    hz, hr = split(h @ gates, 2)
    z = sigmoid(xz + hz)
    r = sigmoid(xr + hr)
    h' = z * h + (1 - z) * tanh(xh + (r * h) @ candidate)
    return h'
}
"""

NORMED = """
cell Normed(units) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    weight gamma            [units]           = ones
    weight beta             [units]           = zeros
    state  h [units]

    z = x @ kernel + h @ recurrent_kernel
    d = z - mean(z)
    h' = tanh(gamma * d / sqrt(mean(d * d) + 0.01) + beta)
    return h'
}
"""


def model(width: int | str, *layers: str, cell: str = "") -> str:
    """The text of a spec over `width` features a step, or over "ids"."""
    of_input = "int[time]" if width == "ids" else f"float[time, {width}]"
    return "\n".join([cell, "model Case {", f"    input x: {of_input}", *(f"    {layer}" for layer in layers), "}"])


def compilation(spec: str, target: Target = AVX2, dtype: Precision = "float32") -> Compilation:
    tree = parse(SourceFile.of_text(spec))
    return Compilation(tree, resolve(tree), dtype, target)


def scheduled(spec: str, wanted: str = "forward", target: Target = AVX2, dtype: Precision = "float32") -> Kernels:
    """`wanted`: forward, record or backward."""
    return compilation(spec, target, dtype).kernels(Variant(wanted, False))


def the_scan(function: KernelFunction) -> ScanLoop:
    (loop,) = (node for node in function.nodes if isinstance(node, ScanLoop))
    return loop


def contractions(node: Node) -> list[Contract]:
    return [statement for statement in node.body if isinstance(statement, Contract)] if isinstance(node, FusedLoop | RowReduce) else []


def stores(stage: FusedLoop) -> list[Store]:
    return [statement for statement in stage.body if isinstance(statement, Store)]


def all_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, those of a scan's step included."""
    for node in nodes:
        yield node
        if isinstance(node, ScanLoop):
            yield from all_nodes(node.body)
