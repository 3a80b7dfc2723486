"""The specs of estimators that are given none, by the form of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["rows", "sequences", "texts", "named"]
"""A form of data: rows (2 axes), sequences (3 axes, or a list), texts, or several inputs by name."""

TARGETS = "targets"
"""The layer that brings predictions to the units of the targets: its mean and variance are theirs."""

PARAMETERS = {"units": 32, "dropout": 0.0}
"""What all of these specs take, and what it is by default."""

_HEAD = "model {name}({filled}, units = 32, dropout = 0.0) {{\n"
_INPUT = "    input x: float[time, features]\n\n    Normalization()\n"
_TEXTS = "    input x: text[time](max_tokens = 5000)\n\n    Embedding(5000, units, mask_zero = true)\n"
_TRAIN = "\n    train {{\n        loss = {loss}\n        optimizer = Adam(learning_rate = 0.01)\n        epochs = 30\n    }}\n}}\n"


def classifier(form: Form, classes: Sequence[int], *, steps: bool) -> str:
    """A classifier. `classes`: how many each output has. `steps`: whether each step has a class."""
    heads = [f"class_{number} = encoded -> Dense({count}, activation = softmax)" for number, count in enumerate(classes)]
    outputs = ", ".join(f"class_{number}" for number in range(len(classes)))
    return _spec("Classifier", form, steps, [*heads, f"output {outputs}"], "sparse_categorical_crossentropy")


def regressor(form: Form, *, steps: bool = False) -> str:
    """A regressor of a number of values, the parameter `outputs`."""
    lines = ["encoded -> Dense(outputs)", f'Normalization(invert = true, name = "{TARGETS}")']
    return _spec("Regressor", form, steps, lines, "mse")


def transformer(form: Form) -> str:
    """The last state of an LSTM."""
    return f"{_begin('Features', form, ())}    LSTM(units)\n    Dropout(dropout)\n}}\n"


def _spec(name: str, form: Form, steps: bool, lines: Sequence[str], loss: str) -> str:
    cell = "LSTM(units, return_sequences = true)" if steps else "LSTM(units)"
    filled = ("outputs",) if name == "Regressor" else ()
    body = "".join(f"    {line}\n" for line in (cell, "encoded = Dropout(dropout)", *lines))
    return f"{_begin(name, form, filled)}{body}{_TRAIN.format(loss=loss)}"


def _begin(name: str, form: Form, filled: Sequence[str]) -> str:
    names = [*(() if form == "texts" else ("features",)), *filled]
    head = _HEAD.format(name=name, filled=", ".join(names)).replace("(, ", "(")
    return f"{head}{_TEXTS if form == 'texts' else _INPUT}"
