"""Values of a model of layers: what moves elements is read off their origins, and said by `Slice`, `Concatenate` and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import Roles
from rnnspec.interop.graph.graph import Value, ValueOf, Word
from rnnspec.interop.onnx_files.elements import Entry, Numbers, Pool
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node

MOST_PARTS = 64
"""Parts that are put together."""

FLIP = """cell Backwards(units) {
    state last [units]

    last' = x
    return x
}
"""
"""A cell that changes nothing: with `go_backwards` it gives the steps in reversed order."""


@frozen(eq=False)
class Use:
    """A layer in the model. `affine`: the scale and the shift of one that has no layer yet."""

    layer: str
    arguments: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str
    weights: Mapping[str, Array] = field(default_factory=dict[str, Array])
    affine: tuple[Array | None, Array | None] | None = None


class LayerValues:
    """Layers so far, and values made of others by moving elements. `texts`: declarations; `notes`: what was decided; `axes`: as of
    a `SourceCall`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.uses: list[Use] = []
        self.texts: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.axes: dict[str, Roles] = {}
        self._made: dict[tuple[tuple[int, ...], bytes], Entry] = {}

    def add(
        self,
        layer: str,
        arguments: Mapping[str, Value],
        operands: Sequence[Entry],
        result: tuple[int, int],
        node: Node | None,
        *,
        weights: Mapping[str, Array] | None = None,
        is_open: bool | None = None,
        uniform: bool = False,
        affine: tuple[Array | None, Array | None] | None = None,
    ) -> Entry:
        """A layer of one result, (steps, features). `is_open`: as the operands' lengths by default."""
        key = f"value {len(self.pool.entries)}"
        is_open = result[0] > 1 and any(each.is_open for each in operands) if is_open is None else is_open
        made = self.pool.add(key, *result, is_open=is_open, uniform=uniform)
        source = node.name if node is not None else ""
        self.uses.append(Use(layer, arguments, tuple(each.key for each in operands), (key,), source, weights or {}, affine))
        return made

    def value(self, first: Numbers, node: Node) -> Entry:
        """See `Emitter`."""
        key = (first.shape, first.tobytes())
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._value(first, node)
        return found

    def _value(self, first: Numbers, node: Node) -> Entry:
        place = self.pool.place(first)
        if (place == place.flat[0]).all():
            entry = self.pool.entries[int(place.flat[0])]
            if entry.constant:
                raise Unfit("numbers of the file stand where a value should, and no layer makes them")
            return self._of_one(entry, first, node)
        if (place == place[:1]).all():
            return self._side_by_side(first, node)
        if (place == place[:, :1]).all():
            return self._one_after_the_other(first, place[:, 0], node)
        if len(first) == 1:
            return self._side_by_side(first, node)
        raise Unfit("parts of several values are put together in a way that no layer has")

    def _of_one(self, entry: Entry, first: Numbers, node: Node) -> Entry:
        origin = self.pool.origin(first)
        step, feature = origin.step, origin.feature
        if entry.uniform and first.shape[1] in (1, entry.features):
            feature = np.broadcast_to(np.arange(first.shape[1], dtype=np.int64), first.shape)
        steps, features = step[:, 0], feature[0]
        if (step == steps[:, None]).all() and (feature == features).all():
            return self._features(self._steps(entry, steps, node), features, node)
        return self._rearranged(entry, first, node)

    def _steps(self, entry: Entry, steps: Numbers, node: Node) -> Entry:
        """Some of the steps of a sequence, or a row at many."""
        count, there, features = len(steps), entry.steps, entry.features
        if there == 1:
            return entry if count == 1 else self._repeated(entry, count, node)
        if np.array_equal(steps, np.arange(there)):
            return entry
        if np.array_equal(steps, np.arange(there)[::-1]):
            return self.flipped(entry, node)
        if count == 1:
            step = int(steps[0])
            if step == there - 1:
                return self.add("Last", {}, [entry], (1, features), node)
            one = self._slice(entry, step, step + 1, node)
            return self.add("Flatten", {}, [one], (1, features), node)
        if count > 1 and (steps == steps[0]).all():
            return self._repeated(self._steps(entry, steps[:1], node), count, node)
        if count % there == 0 and np.array_equal(steps, np.repeat(np.arange(there), count // there)):
            return self.add("UpSampling1D", {"size": count // there}, [entry], (count, features), node, is_open=entry.is_open)
        stride = int(steps[1] - steps[0])
        if not (np.diff(steps) == stride).all() or stride < 1:
            raise Unfit("steps of a sequence are taken in an order that no layer has")
        if stride == 1:
            return self._slice(entry, int(steps[0]), int(steps[-1]) + 1, node)
        rest = self._slice(entry, int(steps[0]), there, node) if steps[0] else entry
        if -(-rest.steps // stride) != count:
            rest = self._slice(rest, 0, (count - 1) * stride + 1, node)
        return self.add("MaxPooling1D", {"pool_size": 1, "strides": stride}, [rest], (count, features), node)

    def _slice(self, entry: Entry, start: int, stop: int, node: Node) -> Entry:
        """Steps from `start` up to `stop`, counted from the end where that is nearer and the length isn't fixed."""
        there = entry.steps
        first = start - there if entry.is_open and start > there - start else start
        last = None if stop == there else stop - there if entry.is_open and (stop > there - stop or first < 0) else stop
        is_open = entry.is_open and (first < 0) == (last is not None and last > 0)
        arguments: dict[str, Value] = {"start": first, "stop": last}
        return self.add("Slice", arguments, [entry], (stop - start, entry.features), node, is_open=is_open)

    def flipped(self, entry: Entry, node: Node) -> Entry:
        """A sequence in reversed order."""
        self.texts[FLIP] = None
        arguments: dict[str, Value] = {"units": entry.features, "return_sequences": True, "go_backwards": True}
        return self.add("Backwards", arguments, [entry], (entry.steps, entry.features), node)

    def _repeated(self, entry: Entry, count: int, node: Node) -> Entry:
        like = next((each for each in self.pool.entries if each.is_open and each.steps == count), None)
        arguments: dict[str, Value] = {"n": count} if like is None else {"like": ValueOf(like.key)}
        return self.add("RepeatVector", arguments, [entry], (count, entry.features), node, is_open=like is not None)

    def _features(self, entry: Entry, features: Numbers, node: Node) -> Entry:
        """Some of the features of each step."""
        count = len(features)
        if np.array_equal(features, np.arange(entry.features)):
            return entry
        if np.array_equal(features, int(features[0]) + np.arange(count)):
            stop = int(features[-1]) + 1
            arguments: dict[str, Value] = {
                "start": int(features[0]),
                "stop": None if stop == entry.features else stop,
                "axis": -1,
            }
            return self.add("Slice", arguments, [entry], (entry.steps, count), node)
        kernel = np.zeros((entry.features, count), np.float32)
        kernel[features, np.arange(count)] = 1
        arguments = {"units": count, "use_bias": False, "trainable": False}
        return self.add("Dense", arguments, [entry], (entry.steps, count), node, weights={"kernel": kernel})

    def _rearranged(self, entry: Entry, first: Numbers, node: Node) -> Entry:
        """The same numbers, or those of some steps, in another shape."""
        if entry.is_open:
            if len(first) == 1 and len(np.unique(self.pool.origin(first).step)) <= MOST_PARTS:
                return self._side_by_side(first, node)
            raise Unfit("steps and features of a sequence are exchanged or joined, of which the length isn't fixed")
        whole, (steps, features) = self.pool.first(entry), first.shape
        touched = np.unique(self.pool.origin(first).step)
        if len(touched) < entry.steps and first.size == len(touched) * entry.features:
            part = self._steps(entry, touched, node)
            numbers = self.pool.first(part)[np.searchsorted(touched, self.pool.origin(first).step), self.pool.origin(first).feature]
            return self.value(np.asarray(numbers, np.int64), node)
        if first.size != whole.size:
            return (
                self._side_by_side(first, node) if steps == 1 else self._one_after_the_other(first, np.arange(steps, dtype=np.int64), node)
            )
        if np.array_equal(first.ravel(), whole.ravel()):
            if steps == 1:
                return self.add("Flatten", {}, [entry], (1, features), node)
            return self.add("Reshape", {"target_shape": (steps, features)}, [entry], (steps, features), node)
        if np.array_equal(first.ravel(), whole.T.ravel()) and entry.steps > 1:
            turned = self.add("Permute", {"dims": (2, 1)}, [entry], (entry.features, entry.steps), node)
            return self.value(self.pool.first(turned).reshape(first.shape), node)
        if steps > 1 and entry.steps == 1 and np.array_equal(first.T.ravel(), whole.ravel()):
            turned = self.value(first.T.copy(), node)
            return self.add("Permute", {"dims": (2, 1)}, [turned], (steps, features), node)
        if entry.steps > 1:
            flat = self.add("Flatten", {}, [entry], (1, entry.size), node)
            return self.value(first - entry.base + flat.base, node)
        if steps > 1:
            row = self.value(first.reshape(1, -1), node)
            return self.add("Reshape", {"target_shape": (steps, features)}, [row], (steps, features), node)
        raise Unfit("elements of a value are put in an order that no layer has")

    def _side_by_side(self, first: Numbers, node: Node) -> Entry:
        """Columns of several values: runs of consecutive features of each."""
        origin = self.pool.origin(first)
        same = (np.diff(origin.entry, axis=1) == 0) & (np.diff(origin.step, axis=1) == 0) & (np.diff(origin.feature, axis=1) == 1)
        cuts = np.flatnonzero(~same.all(axis=0)) + 1
        if len(cuts) + 1 > MOST_PARTS:
            raise Unfit("more than 64 parts of values are put side by side")
        if not len(cuts):
            raise Unfit("elements of a value are put in an order that no layer has")
        parts = [self.value(np.ascontiguousarray(part), node) for part in np.split(first, cuts, axis=1)]
        return self.add("Concatenate", {}, parts, (len(first), first.shape[1]), node)

    def _one_after_the_other(self, first: Numbers, marks: Numbers, node: Node) -> Entry:
        """Steps of several values: runs of each, zeros at the ends."""
        cuts = np.flatnonzero(np.diff(marks)) + 1
        parts = np.split(first, cuts)
        zeros = [self._is_zero(part) for part in parts]
        start, end = len(parts[0]) if zeros[0] else 0, len(parts[-1]) if zeros[-1] else 0
        if start or end:
            inner = self.value(np.ascontiguousarray(first[start : len(first) - end]), node)
            inner = inner if inner.steps > 1 else self.as_sequence(inner, node)
            return self.add("ZeroPadding1D", {"padding": (start, end)}, [inner], first.shape, node)
        if len(parts) > MOST_PARTS:
            raise Unfit("more than 64 parts of values are put one after the other")
        made = [self.value(np.ascontiguousarray(part), node) for part in parts]
        sequences = [each if each.steps > 1 else self.as_sequence(each, node) for each in made]
        return self.add("Concatenate", {"axis": 1}, sequences, first.shape, node)

    @staticmethod
    def word(name: str) -> Word:
        """A name as an argument."""
        return Word(name)

    def as_sequence(self, row: Entry, node: Node) -> Entry:
        """A row as a sequence of one step."""
        return self.add("Reshape", {"target_shape": (1, row.features)}, [row], (1, row.features), node)

    def _is_zero(self, part: Numbers) -> bool:
        entries = self.pool.entries_in(part)
        if len(entries) != 1 or not entries[0].constant:
            return False
        return not self.pool.known[entries[0].key][part - entries[0].base].any()
