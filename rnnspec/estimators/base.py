"""What all estimators share: a spec with parameters that scikit-learn can tune, compiled for the data, and its training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from rnnspec import api
from rnnspec.callbacks import EarlyStopping
from rnnspec.contract.executable import Array
from rnnspec.diagnostics import SpecError, nearest
from rnnspec.driver.outline import outline
from rnnspec.estimators import inputs
from rnnspec.estimators.default_specs import PARAMETERS, TARGETS
from rnnspec.estimators.inputs import Data
from rnnspec.runtime.data.class_names import of_real_steps
from rnnspec.spec_files import Spec
from rnnspec.training.model import Model

_NESTED = "parameters__"
"""Before the name of a spec's parameter among an estimator's, as scikit-learn writes it."""

SEEDS = 2**31


class SpecEstimator(BaseEstimator):
    """An estimator with a model that is compiled from a spec when there is data."""

    spec: Spec | None
    parameters: Mapping[str, Any] | None
    dtype: str
    random_state: Any
    model_: Model

    def _take(self, given: dict[str, Any]) -> None:
        """Keeps the arguments of a constructor, its `locals()`, unlooked at, as scikit-learn wants them; `named` are the spec's own.

        scikit-learn reads their names from each constructor's text, so that these list them all.
        """
        kept = {name: value for name, value in given.items() if name not in ("self", "named")}
        vars(self).update(kept, parameters=_joined(given["parameters"], given["named"]))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments by name. `deep`: those of the spec too, such as "parameters__units", with their values or defaults."""
        found: dict[str, Any] = super().get_params(deep=deep)
        return found | {f"{_NESTED}{name}": value for name, value in self._spec_parameters().items()} if deep else found

    def set_params(self, **params: Any) -> Any:
        """Sets arguments by name; those of the spec as "parameters__units" or, where there is no such argument, as "units".

        ValueError for unknown names.
        """
        own = set(self.get_params(deep=False))
        of_spec = {name: params[name] for name in params if name.startswith(_NESTED) or (name not in own and "__" not in name)}
        super().set_params(**{name: value for name, value in params.items() if name not in of_spec})
        known = self._spec_parameters()
        for given, value in of_spec.items():
            name = given.removeprefix(_NESTED)
            if name not in known:
                advice = nearest(name, [*own, *known]) or f"valid parameters are {', '.join(sorted({*own, *known}))}"
                raise ValueError(f"Invalid parameter {given!r} for estimator {self}: {advice}")
            self.parameters = {**(self.parameters or {}), name: value}
        return self

    def _spec_parameters(self) -> dict[str, Any]:
        """The parameters of the spec that have a value, by name; of a spec that can't be read those that were given."""
        try:
            defaults: dict[str, Any] = PARAMETERS if self.spec is None else dict(outline(self.spec).defaults)
            required: dict[str, Any] = {} if self.spec is None else dict.fromkeys(outline(self.spec).required)
        except (SpecError, TypeError):  # of what can't be read, and of what is no spec at all, `fit` tells
            defaults, required = {}, {}
        given: Mapping[str, Any] = self.parameters if isinstance(self.parameters, Mapping) else {}  # of wrong ones `fit` tells
        return {**defaults, **required, **given}

    def _compiled(self, spec: Spec, data: Data, sizes: Mapping[str, int], seed: int) -> Model:
        """The spec's model. What it takes without a default, and isn't given, comes from the data: `features`, and what `sizes` has."""
        if self.parameters is not None and not isinstance(self.parameters, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"parameters: expected a dict of the spec's parameters, got {self.parameters!r}")
        head, given = outline(spec), dict(self.parameters or {})
        known: dict[str, int] = dict(sizes)
        if data.features is not None and len(head.axes) == 1:
            known["features"] = 1 if data.form == "rows" and head.axes[0][1] == 2 else data.features
        filled = {name: known[name] for name in head.required if name in known and name not in given}
        return api.compile(spec, dtype=self.dtype, seed=seed, parameters={**given, **filled})

    def _text_of_spec(self, default: str) -> Spec:
        return default if self.spec is None else self.spec


def _joined(parameters: Any, named: Mapping[str, Any]) -> Any:
    """The spec's parameters that a constructor was given, together; what is no dict is looked at by `fit`, as scikit-learn wants it."""
    if not named:
        return parameters
    if parameters is not None and not isinstance(parameters, Mapping):
        return parameters, named
    return {**cast(Mapping[str, Any], parameters or {}), **named}


def adapt(model: Model, x: Any, targets: Any = None) -> None:
    """Learns vocabularies, means and variances of the inputs, and of the targets for a layer of that name; nothing if nothing needs it."""
    texts = {spec.name for spec in model.signature.inputs if spec.text is not None and not model.get_vocabulary(spec.name)}
    adapting = texts | {use.input for moments in model.signature.moments for use in moments.uses if use.input}
    given = cast(Mapping[str, Any], x) if isinstance(x, Mapping) else {model.signature.inputs[0].name: x}
    named = {name: value for name, value in given.items() if name in adapting}
    if targets is not None and any(moments.layer == TARGETS for moments in model.signature.moments):
        named[TARGETS] = targets
    if named:
        model.adapt(named)


