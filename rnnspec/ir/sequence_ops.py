"""The operations of the tensor IR on padded sequences, masks and packing indices.

Shapes in the docstrings as in `rnnspec.ir.ops`. Only `Mask`, `Index`, `Pack`, `Unpack`, `PackSum`, `FillSum` and `Rearrange` ever see
a padded sequence `[batch, time, w]`.
"""

from __future__ import annotations

from rnnspec.contract.dimensions import Windows
from rnnspec.frozen import frozen
from rnnspec.ir.values import Value


@frozen
class Mask:
    """Real steps of a padded sequence: `any(operand != value)` over the features (NaN is real); [batch, time, d] -> i1 [batch, time]."""

    result: Value
    operand: Value
    value: float


@frozen
class Index:
    """The packing index of a mask, i1 [batch, time]."""

    result: Value
    mask: Value


@frozen
class Window:
    """Where a window looks: for step t of a row of `index` the token of step `t * stride + offset` in the same row of `source`.

    Where there is none the id is -1, or with `clamp` that of the nearest step. Windows of `span` steps, unless it is 0,
    begin earlier, so that what they lack at both ends is as much, or one step more at the end ("same" padding).
    With `at_end` t counts from where `source` begins if both end together. With `own` a row of `source` goes from its first
    real step to its last, and t counts from where its first window is (see `WindowMask`).
    i32 [tokens, 1] over the tokens of `index`.
    """

    result: Value
    source: Value
    index: Value
    stride: int
    offset: int
    span: int
    clamp: bool
    at_end: bool
    own: bool


@frozen
class WindowMask:
    """Which windows over a mask are real, i1 [batch, time] -> i1 [batch, windows].

    A row's own windows are those over its steps from the first real one to the last, as they would be were there no others; the
    first of them stands where the windows over the row that begin at its first step or before have reached: at `first // stride`.
    One of them is real if it sees a real step, or none of the row's steps at all. `flip`: of the mask in reversed order.
    """

    result: Value
    mask: Value
    size: int
    stride: int
    dilation: int
    start: int
    same: bool
    flip: bool

    @property
    def windows(self) -> Windows:
        """The windows' shape, without `flip`."""
        return Windows(self.size, self.stride, self.dilation, self.start, self.same)


@frozen
class Pairs:
    """The packing index of what every token of `queries` may look at: one row a token, one step a step of `keys`.

    Step t is real if it is in the row of `keys` that the token belongs to, and with `causal` isn't after the token's own.
    """

    result: Value
    queries: Value
    keys: Value
    causal: bool


@frozen
class PairTokens:
    """For each token of `pairs` the token of its query, or of its key if `of_keys`; i32 [pairs, 1]."""

    result: Value
    pairs: Value
    queries: Value
    keys: Value
    of_keys: bool


@frozen
class Distinct:
    """The packing index of the rows of a table that `ids` name: one row, a step for each row of the table, real where an id names it.

    ids i32 [R, 1], none of them negative, all below the number of steps.
    """

    result: Value
    ids: Value


@frozen
class DistinctIds:
    """The ids that a `Distinct` found, each once, from the smallest to the largest; i32 [tokens, 1]."""

    result: Value
    distinct: Value


@frozen
class Places:
    """Where each id stands among the ids that a `Distinct` found, -1 if it isn't there; ids and result i32 [R, 1]."""

    result: Value
    ids: Value
    distinct: Value


@frozen
class Rearrange:
    """The same elements of each row in another shape: [R, t, w] or [R, n] to one of these, everything but R fixed.

    `transpose`: [R, t, w] is gone through column by column.
    """

    result: Value
    operand: Value
    transpose: bool


@frozen
class Pack:
    """Real steps only: [batch, time, d] -> [tokens, d]; masked steps are never read."""

    result: Value
    operand: Value
    index: Value


@frozen
class Unpack:
    """The padded form: [tokens, d] -> [batch, time, d].

    A masked step becomes the row's last real step before it if `hold`, else `fill` ([1, d]); with
    `hold`, steps before the first real one become `fill`. `flip` puts the result in reversed time
    order, and "before" is then meant in that order: `unpack(flip)[b, t]` stands for step
    `time - 1 - t`.
    """

    result: Value
    operand: Value
    fill: Value
    index: Value
    hold: bool
    flip: bool


@frozen
class PackSum:
    """Adjoint of `Unpack` to its operand: each token gets the sum over the padded steps that show it; [batch, time, d] -> [tokens, d]."""

    result: Value
    operand: Value
    index: Value
    hold: bool
    flip: bool


@frozen
class FillSum:
    """Adjoint of `Unpack` to `fill`: the sum over the padded steps that show it; [batch, time, d] -> [1, d]."""

    result: Value
    operand: Value
    index: Value
    hold: bool
    flip: bool


@frozen
class SortRows:
    """The caller's row order to the index's sorted order; [batch, d]."""

    result: Value
    operand: Value
    index: Value


@frozen
class RestoreRows:
    """The index's sorted row order back to the caller's; [batch, d]. Inverse and adjoint of `SortRows`."""

    result: Value
    operand: Value
    index: Value
