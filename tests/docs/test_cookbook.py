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


def nothing(folder: Path) -> None:
    """No more than the examples."""


def shown(ran: list[Ran]) -> list[str]:
    """The words that the blocks of Python printed."""
    return "".join(each.out for each in ran if each.block.info == "python").split()


def check_forecast(ran: list[Ran], folder: Path) -> None:
    words = shown(ran)
    ours, naive = float(words[words.index("error") + 1]), float(words[words.index("yesterday") + 1])
    assert 3.0 < ours < 0.9 * naive
    assert (folder / "curves.svg").read_text(encoding="utf-8").startswith("<svg")
    assert words[words.index("mean", words.index("MAE")) + 4] == "264"


def check_generation(ran: list[Ran], folder: Path) -> None:
    losses, text = "".join(each.out for each in ran).split("\n", 1)
    first, last = map(float, losses.split())
    assert first > 2 > 0.2 > last
    assert text.strip().startswith("the rain in spain stays")


def check_truncation(ran: list[Ran], folder: Path) -> None:
    words = shown(ran)
    losses = [float(word.strip("[],")) for word in words[:4]]
    assert losses[0] > losses[-1] and words[4:6] == ["96", "102"] and len(words) == 7


def check_tags(ran: list[Ran], folder: Path) -> None:
    words = shown(ran)
    assert float(words[words.index("accuracy") + 1]) > 0.9
    assert "True" in words and {"number", "unit", "other"} < set(words)


def check_resumed(ran: list[Ran], folder: Path) -> None:
    assert shown(ran) == ["the", "power", "is", "gone", "True", "4", "True"]
    assert {path.name for path in folder.glob("*")} >= {"curves.svg", "vowels.rnnc"}
    assert not (folder / "vowels.rnnc.checkpoints").exists()


def check_losses(ran: list[Ran], folder: Path) -> None:
    _, after, one, other = map(float, shown(ran))
    assert abs(after - 0.9) < 0.06
    assert one == pytest.approx(other, rel=1e-6)


def check_service(ran: list[Ran], folder: Path) -> None:
    assert shown(ran) == ["True"] * 3


def check_sklearn(ran: list[Ran], folder: Path) -> None:
    words = shown(ran)
    assert float(words[words.index("accuracy") + 1]) > 0.85
    assert words[words.index("best") + 1] in ("4", "8") and float(words[words.index("best") + 2]) > 0.5
    assert float(words[words.index("features") + 1]) > 0.85
    assert float(words[words.index("score") + 1]) > 0.8
    assert words.count("['speaker") == 2


PAGES: dict[str, tuple[Callable[[Path], None], Callable[[list[Ran], Path], None]]] = {
    "text.md": (texts, check_texts),
    "forecasting.md": (nothing, check_forecast),
    "generation.md": (nothing, check_generation),
    "truncation.md": (nothing, check_truncation),
    "tagging.md": (nothing, check_tags),
    "resuming.md": (nothing, check_resumed),
    "losses.md": (nothing, check_losses),
    "service.md": (nothing, check_service),
    "sklearn.md": (nothing, check_sklearn),
}
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
