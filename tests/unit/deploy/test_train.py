"""A library's training: the losses and weights of Python's, to the bit; what is refused, and what stays untouched."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.protocol import BAD_LENGTH, BAD_RATE, BAD_SIZE, BAD_TARGET, NOT_FINITE, OK, WORKSPACE_TOO_SMALL
from rnnspec.contract.executable import Array, CallRequest
from rnnspec.contract.signature import weight_ranges
from rnnspec.deploy.constants import flat_weights, on_this_machine
from rnnspec.deploy.forward_library import PaddedBatch, forward_reference
from rnnspec.deploy.library import Library, fitting, library
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.deploy.train_layout import TrainLayout, train_layout, with_gradient
from rnnspec.deploy.train_library import rule_of
from rnnspec.deploy.train_reference import train_reference
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.runtime.native.jit import Jit, Loaded
from rnnspec.training.optimizers import Adam, WeightExtent

NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[compilation_of("model M { input x: float[1]\n Dense(1) }").machine().architecture]
TARGET = BUILD_TARGETS[NATIVE]

TRAINED = {
    "adam": """model M { input x: float[time, 1]
        LSTM(20)
        Dense(1)
        train { loss = mse  optimizer = Adam(learning_rate = 0.01) } }""",
    "ids": """model M { input word: int[time], group: int[1], left: float[3]
        words = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(GRU(5, dropout = 0.2))
        groups = group -> Embedding(6, 2) -> LSTM(2)
        y = [words, groups, left] -> Concatenate() -> BatchNormalization() -> Dense(3, activation = softmax)
        output y
        train { loss = sparse_categorical_crossentropy  optimizer = AdamW(0.01, weight_decay = 0.02)  metrics = [accuracy] } }""",
    "several": """model M { input a: float[time, 2], b: float[n, 2]
        one = a -> Masking() -> LSTM(4, return_sequences = true)
        other = b -> Conv1D(4, 3, padding = valid) -> LSTM(3)
        y = one -> Dense(2, activation = sigmoid)
        z = other -> Dense(4)
        output y, z
        train { loss = [binary_crossentropy, mae]  loss_weights = [2.0, 0.3]  optimizer = SGD(0.05, momentum = 0.9, clipnorm = 0.1) } }""",
    "attention": """model M { input q: float[time, 4], k: float[n, 4]
        queries = q -> Masking() -> LSTM(4, return_sequences = true)
        keys = k -> LSTM(4, return_sequences = true)
        y = [queries, keys] -> Attention() -> Dense(2)
        train { loss = huber  optimizer = RMSprop(global_clipnorm = 0.2) } }""",
    "own": """cell Leaky(units) {
        weight kernel [features, units] = glorot_uniform
        state h [units]
        h' = 0.9 * h + 0.1 * tanh(x @ kernel)
        return h' }
        model M { input x: float[time, 3]
        Leaky(6, return_sequences = true)
        Dropout(0.5)
        LSTM(3, return_sequences = true, go_backwards = true)
        train { loss = mse  optimizer = Lion(0.01, clipvalue = 0.01)  checkpoint = 4 } }""",
    "unlabelled": """model M { input x: float[time, 3]
        LSTM(4, return_sequences = true)
        Dense(3)
        train { loss = sparse_categorical_crossentropy(from_logits = true, ignore_class = 255)
            optimizer = Adagrad(0.1) } }""",
    "sequences": """model M { input x: float[time, 3]
        LSTM(4, return_sequences = true)
        Dense(3)
        train { loss = crf  optimizer = Adamax(0.1) } }""",
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
@pytest.mark.parametrize("name", TRAINED)
def test_training_has_the_bits_of_pythons(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    rnnspec.build(rnnspec.compile(TRAINED[name], seed=2), folder, targets=[NATIVE], name="net", functions=["train"])
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Iinclude", "example_train.c"]
    subprocess.run([*command, f"{NATIVE}/libnet.a", "-lm", "-o", "example"], cwd=folder, check=True)
    done = subprocess.run(["./example", f"{NATIVE}/check_train.bin"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "20 updates, 0 different\n"), done.stderr


@frozen(slots=False)
class Called:
    """A library's functions, with weights, an optimizer's state and a workspace between bytes that nobody may change."""

    layout: TrainLayout
    compilation: Compilation
    library: Library
    loaded: Loaded

    @staticmethod
    @cache
    def of(spec: str, dtype: str = "float32") -> Called:
        compilation = compilation_of(spec, dtype=dtype)
        layout = train_layout(compilation.signature, compilation, "m")
        made = library(compilation, dict(rnnspec.compile(spec, dtype=dtype, seed=3).weights), TARGET, train=layout)
        return Called(layout, compilation, made, Jit().load(made.object_code, made.symbols))

    def function(self, name: str, result: Any, *kinds: Any) -> Any:
        return ctypes.CFUNCTYPE(result, *kinds)(self.loaded.addresses[f"m_{name}"])

    def needed(self, name: str, *sizes: int) -> int:
        return int(self.function(name, ctypes.c_size_t, *[ctypes.c_size_t] * len(sizes))(*sizes))

    def weights(self) -> Array:
        found = np.zeros(self.layout.weights, self.compilation.dtype)
        self.function("initial_weights", None, ctypes.c_void_p)(found.ctypes.data)
        return found

    def begun(self) -> Array:
        """The optimizer's state: a count, then the slots."""
        made = self.library.export.train
        assert made is not None
        found = np.full(8 + self.layout.weights * self.layout.forward.bytes * len(made.rule.starts), 77, np.uint8)
        self.function("begin", None, ctypes.c_void_p)(found.ctypes.data)
        return found

    def step(self, sizes: Sequence[int], arrays: Sequence[Array | None], state: tuple[Array, Array], **given: Any) -> tuple[int, float]:
        """The code and the loss, NaN before. `given`: `rate`, `key`, and `less`: bytes that the workspace lacks."""
        needed = self.needed("train_bytes", *sizes) - given.get("less", 0)
        memory, loss = np.full(needed + 64, 77, np.uint8), np.full(1, np.nan)
        pointers = [None if array is None else array.ctypes.data for array in arrays]
        kinds = [*[ctypes.c_void_p] * 2, ctypes.c_double, ctypes.c_uint32, *[ctypes.c_size_t] * len(sizes)]
        kinds += [*[ctypes.c_void_p] * (len(pointers) + 2), ctypes.c_size_t]
        before = [array.ctypes.data for array in state]
        rate, key, place = given.get("rate", 0.1), given.get("key", 0), memory.ctypes.data + 32
        code = self.function("train_step", ctypes.c_int32, *kinds)(*before, rate, key, *sizes, *pointers, loss.ctypes.data, place, needed)
        assert (memory[:32] == 77).all()
        assert (memory[32 + needed :] == 77).all()
        return int(code), float(loss[0])


WIDE = """model M { input x: float[time, 90]
    Dense(100, activation = tanh)
    Dense(2)
    train { loss = mse  optimizer = RMSprop(0.01, KIND = 0.05) } }"""


@pytest.mark.parametrize(("kind", "dtype"), [("clipnorm", "float32"), ("global_clipnorm", "float32"), ("clipnorm", "float64")])
def test_sums_of_many_rows_and_weights_are_numpys(kind: str, dtype: str) -> None:
    """More rows than a pairwise sum has in a block, and a weight of more numbers than numpy's buffer."""
    called = Called.of(WIDE.replace("KIND", kind), dtype)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(41, 37, 90)).astype(dtype), random.normal(size=(41, 37, 2)).astype(dtype)
    weights, optimizer = called.weights(), called.begun()
    losses = [called.step((41, 37), [x, None, None, y], (weights, optimizer), rate=0.01) for _ in range(3)]
    before = dict(rnnspec.compile(WIDE.replace("KIND", kind), dtype=dtype, seed=3).weights)
    expected, after = train_reference(called.compilation, before, TARGET, PaddedBatch({"x": x}, {}, {}), [y], [0.01] * 3)
    assert losses == [(OK, loss) for loss in expected]
    assert weights.tobytes() == after.tobytes()
    assert optimizer[:8].tobytes() == (3).to_bytes(8, "little")


def test_trained_weights_predict_as_pythons_do() -> None:
    called = Called.of(TRAINED["adam"])
    x = np.random.default_rng(0).normal(size=(3, 5, 1)).astype(np.float32)
    weights = called.weights()
    weights *= 0.5
    needed = called.needed("predict_bytes", 3, 5)
    shown, memory = np.zeros((3, 1), np.float32), np.zeros(needed, np.uint8)
    kinds = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_void_p] * 5, ctypes.c_size_t]
    predict = called.function("predict", ctypes.c_int32, *kinds)
    given = weights.ctypes.data, 3, 5, x.ctypes.data, None, None, shown.ctypes.data, memory.ctypes.data
    assert predict(*given, needed - 1) == WORKSPACE_TOO_SMALL
    assert predict(*given, needed) == OK
    places = weight_ranges(called.compilation.signature.weights)
    halved = {each.name: weights[places[each.name]].reshape(each.shape) for each in called.compilation.signature.weights}
    (expected,) = forward_reference(called.compilation, halved, TARGET, PaddedBatch({"x": x}, {}, {}))
    assert shown.tobytes() == expected.tobytes()


def test_what_is_wrong_has_a_code_and_changes_nothing() -> None:
    called = Called.of(TRAINED["unlabelled"])
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 4, 3)).astype(np.float32), np.array([[0, 1, 2, 255], [2, 2, -7, 300]], np.int32)
    lengths, weights, optimizer = np.array([4, 2], np.int32), called.weights(), called.begun()
    state = (weights, optimizer)
    before = weights.tobytes() + optimizer.tobytes()

    def refused(sizes: Sequence[int] = (2, 4), x: Array = x, y: Array = y, lengths: Array = lengths, **given: Any) -> int:
        code, loss = called.step(sizes, [x, lengths, None, y], state, **given)
        assert np.isnan(loss)
        assert weights.tobytes() + optimizer.tobytes() == before
        return code

    beyond, labelled = lengths.copy(), y.copy()
    beyond[0], labelled[0, 0] = 5, 3
    assert refused(less=1) == WORKSPACE_TOO_SMALL
    assert refused((0, 4)) == BAD_SIZE
    assert refused(lengths=beyond) == BAD_LENGTH
    assert refused(y=labelled) == BAD_TARGET
    for rate in (-0.1, np.nan, np.inf, 1e15):
        assert refused(rate=rate) == BAD_RATE
    for wrong in (np.nan, np.inf):
        bad = x.copy()
        bad[0, 0, 0] = wrong
        assert refused(x=bad) == NOT_FINITE
    # Behind a sequence's end, and without a label, anything may stand.
    code, loss = called.step((2, 4), [x, lengths, None, y], state)
    assert code == OK
    assert np.isfinite(loss)


@pytest.mark.parametrize(("loss", "wrong"), [("mse", np.nan), ("binary_crossentropy", 1.5), ("own", 0.5)])
def test_targets_are_looked_at(loss: str, wrong: float) -> None:
    own = "loss own of binary { return mean(squared(target - prediction)) }"
    model = "model M { input x: float[3]\n Dense(2, activation = sigmoid)\n train { loss = KIND  optimizer = SGD() } }"
    called = Called.of(f"{own}\n{model.replace('KIND', loss)}")
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 2), np.float32)
    state = (called.weights(), called.begun())
    assert called.step((2,), [x, y], state)[0] == OK
    y[1, 1] = wrong
    assert called.step((2,), [x, y], state)[0] == BAD_TARGET


def test_no_targets_that_count_are_a_loss_of_zero() -> None:
    called = Called.of(TRAINED["unlabelled"])
    x, y = np.ones((2, 4, 3), np.float32), np.full((2, 4), 255, np.int32)
    assert called.step((2, 4), [x, None, None, y], (called.weights(), called.begun())) == (OK, 0.0)


def test_threads_have_nothing_in_common() -> None:
    called = Called.of(TRAINED["adam"])
    x = np.random.default_rng(0).normal(size=(4, 30, 1)).astype(np.float32)

    def trained(number: int) -> bytes:
        state = (called.weights(), called.begun())
        for _ in range(5):
            assert called.step((4, 30), [x * (number + 1), None, None, x.sum(1)], state)[0] == OK
        return state[0].tobytes()

    alone = [trained(number) for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(trained, [0, 1, 2] * 3)) == alone * 3


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ("", "the spec needs a train section with a loss and an optimizer"),
        ("train { loss = mse }", "the spec needs a train section with a loss and an optimizer"),
        ("train { loss = mse  optimizer = Nadam() }", "what it computes of an update's number is no formula of powers of it"),
        ("train { loss = mse  optimizer = Lamb() }", "it looks at whole weights"),
        ("train { loss = mse  optimizer = Ftrl(learning_rate_power = -0.3) }", "it takes powers of numbers"),
        ("train { loss = mse  optimizer = SGD(use_ema = true) }", "use_ema keeps more than a state and a count"),
        ("train { loss = mse  optimizer = SGD(gradient_accumulation_steps = 2) }", "gradient_accumulation_steps keeps more than"),
        ("train { loss = mse  optimizer = Adam(epsilon = 1e-40) }", "finite numbers could become infinite"),
    ],
)
def test_what_no_library_can_do_is_refused(train: str, reason: str) -> None:
    compilation = compilation_of(f"model M {{ input x: float[time, 3]\n LSTM(4)\n Dense(1)\n {train} }}")
    with pytest.raises(CannotBuild, match=f"model M: train: .*{re.escape(reason)}"):
        rule_of(compilation) if train_layout(compilation.signature, compilation, "m") else None


