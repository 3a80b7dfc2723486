"""The Python of docs/scoring.md runs as it stands, one block after the other."""

from __future__ import annotations

import contextlib
import io

import pytest

from tests.docs.markdown import blocks


def test_the_pages_python_runs() -> None:
    pytest.importorskip("pandas")
    names: dict[str, object] = {}
    for block in (block for block in blocks("python") if block.page.endswith("scoring.md")):
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(compile(block.text, block.page, "exec"), names)
        assert "dense" in shown.getvalue()
