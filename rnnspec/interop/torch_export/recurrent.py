"""Recurrent layers: PyTorch's own modules for the package's cells, a loop over the equations for all others and under masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.interop.torch_export.expressions import Equations, bare, identifier
from rnnspec.interop.torch_export.module_text import CantSay, ModuleText
from rnnspec.source import SourceFile

_STANDARD: Mapping[str, tuple[str, str, tuple[int, ...]]] = {
    "LSTM": ("LSTM", "", (0, 1, 2, 3)),
    "GRU": ("GRU", "", (1, 0, 2)),
    "SimpleRNN": ("RNN", "", (0,)),
    "SimpleRNN, relu": ("RNN", 'nonlinearity="relu"', (0,)),
}
"""By the cell, PyTorch's module, an argument of it, and the places of its gates among Keras's."""


@lru_cache(maxsize=256)
def _step(kind: str, units: int, features: int, use_bias: bool) -> tuple[object, ...]:
    """The equations of a cell of the package as a module of PyTorch has them."""
    cell, _, activation = kind.partition(", ")
    options = f"units = {units}, use_bias = {str(use_bias).lower()}" + (f", activation = {activation}" if activation else "")
    graph = resolve(parse(SourceFile("", f"model One {{ input x: float[time, {features}]  {cell}({options}) }}")))
    layer: Any = graph.layers[0]
    return _equations(layer.cells[0].step)


def _equations(step: Step) -> tuple[object, ...]:
    return step.assignments, step.output, step.states, tuple((each.name, each.shape) for each in step.weights)


def _standard(step: Step) -> str | None:
    """Which of PyTorch's modules a step is, by its equations; None for none of them."""
    use_bias = any(each.name == "bias" for each in step.weights)
    for kind in _STANDARD:
        if kind.partition(", ")[0] == step.cell and _step(kind, step.states[0].width, step.features, use_bias) == _equations(step):
            return kind
    return None


def recurrent(m: ModuleText, layer: Any, given: Sequence[str], mask: str | None, *, zeros: bool = False) -> list[str]:
    """The output, (batch, time, w) or (batch, w), and with `return_state` each state after the last step.

    `zeros`: at masked steps, whatever the layer says.
    """
    _check(m, layer)
    sequence, states = given[0], list(given[1:])
    kind = _standard(layer.cells[0].step) if len(layer.cells) == 1 and mask is None else None
    if kind is not None:
        return _module(m, layer, kind, sequence, states)
    backwards, finals, result = layer.go_backwards, list[str](), sequence
    for place, cell in enumerate(layer.cells):
        last = place == len(layer.cells) - 1
        own, states = states[: len(cell.step.states)], states[len(cell.step.states) :]
        hold = not (last and (zeros or layer.zero_output_for_mask))
        every_step = not last or layer.return_sequences
        result, left = _loop(m, cell, result, own, mask, backwards=backwards, hold=hold, every_step=every_step, finals=layer.return_state)
        finals += left
        if backwards and mask is not None:
            mask = f"{mask}.flip(1)"
        backwards = False
    return [result, *finals] if layer.return_state else [result]


def _check(m: ModuleText, layer: Any) -> None:
    if layer.stateful:
        raise CantSay("what one call leaves to the next has no place in a module: give it initial_state", "stateful")
    if any(cell.dropout or cell.recurrent_dropout for cell in layer.cells):
        m.notes[f"layer {layer.name} drops nothing in the module's training: no module of PyTorch drops as it does"] = None


def _module(m: ModuleText, layer: Any, kind: str, sequence: str, states: Sequence[str]) -> list[str]:
    cell = layer.cells[0]
    made, name = _made(cell.step, kind, ""), layer.path or layer.name
    module = m.attribute(name, made, _weights(m, cell, kind, ""))
    taken = f"{sequence}.flip(1)" if layer.go_backwards else sequence
    if states:
        first = [f"{state}.unsqueeze(0)" for state in states]
        taken += f", {first[0]}" if len(first) == 1 else f", ({', '.join(first)})"
    shown = m.variable(name)
    if not layer.return_state:
        m.body.append(f"{shown}, _ = {module}({taken})")
        return [shown if layer.return_sequences else f"{shown}[:, -1]"]
    finals = [m.variable(f"{name}_{state.name}") for state in cell.step.states]
    left = finals[0] if len(finals) == 1 else f"({', '.join(finals)})"
    m.body.append(f"{shown}, {left} = {module}({taken})")
    return [shown if layer.return_sequences else f"{shown}[:, -1]", *(f"{final}[0]" for final in finals)]


def _made(step: Step, kind: str, more: str) -> str:
    module, option, _ = _STANDARD[kind]
    bias = "" if any(each.name == "bias" for each in step.weights) else "bias=False"
    arguments = [str(step.features), str(step.states[0].width), "batch_first=True", bias, option, more]
    return f"nn.{module}({', '.join(filter(None, arguments))})"


