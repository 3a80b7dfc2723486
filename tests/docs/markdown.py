"""Fenced blocks of the pages, for the tests that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from docs.generate import ROOT, pages

BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and line, what stands behind the fence, its text."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*infos: str) -> list[Block]:
    """The blocks of all pages whose fences say one of these."""
    found: list[Block] = []
    for path in pages():
        page = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(page):
            if match["info"] in infos:
                line = page.count("\n", 0, match.start()) + 1
                found.append(Block(path.relative_to(ROOT).as_posix(), line, match["info"], match["text"]))
    return found
