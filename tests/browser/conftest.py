"""Pages opened in Chromium: `make browser` runs them, since no package index has a browser for every machine."""

from __future__ import annotations

import os
from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return None if os.environ.get("RNNSPEC_BROWSER") else True
