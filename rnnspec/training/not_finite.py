"""The end of a training at the first number that isn't finite, before it reaches a weight."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.objective import loss_name, metrics_name
from rnnspec.runtime.data.finite_inputs import is_finite
from rnnspec.runtime.model.weights import Parameters

_OF_LOSS = re.compile(f"^({loss_name('')}|{metrics_name('')})")
"""The beginning of the name of a result that isn't an output itself."""

LARGE = 1e15
"""A gradient's number, or a learning rate, from which on an update may go beyond float32: such updates are looked at once they are made."""


class NotFinite(Exception):
    """A loss, a gradient or a weight that isn't finite, in words; the weights are those before the update."""


def check_loss(loss: float, weights: Mapping[str, Array], inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
    """NotFinite for a loss that isn't finite, with the likeliest origin among the numbers of its batch.

    `inputs`: those that nobody has looked at.
    """
    if math.isfinite(loss):
        return
    name, largest = max(((name, float(np.abs(each).max(initial=0.0))) for name, each in weights.items()), key=_size, default=("", 0.0))
    if not math.isfinite(largest):
        wrong = ", ".join(name for name, each in weights.items() if not is_finite(each))
        origin = f"not finite are the weights {wrong}"
    elif wrong := ", ".join(name for name, each in inputs.items() if each.dtype.kind == "f" and not is_finite(each)):
        origin = f"the input {wrong} has NaN or infinity, which allow_nan lets through"
    else:
        wrong = ", ".join(dict.fromkeys(_OF_LOSS.sub("", name) for name, each in outputs.items() if not is_finite(each)))
        origin = f"it comes from output {wrong}" if wrong else f"the outputs are finite, {_reaching(outputs)}"
        origin += f"; the largest weight is {largest:.3g}, in {name}"
    raise NotFinite(f"the loss is {loss}: {origin}")


def _size(entry: tuple[str, float]) -> float:
    return math.inf if math.isnan(entry[1]) else entry[1]


def _reaching(outputs: Mapping[str, Array]) -> str:
    return f"the largest of them {max((float(np.abs(each).max(initial=0.0)) for each in outputs.values()), default=0.0):.3g}"


def check_gradient(bounds: tuple[float, float], gradient: Mapping[str, Array], *, clipped: bool) -> None:
    """NotFinite if a gradient with these bounds is NaN, or infinite unless its numbers are `clipped`."""
    if any(map(math.isnan, bounds)) or (not clipped and not all(map(math.isfinite, bounds))):
        wrong = [name for name, each in gradient.items() if not is_finite(each)]
        before = f", nor those of {len(wrong) - 1} weights before it" if len(wrong) > 1 else ""
        raise NotFinite(f"the loss is finite, and the gradient of {wrong[-1]} isn't{before}")


def check_updated(names: Sequence[str], values: Sequence[Array]) -> None:
    """NotFinite for new moving statistics that aren't finite."""
    for name, value in zip(names, values, strict=True):
        if not is_finite(value):
            raise NotFinite(f"the new value of {name} isn't finite")


def check_update(parameters: Parameters, weights: Array, update: Callable[[], None], flush: Callable[[], None]) -> None:
    """Makes an update of the flat weights; if a weight isn't finite then, NotFinite, the weights being those before it.

    `flush`: makes updates that wait.
    """
    flush()
    before = weights.copy()
    update()
    if not is_finite(weights):
        wrong = ", ".join(name for name, each in parameters.split(weights).items() if not is_finite(each))
        flush()
        weights[:] = before
        raise NotFinite(f"the loss and the gradient are finite, and an update would make {wrong} not finite")
