"""Windows with `carry_mask`: a sample is what it would be alone, whatever is masked around it and whoever stands beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.driver import source_files
from rnnspec.frontend.model.packing import sequences
from rnnspec.frontend.model.resolve import resolve
from rnnspec.source import SourceFile
from tests import reference
from tests.specs import Layer, make, spec

LENGTHS = (5, 1, 9, 2, 7, 3, 8)
STEPS = 12
WINDOWS = {
    "valid": make("Conv1D", filters=4, kernel_size=3),
    "valid-strides_2": make("Conv1D", filters=4, kernel_size=2, strides=2),
    "valid-dilation_2": make("Conv1D", filters=4, kernel_size=3, dilation_rate=2),
    "same": make("Conv1D", filters=4, kernel_size=4, padding="same", activation="tanh"),
    "same-strides_2": make("Conv1D", filters=4, kernel_size=3, padding="same", strides=2),
    "same-strides_3": make("Conv1D", filters=4, kernel_size=4, padding="same", strides=3, use_bias=False),
    "same-dilation_3": make("Conv1D", filters=4, kernel_size=2, padding="same", dilation_rate=3),
    "causal": make("Conv1D", filters=4, kernel_size=3, padding="causal"),
    "causal-strides_2": make("Conv1D", filters=4, kernel_size=3, padding="causal", strides=2),
    "causal-dilation_2": make("Conv1D", filters=4, kernel_size=3, padding="causal", dilation_rate=2),
    "max": make("MaxPooling1D", pool_size=2),
    "max-same": make("MaxPooling1D", pool_size=3, strides=2, padding="same"),
    "average": make("AveragePooling1D", pool_size=3, strides=1),
    "pad": make("ZeroPadding1D", padding=[2, 1]),
    "pad-end": make("ZeroPadding1D", padding=[0, 3]),
    "crop": make("Cropping1D", cropping=[1, 2]),
    "crop-start": make("Cropping1D", cropping=[2, 0]),
    "average-same": make("AveragePooling1D", pool_size=2, padding="same"),
}
CARRY = {"carry_mask": True}
GRU = make("GRU", units=3)


def samples(seed: int = 0, features: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(length, features)).astype(np.float32) for length in LENGTHS]


def padded(given: list[np.ndarray], before: Any = 0) -> tuple[np.ndarray, np.ndarray]:
    """The samples, each behind so many masked steps, in one array; what is masked isn't a number."""
    starts = np.broadcast_to(before, len(given))
    x = np.full((len(given), STEPS + int(starts.max()), *given[0].shape[1:]), np.nan, np.float32)
    mask = np.zeros(x.shape[:2], bool)
    for row, (sample, start) in enumerate(zip(given, starts, strict=True)):
        x[row, start : start + len(sample)], mask[row, start : start + len(sample)] = sample, True
    return x, mask


def compiled(layers: list[Layer], of_input: str = "float[time, 3]", **options: Any) -> rnnspec.Model:
    return rnnspec.compile(spec(layers, of_input), seed=0, **options)


@pytest.mark.parametrize("name", WINDOWS)
def test_a_sample_is_what_it_is_alone(name: str) -> None:
    """To the bit: in company, padded at the end and at the beginning, with any number of threads."""
    given, model = samples(), compiled([{**WINDOWS[name], **CARRY}, GRU])
    together = model.predict(given)
    for row, sample in enumerate(given):
        np.testing.assert_array_equal(model.predict([sample])[0], together[row], err_msg=f"{len(sample)} steps")
    for before in (0, 1, 2, 5, np.arange(len(given))):
        x, mask = padded(given, before)
        np.testing.assert_array_equal(model.predict(x, mask=mask), together, err_msg=str(before))
    model.tuning = rnnspec.Tuning(least_saved_operations=0, spin_limit=1 << 40)
    for number in (2, 3):
        model.threads = number
        np.testing.assert_array_equal(model.predict(given), together)


@pytest.mark.parametrize("name", WINDOWS)
def test_where_nothing_is_masked_nothing_changes(name: str) -> None:
    """As Keras has it, for a whole array; and the windows of a padded sample are those that it has alone, with 0 behind."""
    plain, model = compiled([WINDOWS[name]]), compiled([{**WINDOWS[name], **CARRY}])
    x, mask = padded(samples())
    together = model.predict(x, mask=mask)
    for row, sample in enumerate(samples()):
        if len(sample) < 5 and WINDOWS[name].get("padding", "valid") == "valid":
            continue
        alone = plain.predict(sample[None])
        np.testing.assert_allclose(model.predict(sample[None]), alone, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(together[row : row + 1, : alone.shape[1]], alone, rtol=1e-6, atol=1e-7)
        assert not together[row, alone.shape[1] :].any()


@pytest.mark.every(3)
@pytest.mark.parametrize(
    "before", [[], [make("GRU", units=3, return_sequences=True, go_backwards=True)], [make("Masking", mask_value=0.0)]]
)
@pytest.mark.parametrize("name", WINDOWS)
def test_holes_keep_their_place(name: str, before: list[Layer]) -> None:
    """Outputs and gradients against the oracle, with any mask; rows without a real step and reversed sequences too."""
    layers = [*before, {**WINDOWS[name], **CARRY}, make("LSTM", units=2, return_sequences=True)]
    model = compiled(layers, dtype="float64")
    random = np.random.default_rng(5)
    x, mask = random.normal(size=(9, 10, 3)), random.random((9, 10)) < np.linspace(0, 1, 9)[:, None]
    x[~mask] = 0.0
    held = [*model.weights.values(), x]
    (expected,) = reference.run(layers, held[:-1], x, mask)
    output, tape = model.forward(np.where(mask[..., None], x, np.nan) if not before else x, mask=mask, record=True)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)
    cotangent = random.normal(size=output.shape)
    gradients = model.backward(tape, cotangent)
    along = [random.normal(size=array.shape) for array in held]
    along[-1][~mask] = 0.0
    found = sum(float(np.sum(g * d)) for g, d in zip([*gradients.weights.values(), gradients.inputs["x"]], along, strict=True))
    *moved, moved_x = [array + 1j * reference.STEP * direction for array, direction in zip(held, along, strict=True)]
    (moved_output,) = reference.run(layers, moved, moved_x, mask)
    assert found == pytest.approx(float(np.sum(moved_output.imag * cotangent)) / reference.STEP, rel=1e-9, abs=1e-10)


def test_a_sample_without_a_window_has_no_real_step() -> None:
    """Alone as in company, and in a batch that has no other."""
    model = compiled([{**WINDOWS["valid-dilation_2"], **CARRY}, make("GRU", units=3, return_sequences=True), make("GlobalMaxPooling1D")])
    short, long = np.ones((4, 3), np.float32), np.ones((6, 3), np.float32)
    together = model.predict([short, long])
    np.testing.assert_array_equal(together[0], np.zeros(3))
    assert together[1].any()
    np.testing.assert_array_equal(model.predict([short]), together[:1])
    np.testing.assert_array_equal(model.predict(short[None]), together[:1])
    assert compiled([{**WINDOWS["valid-dilation_2"], **CARRY}]).predict(short[None]).shape == (1, 0, 4)


def test_windows_beside_other_steps_are_not_fewer_than_none() -> None:
    """The length of a join is a sum, which a length below 0 would be missing from."""
    text = "model M { input x: float[time, 3]\n y = x -> Conv1D(3, 3, carry_mask = true)\n [x, y] -> Concatenate(axis = 1) }"
    model = rnnspec.compile(text, seed=0)
    assert model.predict(np.ones((1, 3, 3))).shape == (1, 4, 3)
    with pytest.raises(ValueError, match="input x: expected at least 3 steps, a window needs them, got 1"):
        model.predict(np.ones((1, 1, 3)))


STACKS = {
    "LSTM": [make("LSTM", units=3)],
    "Bidirectional": [make("Bidirectional", of=make("GRU", units=2, return_sequences=True)), make("GlobalAveragePooling1D")],
    "pooling": [make("MaxPooling1D", pool_size=2, **CARRY), make("GlobalMaxPooling1D"), make("Dense", units=2)],
    "normalized": [make("LayerNormalization"), make("Conv1D", filters=2, kernel_size=2, strides=2, **CARRY), make("GRU", units=2)],
}


@pytest.mark.parametrize("name", STACKS)
def test_masked_words_through_a_stack(name: str) -> None:
    """Embedding(mask_zero) in front: padded with 0, alone and in company, and trained."""
    layers = [make("Embedding", input_dim=9, output_dim=4, mask_zero=True), {**WINDOWS["same-strides_2"], **CARRY}, *STACKS[name]]
    model = compiled(layers, "int[time]")
    random = np.random.default_rng(3)
    words = [random.integers(1, 9, length).astype(np.int32) for length in LENGTHS]
    x = np.zeros((len(words), STEPS), np.int32)
    for row, sample in enumerate(words):
        x[row, : len(sample)] = sample
    together = model.predict(x)
    np.testing.assert_array_equal(model.predict(words), together)
    for row, sample in enumerate(words):
        np.testing.assert_array_equal(model.predict(sample[None])[0], together[row])
    model.configure(loss="mse", optimizer="Adam")
    y = random.normal(size=together.shape)
    losses = model.fit(words, y, epochs=8, batch_size=3, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    again = compiled(layers, "int[time]")
    again.configure(loss="mse", optimizer="Adam")
    assert again.fit(x, y, epochs=8, batch_size=3, shuffle=False, verbose=0).history["loss"] == losses


@pytest.mark.parametrize("name", ["valid", "same-strides_2", "causal-dilation_2"])
def test_a_loss_counts_the_real_windows(name: str) -> None:
    """Targets as lists, one for each window that a sample has alone, and padded: one loss."""
    layers = [{**WINDOWS[name], **CARRY}, make("Dense", units=2)]
    given = [sample for sample in samples() if len(sample) > 2]
    model = compiled(layers, dtype="float64")
    model.configure(loss="mse", optimizer="SGD")
    alone = [model.predict([sample])[0] for sample in given]
    random = np.random.default_rng(4)
    y = [output + random.normal(size=output.shape) for output in alone]
    expected = np.mean(np.concatenate([np.mean((output - target) ** 2, axis=1) for output, target in zip(alone, y, strict=True)]))
    assert model.evaluate(given, y)["loss"] == pytest.approx(expected, rel=1e-9)
    assert model.evaluate(given, y, batch_size=2)["loss"] == pytest.approx(expected, rel=1e-9)
    x, mask = padded(given)
    targets = np.full((len(given), model.predict(x, mask=mask).shape[1], 2), np.nan)
    for row, target in enumerate(y):
        targets[row, : len(target)] = target
    assert model.evaluate(x, targets, mask=mask)["loss"] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match=f"targets, sample 0: expected {len(y[0])} steps, got {len(y[0]) + 1}"):
        model.evaluate(given, [np.zeros((len(y[0]) + 1, 2)), *y[1:]])


def test_targets_of_windows_over_reversed_steps_are_padded() -> None:
    """They begin at a sample's end, and so stand where it ends."""
    model = compiled([make("GRU", units=2, return_sequences=True, go_backwards=True), {**WINDOWS["valid"], **CARRY}], dtype="float64")
    model.configure(loss="mse", optimizer="SGD")
    given = [sample for sample in samples() if len(sample) > 2]
    outputs = model.predict(given)
    losses = {size: model.evaluate(given, np.zeros_like(outputs), batch_size=size)["loss"] for size in (1, 2, 5)}
    assert len({f"{loss:.12f}" for loss in losses.values()}) == 1
    with pytest.raises(ValueError, match="expected 7 steps as in the padded inputs, got 3"):
        model.evaluate(given, [np.zeros((len(sample) - 2, 4)) for sample in given])


