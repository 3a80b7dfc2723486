"""The Python of docs/data.md runs as it stands, one block after the other."""

from __future__ import annotations

import contextlib
import io

from tests.docs.markdown import blocks


def test_the_pages_python_runs() -> None:
    """Each block sees what the ones before it have defined, as a reader's session does."""
    names: dict[str, object] = {}
    for block in (block for block in blocks("python") if block.page.endswith("data.md")):
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(compile(block.text, block.page, "exec"), names)
        assert shown.getvalue()
