"""E03xx: cells and their equations."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class UnequalWidths(Diagnostic):
    """An elementwise operation on rows of different widths, neither of which broadcasts to the other."""

    code = "E0301"
    title = "`{operation}` of values with different widths"
    label = "{left} and {right}"

    operation: str
    left: str
    right: str


@frozen(kw_only=True)
class MatmulOperands(Diagnostic):
    """A matrix product whose left side isn't a row of the step, or whose right side isn't a weight matrix."""

    code = "E0302"
    title = "`@` multiplies a value of the step with a weight matrix"
    label = "{problem}"
    advice = "write `value @ weight`, with the weight's first dimension as wide as the value"

    problem: str


@frozen(kw_only=True)
class MatmulWidths(Diagnostic):
    """A matrix product whose inner dimensions differ."""

    code = "E0303"
    title = "the sides of `@` don't fit"
    label = "{width} features on the left, but the weight is {weight}"

    width: int
    weight: str


@frozen(kw_only=True)
class ReadBeforeUpdate(Diagnostic):
    """A read of a state's new value ahead of the equation that computes it."""

    code = "E0304"
    title = "`{state}'` is read before its equation"
    label = "not computed yet"
    advice = "`{state}` without the prime is its value before the step"

    state: str


@frozen(kw_only=True)
class StateWithoutUpdate(Diagnostic):
    """A state that no equation carries to the next step."""

    code = "E0305"
    title = "the state `{state}` is never updated"
    label = "there is no equation `{state}' = ...`"

    state: str


@frozen(kw_only=True)
class UnusedWeight(Diagnostic):
    """A weight that no equation reads: it would be allocated and saved, and its gradient be always zero."""

    code = "E0306"
    title = "the weight `{weight}` is never used"
    label = "no equation that is computed reads it"
    advice = "remove it, or declare it `... if condition` where only some variants of the cell read it"

    weight: str


@frozen(kw_only=True)
class NoReturn(Diagnostic):
    """A cell, a function, a loss or a metric whose statements end without a `return`. `owner`: its kind and its name."""

    code = "E0307"
    title = "{owner} returns nothing"
    label = "needs a `return`"

    owner: str


@frozen(kw_only=True)
class AfterReturn(Diagnostic):
    """An unreachable statement of a cell, a function, a loss or a metric."""

    code = "E0308"
    title = "a statement after `return`"
    label = "never reached"


@frozen(kw_only=True)
class AssignedTwice(Diagnostic):
    """A second equation for one name; equations are definitions, in single assignment."""

    code = "E0309"
    title = "`{name}` gets a second value"
    label = "every name has one equation"

    name: str


@frozen(kw_only=True)
class SplitMisfit(Diagnostic):
    """A `split` whose last dimension its number of parts doesn't divide."""

    code = "E0310"
    title = "`split` makes equal parts"
    label = "a width of {width} isn't a multiple of {parts}"

    width: int
    parts: int


@frozen(kw_only=True)
class SplitTargets(Diagnostic):
    """A `split` in the wrong form: its arguments, or as many targets as parts, aren't there."""

    code = "E0311"
    title = "`split` gives one value to each name on the left of its equation"
    label = "{problem}"

    problem: str


@frozen(kw_only=True)
class StateWidth(Diagnostic):
    """An update of another shape than its state's, (width,)."""

    code = "E0312"
    title = "the equation of `{state}'` doesn't fit the state"
    label = "has {found}, the state has {expected}"

    state: str
    found: str
    expected: str


@frozen(kw_only=True)
class IndexMisuse(Diagnostic):
    """An index into something other than a matrix, a row or a list, or one out of its range."""

    code = "E0313"
    title = "an index takes a row of a matrix, or a unit of a row"
    label = "{problem}"

    problem: str


@frozen(kw_only=True)
class UnknownFunction(Diagnostic):
    """A call of a function that neither the language, the library nor the spec defines, and that is no parameter."""

    code = "E0314"
    title = "unknown function `{name}`"
    label = "neither a function nor a parameter that is an activation"
    advice = "{instead}"

    name: str
    instead: str


@frozen(kw_only=True)
class FunctionMisuse(Diagnostic):
    """A call of a known function with arguments that it doesn't take."""

    code = "E0315"
    title = "`{function}` can't be used like this"
    label = "{problem}"

    function: str
    problem: str


@frozen(kw_only=True)
class UnfitDimension(Diagnostic):
    """A dimension of a weight or a state that evaluates to anything but an integer from 1."""

    code = "E0316"
    title = "a dimension must be a whole number of at least 1"
    label = "is {found} here"

    found: str


@frozen(kw_only=True)
class NoState(Diagnostic):
    """A cell without a state, which would be the same function at every step and no recurrence."""

    code = "E0317"
    title = "the cell {cell} has no state"
    label = "needs a `state`: without one nothing recurs"

    cell: str


@frozen(kw_only=True)
class StepCondition(Diagnostic):
    """A branch on a value of the step; only compile-time constants choose between variants of equations."""

    code = "E0318"
    title = "a choice that depends on the step"
    label = "not known when the spec is compiled"
    advice = "`if`, `when` and `not` choose between variants of equations; inside a step use `where`, `min`, `max` and `clip`"


@frozen(kw_only=True)
class UnfitOperand(Diagnostic):
    """An operand of the wrong kind or rank for the operation, function or statement that reads it."""

    code = "E0319"
    title = "{place} needs {expected}"
    label = "this is {found}"

    place: str
    expected: str
    found: str


@frozen(kw_only=True)
class InitializerBlocks(Diagnostic):
    """A list of initializers whose length doesn't divide the weight's last dimension."""

    code = "E0320"
    title = "a list of {parts} initializers is for {parts} equal blocks"
    label = "a width of {width} isn't a multiple of {parts}"

    parts: int
    width: int


@frozen(kw_only=True)
class NotAState(Diagnostic):
    """A primed name, `h'`, of something that isn't declared as a state."""

    code = "E0321"
    title = "`{name}'` has no state"
    label = "there is no `state {name}`"

    name: str


@frozen(kw_only=True)
class WeightRank(Diagnostic):
    """A weight that is neither a row nor a matrix, or a state that isn't a row."""

    code = "E0322"
    title = "{what} has {found} dimensions"
    label = "{expected}"

    what: str
    found: int
    expected: str


@frozen(kw_only=True)
class TooLarge(Diagnostic):
    """A weight of a cell, or a `concat`, with more elements than a 32-bit index reaches, 2^31 - 1."""

    code = "E0323"
    title = "{what} is too large"
    label = "{shape} is more than 2^31 - 1 elements"

    what: str
    shape: str


@frozen(kw_only=True)
class UnusedEquation(Diagnostic):
    """An equation that nothing reads; names that begin with `_` are exempt."""

    code = "W0301"
    title = "`{name}` is never read"
    label = "computed for nothing"

    name: str
