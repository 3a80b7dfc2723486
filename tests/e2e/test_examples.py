"""Every example compiles, runs on a batch of its own input's shape, and has a gradient for every weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnspec

EXAMPLES = Path(__file__).parents[2] / "examples"
SPECS = sorted(EXAMPLES.rglob("*.rnn"))


def test_there_are_examples() -> None:
    assert [path.name for path in SPECS]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_example(path: Path) -> None:
    model = rnnspec.compile(path, seed=0)
    random = np.random.default_rng(0)
    batch, lengths = 3, {"time": 5}
    inputs = {}
    for spec in model.signature.inputs:
        shape = (batch, *(extent if isinstance(extent, int) else lengths.get(str(extent), 4) for extent in spec.shape))
        inputs[spec.name] = (
            random.integers(1, spec.vocabulary or 2, shape) if spec.integer else random.normal(size=shape).astype(np.float32)
        )
    output, tape = model.forward(inputs, record=True)
    assert np.isfinite(output).all()
    gradients = model.backward(tape, random.normal(size=output.shape))
    assert list(gradients.weights) == list(model.weights)
    assert all(np.isfinite(gradient).all() and gradient.any() for gradient in gradients.weights.values())