class TrainedEstimator(SpecEstimator, ABC):
    """An estimator whose model is trained; a subclass says what its targets are."""

    loss: Any
    optimizer: Any
    learning_rate: float | None
    metrics: Any
    epochs: int | None
    batch_size: int | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    callbacks: Any
    warm_start: bool
    verbose: Any

    def _begun(self, spec: Spec, data: Data, sizes: Mapping[str, int]) -> None:
        """Compiles the model, and says what it is trained by."""
        self._seeds = check_random_state(self.random_state).randint(SEEDS, size=2).tolist()
        self.model_ = self._compiled(spec, data, sizes, self._seeds[0])
        self.n_iter_ = 0
        self.history_: dict[str, list[Any]] = {}
        train = self.model_.signature.train
        loss = self.loss if self.loss is not None else self._default_loss() if train.loss is None else None
        optimizer = self.optimizer if self.optimizer is not None else "Adam" if train.optimizer is None else None
        if loss is not None or optimizer is not None or self.metrics is not None:
            self.model_.configure(loss=deepcopy(loss), optimizer=deepcopy(optimizer), metrics=deepcopy(self.metrics))

    @abstractmethod
    def _default_loss(self) -> Any:
        """The loss of a spec that has none."""

    def _trained(self, x: Data, y: Any, weights: Array | None, class_weight: Any, *, epochs: int | None, adapted: Any) -> None:
        """Trains the model. `y`: an array or a list of samples, or a list of them by output. `adapted`: what targets are adapted to."""
        model, name = self.model_, type(self).__name__
        values = inputs.for_model(model.signature, x, name=name)
        if not self.n_iter_:
            adapt(model, values, adapted)
        if self.learning_rate is not None:
            model.learning_rate = self.learning_rate
        callbacks = [] if self.callbacks is None else list(self.callbacks)
        held_out: Any = None
        if self.early_stopping and epochs is None:
            kept, taken = self._held_out(x.samples, y)
            held_out = (inputs.for_model(model.signature, x.chosen(taken), name=name), picked(y, taken))
            held_out = held_out if weights is None else (*held_out, weights[taken])
            values, y = inputs.for_model(model.signature, x.chosen(kept), name=name), picked(y, kept)
            weights = None if weights is None else weights[kept]
            callbacks.append(EarlyStopping(monitor="val_loss", patience=self.n_iter_no_change, restore_best_weights=True))
        history = model.fit(
            values,
            y,
            batch_size=self.batch_size,
            epochs=self.epochs if epochs is None else epochs,
            seed=(self._seeds[1] + self.n_iter_) % SEEDS,
            verbose=self.verbose,
            validation_data=held_out,
            sample_weight=weights,
            class_weight=class_weight,
            callbacks=callbacks,
        )
        self.n_iter_ += len(history.epoch)
        for key, numbers in history.history.items():
            self.history_.setdefault(key, []).extend(numbers)

    def _held_out(self, samples: int, y: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The samples to train on, and those that end the training early."""
        parts = train_test_split(
            np.arange(samples), test_size=self.validation_fraction, random_state=self._seeds[1], stratify=self._strata(y)
        )
        return np.sort(parts[0]), np.sort(parts[1])

    def _strata(self, y: Any) -> Any:
        """What is to have the same share in both parts."""
        return None

    def _read(self, x: object, *, reset: bool) -> Data:
        return inputs.read(self, x, reset=reset)

    def _values(self, x: object) -> Any:
        """The model's inputs, of a call after `fit`."""
        return inputs.for_model(self.model_.signature, self._read(x, reset=False), name=type(self).__name__)

    def _of_steps(self, values: Any, x: Any, place: int) -> list[Any]:
        """Of each sample the values of the output's real steps. `x`: the model's inputs."""
        return of_real_steps(values, self.model_.real_steps(x)[place])


def picked(y: Any, rows: NDArray[np.intp]) -> Any:
    """Some of the samples of targets: an array, a list of samples, or a tuple of those of each output."""
    if isinstance(y, tuple):
        return tuple(picked(each, rows) for each in cast(tuple[Any, ...], y))
    return [y[row] for row in rows.tolist()] if isinstance(y, list) else y[rows]


def by_steps(x: Data, y: object) -> list[Any] | None:
    """Targets of each step, a list of arrays (time, ...); None for targets of samples."""
    if x.form != "sequences":
        return None
    values: Any = x.values
    steps = [len(each) for each in cast(list[Array], values)] if isinstance(values, list) else [values.shape[1]] * x.samples
    if isinstance(y, np.ndarray) and (array := cast(Array, y)).dtype != object:
        rows: list[Any] | None = list(array) if array.ndim > 1 else None
    else:
        rows = list(cast(Any, y)) if isinstance(y, (list, tuple, np.ndarray)) else None
    if rows is None or len(rows) != x.samples or not rows:
        return None
    lengths = [-1 if isinstance(row, str) or np.ndim(row) == 0 else len(row) for row in rows]
    return [np.asarray(row) for row in rows] if lengths == steps else None


def sample_weights(given: object, samples: int) -> Array | None:
    """The weights of samples, float64; ValueError for others than (samples,) finite numbers from 0, and for nothing but zeros."""
    if given is None:
        return None
    weights: Array = np.asarray(given, np.float64)
    if weights.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if weights.shape != (samples,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(samples,)}!")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight: expected finite numbers from 0")
    if not weights.any():
        raise ValueError("sample_weight: all of them are zero: no sample would count")
    return weights
