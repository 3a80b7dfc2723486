"""Reports of an evaluation: how often each class is taken for which, and precision, recall and F1; of values their errors and R².

The numbers are those of scikit-learn's `classification_report`, `confusion_matrix`, `mean_absolute_error`, `root_mean_squared_error` and
`r2_score`, with weights.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.model_source import table
from rnnspec.contract.objective import RowEquations
from rnnspec.decoding import crf_decode
from rnnspec.diagnostics import caller_level
from rnnspec.frozen import frozen
from rnnspec.runtime.data.class_names import MARGINS, threshold_of
from rnnspec.runtime.data.prefetch import closing
from rnnspec.training.examples import ExampleBatch
from rnnspec.training.feeds import Feed
from rnnspec.training.loop import Totals, Trainer
from rnnspec.training.objectives import Objective
from rnnspec.training.targets import TargetBatch

MOST_CLASSES = 2000
"""The most classes that have a confusion matrix."""

SHOWN_CLASSES = 30
"""The most classes whose confusion matrix is shown; of more, the pairs that are taken for each other most often."""

SHOWN_PAIRS = 20

COLUMNS = ("precision", "recall", "f1-score", "support")
ERRORS = ("MAE", "RMSE", "R²")

Cell: TypeAlias = str | float


@frozen
class ReportTable:
    """A table of a report. `scores`: the number of columns behind the first that hold scores; further ones hold weights of rows."""

    heading: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    scores: int = 0

    def texts(self, *, short: bool) -> list[tuple[str, ...]]:
        """The rows as texts: a score with four digits behind the point if it is `short`, else with all; a whole weight without a point."""
        return [tuple(self._text(cell, column, short) for column, cell in enumerate(row)) for row in self.rows]

    def lines(self) -> list[str]:
        """The table as lines of aligned columns, numbers to the right."""
        return table(self.heading, self.texts(short=True), self.numbers)

    @property
    def numbers(self) -> set[int]:
        """The columns of numbers."""
        return {column for row in self.rows for column, cell in enumerate(row) if not isinstance(cell, str)}

    def _text(self, cell: Cell, column: int, short: bool) -> str:
        if isinstance(cell, str):
            return cell
        if column > self.scores and float(cell).is_integer() and abs(cell) < 1e15:
            return f"{cell:.0f}"
        return f"{cell:.4f}" if short else repr(float(cell))


class OutputReport(Protocol):
    """What is reported of an output."""

    def tables(self) -> list[ReportTable]:
        """The tables, in the order in which they are shown."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name, as floats, arrays as lists."""
        ...


@frozen(eq=False)
class ClassReport:
    """A report of classes, in the order of their numbers.

    `precision`, `recall`, `f1` and `support`: float64 (classes,). `support` is the weight of a class's rows; what would be divided by 0
    is 0. `confusion`: float64 (classes, classes), the weight of the rows of each true class, by the predicted class; None for more than
    2,000 classes. `multi_label`: whether each unit is a yes or no for itself; then `confusion` is (units, 2, 2) as scikit-learn's
    `multilabel_confusion_matrix` has it, [[right no, wrong yes], [wrong no, right yes]], and `accuracy` None.
    """

    names: tuple[str, ...]
    precision: Array
    recall: Array
    f1: Array
    support: Array
    accuracy: float | None
    averages: Mapping[str, tuple[float, float, float, float]]
    confusion: Array | None
    multi_label: bool

    def as_dict(self) -> dict[str, Any]:
        """As scikit-learn's `classification_report(..., output_dict=True)`, and the confusion matrix."""
        rows = zip(self.names, self.precision, self.recall, self.f1, self.support, strict=True)
        found: dict[str, Any] = {name: dict(zip(COLUMNS, map(float, row), strict=True)) for name, *row in rows}
        if self.accuracy is not None:
            found["accuracy"] = self.accuracy
        found |= {name: dict(zip(COLUMNS, row, strict=True)) for name, row in self.averages.items()}
        return found | {"confusion": None if self.confusion is None else self.confusion.tolist()}

    def tables(self) -> list[ReportTable]:
        """Precision and so on of each class and their means, then the confusion matrix or its largest parts."""
        rows: list[tuple[Cell, ...]] = [
            (name, *map(float, row)) for name, *row in zip(self.names, self.precision, self.recall, self.f1, self.support, strict=True)
        ]
        if self.accuracy is not None:
            rows.append(("accuracy", "", "", self.accuracy, float(self.support.sum())))
        rows += [(name, *row) for name, row in self.averages.items()]
        shown = [ReportTable(("", *COLUMNS), tuple(rows), 3)]
        if self.multi_label:
            assert self.confusion is not None
            cells = [(name, *map(float, unit.reshape(-1))) for name, unit in zip(self.names, self.confusion, strict=True)]
            return [*shown, ReportTable(("", "right no", "wrong yes", "wrong no", "right yes"), tuple(cells))]
        if self.confusion is None:
            return shown
        if len(self.names) <= SHOWN_CLASSES:
            cells = [(name, *map(float, row)) for name, row in zip(self.names, self.confusion, strict=True)]
            return [*shown, ReportTable(("true, by predicted", *self.names), tuple(cells))]
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        largest = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_PAIRS]
        places = [divmod(int(place), len(self.names)) for place in largest if wrong.flat[place] > 0]
        pairs = [(self.names[true], self.names[taken], float(wrong[true, taken])) for true, taken in places]
        return [*shown, ReportTable(("true", "taken for", "support"), tuple(pairs))]


