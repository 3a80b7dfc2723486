"""Tests with frameworks that `make test` does without: `make interop` runs those whose frameworks are installed, and names the others."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDS = {
    "test_jax.py": ("jax",),
    "test_keras.py": ("keras",),
    "test_keras_exports.py": ("keras",),
    "test_onnxruntime.py": ("onnxruntime",),
    "test_originals.py": ("keras", "onnxruntime"),
    "test_page.py": ("jax", "keras"),
}
"""What a file's tests need."""

WANTED = bool(os.environ.get("RNNSPEC_INTEROP"))

os.environ.setdefault("KERAS_BACKEND", "jax")


def missing(file: str) -> list[str]:
    return [name for name in NEEDS.get(file, ()) if find_spec(name) is None]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if not WANTED or missing(collection_path.name) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for file in NEEDS if WANTED else ():
        if names := missing(file):
            terminalreporter.write_line(f"not run: {file}, which needs {' and '.join(names)}")
