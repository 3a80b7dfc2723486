"""Models as modules of PyTorch. Run by `make interop`, where torch is installed; `make test` has it not."""

from __future__ import annotations

import copy
import doctest
import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

import rnnspec
import rnnspec.torch
from rnnspec.torch import Module

SPEC = """
model Layers {
    input x: float[time, 3]

    LSTM(5, return_sequences = true)
    BatchNormalization()
    Bidirectional(GRU(4))
    Dropout(0.3)
    Dense(2)
}
"""
X = torch.randn(3, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([4, 2, 1])
MASK = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)


def made(seed: int = 1, spec: str = SPEC) -> Module:
    return Module(rnnspec.compile(spec, dtype="float64", seed=seed)).eval()


def agrees(module: Module) -> None:
    """The module, its model and a new model of its weights give the same, twice each."""
    weights = module.model.get_weights()
    expected = rnnspec.compile(SPEC, dtype="float64", weights=weights).predict(X.numpy())
    for _ in range(2):
        assert np.array_equal(module(X).detach().numpy(), expected)
        assert np.array_equal(module.model.predict(X.numpy()), expected)


def test_the_example() -> None:
    assert doctest.testmod(rnnspec.torch).attempted >= 10
    assert doctest.testmod(rnnspec.torch).failed == 0


@pytest.mark.parametrize("masked", [{}, {"lengths": LENGTHS}, {"mask": MASK}])
def test_gradients_are_those_of_differences(masked: dict[str, torch.Tensor]) -> None:
    module = made()
    x = X.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: module(x, **masked), (x, *module.parameters()))


def test_two_inputs_two_outputs_and_ids() -> None:
    module = made(
        spec="""model Two { input ids: int[time], row: float[2]
        a = ids -> Embedding(5, 3, mask_zero = true) -> LSTM(4)
        b = [a, row] -> Concatenate() -> Dense(2)
        output a, b }"""
    )
    ids, row = torch.tensor([[1, 2, 0], [4, 0, 0]]), torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda row, *_: module(ids, row), (row, *module.parameters()))
    for one, other in zip(module({"ids": ids, "row": row}), module(ids, row), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="expected 2 inputs, ids, row; got 1"):
        module(ids)


def test_an_optimizer_of_torch_trains_the_model() -> None:
    module = made().train()
    before = module.model.weights["batch_normalization/moving_mean"]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    losses: list[float] = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (module(X, lengths=LENGTHS) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert not np.array_equal(module.model.weights["batch_normalization/moving_mean"], before)
    agrees(module.eval())


def test_train_and_eval_decide_about_dropout() -> None:
    module = made()
    assert torch.equal(module(X), module(X))
    module.train()
    assert not torch.equal(module(X), module(X))


def test_parameters_are_the_models_memory() -> None:
    module = made()
    bias = dict(module.named_parameters())["dense/bias"]
    for _ in range(3):
        bias.data.add_(1)  # of which torch keeps no count
        agrees(module)
    module.model.set_weights({"dense/bias": [5.0, 6.0]}, strict=False)
    assert bias.tolist() == [5, 6]


def test_memory_of_others_is_taken_back() -> None:
    module = made()
    doubled = torch.nn.utils.parameters_to_vector(module.parameters()) * 2
    torch.nn.utils.vector_to_parameters(doubled, module.parameters())
    module(X)
    assert torch.equal(torch.nn.utils.parameters_to_vector(module.parameters()), doubled)
    agrees(module)


def test_state_dicts_go_round() -> None:
    module, other = made(), made(seed=2)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    for assign in (False, True):
        other.load_state_dict(torch.load(file, weights_only=True), assign=assign)
        file.seek(0)
        assert torch.equal(other(X), module(X))
        agrees(other)
    assert list(module.state_dict()) == sorted(module.model.weights, key=list(module.state_dict()).index)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_have_a_model_of_their_own(copied: Callable[[Module], Module]) -> None:
    module = made()
    dict(module.named_parameters())["dense/bias"].requires_grad_(False)
    other = copied(module)
    assert torch.equal(other(X), module(X)) and not other.training
    assert not dict(other.named_parameters())["dense/bias"].requires_grad
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    agrees(module)
    agrees(other)
    assert not torch.equal(other(X), module(X))


def test_a_backward_after_a_change_is_refused() -> None:
    module = made()
    y = module(X)
    with torch.no_grad():
        next(module.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_isnt_there_is_said() -> None:
    module = made()
    for move in (module.float, module.half, lambda: module.to("meta")):
        with pytest.raises(TypeError, match="the model computes on the processor, in float64"):
            move()
    module.double().cpu().to(torch.float64)
    with pytest.raises(ValueError, match="functional_call"):
        torch.func.functional_call(module, {name: value * 0 for name, value in module.named_parameters()}, (X,))
    with pytest.raises(TypeError, match="x is on meta"):
        module(X.to("meta"))
    (gradient,) = torch.autograd.grad(module(X).sum(), next(module.parameters()), create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives aren't there"):
        gradient.sum().backward()
    agrees(module)


def test_lists_of_samples_and_frozen_layers() -> None:
    module = made(spec="model Part { input x: float[time, 3]  LSTM(4, trainable = false)  Dense(2) }")
    samples = [torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.randn(2, 3, dtype=torch.float64)]
    y = module(samples)
    y.sum().backward()
    assert y.shape == (2, 2) and samples[0].grad is not None and samples[0].grad.abs().sum() > 0
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == [
        "lstm/kernel",
        "lstm/recurrent_kernel",
        "lstm/bias",
    ]
    padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
    assert torch.equal(module(padded, lengths=torch.tensor([4, 2])), y)


OF_TORCH = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
"""For what torch's compiler imports itself."""


@OF_TORCH
def test_compiled_by_torch_and_among_its_modules() -> None:
    module = made()
    whole = torch.nn.Sequential(torch.nn.Linear(7, 3).double(), module, torch.nn.Linear(2, 1).double())
    whole(torch.randn(2, 6, 7, dtype=torch.float64)).sum().backward()
    assert whole[0].weight.grad.abs().sum() > 0
    assert torch.equal(torch.compile(module)(X), module(X))


def test_packed_sequences_have_their_lengths_in_themselves() -> None:
    module = made()
    packed = torch.nn.utils.rnn.pack_padded_sequence(X, LENGTHS.roll(1), batch_first=True, enforce_sorted=False)
    assert torch.equal(module(packed), module(X, lengths=LENGTHS.roll(1)))
    with pytest.raises(ValueError, match="x: samples of different lengths tell these themselves"):
        module(packed, lengths=LENGTHS)


def test_second_derivatives_are_an_error_and_never_left_out() -> None:
    module, x = made(), X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
    assert torch.isfinite(slope).all()
    with pytest.raises(RuntimeError, match="second derivatives aren't there"):
        (slope.square().sum() + module(x).sum()).backward()


@OF_TORCH
def test_numbers_that_would_be_lost_and_programs_without_native_code_are_refused() -> None:
    module = made()
    with pytest.raises(TypeError, match=r"x is torch.complex128, .*: expected a dense tensor of real numbers"):
        module(X.to(torch.complex128))
    with pytest.raises(TypeError, match="can't be traced or exported"):
        torch.jit.trace(module, X)
    with pytest.raises(TypeError, match="can't be traced or exported"):
        torch.export.export(module, (X,))
    torch.nn.utils.parametrizations.weight_norm(module, "lstm/kernel")
    with pytest.raises(ValueError, match=r"parametrizations, .* can't be used"):
        module(X)
