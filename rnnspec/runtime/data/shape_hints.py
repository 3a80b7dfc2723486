"""Advice for arrays of another shape than an input's: only what gives a shape that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rnnspec.contract.dimensions import Dim

Shape = tuple[int, ...]


def hint_for_array(wanted: Sequence[Dim], found: Shape, x: str) -> str:
    """What to write for an array `x` of the shape `found`, so that it fits the input's shape `wanted`, which is without the batch.

    Two where it may be meant in two ways; empty if nothing simple fits.
    """
    single = (1, *found)
    with_features = (*found, 1)
    hints: list[str] = []
    if _fits(wanted, single):
        hints.append(f"a single sample needs a batch axis: {x}[None]")
    if wanted[-1:] == (1,) and _fits(wanted, with_features):
        hints.append(f"a single feature needs an axis of its own: {x}[..., None]")
    if hints:
        return f"; {'; or '.join(hints)}"
    for text, made in _others(wanted, found, x):
        if made is not None and _fits(wanted, made):
            return f"; {text}"
    return ""


def _fits(wanted: Sequence[Dim], shape: Shape) -> bool:
    extents = zip(wanted, shape[1:], strict=False)
    return len(shape) == len(wanted) + 1 and all(not isinstance(extent, int) or extent == size for extent, size in extents)


def _others(wanted: Sequence[Dim], found: Shape, x: str) -> list[tuple[str, Shape | None]]:
    """Further ways, the likeliest first, with the shapes that they give, None where they give none."""
    sequence = len(wanted) == 2
    last = wanted[-1] if wanted else None
    rest = found[1:]
    size = int(np.prod(rest))
    hints: list[tuple[str, Shape | None]] = []
    if found[:1] == (1,) and len(found) == len(wanted) + 1:
        hints.append((f"a single feature needs an axis of its own, and there is a batch axis too many: {x}[0][..., None]", (*rest, 1)))
    if len(found) == 3:
        hints.append((f"the features are the last axis: np.swapaxes({x}, 1, 2)", (found[0], found[2], found[1])))
    if len(found) == 2:
        hints.append((f"a single sample needs a batch axis, and its features are the last one: {x}.T[None]", (1, found[1], found[0])))
    if len(found) == 1:
        hints.append((f"one sample with one feature: {x}[None, :, None]", (1, *found, 1)))
    hints.append((f"there is an axis too many: {x}[..., 0]", found[:-1] if found[-1:] == (1,) else None))
    hints.append((f"there is an axis too many: {x}[0]", rest if found[:1] == (1,) else None))
    if sequence and len(found) == 2 and isinstance(last, int) and last > 1 and size and size % last == 0:
        steps = size // last
        text = f"if the steps stand one after the other in a row: {x}.reshape({found[0]}, {steps}, {last})"
        hints.append((text, (found[0], steps, last)))
    if len(wanted) == 1 and len(found) > 2:
        hints.append((f"a row has one axis: {x}.reshape({found[0]}, {size})", (found[0], size)))
    return hints


def hint_for_list(shapes: Sequence[Shape], tail: Shape, x: str) -> str:
    """What to write for a list `x` of arrays of these shapes, so that each has the shape (steps, *tail); empty if nothing fits."""

    def all_fit(made: Callable[[Shape], Shape]) -> bool:
        return all(len(shape := made(each)) == len(tail) + 1 and shape[1:] == tail for each in shapes if each != (0,))

    if tail == (1,) and all(len(shape) == 1 for shape in shapes):
        alone = f" a single sample needs a batch axis: [{x}]; or" if all(shape == (1,) for shape in shapes) else ""
        return f";{alone} a single feature needs an axis of its own: [np.reshape(s, (-1, 1)) for s in {x}]"
    if all(shape == () for shape in shapes):
        if tail == (1,):
            return f"; one sample with one feature: np.reshape({x}, (1, -1, 1))"
        return f"; a single sample needs a batch axis: [{x}]" if tail == () else ""
    if all(shape == tail for shape in shapes):
        return f"; a single sample needs a batch axis: [{x}]"
    if not tail and all(len(shape) == 2 and shape[1] == 1 for shape in shapes):
        return f"; there is an axis too many: [np.ravel(s) for s in {x}]"
    if len(tail) == 1 and all_fit(lambda shape: shape[::-1]):
        return f"; the features are the last axis: [np.transpose(s) for s in {x}]"
    if all(shape[:1] == (1,) for shape in shapes) and all_fit(lambda shape: shape[1:]):
        return f"; there is an axis too many: [s[0] for s in {x}]"
    return ""