@pytest.mark.parametrize(
    ("layer", "train", "reason"),
    [
        ("Dense(1, kernel_regularizer = l2(0.1))", "loss = mse", "weight dense/kernel has a regularizer"),
        ("Dense(1, activity_regularizer = l2(0.1))", "loss = mse", "a layer has an activity regularizer"),
        ("Dense(1, kernel_constraint = non_neg())", "loss = mse", "weight dense/kernel has a constraint"),
        ("LSTM(4, stateful = true)", "loss = mse", "stateful layers hand lstm/h on"),
        ("Dense(4)", "loss = ctc", "the loss ctc takes whole sequences of labels"),
        ("Dense(4)", "loss = mse  truncate = 5", "truncate carries states"),
        ("Dense(4)", "loss = sparse_categorical_crossentropy  class_weight = [1, 2, 3, 4]", "class_weight isn't among"),
    ],
)
def test_what_would_differ_is_refused(layer: str, train: str, reason: str) -> None:
    compilation = compilation_of(f"model M {{ input x: float[time, 3]\n {layer}\n train {{ {train}  optimizer = SGD() }} }}")
    with pytest.raises(CannotBuild, match=re.escape(reason)):
        train_layout(compilation.signature, compilation, "m")


def test_names_that_clash_are_refused() -> None:
    spec = "model M { input key: float[time, 3]\n LSTM(4)\n train { loss = mse  optimizer = SGD() } }"
    compilation = compilation_of(spec)
    with pytest.raises(CannotBuild, match="several would be called `key` in C"):
        train_layout(compilation.signature, compilation, "m")


def test_frozen_layers_stay() -> None:
    spec = "model M { input x: float[time, 3]\n LSTM(4, trainable = false)\n Dense(1)\n train { loss = mse  optimizer = AdamW() } }"
    called = Called.of(spec)
    x, y = np.ones((2, 4, 3), np.float32), np.ones((2, 1), np.float32)
    weights = called.weights()
    before, places = weights.copy(), weight_ranges(called.compilation.signature.weights)
    assert called.step((2, 4), [x, None, None, y], (weights, called.begun()))[0] == OK
    changed = {name for name, place in places.items() if (weights[place] != before[place]).any()}
    assert changed == {"dense/kernel", "dense/bias"}