def test_windows_of_several_ways_meet_again() -> None:
    """Two ways with different windows, the steps between and the sequence itself: real where one of them is."""
    text = """model M {{ input x: float[time, 3]
    a = x -> Conv1D(3, 3, padding = same{0})
    b = x -> Conv1D(3, 2, padding = causal{0})
    c = [a, b, x] -> Add()
    [a, c] -> Concatenate(axis = 1) -> MaxPooling1D(2{0}) -> GRU(2)
    }}"""
    model = rnnspec.compile(text.format(", carry_mask = true"), seed=0)
    given = samples()
    together = model.predict(given)
    x, mask = padded(given)
    np.testing.assert_array_equal(model.predict(x, mask=mask)[[2]], model.predict(x[2:3], mask=mask[2:3]))
    whole = [sample for sample in given if len(sample) == 9]
    np.testing.assert_array_equal(model.predict(whole), together[[2]])
    plain = rnnspec.compile(text.format(""), seed=0)
    np.testing.assert_array_equal(plain.predict(whole), together[[2]])


def test_many_ways_through_many_windows_are_walked_once() -> None:
    """Two ways in each of 40 layers make 2 ** 40 ways through them."""
    ways = "\n".join(f"a{k} = x{k} -> Conv1D(2, 2, padding = same, carry_mask = true)\n"
                     f"b{k} = x{k} -> Conv1D(2, 3, padding = same, carry_mask = true)\n"
                     f"x{k + 1} = [a{k}, b{k}] -> Add()" for k in range(40))  # fmt: skip
    text = f"model M {{ input x0: float[time, 2]\n{ways}\nx40 -> GRU(2) }}"
    graph = resolve(source_files.parse_all(SourceFile.of_text(text))[0], {})
    assert graph == resolve(source_files.parse_all(SourceFile.of_text(text))[0], {})
    assert len(list(sequences(graph))) == 1 + 3 * 40


def test_a_gradient_passes_windows_without_a_real_step() -> None:
    model = compiled([{**WINDOWS["max-same"], **CARRY}])
    x = np.full((2, 7, 3), np.nan, np.float32)
    x[1, 3] = 5.0
    mask = np.isfinite(x[..., 0])
    output, tape = model.forward(x, mask=mask, record=True)
    gradient = model.backward(tape, np.ones_like(output)).inputs["x"]
    np.testing.assert_array_equal(gradient.sum(axis=(0, 2)), [0, 0, 0, 3, 0, 0, 0])
    np.testing.assert_array_equal(output[1].sum(axis=-1), [0, 15, 0, 0])


@pytest.mark.parametrize("name", ["same", "max-same", "pad", "pad-end", "crop"])
def test_a_sample_without_a_step_is_the_same_alone(name: str) -> None:
    """In an array of no steps, whether it has a mask or not, it has no windows, as beside others and with all its steps masked."""
    model = compiled([{**WINDOWS[name], **CARRY}, {**GRU, "bias_initializer": "ones"}])
    beside = model.predict([np.zeros((0, 3)), np.ones((5, 3))])[:1]
    empty = np.zeros((1, 0, 3))
    alone = [model.predict(empty) for _ in range(3)]
    told = [model.predict(empty, lengths=[0]), model.predict(empty, mask=np.zeros((1, 0), bool)), model.predict([np.zeros((0, 3))])]
    masked = model.predict(np.ones((1, 4, 3)), lengths=[0])
    for found in (*alone, *told, masked):
        np.testing.assert_array_equal(found, beside)


def test_targets_of_a_sample_without_a_step() -> None:
    """It has as many as it has windows: none, though padding makes steps of every other sample's ends."""
    model = compiled([make("ZeroPadding1D", padding=[2, 0], **CARRY), {**GRU, "return_sequences": True}, make("Dense", units=1)])
    model.configure(loss="mse")
    x = [np.zeros((0, 3)), np.ones((4, 3))]
    assert [len(real) for real in model.predict_classes(x)] == [0, 6]
    assert np.isfinite(model.evaluate(x, [np.zeros((0, 1)), np.zeros((6, 1))])["loss"])
    with pytest.raises(ValueError, match="sample 0: expected 0 steps, got 2"):
        model.evaluate(x, [np.zeros((2, 1)), np.zeros((6, 1))])
