"""A row's loss and its gradient are the same to the bit whatever rows stand beside it, with any padding, in any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

import rnnspec
from rnnspec import Tuning
from rnnspec.contract.executable import CallRequest, Executable
from rnnspec.contract.packing import pack
from rnnspec.training.losses import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from tests.property.test_drawn_losses import OUTPUT, Case, drawn_cases
from tests.thorough import examples

Array = NDArray[Any]
ALL_COME = Tuning(least_saved_operations=0, spin_limit=1 << 40, barrier_ticks=1 << 40)


def results(case: Case, native: Executable, prediction: Array, target: Array, real: Array) -> list[Array]:
    """Each row's loss, the metrics' numbers, and the gradient of the sum of both by the predictions; float32."""
    flat = np.zeros(0, np.float32)
    inputs, targets = {"p": prediction.astype(np.float32)}, {OUTPUT: target.astype(np.float32)}
    indices = (pack(real),) if case.drawn.sequence else ()
    given_rows, tape = native.record(CallRequest(inputs, indices, flat, 0, True, objective=case.objective, targets=targets))
    _, found = native.backward(tape, [np.ones_like(rows) for rows in given_rows], flat, 0, input_gradients=True)
    return [*given_rows, found["p"]]


@settings(max_examples=examples(10, 40), suppress_health_check=[HealthCheck.too_slow])
@given(drawn_cases())
def test_batch_mates_and_padding_change_no_bit(case: Case) -> None:
    """Each sample alone, its real steps moved apart by masked ones, in which predictions and targets are no numbers."""
    native = rnnspec.compile(case.drawn.spec, dtype="float32")._executable  # pyright: ignore[reportPrivateUsage]
    whole = results(case, native, case.prediction, case.target, case.real)
    random = np.random.default_rng(len(case.drawn.text))
    for row in range(len(case.prediction)):
        steps: Any = np.flatnonzero(case.real[row]) if case.drawn.sequence else slice(None)
        places, prediction, target, real = steps, case.prediction[row : row + 1], case.target[row : row + 1], case.real[row : row + 1]
        if case.drawn.sequence:
            time = len(steps) + int(random.integers(1, 5))
            places = np.sort(random.permutation(time)[: len(steps)])
            prediction, target = (np.full((1, time, each.shape[-1]), np.nan) for each in (case.prediction, case.target))
            prediction[0, places], target[0, places] = case.prediction[row, steps], case.target[row, steps]
            real = np.isin(np.arange(time), places)[None]
        for alone, together in zip(results(case, native, prediction, target, real), whole, strict=True):
            assert (
                alone[0, places].tobytes() == together[row, steps].tobytes()
                if case.drawn.sequence
                else np.array_equal(alone[0], together[row])
            )


@pytest.mark.parametrize(
    ("layer", "loss"),
    [
        ("Dense(70, activation = softmax)", "sparse_categorical_crossentropy"),
        ("Dense(70)", SparseCategoricalCrossentropy(from_logits=True)),
        ("Dense(1500)", CategoricalCrossentropy(from_logits=True)),
        ("Dense(9, activation = sigmoid)", BinaryCrossentropy()),
        ("Dense(33)", "huber"),
    ],
    ids=lambda each: each if isinstance(each, str) and each.startswith("Dense") else "",
)
def test_threads_change_no_bit_of_training(layer: str, loss: Any) -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(7, 8, 5)).astype(np.float32)
    mask = random.random((7, 8)) < 0.7
    spec = f"model Case {{ input x: float[time, 5] GRU(6, return_sequences = true) {layer} }}"

    def trained(number: int) -> bytes:
        model = rnnspec.compile(spec, seed=3)
        model.configure(loss=loss, optimizer="adam", metrics=["mean_squared_error"] if loss == "huber" else ["accuracy"])
        model.threads, model.tuning = number, ALL_COME
        width = model.signature.outputs[0].shape[-1]
        assert isinstance(width, int)
        sparse = "sparse" in str(loss).lower()
        y = (
            np.random.default_rng(5).integers(0, width, (7, 8))
            if sparse
            else np.eye(width)[np.random.default_rng(5).integers(0, width, (7, 8))]
        )
        told = [value for _ in range(3) for value in model.train_on_batch(x, y, mask=mask, return_dict=True).values()]
        return b"".join([np.array(told).tobytes(), *(weight.tobytes() for weight in model.get_weights())])

    expected = trained(1)
    assert all(trained(number) == expected for number in (2, 5))
