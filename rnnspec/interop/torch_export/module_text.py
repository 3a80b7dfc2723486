"""A module's text while its layers are written: attributes, statements, weights, masks."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.cells.row_functions import activation_step, library_activation
from rnnspec.frontend.graph.graph import Graph, GraphTensor, StepMask
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.syntax import standard_library
from rnnspec.interop.torch_export.expressions import Equations, bare, identifier

_TAKEN = frozenset(
    {"training", "forward", "train", "eval", "half", "float", "double", "type", "to", "cpu", "cuda", "apply", "children", "modules"}
    | {"parameters", "buffers", "add_module", "state_dict", "zero_grad", "compile", "share_memory", "T_destination", "dump_patches"}
    | {"call_super_init", "bfloat16", "ipu", "xpu", "mtia", "extra_repr", "register_buffer", "register_parameter", "register_module"}
    | {"requires_grad_", "get_parameter", "get_buffer", "get_submodule", "set_submodule", "to_empty", "load_state_dict", "named_modules"}
)
"""Names of `nn.Module`'s own."""

_PLAIN: Mapping[str, str] = {
    "linear": "{}",
    "relu": "torch.relu({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "softmax": "torch.softmax({}, -1)",
    "log_softmax": "torch.log_softmax({}, -1)",
    "softsign": "functional.softsign({})",
    "exponential": "torch.exp({})",
    "silu": "functional.silu({})",
}
"""Activations of the library without numbers of their own that are functions of torch. All others are their equations."""


HELPERS = ("scan", "same", "last", "masked_softmax")
"""Functions of the text, `templates/torch_NAME.py.txt`, whose names no variable has."""


class CantSay(ValueError):
    """Something that PyTorch has no exact form for here; the text is the reason. `attribute`: the argument."""

    def __init__(self, reason: str, attribute: str = "") -> None:
        self.attribute = attribute
        super().__init__(reason)


class ModuleText:
    """The text of one module. `values`: Python's names of the graph's values, by their numbers."""

    def __init__(self, graph: Graph, source: Mapping[str, Array], dtype: str) -> None:
        self.graph = graph
        self.dtype = dtype
        self.values: dict[int, str] = {}
        self.attributes: list[str] = []
        self.body: list[str] = []
        self.classes: dict[str, str] = {}
        self.helpers: set[str] = set()
        self.weights: dict[str, Array] = {}
        self.notes: dict[str, None] = {}
        self._source = source
        self._names: set[str] = set(HELPERS)
        self._made: dict[str, str] = {}
        self._masks: dict[tuple[StepMask, bool], str] = {}
        self._functions = standard_library.functions(graph.own.functions)

    def numbers(self, weight: LayerWeight) -> Array:
        """A weight's numbers."""
        return np.asarray(self._source[weight.path], self.dtype)

    def variable(self, name: str) -> str:
        """A new name for a value."""
        base, number = identifier(re.sub(r"\W", "_", name)), 1
        found = base
        while found in self._names:
            number += 1
            found = f"{base}_{number}"
        self._names.add(found)
        return found

    def attribute(self, layer: str, made: str, weights: Mapping[str, Array]) -> str:
        """`self.name` of a layer's module, made once, with weights by the names below it."""
        if layer in self._made:
            return self._made[layer]
        base = re.sub(r"\W", "_", layer)
        name = f"{base}_" if base in _TAKEN or keyword.iskeyword(base) or base.startswith("_") else base
        while f"self.{name}" in self._made.values():
            name += "_"
        self._made[layer] = f"self.{name}"
        self.attributes.append(f"self.{name} = {made}")
        self.weights |= {f"{name}.{own}" if own else name: np.asarray(value, order="C") for own, value in weights.items()}
        return f"self.{name}"

    def parameter(self, weight: LayerWeight) -> str:
        """A weight as a parameter of the module itself."""
        shape = ", ".join(map(str, weight.shape)) or "()"
        return self.attribute(weight.path, f"nn.Parameter(torch.empty({shape}))", {"": self.numbers(weight)})

    def let(self, name: str, value: str) -> str:
        """A new variable of a value."""
        made = self.variable(name)
        self.body.append(f"{made} = {bare(value)}")
        return made

    def activated(self, activation: Config, value: str, width: int, *, library: bool = False) -> str:
        """An expression of a value after an activation. `library`: the package's, whatever functions the spec has."""
        own = activation.name in self.graph.own.functions and not library
        if activation.name in _PLAIN and not own and all(not number for _, number in activation.arguments):
            return _PLAIN[activation.name].format(bare(value))
        step = library_activation(activation, width) if library else activation_step(activation, width, self._functions)
        return self.of_step(step, value)

    def of_step(self, step: Step, value: str) -> str:
        """The output of equations of a row `x`."""
        like = value if value.isidentifier() else self.let("value", value)
        known = {"x": like}

        def renamed(name: str) -> str:
            if name not in known:
                known[name] = self.variable(name)
            return known[name]

        equations = Equations(lambda name: name, like)
        self.body += equations.lines(step, renamed)
        return equations.term(step.output)

    def mask(self, value: GraphTensor) -> str | None:
        """The real steps of a sequence, bool (batch, time), as it is shown; None where no layer masks any."""
        if value.steps is None or not value.steps.is_masked:
            return None
        return self._mask(value.steps, value.flipped)

    def _mask(self, steps: StepMask, flipped: bool) -> str:
        key = steps, flipped
        if key not in self._masks:
            if flipped:
                self._masks[key] = self.let("real", f"{self._mask(steps, False)}.flip(1)")
            else:
                self._masks[key] = self.let("real", self._real(steps))
        return self._masks[key]

    def _real(self, steps: StepMask) -> str:
        if steps.windows:
            raise CantSay("masks over windows aren't written", "carry_mask")
        found = [self._of_input(name, masked) for name, masked in steps.sources]
        for join in steps.joins:
            if not all(part.is_masked for part in join):
                raise CantSay("a masked sequence is joined with one that isn't masked", "axis")
            found.append(f"torch.cat([{', '.join(self._mask(part, False) for part in join)}], 1)")
        return " | ".join(found)

    def _of_input(self, name: str, masked: Sequence[float]) -> str:
        """The steps of an input that aren't all of one of the values."""
        source = next(each for each in self.graph.inputs if each.name == name)
        value = self.values[source.value.number]
        if not masked:
            raise CantSay(f"the steps of {name} are masked by the caller alone")
        if source.value.type.ids:
            return " & ".join(f"({value} != {int(number)})" for number in masked)
        return " & ".join(f"({value} != {number!r}).any(-1)" for number in masked)

    def zeroed(self, value: str, mask: str | None) -> str:
        """A sequence with zeros in its masked steps."""
        return value if mask is None else f"torch.where({mask}[..., None], {bare(value)}, 0.0)"
