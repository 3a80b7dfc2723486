"""The transformer of sequences to rows of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from rnnspec import api
from rnnspec.contract.executable import Array, each_output
from rnnspec.estimators import default_specs, inputs
from rnnspec.estimators.base import SEEDS, SpecEstimator, adapt
from rnnspec.estimators.inputs import Data
from rnnspec.spec_files import Spec
from rnnspec.training.model import Model


class SequenceTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SpecEstimator):
    """A transformer of sequences to rows of features, by a spec: what its model gives, or the states that it ends in.

    argument      type                          meaning                                                                   default
    ------------  ----------------------------  ------------------------------------------------------------------------  ----------
    spec          str or path                   as for `rnnspec.compile`; None: the last state of an LSTM                 None
    parameters    dict, or keywords             values of the spec's parameters, `units=64`                               the spec's
    weights       model, estimator, path, dict  a trained `rnnspec.Model`, a fitted estimator, a model's file, or arrays  None: drawn
                                                by name: the weights that the spec has, by their names and shapes
    features      "outputs" or "states"         the outputs, of a sequence its last real step; or the last states of      "outputs"
                                                all layers, as `Model.stream` has them
    dtype         "float32", "float64"          as for `rnnspec.compile`                                                  "float32"
    random_state  int or RandomState            source of drawn weights                                                   numpy's

    Nothing is trained here: weights are those of another model, of which the spec repeats the first layers, or drawn, as in an echo state
    network. `X` as for `RNNClassifier`. Layers of means and variances learn them of the samples that `fit` sees.

    >>> import numpy as np
    >>> from rnnspec.sklearn import SequenceTransformer
    >>> X = [np.ones((4, 2)), np.zeros((7, 2))]
    >>> SequenceTransformer(units=5, random_state=0).fit_transform(X).shape
    (2, 5)
    """

    weights: Any
    features: Literal["outputs", "states"]

    def __init__(
        self,
        spec: Spec | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        weights: Any = None,
        features: Literal["outputs", "states"] = "outputs",
        dtype: str = "float32",
        random_state: Any = None,
        **named: Any,
    ) -> None:
        self._take(locals())

    def fit(self, X: Any, y: Any = None) -> SequenceTransformer:
        """Compiles the model for samples, and takes its weights; see the class."""
        if self.features not in ("outputs", "states"):
            raise ValueError(f"features: expected 'outputs' or 'states', got {self.features!r}")
        data = inputs.read(self, X, reset=True)
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        self.model_ = self._compiled(self._text_of_spec(default_specs.transformer(data.form)), data, {}, seed)
        values = inputs.for_model(self.model_.signature, data, name=type(self).__name__)
        source = self._source()
        if isinstance(source, Model):
            for spec in self.model_.signature.inputs:
                if spec.text is not None and any(other.name == spec.name and other.text for other in source.signature.inputs):
                    self.model_.set_vocabulary(source.get_vocabulary(spec.name), spec.name)
        adapt(self.model_, values)
        if source is not None:
            given: Mapping[str, Any] = source.weights if isinstance(source, Model) else source
            if not self.model_.set_weights(given, strict=False).taken:
                raise ValueError(f"weights: none has the name and the shape of one of the spec's: {', '.join(self.model_.weights)}")
        self._n_features_out = self._features(data, values).shape[1]
        return self

    def _source(self) -> Model | Mapping[str, Any] | None:
        given = getattr(self.weights, "model_", self.weights)
        if given is None or isinstance(given, (Model, Mapping)):
            return cast("Model | Mapping[str, Any] | None", given)
        return api.load(given)

    def transform(self, X: Any) -> Any:
        """The features of each sample, (samples, features)."""
        check_is_fitted(self, "model_")
        data = inputs.read(self, X, reset=False)
        return self._features(data, inputs.for_model(self.model_.signature, data, name=type(self).__name__))

    def _features(self, data: Data, values: Any) -> Array:
        return self._states(values) if self.features == "states" else self._outputs(values)

    def _outputs(self, values: Any) -> Array:
        model = self.model_
        given = model.predict(values)
        found: list[Array] = []
        for output, shown, real in zip(model.signature.outputs, each_output(given), model.real_steps(values), strict=True):
            if output.is_sequence:
                last = shown.shape[1] - 1 if real is None else np.maximum(real.shape[1] - 1 - np.argmax(real[:, ::-1], axis=1), 0)
                shown = shown[np.arange(len(shown)), last]
            found.append(shown)
        return np.concatenate(found, axis=1)

    def _states(self, values: Any) -> Array:
        """The states behind each sequence's last step: all go step by step, and each row is looked at where it ends."""
        model = self.model_
        if len(model.signature.inputs) > 1 or any(not spec.is_sequence or spec.text is not None for spec in model.signature.inputs):
            raise ValueError("features: states are those of a spec with one input, a sequence of numbers or ids")
        rows = [np.asarray(row) for row in values]
        lengths = np.array([len(row) for row in rows])
        stream = model.stream(batch=len(rows))
        found = np.concatenate([np.zeros_like(value) for value in stream.state.values()], axis=1)
        padded = np.zeros((len(rows), int(lengths.max(initial=0)), *rows[0].shape[1:]), rows[0].dtype)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = row
        for step in range(padded.shape[1]):
            stream.step(padded[:, step])
            if (ends := lengths == step + 1).any():
                found[ends] = np.concatenate(list(stream.state.values()), axis=1)[ends]
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags
