"""The package as a user of Python meets it: the calls of the readme on a tiny model, and what is the same to the bit."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec

SPEC = """\
model Tiny(units = 6, rate = 0.25) {
    input x: float[time, 3]

    Masking(mask_value = 0.0)
    Bidirectional(LSTM(units))
    Dropout(rate)
    Dense(4, activation = softmax)

    train {
        loss       = sparse_categorical_crossentropy
        optimizer  = Adam(learning_rate = 0.02)
        metrics    = [accuracy]
        batch_size = 8
        epochs     = 2
    }
}
"""

TAGGER = """\
model Tagger(units = 5) {
    input words: int[time]

    Embedding(20, 4, mask_zero = true)
    GRU(units, return_sequences = true)
    Dense(3, activation = softmax)

    train {
        loss      = sparse_categorical_crossentropy
        optimizer = SGD(learning_rate = 0.5, momentum = 0.9, clipnorm = 1.0)
    }
}
"""

DTYPES = ["float32", "float64"]
ROOT = Path(rnnspec.__file__).parents[1]

RANDOM = np.random.default_rng(17)
SAMPLES, TIME = 24, 9
X = RANDOM.normal(size=(SAMPLES, TIME, 3)).astype(np.float32)
LENGTHS = RANDOM.integers(1, TIME + 1, SAMPLES)
Y = RANDOM.integers(0, 4, SAMPLES)
X[np.arange(SAMPLES), 0, 0] = Y * 2.0 - 3.0
LISTS = [row[:length] for row, length in zip(X, LENGTHS, strict=True)]


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What a test draws doesn't depend on which tests ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(2).bit_generator.state


@pytest.fixture(scope="module", params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(dtype: str) -> Any:
    """Not trained, not changed by any test."""
    return rnnspec.compile(SPEC, dtype=dtype, seed=0)


@pytest.fixture(scope="module")
def expected(model: Any) -> NDArray[Any]:
    """What every form of the same samples must give, to the bit."""
    return model.forward(X, lengths=LENGTHS)


def same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.shape == second.shape and first.dtype == second.dtype and first.tobytes() == second.tobytes()


# The calls of the readme


def test_the_readme(tmp_path: Path, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.rnn"
    path.write_text(SPEC, encoding="utf-8")
    model = rnnspec.compile(path, units=5, dtype=dtype, seed=0)
    assert isinstance(model, rnnspec.Model)

    y = model.forward(X, mask=None, lengths=None, training=False)
    assert (y.shape, y.dtype) == ((SAMPLES, 4), dtype)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)

    y, tape = model.forward(X, record=True)
    gradients = model.backward(tape, np.ones_like(y))
    assert gradients.inputs["x"].shape == X.shape

    assert {name: value.shape for name, value in model.weights.items()} == {
        "bidirectional/forward_lstm/kernel": (3, 20),
        "bidirectional/forward_lstm/recurrent_kernel": (5, 20),
        "bidirectional/forward_lstm/bias": (20,),
        "bidirectional/backward_lstm/kernel": (3, 20),
        "bidirectional/backward_lstm/recurrent_kernel": (5, 20),
        "bidirectional/backward_lstm/bias": (20,),
        "dense/kernel": (10, 4),
        "dense/bias": (4,),
    }
    for name, value in model.weights.items():
        assert gradients.weights[name].shape == value.shape
        assert gradients.weights[name].dtype == value.dtype == np.dtype(dtype)
    values = model.get_weights()
    model.set_weights(values)
    assert all(same(after, before) for after, before in zip(model.get_weights(), values, strict=True))

    history = model.fit(
        X, Y, batch_size=8, epochs=3, validation_data=None, validation_split=0.25, shuffle=True, seed=None, verbose=True
    )  # fmt: skip
    assert {name: len(values) for name, values in history.history.items()} == {
        "loss": 3, "accuracy": 3, "val_loss": 3, "val_accuracy": 3,
    }  # fmt: skip
    assert len(capsys.readouterr().out.splitlines()) == 3

    loss, accuracy = model.train_on_batch(X, Y)
    assert isinstance(loss, float) and 0 <= accuracy <= 1
    assert set(model.train_on_batch(X, Y, return_dict=True)) == {"loss", "accuracy"}
    assert len(model.test_on_batch(X, Y)) == 2
    assert set(model.evaluate(X, Y)) == {"loss", "accuracy"}
    predictions = model.predict(X)
    model.summary()
    assert "Bidirectional(LSTM)" in capsys.readouterr().out

    model.save(tmp_path / "tiny.rnnc")
    loaded = rnnspec.load(tmp_path / "tiny.rnnc")
    assert same(loaded.predict(X), predictions)
    assert "func @forward" in loaded.inspect("tensor")
    assert model.inspect("tensor") == loaded.inspect("tensor")


def test_modules_that_users_pages_name_are_there_without_an_import() -> None:
    pages = "".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in ("python", "frameworks", "interop"))
    named = {name for name in re.findall(r"\brnnspec\.([a-z]+)\b", pages) if (ROOT / "rnnspec" / f"{name}.py").exists()}
    assert {"callbacks", "jax", "keras", "sklearn", "torch"} <= named <= set(dir(rnnspec))
    with pytest.raises(AttributeError, match=r"^module 'rnnspec' has no attribute 'tensorflow'$"):
        _ = rnnspec.tensorflow


def test_parameters_by_name_and_by_mapping(tmp_path: Path) -> None:
    path = tmp_path / "tiny.rnn"
    path.write_text(SPEC, encoding="utf-8")
    models = [
        rnnspec.compile(SPEC, units=3, seed=0),
        rnnspec.compile(str(path), parameters={"units": 3}, seed=0),
        rnnspec.compile(path, units=np.int64(3), seed=0),
    ]
    outputs = [made.forward(X) for made in models]
    assert same(outputs[0], outputs[1])
    assert same(outputs[0], outputs[2])
    models[2].save(tmp_path / "tiny.rnnc")
    assert same(rnnspec.load(tmp_path / "tiny.rnnc").forward(X), outputs[0])


def test_gradients_are_derivatives(model: Any, dtype: str) -> None:
    """Along a random direction of every weight and of the input, by central differences in float64."""
    if dtype != "float64":
        precise = rnnspec.compile(SPEC, dtype="float64", weights=model.get_weights())
        y, tape = precise.forward(X, lengths=LENGTHS, record=True)
        dy = np.random.default_rng(1).normal(size=y.shape)
        reference = precise.backward(tape, dy)
        _, tape = model.forward(X, lengths=LENGTHS, record=True)
        found = model.backward(tape, dy)
        for name, value in reference.weights.items():
            np.testing.assert_allclose(found.weights[name], value, atol=1e-5 * np.abs(value).max(), rtol=0)
        return
    random = np.random.default_rng(0)
    moved = rnnspec.compile(SPEC, dtype=dtype, weights=model.get_weights())
    x = X.astype(np.float64)
    y, tape = moved.forward(x, lengths=LENGTHS, record=True)
    dy = random.normal(size=y.shape)
    gradients = moved.backward(tape, dy)
    weights, step = moved.get_weights(), 1e-6
    directions = [random.normal(size=value.shape) for value in weights]
    toward_x = random.normal(size=x.shape)
    sums = []
    for sign in (1, -1):
        moved.set_weights([value + sign * step * direction for value, direction in zip(weights, directions, strict=True)])
        sums.append((moved.forward(x + sign * step * toward_x, lengths=LENGTHS) * dy).sum())
    slope = sum((gradients.weights[name] * direction).sum() for name, direction in zip(gradients.weights, directions, strict=True))
    slope += (gradients.inputs["x"] * toward_x).sum()
    assert (sums[0] - sums[1]) / (2 * step) == pytest.approx(slope, rel=1e-7)
    real = np.arange(TIME) < LENGTHS[:, None]
    assert not gradients.inputs["x"][~real].any()
    assert gradients.inputs["x"][real].any(axis=1).all()


# Training


def test_train_on_batch_lowers_the_loss(dtype: str) -> None:
    model = rnnspec.compile(SPEC, dtype=dtype, seed=0, rate=0.0)
    losses = [model.train_on_batch(X, Y, lengths=LENGTHS, return_dict=True)["loss"] for _ in range(30)]
    assert all(later < earlier for earlier, later in zip(losses, losses[5:], strict=False))
    assert losses[-1] < 0.5 * losses[0]
    assert model.evaluate(X, Y, lengths=LENGTHS)["loss"] < losses[-1]


def test_fit_learns(dtype: str) -> None:
    model = rnnspec.compile(SPEC, dtype=dtype, seed=0)
    history = model.fit(LISTS, Y, epochs=40, verbose=False)
    assert len(history.epoch) == 40
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert model.evaluate(LISTS, Y)["accuracy"] > 0.9


def test_training_repeats_to_the_bit(dtype: str) -> None:
    """Dropout, shuffling and initial weights all come from the seed."""
    models = [rnnspec.compile(SPEC, dtype=dtype, seed=seed) for seed in (5, 5, 6)]
    histories = [model.fit(LISTS, Y, epochs=2, verbose=False, validation_split=0.25).history for model in models]
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
    for first, second in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        assert same(first, second)


def test_a_masked_sequence_model(dtype: str) -> None:
    """Tags of padded words neither count nor are looked at; the loss is a mean over real words."""
    words = RANDOM.integers(1, 20, (12, 7))
    lengths = RANDOM.integers(1, 8, 12)
    words[np.arange(7) >= lengths[:, None]] = 0
    tags = np.where(words == 0, -1, words % 3)
    model = rnnspec.compile(TAGGER, dtype=dtype, seed=0)
    outputs = model.predict(words)
    assert outputs.shape == (12, 7, 3)
    real = words != 0
    expected = -np.log(np.take_along_axis(outputs, np.maximum(tags, 0)[..., None], axis=2)[..., 0][real]).mean()
    assert model.evaluate(words, tags)["loss"] == pytest.approx(expected, rel=1e-5)
    lists = [row[:length] for row, length in zip(words, lengths, strict=True)]
    list_tags = [row[:length] for row, length in zip(tags, lengths, strict=True)]
    assert model.evaluate(lists, list_tags, 5)["loss"] == pytest.approx(model.evaluate(words, tags, 5)["loss"], rel=1e-12)
    first = model.fit(words, tags, epochs=1, verbose=False).history["loss"][0]
    model.fit(lists, list_tags, epochs=60, verbose=False)
    assert model.evaluate(words, tags)["loss"] < 0.2 * first
    with pytest.raises(ValueError) as raised:
        model.forward([[1, 2], [3, 20, 4]])
    assert str(raised.value) == "input words, sample 1, step 1: expected a whole number in 0..19 (vocabulary size 20), got 20"


# The file


def test_save_and_load(model: Any, tmp_path: Path, expected: NDArray[Any]) -> None:
    model.save(tmp_path / "model.rnnc")
    first = (tmp_path / "model.rnnc").read_bytes()
    loaded = rnnspec.load(str(tmp_path / "model.rnnc"))
    assert same(loaded.forward(X, lengths=LENGTHS), expected)
    assert same(loaded.predict(LISTS), expected)
    loaded.save(tmp_path / "model.rnnc")
    assert (tmp_path / "model.rnnc").read_bytes() == first
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)
    loaded.fit(X, Y, verbose=False)


def test_damaged_files_name_the_file(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.rnnc"
    model.save(path)
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:-1], content[:2000] + b"\0" + content[2001:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.rnnc: "):
            rnnspec.load(path)


SCRIPT = """
import sys
import numpy as np
import rnnspec

with np.load(sys.argv[2]) as data:
    model = rnnspec.load(sys.argv[1])
    y, tape = model.forward(data["x"], lengths=data["lengths"], record=True)
    gradients = model.backward(tape, data["dy"])
    np.savez(sys.argv[3], y=y, x=gradients.inputs["x"], **{name.replace("/", "."): value for name, value in gradients.weights.items()})
"""


def test_the_same_from_a_fresh_process(model: Any, tmp_path: Path, expected: NDArray[Any]) -> None:
    model.save(tmp_path / "model.rnnc")
    dy = RANDOM.normal(size=expected.shape)
    np.savez(tmp_path / "in.npz", x=X, lengths=LENGTHS, dy=dy)
    arguments = [str(tmp_path / name) for name in ("model.rnnc", "in.npz", "out.npz")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    _, tape = model.forward(X, lengths=LENGTHS, record=True)
    gradients = model.backward(tape, dy)
    with np.load(tmp_path / "out.npz") as out:
        assert same(out["y"], expected)
        assert same(out["x"], gradients.inputs["x"])
        for name, value in gradients.weights.items():
            assert same(out[name.replace("/", ".")], value), name


# The cache


def test_a_cache_that_is_damaged_or_missing_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled objects, and models, are found by a second model, and made again where they are damaged, missing or can't be kept."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RNNSPEC_CACHE", str(folder))
    expected = rnnspec.compile(SPEC, seed=0).forward(X)
    entries = {entry: entry.read_bytes() for entry in folder.iterdir()}
    assert len(entries) == 5, "the object, the model and its native function, the equations of its loss and of its metric"
    assert same(rnnspec.compile(SPEC, seed=0).forward(X), expected)
    assert {entry: entry.read_bytes() for entry in folder.iterdir()} == entries
    for damage in (
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole[:50] + bytes([whole[50] ^ 1]) + whole[51:],
        lambda whole: bytes(len(whole)),
    ):
        for entry, whole in entries.items():
            entry.write_bytes(damage(whole))
        assert same(rnnspec.compile(SPEC, seed=0).forward(X), expected)
        assert {entry: len(entry.read_bytes()) for entry in folder.iterdir()} == {entry: len(whole) for entry, whole in entries.items()}
    for entry in entries:
        entry.unlink()
    folder.rmdir()
    folder.write_bytes(b"no folder")
    assert same(rnnspec.compile(SPEC, seed=0).forward(X), expected)
    monkeypatch.setenv("RNNSPEC_CACHE", "")
    assert same(rnnspec.compile(SPEC, seed=0).forward(X), expected)


COMPILES = """
import hashlib, sys
import numpy as np
import rnnspec

