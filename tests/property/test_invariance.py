"""A sample's result is the same to the bit whatever batch it is in, however much padding it carries, whatever else runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings

import rnnspec
from tests.property.drawing import Drawn, drawn_models, windowed_models
from tests.specs import spec
from tests.thorough import examples


def real_steps(drawn: Drawn) -> np.ndarray:
    """The steps that count, (batch, time): by the caller's mask and by the layers'."""
    real = np.ones(drawn.x.shape[:2], bool) if drawn.mask is None else drawn.mask
    first = drawn.layers[0]
    if first.get("mask_zero"):
        real = real & (drawn.x != 0)
    if first["layer"] == "Masking":
        real = real & (drawn.x != 0).any(axis=-1)
    return real


@settings(max_examples=examples(7, 15))
@given(drawn_models())
def test_batch_mates_padding_and_threads_change_no_bit(drawn: Drawn) -> None:
    """Each sample alone, its real steps moved apart by new masked ones, against the whole batch; and the batch again in threads."""
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float32", seed=drawn.seed)
    x = drawn.x.astype(np.float32) if drawn.x.dtype.kind == "f" else drawn.x
    whole = model.forward(x, mask=drawn.mask)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: model.forward(x, mask=drawn.mask), range(8)))
    assert all(np.array_equal(other, whole, equal_nan=True) for other in again)

    random = np.random.default_rng(drawn.seed)
    real = real_steps(drawn)
    backwards = any(layer.get("go_backwards") and layer.get("return_sequences") for layer in drawn.layers)
    for row in range(len(x)):
        steps = np.flatnonzero(real[row])
        time = len(steps) + int(random.integers(1, 5))
        places = np.sort(random.permutation(time)[: len(steps)])
        padded = np.zeros((1, time, *x.shape[2:]), x.dtype)
        padded[0, places] = x[row, steps]
        if x.dtype.kind == "f":
            padded[0, np.setdiff1d(np.arange(time), places)] = np.nan
        mask = np.zeros((1, time), bool)
        mask[0, places] = True
        alone = model.forward(padded, mask=mask)[0]
        if whole.ndim == 2:
            assert np.array_equal(alone, whole[row]), f"sample {row}"
        elif not backwards:
            assert np.array_equal(alone[places], whole[row, steps]), f"sample {row}"


@settings(max_examples=examples(7, 15))
@given(windowed_models())
def test_what_stands_around_a_sample_changes_no_bit_of_its_windows(drawn: Drawn) -> None:
    """Each sample alone, without its padding and with more of it before and behind; and the gradient of its steps."""
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float32", seed=drawn.seed)
    assert drawn.mask is not None
    x = drawn.x.astype(np.float32) if drawn.x.dtype.kind == "f" else drawn.x
    whole, tape = model.forward(x, mask=drawn.mask, record=True)
    of_input = model.backward(tape, np.cos(whole)).inputs.get("x")
    for row, present in enumerate(drawn.mask):
        count = int(np.flatnonzero(present)[-1]) + 1
        for before, behind in ((0, 0), (0, 3), (1, 0), (2, 1), (5, 2)):
            padded = np.full((1, before + count + behind, *x.shape[2:]), 0 if x.dtype.kind == "i" else np.nan, x.dtype)
            mask = np.zeros(padded.shape[:2], bool)
            mask[0, before : before + count] = present[:count]
            padded[0, mask[0]] = x[row, :count][present[:count]]
            alone, own_tape = model.forward(padded, mask=mask, record=True)
            assert np.array_equal(alone[0], whole[row]), f"sample {row}, {before} before, {behind} behind"
            if of_input is not None:
                gradient = model.backward(own_tape, np.cos(alone)).inputs["x"][0, before : before + count]
                np.testing.assert_allclose(gradient, of_input[row, :count], rtol=1e-5, atol=1e-6)


@settings(max_examples=examples(5, 10))
@given(drawn_models())
def test_threads_change_no_bit_of_a_gradient(drawn: Drawn) -> None:
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float32", seed=drawn.seed)
    x = drawn.x.astype(np.float32) if drawn.x.dtype.kind == "f" else drawn.x
    output, tape = model.forward(x, mask=drawn.mask, record=True)
    expected = model.backward(tape, output)

    def another(_: int) -> bool:
        own_output, own_tape = model.forward(x, mask=drawn.mask, record=True)
        gradients = [model.backward(each, own_output) for each in (own_tape, tape)]
        return all(
            np.array_equal(values, found, equal_nan=True)
            for given in gradients
            for values, found in zip(
                [*expected.weights.values(), *expected.inputs.values()], [*given.weights.values(), *given.inputs.values()], strict=True
            )
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(another, range(8)))


@settings(max_examples=examples(4, 8))
@given(drawn_models())
def test_the_number_of_threads_that_share_a_call_changes_no_bit(drawn: Drawn) -> None:
    model = rnnspec.compile(spec(drawn.layers, drawn.of_input), dtype="float32", seed=drawn.seed)
    x = drawn.x.astype(np.float32) if drawn.x.dtype.kind == "f" else drawn.x
    model.tuning = rnnspec.Tuning(least_saved_operations=0, spin_limit=1 << 40)

    def results(number: int) -> list[np.ndarray]:
        model.threads = number
        output, tape = model.forward(x, mask=drawn.mask, record=True)
        gradients = model.backward(tape, np.cos(output))
        assert model.threads_used == number or number == 1
        return [model.forward(x, mask=drawn.mask), output, *gradients.weights.values(), *gradients.inputs.values()]

    alone = results(1)
    for number in (2, 3):
        assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(alone, results(number), strict=True))
