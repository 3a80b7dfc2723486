"""How several threads share a scan of few rows: each does a part of the units of every nest of the step, and all wait for each other.

As with ranges of rows, no sum is ever divided. But a unit's sums read what all threads have made of the state, so that there is at
least one barrier a step, which the step must be worth.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.contract.dimensions import Tokens, coefficient_of
from rnnspec.frozen import frozen
from rnnspec.kernel.count import cost, count
from rnnspec.kernel.loop_nests import Nest
from rnnspec.kernel.nodes import Access, Contract, FusedLoop, KernelFunction, Load, Node, ScanLoop, Store
from rnnspec.kernel.parallel_rows import is_divided, touches

WAIT_COST = 20_000
"""The cost of a barrier for each of its threads, in operations of a product."""

ROWS_OF_A_PASS = 2
"""Fewer rows take as long: they wait for the weights."""


FETCHED = 8
"""A row whose units are shared takes 1 / FETCHED longer: most of its state comes from the other threads' caches."""


@frozen
class StepShare:
    """The division of one nest of a step among threads.

    `cost`: of a row, in operations of a product. `blocks`: into which its units fall; 1: its rows are divided instead. `waits`: whether
    all wait for each other before it.
    """

    cost: int
    blocks: int
    waits: bool


def unit_shares(scan: ScanLoop, function: KernelFunction, lanes: int) -> tuple[StepShare, ...]:
    """For each nest of the step, where vectors have so many `lanes`; nothing if units can't be divided. All wait behind the step, too."""
    if not is_divided(scan) or not all(_units_are_apart(node) for node in scan.body):
        return ()
    shares: list[StepShare] = []
    touched: dict[str, bool] = {}
    for number, node in enumerate(scan.body):
        found = tuple(touches(node))
        waits = any(touch.buffer in touched and (touch.written or touched[touch.buffer]) for touch in found)
        if waits:
            touched = {}
        for touch in found:
            touched[touch.buffer] = touched.get(touch.buffer, False) or touch.written
        shares.append(StepShare(_cost_of_a_row(number, node, scan, function), blocks_of(node, lanes), waits))
    return tuple(shares) if any(share.blocks > 1 for share in shares) else ()


def blocks_of(node: Node, lanes: int) -> int:
    """Blocks of units, a tile wide, that a nest of a step can be divided into."""
    return -(-node.units // (node.tile.vectors * lanes)) if isinstance(node, FusedLoop) else 1


def waits_of(shares: Sequence[StepShare]) -> int:
    """Barriers of a step."""
    return 1 + sum(share.waits for share in shares)


def _cost_of_a_row(number: int, node: Node, scan: ScanLoop, function: KernelFunction) -> int:
    return coefficient_of(Tokens(scan.steps.number), cost(count(Nest(str(number), node, scan), function)))


def _units_are_apart(node: Node) -> bool:
    """Whether a stage's units are independent: none reads values that another writes."""
    if not isinstance(node, FusedLoop):
        return True
    stored = {(statement.access.buffer, statement.access.column) for statement in node.body if isinstance(statement, Store)}
    buffers = {buffer for buffer, _ in stored}
    for statement in node.body:
        match statement:
            case Load(access=access) if access.buffer in buffers:
                if not _is_of_own_unit(access) or (access.buffer, access.column) not in stored:
                    return False
            case Contract(left=access) if access.buffer in buffers:
                return False
            case Store(access=access) if not _is_of_own_unit(access):
                return False
            case _:
                pass
    return True


def _is_of_own_unit(access: Access) -> bool:
    return not access.splat and access.via is None
