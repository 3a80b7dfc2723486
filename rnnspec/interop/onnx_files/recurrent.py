"""LSTM, GRU and RNN nodes: their weights in Keras's order of gates, and the cell of the language, or a text of their own, that says them.

From https://onnx.ai/onnx/operators (LSTM 14, GRU 14, RNN 14). A row of W and R is a unit of a gate: i, o, f, c of an LSTM, z, r, h of a
GRU. B has a bias for each of the two products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.onnx_files.emitting import Function
from rnnspec.interop.onnx_files.functions import TAKES, activation
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node

DIRECTIONS: Mapping[str, tuple[bool, ...]] = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each of a node's directions goes backwards."""


@frozen(eq=False)
class Direction:
    """One direction of a node: a cell with its arguments and weights. `text`: the cell's, if it is none of the language's own."""

    cell: str
    arguments: Mapping[str, Value]
    weights: Mapping[str, Array]
    backwards: bool
    text: str = ""
    functions: tuple[str, ...] = ()


@frozen(eq=False)
class RecurrentNode:
    """A node: its width, its directions, the number of states of each."""

    units: int
    directions: tuple[Direction, ...]
    states: int
    batch_first: bool


@frozen(eq=False)
class _Parts:
    """What a node has for one direction: W, R, both biases, the peepholes, the activations, and the states that it starts from."""

    kernel: Array
    recurrent: Array
    bias: Array | None
    recurrent_bias: Array | None
    peephole: Array | None
    functions: tuple[Function, ...]
    starts: tuple[Array | None, ...]
    clip: float | None = None
    coupled: bool = False
    reset_after: bool = False
    names: Mapping[str, str] = field(default_factory=dict[str, str])


def recurrent_of(
    node: Node, kernel: Array, recurrent: Array, bias: Array | None, peephole: Array | None, starts: Sequence[Array | None]
) -> RecurrentNode:
    """A node by its weights. `starts`: for each state the constant that each direction starts from, (directions, units), or None."""
    flags = DIRECTIONS.get(node.text("direction", "forward"))
    if flags is None:
        raise Unfit(f"{node.text('direction', '')!r} isn't a direction", "direction")
    units = recurrent.shape[-1]
    if node.whole("hidden_size", units) != units:
        raise Unfit(f"{node.whole('hidden_size', 0)} where R has {units} units", "hidden_size")
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[node.op]
    shapes: list[tuple[str, Array | None, tuple[int, ...]]] = [
        ("W", kernel, (len(flags), gates * units, kernel.shape[-1])),
        ("R", recurrent, (len(flags), gates * units, units)),
        ("B", bias, (len(flags), 2 * gates * units)),
        ("P", peephole, (len(flags), 3 * units)),
    ]
    for name, array, shape in shapes:
        if array is not None and array.shape != shape:
            raise Unfit(f"its shape is {list(array.shape)}, not {list(shape)}", name)
    clip = node.attributes.get("clip")
    if node.whole("output_sequence", 0):
        raise Unfit("an attribute of the oldest versions of the standard, which had another meaning", "output_sequence")
    functions = _functions(node, len(flags))
    made: list[Direction] = []
    for place, backwards in enumerate(flags):
        parts = _Parts(
            kernel[place],
            recurrent[place],
            None if bias is None else bias[place, : gates * units],
            None if bias is None else bias[place, gates * units :],
            None if peephole is None or not peephole[place].any() else peephole[place],
            functions[place],
            tuple(None if each is None or not each[place].any() else each[place] for each in starts),
            float(clip) if isinstance(clip, (int, float)) and clip > 0 else None,
            bool(node.whole("input_forget", 0)) and node.op == "LSTM",
            bool(node.whole("linear_before_reset", 0)),
        )
        made.append(_DIRECTIONS[node.op](parts, units, backwards))
    return RecurrentNode(units, tuple(made), 2 if node.op == "LSTM" else 1, bool(node.whole("layout", 0)))


def _functions(node: Node, directions: int) -> list[tuple[Function, ...]]:
    """The activations of each direction. Alphas and betas are taken in their order by those activations that have some."""
    defaults = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}[node.op]
    names = node.texts("activations") or defaults * directions
    if len(names) != len(defaults) * directions:
        raise Unfit(f"{len(names)} of them for {directions} directions", "activations")
    alphas, betas = list(node.numbers("activation_alpha") or ()), list(node.numbers("activation_beta") or ())
    found: list[Function] = []
    for name in names:
        takes = TAKES.get(name.lower(), 0)
        alpha = alphas.pop(0) if takes >= 1 and alphas else None
        beta = betas.pop(0) if takes >= 2 and betas else None
        found.append(activation(name, alpha, beta))
    width = len(defaults)
    return [tuple(found[place * width : (place + 1) * width]) for place in range(directions)]


