"""Updates of a large table that wait until its rows are read: the same bits as those that are made at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import rnnspec
from rnnspec import Tuning
from rnnspec.contract.executable import Array, Formula, NativeUpdate
from rnnspec.contract.tuning import DEFAULT_TUNING
from rnnspec.driver.compilation import Compilation
from rnnspec.runtime.model.weights import Parameters
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD, Adagrad, Adam, AdamW, Ftrl, Lamb, Lion, Muon, Nadam, Optimizer, RMSprop
from rnnspec.training.schedules import CosineDecayRestarts

WORDS = 3000
TEXT = """
model Text(width) {
  input x: int[time]
  Embedding(3000, width, mask_zero = true)
  Bidirectional(LSTM(3))
  Dense(1)
}
"""
SHARED = """
model Shared {
  input x: int[6]
  input z: int[6]
  shared words = Embedding(3000, 12, mask_zero = true)
  a = x -> words -> Flatten()
  b = z -> words -> Flatten()
  [a, b] -> Concatenate() -> Dense(1)
}
"""
BAG = """
model Bag {
  input x: int[time]
  Embedding(3000, 11)
  GlobalAveragePooling1D()
  Dense(1)
}
"""
WHOLE = """
model Whole {
  input x: int[time]
  Embedding(3000, 11%s)
  GlobalAveragePooling1D()
  Dense(1)
}
"""

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(learning_rate=0.01),
    "amsgrad": Adam(learning_rate=0.01, amsgrad=True),
    "sgd": SGD(learning_rate=0.1),
    "momentum": SGD(learning_rate=0.1, momentum=0.9),
    "nesterov": SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(),
    "rmsprop, centered, momentum": RMSprop(momentum=0.9, centered=True),
    "rmsprop, momentum": RMSprop(momentum=0.9),
    "adagrad": Adagrad(learning_rate=0.1),
    "ftrl": Ftrl(learning_rate=0.1),
    "lion": Lion(learning_rate=0.01),
    "nadam": Nadam(learning_rate=0.01),
    "a schedule": Adam(CosineDecayRestarts(0.1, 7, m_mul=0.5)),
}


LATE, AT_ONCE = Tuning(large_table=WORDS), Tuning(large_table=10**9)


def made(spec: str, optimizer: Optimizer, dtype: str = "float32", tuning: Tuning = DEFAULT_TUNING, **parameters: int) -> Model:
    model = rnnspec.compile(spec, seed=1, dtype=dtype, tuning=tuning, **parameters)
    model.configure(loss="mse", optimizer=optimizer.fresh())
    return model


def parameters_of(model: Model) -> Parameters:
    return cast(Parameters, vars(model)["_parameters"])


def as_it_lies(model: Model) -> Array:
    """The flat weights with what is owed to them."""
    return parameters_of(model).read(lambda flat, _: flat.copy(), flushed=False)


def waits(model: Model) -> bool:
    before = as_it_lies(model)
    model.get_weights()
    return before.tobytes() != as_it_lies(model).tobytes()


def ids(random: np.random.Generator, rows: int = 4, time: int = 9) -> Array:
    drawn = np.exp(random.random((rows, time)) * np.log(WORDS)).astype(np.int32)
    drawn[0, time // 2 :] = 0
    return drawn


def bits(arrays: list[Array]) -> list[bytes]:
    return [array.tobytes() for array in arrays]


@pytest.mark.every(2)
@pytest.mark.parametrize(("dtype", "width"), [("float32", 50), ("float64", 27)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_late_updates_are_those_made_at_once_bit_for_bit(name: str, dtype: str, width: int, tmp_path: Path) -> None:
    def run(late: bool) -> tuple[list[object], bool]:
        tuning = LATE if late else AT_ONCE
        random = np.random.default_rng(0)
        model = made(TEXT, OPTIMIZERS[name], dtype, tuning, width=width)
        seen: list[object] = []
        waited = False
        for step in range(60):
            x, y = ids(random), random.normal(size=(4, 1))
            seen.append(model.train_on_batch(x, y))
            match step % 12:
                case 3:
                    waited |= waits(model)
                case 5:
                    seen.append(model.predict(x).tobytes())
                case 7:
                    seen.append(model.evaluate(x, y))
                case 9:
                    model.save(tmp_path / "model")
                    seen += bits(rnnspec.load(tmp_path / "model").get_weights())
                case 10:
                    model.set_weights([weight * 1.01 for weight in model.get_weights()])
                case 11:
                    history = model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y), verbose=False, seed=step)
                    seen.append(history.history)
                case _:
                    pass
        return [*seen, *bits(model.get_weights())], waited

    late, waited = run(True)
    at_once, not_waited = run(False)
    assert late == at_once
    assert waited == (name not in ("sgd", "rmsprop", "adagrad")), "a step without a gradient moves what has a moment"
    assert not not_waited


@pytest.mark.filterwarnings(r"ignore:warning\[W0201\]:rnnspec.diagnostics.SpecWarning")
def test_a_table_that_several_inputs_are_looked_up_in_and_masked_steps_show() -> None:
    def run(late: bool) -> list[bytes]:
        tuning = LATE if late else AT_ONCE
        random = np.random.default_rng(0)
        model = made(SHARED, Adam(learning_rate=0.01), tuning=tuning)
        for _ in range(40):
            x, z = ids(random, time=6), random.integers(1, WORDS, (4, 6))
            model.train_on_batch({"x": x, "z": z}, random.normal(size=(4, 1)))
        assert waits(model) == late
        return bits(model.get_weights())

    assert run(True) == run(False)


def test_more_steps_than_are_kept_and_moments_too_small_to_be_normal() -> None:
    def run(late: bool) -> list[bytes]:
        tuning = replace(LATE if late else AT_ONCE, late_steps=300)
        random = np.random.default_rng(0)
        model = made(BAG, Adam(beta_1=0.5, beta_2=0.6), tuning=tuning)
        for step in range(700):
            x = ids(random) if step < 10 else random.integers(1, 9, (4, 9))
            model.train_on_batch(x, random.normal(size=(4, 1)))
        return bits(model.get_weights())

    assert run(True) == run(False)


def test_a_row_that_no_batch_reads_is_not_touched_until_it_is_read() -> None:
    model = made(BAG, Adam())
    model.train_on_batch(np.full((2, 5), 7), np.ones((2, 1)))
    at = slice(7 * 11, 8 * 11)
    moved = as_it_lies(model)[at]
    for _ in range(3):
        model.train_on_batch(np.full((2, 5), 8), np.ones((2, 1)))
    assert as_it_lies(model)[at].tobytes() == moved.tobytes()
    assert not np.array_equal(model.weights["embedding/embeddings"][7], moved)


def test_a_new_optimizer_finds_what_the_old_one_owed() -> None:
    def run(late: bool) -> list[bytes]:
        tuning = LATE if late else AT_ONCE
        random = np.random.default_rng(0)
        model = made(BAG, Adam(), tuning=tuning)
        for optimizer in (Adam(), SGD(momentum=0.5), Adam()):
            for _ in range(5):
                model.train_on_batch(ids(random), random.normal(size=(4, 1)))
            model.configure(optimizer=optimizer)
        return bits(model.get_weights())

    assert run(True) == run(False)


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(clipnorm=1.0), Adam(global_clipnorm=1.0), Adam(clipvalue=1.0), AdamW(), Adam(epsilon=0.0),
        RMSprop(epsilon=0.0), SGD(weight_decay=0.1), SGD(use_ema=True), SGD(gradient_accumulation_steps=2), Adagrad(epsilon=0.0),
        Ftrl(learning_rate_power=-0.3), Ftrl(initial_accumulator_value=0.0), Lamb(), Muon(),
    ],
)  # fmt: skip
def test_what_looks_at_all_weights_is_not_late(optimizer: Optimizer) -> None:
    assert not optimizer.supports_lazy_updates


@pytest.mark.parametrize("setting", [{"clipnorm": 0.01}, {"weight_decay": 0.1}, {"nesterov": True}, {"learning_rate": 1e35}])
@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.NotFiniteWarning")
def test_a_setting_that_changes_on_the_way_holds_from_the_next_update_on(setting: dict[str, Any]) -> None:
    """Late updates are those of the settings before; with a setting that looks at all weights, none wait any more."""

    def run(late: bool) -> list[bytes]:
        random = np.random.default_rng(0)
        optimizer = SGD(0.1, momentum=0.9)
        model = made(BAG, optimizer, dtype="float64", tuning=LATE if late else AT_ONCE)
        for step in range(12):
            if step == (11 if "learning_rate" in setting else 5):  # such a rate is the end of any training
                for name, value in setting.items():
                    setattr(model.optimizer, name, value)
            model.train_on_batch(ids(random), random.normal(size=(4, 1)))
        return bits(model.get_weights())

    assert run(True) == run(False)


@pytest.mark.parametrize("option", ["", ', embeddings_regularizer = "l2"', ', embeddings_constraint = "non_neg"'])
def test_a_table_with_a_penalty_or_a_constraint_is_updated_at_once(option: str) -> None:
    model = made(WHOLE % option, Adam())
    for word in (7, 8, 9):
        model.train_on_batch(np.full((2, 5), word), np.ones((2, 1)))
    assert waits(model) == (not option)


def test_readers_see_a_moment_of_training_and_leave_it_as_it_is() -> None:
    random = np.random.default_rng(0)
    batches = [(ids(random), random.normal(size=(4, 1))) for _ in range(150)]
    shown = ids(random)

    at_once = made(BAG, Adam(), tuning=AT_ONCE)
    moments = {at_once.predict(shown).tobytes()}
    for x, y in batches:
        at_once.train_on_batch(x, y)
        moments.add(at_once.predict(shown).tobytes())

    late = made(BAG, Adam(), tuning=LATE)
    done, seen = threading.Event(), list[bytes]()

    def read() -> None:
        while not done.is_set():
            seen.append(late.predict(shown).tobytes())

    readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    for x, y in batches:
        late.train_on_batch(x, y)
    done.set()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()
    assert set(seen) <= moments
    assert bits(late.get_weights()) == bits(at_once.get_weights())


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths of the native updates that are made from now on."""
    counted: list[int] = []
    compiled = Compilation.update

    def counting(self: Compilation, formula: Formula, states: int, constants: int) -> NativeUpdate:
        update = compiled(self, formula, states, constants)

        def counted_update(pointers: Sequence[int], dims: Sequence[int]) -> None:
            counted.append(dims[1])
            update(pointers, dims)

        return counted_update

    monkeypatch.setattr(Compilation, "update", counting)
    return counted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_large_weights_that_are_no_tables_get_the_same_bits_from_native_code(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = "model Wide {\n  input x: float[150]\n  Dense(230, tanh)\n  Dense(1)\n}\n"
    x = np.random.default_rng(4).standard_normal((7, 150)).astype(dtype)
    y = np.ones((7, 1), dtype)
    counted = watched(monkeypatch)
    native = made(spec, replace(OPTIMIZERS[name]), dtype)
    plain = made(spec, replace(OPTIMIZERS[name]), dtype, Tuning(native_updates=False))
    losses = [native.train_on_batch(x, y) for _ in range(6)]
    assert counted == [150 * 230 + 230 + 230 + 1] * 6
    assert losses == [plain.train_on_batch(x, y) for _ in range(6)]
    assert len(counted) == 6
    assert as_it_lies(native).tobytes() == as_it_lies(plain).tobytes()


def test_what_looks_at_whole_weights_is_not_updated_by_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = watched(monkeypatch)
    model = made("model Wide {\n  input x: float[150]\n  Dense(230)\n}\n", AdamW())
    model.train_on_batch(np.ones((2, 150), np.float32), np.ones((2, 230), np.float32))
    assert not counted
