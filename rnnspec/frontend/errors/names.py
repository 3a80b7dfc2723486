"""E01xx: names, arguments and constant expressions."""

from __future__ import annotations

from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class UnknownName(Diagnostic):
    """A name in an expression that stands for nothing in its scope."""

    code = "E0101"
    title = "unknown name `{name}`"
    label = "{expected}"

    name: str
    expected: str


@frozen(kw_only=True)
class UnknownLayer(Diagnostic):
    """A call of something that is neither a layer of the language, nor a cell or a block of the spec."""

    code = "E0102"
    title = "unknown layer `{name}`"
    label = "no layer, cell or block has this name"

    name: str


@frozen(kw_only=True)
class UnknownArgument(Diagnostic):
    """A keyword argument that the callee doesn't declare."""

    code = "E0103"
    title = "{callee} has no argument `{name}`"
    label = "unknown argument"

    callee: str
    name: str


@frozen(kw_only=True)
class MissingArgument(Diagnostic):
    """A required argument that the call leaves out."""

    code = "E0104"
    title = "{callee} needs its argument `{name}`"
    label = "`{name}` isn't given"

    callee: str
    name: str


@frozen(kw_only=True)
class TooManyArguments(Diagnostic):
    """More positional arguments than the callee takes."""

    code = "E0105"
    title = "too many arguments for {callee}"
    label = "{callee} takes {limit} without a name"

    callee: str
    limit: str


@frozen(kw_only=True)
class RepeatedArgument(Diagnostic):
    """One argument given twice, by position or by keyword."""

    code = "E0106"
    title = "`{name}` is given twice to {callee}"
    label = "given again here"

    callee: str
    name: str


@frozen(kw_only=True)
class PositionalAfterNamed(Diagnostic):
    """A positional argument behind a keyword argument."""

    code = "E0107"
    title = "an argument without a name after one with a name"
    label = "name it, or move it to the front"


@frozen(kw_only=True)
class WrongValue(Diagnostic):
    """A value of the wrong type, or out of the range, of its argument or setting."""

    code = "E0108"
    title = "{owner} expects {expected}"
    label = "got {found}"

    owner: str
    expected: str
    found: str


@frozen(kw_only=True)
class UnfitDeclaration(Diagnostic):
    """What a declaration says of a parameter's values can't be said, or leaves no value."""

    code = "E0123"
    title = "what `{name}` may be makes no sense"
    label = "{problem}"

    name: str
    problem: str


@frozen(kw_only=True)
class WrongPath(Diagnostic):
    """A path to which no training may write because a spec says so: it leads out of the folder where the training runs, for one."""

    code = "E0122"
    title = "{owner} expects {expected}"
    label = "{problem}"
    advice = "a spec may come from anybody: for another path give the callback to `model.fit(..., callbacks = [...])` in Python"

    owner: str
    expected: str
    problem: str


@frozen(kw_only=True)
class UnknownChoice(Diagnostic):
    """A name that its family (activation, initializer, loss ...) doesn't have, neither here nor in Keras."""

    code = "E0109"
    title = "unknown {family} `{name}`"
    label = "no {family} has this name"

    family: str
    name: str


@frozen(kw_only=True)
class ChoiceRefused(Diagnostic):
    """A name of Keras's that the language leaves out for good, such as the activation `glu`; the label gives the reason."""

    code = "E0121"
    title = "Keras's {family} `{name}` can't be used in a spec"
    label = "{reason}"

    family: str
    name: str
    reason: str


@frozen(kw_only=True)
class DuplicateName(Diagnostic):
    """A declaration that would hide a name of the language, or another declaration, in its scope."""

    code = "E0110"
    title = "the name `{name}` is taken"
    label = "taken by {owner}"

    name: str
    owner: str


@frozen(kw_only=True)
class UnknownParameter(Diagnostic):
    """A value given for a parameter that the model doesn't declare."""

    code = "E0111"
    title = "{model} has no parameter `{name}`"
    label = "{known}"

    model: str
    name: str
    known: str


@frozen(kw_only=True)
class UnfitParameter(Diagnostic):
    """A value given for a model's parameter that has another type than the parameter's default, or no type of the language."""

    code = "E0112"
    title = "the parameter `{name}` can't be {found}"
    label = "{expected}"

    name: str
    found: str
    expected: str


@frozen(kw_only=True)
class MissingParameter(Diagnostic):
    """A parameter of the model without a default and without a given value."""

    code = "E0113"
    title = "the parameter `{name}` has no value"
    label = "has no default and wasn't given"
    advice = "give it a default, `{name} = ...`, or a value: `-P {name}=...` for the command, `{name}=...` in Python"

    name: str


@frozen(kw_only=True)
class OperandMismatch(Diagnostic):
    """An operator of a constant expression applied to operands of types for which it isn't defined."""

    code = "E0114"
    title = "an expression that has no value"
    label = "{problem}"

    problem: str


@frozen(kw_only=True)
class DivisionByZero(Diagnostic):
    """A constant expression that divides by zero."""

    code = "E0115"
    title = "division by zero"
    label = "is 0 here"


@frozen(kw_only=True)
class NumberTooLarge(Diagnostic):
    """A constant beyond float64's finite range, or an integer beyond those that float64 holds exactly."""

    code = "E0116"
    title = "a number that is too large"
    label = "no finite number, or no exact integer"


@frozen(kw_only=True)
class NotAConstant(Diagnostic):
    """A value of the graph or of the step in an expression that is evaluated when the spec is compiled."""

    code = "E0117"
    title = "{found} isn't known when the spec is compiled"
    label = "a constant is expected here"

    found: str


@frozen(kw_only=True)
class ArgumentFixed(Diagnostic):
    """An argument of Keras's with a value that has no meaning for this compiler, such as `unroll`."""

    code = "E0120"
    title = "the argument `{name}` of {callee} can only be {possible}"
    label = "{reason}"

    callee: str
    name: str
    possible: str
    reason: str


@frozen(kw_only=True)
class ArgumentsTogether(Diagnostic):
    """Arguments each of which is possible, and that don't fit each other, such as lists of lengths that don't."""

    code = "E0118"
    title = "the arguments of {callee} don't fit each other"
    label = "{problem}"

    callee: str
    problem: str


@frozen(kw_only=True)
class DuplicateDeclaration(Diagnostic):
    """A second declaration or setting with one name."""

    code = "E0119"
    title = "`{name}` is declared twice"
    label = "declared again here"

    name: str


@frozen(kw_only=True)
class KerasOnly(Diagnostic):
    """A public name of Keras's that this version doesn't implement."""

    code = "E0130"
    title = "Keras's {family} `{name}` isn't in this version"
    label = "Keras has it, this version doesn't"

    family: str
    name: str


@frozen(kw_only=True)
class KerasSpelling(Diagnostic):
    """An alias of Keras's for a layer or a choice that has a single spelling here."""

    code = "E0131"
    title = "Keras's {family} `{name}` has one name here, `{known}`"
    label = "write `{known}`"

    family: str
    name: str
    known: str


@frozen(kw_only=True)
class KerasArgument(Diagnostic):
    """An argument that Keras's callee has and this version's doesn't."""

    code = "E0132"
    title = "Keras's argument `{name}` of {callee} isn't in this version"
    label = "Keras has it, this version doesn't"

    callee: str
    name: str


@frozen(kw_only=True)
class OtherFamily(Diagnostic):
    """A name of another family than its place needs, such as an activation in place of a layer."""

    code = "E0133"
    title = "`{name}` is {found}, not {expected}"
    label = "{expected} is expected here"

    name: str
    found: str
    expected: str
