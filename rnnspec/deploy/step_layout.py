"""What a library's step has in C: its names, its parameters, and the structure of its states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from rnnspec.contract.signature import EVERY_STEP, Clock, IndexSignature, InputSignature, Signature
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

FORWARD_PARAMETERS = frozenset({"batch", "workspace", "bytes"})
"""The names of a forward call's parameters beside inputs, outputs and lengths."""

PARAMETERS = frozenset({"state", "steps"}) | FORWARD_PARAMETERS
"""The names of parameters that no input has, and no output."""

MOST_IDS = 2**31
"""What int32 ids of no table are below."""


class CannotBuild(ValueError):
    """A model, or an option, of which no library can be made; the message says why."""


Given = TypeVar("Given", bound=Hashable)


def each_once(option: str, names: Sequence[Given]) -> tuple[Given, ...]:
    """An option's names, each one once; CannotBuild for a text, whose letters are no names."""
    if isinstance(names, str):
        raise CannotBuild(f"{option}: expected a list of names, got a text: write [{names!r}]")
    return tuple(dict.fromkeys(names))


@frozen
class Field:
    """A run of numbers: `name` in C, `source` in the model. `vocabulary`: of ids, int32 from 0 to below it."""

    name: str
    source: str
    width: int
    vocabulary: int | None = None


@frozen
class HeldOutput:
    """An output, by its name in the model, that repeats at masked steps of index number `index` what its last real step showed."""

    output: str
    index: int

    @property
    def shown(self) -> str:
        """The source of the field that has what was shown last."""
        return f"{self.output}/shown"

    @property
    def started(self) -> str:
        """The source of the field that is 1 from the first real step on."""
        return f"{self.output}/started"


@frozen
class StepLayout:
    """The C side of a step. `prefix`: how all names begin; `element`: "float" or "double"; `bytes`: of an element.

    `states`: the model's, then those of `held` outputs, and of each of `clocks` the number of steps that it counts. `masked`: the inputs
    and the values by which layers mask their steps. `due`: of each output, the steps at which it has a value.
    """

    prefix: str
    element: str
    bytes: int
    states: tuple[Field, ...]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    held: tuple[HeldOutput, ...]
    clocks: tuple[Clock, ...]
    masked: tuple[tuple[str, float], ...]
    due: tuple[Clock, ...]

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
    if problem := step_problem(signature):
        raise CannotBuild(f"model {signature.model}: {problem}")
    held, stream = _held(signature), signature.stream
    clocks = tuple(dict.fromkeys(clock for clock in (*stream.clocks, *stream.outputs) if clock != EVERY_STEP))
    widths = {output.name: output.width for output in signature.outputs}
    kept = [(state.name, state.width) for state in stream.states]
    kept += [part for each in held for part in ((each.shown, widths[each.output]), (each.started, 1))]
    kept += [(counted_of(clock), 1) for clock in clocks]
    states = tuple(Field(identifier(name), name, width) for name, width in kept)
    refuse_clashes("states", (each.name for each in states))
    inputs, outputs = fields(signature)
    masked = tuple(dict.fromkeys((name, value) for name, values in signature.of_step.sources() for value in values))
    return StepLayout(prefix, *element(signature), states, inputs, outputs, held, clocks, masked, stream.outputs)


def counted_of(clock: Clock) -> str:
    """The source of the field that counts a clock's steps."""
    return f"steps_{clock.first}_{clock.period}"


def _held(signature: Signature) -> tuple[HeldOutput, ...]:
    """The outputs that repeat themselves at steps which layers mask."""
    stream, indices = signature.stream, signature.of_step.indices
    found: list[HeldOutput] = []
    for output in signature.outputs:
        if output.hold and output.index is not None and stream.clocks[output.index] == EVERY_STEP:
            index = indices[output.index]
            if isinstance(index, IndexSignature) and index.sources:
                found.append(HeldOutput(output.name, output.index))
    return tuple(found)


def element(signature: Signature) -> tuple[str, int]:
    """The type of numbers in C, and its bytes."""
    return ("double", 8) if signature.dtype == "float64" else ("float", 4)


def fields(signature: Signature) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """The inputs and the outputs, of which an input and an output may be of one name in a model."""
    inputs = tuple(Field(identifier(source.name), source.name, _width(source), _vocabulary(source)) for source in signature.inputs)
    shown = tuple(Field(identifier(output.name), output.name, output.width) for output in signature.outputs)
    taken = {each.name for each in inputs} | PARAMETERS
    outputs = tuple(Field(f"{each.name}_out", each.source, each.width) if each.name in taken else each for each in shown)
    refuse_clashes("inputs and outputs", (*(each.name.upper() for each in (*inputs, *outputs)), *(name.upper() for name in PARAMETERS)))
    return inputs, outputs


def _vocabulary(source: InputSignature) -> int | None:
    """The number that is too large for ids, which int32 hold."""
    return (MOST_IDS if source.vocabulary is None else source.vocabulary) if source.integer else None


def step_problem(signature: Signature) -> str:
    """The reason why a library can't do a model's step; empty if it can."""
    refusal = signature.stream.refusal
    return f"it can't stream, and a library's step is a stream's: {refusal}" if refusal else ""


def _width(source: InputSignature) -> int:
    """Elements of a step, or of a row."""
    if source.integer or not source.shape:
        return 1
    last = source.shape[-1]
    if not isinstance(last, int):
        raise CannotBuild(f"input {source.name} has no fixed number of features")
    return last


def refuse_clashes(what: str, names: Iterable[str]) -> None:
    """CannotBuild where two of the names are the same; `what` they are."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CannotBuild(f"{what}: several would be called `{twice[0]}` in C")
