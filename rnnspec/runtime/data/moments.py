"""The mean and the variance of data, of its real steps alone: what `adapt` sets in layers that have them as weights.

Parts are put together as by Chan, Golub and LeVeque (1983), in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from numbers import Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import IndexSignature, InputSignature, MomentsSignature, MomentsUse, Signature
from rnnspec.diagnostics import AdaptWarning
from rnnspec.frozen import frozen
from rnnspec.runtime.data.batches import Mask
from rnnspec.runtime.data.columns import Column, RaggedArray, entry_error, is_list
from rnnspec.runtime.data.finite_inputs import not_finite
from rnnspec.runtime.data.sources import Batch, Source, inputs_of, numbered, source_of, unpacked
from rnnspec.runtime.data.validate import check_inputs, inputs_by_name

Floats = NDArray[np.float64]


class Moments:
    """The number of rows so far, their mean and the sum of their squared distances from it, each (features,)."""

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean: Floats = np.zeros(features)
        self.squares: Floats = np.zeros(features)

    def add(self, rows: Floats) -> None:
        """Takes further rows, (rows, features), all finite."""
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        count = self.count + len(rows)
        apart, share = mean - self.mean, len(rows) / count
        self.squares += ((rows - mean) ** 2).sum(axis=0) + apart**2 * (self.count * share)
        self.mean += apart * share
        self.count = count

    @property
    def variance(self) -> Floats:
        """The mean squared distance from the mean."""
        return self.squares / max(self.count, 1)


@frozen
class _Target:
    """A layer, and one of the values that it is applied to; `what` names that in messages."""

    layer: MomentsSignature
    use: MomentsUse
    what: str


def adapted(signature: Signature, x: object, mask: object = None, lengths: object = None) -> dict[str, Array]:
    """The new means and variances by the names of their weights, of the model's dtype; `x` and errors as for `CompiledModel.adapt`."""
    shapes = {weight.name: weight.shape for weight in signature.weights}
    sums = {each.layer: Moments(shapes[each.mean][0] if shapes[each.mean] else 1) for each in signature.moments}
    taken: dict[str, str] = {}
    for target, data in _data(signature, x, mask, lengths):
        taken[target.layer.layer] = target.what
        together = not shapes[target.layer.mean]
        for rows in _real_rows(signature, target, data):
            sums[target.layer.layer].add(rows.reshape(-1, 1) if together else rows)
    if not taken:
        raise ValueError("adapt: the source of batches gave none")
    found: dict[str, Array] = {}
    for each in signature.moments:
        if each.layer not in taken:
            continue
        made = sums[each.layer]
        if not made.count:
            raise ValueError(f"{taken[each.layer]}: there is no real step to adapt {each.layer} to")
        for name, values in ((each.mean, made.mean), (each.variance, made.variance)):
            with np.errstate(over="ignore"):
                converted: Array = values.astype(signature.dtype)
            if not np.isfinite(converted).all():
                raise ValueError(f"{taken[each.layer]}: {name} would be more than {signature.dtype} holds: the numbers are too large")
            found[name] = converted.reshape(shapes[name])
    return found


def _data(signature: Signature, x: object, mask: object, lengths: object) -> Iterator[tuple[_Target, Batch]]:
    """Each layer that is adapted with the data for it; of a source of batches one batch after the other."""
    is_bare = mask is None and lengths is None
    by_name = _targets(signature)
    source = source_of(x, lists=False)  # None for a mapping
    if source is not None:
        _refuse_steps(source, is_bare)
        yield from _of_batches(signature, by_name, source)
        return
    named = _named(signature, by_name, x)
    sequences = [name for name in named if any(target.use.is_sequence for target in by_name[name])]
    masks, counts = (_of_names(what, given, sequences) for what, given in (("mask", mask), ("lengths", lengths)))
    for name, value in named.items():
        source = source_of(value, lists=False)
        if source is not None:
            _refuse_steps(source, name not in masks and name not in counts)
            yield from _of_one(by_name[name], source)
            continue
        for target in by_name[name]:
            yield target, Batch(value, mask=masks.get(name), lengths=counts.get(name))


def _targets(signature: Signature) -> dict[str, list[_Target]]:
    """By inputs, and by layers, the layers to adapt."""
    found: dict[str, list[_Target]] = {}
    for layer in signature.moments:
        for use in layer.uses:
            if use.input:
                found.setdefault(use.input, []).append(_Target(layer, use, f"input {use.input}"))
    for layer in signature.moments:
        found.setdefault(layer.layer, [_Target(layer, layer.uses[0], f"data of layer {layer.layer}")])
    return found


def _named(signature: Signature, by_name: Mapping[str, list[_Target]], x: object) -> dict[str, object]:
    """The data by the names of inputs or layers; inputs that no such layer takes may be among them, but nothing else."""
    inputs = [spec.name for spec in signature.inputs]
    adapting = [name for name in by_name if name in inputs]
    if isinstance(x, Mapping):
        given = cast(Mapping[str, object], x)
        if unknown := [str(name) for name in given if name not in by_name and name not in inputs]:
            raise ValueError(f"{', '.join(unknown)}: neither an input nor a layer to adapt; those to adapt are {', '.join(by_name)}")
    elif len(adapting) == 1:
        given = {adapting[0]: x}
    elif adapting:
        given = inputs_by_name(signature, x)
    else:
        given = dict[str, object]()
    named = {name: value for name, value in given.items() if name in by_name}
    if not named:
        layers = ", ".join(each.layer for each in signature.moments)
        advice = f"give the data by the layer's name, model.adapt({{{signature.moments[0].layer!r}: values}})"
        raise ValueError(f"no layer to adapt takes an input as it is, or one that is given; {layers} can be adapted: {advice}")
    return named


