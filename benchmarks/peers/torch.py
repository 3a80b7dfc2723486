"""PyTorch: `nn.LSTM` and `nn.GRU` where they can be used, and loops over steps for other cells."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.peers import Call, Settings, Task

GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}
"""Keras's blocks in PyTorch's order."""


def settings(task: Task) -> Settings:
    torch.set_num_threads(task.work.threads)
    return {"nn": lambda: predicting(sequences(task))}


def sequences(task: Task) -> Any:
    layer = recurrent(task)

    def model(x: Any) -> Any:
        return layer(x)[0]

    return model


def recurrent(task: Task) -> Any:
    work = task.work
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[work.cell](work.features, work.units, batch_first=True)
    load(layer, "l0", work.cell, task.weights)
    return layer


def load(layer: Any, suffix: str, cell: str, weights: Any) -> None:
    """Keras's kernel, recurrent kernel and bias; an LSTM's one bias is PyTorch's first."""
    kernel, recurrent_kernel, bias = (torch.from_numpy(weight) for weight in weights)
    blocks = GATES[cell]

    def ordered(weight: Any) -> Any:
        parts = weight.chunk(len(blocks), -1)
        return torch.cat([parts[block] for block in blocks], -1)

    biases = bias if bias.ndim == 2 else torch.stack([bias, torch.zeros_like(bias)])
    named = {"weight_ih": ordered(kernel).T, "weight_hh": ordered(recurrent_kernel).T}
    named |= {"bias_ih": ordered(biases[0]), "bias_hh": ordered(biases[1])}
    with torch.no_grad():
        for name, weight in named.items():
            getattr(layer, f"{name}_{suffix}").copy_(weight)


def predicting(model: Any) -> Call:
    @torch.inference_mode()
    def call(x: Any) -> Any:
        return model(torch.from_numpy(x)).numpy()

    return call