def test_the_folder_tells_of_training(tmp_path: Path) -> None:
    schedule = TRAINED["adam"].replace("0.01", "ExponentialDecay(0.01, 10, 0.5)")
    (report,) = rnnspec.build(rnnspec.compile(schedule, seed=2), tmp_path / "net", targets=["x86-64"], functions=["train"])
    assert report.training is not None
    assert report.training["optimizer"] == 8 + 2 * 4 * 1781
    header = (tmp_path / "net" / "include" / "m.h").read_text()
    assert "The learning rate comes from a schedule" in header
    assert "#define M_AT_LSTM_RECURRENT_KERNEL 80" in header
    assert "#define M_NOT_FINITE 8" in header
    with pytest.raises(CannotBuild, match="weights_file: training has its weights in memory of the caller's"):
        rnnspec.build(rnnspec.compile(schedule, seed=2), tmp_path / "other", functions=["train"], weights_file=True)


DERIVED = """model M { input word: int[time], g: float[3], s: float[time, 2]
    w = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(LSTM(5))
    u = s -> Masking() -> GRU(3, return_sequences = true)
    y = [w, g] -> Concatenate() -> Dropout(0.5) -> Dense(2, activation = softmax)
    output y, u
    train { loss = [mse, none]  optimizer = Adam(0.01) } }"""


def test_the_parts_of_an_update_have_their_bits() -> None:
    compilation = compilation_of(DERIVED)
    signature = compilation.signature
    layout = with_gradient(train_layout(signature, compilation, "m"), signature)
    weights = dict(rnnspec.compile(DERIVED, seed=3).weights)
    made = library(compilation, weights, TARGET, train=layout)
    called = Called(layout, compilation, made, Jit().load(made.object_code, made.symbols))
    random = np.random.default_rng(0)
    word, g, s = random.integers(0, 20, (3, 6)).astype(np.int32), random.normal(size=(3, 3)), random.normal(size=(3, 6, 2))
    given = {"word": word, "g": g.astype(np.float32), "s": s.astype(np.float32)}
    d_y, d_u = random.normal(size=(3, 2)).astype(np.float32), random.normal(size=(3, 6, 3)).astype(np.float32)
    lengths = np.array([6, 4, 0], np.int32)

    host = on_this_machine(compilation, fitting(TARGET, 4))
    executable = NativeExecutable(host.signature, host.native, host.print)
    executable.threads.number = 1
    batch = check_inputs(signature, given, None, {"word": lengths}).batch()
    flat = flat_weights(host, weights)
    expected, tape = executable.record(CallRequest(batch.inputs, batch.indices, flat, 1, training=True, key=9))
    right, of_inputs = executable.backward(tape, [d_y, d_u], flat, 1, input_gradients=True)

    needed = called.needed("gradient_bytes", 3, 6)
    memory, own = np.zeros(needed, np.uint8), called.weights()
    y, u, gradient = np.zeros((3, 2), np.float32), np.zeros((3, 6, 3), np.float32), np.full(layout.weights, np.nan, np.float32)
    d_g, d_s = np.zeros((3, 3), np.float32), np.zeros((3, 6, 2), np.float32)
    pointers, sizes = ctypes.c_void_p, [ctypes.c_size_t] * 2
    record = called.function("record", ctypes.c_int32, pointers, ctypes.c_uint32, *sizes, *[pointers] * 10, ctypes.c_size_t)
    arrays = (given["word"], lengths, None, given["g"], given["s"], None, None, y, u, memory)
    addresses = [None if array is None else array.ctypes.data for array in arrays]
    assert record(own.ctypes.data, 9, 3, 6, *addresses, needed - 1) == WORKSPACE_TOO_SMALL
    assert record(own.ctypes.data, 9, 3, 6, *addresses, needed) == OK
    assert [y.tobytes(), u.tobytes()] == [array.tobytes() for array in expected]
    backward = called.function("backward", ctypes.c_int32, pointers, *sizes, *[pointers] * 6, ctypes.c_size_t)
    addresses = [array.ctypes.data for array in (d_y, d_u, gradient, d_g, d_s, memory)]
    assert backward(own.ctypes.data, 3, 5, *addresses, needed) == BAD_SIZE
    assert np.isnan(gradient).all()
    assert backward(own.ctypes.data, 3, 6, *addresses, needed) == OK
    assert gradient.tobytes() == right.tobytes()
    assert [d_g.tobytes(), d_s.tobytes()] == [of_inputs["g"].tobytes(), of_inputs["s"].tobytes()]

    optimizer = Adam(0.01)
    optimizer.bind([WeightExtent(0, layout.weights)], np.dtype(np.float32))
    updated = flat.copy()
    optimizer.step(updated, right.copy())
    state = called.begun()
    update = called.function("update", ctypes.c_int32, pointers, pointers, ctypes.c_double, pointers)
    assert update(own.ctypes.data, state.ctypes.data, -1.0, gradient.ctypes.data) == BAD_RATE
    gradient[3] = np.inf
    assert update(own.ctypes.data, state.ctypes.data, 0.01, gradient.ctypes.data) == NOT_FINITE
    assert own.tobytes() == flat.tobytes()
    gradient[3] = right[3]
    assert update(own.ctypes.data, state.ctypes.data, 0.01, gradient.ctypes.data) == OK
    assert own.tobytes() == updated.tobytes()


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
def test_the_header_of_the_parts_is_one_of_c(tmp_path: Path) -> None:
    functions = ["train", "gradient", "step", "forward"]
    spec = "model M { input x: float[time, 3]\n LSTM(4)\n Dense(1)\n train { loss = mse  optimizer = SGD() } }"
    rnnspec.build(rnnspec.compile(spec, seed=2), tmp_path / "net", targets=[NATIVE], functions=functions)
    for language in ("c", "c++"):
        command = ["cc", "-x", language, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "include/m.h"]
        subprocess.run(command, cwd=tmp_path / "net", check=True)
    header = (tmp_path / "net" / "include" / "m.h").read_text()
    assert "m_backward(const float *weights, size_t batch, size_t time, const float *dense_gradient, float *gradient, float *x_g" in header