def _columns(rows: Array, units: int, order: Sequence[int]) -> Array:
    """Weights by columns, the gates in another order."""
    gates = rows.reshape(-1, units, rows.shape[-1])
    return np.ascontiguousarray(gates[list(order)].reshape(-1, rows.shape[-1]).T)


def _row(bias: Array, units: int, order: Sequence[int]) -> Array:
    return np.ascontiguousarray(bias.reshape(-1, units)[list(order)].ravel())


def _texts(*functions: Function) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.text for each in functions if each.text))


def _lstm(parts: _Parts, units: int, backwards: bool) -> Direction:
    order = (0, 3, 1) if parts.coupled else (0, 2, 3, 1)
    gate, inner, outer = parts.functions
    weights = {
        "kernel": _columns(parts.kernel, units, order),
        "recurrent_kernel": _columns(parts.recurrent, units, order),
    }
    if parts.bias is not None and parts.recurrent_bias is not None:
        weights["bias"] = _row(parts.bias + parts.recurrent_bias, units, order)
    arguments: dict[str, Value] = {
        "units": units,
        "activation": inner.word,
        "recurrent_activation": gate.word,
        "use_bias": parts.bias is not None,
    }
    started = any(each is not None for each in parts.starts)
    if inner == outer and parts.peephole is None and parts.clip is None and not parts.coupled and not started:
        return Direction("LSTM", arguments, weights, backwards, functions=_texts(*parts.functions))
    arguments["output_activation"] = outer.word
    if parts.peephole is not None:
        i, o, f = parts.peephole.reshape(3, units)
        weights["peephole"] = np.stack([i, f, o])
    kind = ["Peephole"] * (parts.peephole is not None) + ["Clipped"] * (parts.clip is not None)
    kind += ["Coupled"] * parts.coupled + ["Started"] * started
    name = "".join(kind) + "LSTM" if kind else "TwoActivationsLSTM"
    _limit(arguments, parts)
    weights |= _starts(parts, ("h", "c"), units, started)
    text = _lstm_text(name, parts, started)
    return Direction(name, arguments, weights, backwards, text, _texts(*parts.functions))


def _limit(arguments: dict[str, Value], parts: _Parts) -> None:
    if parts.clip is not None:
        arguments["bound"] = parts.clip


def _starts(parts: _Parts, states: Sequence[str], units: int, started: bool) -> dict[str, Array]:
    if not started:
        return {}
    found = zip(states, parts.starts, strict=True)
    return {f"first_{state}": np.zeros(units, np.float32) if start is None else start for state, start in found}


def _head(name: str, gates: int, parts: _Parts, extra: str, functions: Sequence[str]) -> list[str]:
    """The beginning of a cell's text, up to its states."""
    bound = ", bound = 1.0" if parts.clip is not None else ""
    return [
        f"cell {name}(units{extra}, {', '.join(functions)}, use_bias = true{bound}) {{",
        f"    weight kernel [features, {gates} * units] = glorot_uniform",
        f"    weight recurrent_kernel [units, {gates} * units] = orthogonal",
    ]


def _first_states(states: Sequence[str], started: bool) -> tuple[list[str], list[str], dict[str, str]]:
    """Weights and equations by which states start from learned values, and the states' names in the other equations."""
    if not started:
        return [], [f"    state {', '.join(f'{each} [units]' for each in states)}", ""], {each: each for each in states}
    weights = [f"    weight first_{each} [units] = zeros" for each in states]
    lines = [f"    state {', '.join(f'{each} [units]' for each in states)}, started [1]", ""]
    lines += [f"    old_{each} = {each} + (1 - started) * first_{each}" for each in states]
    lines.append("    started' = started * 0 + 1")
    return weights, lines, {each: f"old_{each}" for each in states}


def _lstm_text(name: str, parts: _Parts, started: bool) -> str:
    gates = 3 if parts.coupled else 4
    weights, states, old = _first_states(("h", "c"), started)
    activations = ("activation = tanh", "recurrent_activation = sigmoid", "output_activation = tanh")
    lines = _head(name, gates, parts, "", activations)
    lines.append(f"    weight bias [{gates} * units] = zeros if use_bias")
    if parts.peephole is not None:
        lines.append("    weight peephole [3, units] = zeros")
    lines += [*weights, *states]
    clipped: Callable[[str], str] = (lambda text: f"clip({text}, -bound, bound)") if parts.clip is not None else (lambda text: text)

    def gate(letter: str, place: int, cell: str) -> str:
        return clipped(letter if parts.peephole is None else f"{letter} + peephole[{place}] * {cell}")

    names = "i, g, o" if parts.coupled else "i, f, g, o"
    lines.append(f"    {names} = split(x @ kernel + {old['h']} @ recurrent_kernel + bias, {gates})")
    lines.append(f"    enter = recurrent_activation({gate('i', 0, old['c'])})")
    keep = "1 - enter" if parts.coupled else f"recurrent_activation({gate('f', 1, old['c'])})"
    lines.append(f"    keep = {keep}")
    lines.append(f"    c' = keep * {old['c']} + enter * activation({clipped('g')})")
    lines.append(f"    h' = recurrent_activation({gate('o', 2, 'c' + chr(39))}) * output_activation(c')")
    return "\n".join([*lines, "    return h'", "}", ""])


