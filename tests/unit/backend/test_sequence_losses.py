"""Connectionist temporal classification in native code, on every target: against all paths, against equations, at its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.backend.llvm_cpu.sequence_losses import SYMBOLS, emit_sequence_loss
from rnnspec.contract.executable import Array
from rnnspec.contract.sequence_loss import NativeLoss
from rnnspec.kernel.target import TARGETS
from rnnspec.runtime.native.jit import Jit, calling
from rnnspec.training.sequence_losses import CTC, NativeLosses, Sequences
from tests.ctc_reference import by_paths, by_states, steps_needed

HOST = host_target()
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 2e-6, "float64": 1e-11}


@cache
def native(target: str, dtype: str) -> NativeLosses:
    """Code of a target's shape that this machine runs."""
    shape = replace(TARGETS[target], triple=HOST.triple, cpu=HOST.cpu, features=HOST.features)

    def compiled(name: str) -> NativeLoss:
        code = Machine(HOST).object_code(emit_sequence_loss(name, dtype, shape))
        return calling(Jit().load(code, (SYMBOLS[name],)), SYMBOLS[name])

    return NativeLosses(compiled)


def batch(logits: Sequence[Array], labels: Sequence[Sequence[int]], loss: CTC) -> tuple[Array, Sequences]:
    """Samples one after the other, as an output (rows, classes)."""
    starts, label_starts = (np.cumsum([0, *map(len, each)]) for each in (logits, labels))
    flat = np.array([label for each in labels for label in each], np.int32)
    return np.concatenate(logits), Sequences(loss, np.arange(starts[-1]), starts, flat, label_starts, None)


def computed(
    logits: Sequence[Array], labels: Sequence[Sequence[int]], dtype: str = "float64", target: str = HOST.name, **options: Any
) -> tuple[Array, list[Array]]:
    """Each sample's loss, and its gradient."""
    output, sequences = batch([each.astype(dtype) for each in logits], labels, CTC(**options))
    losses, gradient = native(target, dtype).each(sequences, output, np.ones(len(labels)))
    assert gradient is not None
    assert (gradient.dtype, gradient.shape) == (output.dtype, output.shape)
    return losses, np.split(gradient, sequences.starts[1:-1])


def drawn(seed: int, count: int, most_steps: int, classes: int, blank: int = 0, scale: float = 2.0) -> tuple[list[Array], list[list[int]]]:
    """Logits that float32 holds, with labels that some path stands for; samples without labels among them."""
    random = np.random.default_rng(seed)
    logits: list[Array] = []
    labels: list[list[int]] = []
    others = [label for label in range(classes) if label != blank]
    while len(labels) < count:
        steps = int(random.integers(1, most_steps + 1))
        own = [int(label) for label in random.choice(others, int(random.integers(0, steps + 1)))]
        if steps_needed(own) <= steps:
            labels.append(own)
            logits.append(random.normal(0.0, scale, (steps, classes)).astype(np.float32).astype(np.float64))
    return logits, labels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("most_steps", "classes", "blank"), [(6, 3, 0), (12, 5, 4), (40, 29, 0)])
def test_losses_and_gradients_are_those_of_the_equations(target: str, dtype: str, most_steps: int, classes: int, blank: int) -> None:
    logits, labels = drawn(most_steps, 12, most_steps, classes, blank)
    losses, gradients = computed(logits, labels, dtype, target, blank=blank)
    for values, own, loss, gradient in zip(logits, labels, losses, gradients, strict=True):
        expected, slope = by_states(values, own, blank)
        assert loss == pytest.approx(expected, rel=1e-12, abs=1e-12), "sums are in double precision whatever the dtype"
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=TOLERANCE[dtype])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4), st.booleans())
def test_a_loss_is_the_sum_over_all_paths(seed: int, most_steps: int, classes: int, last: bool) -> None:
    blank = classes - 1 if last else 0
    logits, labels = drawn(seed, 4, most_steps, classes, blank)
    losses, gradients = computed(logits, labels, blank=blank)
    for values, own, loss, gradient in zip(logits, labels, losses, gradients, strict=True):
        for expected, slope in (by_paths(values, own, blank), by_states(values, own, blank)):
            assert loss == pytest.approx(expected, rel=1e-11, abs=1e-12)
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-11)


def test_the_gradient_is_the_derivative() -> None:
    logits, labels = drawn(3, 5, 6, 4)
    _, gradients = computed(logits, labels)
    step = 1e-6
    for sample, gradient in enumerate(gradients):
        for entry in np.ndindex(gradient.shape):
            moved = np.zeros_like(gradient)
            moved[entry] = step
            there, back = (computed([logits[sample] + sign * moved], [labels[sample]])[0][0] for sign in (1, -1))
            assert gradient[entry] == pytest.approx((there - back) / (2 * step), rel=1e-6, abs=1e-8)


def test_a_samples_bits_do_not_depend_on_the_others() -> None:
    logits, labels = drawn(5, 9, 30, 7)
    together = computed(logits, labels)
    for sample in range(len(labels)):
        losses, (gradient,) = computed([logits[sample]], [labels[sample]])
        assert losses[0] == together[0][sample]
        assert gradient.tobytes() == together[1][sample].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_beyond_all_reason(dtype: str) -> None:
    """One path only is likely, or the one that is wanted is as good as impossible: the loss is the distance."""
    size = 1e4
    sure = size * np.eye(4)[[1, 0, 2, 2, 3]]
    losses, (right, wrong) = computed([sure, sure], [[1, 2, 3], [3, 2, 1]], dtype)
    assert losses[0] == 0
    np.testing.assert_allclose(right, 0, atol=1e-7)
    # 2 can be had where it is, 3 and 1 in wrong places only.
    assert losses[1] == pytest.approx(by_states(sure, [3, 2, 1])[0], rel=1e-12)
    assert losses[1] == pytest.approx(2 * size, rel=1e-3)
    assert np.isfinite(wrong).all()
    assert np.abs(wrong).max() <= 1
    for scale in (1e30, float(np.finfo(dtype).max) / 1e3):
        losses, (gradient,) = computed([scale * np.eye(4)[[1, 0, 2]]], [[1, 2]], dtype)
        assert losses[0] == 0
        assert not gradient.any()


