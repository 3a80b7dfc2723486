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
from rnnspec.training.updates import Updates

_OF_LOSS = re.compile(f"^({loss_name('')}|{metrics_name('')})")
"""The beginning of the name of a result that isn't an output itself."""

_OF_SHARDS = "it comes from a sample of one of the shards"

LARGE = 1e15
"""A gradient's number, or a learning rate, from which on an update may go beyond float32: such updates are looked at once they are made."""


class NotFinite(Exception):
    """A loss, a gradient or a weight that isn't finite, in words; the weights are those before the update."""


def check_loss(
    loss: float, weights: Mapping[str, Array], inputs: Mapping[str, Array], outputs: Mapping[str, Array], states: Mapping[str, Array]
) -> None:
    """NotFinite for a loss that isn't finite, with the likeliest origin among the numbers of its batch.

    `inputs`: those that nobody has looked at. `states`: those that earlier calls left.
    """
    if math.isfinite(loss):
        return
    name, largest = max(((name, float(np.abs(each).max(initial=0.0))) for name, each in weights.items()), key=_size, default=("", 0.0))
    if not math.isfinite(largest):
        wrong = ", ".join(name for name, each in weights.items() if not is_finite(each))
        origin = f"not finite are the weights {wrong}"
    elif wrong := ", ".join(name for name, each in states.items() if not is_finite(each)):
        origin = f"an earlier call has left NaN or infinity in the states {wrong}: reset_states() starts anew"
    elif wrong := ", ".join(name for name, each in inputs.items() if each.dtype.kind == "f" and not is_finite(each)):
        origin = f"the input {wrong} has NaN or infinity, which allow_nan lets through"
    else:
        wrong = ", ".join(dict.fromkeys(_OF_LOSS.sub("", name) for name, each in outputs.items() if not is_finite(each)))
        origin = f"it comes from output {wrong}" if wrong else f"the outputs are finite, {_reaching(outputs)}" if outputs else _OF_SHARDS
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


def check_update(parameters: Parameters, weights: Array, update: Callable[[], None], updates: Updates) -> None:
    """Makes an update of the flat weights; NotFinite if a weight, or a number of the optimizer's state, isn't finite then.

    Weights and optimizer are those before it then.
    """
    updates.flush(weights)
    before, optimizer = weights.copy(), updates.optimizer
    states = {name: np.array(value) for name, value in optimizer.states().items()}
    update()
    updates.flush(weights)
    wrong = [name for name, each in parameters.split(weights).items() if not is_finite(each)]
    if not wrong and all(is_finite(each) for each in optimizer.states().values()):
        return
    weights[:] = before
    optimizer.restore(states)
    what = ", ".join(wrong) or f"the state of {type(optimizer).__name__}"
    raise NotFinite(f"the loss and the gradient are finite, and an update would make {what} not finite")
