"""What else is done with a drawn model: predictions in pieces and as lists, its file, a step of training. All to the bit but the last."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnnspec
from rnnspec.contract.dimensions import Size
from rnnspec.diagnostics import SpecWarning
from rnnspec.training.model import Model
from rnnspec.training.optimizers import SGD
from tests.property.drawn_model import DrawnModel
from tests.specs import UNTRAINED

Array = NDArray[Any]
Near = Callable[[Array, Array, str], None]

LEARNING_RATE = 0.25


def listed(outputs: Any) -> list[Array]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def same_bits(found: Any, expected: Sequence[Array], what: str) -> None:
    for place, (one, other) in enumerate(zip(listed(found), expected, strict=True)):
        assert np.array_equal(one, other, equal_nan=True), f"output {place} {what}"


def check_predictions(drawn: DrawnModel, model: Model, inputs: Mapping[str, Array], masks: Mapping[str, Array], folder: Path) -> None:
    """Whatever the batch mates, and whether steps are padded or not there; after `save` and `load` too."""
    expected = listed(model.forward(inputs, mask=masks or None))
    for size in (1, 2):
        same_bits(model.predict(inputs, size, mask=masks or None), expected, f"in batches of {size}")
    lists = unpadded(drawn, inputs, masks)
    if lists is not None:
        same_bits(model.predict(lists, 2), expected, "of lists")
    if len(drawn.files) == 1:
        model.save(folder / "model.rnnc")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpecWarning)
            loaded = rnnspec.load(folder / "model.rnnc")
        same_bits(loaded.forward(inputs, mask=masks or None), expected, "of the loaded model")


def unpadded(drawn: DrawnModel, inputs: Mapping[str, Array], masks: Mapping[str, Array]) -> dict[str, Any] | None:
    """The same samples as lists of their own lengths; None where that isn't the same call."""
    given: dict[str, Any] = dict(inputs)
    known: dict[str, Array] = {}
    for name, shape in drawn.shapes.items():
        if not isinstance(shape.length, Size):
            if shape.sequence and not masks[name].all():
                return None
            continue
        lengths = masks[name].sum(axis=1)
        right = (np.arange(masks[name].shape[1]) < lengths[:, None]) == masks[name]
        if not right.all() or lengths.max(initial=0) != masks[name].shape[1]:
            return None
        if not np.array_equal(known.setdefault(shape.length, lengths), lengths):  # lists have one length for a sample's inputs of one
            return None
        given[name] = [row[:length] for row, length in zip(inputs[name], lengths, strict=True)]
    return given


def check_training(drawn: DrawnModel, model: Model, inputs: Mapping[str, Array], masks: Mapping[str, Array], near: Near) -> None:
    """A step of plain gradient descent is the gradient's, of the mean of the squares of every output that no mask is on."""
    if not drawn.batch or any(shape.masks for shape in drawn.outputs):
        return
    weights = {name: value.copy() for name, value in model.weights.items()}
    outputs, tape = model.forward(inputs, mask=masks or None, training=True, record=True)
    found = listed(outputs)
    if any(not output.size or not np.isfinite(output).all() for output in found):
        return
    random = np.random.default_rng(drawn.seed)
    targets = [random.normal(size=output.shape).astype(output.dtype) for output in found]
    slopes = [2 * (output - target) / output.size for output, target in zip(found, targets, strict=True)]
    gradients = model.backward(tape, slopes if len(slopes) > 1 else slopes[0]).weights
    if all(name.endswith(UNTRAINED) for name in gradients):
        return
    statistics = {name: value.copy() for name, value in model.weights.items() if name.endswith(UNTRAINED)}
    model.set_weights(weights)
    model.configure(loss="mse", optimizer=SGD(learning_rate=LEARNING_RATE))
    model.train_on_batch(inputs, targets if len(targets) > 1 else targets[0], mask=masks or None)
    for name, before in weights.items():
        near(model.weights[name], statistics.get(name, before - LEARNING_RATE * gradients[name]), f"{name} after a step")
    model.set_weights(weights)
