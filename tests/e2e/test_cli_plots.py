"""`rnnspec train --plot`: the curves of a training, also of one that is broken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Workplace
from tests.e2e.test_cli_checkpoints import TRAIN, broken_off, place
from tests.unit.training.test_curves import curves, texts

__all__ = ["place"]

PLOT = ("--plot", "curves.svg")


def drawn(place: Workplace) -> str:
    return (place.folder / "curves.svg").read_text(encoding="utf-8")


def test_curves_are_drawn_of_a_whole_training_and_of_one_that_goes_on(place: Workplace) -> None:
    """The resumed training's curves are those of all epochs, the ones before the interrupt too."""
    done = broken_off(place, "interrupt", 3, *PLOT, "--validation-split", "0.25", "--checkpoint", "every=1")
    assert done.stderr.splitlines()[-2:] == ["wrote curves.svg", "interrupted"]
    assert [len(curve) for curve in curves(drawn(place))] == [3] * 4
    said = place.succeeds(*TRAIN, *PLOT, "--validation-split", "0.25", "--resume").err
    assert said.splitlines()[-2:] == ["wrote curves.svg", "wrote out.rnnc"]
    assert [len(curve) for curve in curves(drawn(place))] == [5] * 4
    assert {"loss", "accuracy", "training", "validation"} < set(texts(drawn(place)))


def test_a_training_without_an_epoch_has_no_curves(place: Workplace) -> None:
    """An older file stays."""
    (place.folder / "curves.svg").write_text("old")
    told = "warning: no epoch was finished, there are no curves"
    assert broken_off(place, "interrupt", 0, *PLOT).stderr.splitlines() == [told, "interrupted"]
    assert told in place.succeeds(*TRAIN[:-2], "--epochs", "0", *PLOT).err
    assert drawn(place) == "old"


def test_curves_that_cannot_be_written_lose_nothing_else(place: Workplace) -> None:
    """The disk is full at the first write, that of the curves."""
    done = broken_off(place, "full", 1, *PLOT)
    assert done.returncode == 0
    assert "warning: curves.svg: the curves can't be written: No space left on device" in done.stderr
    assert (place.folder / "out.rnnc").exists() and not (place.folder / "curves.svg").exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("curves.png", "curves are written as .svg"),
        ("curves", "curves are written as .svg"),
        ("-", "curves are written as .svg"),
        ("missing/curves.svg", "there is no folder `missing`"),
        ("folder.svg", "`folder.svg` is a folder"),
        ("out.svg", "is where the model is written, too"),
        ("spec.svg", "is what is read, and would be written over"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_the_work(place: Workplace, path: str, said: str) -> None:
    (place.folder / "folder.svg").mkdir()
    (place.folder / "spec.svg").write_text((place.folder / "trend.rnn").read_text(encoding="utf-8"))
    words = [{"trend.rnn": "spec.svg", "out.rnnc": "out.svg"}.get(word, word) for word in TRAIN]
    told = " ".join(place.refuses(*words, "--plot", path).split())
    assert said in told and "--plot" in told
    assert not Path(place.folder, "out.svg").exists()
