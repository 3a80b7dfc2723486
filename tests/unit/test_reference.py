"""The numpy oracle against Keras 3.15: it reads layers and masks as Keras does, and its gradients are exact."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.keras_cases import Case, load


def near(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-12 * max(1.0, np.abs(expected).max(initial=0.0)))


@pytest.mark.parametrize("case", [*load("recurrent"), *load("models"), *load("activations")], ids=lambda case: case.name)
def test_outputs(case: Case) -> None:
    outputs = reference.run(case.about["layers"], case.listed("weight"), case.inputs, case.mask)
    for actual, expected in zip(outputs, case.listed("output"), strict=True):
        near(actual, expected)


@pytest.mark.parametrize("name", ["SimpleRNN-return_sequences", "LSTM", "GRU-return_sequences-go_backwards", "Bidirectional-LSTM-mul"])
def test_gradients(name: str) -> None:
    (case,) = (case for case in load("recurrent") if case.name == name)
    of_weights, of_x = reference.gradients(case.about["layers"], case.listed("weight"), case.inputs, case.mask, case.listed("cotangent"))
    for actual, expected in zip(of_weights, case.listed("weight_gradient"), strict=True):
        near(actual, expected)
    assert of_x is not None
    near(of_x, case.arrays["x_gradient"])


GRAPHS = [*load("options"), *load("layers"), *load("more_layers")]
TWICE = [case for case in load("options") if "second/output/0" in case.arrays]


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_outputs_of_graphs(case: Case) -> None:
    ran = reference.run_graph(case.graph, case.listed("weight"), case.named_inputs, case.masks, case.about.get("training", False))
    for place, (flow, expected) in enumerate(zip(ran.outputs, case.listed("output"), strict=True)):
        near(flow.value, expected)
        mask = case.arrays.get(f"output_mask/{place}")
        assert (flow.mask is None) == (mask is None)
        if mask is not None:
            np.testing.assert_array_equal(flow.mask, mask.astype(bool))
    for place, after in zip(sorted(ran.call.updates), case.listed("after"), strict=True):
        near(ran.call.updates[place], after)


@pytest.mark.parametrize("case", TWICE, ids=lambda case: case.name)
def test_second_call_of_stateful(case: Case) -> None:
    first = reference.run_graph(case.graph, case.listed("weight"), case.named_inputs, case.masks)
    second = case.second()
    ran = reference.run_graph(case.graph, case.listed("weight"), second.named_inputs, second.masks, carried=first.call.kept)
    for flow, expected in zip(ran.outputs, second.listed("output"), strict=True):
        near(flow.value, expected)


@pytest.mark.parametrize(
    "name",
    [
        "LSTM-encoder-decoder-outputs",
        "RNN-LSTM-GRU-return_state",
        "Bidirectional-backward_layer-sum-return_sequences",
        "BatchNormalization-training-masked",
        "Maximum-three-different_masks",
        "Attention-use_scale-both_masked",
        "Conv1D-same-strides_2-no_mask",
    ],
)
def test_gradients_of_graphs(name: str) -> None:
    (case,) = (case for case in GRAPHS if case.name == name)
    training = case.about.get("training", False)
    cotangents = case.listed("cotangent")
    of_weights, of_inputs = reference.graph_gradients(
        case.graph, case.listed("weight"), case.named_inputs, case.masks, cotangents, training
    )
    trainable = [gradient for path, gradient in zip(case.about["weights"], of_weights, strict=True) if path in case.about["trainable"]]
    for actual, expected in zip(trainable, case.listed("weight_gradient"), strict=True):
        near(actual, expected)
    assert of_inputs.keys() == case.input_gradients.keys()
    for key, expected in case.input_gradients.items():
        near(of_inputs[key], expected)


@pytest.mark.parametrize("case", load("regularized"), ids=lambda case: case.name)
def test_training_steps(case: Case) -> None:
    y, weights = case.arrays["y"], case.listed("weight")

    def mean_squared_error(flow: reference.Flow) -> np.ndarray:
        losses = ((flow.value - y) ** 2).mean(axis=-1)
        return losses.mean() if flow.mask is None else np.where(flow.mask, losses, 0).sum() / flow.mask.sum()

    for expected in case.arrays["losses"]:
        loss, weights = reference.train_step(case.graph, weights, case.named_inputs, case.masks, mean_squared_error, 0.1)
        near(np.asarray(loss), np.asarray(expected))
    for actual, expected in zip(weights, case.listed("after"), strict=True):
        near(actual, expected)
