"""What becomes one stage: a step's matmuls and the update of its states, nothing stored in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rnnspec.contract.dimensions import TOKENS
from rnnspec.contract.native_function import Space
from rnnspec.ir.ops import UnaryKind
from rnnspec.kernel.nodes import Contract, FusedLoop, KernelFunction, Load, Map, RowMap, RowReduce
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, Target
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, all_nodes, contractions, model, scheduled, stores, the_scan

LSTM = model(3, "LSTM(40, return_sequences = true)")
GRU = model(3, "GRU(40, return_sequences = true)")

every_target = pytest.mark.parametrize("target", [AVX512, AVX2, SSE42, NEON], ids=lambda target: target.name)


def only_stage(function: KernelFunction) -> FusedLoop:
    """The step's one nest."""
    (step,) = the_scan(function).body
    assert isinstance(step, FusedLoop)
    return step


def spaces(function: KernelFunction, buffers: Sequence[str]) -> set[Space]:
    return {function.buffer(name).space for name in buffers}


def assert_fused(function: KernelFunction, gates: int) -> None:
    """One contraction of all gates, then the update; stored are the states, the stacked output and what training keeps, at the end."""
    step = only_stage(function)
    (contraction,) = contractions(step)
    assert len(contraction.names) == gates
    assert contraction.left.buffer == the_scan(function).states[0].current
    stored = stores(step)
    assert step.body[-len(stored) :] == tuple(stored)
    following = [state.following for state in the_scan(function).states]
    assert [store.access.buffer for store in stored if store.access.buffer in following] == following
    kept = [store.access for store in stored if store.access.buffer not in following]
    assert all(access.rows is RowMap.TOKEN for access in kept)
    assert spaces(function, [access.buffer for access in kept]) <= {Space.TAPE, Space.SCRATCH}
    assert sum(function.buffer(access.buffer).space is Space.SCRATCH for access in kept) <= 1, "the stacked output alone"


@every_target
def test_an_lstm_step_is_one_stage(target: Target) -> None:
    function = scheduled(LSTM, target=target).function
    assert_fused(function, 4)
    assert len(the_scan(function).states) == 2


@every_target
def test_a_gru_step_is_one_stage(target: Target) -> None:
    assert_fused(scheduled(GRU, target=target).function, 3)


@pytest.mark.parametrize(("spec", "gates"), [(LSTM, 4), (GRU, 3)], ids=["lstm", "gru"])
def test_recording_doesn_t_split_the_step(spec: str, gates: int) -> None:
    function = scheduled(spec, "record").function
    assert_fused(function, gates)
    assert Space.TAPE in spaces(function, [store.access.buffer for store in stores(only_stage(function))])


@pytest.mark.parametrize(("spec", "gates"), [(LSTM, 4), (GRU, 3)], ids=["lstm", "gru"])
def test_the_projection_of_the_input_is_one_stage_over_all_tokens(spec: str, gates: int) -> None:
    function = scheduled(spec).function
    (projection,) = [node for node in function.nodes if contractions(node)]
    assert isinstance(projection, FusedLoop)
    assert (projection.rows, projection.units) == (TOKENS, gates * 40)
    step = only_stage(function)
    (contraction,) = contractions(step)
    loaded = {statement.name: statement.access for statement in step.body if isinstance(statement, Load)}
    if gates == 4:
        # Accumulators start from the projection: there is no addition of the two.
        for init in contraction.inits:
            assert init is not None
            assert loaded[init].buffer == stores(projection)[0].access.buffer


def test_a_matmul_that_waits_for_another_needs_a_second_stage() -> None:
    function = scheduled(model(3, "ResetBefore(40)", cell=RESET_BEFORE)).function
    first, second = the_scan(function).body
    assert [len(contraction.names) for contraction in contractions(first)] == [2]
    assert [len(contraction.names) for contraction in contractions(second)] == [1]
    (state,) = the_scan(function).states
    assert isinstance(first, FusedLoop) and isinstance(second, FusedLoop)
    assert state.following not in [store.access.buffer for store in stores(first)]
    assert [store.access.buffer for store in stores(second)] == [state.following]
    (waited_for,) = contractions(second)
    assert waited_for.left.buffer in [store.access.buffer for store in stores(first)]


def test_a_reduction_over_the_units_waits_too() -> None:
    body = the_scan(scheduled(model(3, "Normed(40)", cell=NORMED)).function).body
    assert [type(node) for node in body] == [FusedLoop, RowReduce, RowReduce, FusedLoop]
    assert [len(contractions(node)) for node in body] == [1, 0, 0, 0]


@pytest.mark.parametrize(("spec", "gates"), [(LSTM, 4), (GRU, 3)], ids=["lstm", "gru"])
def test_the_backward_step_is_the_gates_and_one_contraction(spec: str, gates: int) -> None:
    """All gates' gradients at once, then their product with the transposed recurrent weights: what waits, and nothing else."""
    function = scheduled(spec, "backward").function
    loop = the_scan(function)
    assert loop.reverse
    gradients, product = loop.body
    assert isinstance(gradients, FusedLoop) and isinstance(product, FusedLoop)
    assert contractions(gradients) == []
    (contraction,) = contractions(product)
    assert contraction.depth == gates * 40
    assert contraction.left.buffer in [store.access.buffer for store in stores(gradients)]


def test_weight_gradients_are_outer_products_over_all_tokens() -> None:
    function = scheduled(LSTM, "backward").function
    kinds = [type(node).__name__ for node in function.nodes]
    assert kinds.count("Outer") == 2 and kinds.count("ColumnReduce") == 1
    assert not any(type(node).__name__ == "Outer" for node in the_scan(function).body)


def test_gates_of_a_step_share_one_set_of_panels() -> None:
    kernels = scheduled(LSTM)
    packed = {node.target: node for node in kernels.prepare.nodes if type(node).__name__ == "PackPanels"}
    for node in all_nodes(kernels.function.nodes):
        for contraction in contractions(node):
            assert isinstance(node, FusedLoop)
            panels = packed[contraction.panels]
            assert len(panels.gates) == len(contraction.names)
            assert (panels.depth, panels.units, panels.vectors) == (contraction.depth, node.units, node.tile.vectors)
    assert all(isinstance(statement, Contract) for node in kernels.function.nodes for statement in contractions(node))


TWO_SIDES = """
cell TwoSides(units) {
    weight kernel [features, units] = glorot_uniform
    weight first  [units, units]    = orthogonal
    weight second [units, units]    = orthogonal
    state  h [units]
    state  c [units]

    h' = tanh(sigmoid(x @ kernel) + h @ first)
    c' = tanh(c @ second + tanh(c) + c @ first)
    return h' + c'
}
"""


def test_a_sum_goes_on_from_what_was_computed_but_not_from_a_contraction_of_the_same_left_side() -> None:
    """`h @ first` starts from the sigmoid. The two products of c are one pass over it, so neither waits for the other."""
    step = only_stage(scheduled(model(3, "TwoSides(40)", cell=TWO_SIDES)).function)
    by_left = {contraction.left.buffer: contraction for contraction in contractions(step)}
    assert len(by_left) == len(contractions(step)) == 2
    (start,) = by_left["h"].inits
    (sigmoid,) = (statement for statement in step.body if isinstance(statement, Map) and statement.kind is UnaryKind.SIGMOID)
    assert start == sigmoid.name
    assert step.body.index(sigmoid) < step.body.index(by_left["h"])
    assert len(by_left["c"].names) == 2
    assert by_left["c"].inits[1] is None