@frozen(eq=False)
class ValueReport:
    """A report of values, unit by unit: float64 (units,). `support`: the weight of all rows. R² of targets that are all alike is 1 or 0."""

    names: tuple[str, ...]
    mae: Array
    rmse: Array
    r2: Array
    support: float

    def as_dict(self) -> dict[str, Any]:
        """The three numbers of each unit, and their means over the units."""
        rows = zip(self.names, self.mae, self.rmse, self.r2, strict=True)
        found: dict[str, Any] = {name: dict(zip(ERRORS, map(float, row), strict=True)) for name, *row in rows}
        return found | {"mean": dict(zip(ERRORS, self._means(), strict=True)), "support": self.support}

    def tables(self) -> list[ReportTable]:
        """A line for each unit, and the means if there are several."""
        rows: list[tuple[Cell, ...]] = [
            (name, *map(float, row), self.support) for name, *row in zip(self.names, self.mae, self.rmse, self.r2, strict=True)
        ]
        if len(rows) > 1:
            rows.append(("mean", *self._means(), self.support))
        return [ReportTable(("", *ERRORS, "support"), tuple(rows), 3)]

    def _means(self) -> tuple[float, float, float]:
        return float(self.mae.mean()), float(self.rmse.mean()), float(self.r2.mean())


@frozen(eq=False)
class Report:
    """An evaluation's results by name, as `evaluate` gives them, and a report for each output with a loss by the output's name.

    As a text it is the tables, numbers with four digits.
    """

    results: Mapping[str, Any]
    outputs: Mapping[str, OutputReport]

    def __str__(self) -> str:
        parts: list[str] = []
        for name, output in self.outputs.items():
            if len(self.outputs) > 1:
                parts.append(f"output {name}")
            parts += ["\n".join(each.lines()) for each in output.tables()]
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """All numbers by name: "results", and "outputs" with each output's, which of classes are as scikit-learn has them."""
        results = {name: np.asarray(value, np.float64).tolist() for name, value in self.results.items()}
        return {"results": results, "outputs": {name: output.as_dict() for name, output in self.outputs.items()}}


class _Tally(Protocol):
    def add(self, predictions: Array, batch: TargetBatch, output: Array) -> None:
        """The counted rows of a batch's output, and the whole output."""
        ...

    def report(self) -> OutputReport: ...


class _Classes:
    """Rows of one class each. `decide`: the classes of a batch's counted rows, (rows,)."""

    def __init__(self, names: tuple[str, ...], what: str, decide: Callable[[Array, TargetBatch, Array], Array], limit: float) -> None:
        self._names, self._what, self._decide, self._limit = names, what, decide, limit
        count = len(names)
        self._matrix = np.zeros((count, count)) if count <= MOST_CLASSES else None
        self._true, self._taken, self._hit = np.zeros((3, count))

    def add(self, predictions: Array, batch: TargetBatch, output: Array) -> None:
        _check_numbers(self._what, predictions)
        count = len(self._names)
        taken, true = self._decide(predictions, batch, output), _true_classes(batch.targets, self._limit)
        weights = np.ones(len(true)) if batch.weights is None else batch.weights.astype(np.float64)
        self._true += np.bincount(true, weights, count)
        self._taken += np.bincount(taken, weights, count)
        self._hit += np.bincount(true[true == taken], weights[true == taken], count)
        if self._matrix is not None:
            self._matrix += np.bincount(true * count + taken, weights, count * count).reshape(count, count)

    def report(self) -> ClassReport:
        scores = _scores(self._hit, self._taken, self._true)
        accuracy = float(_divided(self._hit.sum(), self._true.sum()))
        return ClassReport(self._names, *scores, self._true, accuracy, _averages(scores, self._true), self._matrix, False)


