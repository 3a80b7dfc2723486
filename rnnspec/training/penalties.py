"""Regularizers and constraints: penalties added to the loss, and projections of the weights after an update."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature, weight_ranges
from rnnspec.frozen import frozen
from rnnspec.training.constraints import Constraint, constraint
from rnnspec.training.regularizers import Penalty, penalty


@frozen
class PenalizedWeight:
    """A weight in the flat array of all."""

    range: slice
    shape: tuple[int, ...]

    def of(self, flat: Array) -> Array:
        """A view in the weight's shape."""
        return flat[self.range].reshape(self.shape)


@frozen
class Penalties:
    """A model's regularizers and constraints. As in Keras, a weight that isn't trained has neither."""

    weights: tuple[tuple[PenalizedWeight, Penalty], ...]
    activities: tuple[Penalty, ...]
    constraints: tuple[tuple[PenalizedWeight, Constraint], ...]

    def of_weights(self, weights: Array, gradient: Array | None) -> float:
        """The penalty of the flat weights; its gradient is added to the flat `gradient` if there is one."""
        with np.errstate(all="ignore"):
            return sum(each(place.of(weights), None if gradient is None else place.of(gradient), 1.0) for place, each in self.weights)

    def of_activities(self, activities: Sequence[Array], cotangents: Sequence[Array] | None, of_batch: int | None = None) -> float:
        """The penalty of layers' outputs, a mean over the batch; its gradient is added to the cotangents, if given.

        `of_batch`: the samples of a batch that these are a part of.
        """
        total = 0.0
        with np.errstate(all="ignore"):
            for number, (values, each) in enumerate(zip(activities, self.activities, strict=True)):
                if len(values):
                    total += each(
                        values, None if cotangents is None else cotangents[number], 1.0 / (len(values) if of_batch is None else of_batch)
                    )
        return total

    def constrain(self, weights: Array) -> None:
        """Applies every constraint, in place."""
        for place, each in self.constraints:
            each(place.of(weights))


def penalties(signature: Signature, frozen: Collection[str] = ()) -> Penalties:
    """The penalties and constraints that a signature names, for the weights that are trained, not `frozen`."""
    ranges = weight_ranges(signature.weights)
    trained = [
        (PenalizedWeight(ranges[weight.name], weight.shape), weight)
        for weight in signature.weights
        if weight.trainable and weight.name not in frozen
    ]
    return Penalties(
        tuple((place, penalty(weight.regularizer)) for place, weight in trained if weight.regularizer is not None),
        tuple(penalty(activity.regularizer) for activity in signature.activities),
        tuple((place, constraint(weight.constraint)) for place, weight in trained if weight.constraint is not None),
    )