def _gru(parts: _Parts, units: int, backwards: bool) -> Direction:
    order = (0, 1, 2)
    gate, inner = parts.functions
    weights = {
        "kernel": _columns(parts.kernel, units, order),
        "recurrent_kernel": _columns(parts.recurrent, units, order),
    }
    if parts.bias is not None and parts.recurrent_bias is not None:
        both = np.stack([parts.bias, parts.recurrent_bias])
        weights["bias"] = both if parts.reset_after else both.sum(axis=0, dtype=both.dtype)
    arguments: dict[str, Value] = {
        "units": units,
        "activation": inner.word,
        "recurrent_activation": gate.word,
        "use_bias": parts.bias is not None,
        "reset_after": parts.reset_after,
    }
    started = any(each is not None for each in parts.starts)
    if parts.clip is None and not started:
        return Direction("GRU", arguments, weights, backwards, functions=_texts(*parts.functions))
    name = "".join(["Clipped"] * (parts.clip is not None) + ["Started"] * started) + "GRU"
    if not parts.reset_after:
        name = name.removesuffix("GRU") + "ResetBeforeGRU"
    del arguments["reset_after"]
    _limit(arguments, parts)
    weights |= _starts(parts, ("h",), units, started)
    return Direction(name, arguments, weights, backwards, _gru_text(name, parts, started), _texts(*parts.functions))


def _gru_text(name: str, parts: _Parts, started: bool) -> str:
    first, states, old = _first_states(("h",), started)
    h = old["h"]
    lines = _head(name, 3, parts, "", ("activation = tanh", "recurrent_activation = sigmoid"))
    lines.append(f"    weight bias [{'2, 3 * units' if parts.reset_after else '3 * units'}] = zeros if use_bias")
    lines += [*first, *states]
    clipped: Callable[[str], str] = (lambda text: f"clip({text}, -bound, bound)") if parts.clip is not None else (lambda text: text)
    if parts.reset_after:
        lines += [
            "    xz, xr, xh = split(x @ kernel + bias[0], 3)",
            f"    hz, hr, hh = split({h} @ recurrent_kernel + bias[1], 3)",
            f"    z = recurrent_activation({clipped('xz + hz')})",
            f"    r = recurrent_activation({clipped('xr + hr')})",
            f"    candidate = activation({clipped('xh + r * hh')})",
        ]
    else:
        lines += [
            "    xz, xr, xh = split(x @ kernel + bias, 3)",
            "    uz, ur, uh = split(recurrent_kernel, 3)",
            f"    z = recurrent_activation({clipped(f'xz + {h} @ uz')})",
            f"    r = recurrent_activation({clipped(f'xr + {h} @ ur')})",
            f"    candidate = activation({clipped(f'xh + (r * {h}) @ uh')})",
        ]
    lines.append(f"    h' = z * {h} + (1 - z) * candidate")
    return "\n".join([*lines, "    return h'", "}", ""])


def _rnn(parts: _Parts, units: int, backwards: bool) -> Direction:
    weights = {"kernel": _columns(parts.kernel, units, (0,)), "recurrent_kernel": _columns(parts.recurrent, units, (0,))}
    if parts.bias is not None and parts.recurrent_bias is not None:
        weights["bias"] = parts.bias + parts.recurrent_bias
    arguments: dict[str, Value] = {"units": units, "activation": parts.functions[0].word, "use_bias": parts.bias is not None}
    started = any(each is not None for each in parts.starts)
    if parts.clip is None and not started:
        return Direction("SimpleRNN", arguments, weights, backwards, functions=_texts(*parts.functions))
    name = "".join(["Clipped"] * (parts.clip is not None) + ["Started"] * started) + "RNN"
    _limit(arguments, parts)
    weights |= _starts(parts, ("h",), units, started)
    first, states, old = _first_states(("h",), started)
    lines = [*_head(name, 1, parts, "", ("activation = tanh",)), "    weight bias [units] = zeros if use_bias", *first, *states]
    product = f"x @ kernel + {old['h']} @ recurrent_kernel + bias"
    product = f"clip({product}, -bound, bound)" if parts.clip is not None else product
    text = "\n".join([*lines, f"    h' = activation({product})", "    return h'", "}", ""])
    return Direction(name, arguments, weights, backwards, text, _texts(*parts.functions))


_DIRECTIONS: Mapping[str, Callable[[_Parts, int, bool], Direction]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
