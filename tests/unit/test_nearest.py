"""What is taken for a slip of the keyboard, and what never is: a name that means something else."""

from __future__ import annotations

import pytest

from rnnspec import diagnostics
from rnnspec.diagnostics import nearest, nearest_name
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, INITIALIZERS, LOSSES, METRICS, OPTIMIZERS
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.keras_names.names import foreign_spellings

SLIPS = [
    ("Lstm", ["LSTM", "GRU"], "LSTM"),
    ("unit", ["units"], "units"),
    ("return_sequence", ["return_state", "return_sequences"], "return_sequences"),
    ("returnsequences", ["return_sequences"], "return_sequences"),
    ("tahn", FUNCTIONS, "tanh"),
    ("sotfmax", ACTIVATIONS, "softmax"),
    ("Adamm", ["SGD", "RMSprop", "Adam", "AdamW"], "Adam"),
    ("acuracy", METRICS, "accuracy"),
    ("categorical_crossentroppy", LOSSES, "categorical_crossentropy"),
    ("glorot_unifrom", INITIALIZERS, "glorot_uniform"),
    ("BatchNormalisation", LAYERS, "BatchNormalization"),
    ("optimiser", ["loss", "optimizer"], "optimizer"),
    ("mes", LOSSES, "mse"),
    ("mea", METRICS, "mae"),
]

OTHERS = [
    ("Sum", METRICS),
    ("TextVectorization", LAYERS),
    ("circle", LOSSES),
    ("constants", ["bias_constraint", "kernel_constraint"]),
    ("Normalization", LAYERS),
    ("sin", FUNCTIONS),
    ("mod", FUNCTIONS),
    ("log2", FUNCTIONS),
    ("exp2", FUNCTIONS),
    ("Conv2D", LAYERS),
    ("l3", ["l1", "l2"]),
    ("relu7", ACTIVATIONS),
    ("beta_3", ["beta_1", "beta_2"]),
    ("Transformer", LAYERS),
    ("Maximun", ["Minimum"]),
    ("h", ["x", "c"]),
]


@pytest.mark.parametrize(("name", "known", "meant"), SLIPS)
def test_a_slip(name: str, known: list[str], meant: str) -> None:
    assert nearest_name(name, known) == meant
    assert nearest(name, known) == f"did you mean `{meant}`?"


@pytest.mark.parametrize(("name", "known"), OTHERS)
def test_another_name(name: str, known: list[str]) -> None:
    assert nearest(name, known) == ""


def test_what_means_something_else_is_no_slip() -> None:
    assert nearest_name("atanh", ["tanh"]) == "tanh"
    assert nearest_name("atanh", ["tanh"], ["atanh"]) is None
    assert nearest_name("Adamix", ["Adam", "AdamW"], ["Adamax"]) is None
    assert nearest_name("Adamm", ["Adam", "AdamW"], ["Adamax"]) == "Adam"
    assert nearest_name("a", ["a"]) is None


def test_a_name_of_keras_is_no_slip() -> None:
    of_the_first = [name for name in OPTIMIZERS if name.lower() != "nadam"]
    assert nearest("Nadam", of_the_first) == "did you mean `adam`?"
    assert nearest("Nadam", of_the_first, foreign_spellings("optimizer", of_the_first)) == ""


def test_long_names_are_not_compared_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quadratic in a hundred thousand letters would be minutes."""
    monkeypatch.setattr(diagnostics, "_slips", None)
    assert nearest_name("a" * 100_000, ["a" * 100_001, "b" * 100_000, "A" * 100_000]) == "A" * 100_000
