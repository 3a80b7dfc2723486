"""Weights of Keras's models, taken over as the language's page says: the model then gives what Keras's gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnspec
from rnnspec.interop.keras import weights_for
from tests.docs.markdown import blocks
from tests.keras_names import FEATURES, value, values_in

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "fixtures" / "keras" / "names_of_weights.json").read_text())
(SNIPPET,) = (block.text for block in blocks("python") if "keras_model.weights" in block.text)


@dataclass(frozen=True)
class Weight:
    """What is looked at of one of Keras's."""

    path: str
    array: NDArray[np.float64]

    def numpy(self) -> NDArray[np.float64]:
        return self.array


@dataclass(frozen=True)
class KerasModel:
    weights: list[Weight]


def model_of(layers: str, *, integer: bool = False) -> Any:
    of = "int[time]" if integer else f"float[time, {FEATURES}]"
    return rnnspec.compile(f"model M {{ input x: {of} {layers} }}", dtype="float64")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_snippet_of_the_page_takes_them_over(case: dict[str, Any]) -> None:
    model = model_of(case["spec"], integer=case["integer"])
    weights = [Weight(path, value(path, tuple(shape), place)) for place, (path, shape) in enumerate(case["weights"])]
    exec(SNIPPET, {"model": model, "keras_model": KerasModel(weights)})
    np.testing.assert_allclose(model.predict(values_in(integer=case["integer"])), case["output"], rtol=1e-9)


def paths(*given: str) -> list[Weight]:
    return [Weight(path, np.full(2, place)) for place, path in enumerate(given)]


def test_layers_that_are_not_in_both() -> None:
    for other in ("lstm/lstm_cell/kernel", "gru_x/kernel", "kernel"):
        with pytest.raises(ValueError, match=r"^the layers with weights are gru, dense; in Keras they are "):
            weights_for(["gru/kernel", "dense/kernel"], paths("sequential/gru/gru_cell/kernel", other))
    with pytest.raises(ValueError, match=r"^the layers with weights are gru, gru_1; in Keras they are gru_1, gru_2, gru_3$"):
        weights_for(["gru/kernel", "gru_1/kernel"], paths("gru_1/kernel", "gru_2/kernel", "gru_3/kernel"))


def test_weights_that_are_not_in_both() -> None:
    for other in ("gru/gru_cell/recurrent_kernel", "gru/gru_cell/kernel"):
        with pytest.raises(ValueError, match=r"^the weights gru/kernel, gru/bias are gru/gru_cell/kernel, gru/gru_cell/\w+ in Keras$"):
            weights_for(["gru/kernel", "gru/bias"], paths("gru/gru_cell/kernel", other))


def test_names_go_before_numbers() -> None:
    found = weights_for(["a_2/kernel", "a_1/kernel"], paths("net/a_1/kernel", "net/a_2/kernel"))
    assert {name: array[0] for name, array in found.items()} == {"a_1/kernel": 0, "a_2/kernel": 1}
    found = weights_for(["a/kernel", "a_1/kernel"], paths("a_10/kernel", "a_9/kernel"))
    assert {name: array[0] for name, array in found.items()} == {"a/kernel": 1, "a_1/kernel": 0}
