"""What a library's step has in C: its names, its parameters, and the structure of its states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from rnnspec.contract.signature import EVERY_STEP, InputSignature, Signature
from rnnspec.frozen import frozen

WORDS = re.compile(
    r"alignas|alignof|and|and_eq|asm|auto|bitand|bitor|bool|break|case|catch|char|class|compl|concept|const|constexpr|"
    r"const_cast|continue|decltype|default|delete|do|double|dynamic_cast|else|enum|explicit|export|extern|false|float|for|"
    r"friend|goto|if|inline|int|long|mutable|namespace|new|noexcept|not|not_eq|nullptr|operator|or|or_eq|private|protected|"
    r"public|register|reinterpret_cast|requires|restrict|return|short|signed|sizeof|static|static_assert|static_cast|struct|"
    r"switch|template|this|thread_local|throw|true|try|typedef|typeid|typename|union|unsigned|using|virtual|void|volatile|"
    r"wchar_t|while|xor|xor_eq"
)
"""The words of C and C++, which can't be names."""

PARAMETERS = frozenset({"state", "steps"})
"""The names of a step's parameters beside its inputs and outputs."""


class CannotBuild(ValueError):
    """A model, or an option, of which no library can be made; the message says why."""


@frozen
class Field:
    """A run of numbers: `name` in C, `source` in the model. `vocabulary`: of ids, int32 from 0 to below it."""

    name: str
    source: str
    width: int
    vocabulary: int | None = None


@frozen
class StepLayout:
    """The C side of a step. `prefix`: how all names begin; `element`: "float" or "double"; `bytes`: of an element."""

    prefix: str
    element: str
    bytes: int
    states: tuple[Field, ...]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

    @property
    def state_bytes(self) -> int:
        """The bytes of the structure of all states."""
        return sum(state.width for state in self.states) * self.bytes


def identifier(name: str) -> str:
    """A name of the model as one of C: other characters become `_`, and a word of C gets one behind it."""
    found = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not found or found[0].isdigit():
        found = f"_{found}"
    return f"{found}_" if WORDS.fullmatch(found) else found


def step_layout(signature: Signature, prefix: str) -> StepLayout:
    """The C side of a model's step; CannotBuild where it can't stream, needs more than a step's own inputs, or names clash."""
    if problem := _problem(signature):
        raise CannotBuild(f"model {signature.model}: {problem}")
    states = tuple(Field(identifier(state.name), state.name, state.width) for state in signature.stream.states)
    inputs = tuple(Field(identifier(source.name), source.name, _width(source), source.vocabulary) for source in signature.inputs)
    shown = tuple(Field(identifier(output.name), output.name, output.width) for output in signature.outputs)
    # An input and an output may be of one name in a model.
    taken = {each.name for each in inputs} | PARAMETERS
    outputs = tuple(Field(f"{each.name}_out", each.source, each.width) if each.name in taken else each for each in shown)
    _refuse_clashes("states", (each.name for each in states))
    _refuse_clashes("inputs and outputs", (*(each.name.upper() for each in (*inputs, *outputs)), *(name.upper() for name in PARAMETERS)))
    element, size = ("double", 8) if signature.dtype == "float64" else ("float", 4)
    return StepLayout(prefix, element, size, states, inputs, outputs)


def _problem(signature: Signature) -> str:
    stream = signature.stream
    if stream.refusal:
        return f"it can't stream, and a library's step is a stream's: {stream.refusal}"
    if signature.masks_values:
        return "a layer masks steps by their values, which libraries don't do yet: leave masked steps out, without that layer"
    if any(clock != EVERY_STEP for clock in (*stream.clocks, *stream.outputs)):
        return "a layer of windows gives no value at some steps, which libraries don't do yet"
    return ""


def _width(source: InputSignature) -> int:
    """Elements of a step, or of a row."""
    if source.integer or not source.shape:
        return 1
    last = source.shape[-1]
    if not isinstance(last, int):
        raise CannotBuild(f"input {source.name} has no fixed number of features")
    return last


def _refuse_clashes(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CannotBuild(f"{what}: several would be called `{twice[0]}` in C")
