"""The table of workloads, and the data they run on. Imported in every peer's environment: the standard library and numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Cell: TypeAlias = Literal["lstm", "gru", "peephole_lstm", "layer_norm_lstm"]
Kind: TypeAlias = Literal["stream", "samples", "sequences", "classes", "text", "language", "translation", "tags", "speech"]

SPECS = Path(__file__).parent / "specs"
CLASSES, TAGS, LETTERS = 10, 17, 29
LABELS = 40
"""Of the longest sequence of labels in "speech"."""
LAYERS_OF_A_STACK = 3
TRAIN_STEPS = 4
"""Steps of training whose losses are compared: the second one is the first to depend on the gradient."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the table.

    `kind`: "stream" is LSTM(units) -> Dense(1) a step at a time with the state kept, "samples" the same as native
    code calls it, `time` steps one after the other, "sequences" a cell that gives all its states, "classes" a cell
    with a Dense(10) behind its last one, "text" an embedding, an LSTM in one or both `directions` and a Dense(1),
    masked where an id is 0, "tags" the same with a Dense(17) at each word. "language": an embedding, an LSTM and a
    Dense over the vocabulary at each step, "translation" two of these, an encoder and a decoder with attention.
    "speech": an LSTM in both directions and a Dense(29) at each step, by connectionist temporal classification.
    `stacked`: three cells on each other. `time`: the padded one; `real`: the longest text's. `train`: forward,
    backward and Adam, rather than inference.
    """

    name: str
    kind: Kind
    batch: int
    time: int
    features: int
    units: int
    cell: Cell = "lstm"
    train: bool = False
    vocabulary: int = 0
    real: int = 200
    threads: int = 1
    directions: int = 2
    stacked: bool = False

    @property
    def spec(self) -> Path:
        match self.kind:
            case "stream" | "samples":
                return SPECS / "stream.rnn"
            case "text":
                return SPECS / ("text.rnn" if self.directions == 2 else "text_forward.rnn")
            case "sequences":
                return SPECS / f"{self.cell}{'_stack' if self.stacked else ''}.rnn"
            case "classes":
                return SPECS / f"{self.cell}{'_stack' if self.stacked else ''}_classes.rnn"
            case "language" | "translation" | "tags" | "speech":
                return SPECS / f"{self.kind}.rnn"

    @property
    def parameters(self) -> Mapping[str, int]:
        """The spec's."""
        sizes = {"units": self.units}
        if self.kind not in ("stream", "samples"):
            sizes["features"] = self.features
        if self.vocabulary:
            sizes["vocabulary"] = self.vocabulary
        return sizes

    @property
    def inputs(self) -> Sequence[str]:
        """The spec's, in its order."""
        return ("source", "target") if self.kind == "translation" else ("x",)

    @property
    def work(self) -> str:
        """What it does, in words."""
        cell = {"lstm": "LSTM", "gru": "GRU", "peephole_lstm": "peephole LSTM", "layer_norm_lstm": "LayerNorm LSTM"}[self.cell]
        single = f"{cell}({self.units})"
        encoder = f"Bidirectional({single})" if self.directions == 2 else single
        several = f"{LAYERS_OF_A_STACK} {single}" if self.stacked else single
        embedding = f"Embedding({self.vocabulary}, {self.features})"
        layers = {
            "stream": f"{self.features} → {single} → Dense(1), one step, state kept",
            "samples": f"{self.features} → {single} → Dense(1), one step, state kept, called by native code",
            "sequences": f"{self.features} → {several}, all states",
            "classes": f"{self.features} → {several} → Dense({CLASSES})",
            "text": f"{embedding} → {encoder} → Dense(1)",
            "language": f"{embedding} → {single} → Dense({self.vocabulary})",
            "translation": f"two {embedding} → {single}, the second with Attention → Dense({self.vocabulary})",
            "speech": f"{self.features} → {encoder} → Dense({LETTERS}), CTC",
            "tags": f"{embedding} → {encoder} → Dense({TAGS})",
        }[self.kind]
        size = f"batch {self.batch}" if self.kind in ("stream", "samples") else f"batch {self.batch}, T {self.time}"
        return f"{layers}, {size}{', training' if self.train else ''}"

    @property
    def steps_of_a_call(self) -> int:
        """By which a call's time is divided."""
        return self.time if self.kind == "samples" else 1


W3A = Workload("W3a", "sequences", 32, 100, 80, 128)
W4A = Workload("W4a", "text", 32, 200, 128, 64, vocabulary=20000)
W5A = Workload("W5a-train", "classes", 32, 100, 80, 128, train=True)
W6A = replace(W3A, name="W6a", cell="peephole_lstm")
W6B = replace(W3A, name="W6b", cell="layer_norm_lstm")
W7D = Workload("W7d", "sequences", 64, 50, 80, 256, stacked=True)

