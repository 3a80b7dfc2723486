"""The passes by name, with their options, as a command names them: `accumulate:only=backward,eliminate-dead-code`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast, get_type_hints

from rnnspec.diagnostics import InternalError, no_such_name
from rnnspec.frozen import frozen
from rnnspec.passes.accumulate import Accumulate
from rnnspec.passes.canonicalize import Canonicalize
from rnnspec.passes.differentiate import Differentiate
from rnnspec.passes.eliminate_common_subexpressions import EliminateCommonSubexpressions
from rnnspec.passes.eliminate_dead_code import EliminateDeadCode
from rnnspec.passes.fold_tables import FoldTables
from rnnspec.passes.hoist_projection import HoistProjection
from rnnspec.passes.hoist_weight_gradients import HoistWeightGradients
from rnnspec.passes.merge_carries import MergeCarries
from rnnspec.passes.multiply_by_reciprocals import MultiplyByReciprocals
from rnnspec.passes.pipeline import Pass
from rnnspec.passes.promote_single_step import PromoteSingleStep
from rnnspec.passes.rematerialize import Rematerialize
from rnnspec.passes.scalarize_picks import ScalarizePicks
from rnnspec.passes.simplify_logarithms import SimplifyLogarithms
from rnnspec.passes.unique_tokens import UniqueTokens

PASSES: Mapping[str, type[Pass]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Accumulate,
            Canonicalize,
            Differentiate,
            EliminateCommonSubexpressions,
            EliminateDeadCode,
            FoldTables,
            HoistProjection,
            HoistWeightGradients,
            MergeCarries,
            MultiplyByReciprocals,
            PromoteSingleStep,
            Rematerialize,
            ScalarizePicks,
            SimplifyLogarithms,
            UniqueTokens,
        )
    }
)

Value = bool | int | str | None


@frozen
class OptionType:
    """Values that a field of a pass may have. `read`: a value from its text, ValueError for another text; `expected`: in words."""

    expected: str
    read: Callable[[str], Value]


def _boolean(text: str) -> bool:
    match text:
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError
    return int(text)


def _function(text: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9_/ ]+", text):
        raise ValueError
    return None if text == "none" else text


_TYPES: Mapping[object, OptionType] = MappingProxyType(
    {
        bool: OptionType("true or false", _boolean),
        int: OptionType("a whole number", _whole),
        str | None: OptionType("a name, or none", _function),
    }
)


@frozen
class Option:
    """One option of a pass: a field of its dataclass."""

    name: str
    type: OptionType
    default: Value

    @property
    def default_text(self) -> str:
        """The default as it is written behind the option's name."""
        return str(self.default).lower() if isinstance(self.default, bool | None) else str(self.default)


def options_of(kind: type[Pass]) -> Mapping[str, Option]:
    """The options of a pass by name, from its dataclass's fields; InternalError for a field whose type no text is read as."""
    hints = get_type_hints(kind)
    options: dict[str, Option] = {}
    for field in dataclasses.fields(cast(Any, kind)):
        if hints[field.name] not in _TYPES or field.default is dataclasses.MISSING:
            raise InternalError(f"the option {field.name} of {kind.name}, {hints[field.name]}, can't be given as text")
        options[field.name] = Option(field.name, _TYPES[hints[field.name]], field.default)
    return options


def parse_passes(text: str) -> tuple[Pass, ...]:
    """Passes from `NAME[:OPTION=VALUE]...` with a comma between two; ValueError for names and values that don't exist."""
    return tuple(_parse_pass(part.strip()) for part in text.split(","))


def _parse_pass(text: str) -> Pass:
    name, *assignments = (part.strip() for part in text.split(":"))
    if name not in PASSES:
        raise ValueError(no_such_name("pass", name, PASSES))
    kind = PASSES[name]
    known = options_of(kind)
    given: dict[str, Value] = {}
    for assignment in assignments:
        option, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise ValueError(f"pass {name}: `{assignment}` is not of the form OPTION=VALUE")
        if option in given:
            raise ValueError(f"pass {name}: the option `{option}` is given twice")
        if option not in known:
            raise ValueError(no_such_name(f"option of pass {name}", option, known))
        try:
            given[option] = known[option].type.read(value)
        except ValueError:
            raise ValueError(f"pass {name}: `{option}` must be {known[option].type.expected}, not `{value}`") from None
    return cast(Callable[..., Pass], kind)(**given)
