"""Class weights: factors of the loss by the class of a row's target, by Keras's rule (keras.src.trainers.data_adapters, 3.15)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.diagnostics import name_faults
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import as_numbers
from rnnspec.runtime.data.validate import finite_number
from rnnspec.training.objectives import Objective
from rnnspec.training.sequence_losses import SequenceLoss

_FORMS = "expected a mapping from class numbers to weights, or a list with a weight for each class"


@frozen
class ClassWeights:
    """The weights of one output's classes.

    `classes`: int64 (n,), sorted, class numbers from 0. `weights`: float64 (n,), the weight of each; any other class weighs 1.
    """

    classes: NDArray[np.int64]
    weights: Array

    def of(self, targets: Array) -> Array:
        """The weight of each row, float64 (rows,).

        `targets`: class numbers (rows,), or values (rows, width), whose class is the place of the largest, the first of several; that
        of a single value is the whole number next to it, the even one of two.
        """
        if not len(self.classes):
            return np.ones(len(targets))
        classes = targets if targets.ndim == 1 else np.round(targets[:, 0]) if targets.shape[1] == 1 else targets.argmax(axis=1)
        places = np.minimum(np.searchsorted(self.classes, classes), len(self.classes) - 1)
        return np.where(self.classes[places] == classes, self.weights[places], 1.0)


def class_weights_for(
    trained: Sequence[Objective], given: object, of_spec: Sequence[float | Sequence[float] | None] | None = None
) -> tuple[ClassWeights | None, ...]:
    """The class weights of each output with a loss, None for one without; `given` as for `Model.fit`.

    `of_spec`: a train section's, instead where none are given: weights of classes, or an entry for each of the model's outputs.
    ValueError for anything but class numbers that the output has, with finite numbers.
    """
    if given is None and of_spec is not None:
        flat = all(isinstance(each, Real) for each in of_spec)
        given = list(of_spec) if flat else [of_spec[objective.place] for objective in trained]
    return tuple(_class_weights(each, one) for each, one in zip(trained, _by_objective(trained, given), strict=True))


def _by_objective(trained: Sequence[Objective], given: object) -> Sequence[object]:
    names = [objective.output.name for objective in trained]
    if given is None:
        return [None] * len(trained)
    one: object = given
    if isinstance(given, Mapping):
        named = cast(Mapping[object, object], given)
        if not named:
            return [None] * len(trained)
        if all(isinstance(key, str) for key in named):
            if faults := name_faults(names, cast(Iterable[str], named), complete=False):
                raise ValueError(f"class_weight: the outputs with a loss are {', '.join(names)}; {faults}")
            return [named.get(name) for name in names]
    elif isinstance(given, (list, tuple)):
        listed = cast(Sequence[object], given)
        if listed and not any(isinstance(each, Real) for each in listed):
            if len(listed) != len(names):
                raise ValueError(f"class_weight: expected one for each of the outputs with a loss, {', '.join(names)}, got {len(listed)}")
            return listed
    if len(names) > 1:
        several = f"expected a list or a mapping with the class weights of each of {', '.join(names)}"
        raise ValueError(f"class_weight: {several}; None for an output without")
    return [one]


def _class_weights(objective: Objective, given: object) -> ClassWeights | None:
    """The class weights of one output, checked."""
    if given is None:
        return None
    what = f"class_weight of {objective.label}" if objective.label else "class_weight"
    if isinstance(objective.loss, SequenceLoss):
        raise ValueError(f"{what}: the loss {objective.loss.name} takes whole sequences of labels, which are of no one class")
    if isinstance(given, Mapping):
        pairs = list(cast(Mapping[object, object], given).items())
    else:
        weights = as_numbers(given, what)
        if weights.ndim != 1:
            raise ValueError(f"{what}: {_FORMS}, got shape {weights.shape}")
        pairs = list(enumerate(cast(list[object], weights.tolist())))
    found: dict[int, float] = {}
    width = cast(int, objective.output.shape[-1])
    for key, value in pairs:
        number = finite_number(key)
        if number is None or number < 0 or not number.is_integer():
            raise ValueError(f"{what}: {_FORMS}; {key!r} is no class number")
        if width > 1 and number >= width:
            raise ValueError(f"{what}: there is no class {int(number)}: output {objective.output.name} has the classes 0..{width - 1}")
        if (weight := finite_number(value)) is None:
            raise ValueError(f"{what}, class {int(number)}: expected a finite number, got {value!r}")
        found[int(number)] = weight
    classes = sorted(found)
    return ClassWeights(np.array(classes, np.int64), np.array([found[each] for each in classes], np.float64))
