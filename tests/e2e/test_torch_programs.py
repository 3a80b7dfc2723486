"""Programs of `torch.export` as models, as torch wrote them (`tests/fixtures/interop/torch_programs/make.py`), read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.interop.importing import import_model

FOLDER = Path(__file__).parents[1] / "fixtures" / "interop" / "torch_programs"


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    with np.load(FOLDER / "values.npz") as stored:
        return dict(stored)


def compared(name: str, values: dict[str, Any], model: Any) -> None:
    inputs, expected = ([value for key, value in values.items() if key.startswith(f"{name}/{kind}")] for kind in "xy")
    found = model.predict(inputs if len(inputs) > 1 else inputs[0])
    for one, other in zip(found if isinstance(found, tuple) else (found,), expected, strict=True):
        tolerance = 1e-9 if other.dtype == np.float64 else 2e-5
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.pt2")))
def test_a_program_gives_what_it_gave_in_torch(name: str, values: dict[str, Any]) -> None:
    compared(name, values, import_model(FOLDER / f"{name}.pt2"))


def test_a_number_of_steps_that_torch_fixed_is_opened(values: dict[str, Any]) -> None:
    """`torch.export` fixes the length of what goes into an LSTM; a name for the axis lets it differ."""
    fixed = import_model(FOLDER / "words.pt2")
    assert fixed.signature.inputs[0].shape == (7,)
    model = import_model(FOLDER / "words.pt2", inputs={"x.1": "time"})
    assert model.signature.inputs[0].shape[0] != 7
    compared("words", values, model)
    ids = values["words/x0"][:, :4]
    np.testing.assert_allclose(model.predict(ids)[1], model.predict(np.concatenate([ids, ids], 1), lengths=[4, 4])[1], atol=1e-6)


def test_a_spec_of_a_program_reads_as_one_that_was_written() -> None:
    text = import_model(FOLDER / "words.pt2", inputs={"x.1": "time"}).source.text
    assert "Embedding(11, 5)" in text and "Bidirectional(LSTM(4, return_sequences = true))" in text and "Dense(3" in text
    assert "LayerNormalization(epsilon = 1e-05)" in text and "Dropout" not in text
