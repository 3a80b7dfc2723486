"""The benchmarks' specs as kernels: nothing stored between a step's matmul and the update of its states, and no work on padding."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnspec.contract.dimensions import BATCH, STEPS, TOKENS, Tokens, addends, coefficient_of
from rnnspec.contract.native_function import Space
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.source_files import parse_all, read_spec
from rnnspec.frontend.model.resolve import resolve
from rnnspec.ir.types import DType
from rnnspec.kernel.count import NOTHING, Count, count
from rnnspec.kernel.cpu.tiles import contraction_tile
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import FusedLoop
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, CacheBlock, Target
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import contractions, stores, the_scan

SPECS = Path(__file__).parents[3] / "benchmarks" / "specs"

FUSED = {
    "lstm.rnn": {"h'", "lstm/output", "c"},
    "gru.rnn": {"h'", "gru/output"},
    "peephole_lstm.rnn": {"h'", "peephole_lstm/output", "c"},
}
"""What a step of inference stores. LayerNormalization reads all units before the update: its step can't be one stage."""

every_target = pytest.mark.parametrize("target", [AVX512, AVX2, SSE42, NEON], ids=lambda target: target.name)

TRAINING = (Variant("forward", False), Variant("record", True), Variant("backward", True, input_gradients=False))


def made(name: str, target: Target = AVX2, **parameters: int) -> Compilation:
    tree, _ = parse_all(read_spec(SPECS / name))
    return Compilation(tree, resolve(tree, parameters), "float32", target)


@every_target
@pytest.mark.parametrize("name", FUSED)
def test_a_step_of_inference_is_one_stage_that_stores_its_states_and_its_output_alone(name: str, target: Target) -> None:
    (step,) = the_scan(made(name, target, features=80, units=128).kernels(Variant("forward", False)).function).body
    assert isinstance(step, FusedLoop)
    assert len(contractions(step)) == 1
    assert {store.access.buffer for store in stores(step)} == FUSED[name]
    assert len(stores(step)) == len(FUSED[name])


@pytest.mark.parametrize("name", FUSED)
def test_a_step_of_training_stores_residuals_on_the_tape_besides(name: str) -> None:
    function = made(name, features=80, units=128).kernels(Variant("record", True)).function
    tape = {buffer.name for buffer in function.buffers if buffer.space is Space.TAPE}
    (step,) = the_scan(function).body
    assert isinstance(step, FusedLoop)
    assert len(contractions(step)) == 1
    written = {store.access.buffer for store in stores(step)}
    assert written - tape == FUSED[name]
    assert written & tape


def text(wanted: Variant) -> Count:
    function = made("text.rnn", vocabulary=20000, features=128, units=64).kernels(wanted).function
    return sum((count(nest, function) for nest in nests_of(function)), NOTHING)


@pytest.mark.parametrize("wanted", TRAINING, ids=lambda wanted: wanted.name)
def test_no_work_and_no_byte_of_the_text_model_depends_on_a_padded_size(wanted: Variant) -> None:
    """Neither on `batch*time`; bytes alone depend on `steps`, those of the longest real row: each reads the panels."""
    work = text(wanted)
    arithmetic = [work.matmul, work.elementwise, *work.elementary.values()]
    assert {size for amount in arithmetic for size, _ in addends(amount)} <= {1, BATCH, TOKENS, Tokens(1)}
    moved = [*work.read.values(), *work.written.values()]
    distinct = set() if wanted.name == "forward" else {Tokens(1)}
    assert {size for amount in moved for size, _ in addends(amount)} == {1, BATCH, TOKENS, STEPS} | distinct


def test_a_step_of_training_multiplies_each_distinct_word_of_the_text_model_once() -> None:
    """Forward 2 x 2 x 128 x 256 operations a word for both directions, as many for the kernels' gradients and for the rows'."""
    recorded, backward = (text(wanted).matmul for wanted in TRAINING[1:])
    projections = 2 * 2 * 128 * 256
    assert coefficient_of(Tokens(1), recorded) == projections
    assert coefficient_of(Tokens(1), backward) == 2 * projections
    recurrences = 2 * 2 * 64 * 256
    assert coefficient_of(TOKENS, recorded) == recurrences
    assert coefficient_of(TOKENS, backward) == 2 * recurrences


def test_attention_keeps_no_row_of_units_for_a_pair() -> None:
    """The rows of both sequences, which pairs look up, are fewer: pairs keep their weights alone."""
    function = made("translation.rnn", vocabulary=50, features=8, units=16).kernels(TRAINING[1]).function
    pairs = {buffer.rows for buffer in function.buffers if buffer.name.startswith("index.pair_")}
    assert len(pairs) == 1
    tape = [buffer for buffer in function.buffers if buffer.space is Space.TAPE and buffer.rows in pairs]
    assert tape and {buffer.width for buffer in tape} == {1}


def test_a_large_vocabulary_gives_its_gradient_back_in_blocks_of_its_depth() -> None:
    """The panels of a tile are 640 KB, more than a second-level cache has for them."""
    function = made("language.rnn", vocabulary=10_000, features=200, units=200).kernels(TRAINING[2]).function
    deep = [node for node in function.nodes if isinstance(node, FusedLoop) and any(each.depth == 10_000 for each in contractions(node))]
    assert [node.tile.block for node in deep] == [CacheBlock(234, 13, 256)]


@every_target
def test_a_step_of_a_stream_is_one_stage_with_its_projection(target: Target) -> None:
    """Both products add up in the same registers: the second one begins where the first one ended, from the bias."""
    step, dense = made("stream.rnn", target, units=64).kernels(Variant("stream", False)).function.nodes
    assert isinstance(step, FusedLoop) and isinstance(dense, FusedLoop)
    projection, recurrent = contractions(step)
    assert recurrent.inits == projection.names
    assert {store.access.buffer.partition(".")[0] for store in stores(step)} == {"state"}
    tile = contraction_tile(target, 4, 64, target.lanes(DType.F32))
    assert (step.tile.rows, step.tile.vectors) == (tile.rows, tile.vectors)
