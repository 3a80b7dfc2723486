"""E01xx: names, arguments and constant expressions."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownName(Diagnostic):
    code = "E0101"
    title = "unknown name `{name}`"
    label = "{expected}"

    name: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownLayer(Diagnostic):
    code = "E0102"
    title = "unknown layer `{name}`"
    label = "no layer, cell or block has this name"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownArgument(Diagnostic):
    code = "E0103"
    title = "{callee} has no argument `{name}`"
    label = "unknown argument"

    callee: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingArgument(Diagnostic):
    code = "E0104"
    title = "{callee} needs its argument `{name}`"
    label = "`{name}` isn't given"

    callee: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyArguments(Diagnostic):
    code = "E0105"
    title = "too many arguments for {callee}"
    label = "{callee} takes {limit} without a name"

    callee: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedArgument(Diagnostic):
    code = "E0106"
    title = "`{name}` is given twice to {callee}"
    label = "given again here"

    callee: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionalAfterNamed(Diagnostic):
    code = "E0107"
    title = "an argument without a name after one with a name"
    label = "name it, or move it to the front"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongValue(Diagnostic):
    code = "E0108"
    title = "{owner} expects {expected}"
    label = "got {found}"

    owner: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownChoice(Diagnostic):
    code = "E0109"
    title = "unknown {family} `{name}`"
    label = "no {family} has this name"

    family: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRefused(Diagnostic):
    code = "E0121"
    title = "Keras's {family} `{name}` can't be used in a spec"
    label = "{reason}"

    family: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateName(Diagnostic):
    code = "E0110"
    title = "the name `{name}` is taken"
    label = "taken by {owner}"

    name: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownParameter(Diagnostic):
    code = "E0111"
    title = "{model} has no parameter `{name}`"
    label = "{known}"

    model: str
    name: str
    known: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitParameter(Diagnostic):
    code = "E0112"
    title = "the parameter `{name}` can't be {found}"
    label = "{expected}"

    name: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingParameter(Diagnostic):
    code = "E0113"
    title = "the parameter `{name}` has no value"
    label = "has no default and wasn't given"
    advice = "give it a default, `{name} = ...`, or a value: `-P {name}=...` for the command, `{name}=...` in Python"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandMismatch(Diagnostic):
    code = "E0114"
    title = "an expression that has no value"
    label = "{problem}"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DivisionByZero(Diagnostic):
    code = "E0115"
    title = "division by zero"
    label = "is 0 here"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTooLarge(Diagnostic):
    code = "E0116"
    title = "a number that is too large"
    label = "no finite number, or no exact integer"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAConstant(Diagnostic):
    code = "E0117"
    title = "{found} isn't known when the spec is compiled"
    label = "a constant is expected here"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentNotYet(Diagnostic):
    code = "E0118"
    title = "the argument `{name}` of {callee} is not yet in this version"
    label = "only its default, {default}, is possible"

    callee: str
    name: str
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentFixed(Diagnostic):
    code = "E0120"
    title = "the argument `{name}` of {callee} can only be {possible}"
    label = "{reason}"

    callee: str
    name: str
    possible: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateDeclaration(Diagnostic):
    code = "E0119"
    title = "`{name}` is declared twice"
    label = "declared again here"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasOnly(Diagnostic):
    code = "E0130"
    title = "Keras's {family} `{name}` isn't in this version"
    label = "Keras has it, this version doesn't"

    family: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasSpelling(Diagnostic):
    code = "E0131"
    title = "Keras's {family} `{name}` has one name here, `{known}`"
    label = "write `{known}`"

    family: str
    name: str
    known: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasArgument(Diagnostic):
    code = "E0132"
    title = "Keras's argument `{name}` of {callee} isn't in this version"
    label = "Keras has it, this version doesn't"

    callee: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFamily(Diagnostic):
    code = "E0133"
    title = "`{name}` is {found}, not {expected}"
    label = "{expected} is expected here"

    name: str
    found: str
    expected: str
