"""`checkpoint`: gradients bit for bit those without, whatever the model, the mask, the interval and the number of threads."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec import Tuning
from rnnspec.diagnostics import SpecError
from rnnspec.training.model import Model
from tests.specs import LEAKY

Array = NDArray[Any]

SAMPLES, TIME = 5, 13
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(SAMPLES, TIME, 3)).astype(np.float32)
IDS = RANDOM.integers(1, 11, (SAMPLES, TIME)).astype(np.int32)
FLOWS = {
    "LSTM": "LSTM(9)\nDense(2)",
    "every step": "GRU(5, return_sequences = true)\nDense(2, kernel_regularizer = l2(0.1))",
    "own cell": "Leaky(5, return_sequences = true)\nDense(2)",
    "a stack": "LSTM(4, return_sequences = true)\nLayerNormalization()\nDropout(0.3)\n"
    "RNN([GRU(3), LSTM(4)], return_sequences = true)\nDense(2)",
    "dropout": "GRU(4, dropout = 0.3, recurrent_dropout = 0.2, return_sequences = true)\nLSTM(3, recurrent_dropout = 0.2)",
    "both directions": "Bidirectional(LSTM(4, return_sequences = true))\nBidirectional(GRU(3), merge_mode = sum)\nDense(2)",
    "backwards": "GRU(4, go_backwards = true, return_sequences = true)\nSimpleRNN(3)",
    "states handed on": "s, h, c = x -> LSTM(4, return_sequences = true, return_state = true)\n"
    "t = s -> LSTM(4, return_sequences = true, initial_state = [h, c])\nt -> Dense(2)",
    "attention": "s = LSTM(3, return_sequences = true)\n[s, s] -> Attention()\nGRU(2, return_sequences = true)",
    "convolution": "Conv1D(4, 3)\nLSTM(4, return_sequences = true)\nGlobalMaxPooling1D()\nDense(2)",
    "normalized": "LSTM(4, return_sequences = true)\nBatchNormalization()\nGRU(3)",
    "one layer twice": "shared same = GRU(3, return_sequences = true)\na = x -> same\nb = a -> same\nb -> Dense(2)",
    "two outputs": "s = GRU(3, return_sequences = true)\na = s -> LSTM(2)\nb = s -> Dense(2)\noutput a, b",
    "activity": "LSTM(3, return_sequences = true, activity_regularizer = l2(0.1))\nDense(2)",
}
MASKS = {"all": None, "lengths": np.arange(TIME) < np.array([13, 7, 1, 10, 4])[:, None], "holes": RANDOM.random((SAMPLES, TIME)) < 0.6}


def compiled(flow: str, settings: str = "", source: str = "float[time, 3]", dtype: str = "float32") -> Model:
    train = f"train {{ loss = mse  optimizer = Adam(learning_rate = 0.05)  {settings} }}"
    return rnnspec.compile(f"{LEAKY}\nmodel M {{ input x: {source}\n{flow}\n{train} }}", seed=1, dtype=dtype)


def targets(model: Model, x: Array) -> Any:
    shown = model.predict(x)
    return [np.full(each.shape, 0.3) for each in shown] if isinstance(shown, tuple) else np.full(shown.shape, 0.3)


def trained(model: Model, x: Array, mask: Array | None = None) -> list[Any]:
    """The losses of three updates, and the weights after them: the gradients' bits, by way of Adam."""
    y = targets(model, x)
    return [model.train_on_batch(x, y, mask=mask) for _ in range(3)] + [weight.tobytes() for weight in model.get_weights()]


@pytest.mark.parametrize(("flow", "mask"), [*((flow, "lengths") for flow in FLOWS), ("LSTM", "all"), ("both directions", "holes")])
@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")
def test_updates_have_the_same_bits(flow: str, mask: str) -> None:
    """In segments of 4 steps: three whole ones and a rest."""
    plain, checked = compiled(FLOWS[flow]), compiled(FLOWS[flow])
    checked.configure(checkpoint=4)
    assert trained(checked, X, MASKS[mask]) == trained(plain, X, MASKS[mask])


@pytest.mark.parametrize("steps", [1, 3, 99])
def test_any_number_of_steps_will_do(steps: int) -> None:
    """Odd ones too, behind which a state is in the other one of its two buffers."""
    expected = trained(compiled(FLOWS["LSTM"]), X, MASKS["lengths"])
    assert trained(compiled(FLOWS["LSTM"], f"checkpoint = {steps}"), X, MASKS["lengths"]) == expected


@pytest.mark.parametrize(("flow", "samples"), [("LSTM", 1), ("both directions", SAMPLES)])
def test_threads_change_no_bit(flow: str, samples: int) -> None:
    """A single row is shared by its units, several by rows."""
    wide = FLOWS[flow].replace("(4", "(40").replace("(9", "(90")
    models = [compiled(wide), compiled(wide)]
    for model, threads in zip(models, (1, 3), strict=True):
        model.tuning = Tuning(least_saved_operations=0, spin_limit=1 << 40)
        model.threads = threads
        if threads > 1:
            model.configure(checkpoint=3)
    mask = MASKS["lengths"][:samples] if MASKS["lengths"] is not None else None
    first, second = (trained(model, X[:samples], mask) for model in models)
    assert second == first


def test_words_and_float64() -> None:
    flow = "Embedding(11, 4, mask_zero = true)\nBidirectional(LSTM(3))\nDense(2)"
    ids = np.where(MASKS["lengths"], IDS, 0) if MASKS["lengths"] is not None else IDS
    plain, checked = (compiled(flow, each, "int[time]", "float64") for each in ("", "checkpoint = 5"))
    assert trained(checked, ids) == trained(plain, ids)


def test_no_step_at_all() -> None:
    plain, checked = compiled(FLOWS["LSTM"]), compiled(FLOWS["LSTM"], "checkpoint = 2")
    for x, mask in ((X[:, :0], None), (X, np.zeros((SAMPLES, TIME), bool))):
        assert trained(checked, x, mask) == trained(plain, x, mask)


def test_beside_truncation_and_states_of_layers() -> None:
    """Parts of 8 steps, each in segments of 3; and stateful layers, from call to call."""
    flow = FLOWS["every step"]
    assert trained(compiled(flow, "truncate = 8  checkpoint = 3"), X) == trained(compiled(flow, "truncate = 8"), X)
    flow = "LSTM(4, stateful = true, return_sequences = true)\nDense(2)"
    assert trained(compiled(flow, "checkpoint = 3"), X) == trained(compiled(flow), X)


def test_fit_and_copies_go_by_it() -> None:
    """And what the spec says can be taken back."""
    model = compiled(FLOWS["LSTM"], "checkpoint = 4  shuffle = false")
    text = model.inspect("kernel.backward")
    assert "segments of 4 steps by index.offsets" in text
    assert "checkpoint = 4" in model.inspect("tensor.backward")
    y = targets(model, X)
    models = [copy.deepcopy(model), compiled(FLOWS["LSTM"], "shuffle = false")]
    model.configure(checkpoint=0)
    losses = [each.fit(X, y, batch_size=2, epochs=2, verbose=False).history["loss"] for each in (*models, model)]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("wrong", [-1, 2.5, "4", True])
def test_another_interval_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="checkpoint: expected a whole number"):
        compiled(FLOWS["LSTM"]).configure(checkpoint=wrong)
    with pytest.raises(SpecError):
        compiled(FLOWS["LSTM"], "checkpoint = -1")