def test_probabilities_far_beyond_a_double() -> None:
    """Paths whose probabilities are below exp(-5,000) are told apart."""
    random = np.random.default_rng(11)
    logits = random.normal(0.0, 300.0, (60, 5))
    labels = [int(label) for label in random.integers(1, 5, 20)]
    loss, slope = by_states(logits, labels)
    losses, (gradient,) = computed([logits], [labels])
    assert loss > 5000
    assert losses[0] == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-9)


def test_no_labels_one_step_and_no_step() -> None:
    logits = np.log(np.array([[0.25, 0.75]]))
    none = np.zeros((0, 2))
    losses, gradients = computed([logits, logits, none, none], [[], [1], [], [1]], zero_infinity=False)
    np.testing.assert_allclose(losses, [-np.log(0.25), -np.log(0.75), 0, np.inf], rtol=1e-15)
    np.testing.assert_allclose(gradients[0], [[-0.75, 0.75]], rtol=1e-15)
    np.testing.assert_allclose(gradients[1], [[0.25, -0.25]], rtol=1e-15)


def test_labels_without_a_path_are_infinite_or_nothing() -> None:
    logits, _ = drawn(8, 3, 1, 4)
    logits = [np.repeat(each, 3, axis=0) for each in logits]
    labels = [[1, 1], [2, 2, 2], [1, 2, 3]]
    losses, gradients = computed(logits, labels)
    assert np.isinf(losses).tolist() == [False, True, False]
    zeroed, kept = computed(logits, labels, zero_infinity=True)
    assert zeroed[1] == 0
    assert not kept[1].any()
    for sample in (0, 2):
        assert zeroed[sample] == losses[sample]
        assert kept[sample].tobytes() == gradients[sample].tobytes()


def test_a_class_that_is_ruled_out_rules_out_its_paths() -> None:
    """-inf for a logit, as a mask of classes makes it."""
    logits = np.zeros((3, 3))
    logits[:, 2] = -np.inf
    losses, gradients = computed([logits, logits], [[1], [2]], zero_infinity=True)
    assert losses[0] == pytest.approx(by_paths(np.zeros((3, 2)), [1])[0], rel=1e-14)
    assert losses[1] == 0
    assert np.isfinite(gradients[0]).all()
    assert not gradients[0][:, 2].any()
    assert not gradients[1].any()


def test_a_prediction_that_is_no_number_gives_a_loss_that_is_none() -> None:
    logits, labels = drawn(2, 3, 8, 4)
    for row in range(len(logits[1])):
        bad = logits[1].copy()
        bad[row, 2] = np.nan
        losses, _ = computed([logits[0], bad, logits[2]], labels, zero_infinity=True)
        assert np.isnan(losses).tolist() == [False, True, False]


def test_only_the_rows_of_real_steps_are_read_and_written() -> None:
    logits, labels = drawn(4, 4, 9, 6)
    output, sequences = batch(logits, labels, CTC())
    losses, gradient = native(HOST.name, "float64").each(sequences, output, np.ones(4))
    assert gradient is not None
    random = np.random.default_rng(0)
    places = random.permutation(2 * len(output))[: len(output)]
    scattered = np.full((2 * len(output), 6), np.nan)
    scattered[places] = output
    elsewhere = Sequences(sequences.loss, places, sequences.starts, sequences.labels, sequences.label_starts, None)
    again, spread = native(HOST.name, "float64").each(elsewhere, scattered, np.ones(4))
    assert spread is not None
    assert losses.tobytes() == again.tobytes()
    assert spread[places].tobytes() == gradient.tobytes()
    assert not np.delete(spread, places, axis=0).any()


def test_losses_alone_are_the_same() -> None:
    logits, labels = drawn(4, 4, 9, 6)
    output, sequences = batch(logits, labels, CTC())
    alone, gradient = native(HOST.name, "float64").each(sequences, output, np.ones(4), derive=False)
    assert gradient is None
    assert alone.tobytes() == computed(logits, labels)[0].tobytes()


def test_nothing_is_written_behind_the_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the widest vectors, and samples with as many steps and labels as there are."""
    made: list[Array] = []
    empty = np.empty

    def guarded(size: int) -> Array:
        made.append(np.full(size + 8, 7.0))
        return made[-1][:size]

    for target in TARGETS:
        for count in range(1, 14):
            labels = [1 + number % 2 for number in range(count)]
            monkeypatch.setattr(np, "empty", guarded)
            computed([np.zeros((count, 3))], [labels], target=target)
            monkeypatch.setattr(np, "empty", empty)
            assert len(made) > 0
            assert (made.pop()[-8:] == 7.0).all(), (target, count)


@pytest.mark.parametrize("target", TARGETS)
def test_the_code_for_each_target_calls_nothing(target: str) -> None:
    """exp and log are the module's own, masked loads and reductions become instructions."""
    assembly = Machine(TARGETS[target]).assembly(emit_sequence_loss("ctc", "float32", TARGETS[target]))
    called = [line.split()[-1] for line in assembly.splitlines() if line.split()[:1] in (["callq"], ["call"], ["bl"], ["jmp"], ["b"])]
    own = ("rnnspec.", ".L", '"rnnspec.', "_rnnspec", "L")
    assert [name for name in called if not name.startswith(own)] == []
