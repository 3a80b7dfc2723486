"""The columns of data that a `train` section names, bound to the model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.data_roles import COLUMNS, CUTS, KINDS, ROWS
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.bind import bind
from rnnspec.frontend.binding.values import CallValue, LocatedValue, Report
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, ColumnNames


def data_columns(
    given: LocatedValue, inputs: Sequence[str], outputs: Sequence[str], report: Report
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The columns by the names of inputs and outputs, or by what all models have; what doesn't fit is reported."""
    if not isinstance(given.value, CallValue):
        raise InternalError("the columns weren't checked")
    kinds = KINDS if len(inputs) == 1 else tuple(kind for kind in KINDS if kind != "x")
    roles = dict.fromkeys((*inputs, *outputs, *kinds, *CUTS, *ROWS))
    arguments = [ArgumentSpec(name, ColumnNames(), None, optional=True, positional=False) for name in roles]
    bindings = bind(COLUMNS, arguments, given.value.call, given.value.scope, report)
    if bindings is None:
        return ()
    found = {name: bindings.given(name).value for name in roles}
    return tuple((name, _texts(columns)) for name, columns in found.items() if isinstance(columns, tuple))


def _texts(columns: tuple[LocatedValue, ...]) -> tuple[str, ...]:
    return tuple(item.value for item in columns if isinstance(item.value, str))
