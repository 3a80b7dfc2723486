"""E05xx: values with names, arrows, shared layers, blocks, repeats and imports."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownValue(Diagnostic):
    code = "E0501"
    title = "unknown value `{name}`"
    label = "no input and no value before this has that name"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralValues(Diagnostic):
    code = "E0211"
    title = "{layer} takes one value"
    label = "what is before it is {count} values"
    advice = "give each a name, `{names} = ...`, and go on from one of them with an arrow"

    layer: str
    count: int
    names: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCount(Diagnostic):
    code = "E0502"
    title = "{names} for {values}"
    label = "{layer} gives {values}"

    layer: str
    names: str
    values: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichInput(Diagnostic):
    code = "E0503"
    title = "which of the inputs does {layer} take?"
    label = "nothing is before it but the inputs {inputs}"
    advice = "bring it one with an arrow: `{example}`"

    layer: str
    inputs: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueName(Diagnostic):
    code = "E0504"
    title = "the name `{name}` is taken"
    label = "already stands for a {kind}"

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotALayer(Diagnostic):
    code = "E0505"
    title = "`{name}` is a value, not a layer"
    label = "an arrow leads to a layer"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeMisfit(Diagnostic):
    code = "E0506"
    title = "{layer} can't merge these values"
    label = "{problem}"

    layer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakesOne(Diagnostic):
    code = "E0507"
    title = "{layer} takes one value"
    label = "got {count}"

    layer: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialStates(Diagnostic):
    code = "E0508"
    title = "the initial state doesn't fit {layer}"
    label = "{problem}"

    layer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMisfit(Diagnostic):
    code = "E0509"
    title = "the shared layer {name} can't take values of two widths"
    label = "got {found}"
    advice = "one set of weights fits one number of features"

    name: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyBlock(Diagnostic):
    code = "E0510"
    title = "the block {name} has no layers"
    label = "does nothing with what flows into it"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInItself(Diagnostic):
    code = "E0511"
    title = "the block {name} is used inside of itself"
    label = "would never end"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatCount(Diagnostic):
    code = "E0512"
    title = "`repeat` expects a whole number from 0 to {limit}"
    label = "got {found}"

    found: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAsOutput(Diagnostic):
    code = "E0513"
    title = "an input can't be an output"
    label = "no layer has computed it"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralOutputLists(Diagnostic):
    code = "E0514"
    title = "a second `output` in one model"
    label = "one `output` names all of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportUnreadable(Diagnostic):
    code = "E0515"
    title = "`{path}` can't be imported: {reason}"
    label = "imported here"

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCycle(Diagnostic):
    code = "E0516"
    title = "`{path}` imports itself"
    label = "closes the circle {circle}"

    path: str
    circle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel(Diagnostic):
    code = "E0517"
    title = "an imported file has a model"
    label = "only cells and blocks are imported"
    advice = "keep what is shared in a file of its own"


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyLayers(Diagnostic):
    code = "E0518"
    title = "more than {limit} layers"
    label = "the limit is reached here"

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedShared(Diagnostic):
    code = "W0502"
    title = "the shared layer `{name}` is never used"
    label = "never made"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksTooDeep(Diagnostic):
    code = "E0519"
    title = "more than {limit} blocks and repeats inside of each other"
    label = "too deep from here on"

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAsConstant(Diagnostic):
    code = "E0530"
    title = "`{name}` is a value, where a constant is needed"
    label = "{owner} is known when the spec is compiled"
    advice = "an arrow brings values to a layer or a block, `{name} -> Dense(4)`; a cell starts from one by `initial_state = {name}`"

    name: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedValue(Diagnostic):
    code = "W0501"
    title = "the value `{name}` is never used"
    label = "computed for nothing"

    name: str
