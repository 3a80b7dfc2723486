"""The pages are up to date, complete, and lead nowhere that doesn't exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import LAYERS, PART, PARTS, ROOT, filled, pages
from rnnspec.driver import pipelines
from rnnspec.frontend.syntax.standard_library import NAMES
from tests.docs.markdown import BLOCK
from tests.unit.test_architecture import GROUND, MAY_KNOW

PAGES = pages()
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_page_is_up_to_date(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert filled(page) == page, f"{named(path)} is out of date: run `.venv/bin/python docs/generate.py` and read the difference"


@pytest.mark.parametrize("path", [*PAGES, CONTRIBUTING], ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    page = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in LINK.findall(page):
        assert not target.startswith("http"), f"{named(path)} leaves the repository: {target}"
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), f"{named(path)} links to {target}, which doesn't exist"
        if anchor:
            assert anchor in headings(place), f"{named(path)} links to {target}, which has no such heading"


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    page = BLOCK.sub("", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}


def test_every_part_is_used() -> None:
    used = {match["call"].split()[0] for path in PAGES for match in PART.finditer(path.read_text(encoding="utf-8"))}
    assert used == set(PARTS)


def test_every_layer_has_its_table() -> None:
    """One table for layers whose arguments are the same, all of them named in the heading."""
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- begin: layer (\w+) -->", text)
    headings = {word for heading in re.findall(r"^#### (.*)$", text, re.MULTILINE) for word in re.findall(r"\w+", heading)}
    assert len(shown) == len(set(shown))
    assert headings - {"Cells"} == set(LAYERS)
    alike = {name for name in LAYERS if name not in shown}
    assert alike == {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "GlobalMaxPooling1D"}


def test_every_cell_of_the_package_is_shown() -> None:
    shown = re.findall(r"<!-- begin: file (\S+\.rnn) -->", (ROOT / "docs" / "language.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(f"rnnspec/stdlib/{name}.rnn" for name in NAMES)


def test_every_pass_has_a_page() -> None:
    names = {each.name for each in (*pipelines.STREAM.passes, *pipelines.BACKWARD.passes)}
    assert {path.stem for path in (ROOT / "docs" / "passes").glob("*.md")} == names


@pytest.mark.parametrize("folder", ["passes", "decisions"])
def test_every_page_can_be_reached(folder: str) -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / folder).glob("*.md"):
        assert f"]({folder}/{path.name})" in architecture


def test_the_rooms_are_those_of_the_architecture_test() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = {
        room: set(re.findall(r"`([\w.]+)`", knows)) for room, knows in re.findall(r"^\| `([\w.]+)` \|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    }
    rooms = {name for name in MAY_KNOW if name and name not in GROUND and name != "__main__"}
    assert shown == {name: {other for other in MAY_KNOW[name] if other in rooms - {"contract"}} for name in rooms}


def test_the_page_on_words_can_be_reached() -> None:
    assert "](docs/style.md)" in CONTRIBUTING.read_text(encoding="utf-8")


def test_no_fence_is_of_an_unknown_kind() -> None:
    """What isn't listed here wouldn't be looked at by any test."""
    known = {"", "text", "rnn", "rnn error", "rnn warning", "sh", "python", "diff", "llvm", "asm", "c", "js", "toml"}
    assert {match["info"] for path in PAGES for match in BLOCK.finditer(path.read_text(encoding="utf-8"))} <= known


def test_an_outdated_part_is_found_and_filled() -> None:
    page = "<!-- begin: stages -->\nold\n<!-- end -->\n"
    assert "hoist-projection" in filled(page)
    assert filled(filled(page)) == filled(page)
