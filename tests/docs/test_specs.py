"""Every spec on a page compiles and runs, or is refused as the page says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import rnnspec
from docs.generate import DOUBTFUL, diagnostics, pages
from rnnspec.driver import commands
from tests.docs.markdown import Block, blocks

FAULTS = [
    (f"{path.name}:{number}", match["kind"], match["spec"], match["shown"])
    for path in pages()
    for number, match in enumerate(DOUBTFUL.finditer(path.read_text(encoding="utf-8")), 1)
]


def distinct(found: list[Block]) -> list[Block]:
    return list({block.text: block for block in found}.values())


@pytest.mark.parametrize("block", distinct(blocks("rnn")), ids=str)
def test_a_spec_compiles_and_runs(block: Block) -> None:
    """Without a warning; forward and backward, the second sample with one real step."""
    assert commands.check(block.text).warnings == ()
    model = rnnspec.compile(block.text, seed=0)
    inputs: dict[str, np.ndarray] = {}
    lengths: dict[str, list[int]] = {}
    for source in model.signature.inputs:
        shape = tuple(extent if isinstance(extent, int) else 3 for extent in source.shape)
        inputs[source.name] = np.ones((2, *shape), np.int32 if source.integer else np.float32)
        if source.is_sequence:
            lengths[source.name] = [shape[0], 1]
    outputs, tape = model.forward(inputs, lengths=lengths or None, record=True)
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    assert all(np.isfinite(output).all() for output in several)
    cotangents = [np.arange(output.size, dtype=output.dtype).reshape(output.shape) for output in several]
    gradients = model.backward(tape, cotangents if len(several) > 1 else cotangents[0])
    assert any(gradient.any() for gradient in gradients.weights.values())


OWN = [block for block in distinct(blocks("rnn")) if re.search(r"^(loss|metric) ", block.text, re.MULTILINE)]


@pytest.mark.parametrize("block", OWN, ids=str)
def test_a_spec_with_losses_of_its_own_trains(block: Block) -> None:
    model = rnnspec.compile(block.text, seed=0)
    (source,) = model.signature.inputs
    x = np.ones((4, *(extent if isinstance(extent, int) else 3 for extent in source.shape)), np.int32 if source.integer else np.float32)
    prediction = model.predict(x)
    target = prediction[..., 0] * 0 + 1 if " of class" in block.text else (prediction > 0.5).astype(np.float32)
    losses = [model.fit(x, target, epochs=1, verbose=0).history["loss"][0] for _ in range(20)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_losses_and_metrics_of_their_own_are_on_the_pages() -> None:
    assert len(OWN) >= 4


@pytest.mark.parametrize(("place", "kind", "spec", "shown"), FAULTS, ids=[place for place, *_ in FAULTS])
def test_a_fault_is_shown_as_the_compiler_shows_it(place: str, kind: str, spec: str, shown: str) -> None:
    assert diagnostics(spec, kind) == shown


def test_no_fault_is_without_its_diagnostics() -> None:
    assert len(FAULTS) == len(blocks("rnn error", "rnn warning"))
