"""E05xx: values with names, arrows, shared layers, blocks, repeats and imports."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class UnknownValue(Diagnostic):
    """A reference to a value that isn't defined above it."""

    code = "E0501"
    title = "unknown value `{name}`"
    label = "no input and no value before this has that name"

    name: str


@frozen(kw_only=True)
class SeveralValues(Diagnostic):
    """A layer of one operand behind a layer with several results, such as `return_state = true`."""

    code = "E0211"
    title = "{layer} takes one value"
    label = "what is before it is {count} values"
    advice = "give each a name, `{names} = ...`, and go on from one of them with an arrow"

    layer: str
    count: int
    names: str


@frozen(kw_only=True)
class ValueCount(Diagnostic):
    """An assignment with another number of names than its layer has results."""

    code = "E0502"
    title = "{names} for {values}"
    label = "{layer} gives {values}"

    layer: str
    names: str
    values: str


@frozen(kw_only=True)
class WhichInput(Diagnostic):
    """A first layer without an arrow in a model of several inputs: its operand is ambiguous."""

    code = "E0503"
    title = "which of the inputs does {layer} take?"
    label = "nothing is before it but the inputs {inputs}"
    advice = "bring it one with an arrow: `{example}`"

    layer: str
    inputs: str
    example: str


@frozen(kw_only=True)
class ValueName(Diagnostic):
    """A value named like an input, another value, a shared layer or a definition that is visible here."""

    code = "E0504"
    title = "the name `{name}` is taken"
    label = "already stands for a {kind}"

    name: str
    kind: str


@frozen(kw_only=True)
class NotALayer(Diagnostic):
    """An arrow that leads to a value or a list instead of a layer."""

    code = "E0505"
    title = "`{name}` is a value, not a layer"
    label = "an arrow leads to a layer"

    name: str


@frozen(kw_only=True)
class MergeMisfit(Diagnostic):
    """Operands whose number, shapes or masks a merging layer (`Add`, `Concatenate`, `Dot`, `Attention` ...) can't combine."""

    code = "E0506"
    title = "{layer} can't merge these values"
    label = "{problem}"

    layer: str
    problem: str


@frozen(kw_only=True)
class RepeatedHow(Diagnostic):
    """A RepeatVector with neither or both of its two arguments, or like something else than a sequence."""

    code = "E0531"
    title = "RepeatVector needs to know how often it repeats"
    label = "expected a number of steps, or the name of a sequence that has as many"
    advice = "write `RepeatVector(5)`, or `RepeatVector(like = s)` where `s` is an input or a value that is a sequence"


@frozen(kw_only=True)
class TakesOne(Diagnostic):
    """A list of values for a layer or a block of one operand."""

    code = "E0507"
    title = "{layer} takes one value"
    label = "got {count}"

    layer: str
    count: int


@frozen(kw_only=True)
class InitialStates(Diagnostic):
    """An `initial_state` of the wrong form, or with states whose number or shapes, (batch, width), aren't the cell's."""

    code = "E0508"
    title = "the initial state doesn't fit {layer}"
    label = "{problem}"

    layer: str
    problem: str


@frozen(kw_only=True)
class SharedMisfit(Diagnostic):
    """Uses of one shared layer on operands with different numbers of features, which its weights can't fit."""

    code = "E0509"
    title = "the shared layer {name} can't take values of two widths"
    label = "got {found}"
    advice = "one set of weights fits one number of features"

    name: str
    found: str


@frozen(kw_only=True)
class EmptyBlock(Diagnostic):
    """A block without statements."""

    code = "E0510"
    title = "the block {name} has no layers"
    label = "does nothing with what flows into it"

    name: str


@frozen(kw_only=True)
class BlockInItself(Diagnostic):
    """A block that contains itself, directly or by another block."""

    code = "E0511"
    title = "the block {name} is used inside of itself"
    label = "would never end"

    name: str


@frozen(kw_only=True)
class RepeatCount(Diagnostic):
    """A `repeat` whose count isn't an integer from 0 to the limit on layers."""

    code = "E0512"
    title = "`repeat` expects a whole number from 0 to {limit}"
    label = "got {found}"

    found: str
    limit: int


@frozen(kw_only=True)
class InputAsOutput(Diagnostic):
    """An output of the model that is one of its inputs, unchanged."""

    code = "E0513"
    title = "an input can't be an output"
    label = "no layer has computed it"


@frozen(kw_only=True)
class SeveralOutputLists(Diagnostic):
    """A second `output` statement in one model."""

    code = "E0514"
    title = "a second `output` in one model"
    label = "one `output` names all of them"


@frozen(kw_only=True)
class ImportUnreadable(Diagnostic):
    """An import whose file can't be opened, read or decoded."""

    code = "E0515"
    title = "`{path}` can't be imported: {reason}"
    label = "imported here"

    path: str
    reason: str


@frozen(kw_only=True)
class ImportCycle(Diagnostic):
    """A file that imports itself, directly or by other files."""

    code = "E0516"
    title = "`{path}` imports itself"
    label = "closes the circle {circle}"

    path: str
    circle: str


@frozen(kw_only=True)
class ImportedModel(Diagnostic):
    """A model in an imported file; only definitions of cells and blocks can be imported."""

    code = "E0517"
    title = "an imported file has a model"
    label = "only cells and blocks are imported"
    advice = "keep what is shared in a file of its own"


@frozen(kw_only=True)
class TooManyLayers(Diagnostic):
    """A graph with more layers than a model may have, repeats and blocks written out."""

    code = "E0518"
    title = "more than {limit} layers"
    label = "the limit is reached here"

    limit: int


@frozen(kw_only=True)
class UnusedShared(Diagnostic):
    """A shared layer without a use; it gets no weights."""

    code = "W0502"
    title = "the shared layer `{name}` is never used"
    label = "never made"

    name: str


@frozen(kw_only=True)
class BlocksTooDeep(Diagnostic):
    """Blocks and repeats nested deeper than the limit."""

    code = "E0519"
    title = "more than {limit} blocks and repeats inside of each other"
    label = "too deep from here on"

    limit: int


@frozen(kw_only=True)
class ValueAsConstant(Diagnostic):
    """A value of the graph in an expression or argument that is evaluated when the spec is compiled."""

    code = "E0530"
    title = "`{name}` is a value, where a constant is needed"
    label = "{owner} is known when the spec is compiled"
    advice = "an arrow brings values to a layer or a block, `{name} -> Dense(4)`; a cell starts from one by `initial_state = {name}`"

    name: str
    owner: str


@frozen(kw_only=True)
class UnusedValue(Diagnostic):
    """A named value that no layer and no output reads."""

    code = "W0501"
    title = "the value `{name}` is never used"
    label = "computed for nothing"

    name: str
