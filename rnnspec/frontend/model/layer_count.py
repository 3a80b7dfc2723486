"""A lower bound on a model's number of layers, from its text: blocks in blocks can double the number at every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, Scope
from rnnspec.frontend.syntax import ast, limits
from rnnspec.source import Span


def first_too_many(model: ast.Model, scope: Scope, blocks: Mapping[str, ast.Block]) -> Span | None:
    """The place at which a model exceeds the limit on layers; None if its text doesn't show that."""
    counter = _Counter(blocks)
    statements = [each for each in model.statements if isinstance(each, ast.Flow | ast.Repeat | ast.Shared)]
    shared: Mapping[str, ast.Call] = {}
    count, rounds = 0, 1
    while True:
        shared = {**shared, **counter.shared(statements)}
        for statement in statements:
            before, count = count, count + rounds * counter.statement(statement, scope, shared)
            if count > limits.LAYERS:
                break
        else:
            return None
        if not isinstance(statement, ast.Repeat):
            return _place(statement)
        count, rounds = before, rounds * _rounds(statement, scope)
        statements = list(statement.statements)


def _place(statement: ast.Flow | ast.Shared) -> Span:
    call = statement.stages[-1] if isinstance(statement, ast.Flow) else statement.call
    return call.callee.span if isinstance(call, ast.Call) else call.span


def _rounds(statement: ast.Repeat, scope: Scope) -> int:
    """The number of rounds of a repeat; 0 where its value isn't known before evaluation."""
    try:
        value = evaluate(statement.count, scope).value
    except (CheckError, AlreadyReported):
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.LAYERS else 0


@dataclass
class _Counter:
    """Numbers are at least right, and exact as far as `repeat` has a number where it is written."""

    blocks: Mapping[str, ast.Block]
    known: dict[str, int] = field(default_factory=dict[str, int])
    depth: int = 0

    def shared(self, statements: Sequence[ast.FlowStatement]) -> Mapping[str, ast.Call]:
        return {statement.name.text: statement.call for statement in statements if isinstance(statement, ast.Shared)}

    def statement(self, statement: ast.FlowStatement, scope: Scope, shared: Mapping[str, ast.Call]) -> int:
        match statement:
            case ast.Flow(stages=stages):
                return sum(self._stage(stage, shared) for stage in stages)
            case ast.Shared():
                return 0
            case ast.Repeat(statements=inner):
                return _rounds(statement, scope) * self._all(inner, scope, shared)
            case _:
                assert_never(statement)

    def _all(self, statements: Sequence[ast.FlowStatement], scope: Scope, shared: Mapping[str, ast.Call]) -> int:
        if self.depth >= limits.NESTING:
            return 0
        self.depth += 1
        within = {**shared, **self.shared(statements)}
        count = sum(self.statement(statement, scope, within) for statement in statements)
        self.depth -= 1
        return min(count, limits.LAYERS + 1)

    def _stage(self, stage: ast.Stage, shared: Mapping[str, ast.Call]) -> int:
        match stage:
            case ast.Call(callee=callee):
                return self._block(self.blocks[callee.text]) if callee.text in self.blocks else 1
            case ast.Reference(name=name):
                return self._stage(shared[name], shared) if name in shared else 0
            case ast.Join():
                return 0
            case _:
                assert_never(stage)

    def _block(self, block: ast.Block) -> int:
        """The layers of one use of a block; 0 for a block in itself, which is reported elsewhere."""
        name = block.name.text
        if name not in self.known:
            self.known[name] = 0
            self.known[name] = self._all(block.statements, Scope({}), {})
        return self.known[name]
