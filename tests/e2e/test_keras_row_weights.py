"""Sample weights, class weights and weighted metrics against Keras 3.15: every logged number under Keras's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.training.optimizers import SGD
from tests.keras_cases import Case, load

CASES = load("weights")
BATCH = 4


def made(case: Case) -> Any:
    model = rnnspec.compile(case.about["spec"], dtype="float64")
    assert list(model.weights) == case.about["weights"]
    model.set_weights(case.listed("weight"))
    model.configure(optimizer=SGD(learning_rate=0.1), **case.about["settings"])
    return model


def given(case: Case) -> tuple[NDArray[np.float64], dict[str, Any], dict[str, Any], dict[int, float] | None]:
    """Inputs, targets, sample weights and class weights."""
    y = {name: values.astype(int) if name == "word" and case.about["sparse"] else values for name, values in case.named("y").items()}
    weights = case.named("sample_weight")
    if len(y) == 1:  # the layer that a single output comes from has its name from the spec
        y, weights = ({"word": next(iter(of.values()), None)} for of in (y, weights))
    of_classes = {int(key): value for key, value in case.about["class_weight"]} or None
    return case.arrays["x"], y, {"sample_weight": weights if any(each is not None for each in weights.values()) else None}, of_classes


def close(found: Mapping[str, float], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_batches_and_evaluation_as_in_keras(case: Case) -> None:
    """Three updates, then a batch that is tested, and the mean over batches of 4, 4 and 3."""
    model = made(case)
    x, y, weight, of_classes = given(case)
    for step in range(len(case.arrays["log/loss"])):
        logs = model.train_on_batch(x, y, **weight, class_weight=of_classes, return_dict=True)
        close(logs, {name: values[step] for name, values in case.named("log").items()})
        assert sorted(logs) == sorted(case.about["logged"])
    for name, values in zip(case.about["weights"], case.listed("after"), strict=True):
        np.testing.assert_allclose(model.weights[name], values, rtol=0.0, atol=1e-9 * np.abs(values).max(), err_msg=name)
    tested = model.test_on_batch(x, y, **weight, return_dict=True)
    assert sorted(tested) == sorted(case.named("tested"))
    close(tested, case.named("tested"))
    close(model.evaluate(x, y, batch_size=BATCH, **weight), case.named("evaluated"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_batchs_list_is_in_keras_order(case: Case) -> None:
    """Where a metric is in both lists, Keras's list has the unweighted one twice, and the other one at the end."""
    model = made(case)
    x, y, weight, of_classes = given(case)
    for _ in case.arrays["log/loss"]:
        model.train_on_batch(x, y, **weight, class_weight=of_classes)
    expected = case.arrays["listed"].tolist()
    plain, weighted = (case.about["settings"].get(name, []) for name in ("metrics", "weighted_metrics"))
    for twice in {*plain} & {*weighted} if len(case.named("y")) == 1 else ():
        del expected[1 + len(plain) + weighted.index(twice)]
    assert model.test_on_batch(x, y, **weight) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if "history/loss" in case.arrays], ids=lambda case: case.name)
def test_epochs_and_validation_as_in_keras(case: Case) -> None:
    """Class weights count in training alone; sample weights come with the validation data."""
    model = made(case)
    x, y, weight, of_classes = given(case)
    held_out = (x, y, weight["sample_weight"])
    options: dict[str, Any] = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": False, "validation_data": held_out}
    history = model.fit(x, y, **weight, class_weight=of_classes, **options).history
    assert sorted(history) == sorted(case.named("history"))
    for name, values in case.named("history").items():
        np.testing.assert_allclose(history[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
