"""A library's training: the losses and weights of Python's, to the bit; what is refused, and what stays untouched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import rnnspec
from rnnspec.driver.compilation import compilation_of

NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[compilation_of("model M { input x: float[1]\n Dense(1) }").machine().architecture]

TRAINED = {
    "adam": """model M { input x: float[time, 1]
        LSTM(20)
        Dense(1)
        train { loss = mse  optimizer = Adam(learning_rate = 0.01) } }""",
    "ids": """model M { input word: int[time], group: int[1], left: float[3]
        words = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(GRU(5, dropout = 0.2))
        groups = group -> Embedding(6, 2) -> LSTM(2)
        y = [words, groups, left] -> Concatenate() -> BatchNormalization() -> Dense(3, activation = softmax)
        output y
        train { loss = sparse_categorical_crossentropy  optimizer = AdamW(0.01, weight_decay = 0.02)  metrics = [accuracy] } }""",
    "several": """model M { input a: float[time, 2], b: float[n, 2]
        one = a -> Masking() -> LSTM(4, return_sequences = true)
        other = b -> Conv1D(4, 3, padding = valid) -> LSTM(3)
        y = one -> Dense(2, activation = sigmoid)
        z = other -> Dense(4)
        output y, z
        train { loss = [binary_crossentropy, mae]  loss_weights = [2.0, 0.3]  optimizer = SGD(0.05, momentum = 0.9, clipnorm = 0.1) } }""",
    "attention": """model M { input q: float[time, 4], k: float[n, 4]
        queries = q -> Masking() -> LSTM(4, return_sequences = true)
        keys = k -> LSTM(4, return_sequences = true)
        y = [queries, keys] -> Attention() -> Dense(2)
        train { loss = huber  optimizer = RMSprop(global_clipnorm = 0.2) } }""",
    "own": """cell Leaky(units) {
        weight kernel [features, units] = glorot_uniform
        state h [units]
        h' = 0.9 * h + 0.1 * tanh(x @ kernel)
        return h' }
        model M { input x: float[time, 3]
        Leaky(6, return_sequences = true)
        Dropout(0.5)
        LSTM(3, return_sequences = true, go_backwards = true)
        train { loss = mse  optimizer = Lion(0.01, clipvalue = 0.01)  checkpoint = 4 } }""",
    "unlabelled": """model M { input x: float[time, 3]
        LSTM(4, return_sequences = true)
        Dense(3)
        train { loss = sparse_categorical_crossentropy(from_logits = true, ignore_class = 255)
            optimizer = Adagrad(0.1) } }""",
    "sequences": """model M { input x: float[time, 3]
        LSTM(4, return_sequences = true)
        Dense(3)
        train { loss = crf  optimizer = Adamax(0.1) } }""",
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
@pytest.mark.parametrize("name", TRAINED)
def test_training_has_the_bits_of_pythons(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    rnnspec.build(rnnspec.compile(TRAINED[name], seed=2), folder, targets=[NATIVE], name="net", functions=["train"])
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Iinclude", "example_train.c"]
    subprocess.run([*command, f"{NATIVE}/libnet.a", "-lm", "-o", "example"], cwd=folder, check=True)
    done = subprocess.run(["./example", f"{NATIVE}/check_train.bin"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "20 updates, 0 different\n"), done.stderr
