"""The page on JAX and Keras runs from its first block to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import blocks


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, of its variables
def test_the_page_on_frameworks_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    found = [block for block in blocks("python") if block.page == "docs/frameworks.md"]
    assert len(found) == 5
    for block in found:
        exec(compile(block.text, str(block), "exec"), names)
    assert (tmp_path / "tiny.rnnc").exists()