class _Labels:
    """Rows with a yes or no for each unit."""

    def __init__(self, names: tuple[str, ...], what: str, threshold: float, limit: float) -> None:
        self._names, self._what, self._threshold, self._limit = names, what, threshold, limit
        self._counts = np.zeros((len(names), 2, 2))
        self._of_rows, self._weight = np.zeros(3), 0.0
        """The weighted sums of each row's own scores, and of the weights."""

    def add(self, predictions: Array, batch: TargetBatch, output: Array) -> None:
        _check_numbers(self._what, predictions)
        taken, true = predictions > self._threshold, batch.targets > self._limit
        weights = np.ones(len(true)) if batch.weights is None else batch.weights.astype(np.float64)
        for yes, said in itertools.product((0, 1), repeat=2):
            self._counts[:, yes, said] += weights @ ((true == bool(yes)) & (taken == bool(said)))
        scores = _scores(*(each.sum(axis=1).astype(np.float64) for each in (true & taken, taken, true)))
        self._of_rows += np.array(scores) @ weights
        self._weight += float(weights.sum())

    def report(self) -> ClassReport:
        hit, true, taken = self._counts[:, 1, 1], self._counts[:, 1].sum(axis=1), self._counts[:, :, 1].sum(axis=1)
        scores = _scores(hit, taken, true)
        micro = tuple(float(each[0]) for each in _scores(*(each.sum(keepdims=True) for each in (hit, taken, true))))
        of_rows = _divided(self._of_rows, np.float64(self._weight)).tolist()
        averages = {"micro avg": (*micro, float(true.sum())), **_averages(scores, true), "samples avg": (*of_rows, float(true.sum()))}
        return ClassReport(self._names, *scores, true, None, cast(Any, averages), self._counts, True)


class _Values:
    """Rows of values; sums over batches are put together as by Chan et al. 1979."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._weight = 0.0
        self._absolute, self._squared, self._mean, self._around = np.zeros((4, len(names)))
        self._rows = 0

    def add(self, predictions: Array, batch: TargetBatch, output: Array) -> None:
        targets = batch.targets.astype(np.float64)
        weights = np.ones(len(targets)) if batch.weights is None else batch.weights.astype(np.float64)
        self._rows += len(targets)
        if not (weight := float(weights.sum())):
            return
        with np.errstate(all="ignore"):  # numbers that aren't finite are shown as they are
            error = predictions.astype(np.float64) - targets
            mean = weights @ targets / weight
            apart, share = mean - self._mean, weight / (self._weight + weight)
            self._around += weights @ (targets - mean) ** 2 + apart**2 * self._weight * share
            self._mean += apart * share
            self._absolute += weights @ abs(error)
            self._squared += weights @ error**2
            self._weight += weight

    def report(self) -> ValueReport:
        with np.errstate(all="ignore"):
            weight = self._weight or np.nan
            alike = self._around == 0
            r2 = np.where(alike, self._squared == 0, 1 - self._squared / np.where(alike, 1, self._around))
        r2 = r2 if self._rows > 1 else np.full(len(self._names), np.nan)
        return ValueReport(self._names, self._absolute / weight, np.sqrt(self._squared / weight), r2, self._weight)


def _check_numbers(what: str, predictions: Array) -> None:
    if wrong := np.count_nonzero(np.isnan(predictions).any(axis=1)):
        raise ValueError(f"{what}: {wrong} of {len(predictions)} predictions of a batch are NaN, which is no class")


def _true_classes(targets: Array, limit: float) -> Array:
    if targets.ndim == 1:
        return targets.astype(np.int64)
    return targets.argmax(axis=1) if targets.shape[1] > 1 else (targets[:, 0] > limit).astype(np.int64)


def _divided(numbers: Any, by: Any) -> Any:
    """0 where it would be divided by 0, as scikit-learn has it."""
    return np.divide(numbers, by, out=np.zeros_like(numbers, np.float64), where=np.asarray(by) != 0)


def _scores(hit: Array, taken: Array, true: Array) -> tuple[Array, Array, Array]:
    return _divided(hit, taken), _divided(hit, true), _divided(2 * hit, taken + true)


def _averages(scores: Sequence[Array], support: Array) -> dict[str, tuple[float, float, float, float]]:
    whole = float(support.sum())
    weighted = [float(_divided(support @ each, np.float64(whole))) for each in scores]
    return {
        "macro avg": cast(Any, (*(float(each.mean()) for each in scores), whole)),
        "weighted avg": cast(Any, (*weighted, whole)),
    }


_PER_UNIT = ("binary", "dice", "tversky")
"""The beginnings of the names of losses for which each unit is a yes or no of its own."""


def _tally(trainer: Trainer, objective: Objective, classes: Mapping[str, Sequence[str]], what: str) -> _Tally:
    """What an output's rows are gathered in; ValueError, which begins with `what`, for a loss that has no rows."""
    rule, name, width = objective.rule, objective.output.name, objective.output.width
    loss = objective.loss
    of_sequences = loss.of_sequences if isinstance(loss, RowEquations) else not hasattr(loss, "rows")
    decide: Callable[[Array, TargetBatch, Array], Array] = _largest
    if of_sequences:
        if rule.loss != "crf":
            raise ValueError(
                f"{what}: the loss {rule.loss} is one of whole sequences, of which no row has a class: decode what predict gives, "
                "see rnnspec.decoding"
            )
        decide = _decoded(trainer, name)
    names = tuple(classes.get(name, ()))
    margin = rule.loss in MARGINS
    threshold, limit = threshold_of(loss), 0.0 if margin else 0.5
    if rule.classes:
        return _Classes(_named(names, max(width, 1)), what, decide, limit)
    if rule.kind == "values" and not margin:
        return _Values((name,) if width == 1 else _numbered(width))
    if width == 1:
        return _Classes(_named(names, 2), what, partial(_above, threshold), limit)
    if margin or rule.kind == "binary" or rule.loss.startswith(_PER_UNIT):
        return _Labels(_named(names, width), what, threshold, limit)
    return _Classes(_named(names, width), what, decide, limit)


