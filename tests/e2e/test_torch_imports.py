"""Modules of PyTorch, whose files and outputs torch wrote (`tests/fixtures/interop/torch/make.py`), as models here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.interop.importing import import_model

pytestmark = pytest.mark.filterwarnings("ignore:.*skeleton:rnnspec.diagnostics.DroppedWarning")

FOLDER = Path(__file__).parents[1] / "fixtures" / "interop" / "torch"
CASES: dict[str, dict[str, Any]] = {each["name"]: each for each in json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    with np.load(FOLDER / "values.npz") as stored:
        return dict(stored)


@pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.SpecWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_module_gives_what_it_gave_in_torch(name: str, values: dict[str, Any], tmp_path: Path) -> None:
    case = CASES[name]
    into = None
    if case["spec"] is not None:
        into = tmp_path / "spec.rnn"
        into.write_text(f"model Case {{\n{case['spec']}\n}}\n", encoding="utf-8")
    model = import_model(FOLDER / f"{name}.pt", into=into, map=case["map"])
    inputs = [value for key, value in values.items() if key.startswith(f"{name}/x")]
    expected = values[f"{name}/y0"]
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], lengths=case["lengths"])
    is_double = expected.dtype == np.float64
    assert found.dtype == (np.float64 if is_double else np.float32)
    tolerance = 1e-9 if is_double else 2e-5
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)


TREES = FOLDER.parent / "jax"


@pytest.mark.parametrize("path", sorted(TREES.glob("*_*.npz")), ids=lambda path: path.stem)
def test_a_parameter_tree_gives_what_it_gave_in_jax(path: Path) -> None:
    """By `tests/fixtures/interop/jax/make.py`, with Flax and Haiku themselves."""
    with np.load(TREES / "outputs.npz") as stored:
        x, expected = stored["x"], stored[path.stem]
    np.testing.assert_allclose(import_model(path).predict(x), expected, atol=2e-5)
