"""An imported model as plain data: inputs, layers with their arguments and weights, outputs. It knows no file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import SourceCall


@frozen
class Word:
    """Something chosen by name: `relu`, `leaky_relu(negative_slope = 0.1)`, or an inner layer, `LSTM(64)`.

    `called`: with parentheses even where there are no arguments, as a layer is written.
    """

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()
    called: bool = False


@frozen
class ValueOf:
    """A value of the graph as an argument, by its key: an `initial_state`, or the `like` of a RepeatVector."""

    key: str


Value: TypeAlias = "int | float | bool | str | Word | ValueOf | tuple[Value, ...] | None"
"""A constant as a spec has it. A `str` is a text in quotes; a name is a `Word`, a list a tuple."""


@frozen
class ImportedInput:
    """An input of the model, under its name in the file, which is its value's key. The writer makes a valid name of it.

    `element`: "float" or "int". `dimensions`: without the batch, as in a spec: a number, or the name of a length that may differ.
    """

    name: str
    element: str
    dimensions: tuple[int | str, ...]


@frozen
class ImportedLayer:
    """A use of a layer or cell of the language.

    `arguments`: those given, by name, in the order in which they are written; the writer leaves out what is the default.
    `inputs`: keys of the values that it takes, `outputs`: keys of those that it gives, in the layer's order.
    `name`: the layer's name where it has one; the writer makes a valid one of it, and leaves out one that is made of the layer's type, as
    `lstm_3`. `source`: the name in the file, which a comment tells where the spec has another.
    `hint`: what its results are called in the spec where they need a name, `source` by default.
    `weights`: by the names that the compiled model has below the layer, `kernel`; of a layer with inner ones with any prefix for each of
    these, in the order of the compiled model's: `forward/kernel`, `backward/kernel`. Empty for a layer whose weights aren't known.
    `shared`: uses with the same text here are one layer with one set of weights, which stand at the first of them; empty for a layer of
    one use.
    """

    layer: str
    arguments: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = ""
    source: str = ""
    weights: Mapping[str, Array] = field(default_factory=dict[str, Array])
    shared: str = ""
    hint: str = ""


@frozen
class ImportedOutput:
    """An output: the key of a value, under the name that it has in the file; an empty name for whatever it comes to have."""

    key: str
    name: str = ""


@frozen
class ImportedGraph:
    """A model from elsewhere.

    `layers`: in an order in which each comes after what it takes. `declarations`: text of cells and functions that the layers need, each
    whole. `train`: settings of the train section. `notes`: what was left out, renamed or decided and makes no difference to what the model
    computes, `dropped`: what would be missed, as a loss; each a sentence without a full stop. `comment`: lines above the model, without
    `#`. `dtype`: the element type of the file's weights, "float32" or "float64". `call`: how the file's model
    is called, where it isn't as this one.
    """

    name: str
    inputs: tuple[ImportedInput, ...]
    layers: tuple[ImportedLayer, ...]
    outputs: tuple[ImportedOutput, ...]
    declarations: tuple[str, ...] = ()
    train: Mapping[str, Value] = field(default_factory=dict[str, Value])
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    comment: tuple[str, ...] = ()
    dtype: str = "float32"
    call: SourceCall = SourceCall()