def _largest(rows: Array, batch: TargetBatch, output: Array) -> Array:
    return rows.argmax(axis=1)


def _above(threshold: float, rows: Array, batch: TargetBatch, output: Array) -> Array:
    return (rows[:, 0] > threshold).astype(np.int64)


def _decoded(trainer: Trainer, output: str) -> Callable[[Array, TargetBatch, Array], Array]:
    """The likeliest classes of whole sequences, as the loss `crf` has them."""
    kept = {each.name.rpartition("/")[2]: each.name for each in trainer.parameters.signatures if each.name.startswith(f"crf/{output}/")}

    def decide(rows: Array, batch: TargetBatch, scores: Array) -> Array:
        weights = trainer.parameters.read(
            lambda flat, _: {each: trainer.parameters.split(flat)[name].copy() for each, name in kept.items()}
        )
        counted = np.ones(scores.shape[:2], bool)
        if batch.counted is not None:
            counted[:] = False
            counted.reshape(-1)[batch.counted] = True
        order = slice(None, None, -1) if batch.flip else slice(None)  # the loss goes in the order of the output's own layer
        found = crf_decode(scores[:, order], weights["transitions"], weights.get("first"), weights.get("last"), mask=counted[:, order])
        placed = np.zeros(counted.shape, np.int64)
        placed[:, order][counted[:, order]] = found.paths[0][found.paths[0] >= 0]
        return placed[counted]

    return decide


def _named(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    return names if len(names) == count else _numbered(count)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def reported(trainer: Trainer, feed: Feed, classes: Mapping[str, Sequence[str]]) -> Report:
    """An evaluation over the samples of an epoch, and what its outputs' rows say. `classes`: names of classes by output."""
    objectives = trainer.objectives
    tallies: dict[str, _Tally] = {}
    refused: list[str] = []
    for each in objectives:
        try:
            tallies[each.output.name] = _tally(trainer, each, classes, f"report{f' of output {each.label}' if each.label else ''}")
        except ValueError as error:
            refused.append(str(error))
    if not tallies:
        raise ValueError(refused[0])
    for problem in refused:
        warnings.warn(problem, stacklevel=caller_level())
    native = tuple(replace(each, shown=True) for each in trainer.native)
    shown = replace(trainer, native=native, names=tuple(name for each in native for name in each.results) or trainer.names)
    totals = Totals(objectives, trainer.executable)
    taken = 0

    def add(batch: ExampleBatch) -> None:
        found = shown.evaluated(batch, totals)
        for objective, targets in zip(objectives, batch.targets, strict=True):
            name = objective.output.name
            if isinstance(targets, TargetBatch) and name in tallies:
                tallies[name].add(targets.rows(found[name]), targets, found[name])

    with closing(feed.epoch(None)) as portions:
        for examples, rows in portions:
            add(examples.batch(rows))
            taken += 1
    feed.is_spent(taken)
    return Report(totals.logs(), {name: tally.report() for name, tally in tallies.items()})
