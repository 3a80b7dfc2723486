"""scikit-learn's own checks of estimators, and those that don't hold, each with its reason."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from rnnspec.sklearn import RNNClassifier, RNNForecaster, RNNRegressor, SequenceTransformer

EXCEPTIONS: dict[str, str] = {
    "check_sample_weight_equivalence_on_dense_data": "an update is of a batch, and which samples a batch has is drawn",
    "check_array_api_input": "the check asks for a variable of the environment that must be set before scipy is imported",
    "check_do_not_raise_errors_in_init_or_set_params": "the check takes the keywords `**named`, parameters of a spec, for an argument",
    "check_classifiers_multilabel_output_format_decision_function": "a classifier of several outputs has no decision function",
}
"""The checks that fail, or that skip themselves, by name; the forecaster's are `OF_A_SERIES`."""

OF_A_SERIES = {
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
}
"""The checks of a forecaster: its rows are steps, not samples, so that it gives no value for each of them, and needs many."""

CLASSIFIER, REGRESSOR, TRANSFORMER = RNNClassifier(units=8, batch_size=64), RNNRegressor(units=16), SequenceTransformer(units=4)


def checks(estimator: Any) -> list[Any]:
    return [
        pytest.param(estimator, check, id=f"{type(estimator).__name__}-{name}")
        for _, check in estimator_checks_generator(estimator, legacy=True, mark=None)
        if type(estimator) is not RNNForecaster or name_of(check) in OF_A_SERIES
        for name in [name_of(check)]
    ]


def name_of(check: Any) -> str:
    return getattr(check, "func", check).__name__


@pytest.mark.parametrize(
    ("estimator", "check"), [each for kind in (CLASSIFIER, REGRESSOR, TRANSFORMER, RNNForecaster()) for each in checks(kind)]
)
@pytest.mark.every(8)
@pytest.mark.filterwarnings("default")
def test_a_check_of_scikit_learns_holds(estimator: Any, check: Any) -> None:
    if name_of(check) in EXCEPTIONS:
        with pytest.raises((AssertionError, AttributeError, ValueError, SkipTest)):
            check(estimator)
        return
    try:
        check(estimator)
    except SkipTest as reason:
        raise AssertionError(f"the check skips itself: {reason}") from reason


def test_every_exception_is_of_a_check_that_there_is() -> None:
    names = {name_of(check) for kind in (CLASSIFIER, REGRESSOR, TRANSFORMER) for _, check in estimator_checks_generator(kind, mark=None)}
    assert EXCEPTIONS.keys() <= names
    assert {name_of(check) for _, check in estimator_checks_generator(RNNForecaster(), mark=None)} >= OF_A_SERIES
