"""The forecaster of a series: a regressor of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from rnnspec.contract.executable import Array
from rnnspec.data import windows
from rnnspec.estimators.inputs import Data
from rnnspec.estimators.regressor import RNNRegressor
from rnnspec.runtime.data.validate import whole_number
from rnnspec.spec_files import Spec


class RNNForecaster(RNNRegressor):
    """A forecaster of a series: a regressor of its windows, by a spec; without one an LSTM that is trained for the squared error.

    argument  type        meaning                                                            default
    --------  ----------  -----------------------------------------------------------------  -------
    window    int from 1  steps of the series that a forecast sees                           24
    horizon   int from 1  steps that it is of, all at once                                   1
    stride    int from 1  steps from a window's begin to the next one's                      1

    All others as for `RNNRegressor`. `X`: a series (time,) or (time, features), a row a step in time's order. `y`: another series to
    forecast, (time,) or (time, values), at the same times; None: `X` itself. `early_stopping` holds out the last windows. The spec has
    an output of `horizon` times the values' units; a parameter without a default that is called `outputs` gets that number.

    >>> import numpy as np
    >>> from rnnspec.sklearn import RNNForecaster
    >>> series = 300 + 40 * np.sin(np.arange(400) * 2 * np.pi / 24)
    >>> forecaster = RNNForecaster(window=24, horizon=6, units=16, epochs=20, random_state=0).fit(series)
    >>> forecaster.predict().shape, forecaster.predict(steps=24).shape
    ((6,), (24,))
    >>> forecaster.score(series) > 0.8
    True
    """

    window: int
    horizon: int
    stride: int

    def __init__(
        self,
        spec: Spec | None = None,
        *,
        window: int = 24,
        horizon: int = 1,
        stride: int = 1,
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

    def fit(self, X: Any, y: Any = None) -> RNNForecaster:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Trains a model on the windows of a series; see the class."""
        self._fit(X, y, None, None, begins=not (self.warm_start and hasattr(self, "model_")))
        return self

    def partial_fit(self, X: Any, y: Any = None) -> RNNForecaster:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Trains an epoch more, on the windows of a series."""
        self._fit(X, y, None, 1, begins=not hasattr(self, "model_"))
        return self

    def _fit(self, x: Any, y: Any, weights: Any, epochs: int | None, *, begins: bool) -> RNNRegressor:
        series, is_flat = self._series(x, reset=begins)
        names = vars(self).get("feature_names_in_")
        wanted = series if y is None else self._wanted(y, len(series))
        seen, targets = self._windows(series, wanted)
        if begins:
            self._own, self._values_of_step, self._flat = y is None, wanted.shape[1], is_flat if y is None else np.ndim(y) == 1
        if (y is None, wanted.shape[1]) != (self._own, self._values_of_step):
            raise ValueError("y: expected a series as in the first fit")
        super()._fit(seen, targets, weights, epochs, begins=begins)
        if names is not None:
            self.feature_names_in_ = names
        self._last = series[-self.window :].copy()
        return self

    def _series(self, x: Any, *, reset: bool) -> tuple[Array, bool]:
        """A series as (time, features), and whether it was (time,)."""
        is_flat = np.ndim(x) == 1
        rows = np.asarray(x)[:, None] if is_flat else x
        series: Array = validate_data(self, rows, reset=reset, dtype="numeric")
        return series.astype(np.float64), is_flat

    def _wanted(self, y: Any, steps: int) -> Array:
        wanted: Array = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=self)
        if wanted.ndim not in (1, 2) or len(wanted) != steps:
            raise ValueError(f"y: expected the {steps} steps of X, (time,) or (time, values), got {wanted.shape}")
        return wanted.reshape(steps, -1).astype(np.float64)

    def _windows(self, series: Array, wanted: Array) -> tuple[Array, Array]:
        seen, targets = windows(series, whole_number("window", self.window, 1), horizon=self.horizon, stride=self.stride, targets=wanted)
        return seen, targets.reshape(len(targets), -1)

    def _targets(self, data: Data, y: Any) -> tuple[Any, int]:
        return y, 2

    def _held_out(self, samples: int, y: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The last windows end the training early."""
        cut = samples - max(round(samples * self.validation_fraction), 1)
        return np.arange(cut), np.arange(cut, samples)

    def predict(self, X: Any = None, steps: int | None = None) -> Any:
        """The values that follow the series, (steps,) or (steps, values), as `fit`'s y, or else X, has them.

        `X`: the series, of which the last `window` steps count; None: the series of `fit`. `steps`: how many values; None: `horizon`.
        Beyond the horizon forecasts are seen as if they were the series, so that a series for forecasts of another one has no more.
        """
        check_is_fitted(self, "model_")
        seen = self._last if X is None else self._series(X, reset=False)[0][-self.window :]
        if len(seen) < self.window:
            raise ValueError(f"X: expected at least the {self.window} steps of a window, got {len(seen)}")
        count = self.horizon if steps is None else whole_number("steps", steps, 1)
        if count > self.horizon and not self._own:
            raise ValueError(f"steps: at most {self.horizon}, the horizon: the series that the forecast would go on from isn't forecast")
        found = np.empty((0, self._values_of_step))
        while len(found) < count:
            ahead = super().predict(seen[None]).reshape(-1, self._values_of_step)
            found = np.concatenate([found, ahead])
            seen = np.concatenate([seen, ahead])[-self.window :] if self._own else seen
        return found[:count, 0] if self._flat else found[:count]

    def predict_windows(self, X: Any) -> Any:
        """The forecast behind each window of a series but the last, (windows, horizon) or (windows, horizon, values)."""
        check_is_fitted(self, "model_")
        series, _ = self._series(X, reset=False)
        found = super().predict(self._windows(series, series)[0])
        shaped = found.reshape(len(found), -1, self._values_of_step)
        return shaped[..., 0] if self._flat else shaped

    def score(self, X: Any, y: Any = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        """R² of the forecasts behind all windows of a series."""
        check_is_fitted(self, "model_")
        series, _ = self._series(X, reset=False)
        seen, targets = self._windows(series, series if y is None else self._wanted(y, len(series)))
        return float(r2_score(targets, super().predict(seen)))
