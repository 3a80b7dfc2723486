"""Layers over sequences of which a single step is left: a row in the import, in whatever shape the file has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.interop import importing
from rnnspec.interop.graph.axes import Role, arranged
from tests.onnx_models import Array, info, model, node, run, saved

RANDOM = np.random.default_rng(3)


def drawn(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype(np.float32)


def recurrent(squeezed: bool) -> Any:
    """A row as a sequence of one step, (1, batch, 3), through a GRU."""
    nodes = [
        node("Unsqueeze", ["x", "first"], ["sequence"]),
        node("GRU", ["sequence", "w", "r"], ["all", "last"], hidden_size=4),
        node("Squeeze", ["all", "both" if squeezed else "direction"], ["y"]),
    ]
    axes = {"first": np.array([0]), "both": np.array([0, 1]), "direction": np.array([1])}
    return model(nodes, [info("x", ["batch", 3])], ["y"], {**axes, "w": drawn(1, 12, 3), "r": drawn(1, 12, 4)})


def windows(kind: str, squeezed: bool) -> Any:
    """A window that sees all five steps of (batch, 3, 5)."""
    nodes = [
        node("Conv", ["x", "w"], ["seen"]) if kind == "Conv" else node(kind, ["x"], ["seen"], kernel_shape=[5], strides=[5]),
        node("Squeeze", ["seen", "last"], ["y"]) if squeezed else node("Neg", ["seen"], ["y"]),
    ]
    return model(nodes, [info("x", ["batch", 3, 5])], ["y"], {"w": drawn(4, 3, 5), "last": np.array([2])})


@pytest.mark.parametrize("squeezed", [True, False])
@pytest.mark.parametrize("kind", ["GRU", "Conv", "MaxPool", "AveragePool"])
def test_a_single_step_is_a_row(kind: str, squeezed: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, recurrent(squeezed) if kind == "GRU" else windows(kind, squeezed))
    x = drawn(2, 3) if kind == "GRU" else drawn(2, 3, 5)
    imported = importing.import_file(path, None, importing.reader_options(path))
    (there,) = run(path, {"x": x})
    here = imported.model.predict(x)
    assert here.shape == (2, 3 if "Pool" in kind else 4)
    roles = imported.call.axes.get("y", (Role.BATCH, Role.FEATURES))
    assert np.allclose(arranged(here, roles, there.shape), there, atol=2e-6)
    assert ("y" in imported.call.axes) is not squeezed
