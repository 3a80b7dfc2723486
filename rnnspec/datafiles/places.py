"""Where the samples of a set stand in their files, for messages of those who see samples alone."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.datafiles.roles import Role
from rnnspec.datafiles.table import Column
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.sample_errors import SampleError


@frozen
class Part:
    """The columns of an input, of targets or of weights. `width`: the numbers of a step, or of a sample without steps."""

    columns: Sequence[Column]
    width: int = 1

    def fault(self, row: int, error: SampleError) -> ValueError:
        """The error with the place of its value."""
        step, feature = error.step, error.feature
        if len(self.columns) > 1:  # side by side, those of a step together
            number = (0 if step is None else step * self.width) + (feature or 0)
            if number < len(self.columns):
                return self.columns[number].fault(row, error.problem)
        return self.columns[0].fault(row, error.problem, step, feature if self.width > 1 else None)


@frozen
class Origin:
    """The parts of a set by the words that errors have for them, and the row of each sample; None for all rows in order."""

    parts: Mapping[str, Part]
    rows: Array | None = None

    def only(self, chosen: Rows, samples: int) -> Origin:
        """That of the chosen samples, of so many."""
        return Origin(self.parts, (np.arange(samples) if self.rows is None else self.rows)[chosen])

    def told(self, error: SampleError) -> ValueError:
        """The error with the file, the line or row and the column of its value; as it is where they aren't known."""
        part = self.parts.get(error.part)
        row = error.sample if self.rows is None else int(self.rows[error.sample])
        return error if part is None else part.fault(row, error)


NOWHERE = Origin({})
"""Of samples that no file has."""


def parts_of(found: Mapping[Role, Sequence[Column]], signature: Signature, end: str) -> dict[str, Part]:
    """The columns of a set by what the errors of `Model.fit` call them."""
    parts: dict[str, Part] = {}
    for spec in signature.inputs:
        if columns := found.get(Role("x", end, spec.name)):
            parts[f"input {spec.name}"] = Part(columns, _width(spec.shape, is_sequence=spec.is_sequence))
    for kind, word in (("y", "targets"), ("sample_weight", "sample_weight")):
        for output in signature.outputs:
            columns = found.get(Role(kind, end, output.name)) or found.get(Role(kind, end))
            if columns:
                width = _width(output.shape, is_sequence=output.is_sequence) if kind == "y" else 1
                parts[f"{word} of {output.name}"] = Part(columns, width)
                if found.get(Role(kind, end, output.name)) is None or len(signature.outputs) == 1:
                    parts[word] = parts[f"{word} of {output.name}"]
    return parts


def _width(shape: tuple[Any, ...], *, is_sequence: bool) -> int:
    """The numbers of a step, or of a sample without steps."""
    fixed = [extent for extent in shape[1 if is_sequence else 0 :] if isinstance(extent, int)]
    return math.prod(fixed)


@contextmanager
def placed(origin: Origin, held_out: Origin | None = None) -> Generator[None]:
    """Errors of samples that leave the block name the place in the file. `held_out`: of the samples that are validated on."""
    try:
        yield
    except SampleError as error:
        raise (held_out if held_out is not None and error.before else origin).told(error) from None
