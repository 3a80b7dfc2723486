"""The rules of a layer: one record a class, without defaults, so that a forgotten rule is a type error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, TypeAlias, TypeVar

from rnnspec.contract.signature import Config, StateSignature
from rnnspec.frontend.binding.bind import Bindings, bind
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.misplaced_arguments import inner_arguments
from rnnspec.frontend.binding.values import AlreadyReported, Report, Scope
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.graph.graph import Application, GraphValue, StepMask, StepPairs
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers.checks import BuiltLayer, InputSpans, ShapeRules
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.source import Span

L = TypeVar("L", bound=Layer)

Packing: TypeAlias = StepMask | StepPairs
"""The steps, or the pairs of two sequences' steps, that one packing index is of."""


@frozen
class CheckContext:
    """The context of checks that make further layers, of one model or of one use of a block.

    `look_up`: a named value of the graph. `rules`: of a type in the spec, None for an unknown one. `inner`: makes a layer that is
    an argument, in the scope it was written in, its names below those given.
    """

    cells: Mapping[str, ast.Cell]
    scope: Scope
    names: LayerNames
    origins: InputSpans
    shapes: ShapeRules
    look_up: Callable[[str, Span], GraphValue]
    report: Report
    rules: Callable[[str], LayerRules[Any] | None]
    inner: Callable[[ast.Call, Scope, LayerNames, GraphValue], BuiltLayer]

    def bindings(self, call: ast.Call) -> Bindings:
        """The arguments of a call of a built-in layer; raises `AlreadyReported`."""
        name = call.callee.text
        bindings = bind(name, LAYERS[name].arguments, call, self.scope, self.report, inner_arguments(call, self.cells))
        if bindings is None:
            raise AlreadyReported
        return bindings

    def name(self, call: ast.Call, options: Bindings, given_name: str | None) -> str:
        """The layer's name, taken: its own, that of a shared layer, or an automatic one."""
        name = options.word("name") or given_name or self.names.automatic(call.callee.text)
        full = self.names.take(name, call.callee.span)
        if not options.flag("trainable"):
            self.names.frozen[full] = None
        return full


@frozen
class OfOne:
    """A check of a layer that takes one value."""

    check: Callable[[ShapeRules, str, Bindings, ast.Call, GraphValue], BuiltLayer]


@frozen
class OfSeveral:
    """A check of a layer that takes a list of values."""

    check: Callable[[ShapeRules, str, Bindings, ast.Call, tuple[GraphValue, ...]], BuiltLayer]


@frozen
class OfCall:
    """A check of a layer that binds its arguments and takes its name itself; the operands are None where they are unknown."""

    check: Callable[[CheckContext, ast.Call, tuple[GraphValue, ...] | None, str | None], BuiltLayer]


@frozen
class StreamOperand:
    """An operand as a stream sees it. `held`: its masked steps repeat the last real one. `fixed`: a row into which no sequence flows."""

    held: bool
    fixed: bool


class MaskFate(Enum):
    """The fate of the mask of a layer's operands."""

    CREATED = auto()
    PASSED = auto()
    CONSUMED = auto()
    """Masked steps are left out of the result, which has no steps, or others."""
    ATTENDED = auto()
    """The first operand's is the result's; masked steps of the others are left out."""
    DROPPED = auto()


class MaskAdvice(Enum):
    """Advice where a layer drops a mask: a sentence without its end."""

    CARRY = "Write `carry_mask = true` in it: its windows then leave masked steps out, and the mask goes on"
    CARRY_ENDS = "Write `carry_mask = true` in it: a sample's ends are then those of its real steps, and the mask goes on"
    SAME_MASK = "Merge values that have the same mask"
    CONSUME = "Put a layer before it that consumes the mask, as a cell or GlobalAveragePooling1D does"

    @property
    def carries(self) -> bool:
        """Whether the layer itself can hand the mask on."""
        return self in (MaskAdvice.CARRY, MaskAdvice.CARRY_ENDS)


@frozen
class MaskRule:
    """The fate of an operand's mask, and the advice to print where it is dropped, by this rule or because one operand has no mask."""

    fate: MaskFate
    advice: MaskAdvice


class MaskedSteps(Enum):
    """The content of a result's masked steps. `..._APART`: each has its own, even where the operand's were all alike."""

    ZERO = auto()
    FIRST_ROW = auto()
    """Of a table."""
    HELD = auto()
    """The last real step before them."""
    COMPUTED = auto()
    COMPUTED_APART = auto()
    UNCHANGED = auto()
    UNCHANGED_APART = auto()
    NONE_MASKED = auto()


class Ending(Enum):
    """The end of a layer that has no activation of its own."""

    UNKNOWN = auto()
    OPERAND = auto()
    """Outside training they are the operand."""


