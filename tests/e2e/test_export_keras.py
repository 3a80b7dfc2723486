"""Models as Keras's files; that Keras loads these is tried by tests/fixtures/interop/keras/check_exports.py, where Keras is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec
from tests.interop_keras import models, unpacked

TRIED = [
    name for name in models() if name in {"both_ways", "stacked_both_ways", "nested_twice", "translate", "normalized", "causal", "simple"}
]


@pytest.mark.parametrize("name", TRIED)
def test_export_and_import_are_the_identity(name: str, tmp_path: Path) -> None:
    """The spec is the same but for its first line, which names the file, and so are the weights, to the bit."""
    first = rnnspec.import_model(unpacked(name, "keras", tmp_path))
    rnnspec.export_model(first, tmp_path / "again.keras")
    again = rnnspec.import_model(tmp_path / "again.keras")
    assert sorted(again.weights) == sorted(first.weights)
    assert all(np.array_equal(again.weights[each], first.weights[each]) for each in first.weights)
    assert [each.shape for each in again.signature.outputs] == [each.shape for each in first.signature.outputs]


def test_what_keras_cant_say_is_refused_at_once(tmp_path: Path) -> None:
    spec = """
    function wavy(x) = sin(x)
    cell Own(units) { weight k [features, units] = zeros  state h [units]  h' = x @ k + h  return h' }
    model Odd {
        input x: float[time, 3]
        Conv1D(3, 2, activation = wavy, carry_mask = true)
        Own(3, return_sequences = true)
        Last()
    }
    """
    with pytest.raises(rnnspec.ExportRefused) as caught:
        rnnspec.export_model(rnnspec.compile(spec, seed=1), tmp_path / "odd.keras")
    assert [(each.place, each.attribute) for each in caught.value.findings] == [
        ("layer conv1d (Conv1D)", "carry_mask"),
        ("layer conv1d (Conv1D)", "activation"),
        ("layer own (Own)", ""),
        ("layer last (Last)", ""),
    ]
    assert not (tmp_path / "odd.keras").exists()