def _weights(m: ModuleText, cell: Any, kind: str, suffix: str) -> dict[str, Array]:
    """The weights of one direction under PyTorch's names."""
    order = _STANDARD[kind][2]
    found = {each.path.rpartition("/")[2]: m.numbers(each) for each in cell.weights}

    def rows(array: Array) -> Array:
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[place] for place in order], axis=-1).T

    named = {"weight_ih": rows(found["kernel"]), "weight_hh": rows(found["recurrent_kernel"])}
    if "bias" in found:
        bias = rows(found["bias"])
        named["bias_ih"], named["bias_hh"] = (bias[:, 0], bias[:, 1]) if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return {f"{name}_l0{suffix}": value for name, value in named.items()}


def bidirectional(m: ModuleText, layer: Any, given: Sequence[str], mask: str | None) -> list[str]:
    """Both directions: one module of PyTorch, or two that are merged."""
    forward, backward = layer.forward, layer.backward
    for each in (forward, backward):
        _check(m, each)
    kinds = [_standard(each.cells[0].step) if len(each.cells) == 1 else None for each in (forward, backward)]
    alike = kinds[0] is not None and kinds[0] == kinds[1] and forward.cells[0].step.states == backward.cells[0].step.states
    plain = mask is None and len(given) == 1 and not forward.return_state and layer.merge_mode.value == "concat"
    if alike and plain and kinds[0] is not None and forward.return_sequences == backward.return_sequences and not forward.go_backwards:
        cell, kind = forward.cells[0], kinds[0]
        weights = _weights(m, cell, kind, "") | _weights(m, backward.cells[0], kind, "_reverse")
        module = m.attribute(layer.name, _made(cell.step, kind, "bidirectional=True"), weights)
        shown = m.variable(layer.name)
        if forward.return_sequences:
            m.body.append(f"{shown}, _ = {module}({given[0]})")
            return [shown]
        final = "(final, _)" if len(cell.step.states) == 2 else "final"
        m.body.append(f"_, {final} = {module}({given[0]})")
        m.body.append(f"{shown} = torch.cat([final[0], final[1]], -1)")
        return [shown]
    half = (len(given) - 1) // 2
    first = recurrent(m, forward, [given[0], *given[1 : 1 + half]], mask, zeros=True)
    second = recurrent(m, backward, [given[0], *given[1 + half :]], mask, zeros=True)
    results = [first[0], f"{second[0]}.flip(1)" if forward.return_sequences else second[0]]
    if forward.go_backwards and forward.return_sequences:
        raise CantSay("a forward layer that goes backwards isn't written", "go_backwards")
    match layer.merge_mode.value:
        case "concat":
            merged = [f"torch.cat([{', '.join(results)}], -1)"]
        case "sum":
            merged = [" + ".join(results)]
        case "mul":
            merged = [" * ".join(results)]
        case "ave":
            merged = [f"({' + '.join(results)}) / 2"]
        case _:
            merged = results
    return [*merged, *first[1:], *second[1:]]


def _loop(
    m: ModuleText,
    cell: Any,
    sequence: str,
    states: Sequence[str],
    mask: str | None,
    *,
    backwards: bool,
    hold: bool,
    every_step: bool,
    finals: bool,
) -> tuple[str, list[str]]:
    """A cell over the steps: the output at each, in the order in which they are taken, or the last one, and the states after it."""
    m.helpers.add("scan")
    name = _cell_class(m, cell)
    module = m.attribute(cell.path, f"{name}()", {each.path.rpartition("/")[2]: m.numbers(each) for each in cell.weights})
    shown = m.variable(cell.path)
    left = [m.variable(f"{cell.path}_{state.name}") for state in cell.step.states] if finals else []
    first = f"({', '.join(states)}{',' if len(states) == 1 else ''})" if states else ""
    options = ["backwards=True" if backwards else "", "hold=False" if mask is not None and not hold else ""]
    arguments = [module, sequence, first, "" if mask is None else f"mask={mask}", *options]
    outputs = [shown, "_"] if every_step else ["_", shown]
    after = f"({', '.join(left)}{',' if len(left) == 1 else ''})" if finals else "_"
    m.body.append(f"{', '.join([*outputs, after])} = scan({', '.join(filter(None, arguments))})")
    return shown, left


def _cell_class(m: ModuleText, cell: Any) -> str:
    """A class for the cell's equations, the same for cells of equal ones."""
    step: Step = cell.step
    states = [identifier(state.name) for state in step.states]
    after = [identifier(f"{state.name}'") for state in step.states]
    equations = Equations(lambda name: f"self.{identifier(name)}")
    lines = equations.lines(step)
    output = bare(equations.term(step.output))
    weights = [f"self.{identifier(each.name)} = nn.Parameter(torch.empty({', '.join(map(str, each.shape))}))" for each in step.weights]
    text = "\n".join(
        [
            f'    """A step of {step.cell}: of a row and the states before, its output and the states after."""',
            "",
            f"    states = ({', '.join(str(each.width) for each in step.states)}{',' if len(after) == 1 else ''})",
            f"    width = {step.width}",
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *(f"        {line}" for line in weights),
            "",
            f"    def forward(self, {', '.join(['x', *states])}):",
            *(f"        {line}" for line in lines),
            f"        return {output}, ({', '.join(after)}{',' if len(after) == 1 else ''})",
        ]
    )
    for name, known in m.classes.items():
        if known == text:
            return name
    number, name = 1, f"{step.cell}Cell"
    while name in m.classes:
        number += 1
        name = f"{step.cell}Cell{number}"
    m.classes[name] = text
    return name
