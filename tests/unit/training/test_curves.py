"""The curves of a training: what is drawn of a history, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from rnnspec.training.callbacks import History
from rnnspec.training.curves import ticks

NAN = float("nan")


def history(epochs: int, first: int = 0, **values: Any) -> History:
    made = History()
    made.epoch, made.history = list(range(first, first + epochs)), values
    return made


def parts(svg: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{kind}"))


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in parts(svg, "text")]


def curves(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each drawn curve; ticks and the legend's lines have another width."""
    lines = [each for each in parts(svg, "polyline") if each.get("stroke-width") == "1.6"]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in (each.get("points") or "").split())] for each in lines]


def test_a_panel_has_training_and_validation() -> None:
    made = history(3, loss=[3.0, 2.0, 1.0], accuracy=[0.0, 0.5, 1.0], val_loss=[3.0, 3.0, 2.0], val_accuracy=[0.0, 0.0, 1.0])
    drawn = made.plot()
    assert [word for word in texts(drawn) if word in {"loss", "accuracy", "val_loss"}] == ["loss", "accuracy"]
    assert texts(drawn).count("training") == texts(drawn).count("validation") == 2
    (loss, held_out, accuracy, _) = curves(drawn)
    heights = [y for _, y in loss]
    assert heights == sorted(heights) and heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.11)
    assert held_out[0] == loss[0] and held_out[2] == (loss[2][0], loss[1][1])
    assert [x - loss[0][0] for x, _ in loss] == [x - accuracy[0][0] for x, _ in accuracy]
    titles = [each[0].text for each in parts(drawn, "circle")]
    assert titles[0] == "epoch 1, training: 3.0" and len(titles) == 12
    assert drawn._repr_svg_() == made._repr_svg_() == drawn


def test_values_that_are_not_finite_are_gaps() -> None:
    drawn = history(6, loss=[5.0, 4.0, NAN, 3.0, math.inf, 2.0]).plot()
    assert [len(curve) for curve in curves(drawn)] == [2]
    assert len(parts(drawn, "circle")) == 4
    assert "no value is finite" in texts(history(2, loss=[NAN, -math.inf]).plot())
    assert "nan" not in drawn and "inf" not in drawn


def test_a_metric_of_several_numbers_has_a_curve_for_each() -> None:
    drawn = history(2, f1=[np.ones(12), np.zeros(12)], val_f1=[np.ones(12)] * 2).plot()
    assert "f1, the first 10 of 12 numbers, validation dashed" in texts(drawn)
    assert len(curves(drawn)) == 20


def test_a_long_training_keeps_its_extremes_in_a_small_file() -> None:
    values = np.sin(np.arange(200_000) / 9000)
    values[123_456] = -7.0
    (curve,) = curves(history(len(values), loss=values.tolist()).plot())
    usual, lowest = sorted(y for _, y in curve)[-2:]
    assert len(curve) < 1200 and lowest - usual > 100


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 7.0), (0.999, 1.0), (1e-9, 3e-9), (-1.7e308, 1.7e308), (1e300, 1.1e300)])
def test_ticks_are_between_and_differ(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 9
    assert all(low <= value <= high or math.isclose(value, low) or math.isclose(value, high) for value, _ in found)
    assert len({words for _, words in found}) == len(found)
    assert all(math.isclose(float(words), value, abs_tol=1e-3 * (high / 2 - low / 2)) for value, words in found)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-320, 0.0], [2.5, 2.5], [1e308, -1e308], [1e308, 1e308], [-4e-9, -4e-9]])
def test_any_values_can_be_drawn(values: list[float]) -> None:
    ((_, *_),) = curves(history(2, loss=values).plot())
    assert "nan" not in history(2, loss=values).plot()


@pytest.mark.parametrize(
    ("epochs", "first", "shown"), [(1, 0, ["1"]), (2, 0, ["1", "2"]), (40, 0, ["1", *map(str, range(5, 41, 5))]), (3, 7, ["8", "9", "10"])]
)
def test_epochs_are_counted_from_one(epochs: int, first: int, shown: list[str]) -> None:
    drawn = history(epochs, first, loss=[1.0] * epochs).plot()
    words = texts(drawn)
    assert words[words.index("epoch") - len(shown) : words.index("epoch")] == shown


def test_names_choose_what_is_drawn() -> None:
    made = history(2, loss=[2.0, 1.0], val_loss=[3.0, 2.0], note=["a", "b"], late=[1.0])
    assert len(curves(made.plot(names=["loss"]))) == 2
    for names, said in [
        (None, "plot: note isn't numbers: names=[...] chooses what is drawn"),
        (["late"], "plot: late has 1 values, there are 2 epochs"),
        (["lost"], "plot: names: there is no 'lost' in the history, which has loss, val_loss, note, late"),
        ("loss", "put it into a list"),
    ]:
        with pytest.raises(ValueError, match=re.escape(said)):
            made.plot(names=names)
    assert made._repr_svg_() is None


def test_a_name_with_any_characters_is_drawn() -> None:
    drawn = history(1, **{"<a> & \x00\ud800": [1.0]}).plot()
    assert "<a> & \ufffd\ufffd" in texts(drawn)
    assert drawn.encode()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = history(2, loss=[2.0, 1.0])
    made.plot(path := tmp_path / "curves.SVG")
    assert path.read_text(encoding="utf-8") == made.plot()
    with pytest.raises(OSError, match="No such file"):
        made.plot(tmp_path / "missing" / "curves.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OSError, match=r"folder\.svg"):
        made.plot(tmp_path / "folder.svg")
    with pytest.raises(ValueError, match=r"curves are written as \.svg"):
        made.plot(tmp_path / "curves.png")
    with pytest.raises(ValueError, match="plot: path: expected a path, got 3"):
        made.plot(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="plot: there are no epochs"):
        History().plot(path)
    assert path.read_text(encoding="utf-8") == made.plot()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["curves.SVG", "folder.svg"]
