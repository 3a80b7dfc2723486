"""A profiled model gives the same numbers; its profile has every loop nest, what was counted, and what is planned. No time is checked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rnnspec.api import compile
from rnnspec.contract.dimensions import BATCH, value_of
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.kernel.count import count
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import ScanLoop
from rnnspec.profile.inputs import draw_inputs, spread_lengths
from rnnspec.profile.report import Limit, OperationCount, Profile, as_data
from rnnspec.profile.runner import Runner
from rnnspec.profile.session import profile, sizes_of_calls
from rnnspec.runtime.native.executable import Variant

TEXT = """
model Text {
    input words: int[time]

    Embedding(30, 8, mask_zero = true)
    Bidirectional(LSTM(5))
    Dropout(0.5)
    Dense(3, activation = softmax)

    train {
        loss      = sparse_categorical_crossentropy
        optimizer = Adam()
    }
}
"""

SERIES = """
model Series {
    input series: float[time, 3]

    GRU(8, return_sequences = true, stateful = true)
    Dense(2, activity_regularizer = L2(0.1))
}
"""

PAIR = """
model Pair {
    input left: float[time, 4], right: float[words, 4], row: float[6]

    a = [left, right] -> Attention() -> GlobalAveragePooling1D()
    [a, row] -> Concatenate() -> Dense(2)
}
"""

SPECS = {"text": TEXT, "series": SERIES, "pair": PAIR}


def profiled(spec: str, *, training: bool = False, real: float = 0.6) -> Profile:
    return profile(compilation_of(spec), batch=4, time=9, real=real, training=training, seconds=0.0)


def runners(spec: Compilation, training: bool) -> tuple[Runner, Runner]:
    batch = draw_inputs(spec.signature, 4, 9, 0.6).batch()
    return Runner(spec, batch, training=training, timed=True), Runner(spec, batch, training=training, timed=False)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_clocks_change_no_bit(name: str, training: bool) -> None:
    timed, plain = runners(compilation_of(SPECS[name]), training)
    for _ in range(2):
        given, wanted = timed.call(), plain.call()
        assert len(given) == len(wanted) > 0
        for one, other in zip(given, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_clocks_count_every_nest_and_only_up() -> None:
    timed, _ = runners(compilation_of(TEXT), training=True)
    before: dict[tuple[Variant, str], np.ndarray] = {}
    for _ in range(3):
        timed.call()
        for wanted, bound in timed.functions.items():
            for symbol, clocks in bound.clocks.items():
                assert (clocks > before.get((wanted, symbol), np.zeros_like(clocks))).all()
                before[wanted, symbol] = clocks.copy()
    assert {wanted.name for wanted, _ in before} == {"record", "backward"}
    assert len(before) == 4


def test_a_scan_takes_longer_than_its_step() -> None:
    spec = compilation_of(TEXT)
    timed, _ = runners(spec, training=False)
    timed.call()
    (wanted,) = timed.functions
    nests = nests_of(spec.kernels(wanted).function)
    clocks = dict(zip((nest.name for nest in nests), timed.functions[wanted].clocks["rnnspec_forward"].tolist(), strict=True))
    scans = [nest.name for nest in nests if isinstance(nest.node, ScanLoop)]
    assert len(scans) == 2
    for scan in scans:
        assert clocks[scan] >= sum(taken for name, taken in clocks.items() if name.startswith(f"{scan}."))


def test_the_runner_computes_what_the_model_does() -> None:
    spec = compilation_of(TEXT)
    given = draw_inputs(spec.signature, 4, 9, 0.6)
    model = compile(TEXT, seed=0)
    _, plain = runners(spec, training=False)
    np.testing.assert_array_equal(plain.call()[0], model.forward(dict(given.values), lengths=given.lengths))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_the_profile_has_every_nest_and_its_work(name: str, training: bool) -> None:
    spec = compilation_of(SPECS[name])
    found = profiled(SPECS[name], training=training)
    recorded = Variant("record", True, activities=bool(spec.signature.activities), objective=spec.objective)
    asked = [recorded] if training else [Variant("forward", False)]
    if training:
        asked.append(replace(asked[0], name="backward", input_gradients=False))
    natives = [spec.native(wanted) for wanted in asked]
    sizes = sizes_of_calls(spec.signature, draw_inputs(spec.signature, 4, 9, 0.6).batch(), natives)
    assert found.sizes == {str(dim): value_of(dim, sizes) for native in natives for dim in (BATCH, *native.dims)}
    kernels = [function for wanted in asked for function in spec.kernels(wanted).module.functions]
    assert [function.name for function in found.functions] == [name for wanted in asked for name in (f"{wanted.name}.prepare", wanted.name)]
    for shown, function in zip(found.functions, kernels, strict=True):
        nests = nests_of(function)
        assert [kernel.name for kernel in shown.kernels] == [nest.name for nest in nests]
        for kernel, nest in zip(shown.kernels, nests, strict=True):
            if not isinstance(nest.node, ScanLoop):
                assert kernel.work.matmul == value_of(count(nest, function).matmul, sizes)
                assert kernel.work.elementwise == value_of(count(nest, function).elementwise, sizes)
            assert 0 <= kernel.fastest <= kernel.seconds


def test_a_scan_has_the_work_of_its_step() -> None:
    (forward,) = (function for function in profiled(SERIES).functions if function.name == "forward")
    (scan,) = (kernel for kernel in forward.kernels if kernel.kind == "scan")
    (step,) = (kernel for kernel in forward.kernels if kernel.inner)
    assert step.name == f"{scan.name}.0"
    assert scan.work.matmul == step.work.matmul > 0
    assert scan.work.bytes > step.work.bytes
    assert scan.limit.seconds > step.limit.seconds
    assert forward.work.matmul == sum(kernel.work.matmul for kernel in forward.kernels if not kernel.inner)


def test_prediction_prepares_weights_once_and_training_in_each_step() -> None:
    assert [function.every_call for function in profiled(TEXT).functions] == [False, True]
    trained = profiled(TEXT, training=True)
    assert [function.every_call for function in trained.functions] == [True] * 4
    assert trained.each_call.work == sum((function.work for function in trained.functions), OperationCount(0, 0, {}, 0, 0))


def test_sizes_are_those_of_the_call() -> None:
    found = profiled(TEXT)
    assert found.sizes["batch"] == 4
    assert found.sizes["tokens"] == sum(draw_inputs(compilation_of(TEXT).signature, 4, 9, 0.6).batch().indices[0].offsets[-1:])
    assert found.sizes["steps"] == 9


def test_the_planned_memory_is_what_a_call_takes() -> None:
    """The recorded tape is as large as planned, and grows with the tokens; a prediction has none."""
    assert profiled(TEXT).memory.tape == 0
    some, all_ = profiled(TEXT, training=True), profiled(TEXT, training=True, real=1.0)
    assert 0 < some.memory.tape < all_.memory.tape
    assert 0 < some.memory.workspace < all_.memory.workspace
    assert some.memory.prepared == all_.memory.prepared > 0


def test_an_update_is_timed_where_there_is_an_optimizer() -> None:
    assert profiled(TEXT, training=True).seconds.update is not None
    assert profiled(TEXT).seconds.update is None
    assert profiled(SERIES, training=True).seconds.update is None


def test_json_has_the_whole_profile() -> None:
    data = json.loads(json.dumps(as_data(profiled(TEXT, training=True))))
    assert data["model"] == "Text"
    assert data["spec"] == "<spec>"
    assert data["training"] is True
    assert [function["name"] for function in data["functions"]] == ["record.prepare", "record", "backward.prepare", "backward"]
    kernel = data["functions"][1]["kernels"][0]
    assert kernel.keys() == {"name", "kind", "writes", "shape", "seconds", "fastest", "work", "limit", "lines"}
    assert kernel["lines"] == [{"path": "<spec>", "number": kernel["lines"][0]["number"]}]
    assert kernel["work"].keys() == {"matmul", "elementwise", "elementary", "bytes_read", "bytes_written"}
    assert data["memory"].keys() == {"workspace", "tape", "prepared"}


def test_a_limit_overlaps_arithmetic_and_memory() -> None:
    assert Limit.of(2.0, 3.0, 1.0) == Limit(2.0, 3.0, 1.0, 4.0)
    assert (Limit.of(2.0, 3.0, 1.0) + Limit.of(5.0, 1.0, 0.0)).seconds == 9.0


@pytest.mark.parametrize(
    ("real", "lengths"), [(0.6, [10, 8, 6, 4, 2]), (0.5, [10, 8, 5, 2, 0]), (0.2, [4, 3, 2, 1, 0]), (1.0, [10] * 5), (0.0, [0] * 5)]
)
def test_lengths_are_spread_around_their_mean(real: float, lengths: list[int]) -> None:
    np.testing.assert_array_equal(spread_lengths(5, 10, real), lengths)


def test_drawn_ids_are_of_the_vocabulary() -> None:
    ids = draw_inputs(compilation_of(TEXT).signature, 50, 40, 1.0).values["words"]
    assert ids.min() == 1
    assert ids.max() == 29
