"""Decoding of what a model gives that was trained by a loss of sequences, `ctc` or `crf`: from rows of classes to labels.

>>> import numpy as np
>>> from rnnspec.decoding import ctc_beam_decode, ctc_greedy_decode
>>> steps = np.log([[[0.6, 0.4], [0.6, 0.4]]])  # one sample, two steps, the blank and one label
>>> ctc_greedy_decode(steps).labels  # the likeliest path has two blanks
[[]]
>>> best = ctc_beam_decode(steps, top_paths=2)  # the label is likelier: three paths stand for it
>>> best.labels
[[1]]
>>> np.exp(best.scores).round(2)
array([[0.64, 0.36]])
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.runtime.data.columns import as_numbers
from rnnspec.runtime.data.validate import whole_number

_END = -1


class Decoded(NamedTuple):
    """The labels of each sample, as Keras's `ops.ctc_decode` gives them.

    `paths`: int32 (paths, samples, steps), the labels of the best path first, with -1 behind them. `scores`: float64 (samples, paths),
    each path's log-probability; of greedy decoding the negative sum of the predictions that were chosen.
    """

    paths: NDArray[np.int32]
    scores: NDArray[np.float64]

    @property
    def labels(self) -> list[list[int]]:
        """The best labels of each sample, as lists of their own lengths."""
        return [[int(label) for label in path if label != _END] for path in self.paths[0]]


def ctc_greedy_decode(
    prediction: object, lengths: object = None, *, mask: object = None, blank: int = 0, merge_repeated: bool = True
) -> Decoded:
    """The labels of each step's largest class: of equal neighbours one stays, then blanks go.

    argument        shape, type                meaning                                                     default
    --------------  -------------------------  ----------------------------------------------------------  --------
    prediction      (samples, steps, classes)  logits, or logarithms of probabilities: what `predict`      required
                                               gives
    lengths         (samples,), int            how many steps count, from the start                        all
    mask            (samples, steps), bool     the steps that count                                        all
    blank           int from 0                 the blank's class                                           0
    merge_repeated  bool                       whether of equal neighbours one stays                       True

    ValueError for arguments that don't fit, and for predictions that are no numbers.

    >>> import numpy as np
    >>> from rnnspec.decoding import ctc_greedy_decode
    >>> prediction = np.eye(3)[[[1, 1, 0, 1, 2, 2], [0, 2, 2, 0, 0, 0]]]
    >>> ctc_greedy_decode(prediction, lengths=[6, 2]).labels
    [[1, 1, 2], [2]]
    >>> ctc_greedy_decode(prediction, merge_repeated=False).paths[0]
    array([[ 1,  1,  1,  2,  2, -1],
           [ 2,  2, -1, -1, -1, -1]], dtype=int32)
    """
    values, real = _checked(prediction, lengths, mask, blank)
    paths = np.full((1, *values.shape[:2]), _END, np.int32)
    scores = np.zeros((len(values), 1))
    for sample, (rows, counts) in enumerate(zip(values, real, strict=True)):
        own = rows[counts]
        chosen = own.argmax(axis=1).tolist()
        labels = [label for label in ([one for one, _ in groupby(chosen)] if merge_repeated else chosen) if label != blank]
        paths[0, sample, : len(labels)] = labels
        scores[sample, 0] = -own.max(axis=1, initial=-np.inf).sum() if len(own) else 0.0
    return Decoded(paths, scores)


def ctc_beam_decode(
    prediction: object, beam_width: int = 100, top_paths: int = 1, lengths: object = None, *, mask: object = None, blank: int = 0
) -> Decoded:
    """The likeliest labels by a search that keeps `beam_width` beginnings of labels a step, with the sum of all paths that stand for each.

    argument    shape, type                meaning                                                         default
    ----------  -------------------------  --------------------------------------------------------------  --------
    prediction  (samples, steps, classes)  logits, or logarithms of probabilities: what `predict` gives    required
    beam_width  int from 1                 beginnings that are kept; the more, the surer                   100
    top_paths   int from 1 to beam_width   how many results for each sample                                1
    lengths     (samples,), int            how many steps count, from the start                            all
    mask        (samples, steps), bool     the steps that count                                            all
    blank       int from 0                 the blank's class                                               0

    Where there are fewer results than asked for, the others are empty with a score of -inf. Of equally likely beginnings those
    come first that came first a step before, then those whose new label has the lower number. ValueError as for `ctc_greedy_decode`. The
    search is that of Graves 2012, Supervised Sequence Labelling with Recurrent Neural Networks, section 7.5.3, without a language model.

    >>> import numpy as np
    >>> from rnnspec.decoding import ctc_beam_decode
    >>> prediction = np.log([[[0.1, 0.6, 0.3], [0.4, 0.3, 0.3], [0.3, 0.1, 0.6]]])
    >>> ctc_beam_decode(prediction, beam_width=10, top_paths=3).paths[:, 0].tolist()
    [[1, 2, -1], [2, -1, -1], [1, -1, -1]]
    """
    values, real = _checked(prediction, lengths, mask, blank)
    beam_width = whole_number("beam_width", beam_width, 1)
    top_paths = whole_number("top_paths", top_paths, 1)
    if top_paths > beam_width:
        raise ValueError(f"top_paths: expected at most beam_width, {beam_width}, got {top_paths}")
    paths = np.full((top_paths, *values.shape[:2]), _END, np.int32)
    scores = np.full((len(values), top_paths), -np.inf)
    for sample, (rows, counts) in enumerate(zip(values, real, strict=True)):
        for place, (labels, score) in enumerate(_likeliest(_log_softmax(rows[counts]), beam_width, blank)[:top_paths]):
            paths[place, sample, : len(labels)] = labels
            scores[sample, place] = score
    return Decoded(paths, scores)


def crf_decode(
    prediction: object,
    transitions: object,
    first: object = None,
    last: object = None,
    *,
    lengths: object = None,
    mask: object = None,
) -> Decoded:
    """The likeliest class of each step under a linear-chain conditional random field, by Viterbi's algorithm (Forney 1973).

    argument     shape, type                meaning                                                         default
    -----------  -------------------------  --------------------------------------------------------------  --------
    prediction   (samples, steps, classes)  scores, as the loss `crf` takes them: what `predict` gives      required
    transitions  (classes, classes)         scores of neighbours, from a step's class to the next one's     required
    first, last  (classes,)                 scores of a sequence's first and last class                     0
    lengths      (samples,), int            how many steps count, from the start                            all
    mask         (samples, steps), bool     the steps that count, neighbours where only others lie between  all

    The weights are those of the loss: "crf/dense/transitions", "crf/dense/first" and "crf/dense/last" in `model.weights`, for the output
    `dense`. A score of -inf rules a class or a pair out. `paths` has one path, with the classes of the steps that count one after
    the other; of equally likely ones that with the lower class where they differ last. Its score is -inf where every path is ruled
    out. ValueError as for `ctc_greedy_decode`, and for weights that don't fit.

    >>> import numpy as np
    >>> import rnnspec
    >>> from rnnspec.decoding import crf_decode
    >>> spec = "model Tagger { input x: float[time, 2]  Dense(2)  train { loss = crf  optimizer = Adam(0.1) } }"
    >>> model = rnnspec.compile(spec, seed=1)
    >>> random = np.random.default_rng(0)
    >>> y = (np.arange(9) + random.integers(2, size=(64, 1))) % 2  # two classes that take turns, and noise
    >>> x = np.eye(2)[y] + random.normal(size=(64, 9, 2))
    >>> _ = model.fit(x, y, epochs=30, verbose=False)
    >>> prediction = model.predict(x)
    >>> transitions, first, last = (model.weights[f"crf/dense/{name}"] for name in ("transitions", "first", "last"))
    >>> decoded = crf_decode(prediction, transitions, first, last)
    >>> bool((decoded.paths[0] == y).mean() > 0.95), bool((prediction.argmax(axis=2) == y).mean() > 0.95)
    (True, False)
    """
    values, real = _checked(prediction, lengths, mask, 0)
    classes = values.shape[2]
    pairs = _weight("transitions", transitions, (classes, classes))
    start = np.zeros(classes) if first is None else _weight("first", first, (classes,))
    end = np.zeros(classes) if last is None else _weight("last", last, (classes,))
    paths = np.full((1, *values.shape[:2]), _END, np.int32)
    scores = np.zeros((len(values), 1))
    for sample, (rows, counts) in enumerate(zip(values, real, strict=True)):
        own, scores[sample, 0] = _viterbi(rows[counts], pairs, start, end)
        paths[0, sample, : len(own)] = own
    return Decoded(paths, scores)


def _weight(name: str, given: object, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A weight of a random field in float64, each score a number or -inf."""
    values: NDArray[Any] = as_numbers(given, name).astype(np.float64)
    if values.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {values.shape}")
    if (wrong := np.argwhere(~(values < np.inf))).size:
        entry = tuple(int(number) for number in wrong[0])
        raise ValueError(f"{name}[{', '.join(map(str, entry))}]: expected a number, got {values[entry]}")
    return values


