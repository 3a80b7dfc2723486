"""Decoding against Keras's, and against all paths."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.decoding import crf_decode, ctc_beam_decode, ctc_greedy_decode
from tests.crf_reference import Field, all_scores
from tests.ctc_reference import collapsed, log_softmax

CASES = [case for case in json.loads((Path(__file__).parents[1] / "fixtures" / "ctc" / "keras.json").read_text()) if "kind" in case]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_paths_and_scores_are_keras_s(case: dict[str, Any]) -> None:
    """Keras gives the same paths, but no more than there are steps, and makes up others with a score of -inf where too few are left."""
    logits, lengths, blank = np.array(case["logits"]), case["lengths"], case["blank"]
    if case["kind"] == "beam":
        decoded = ctc_beam_decode(logits, case["beam_width"], case["top_paths"], lengths, blank=blank)
    else:
        decoded = ctc_greedy_decode(logits, lengths, blank=blank, merge_repeated=case["kind"] == "greedy")
    scores = np.array(case["scores"], float)
    there = np.isfinite(scores)
    np.testing.assert_allclose(decoded.scores[there], scores[there], rtol=1e-12)
    assert np.isneginf(decoded.scores[~there]).all()
    paths = np.array(case["paths"])
    assert decoded.paths.dtype == np.int32
    assert decoded.paths.shape == paths.shape
    np.testing.assert_array_equal(decoded.paths.transpose(1, 0, 2)[there], paths.transpose(1, 0, 2)[there])


@pytest.mark.parametrize(("steps", "classes", "blank"), [(5, 3, 0), (4, 4, 3), (1, 2, 1)])
def test_a_wide_beam_finds_the_probability_of_all_labels(steps: int, classes: int, blank: int) -> None:
    logits = np.random.default_rng(steps).normal(size=(steps, classes))
    chances: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(classes), repeat=steps):
        chances[collapsed(path, blank)] += float(np.exp(sum(log_softmax(logits)[step, label] for step, label in enumerate(path))))
    ranked = sorted(chances, key=lambda labels: -chances[labels])
    decoded = ctc_beam_decode(logits[None], beam_width=1000, top_paths=len(ranked) + 1, blank=blank)
    found = [tuple(label for label in path.tolist() if label != -1) for path in decoded.paths[:, 0]]
    assert found == [*ranked, ()]
    np.testing.assert_allclose(np.exp(decoded.scores[0]), [*(chances[labels] for labels in ranked), 0], rtol=1e-12)
    assert decoded.labels == [list(ranked[0])]


def test_a_narrow_beam_keeps_the_likeliest_beginnings() -> None:
    logits = np.random.default_rng(1).normal(size=(1, 30, 6))
    scores = [ctc_beam_decode(logits, beam_width=width).scores[0, 0] for width in (1, 4, 16, 64)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_steps_that_do_not_count_are_not_looked_at() -> None:
    prediction = np.random.default_rng(0).normal(size=(2, 9, 4))
    mask = np.random.default_rng(1).random((2, 9)) < 0.6
    masked = np.where(mask[..., None], prediction, np.nan)
    for decode in (ctc_greedy_decode, ctc_beam_decode):
        decoded = decode(masked, mask=mask)
        for sample in range(2):
            alone = decode(prediction[sample][mask[sample]][None])
            assert decoded.labels[sample] == alone.labels[0]
            assert decoded.scores[sample, 0] == alone.scores[0, 0]
        empty = decode(masked, lengths=[0, 0])
        assert empty.labels == [[], []]
        assert empty.scores.tolist() == [[0.0], [0.0]]


def test_a_class_that_is_ruled_out_is_in_no_path() -> None:
    prediction = np.zeros((1, 3, 3))
    prediction[..., 1] = -np.inf
    decoded = ctc_beam_decode(prediction, 10, 10)
    assert not (decoded.paths == 1).any()
    assert np.isneginf(decoded.scores).sum() == 7, "no label, 2, and 2 2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction": np.zeros((2, 3))}, r"prediction: expected shape \(samples, steps, classes\), got \(2, 3\)"),
        ({"blank": 4}, r"blank: expected a class in 0\.\.3, got 4"),
        ({"blank": -1}, "blank: expected a whole number of at least 0, got -1"),
        ({"lengths": [1, 2]}, r"lengths: expected integers of shape \(1,\), got int64 of shape \(2,\)"),
        ({"lengths": [4]}, "lengths: expected 0 to 3 for sample 0, got 4"),
        ({"mask": np.ones((1, 3))}, r"mask: expected bools of shape \(1, 3\), got float64 of shape \(1, 3\)"),
        ({"prediction": np.full((1, 3, 4), np.nan)}, "prediction, sample 0, step 0, class 0: expected a number, got nan"),
        ({"prediction": np.full((1, 3, 4), np.inf)}, "prediction, sample 0, step 0, class 0: expected a number, got inf"),
        ({"prediction": np.full((1, 3, 4), -np.inf)}, "prediction, sample 0, step 0, class 0: expected a number, got -inf"),
        ({"beam_width": 0}, "beam_width: expected a whole number of at least 1, got 0"),
        ({"beam_width": 2, "top_paths": 3}, "top_paths: expected at most beam_width, 2, got 3"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, Any], message: str) -> None:
    given = {"prediction": np.zeros((1, 3, 4))} | arguments
    with pytest.raises(ValueError, match=f"^{message}$"):
        ctc_beam_decode(**given)


@pytest.mark.parametrize(("steps", "classes"), [(1, 1), (1, 3), (6, 2), (5, 4)])
@pytest.mark.parametrize("ends", [True, False])
def test_the_likeliest_classes_of_a_random_field(steps: int, classes: int, ends: bool) -> None:
    random = np.random.default_rng(steps)
    prediction, transitions = random.normal(size=(3, steps + 2, classes)), random.normal(size=(classes, classes))
    first, last = random.normal(size=(2, classes)) * ends
    mask = np.array([random.permutation(steps + 2) < steps for _ in range(3)])
    weights = (transitions, first, last) if ends else (transitions,)
    decoded = crf_decode(np.where(mask[..., None], prediction, np.nan), *weights, mask=mask)
    assert decoded.paths.shape == (1, 3, steps + 2)
    for sample in range(3):
        scores = all_scores(Field(prediction[sample][mask[sample]], transitions, first, last))
        best = max(scores, key=lambda labels: scores[labels])
        assert decoded.labels[sample] == list(best)
        assert decoded.scores[sample, 0] == pytest.approx(scores[best] - np.logaddexp.reduce(list(scores.values())), rel=1e-12, abs=1e-12)
    none = crf_decode(prediction, *weights, lengths=[0, 0, 0])
    assert (none.labels, none.scores.tolist()) == ([[], [], []], [[0.0], [0.0], [0.0]])


def test_a_length_is_a_mask_from_the_start() -> None:
    random = np.random.default_rng(0)
    prediction, transitions = random.normal(size=(2, 5, 3)), random.normal(size=(3, 3))
    decoded = crf_decode(prediction, transitions, lengths=[2, 5])
    assert decoded.labels[0] == crf_decode(prediction[:1, :2], transitions).labels[0]
    assert decoded.paths[0, 0, 2:].tolist() == [-1, -1, -1]


def test_what_is_ruled_out_is_in_no_path() -> None:
    transitions = np.array([[-np.inf, 0.0], [0.0, 0.0]])  # from 0 to itself, which equal scores would give
    decoded = crf_decode(np.zeros((1, 4, 2)), transitions)
    assert decoded.labels == [[1, 0, 1, 0]]
    assert decoded.scores[0, 0] == pytest.approx(-np.log(8), rel=1e-12), "of eight sequences without two zeros in a row"
    assert crf_decode(np.zeros((1, 4, 2)), transitions, [-np.inf, 0], [-np.inf, 0]).labels == [[1, 1, 0, 1]]
    assert crf_decode(np.zeros((1, 2, 2)), np.full((2, 2), -np.inf)).scores.tolist() == [[-np.inf]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"transitions": np.zeros(3)}, r"transitions: expected shape \(3, 3\), got \(3,\)"),
        ({"transitions": np.full((3, 3), np.nan)}, r"transitions\[0, 0\]: expected a number, got nan"),
        ({"first": np.zeros((3, 1))}, r"first: expected shape \(3,\), got \(3, 1\)"),
        ({"last": [0, np.inf, 0]}, r"last\[1\]: expected a number, got inf"),
    ],
)
def test_weights_of_a_random_field_that_do_not_fit_are_named(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        crf_decode(np.zeros((1, 2, 3)), **{"transitions": np.zeros((3, 3)), **weights})
