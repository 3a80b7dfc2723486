"""E03xx: cells and their equations."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UnequalWidths(Diagnostic):
    code = "E0301"
    title = "`{operation}` of values with different widths"
    label = "{left} and {right}"

    operation: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulOperands(Diagnostic):
    code = "E0302"
    title = "`@` multiplies a value of the step with a weight matrix"
    label = "{problem}"
    advice = "write `value @ weight`, with the weight's first dimension as wide as the value"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatmulWidths(Diagnostic):
    code = "E0303"
    title = "the sides of `@` don't fit"
    label = "{width} features on the left, but the weight is {weight}"

    width: int
    weight: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBeforeUpdate(Diagnostic):
    code = "E0304"
    title = "`{state}'` is read before its equation"
    label = "not computed yet"
    advice = "`{state}` without the prime is its value before the step"

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWithoutUpdate(Diagnostic):
    code = "E0305"
    title = "the state `{state}` is never updated"
    label = "there is no equation `{state}' = ...`"

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedWeight(Diagnostic):
    code = "E0306"
    title = "the weight `{weight}` is never used"
    label = "no equation that is computed reads it"
    advice = "remove it, or declare it `... if condition` where only some variants of the cell read it"

    weight: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReturn(Diagnostic):
    code = "E0307"
    title = "the cell {cell} returns nothing"
    label = "needs a `return`"

    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterReturn(Diagnostic):
    code = "E0308"
    title = "a statement after `return`"
    label = "never reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedTwice(Diagnostic):
    code = "E0309"
    title = "`{name}` gets a second value"
    label = "every name has one equation"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitMisfit(Diagnostic):
    code = "E0310"
    title = "`split` makes equal parts"
    label = "a width of {width} isn't a multiple of {parts}"

    width: int
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTargets(Diagnostic):
    code = "E0311"
    title = "`split` gives one value to each name on the left of its equation"
    label = "{problem}"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWidth(Diagnostic):
    code = "E0312"
    title = "the equation of `{state}'` doesn't fit the state"
    label = "has {found}, the state has {expected}"

    state: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMisuse(Diagnostic):
    code = "E0313"
    title = "only the rows of a weight matrix can be indexed"
    label = "{problem}"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFunction(Diagnostic):
    code = "E0314"
    title = "unknown function `{name}`"
    label = "neither a function nor a parameter that is an activation"
    advice = "{instead}"

    name: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMisuse(Diagnostic):
    code = "E0315"
    title = "`{function}` can't be used like this"
    label = "{problem}"

    function: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitDimension(Diagnostic):
    code = "E0316"
    title = "a dimension must be a whole number of at least 1"
    label = "is {found} here"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoState(Diagnostic):
    code = "E0317"
    title = "the cell {cell} has no state"
    label = "needs a `state`: without one nothing recurs"

    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCondition(Diagnostic):
    code = "E0318"
    title = "a choice that depends on the step"
    label = "not known when the spec is compiled"
    advice = "`if`, `when` and `not` choose between variants of a cell; inside a step use `where`, `min`, `max` and `clip`"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitOperand(Diagnostic):
    code = "E0319"
    title = "{place} needs {expected}"
    label = "this is {found}"

    place: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializerBlocks(Diagnostic):
    code = "E0320"
    title = "a list of {parts} initializers is for {parts} equal blocks"
    label = "a width of {width} isn't a multiple of {parts}"

    parts: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAState(Diagnostic):
    code = "E0321"
    title = "`{name}'` has no state"
    label = "there is no `state {name}`"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRank(Diagnostic):
    code = "E0322"
    title = "{what} has {found} dimensions"
    label = "{expected}"

    what: str
    found: int
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLarge(Diagnostic):
    code = "E0323"
    title = "{what} is too large"
    label = "{shape} is more than 2^31 - 1 elements"

    what: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedEquation(Diagnostic):
    code = "W0301"
    title = "`{name}` is never read"
    label = "computed for nothing"

    name: str