def _viterbi(rows: Array, transitions: Array, first: Array, last: Array) -> tuple[list[int], float]:
    """The likeliest classes of one sample (steps, classes), with their log-probability."""
    if not len(rows):
        return [], 0.0
    best = total = rows[0] + first
    origins: list[NDArray[np.intp]] = []
    for row in rows[1:]:
        paths = best[:, None] + transitions
        origins.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + row
        total = np.logaddexp.reduce(total[:, None] + transitions, axis=0) + row
    best, whole = best + last, float(np.logaddexp.reduce(total + last))
    label = int(best.argmax())
    labels = [label]
    for origin in reversed(origins):
        label = int(origin[label])
        labels.append(label)
    return labels[::-1], float(best.max()) - whole if whole > -np.inf else -np.inf


def _likeliest(logs: Array, width: int, blank: int) -> list[tuple[list[int], float]]:
    """The labels that are left at the end of one sample (steps, classes), with their log-probabilities, the likeliest first."""
    parents, lasts = [0], [_END]  # the beginnings met so far, each as another one with a label behind it; 0 is the empty one
    kept: list[int] = [0]
    with_blank, with_label = np.zeros(1), np.full(1, -np.inf)  # of paths that end in a blank, and in the last label
    known: dict[tuple[int, int], int] = {}
    classes = int(logs.shape[1])
    for row in logs:
        last = np.array([lasts[node] for node in kept])
        whole = np.logaddexp(with_blank, with_label)
        longer = whole[:, None] + row
        some = np.flatnonzero(last != _END)
        longer[some, last[some]] = with_blank[some] + row[last[some]]  # one label more only after a blank
        longer[:, blank] = -np.inf
        on_blank, on_label = whole + row[blank], np.where(last == _END, -np.inf, with_label + row[last])
        place_of = {node: place for place, node in enumerate(kept)}
        for place, node in enumerate(kept):
            before = place_of.get(parents[node]) if node else None
            if before is not None:
                on_label[place] = np.logaddexp(on_label[place], longer[before, lasts[node]])
                longer[before, lasts[node]] = -np.inf
        scores = np.concatenate([np.logaddexp(on_blank, on_label), longer.reshape(-1)])
        order: NDArray[np.intp] = np.argsort(-scores, kind="stable")[:width]
        order = order[scores[order] > -np.inf]
        size, following = len(kept), list[int]()
        for place in map(int, order):
            if place < size:
                following.append(kept[place])
                continue
            before, label = divmod(place - size, classes)
            node = known.setdefault((kept[before], label), len(parents))
            if node == len(parents):
                parents.append(kept[before])
                lasts.append(label)
            following.append(node)
        stays = order < size
        with_blank = np.where(stays, on_blank[np.where(stays, order, 0)], -np.inf)
        with_label = np.where(stays, on_label[np.where(stays, order, 0)], scores[order])
        kept = following
    return [
        (_labels_of(node, parents, lasts), float(score)) for node, score in zip(kept, np.logaddexp(with_blank, with_label), strict=True)
    ]


