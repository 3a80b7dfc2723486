"""The regressor of sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from rnnspec.contract.executable import Array
from rnnspec.estimators import default_specs
from rnnspec.estimators.base import TrainedEstimator, by_steps, sample_weights
from rnnspec.estimators.inputs import Data
from rnnspec.spec_files import Spec

STEPS = 0
"""In the place of the axes of targets: those of steps."""


class RNNRegressor(RegressorMixin, TrainedEstimator):
    """A regressor of sequences, or of their steps, by a spec; without one an LSTM that is trained for the squared error.

    Arguments and `X` as for `RNNClassifier`, which has `class_weight` besides. `y`: numbers (samples,) or (samples, values), or those of
    each step: a list of arrays, or (samples, time) beside `X` of three axes. The columns of `y` are the units of the spec's outputs, one
    output after the other. A spec's parameters without a default that are called `features` and `outputs` are taken from the data: the
    latter is the number of columns. A layer `Normalization(invert = true, name = "targets")` gets the mean and the variance of `y`.

    >>> import numpy as np
    >>> from rnnspec.sklearn import RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(60, 5, 2))
    >>> y = 300 + 10 * X[:, :, 0].sum(axis=1)
    >>> regressor = RNNRegressor(units=16, random_state=0).fit(X, y)
    >>> regressor.predict(X).shape, regressor.score(X, y) > 0.8
    ((60,), True)
    """

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
        warm_start: bool = False,
        dtype: str = "float32",
        random_state: Any = None,
        verbose: Any = False,
        **named: Any,
    ) -> None:
        self._take(locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RNNRegressor:
        """Trains a model on samples with numbers; see the class. `sample_weight`: (samples,), factors of the loss."""
        return self._fit(X, y, sample_weight, None, begins=not (self.warm_start and hasattr(self, "model_")))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> RNNRegressor:
        """Trains an epoch more."""
        return self._fit(X, y, sample_weight, 1, begins=not hasattr(self, "model_"))

    def _fit(self, x: Any, y: Any, weights: Any, epochs: int | None, *, begins: bool) -> RNNRegressor:
        data = self._read(x, reset=begins)
        targets, shape = self._targets(data, y)
        width = (targets[0] if shape == STEPS else targets).shape[-1]
        if begins:
            self._shape, self._width = shape, width
            default = default_specs.regressor(data.form, steps=shape == STEPS)
            self._begun(self._text_of_spec(default), data, {"outputs": width})
            if width != (units := sum(self._widths)):
                raise ValueError(f"y: expected {units} columns, one for each unit of the spec's outputs, got {width}")
        if (shape, width) != (self._shape, self._width):
            raise ValueError("y: expected as many columns, or numbers of steps, as in the first fit")
        checked = sample_weights(weights, data.samples)
        self._trained(data, self._parts(targets), checked, None, epochs=epochs, adapted=targets)
        return self

    def _targets(self, data: Data, y: Any) -> tuple[Any, int]:
        """The numbers, (samples, values) or a list of arrays (time, values), and the axes that `y` has for a sample and its values."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if (rows := by_steps(data, y)) is not None:
            return [np.asarray(row, np.float64).reshape(len(row), -1) for row in rows], STEPS
        numbers = self._numbers(data, y)
        return numbers.reshape(len(numbers), -1), numbers.ndim

    @property
    def _widths(self) -> list[int]:
        return [output.width for output in self.model_.signature.outputs]

    def _numbers(self, data: Data, y: Any) -> Array:
        targets: Array = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=self)
        if targets.ndim not in (1, 2):
            raise ValueError(f"y: expected shape (samples,) or (samples, values), got {targets.shape}")
        check_consistent_length(range(data.samples), targets)
        return targets.astype(np.float64)

    def _parts(self, targets: Any) -> Any:
        """The columns of each output."""
        widths = self._widths
        if len(widths) == 1:
            return targets
        stops = np.cumsum(widths)
        parts = [slice(stop - width, stop) for stop, width in zip(stops, widths, strict=True)]
        if isinstance(targets, list):
            return tuple([each[:, part] for each in cast(list[Array], targets)] for part in parts)
        return tuple(targets[:, part] for part in parts)

    def _default_loss(self) -> Any:
        return "mse"

    def predict(self, X: Any) -> Any:
        """The numbers of each sample, in the form of `fit`'s y; of steps a list of arrays (time,) or (time, values)."""
        check_is_fitted(self, "model_")
        x = self._values(X)
        given = self.model_.predict(x)
        joint: Any = np.concatenate(cast(tuple[Array, ...], given), axis=-1) if isinstance(given, tuple) else given
        values: Any = np.asarray(joint, np.float64)
        if self._shape == 2:
            return values
        values = values[..., 0] if self._width == 1 else values
        return self._of_steps(values, x, 0) if self._shape == STEPS else values

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of the samples, or of all steps."""
        check_is_fitted(self, "model_")
        if self._shape == STEPS:
            return float(r2_score(np.concatenate([np.asarray(each) for each in y]), np.concatenate(self.predict(X))))
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags
