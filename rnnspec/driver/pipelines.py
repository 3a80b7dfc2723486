"""The stages of the compiler, and the passes of each stage in their order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from rnnspec.backend.protocol import SCHEDULE, Backend
from rnnspec.ir.ops import Function, Module, Role
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
from rnnspec.passes.pipeline import Pass, Pipeline
from rnnspec.passes.promote_single_step import PromoteSingleStep
from rnnspec.passes.rematerialize import Rematerialize
from rnnspec.passes.scalarize_picks import ScalarizePicks
from rnnspec.passes.simplify_logarithms import SimplifyLogarithms
from rnnspec.passes.unique_tokens import UniqueTokens

CLEAN: tuple[Pass, ...] = (Canonicalize(), EliminateCommonSubexpressions(), EliminateDeadCode())

SETTLING: tuple[Pass, ...] = (Canonicalize(), EliminateCommonSubexpressions(), EliminateDeadCode(keep_carried=True))
"""Until sums are settled: a stream shows all states, so those that don't matter here must count there and here alike."""

BOTH: tuple[Pass, ...] = (
    *SETTLING,
    SimplifyLogarithms(),
    ScalarizePicks(),
    EliminateDeadCode(keep_carried=True),
    MergeCarries(),
    HoistProjection(),
    MultiplyByReciprocals(),
    *SETTLING,
)

FORWARD = Pipeline((*BOTH, FoldTables(), *SETTLING, Accumulate(), EliminateDeadCode()))
"""Passes of inference."""

STREAM = Pipeline((*FORWARD.passes, PromoteSingleStep(), EliminateCommonSubexpressions(), EliminateDeadCode()))
"""Passes of a stream's step. Those behind `Accumulate` change no bit, so that a stream's outputs equal the whole sequence's."""

BACKWARD = Pipeline(
    (
        *BOTH,
        UniqueTokens(),
        EliminateDeadCode(keep_carried=True),
        Accumulate(),
        Differentiate(),
        HoistWeightGradients(),
        *CLEAN,
        Accumulate("backward"),
        Rematerialize(checkpoint=0),
    )
)
"""Passes of training, for `@forward` with residuals and `@backward`."""


Stage: TypeAlias = Literal["ast", "graph", "tensor", "tensor.backward", "tensor.stream", "kernel", "kernel.backward"]

STAGES: tuple[Stage, ...] = ("ast", "graph", "tensor", "tensor.backward", "tensor.stream", "kernel", "kernel.backward")
"""The stages that there are whatever the back end; its own texts come behind them."""

PIPELINES: Mapping[str, Pipeline] = {"tensor": FORWARD, "tensor.backward": BACKWARD, "tensor.stream": STREAM}
"""The stages that passes over the tensor IR run in."""


def pipeline_of(stage: str, checkpoint: int = 0, frozen: tuple[str, ...] = (), *, input_gradients: bool = True) -> Pipeline:
    """A stage's passes; `checkpoint`: of `Rematerialize`, 0 for none. `frozen`, `input_gradients`: of `Differentiate`."""

    def chosen(step: Pass) -> Pass:
        match step:
            case Rematerialize():
                return replace(step, checkpoint=checkpoint)
            case Differentiate():
                return replace(step, input_gradients=input_gradients, frozen=" ".join(frozen) or None)
            case _:
                return step

    return Pipeline(tuple(map(chosen, PIPELINES[stage].passes)))


LOWER = "lower"
"""The name, as an argument `after`, of the tensor IR before the first pass."""


def stages_of(backend: Backend) -> Mapping[str, tuple[str, ...]]:
    """All stages in their order, each with what `after` may be in it: a label for the text before the first pass, then the passes'."""
    tensor = {name: (LOWER, *pipeline.stages) for name, pipeline in PIPELINES.items()}
    kernel = {name: (SCHEDULE, *pipeline.stages) for name, pipeline in backend.pipelines.items()}
    passes = {**tensor, **kernel}
    return {stage: passes.get(stage, ()) for stage in (*STAGES, *backend.texts)}


def without_input_gradients(backward: Function, inputs: Collection[str]) -> Function:
    """The same function without the gradients of `inputs`; its residuals stay, so that it reads the same tape."""
    results = tuple(result for result in backward.results if result.role is not Role.GRADIENT or result.name not in inputs)
    return EliminateDeadCode().run(Module("slim", (replace(backward, results=results),))).functions[0]
