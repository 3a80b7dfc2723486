"""An optimizer as data for native code that makes whole updates by itself."""

from __future__ import annotations

from typing import Literal, TypeAlias

from rnnspec.contract.executable import Formula
from rnnspec.contract.step_number import StepNumber
from rnnspec.frozen import frozen

Clipping: TypeAlias = Literal["none", "value", "norm", "global norm"]

MOST = 1e15
"""A gradient's number, or a learning rate, is below this in updates that nobody looks at afterwards."""


@frozen
class UpdateRule:
    """The update of flat weights. Places are of elements, in the flat array.

    | field | |
    |---|---|
    | `formula` | of a weight, see `contract.executable.Formula` |
    | `constants` | the formula's, of each update, as the model's dtype holds them |
    | `starts` | the number with which each slot of the state begins |
    | `runs` | first place, last + 1, and the fraction that is taken off these weights before the formula, if any |
    | `extents` | first place and last + 1 of each weight that is trained |
    | `clipping`, `limit` | of each number of the gradient, of each weight's norm, or of the norm of all |
    | `learning_rate` | the number that the optimizer has; None of a schedule |
    | `positive` | whether the learning rate mustn't be 0 |
    """

    formula: Formula
    constants: tuple[StepNumber, ...]
    starts: tuple[float, ...]
    runs: tuple[tuple[int, int, StepNumber | None], ...]
    extents: tuple[tuple[int, int], ...]
    clipping: Clipping
    limit: float
    learning_rate: float | None
    positive: bool
