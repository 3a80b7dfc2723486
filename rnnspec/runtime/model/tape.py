"""The tape of a recorded forward call, and the gradients of its backward calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, cast

import numpy as np

from rnnspec.contract.executable import Array, NativeTape
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import as_numbers


@frozen
class Tape:
    """One recorded forward call: a value of its own, that neither another call nor another thread touches.

    It can be used for any number of backward calls, as long as the weights are those it was recorded with.
    """

    native: NativeTape
    weights_version: int
    """Of the weights, in training but for those that such a call updates: no derivative reads them."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the outputs, padded."""

    @property
    def key(self) -> int:
        """The key that the call's dropout was drawn from; 0 outside of training."""
        return self.native.key

    def cotangents(self, dy: object, names: Sequence[str], dtype: np.dtype[np.generic]) -> list[Array]:
        """The caller's `dy` for the outputs of these names, in the model's dtype; ValueError for other shapes, and for values beyond it."""
        several = len(names) > 1
        given = list(cast(Sequence[object], dy)) if several and isinstance(dy, Sequence) else [dy]
        if len(given) != len(names):
            raise ValueError(f"dy: expected a list of {len(names)} arrays, for {', '.join(names)}; got {len(given)}")
        cotangents: list[Array] = []
        for name, shape, value in zip(names, self.shapes, given, strict=True):
            what = f"dy of {name}" if several else "dy"
            array = as_numbers(value, what)
            if array.shape != shape:
                raise ValueError(f"{what}: expected the output's shape {shape}, got {array.shape}")
            with np.errstate(over="ignore"):
                converted = np.require(array, dtype, ["C", "A"])
            if converted.dtype != array.dtype and (wrong := np.argwhere(np.isinf(converted) & np.isfinite(array))).size:
                entry = tuple(int(number) for number in wrong[0])
                raise ValueError(f"{what}, entry {entry}: expected a value that {dtype} holds, got {array[entry]}")
            cotangents.append(converted.view())  # whose shape nobody else changes
        return cotangents

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tape can't be pickled or copied: call forward(record=True) again, with the model's copy if there is one")


@frozen
class Gradients:
    """Gradients of Σ y·dy: `weights` by weight name in the weights' order and shapes, `inputs` by float input's name.

    An input's gradient has the padded input's shape and is zero at masked steps.
    """

    weights: Mapping[str, Array]
    inputs: Mapping[str, Array]
