"""Model files, and cache folders, of an older version keep working."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import rnnspec

SAVED = Path(__file__).parents[1] / "fixtures" / "saved"
TOLERANCE = {"forecaster": 1e-6, "words": 1e-13, "stateful": 1e-6, "trained": 1e-6}
PARAMETERS = {"forecaster": {"units": 7}, "words": {}, "stateful": {}, "trained": {}}

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")


def test_every_saved_model_is_tried() -> None:
    assert {path.stem for path in SAVED.glob("*.rnnc")} == set(TOLERANCE)


@pytest.mark.parametrize("name", TOLERANCE)
def test_it_predicts_what_it_predicted(name: str, tmp_path: Path) -> None:
    data = np.load(SAVED / f"{name}.npz")
    model = rnnspec.load(SAVED / f"{name}.rnnc")
    assert dict(model.source.parameters) == PARAMETERS[name]
    np.testing.assert_allclose(model.predict(data["x"]), data["y"], rtol=0, atol=TOLERANCE[name])
    model.save(tmp_path / "again.rnnc")
    again = rnnspec.load(tmp_path / "again.rnnc")
    assert all(np.array_equal(value, again.weights[name]) for name, value in model.weights.items())


@pytest.mark.parametrize("name", ["forecaster", "words"])
def test_its_training_goes_on(name: str) -> None:
    data = np.load(SAVED / f"{name}.npz")
    model = rnnspec.load(SAVED / f"{name}.rnnc")
    targets = np.zeros(len(data["y"]), np.int32) if name == "words" else np.zeros_like(data["y"])
    before = model.evaluate(data["x"], targets)["loss"]
    model.fit(data["x"], targets, epochs=20, verbose=0)
    assert model.evaluate(data["x"], targets)["loss"] < before


def test_a_training_of_before_goes_on_as_it_did() -> None:
    """What `configure` set and the optimizer's state are read, though files of today say more."""
    data = np.load(SAVED / "trained.npz")
    model = rnnspec.load(SAVED / "trained.rnnc")
    assert model.iterations == 6
    model.fit(data["x"], data["targets"], epochs=1, batch_size=4, verbose=False)
    np.testing.assert_allclose(np.concatenate([value.ravel() for value in model.get_weights()]), data["later"], rtol=0, atol=1e-5)


class Trap:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("an entry of an older version's cache was unpickled",)


def test_a_cache_folder_of_an_older_version_is_used_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It held pickles, readable by others, and object code under the same ending."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    for number in range(40):
        (folder / f"{number:064x}.object").write_bytes(pickle.dumps(Trap()) if number % 2 else b"\x7fELF old object code")
    monkeypatch.setenv("RNNSPEC_CACHE", str(folder))
    data = np.load(SAVED / "words.npz")
    for _ in range(2):
        model = rnnspec.load(SAVED / "words.rnnc")
        np.testing.assert_allclose(model.predict(data["x"]), data["y"], rtol=0, atol=1e-13)
    assert len(list(folder.iterdir())) > 40
