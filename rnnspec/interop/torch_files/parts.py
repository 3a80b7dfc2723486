"""The layers that a module of another framework is: their arguments, and weights in this language's names, order and layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.cells import RMS_NORM, RMS_NORM_CELL
from rnnspec.interop.graph.graph import Value


@frozen
class Layer:
    """A layer of the language: its name there, arguments and weights by the names below the layer."""

    layer: str
    arguments: Mapping[str, Value]
    weights: Mapping[str, Array]


class Role(Enum):
    """What a layer is in an attention of one or several heads: its first query, key and value take what the layer before gives."""

    NONE = auto()
    FIRST_QUERY = auto()
    QUERY = auto()
    KEY = auto()
    VALUE = auto()
    SCORES = auto()
    HEADS = auto()
    OUTPUT = auto()


@frozen
class Part:
    """A layer that a module has, or one of several that the same weights may be.

    `source`: the module's path, with `l1` behind it for its second layer. `alternatives`: the likeliest first. `features`: the width that
    the first of them takes, None for any; `units`: the width that it gives, None for that which it takes. `unknown`: what the file doesn't
    tell about it, for a comment. `role`: in an attention, where several layers take the same value.
    `refusal`: why nothing can be made of it but by a given spec.
    """

    source: str
    alternatives: tuple[Layer, ...]
    features: int | None
    units: int | None
    unknown: str = ""
    role: Role = Role.NONE
    refusal: str = ""

    @property
    def layer(self) -> Layer:
        """The likeliest layer."""
        return self.alternatives[0]


@frozen
class Gates:
    """How a framework orders the gates of a cell: for each of this language's, its place there; `flipped` are those with 1 - gate there."""

    layer: str
    order: tuple[int, ...]
    flipped: tuple[int, ...] = ()


LSTM = Gates("LSTM", (0, 1, 2, 3))
"""PyTorch's i, f, g, o are Keras's i, f, c, o."""
GRU = Gates("GRU", (1, 0, 2))
"""PyTorch's r, z, n; Keras's are z, r, h."""
RNN = Gates("SimpleRNN", (0,))

BY_COUNT = {4: LSTM, 3: GRU, 1: RNN}

PROJECTED = "ProjectedLSTM"

PROJECTED_CELL = """\
# Long short-term memory with a recurrent projection (Sak, Senior and Beaufays 2014); PyTorch's nn.LSTM with proj_size.
cell ProjectedLSTM(units, projection, use_bias = true) {
    weight kernel            [features, 4 * units]   = glorot_uniform
    weight recurrent_kernel  [projection, 4 * units] = orthogonal
    weight bias              [4 * units]             = [zeros, ones, zeros, zeros] if use_bias
    weight projection_kernel [units, projection]     = glorot_uniform
    state h [projection], c [units]

    i, f, g, o = split(x @ kernel + h @ recurrent_kernel + bias, 4)
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = (sigmoid(o) * tanh(c')) @ projection_kernel
    return h'
}
"""

CELLS = {PROJECTED: PROJECTED_CELL, RMS_NORM: RMS_NORM_CELL}
"""Texts of the cells that a skeleton declares, by their names."""


def reordered(rows: Array, gates: Gates) -> Array:
    """Gates stacked along the first axis, in this language's order."""
    each = np.split(rows, len(gates.order))
    return np.concatenate([-each[place] if place in gates.flipped else each[place] for place in gates.order])


def columns(rows: Array, gates: Gates) -> Array:
    """A matrix whose rows are gates, as one whose columns are."""
    return np.ascontiguousarray(reordered(rows, gates).T)


def sum_of(first: Array, second: Array) -> Array:
    """The sum of two biases, rounded once."""
    return np.asarray(first.astype(np.float64) + second.astype(np.float64)).astype(np.result_type(first, second))


def prefixed(prefix: str, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of an inner layer."""
    return {f"{prefix}/{name}": value for name, value in weights.items()}


def fits(weights: Mapping[str, Array], shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether weights have these names and shapes."""
    return {name: value.shape for name, value in weights.items()} == {name: tuple(shape) for name, shape in shapes.items()}