def test_parts_that_a_library_has_not_are_refused() -> None:
    normed = "model M { input x: float[3]\n BatchNormalization()\n Dense(1)\n train { loss = mse  optimizer = SGD() } }"
    compilation = compilation_of(normed)
    with pytest.raises(CannotBuild, match="a recorded call gives batch_normalization/moving_mean a new value"):
        with_gradient(train_layout(compilation.signature, compilation, "m"), compilation.signature)
    with pytest.raises(CannotBuild, match="functions: gradient has the parts of train"):
        rnnspec.build(rnnspec.compile(normed, seed=1), "nowhere", functions=["gradient"])


def test_other_machines_train() -> None:
    compilation = compilation_of(TRAINED["unlabelled"])
    weights = dict(rnnspec.compile(TRAINED["unlabelled"], seed=3).weights)
    layout = with_gradient(train_layout(compilation.signature, compilation, "m"), compilation.signature)
    for name in ("x86-64-v3-windows", "riscv32"):
        made = library(compilation, weights, BUILD_TARGETS[name], train=layout)
        assert made.symbols[:2] == ("m_train_step", "m_train_bytes")
        assert made.symbols[-4:] == ("m_record", "m_backward", "m_update", "m_gradient_bytes")
        assert compilation.backend.code_bytes(made.object_code) > 0


def test_a_training_that_python_has_changed_is_refused(tmp_path: Path) -> None:
    made = rnnspec.compile(TRAINED["adam"], seed=2)
    made.fit(np.ones((2, 3, 1)), np.ones((2, 1)), verbose=False)
    rnnspec.build(made, tmp_path / "net", targets=[NATIVE], functions=["train"])
    with pytest.raises(CannotBuild, match="weights: training has whole weights"):
        rnnspec.build(made, tmp_path / "other", functions=["train"], weights="int8")
    made.configure(loss="mae")
    with pytest.raises(CannotBuild, match=r"model.configure has changed its training, and libraries have that of the spec"):
        rnnspec.build(made, tmp_path / "other", functions=["train"])
    assert not (tmp_path / "other").exists()
