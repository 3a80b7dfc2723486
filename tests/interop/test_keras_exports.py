"""Models that go out to Keras, and back: Keras loads the files and computes the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import rnnspec
from tests.interop_keras import models, numbers, unpacked

GOLDEN = Path(__file__).parents[1] / "golden" / "interop" / "keras_export.json"


@pytest.mark.parametrize("name", models())
def test_keras_loads_what_is_exported(name: str, tmp_path: Path) -> None:
    """In float32, which each of Keras's back ends has; what Keras can't say is refused before a file is there."""
    model = rnnspec.import_model(unpacked(name, "keras", tmp_path), dtype="float32")
    path = tmp_path / "out.keras"
    try:
        rnnspec.export_model(model, path)
    except rnnspec.ExportRefused:
        assert not path.exists()
        return
    inputs, _ = numbers(name)
    given = [each if each.dtype.kind == "i" else each.astype(np.float32) for each in inputs.values()]
    found: Any = keras.saving.load_model(path, compile=False)(given)
    wanted = model.predict(given if len(given) > 1 else given[0])
    for one, other in zip(
        found if isinstance(found, (list, tuple)) else [found], wanted if isinstance(wanted, tuple) else (wanted,), strict=True
    ):
        np.testing.assert_allclose(np.asarray(one), other, rtol=2e-5, atol=2e-5)


def test_keras_takes_the_golden_configuration() -> None:
    model: Any = keras.saving.deserialize_keras_object(json.loads(GOLDEN.read_text(encoding="utf-8")))
    assert model.compiled and [layer.name for layer in model.layers if not layer.trainable] == ["price"]


def test_keras_compiles_the_train_section(tmp_path: Path) -> None:
    model = rnnspec.import_model(unpacked("trained", "keras", tmp_path), dtype="float32")
    rnnspec.export_model(model, tmp_path / "out.keras")
    with zipfile.ZipFile(tmp_path / "out.keras") as archive:
        assert "compile_config" in json.loads(archive.read("config.json"))
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        made: Any = keras.saving.load_model(tmp_path / "out.keras")
    assert made.loss.get_config()["from_logits"] and abs(float(made.optimizer.learning_rate) - 0.1) < 1e-6
    x = np.zeros((4, 6, 3), np.float32)
    made.fit(x, np.zeros((4, 1), np.float32), epochs=1, verbose=0)