@frozen
class Shown:
    """A layer in the summary and in the graph's text.

    `kind`: as a spec would write it without arguments; `head`: with its options; `lines`: below it, its steps and weights.
    """

    kind: str
    head: str
    lines: tuple[str, ...]


@frozen
class LayerRules(Generic[L]):
    """All that the frontend asks about a class of layers.

    `names`: its types in a spec. `stream_refusal`: why a stream can't go through an application, "" if it can. `states`: what calls
    carry, with `True` in a stream. `packs`: the steps that the lowering packs, those that windows are over left out. `draws`: whether
    training draws numbers. `activities`: the regularizers of its results, in the order in which the lowering observes these. `pointwise`:
    whether it does to every step of a sequence the same as to a row. `table`: the weight of which an input's ids choose rows. `adapts`:
    the weights that are the mean and the variance of the data it takes, which `adapt` computes. `ending`: the activation that its results
    come from. `results`: the names of several results below the layer's own.
    """

    layer: type[L]
    names: tuple[str, ...]
    check: OfOne | OfSeveral | OfCall
    lower: Callable[[Tools, L, Sequence[Flow]], tuple[Flow, ...]]
    mask: Callable[[L], MaskRule]
    masked_steps: Callable[[L, Application], MaskedSteps]
    packs: Callable[[L, Application], Iterator[Packing]]
    draws: Callable[[L], bool]
    stream_refusal: Callable[[L, Application, Sequence[StreamOperand]], str]
    states: Callable[[L, Application, bool], tuple[StateSignature, ...]]
    activities: Callable[[L], tuple[Config, ...]]
    pointwise: bool
    table: Callable[[L], LayerWeight | None]
    adapts: Callable[[L], tuple[LayerWeight, LayerWeight] | None]
    ending: Callable[[L], Config | Ending]
    show: Callable[[L], Shown]
    results: Callable[[L], tuple[str, ...]]


# Rules that many layers have.


def passes(_: Layer) -> MaskRule:
    """Hands the mask on."""
    return MaskRule(MaskFate.PASSED, MaskAdvice.CONSUME)


def drops(_: Layer) -> MaskRule:
    """Takes masked steps for real ones; all the result's steps are real."""
    return MaskRule(MaskFate.DROPPED, MaskAdvice.CONSUME)


def computed(_: Layer, __: Application) -> MaskedSteps:
    """Masked steps hold the layer's result for the operand's masked steps."""
    return MaskedSteps.COMPUTED


def unchanged(_: Layer, __: Application) -> MaskedSteps:
    """Masked steps stay as the operand has them."""
    return MaskedSteps.UNCHANGED


def zero(_: Layer, __: Application) -> MaskedSteps:
    """Masked steps hold zeros."""
    return MaskedSteps.ZERO


def none_masked(_: Layer, __: Application) -> MaskedSteps:
    """The result has no masked steps."""
    return MaskedSteps.NONE_MASKED


def own_steps(_: Layer, application: Application) -> Iterator[StepMask]:
    """The steps of operands and results."""
    for value in (*application.operands, *application.results):
        if value.type.steps is not None:
            yield value.type.steps


def own_and_every_step(layer: Layer, application: Application) -> Iterator[StepMask]:
    """The steps of operands and results, and all the operands' steps, the masked ones too."""
    yield from own_steps(layer, application)
    yield from every_step_of(application)


def every_step_of(application: Application) -> Iterator[StepMask]:
    """All the steps of each operand that is a sequence, the masked ones too."""
    return (StepMask((), operand.type.shape[0]) for operand in application.operands if operand.type.sequence)


def draws_nothing(_: Layer) -> bool:
    """Training draws no random numbers."""
    return False


def streams(_: Layer, __: Application, ___: Sequence[StreamOperand]) -> str:
    """Works on a stream's parts as on the whole."""
    return ""


def needs_whole(layer: Layer, _: Application, __: Sequence[StreamOperand]) -> str:
    """Refuses a stream: the layer reads the whole sequence."""
    return f"{layer.name} looks at the whole sequence"


def carries_nothing(_: Layer, __: Application, ___: bool) -> tuple[StateSignature, ...]:
    """No state goes from step to step."""
    return ()


def observes_nothing(_: Layer) -> tuple[Config, ...]:
    """No activity regularizer."""
    return ()


def observed(regularizer: Config | None, results: int = 1) -> tuple[Config, ...]:
    """The same regularizer for each result."""
    return () if regularizer is None else (regularizer,) * results


def no_table(_: Layer) -> None:
    """No weight is looked up by ids."""


def adapts_nothing(_: Layer) -> None:
    """No weight is computed from data before training."""


def ends_in_unknown(_: Layer) -> Ending:
    """The results come from no known activation."""
    return Ending.UNKNOWN


def one_result(_: Layer) -> tuple[str, ...]:
    """The only result needs no name of its own."""
    return ()