def _labels_of(node: int, parents: list[int], lasts: list[int]) -> list[int]:
    labels: list[int] = []
    while node:
        labels.append(lasts[node])
        node = parents[node]
    return labels[::-1]


def _log_softmax(logits: Array) -> Array:
    if not len(logits):
        return logits
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _checked(prediction: object, lengths: object, mask: object, blank: object) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The predictions in float64, and the steps that count, (samples, steps)."""
    values: NDArray[Any] = as_numbers(prediction, "prediction").astype(np.float64)
    if values.ndim != 3 or not values.shape[2]:
        raise ValueError(f"prediction: expected shape (samples, steps, classes), got {values.shape}")
    samples, steps, classes = map(int, values.shape)
    if whole_number("blank", blank, 0) >= classes:
        raise ValueError(f"blank: expected a class in 0..{classes - 1}, got {blank}")
    real: NDArray[np.bool_] = np.ones((samples, steps), np.bool_)
    if lengths is not None:
        counts = as_numbers(lengths, "lengths")
        if counts.shape != (samples,) or counts.dtype.kind not in "iu":
            raise ValueError(f"lengths: expected integers of shape ({samples},), got {counts.dtype} of shape {counts.shape}")
        if (wrong := np.flatnonzero((counts < 0) | (counts > steps))).size:
            raise ValueError(f"lengths: expected 0 to {steps} for sample {wrong[0]}, got {counts[wrong[0]]}")
        real = np.arange(steps) < counts[:, None]
    if mask is not None:
        given = as_numbers(mask, "mask")
        if given.shape != (samples, steps) or given.dtype.kind != "b":
            raise ValueError(f"mask: expected bools of shape ({samples}, {steps}), got {given.dtype} of shape {given.shape}")
        real = real & given.astype(np.bool_)
    ruled_out = (values == -np.inf).all(axis=2, keepdims=True)
    no_numbers: NDArray[np.bool_] = real[..., None] & (ruled_out | ~(values < np.inf))
    if no_numbers.any():
        sample, step, label = (int(number) for number in np.argwhere(no_numbers)[0])
        raise ValueError(f"prediction, sample {sample}, step {step}, class {label}: expected a number, got {values[sample, step, label]}")
    return values, real
