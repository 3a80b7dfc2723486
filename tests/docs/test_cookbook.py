"""The pages of the cookbook run, and show what they say."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate import ROOT
from tests.docs.cookbook import Ran, prepare, run


def texts(folder: Path) -> None:
    """A folder `aclImdb` with a few of the sentences that ship with the examples."""
    lines = gzip.decompress((folder / "examples" / "data" / "reviews.tsv.gz").read_bytes()).decode().splitlines()[1:]
    for number, line in enumerate(lines[::20]):
        split, _, label, text = line.split("\t")
        place = folder / "aclImdb" / split / label[:3] / f"{number}_1.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def check_texts(ran: list[Ran], folder: Path) -> None:
    training, predictions, imdb = (each for each in ran if each.block.info == "sh")
    assert "Bidirectional(GRU)" in training.out
    accuracies = re.findall(r"^test accuracy (0\.\d+)$", training.out, re.MULTILINE)
    assert len(accuracies) == 2 and len(set(accuracies)) == 1 and float(accuracies[0]) > 0.78
    assert re.search(r"negative .* positive .*\n.*weighted avg", training.out, re.DOTALL)
    assert "not used: source\n" in training.err
    table, _, rest = predictions.out.partition("{")
    assert [line.split()[1] for line in table.splitlines() if line.strip()[:1].isdigit()] == ["positive", "negative"]
    line, *rows = f"{{{rest}".splitlines()
    assert json.loads(line)["dense.class"] in ("positive", "negative")
    assert rows[0] == "dense,dense.class" and len(rows) == 3
    assert (folder / "predictions.csv").read_text(encoding="utf-8").count("\n") == 601
    assert next(each.out for each in ran if each.block.info == "python").startswith("['positive' 'negative']\n[")
    assert imdb.out.startswith("test accuracy ")


PAGES: dict[str, tuple[Callable[[Path], None], Callable[[list[Ran], Path], None]]] = {"text.md": (texts, check_texts)}
"""For each page, files that it needs, made in the folder where it runs, and what must come of it."""


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "cookbook").glob("*.md")))
def test_a_page_runs(page: str, tmp_path: Path) -> None:
    make, check = PAGES[page]
    prepare(tmp_path)
    make(tmp_path)
    check(run(page, tmp_path), tmp_path)


def test_pages_can_be_reached() -> None:
    """From the page on the command, or from the README."""
    text = "".join((ROOT / name).read_text(encoding="utf-8").replace("docs/", "") for name in ("README.md", "docs/command.md"))
    for page in PAGES:
        assert f"](cookbook/{page})" in text
