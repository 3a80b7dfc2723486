"""The command that a pass's page shows makes the text below it of the text above."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import ROOT
from rnnspec.driver.tensor_ir import read_ir, run_passes
from rnnspec.passes.registry import PASSES

PAGES = ROOT / "docs" / "passes"


@pytest.mark.parametrize("name", PASSES)
def test_the_command_gives_the_golden(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    commands = re.findall(r"^rnnspec opt (\S+) --pass (\S+)$", page, re.MULTILINE)
    assert commands
    for file, passes in commands:
        before = ROOT / file
        assert passes == name
        assert run_passes(read_ir(before), [passes]) == Path(str(before).replace(".before.", ".after.")).read_text(encoding="utf-8")
