"""Trainings in eight shards, on the processes of mpiexec or on one: a script that prints digests of weights and values of logs as JSON."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import rnnspec
from rnnspec.training.model import Model

RANDOM = np.random.default_rng(5)
LENGTHS = np.arange(21) % 5 + 1
X = RANDOM.normal(size=(21, 5, 3))
WORDS = RANDOM.integers(0, 50, (21, 5))
TRAIN = "train { loss = %s  optimizer = %s  batch_size = 9  epochs = 2  seed = 3  shards = 8 %s }"


def spec(layers: str, loss: str = "mse", optimizer: str = "Adam(0.01)", more: str = "") -> str:
    return f"model M {{ {layers} {TRAIN % (loss, optimizer, more)} }}"


def clipped() -> tuple[Model, dict[str, Any]]:
    """Dropout, noise, moving statistics, clipping by the norm of all, penalties of weights and activities; a last batch of 3 samples."""
    layers = "input x: float[time, 3]  GaussianNoise(0.1)  LSTM(6, dropout = 0.2, kernel_regularizer = L2(0.01))  BatchNormalization()"
    layers += "  Dense(1, activity_regularizer = L1(0.01))"
    return rnnspec.compile(spec(layers, "mse", "Adam(0.01, global_clipnorm = 0.1)", "metrics = [mae]"), seed=1), {
        "x": X, "y": X.sum(axis=(1, 2)), "lengths": LENGTHS, "validation_split": 0.2,
    }  # fmt: skip


def weighted() -> tuple[Model, dict[str, Any]]:
    """Class weights and sample weights over real steps, which the shards have different numbers of."""
    layers = "input x: float[time, 3]  GRU(5, return_sequences = true)  Dense(3, activation = softmax)"
    more = "class_weight = [1, 2, 0.5]  weighted_metrics = [accuracy]"
    text = spec(layers, "sparse_categorical_crossentropy", "SGD(0.1, momentum = 0.9)", more)
    weights = RANDOM.uniform(size=21)
    return rnnspec.compile(text, seed=1), {"x": X, "y": WORDS % 3, "sample_weight": weights, "lengths": LENGTHS}


def several_outputs() -> tuple[Model, dict[str, Any]]:
    text = """model M { input x: float[time, 3]  h = LSTM(5)
      a = h -> Dense(1)  b = h -> Dense(4, activation = softmax)  output a, b
      train { loss = [mse, sparse_categorical_crossentropy]  loss_weights = [1, 0.3]  optimizer = AdamW(0.01)
              metrics = [[mae], [accuracy]]  batch_size = 9  epochs = 2  seed = 3  shards = 8 } }"""
    return rnnspec.compile(text, seed=1), {"x": X, "y": [X.sum(axis=(1, 2)), WORDS[:, 0] % 4], "lengths": LENGTHS}


def ctc() -> tuple[Model, dict[str, Any]]:
    labels = [[int(word) % 3 + 1 for word in row[: length // 2]] for row, length in zip(WORDS, LENGTHS, strict=True)]
    text = spec("input x: float[time, 3]  GRU(5, return_sequences = true)  Dense(4)", "ctc")
    return rnnspec.compile(text, seed=1), {"x": X, "y": labels, "lengths": LENGTHS}


def crf() -> tuple[Model, dict[str, Any]]:
    text = spec("input x: float[time, 3]  Dense(3)", "crf", "Adam(0.05)", "metrics = [accuracy]")
    return rnnspec.compile(text, seed=1), {"x": X, "y": WORDS % 3, "lengths": LENGTHS}


def table() -> tuple[Model, dict[str, Any]]:
    """A table whose updates are made late, and of which only the rows that were read are sent."""
    text = spec("input x: int[time]  Embedding(50, 4, mask_zero = true)  LSTM(4)  Dense(1)")
    return rnnspec.compile(text, seed=1, tuning=rnnspec.Tuning(large_table=10, late_steps=2)), {"x": WORDS, "y": X[:, 0, 0]}


CASES: dict[str, Callable[[], tuple[Model, dict[str, Any]]]] = {
    made.__name__: made for made in (clipped, weighted, several_outputs, ctc, crf, table)
}


def train(made: Callable[[], tuple[Model, dict[str, Any]]], *, distributed: bool, **changed: Any) -> tuple[Model, dict[str, Any]]:
    """A trained case, and its result: logs, and digests of weights."""
    model, data = made()
    history = model.fit(**data | changed, verbose=False, distributed=distributed)
    digests = {name: zlib.crc32(np.ascontiguousarray(value).tobytes()) for name, value in model.weights.items()}
    return model, {"history": {name: [float(each) for each in values] for name, values in history.history.items()}, "weights": digests}


if __name__ == "__main__":
    found = {name: train(made, distributed=True)[1] for name, made in CASES.items()}
    from mpi4py import MPI

    everyone = MPI.COMM_WORLD.gather(found)
    if MPI.COMM_WORLD.rank == 0:
        json.dump(everyone, sys.stdout)
