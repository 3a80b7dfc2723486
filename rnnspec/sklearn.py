"""Models as scikit-learn's estimators: pipelines, cross-validation, search of a spec's parameters.

>>> import numpy as np
>>> from sklearn.model_selection import GridSearchCV
>>> from rnnspec.sklearn import RNNClassifier
>>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
>>> y = (X[:, :, 0].sum(axis=1) > 0).astype(int)
>>> search = GridSearchCV(RNNClassifier(epochs=10, random_state=0), {"units": [4, 8]}, cv=2).fit(X, y)
>>> search.best_params_["units"] in (4, 8)
True
"""

from __future__ import annotations

try:
    from rnnspec.estimators.classifier import RNNClassifier
    from rnnspec.estimators.forecaster import RNNForecaster
    from rnnspec.estimators.regressor import RNNRegressor
    from rnnspec.estimators.transformer import SequenceTransformer
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ModuleNotFoundError("rnnspec.sklearn needs scikit-learn: pip install 'rnnspec[sklearn]'", name="sklearn") from None

__all__ = ["RNNClassifier", "RNNForecaster", "RNNRegressor", "SequenceTransformer"]