_ROWS: Sequence[Workload] = (
    Workload("W1a", "stream", 1, 50, 1, 20),
    Workload("W1c", "stream", 1, 50, 1, 64),
    *(Workload(f"{name}-native", "samples", 1, 500, 1, units) for name, units in (("W1a", 20), ("W1b", 40), ("W1c", 64))),
    Workload("W2a", "sequences", 1, 100, 80, 64),
    Workload("W2b", "sequences", 1, 20, 80, 64),
    Workload("W2c", "sequences", 1, 200, 80, 256),
    W3A,
    Workload("W3b", "sequences", 100, 20, 80, 128),
    replace(W3A, name="W3g", cell="gru"),
    W4A,
    replace(W4A, name="W4b", units=128, directions=1),
    replace(W4A, name="W4a-train", train=True),
    replace(W4A, name="W4b-train", units=128, directions=1, train=True),
    W5A,
    Workload("W5b-train", "classes", 64, 50, 512, 512, train=True),
    W6A,
    replace(W5A, name="W6a-train", cell="peephole_lstm"),
    W6B,
    replace(W5A, name="W6b-train", cell="layer_norm_lstm"),
    replace(W4A, name="W4a-padded", time=2000),
    Workload("W7a", "language", 20, 35, 200, 200, vocabulary=10_000, train=True),
    Workload("W7b", "translation", 32, 25, 128, 256, vocabulary=8000, train=True),
    replace(W4A, name="W7c", kind="tags", units=100, train=True),
    W7D,
    Workload("W7e", "speech", 16, 200, 40, 128, train=True),
    replace(W7D, name="W7d-train", kind="classes", train=True),
    *(Workload(f"T{time}", "sequences", 1, time, 80, 64) for time in (10, 100, 1000, 10_000, 100_000)),
)

NATIVE = ("W1a-native", "W1b-native", "W1c-native")

LENGTHS = ("T10", "T100", "T1000", "T10000", "T100000")

WORKLOADS: Mapping[str, Workload] = {row.name: row for row in _ROWS}

GROUPS: Mapping[str, Sequence[str]] = {
    "inference": ("W1a", "W1c", *NATIVE, "W2a", "W2b", "W2c", "W3a", "W3b", "W3g", "W4a", "W4b", "W6a", "W6b", "W7d"),
    "training": ("W4a-train", "W4b-train", "W5a-train", "W5b-train", "W6a-train", "W6b-train", "W7a", "W7b", "W7c", "W7d-train", "W7e"),
    "threads": ("W2c@2", "W3a@2", "W4a@2", "W5a-train@2"),
    "scaling": ("W4a", "W4a-padded", *LENGTHS),
}


def workload(name: str) -> Workload:
    """A workload by its name; "W3a@2" is W3a with two threads. KeyError for an unknown one."""
    base, _, threads = name.partition("@")
    found = WORKLOADS[base]
    return replace(found, name=name, threads=int(threads)) if threads else found


def draw(work: Workload) -> dict[str, Array]:
    """The inputs, and `y` for training; from the sizes alone. With this seed 49 % of a text's 200 steps are real."""
    random = np.random.default_rng(2)
    match work.kind:
        case "text" | "tags":
            lengths = np.clip(np.exp(random.normal(np.log(90), 0.6, work.batch)), 10, work.real).astype(int)
            x = np.zeros((work.batch, work.time), np.int32)
            x[:, : work.real] = np.where(np.arange(work.real) < lengths[:, None], _words(random, work, work.real), 0)
            if work.kind == "text":
                return {"x": x, "y": random.integers(0, 2, (work.batch, 1)).astype(np.float32)}
            return {"x": x, "y": random.integers(0, TAGS, x.shape).astype(np.int32)}
        case "language":
            words = _words(random, work, work.time + 1)
            return {"x": words[:, :-1].copy(), "y": words[:, 1:].copy()}
        case "translation":
            source, words = _words(random, work, work.time), _words(random, work, work.time + 1)
            return {"source": source, "target": words[:, :-1].copy(), "y": words[:, 1:].copy()}
        case "speech":
            x = random.normal(size=(work.batch, work.time, work.features)).astype(np.float32)
            lengths = random.integers(LABELS // 2, LABELS + 1, work.batch)
            labels = random.integers(1, LETTERS, (work.batch, LABELS))
            return {"x": x, "y": np.where(np.arange(LABELS) < lengths[:, None], labels, 0).astype(np.int32)}
        case "stream" | "samples" | "sequences" | "classes":
            x = random.normal(size=(work.batch, work.time, work.features)).astype(np.float32)
            return {"x": x, "y": random.integers(0, CLASSES, work.batch).astype(np.int32)}


def _words(random: np.random.Generator, work: Workload, time: int) -> Array:
    """Ids from 1 on, (batch, time): the r-th is drawn as often as 1 / r says."""
    return np.exp(random.random((work.batch, time)) * np.log(work.vocabulary)).astype(np.int32)
