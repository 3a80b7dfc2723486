"""What the command's help and the docstrings say of formats, beside those that there are."""

from __future__ import annotations

import rnnspec
from rnnspec.cli import export, import_
from rnnspec.interop.exporting import EXPORTERS
from rnnspec.interop.importing import READERS


def test_every_format_that_is_written_is_named() -> None:
    for text in (export.TO, rnnspec.export_model.__doc__ or ""):
        assert [each.name for each in EXPORTERS if each.name not in text] == []
    assert [ending for each in EXPORTERS for ending in each.endings if f"`{ending}`" not in (rnnspec.export_model.__doc__ or "")] == []


def test_every_format_that_is_read_is_named() -> None:
    for text in (import_.SOURCE, rnnspec.import_model.__doc__ or ""):
        assert [each.name for each in READERS if each.name.partition(" ")[0] not in text] == []
