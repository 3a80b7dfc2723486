"""Tensors between the axes of the source and those of a model, (samples, steps, features)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnspec.interop.onnx_files.elements import Numbers
from rnnspec.interop.onnx_files.roles import Role

_RANKS = {Role.BATCH: 0, Role.TIME: 1, Role.FEATURES: 2}


def _order(roles: Sequence[Role]) -> list[int]:
    return sorted(range(len(roles)), key=lambda axis: (_RANKS[roles[axis]], axis))


def arranged(whole: Numbers, roles: Sequence[Role], sizes: tuple[int, ...]) -> Numbers:
    """(samples, steps, features) as the source's axes have them."""
    order = _order(roles)
    if Role.BATCH not in roles:
        whole = whole[:1]
    return whole.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order).tolist())


def gathered(numbers: Numbers, roles: Sequence[Role]) -> Numbers:
    """A tensor of the source's axes as rows of samples, (samples, features)."""
    turned = numbers.transpose(_order(roles))
    return turned.reshape(turned.shape[0] if Role.BATCH in roles else 1, -1)
