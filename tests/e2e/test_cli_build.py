"""`rnnspec build`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Workplace


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path)
    (tmp_path / "level.rnn").write_text("model Level { input x: float[time, 1]\n GRU(6, return_sequences = true)\n Dense(2) }\n")
    place.succeeds("compile", "level.rnn", "-o", "level.rnnc")
    return place


def test_a_page_has_a_target_of_its_own(place: Workplace) -> None:
    done = place.succeeds("build", "level.rnnc", "--page", "-o", "level")
    assert ".wasm, bytes" in done.out
    assert "wasm32-simd" in done.out
    assert done.err.splitlines()[-1] == "wrote level"
    names = {"README.md", "level.d.ts", "level.js", "node-example.js", "package.json", "page.html", "wasm32-simd"}
    assert names < {path.name for path in (place.folder / "level").iterdir()}
    told = json.loads(place.succeeds("build", "level.rnnc", "--target", "wasm32", "--page", "--json", "-o", "other").out)
    (report,) = told["targets"]
    assert report["module"] == (place.folder / "other" / "wasm32" / "level.wasm").stat().st_size
    assert report["imports"] == []


def test_what_cannot_be_built_is_refused(place: Workplace) -> None:
    assert "page: it runs in a browser" in place.refuses("build", "level.rnnc", "--target", "cortex-m4", "--page", "-o", "level")
    assert "did you mean `wasm32`?" in place.refuses("build", "level.rnnc", "--target", "wasm-32", "-o", "level")
    assert "a new folder or an empty one" in place.refuses("build", "level.rnnc", "--page", "-o", ".")
    assert {path.name for path in place.folder.iterdir()} == {"level.rnn", "level.rnnc"}


def test_a_target_of_ones_own_and_its_weights_in_a_file(place: Workplace) -> None:
    (place.folder / "small.toml").write_text('base = "cortex-m7"\nfeatures = "+strict-align"\n')
    given = ("build", "level.rnnc", "--target", "small.toml")
    done = place.succeeds(*given, "--weights-file", "-o", "level")
    assert "small" in done.out
    assert {path.name for path in (place.folder / "level" / "small").iterdir()} >= {"level.o", "level.weights"}
    assert "--weights-file is for libraries for C" in place.refuses(*given, "--python", "--weights-file", "-o", "other")
    for option in (("--functions", "step"), ("--link", "so"), ("--page",)):
        assert f"{option[0]} is for libraries for C" in place.refuses(*given, "--python", *option, "-o", "other")
    (place.folder / "small.toml").write_text("base = 'cortex-m7'\nregister = 16\n")
    assert "small.toml: there is no field named `register`; did you mean `registers`?" in place.refuses(*given, "-o", "other")
    assert not (place.folder / "other").exists()