def _of_names(what: str, given: object, sequences: list[str]) -> Mapping[str, object]:
    """A mask or lengths by name: of the only sequence, or a mapping."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        named = cast(Mapping[str, object], given)
        if unknown := [str(name) for name in named if name not in sequences]:
            raise ValueError(f"{what}: {', '.join(unknown)}: no sequence of this name is adapted to")
        return named
    if len(sequences) != 1:
        problem = f"{len(sequences)} are adapted to: give a dict by name" if sequences else "none is adapted to"
        raise ValueError(f"{what}: it is of one sequence, and {problem}")
    return {sequences[0]: given}


def _refuse_steps(source: Source, is_bare: bool) -> None:
    if not is_bare:
        raise ValueError(f"mask and lengths: {source.name} gives batches, they are in these: rnnspec.data.Batch(...)")


def _of_batches(signature: Signature, by_name: Mapping[str, list[_Target]], source: Source) -> Iterator[tuple[_Target, Batch]]:
    """Of batches as `fit` takes them, the inputs that are adapted to."""
    for number, batch in enumerate(numbered(source.one_pass(), "", partial(inputs_of, signature))):
        named = inputs_by_name(signature, batch.x)
        sequences = [name for name in named if any(target.use.is_sequence for target in by_name.get(name, []))]
        masks, counts = (_of_names(what, given, sequences) for what, given in (("mask", batch.mask), ("lengths", batch.lengths)))
        for name, value in named.items():
            for target in by_name.get(name, []):
                told = _Target(target.layer, target.use, f"batch {number}: {target.what}")
                yield told, Batch(value, mask=masks.get(name), lengths=counts.get(name))


def _of_one(targets: list[_Target], source: Source) -> Iterator[tuple[_Target, Batch]]:
    """Of batches of one input's, or one layer's, data: arrays alone, or first in (x, y)."""

    def read(item: object) -> Batch:
        if isinstance(item, Batch):
            return item
        return unpacked(cast(object, item)) if isinstance(item, tuple) else Batch(item)

    for number, batch in enumerate(numbered(source.one_pass(), "", read)):
        for target in targets:
            yield _Target(target.layer, target.use, f"batch {number}: {target.what}"), batch


def _real_rows(signature: Signature, target: _Target, data: Batch) -> Iterator[Floats]:
    """The rows of real steps, (rows, features) in float64, some at a time; ValueError for a number that isn't finite."""
    use, name = target.use, target.use.input or target.layer.layer
    spec = InputSignature(name, use.shape)
    indices = (IndexSignature(((name, use.masked),)),) if use.is_sequence else ()
    alone = Signature(signature.model, signature.dtype, (spec,), (), (), indices=indices)
    try:
        inputs = check_inputs(alone, _with_features(data.x, use), data.mask, data.lengths, at_once=False)
    except ValueError as error:
        raise ValueError(_told(str(error), f"input {name}", target.what)) from None
    column = inputs.columns[name]
    real = inputs.sequences[name].present[use.masked] if use.is_sequence else None
    if isinstance(column, RaggedArray):
        yield _rows(target, column, column.flat, real, 0)
        return
    for part in column.parts():
        yield _rows(target, column, column.cut(part), None if real is None else real[part], part.start)


def _rows(target: _Target, column: Column, values: Array, real: Mask | None, first: int) -> Floats:
    if (wrong := not_finite(column, values, real, first)) is not None:
        problem = f"expected a number to adapt {target.layer.layer} to, got {wrong[1]}"
        raise entry_error(target.what, column, wrong[0], problem, sequence=target.use.is_sequence)
    rows: Array = values if real is None else values[real]
    return rows.reshape(-1, values.shape[-1]).astype(np.float64)


def _with_features(x: object, use: MomentsUse) -> object:
    """Numbers without an axis of features, as targets are given, where there is one feature."""
    kind: Any = x
    if use.shape == (1,) and is_list(x) and all(isinstance(item, Real) for item in kind):
        kind = np.asarray(kind)
    is_flat = use.shape[-1] == 1 and getattr(kind, "ndim", None) == len(use.shape)
    return np.asarray(kind)[..., None] if is_flat else x


def _told(message: str, named: str, what: str) -> str:
    """The message of a check, which names an input, under the name of what is adapted to."""
    return f"{what}{message.removeprefix(named)}" if message.startswith(named) else f"{what}: {message}"


def tell_unadapted(signature: Signature, weight: Callable[[str], Array]) -> None:
    """Warns of layers whose mean and variance are what they were at the beginning, 0 and 1, so that they pass on what they get."""
    layers = [each.layer for each in signature.moments if not weight(each.mean).any() and (weight(each.variance) == 1).all()]
    if layers:
        advice = "`model.adapt(x)` computes mean and variance of the data, or of a layer that takes no input `model.adapt({layer: values})`"
        warnings.warn(f"{', '.join(layers)}: a mean of 0 and a variance of 1, nothing is normalized: {advice}", AdaptWarning, stacklevel=3)
