"""The classifier of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted

from rnnspec.contract.executable import Array, each_output
from rnnspec.estimators import default_specs
from rnnspec.estimators.base import TrainedEstimator, by_steps, sample_weights
from rnnspec.estimators.inputs import Data
from rnnspec.runtime.data.class_names import is_of_logits, of_real_steps, refuse_without_class
from rnnspec.spec_files import Spec

_SMALLEST = np.finfo(np.float32).tiny


def _has_one_output(classifier: Any) -> bool:
    return len(getattr(classifier, "_classes", "1")) == 1


class RNNClassifier(ClassifierMixin, TrainedEstimator):
    """A classifier of sequences, or of their steps, by a spec.

    argument             type                    meaning                                                               default
    -------------------  ----------------------  --------------------------------------------------------------------  -----------------
    spec                 str or path             as for `rnnspec.compile`; None: an LSTM with a softmax                None
    parameters           dict, or keywords       values of the spec's parameters, `units=64`                           the spec's
    loss                 as for `configure`      as for `Model.configure`                                              the spec's
    optimizer            as for `configure`      as for `Model.configure`; each fit takes a copy                       the spec's, Adam
    learning_rate        float                   in the place of the optimizer's                                       the optimizer's
    metrics              as for `configure`      as for `Model.configure`                                              the spec's
    epochs, batch_size   int from 1              as for `Model.fit`                                                    the spec's
    early_stopping       bool                    whether a part of the samples ends the training, and the best         False
                                                 weights stay
    validation_fraction  float                   that part, of each class the same                                     0.1
    n_iter_no_change     int                     epochs without a smaller loss of that part                            10
    callbacks            list of `Callback`      as for `Model.fit`                                                    None
    class_weight         dict, "balanced"        factors by the label; a list of them for several outputs              None
    warm_start           bool                    whether `fit` goes on with the model of the last one                  False
    dtype                "float32", "float64"    as for `rnnspec.compile`                                              "float32"
    random_state         int or RandomState      source of weights, dropout and order                                  numpy's
    verbose              as for `Model.fit`      as for `Model.fit`                                                    False

    `X`: an array (samples, time, features), a list of arrays (time, features) or (time,), a list of texts, a dict by input, or rows, an
    array or a table (samples, time): sequences of one feature, unless the spec takes rows. `y`: labels of any kind (samples,), for several
    outputs (samples, outputs), or those of each step: a list of arrays, or (samples, time) beside `X` of three axes.

    A spec's parameters without a default that are called `features` and `classes` are taken from the data. Its outputs have a unit for each
    class, or a single one for two. Once fitted, `model_` is the `rnnspec.Model`, `classes_` has the labels, `history_` the loss of each
    epoch, and `n_iter_` counts these.

    >>> import numpy as np
    >>> from rnnspec.sklearn import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(3, 9), 2)) for _ in range(40)]
    >>> y = ["up" if sequence[:, 0].sum() > 0 else "down" for sequence in X]
    >>> classifier = RNNClassifier(units=8, epochs=15, random_state=0).fit(X, y)
    >>> classifier.predict_proba(X).shape, classifier.score(X, y) > 0.8
    ((40, 2), True)
    """

    class_weight: Any

    def __init__(
        self,
        spec: Spec | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        loss: Any = None,
        optimizer: Any = None,
        learning_rate: float | None = None,
        metrics: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        class_weight: Any = None,
        warm_start: bool = False,
        dtype: str = "float32",
        random_state: Any = None,
        verbose: Any = False,
        **named: Any,
    ) -> None:
        self._take(locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RNNClassifier:
        """Trains a model on samples with labels; see the class. `sample_weight`: (samples,), factors of the loss."""
        return self._fit(X, y, sample_weight, None, None, begins=not (self.warm_start and hasattr(self, "model_")))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> RNNClassifier:
        """Trains an epoch more. `classes`: of the first call, all labels that there will be, a list of them for several outputs."""
        return self._fit(X, y, sample_weight, classes, 1, begins=not hasattr(self, "model_"))

    def _fit(self, x: Any, y: Any, weights: Any, classes: Any, epochs: int | None, *, begins: bool) -> RNNClassifier:
        data = self._read(x, reset=begins)
        columns, steps = self._columns(data, y)
        if begins:
            each = [np.unique(np.concatenate(column) if steps else column) for column in columns]
            if classes is not None:
                given = [np.unique(one) for one in (classes if len(columns) > 1 else [classes])]
                _check_labels(each, given)
                each = given
            self._steps = steps
            self._classes = self._of_spec(each, data)
            self.n_outputs_ = len(each)
            self.classes_: Any = self._classes[0] if len(each) == 1 else self._classes
        if steps != self._steps or len(columns) != len(self._classes):
            raise ValueError("y: expected as many columns, or labels of steps, as in the first fit")
        _check_labels([np.concatenate(column) if steps else column for column in columns], self._classes)
        numbers: list[Any] = []
        for known, column in zip(self._classes, columns, strict=True):
            numbers.append([_numbers(known, one) for one in column] if steps else _numbers(known, column))
        of_classes = self._class_weights(columns, steps)
        checked = sample_weights(weights, data.samples)
        self._trained(data, numbers[0] if len(numbers) == 1 else tuple(numbers), checked, of_classes, epochs=epochs, adapted=None)
        return self

    def _columns(self, data: Data, y: Any) -> tuple[list[Any], bool]:
        """The labels of each output, and whether they are those of steps."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if (rows := by_steps(data, y)) is not None:
            return [rows], True
        array: Array = np.asarray(y)
        if array.ndim == 2 and array.shape[1] > 1:
            check_consistent_length(range(data.samples), array)
            columns = [array[:, place] for place in range(array.shape[1])]
        else:
            columns = [column_or_1d(y, warn=True)]
            check_consistent_length(range(data.samples), columns[0])
        for column in columns:
            if column.dtype.kind == "f":
                assert_all_finite(column, input_name="y")
            check_classification_targets(column)
        return columns, False

    def _of_spec(self, found: list[Any], data: Data) -> list[Any]:
        """Compiles the model; the labels of each output in the order of its units."""
        few = next((len(each) for each in found if len(each) < 2), None)
        if few is not None:
            raise ValueError(f"y: expected labels of at least 2 classes, got {few} class")
        counts = [len(each) for each in found]
        default = default_specs.classifier(data.form, counts, steps=self._steps)
        self._begun(self._text_of_spec(default), data, {"classes": counts[0]})
        outputs = self.model_.signature.outputs
        if len(outputs) != len(found):
            raise ValueError(f"y: expected labels of the {len(outputs)} outputs of the spec, got {len(found)} columns")
        labels: list[Any] = []
        for output, each in zip(outputs, found, strict=True):
            width = max(output.width, 2)
            named = each.dtype.kind in "US" and output.name in self.model_.classes
            if named:
                _check_labels([each], [known := np.array(self.model_.classes[output.name])])
                each = known
            elif len(each) < width and each.dtype.kind in "biu" and each[0] >= 0 and each[-1] < width:
                each = np.arange(width)
            if len(each) != width:
                raise ValueError(f"y: output {output.name} has {width} classes, and there are {len(each)} labels: {_shown(each)}")
            if each.dtype.kind in "US" and not named:
                self.model_.set_classes([str(one) for one in each], output.name)
            labels.append(each)
        return labels

    def _default_loss(self) -> Any:
        losses = ["binary_crossentropy" if each.width == 1 else "sparse_categorical_crossentropy" for each in self.model_.signature.outputs]
        return losses[0] if len(losses) == 1 else losses

    def _class_weights(self, columns: list[Any], steps: bool) -> Any:
        if self.class_weight is None:
            return None
        several = isinstance(self.class_weight, (list, tuple))
        each = list(self.class_weight) if several else [self.class_weight] * len(columns)
        found = [
            list(map(float, compute_class_weight(one, classes=known, y=np.concatenate(column) if steps else column)))
            for one, known, column in zip(each, self._classes, columns, strict=True)
        ]
        return found[0] if len(found) == 1 else found

    def _strata(self, y: Any) -> Any:
        if isinstance(y, (tuple, list)):
            return None
        counts = np.unique_counts(y).counts
        return y if counts.min() > 1 and self.validation_fraction * len(y) >= len(counts) else None

    def _probabilities(self, X: Any) -> tuple[list[Any], Any]:
        """By output the probabilities of the classes, (samples, classes) or (samples, time, classes); and the inputs."""
        check_is_fitted(self, "model_")
        x = self._values(X)
        given = self.model_.predict(x)
        found: list[Any] = []
        for place, one in enumerate(each_output(given)):
            values = np.asarray(one, np.float64)
            if self._gives_logits(place):
                if values.shape[-1] == 1:
                    values = np.concatenate([-values, values], axis=-1) / 2
                values = np.exp(values - values.max(axis=-1, keepdims=True))
                values /= values.sum(axis=-1, keepdims=True)
            elif values.shape[-1] == 1:
                values = np.concatenate([1 - values, values], axis=-1)
            found.append(values)
        return found, x

    def _gives_logits(self, place: int) -> bool:
        """Whether an output gives logits, by its loss."""
        losses: Any = self.model_.signature.train.loss if self.loss is None else self.loss
        if isinstance(losses, Mapping):
            return is_of_logits(cast(Mapping[str, Any], losses).get(self.model_.signature.outputs[place].name))
        return is_of_logits(cast(Any, losses)[place] if isinstance(losses, (list, tuple)) else losses)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, in the order of `classes_`: (samples, classes) float64, a list of these for several outputs.

        Of labels of steps a list of arrays (time, classes).
        """
        found, x = self._probabilities(X)
        each = [self._real(values, x, place) for place, values in enumerate(found)]
        return each[0] if len(each) == 1 else each

    def predict(self, X: Any) -> Any:
        """The likeliest label of each sample, (samples,), for several outputs (samples, outputs); of steps a list of arrays (time,).

        ValueError, naming the sample, where a probability is NaN.
        """
        found, x = self._probabilities(X)
        reals = self.model_.real_steps(x) if self._steps else [None] * len(found)
        for output, values, real in zip(self.model_.signature.outputs, found, reals, strict=True):
            refuse_without_class(output.name, values, real)
        each = [known[np.argmax(values, axis=-1)] for known, values in zip(self._classes, found, strict=True)]
        if self._steps:
            return of_real_steps(each[0], reals[0])
        return each[0] if len(each) == 1 else np.stack(each, axis=1)

    @available_if(_has_one_output)
    def decision_function(self, X: Any) -> Any:
        """The logarithms of the probabilities, (samples, classes); for two classes that of their quotient, (samples,).

        Of steps a list of arrays. A classifier of several outputs has none.
        """
        found, x = self._probabilities(X)
        return self._real(_decisions(found[0]), x, 0)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of samples, or of steps, with the right label; of several outputs that of samples with all of them right."""
        check_is_fitted(self, "model_")
        if self._steps or len(self._classes) > 1:
            found, wanted = self.predict(X), y
            if self._steps:
                rights = [np.asarray(one) == other for one, other in zip(wanted, found, strict=True)]
                return float(np.concatenate(rights).mean())
            right = (np.asarray(wanted) == found).all(axis=1)
            return float(np.average(right, weights=sample_weight))
        return float(super().score(X, y, sample_weight))

    def _real(self, values: Any, x: Any, place: int) -> Any:
        """Of an output with steps a list of the real ones."""
        return self._of_steps(values, x, place) if self._steps else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags


def _decisions(probabilities: Array) -> Array:
    logarithms = np.log(np.maximum(probabilities, _SMALLEST))
    return logarithms[..., 1] - logarithms[..., 0] if logarithms.shape[-1] == 2 else logarithms


def _numbers(known: Any, labels: Any) -> Any:
    """The places of labels among those that are known, in any order."""
    order = np.argsort(known)
    return order[np.searchsorted(known, labels, sorter=order)]


def _check_labels(found: list[Any], known: list[Any]) -> None:
    """ValueError for labels that aren't among those that are known."""
    for one, other in zip(found, known, strict=True):
        if len(unknown := np.setdiff1d(one, other)):
            raise ValueError(f"y: {_shown(unknown)} isn't among the classes {_shown(other)}")


def _shown(labels: Any) -> str:
    names = [str(each) for each in labels[:8]]
    return ", ".join([*names, "..."] if len(labels) > 8 else names)
