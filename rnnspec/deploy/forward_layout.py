"""What a library's forward call has in C: its names, and its sizes as expressions of C."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from rnnspec.contract.dimensions import (
    BATCH,
    AtLeastZero,
    CeilDiv,
    Dim,
    Name,
    Size,
    Steps,
    Sum,
    Tokens,
    at_least_zero,
)
from rnnspec.contract.signature import Signature
from rnnspec.deploy.step_layout import FORWARD_PARAMETERS, CannotBuild, Field, element, fields, identifier, refuse_clashes
from rnnspec.frozen import frozen


@frozen
class Length:
    """A length that a call chooses: `name` in C, `size` in the model."""

    name: str
    size: Size


@frozen
class ForwardLayout:
    """The C side of a forward call, as `StepLayout`. `lengths`: those that a call chooses.

    `times`: of each input and output that is a sequence, by its name in C, the number of its steps.
    """

    prefix: str
    element: str
    bytes: int
    lengths: tuple[Length, ...]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    times: Mapping[str, Dim]

    @property
    def names(self) -> Mapping[Size, str]:
        """The names in C of the batch and the lengths."""
        return {BATCH: "batch", **{length.size: length.name for length in self.lengths}}


def forward_layout(signature: Signature, prefix: str) -> ForwardLayout:
    """The C side of a model's forward call; CannotBuild for stateful layers, or where names clash."""
    if signature.states:
        names = ", ".join(state.name for state in signature.states)
        keeps = "and a library's forward keeps nothing: build its step"
        raise CannotBuild(f"model {signature.model}: stateful layers hand {names} on from call to call, {keeps}")
    inputs, outputs = fields(signature)
    times: dict[str, Dim] = {}
    for field, each in zip(inputs, signature.inputs, strict=True):
        if each.is_sequence:
            times[field.name] = each.shape[0]
    for field, each in zip(outputs, signature.outputs, strict=True):
        if each.is_sequence:
            times[field.name] = at_least_zero(each.shape[0])
    chosen = dict.fromkeys(each.shape[0] for each in signature.inputs if each.is_sequence and isinstance(each.shape[0], Size))
    lengths = tuple(Length(identifier(str(size)), size) for size in chosen)
    further = (f"{field.name}_{what}" for field in inputs if field.name in times for what in ("lengths", "mask"))
    own = (each.name for each in (*inputs, *outputs))
    refuse_clashes("inputs, outputs and lengths", (*own, *further, *(each.name for each in lengths), *FORWARD_PARAMETERS))
    return ForwardLayout(prefix, *element(signature), lengths, inputs, outputs, times)


def in_c(dim: Dim, names: Mapping[Size, str], quotient: str = "{sum} / {divisor}") -> str:
    """A dimension as an expression of C; `names`: of the batch and the lengths, as C has them.

    `quotient`: how a division of whole numbers, both from 0, is written; in JavaScript all else is the same.
    """
    match dim:
        case int():
            return str(dim)
        case Name() | Tokens() | Steps():
            return names[dim]
        case CeilDiv():
            dividend = in_c(dim.dividend, names, quotient)
            whole = quotient.format(sum=f"(({dividend}) + {dim.divisor - 1})", divisor=dim.divisor)
            return f"(({dividend}) > 0 ? {whole} : 0)"
        case AtLeastZero():
            inner = in_c(dim.size, names, quotient)
            return f"(({inner}) > 0 ? ({inner}) : 0)"
        case Sum():
            return " + ".join(_product(factors, coefficient, names, quotient) for factors, coefficient in dim.terms).replace("+ -", "- ")
    assert_never(dim)


def _product(factors: Iterable[Size], coefficient: int, names: Mapping[Size, str], quotient: str) -> str:
    parts = [_factor(factor, names, quotient) for factor in factors]
    if not parts:
        return str(coefficient)
    if coefficient in (1, -1):
        return f"{'-' if coefficient < 0 else ''}{' * '.join(parts)}"
    return f"{coefficient} * {' * '.join(parts)}"


def _factor(factor: Size, names: Mapping[Size, str], quotient: str) -> str:
    text = in_c(factor, names, quotient)
    return f"({text})" if isinstance(factor, Sum) else text