model = rnnspec.compile(sys.argv[1], seed=0)
x = np.linspace(-1, 1, 4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
y, tape = model.forward(x, record=True)
gradients = model.backward(tape, y)
print(hashlib.sha256(b"".join([y.tobytes(), *(value.tobytes() for value in gradients.weights.values())])).hexdigest())
"""


def test_processes_share_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path / "cache"))
    processes = [
        subprocess.Popen([sys.executable, "-c", COMPILES, SPEC], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    results = [process.communicate() for process in processes]
    assert [error for _, error in results] == [b""] * 3
    assert len({out for out, _ in results}) == 1
    assert [process.returncode for process in processes] == [0] * 3
    assert not [entry for entry in (tmp_path / "cache").iterdir() if entry.suffix != ".object"]


# The same to the bit


def test_alone_and_in_any_batch(model: Any, expected: NDArray[Any]) -> None:
    for row in range(SAMPLES):
        assert same(model.forward(X[row : row + 1], lengths=LENGTHS[row : row + 1]), expected[row : row + 1]), row
    for batch_size in (1, 2, 3, 5, 7, 8, 16, 17, 100):
        assert same(model.predict(X, batch_size, lengths=LENGTHS), expected), batch_size
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(SAMPLES)[: 5 + 4 * seed]
        assert same(model.forward(X[order], lengths=LENGTHS[order]), expected[order])


@pytest.mark.parametrize("padding", [1, 3, 40])
def test_any_padding(model: Any, expected: NDArray[Any], padding: int) -> None:
    """At the end, in front, and as holes; by lengths, by mask and by the masked value."""
    blank = np.zeros((SAMPLES, padding, 3), np.float32)
    real = np.arange(TIME) < LENGTHS[:, None]
    masked = np.zeros((SAMPLES, padding), bool)
    zeroed = np.where(real[..., None], X, 0)
    assert same(model.forward(np.concatenate([X, blank + 5], axis=1), lengths=LENGTHS), expected)
    assert same(model.forward(np.concatenate([blank + 5, X], axis=1), mask=np.concatenate([masked, real], axis=1)), expected)
    assert same(model.forward(np.concatenate([blank, zeroed, blank], axis=1)), expected)
    holed, holes = np.full((SAMPLES, 2 * TIME, 3), 7, np.float32), np.zeros((SAMPLES, 2 * TIME), bool)
    holed[:, 1::2], holes[:, 1::2] = X, real
    assert same(model.forward(holed, mask=holes), expected)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e38])
def test_what_masked_steps_hold_never_shows(model: Any, expected: NDArray[Any], garbage: float) -> None:
    real = np.arange(TIME) < LENGTHS[:, None]
    x = np.where(real[..., None], X, np.float32(garbage))
    assert same(model.forward(x, lengths=LENGTHS), expected)
    y, tape = model.forward(x, mask=real, record=True)
    assert same(y, expected)
    dy = np.arange(y.size).reshape(y.shape)
    gradients = model.backward(tape, dy)
    assert not gradients.inputs["x"][~real].any()
    _, tape = model.forward(X, lengths=LENGTHS, record=True)
    reference = model.backward(tape, dy)
    assert same(gradients.inputs["x"], reference.inputs["x"])
    for name, value in gradients.weights.items():
        assert same(value, reference.weights[name]), name


def test_lists_and_mappings(model: Any, expected: NDArray[Any]) -> None:
    for x in (LISTS, tuple(LISTS), {"x": LISTS}, [sample.tolist() for sample in LISTS], [sample.astype(">f8") for sample in LISTS]):
        assert same(model.forward(x), expected)
    assert same(model.forward({"x": X}, mask={"x": np.arange(TIME) < LENGTHS[:, None]}), expected)
    assert same(model.predict(LISTS, 5), expected)


FORMS: dict[str, Any] = {
    "fortran order": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed twice": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda x: np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2),
    "big-endian": lambda x: x.astype(">f4"),
    "float64": lambda x: x.astype(np.float64),
    "lists": lambda x: x.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_any_layout(model: Any, expected: NDArray[Any], form: str) -> None:
    assert same(model.forward(FORMS[form](X), lengths=LENGTHS), expected)


@pytest.mark.parametrize("kind", [np.float16, np.int8, np.int64, np.uint16, bool])
def test_numbers_of_any_type(model: Any, kind: type) -> None:
    x = np.abs(X * 3).astype(np.int8).astype(kind)
    assert same(model.forward(x), model.forward(x.astype(np.float32)))


def test_threads(model: Any, expected: NDArray[Any]) -> None:
    """Eight threads, forward and backward on a shared model and a shared tape: the bits of one thread."""
    y, tape = model.forward(X, lengths=LENGTHS, record=True)
    reference = model.backward(tape, y)
    together = threading.Barrier(8, timeout=60)

    def work(number: int) -> bool:
        together.wait()
        right = True
        for _ in range(5):
            part = slice(number, SAMPLES - number)
            right &= same(model.forward(X[part], lengths=LENGTHS[part]), expected[part])
            gradients = model.backward(tape, y)
            right &= all(same(value, reference.weights[name]) for name, value in gradients.weights.items())
            own_y, own_tape = model.forward(X[part], lengths=LENGTHS[part], record=True)
            right &= same(own_y, expected[part])
            right &= same(model.backward(own_tape, own_y).inputs["x"], reference.inputs["x"][part])
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_the_first_calls_may_come_from_several_threads(dtype: str, expected: NDArray[Any]) -> None:
    """Compiled once, whoever asks first."""
    fresh = rnnspec.compile(SPEC, dtype=dtype, seed=0)
    together = threading.Barrier(4, timeout=60)

    def first(number: int) -> bool:
        together.wait()
        return same(fresh.forward(X, lengths=LENGTHS), expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(first, range(4)))


# Edges


@pytest.mark.parametrize("shape", [(0, 5, 3), (0, 0, 3), (4, 0, 3)])
def test_nothing_to_do(model: Any, shape: tuple[int, int, int]) -> None:
    y, tape = model.forward(np.zeros(shape), record=True)
    assert y.shape == (shape[0], 4)
    assert same(model.forward(np.zeros(shape)), y)
    assert same(model.predict(np.zeros(shape)), y)
    gradients = model.backward(tape, y)
    assert gradients.inputs["x"].shape == shape
    assert all(np.isfinite(value).all() for value in gradients.weights.values())


def test_every_row_masked(model: Any) -> None:
    """A row without a real step gives what the layers above make of zeros."""
    y = model.forward(X, lengths=np.zeros(SAMPLES, int))
    bias = model.weights["dense/bias"]
    expected = np.exp(bias) / np.exp(bias).sum()
    np.testing.assert_allclose(y, np.broadcast_to(expected, y.shape), rtol=1e-6)
    assert same(y, model.forward(np.zeros_like(X)))


def test_nan_and_infinity_in_real_steps_stay_in_their_rows(model: Any, expected: NDArray[Any]) -> None:
    x = X.copy()
    x[3, 0, 1], x[5, 0] = np.nan, [np.inf, -np.inf, np.inf]
    y = model.forward(x, lengths=LENGTHS)
    assert np.isnan(y[3]).all()
    others = np.setdiff1d(np.arange(SAMPLES), [3, 5])
    assert same(y[others], expected[others])


def test_an_input_is_neither_changed_nor_copied(dtype: str, model: Any) -> None:
    x = X.astype(dtype)
    x.flags.writeable = False
    before = x.tobytes()
    model.forward(x)
    _, tape = model.forward(x, record=True)
    model.predict(x)
    model.evaluate(x, Y)
    assert x.tobytes() == before
    y, _ = model.forward(x, record=True)
    first = model.backward(tape, y)
    y[...] = 0
    assert same(model.backward(tape, np.zeros_like(y)).inputs["x"], np.zeros_like(first.inputs["x"]))


def test_refusals_name_place_and_value(model: Any) -> None:
    """One message each; the unit tests hold them word for word."""
    for call, message in (
        (lambda: model.forward(X[..., :2]), r"input x: expected 3 features, got 2"),
        (lambda: model.forward(X[0]), r"input x: expected shape \(batch, time, 3\), got \(9, 3\)"),
        (lambda: model.forward(X, mask=np.ones((2, 2))), r"mask: expected shape \(24, 9\)"),
        (lambda: model.forward(X, lengths=[10] * SAMPLES), r"lengths: expected 0 to 9 for sample 0"),
        (lambda: model.evaluate(X, np.full(SAMPLES, 4)), r"targets, sample 0: expected a class in 0\.\.3, got 4"),
        (lambda: model.fit(X, Y[:3]), r"targets: expected shape \(24,\), got \(3,\)"),
        (lambda: model.configure(loss="circle"), r"Keras has the loss circle"),
        (lambda: model.set_weights([]), r"the model has 8 weights, 0 were given"),
        (lambda: model.inspect("nowhere"), r"there is no stage named `nowhere`"),
        (lambda: rnnspec.compile(SPEC, dtype="float16"), r"dtype: expected float32 or float64, got 'float16'"),
        (lambda: rnnspec.compile(SPEC, seed=-1), r"seed: expected a whole number of at least 0, got -1"),
        (lambda: rnnspec.compile(SPEC, weights=[1]), r"the model has 8 weights, 1 were given"),
        (lambda: rnnspec.compile("absent.rnn"), r"absent\.rnn"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
