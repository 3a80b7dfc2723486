"""The tape of a recorded forward call, and the gradients of its backward calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from rnnspec.contract.executable import Array, NativeTape
from rnnspec.frozen import frozen


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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tape can't be pickled or copied: call forward(record=True) again, with the model's copy if there is one")


@frozen
class Gradients:
    """Gradients of Σ y·dy: `weights` by weight name in the weights' order and shapes, `inputs` by float input's name.

    An input's gradient has the padded input's shape and is zero at masked steps.
    """

    weights: Mapping[str, Array]
    inputs: Mapping[str, Array]
