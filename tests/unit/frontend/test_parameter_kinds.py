"""What declarations say of their parameters: it is held, whoever declares it and wherever a value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnspec
from rnnspec.contract.arguments import REQUIRED, Flag, Float, Int, OneOf
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.diagnostics import SpecError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.declared_kinds import declared_argument
from rnnspec.frontend.binding.equation_arguments import equation_arguments
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.binding.python_choice import config_of
from rnnspec.frontend.binding.values import NOTHING_OWN
from rnnspec.frontend.catalogue.argument_types import AnyValue, ArgumentSpec, Numbers, Several
from rnnspec.frontend.catalogue.choices import ACTIVATIONS, LOSSES, METRICS
from rnnspec.frontend.cells.row_functions import loss_step, metric_steps
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax import ast, standard_library
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frontend.syntax.parser import parse
from rnnspec.source import SourceFile
from rnnspec.training import losses, metrics

WIDTH = 6
"""Of the predictions of every model here: as wide as the defaults need."""


def checked(text: str, parameters: dict[str, ParameterValue] | None = None) -> None:
    """Parses and resolves; SpecError for what is wrong."""
    resolve(parse(SourceFile.of_text(text)), parameters)


def literal(value: object) -> str:
    """A plain value as a spec has it."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "none"
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(literal, cast('list[object]', value)))}]"
        case _:
            return repr(value)


@dataclass(frozen=True)
class Place:
    """A parameter of a declaration of the library. `argument`: as a call has it; `spec`: a spec whose `{}` is the call with arguments."""

    family: str
    callee: str
    argument: ArgumentSpec
    needed: tuple[str, ...]
    spec: str

    def text(self, value: str, head: str = "M") -> str:
        """The spec with a value of the argument."""
        arguments = [f"{name} = {'[0]' if name == 'target_class_ids' else 1}" for name in self.needed if name != self.argument.name]
        call = f"{self.callee}({', '.join([*arguments, f'{self.argument.name} = {value}'])})"
        return self.spec.replace("HEAD", head).replace("CALL", call)


LAYER = f"model HEAD {{ input x: float[{WIDTH}] Dense({WIDTH}, activation = CALL) }}"
CELL = f"model HEAD {{ input x: float[time, {WIDTH}] CALL }}"
OF_METRIC = f"model HEAD {{ input x: float[{WIDTH}] Dense({WIDTH}, activation = softmax) train {{ loss = LOSS metrics = [CALL] }} }}"
OF_LOSS = f"model HEAD {{ input x: float[{WIDTH}] Dense({WIDTH}, activation = softmax) train {{ loss = CALL }} }}"


def needed(arguments: list[ArgumentSpec]) -> tuple[str, ...]:
    return tuple(each.name for each in arguments if each.default is REQUIRED)


def places() -> Iterator[Place]:
    """Every parameter of the library that a spec can give."""
    for name in {entry.name: None for entry in LOSSES.values() if entry.name not in (*SEQUENCE_LOSSES, "crf")}:
        arguments = equation_arguments(standard_library.losses({})[name])
        yield from (Place("loss", name, each, needed(arguments), OF_LOSS) for each in arguments)
    for name in {entry.name: None for entry in METRICS.values()}:
        declared = standard_library.row_equations(True).get(name)
        if isinstance(declared, ast.Metric):
            arguments, of_class = equation_arguments(declared), declared.target is not None and declared.target.text == "class"
            spec = OF_METRIC.replace("LOSS", "sparse_categorical_crossentropy" if of_class else "mse")
            yield from (Place("metric", name, each, needed(arguments), spec) for each in arguments)
    for name in {entry.name: None for entry in ACTIVATIONS.values()}:
        if (function := standard_library.functions({}).get(name)) is not None:
            arguments = equation_arguments(function)
            yield from (Place("activation", name, each, needed(arguments), LAYER) for each in arguments)
    for name in standard_library.FILES:
        for parameter in standard_library.standard_cell(name).parameters:
            if (argument := declared_argument(parameter)) is not None:
                yield Place("cell", name, argument, (), CELL)


PLACES = [*places()]


def beyond(kind: object) -> Iterator[object]:
    """Values that a type of argument excludes."""
    match kind:
        case OneOf(words):
            yield from ("nonsense", 3, True, [word for word in words if word][:1])
        case Int(minimum, maximum):
            yield from (minimum - 1, maximum + 1, minimum + 0.5, True, [minimum], "nonsense")
        case Float(minimum, maximum, below, above):
            yield from (True, "nonsense", [0.5])
            yield from [] if minimum is None else [minimum - 1e-6, *([minimum] if above else [])]
            yield from [] if maximum is None else [maximum + 1e-6, *([maximum] if below else [])]
        case Several(of):
            outside = [each for each in beyond(of) if not isinstance(each, list)]
            yield from (*outside, *([each] for each in outside), [])
        case Flag():
            yield from (2, "nonsense", [True])
        case _:
            raise AssertionError(kind)


def test_every_parameter_of_the_library_says_what_it_may_be() -> None:
    """No text, number or class of a loss, a metric or an activation goes without a check."""
    assert len(PLACES) > 80
    assert [(each.callee, each.argument.name) for each in PLACES if isinstance(each.argument.kind, AnyValue | Numbers)] == []


def test_values_beyond_a_declaration_of_the_library() -> None:
    """In the spec, by a parameter of the model, and in Python, with the same words: the place, what is expected, and what was given."""
    tried = 0
    classes = {each.name: each for each in (*losses.LOSSES.values(), *metrics.METRICS.values())}
    for place in PLACES:
        owner = f"`{place.argument.name}` of {place.callee} expects"
        in_python = f"{place.family} {place.callee}: `{place.argument.name}` expects"
        for number, value in enumerate(beyond(place.argument.kind)):
            with pytest.raises(SpecError) as caught:
                checked(place.text(literal(value)))
            (fault,) = caught.value.diagnostics
            assert isinstance(fault, errors.names.WrongValue), (place, value)
            assert fault.message.startswith(owner), (place, value)
            if number < 2:
                with pytest.raises(SpecError) as caught:
                    checked(place.text("v", "M(v)"), {"v": cast(ParameterValue, value)})
                assert [each.message for each in caught.value.diagnostics] == [fault.message]
            if place.family in ("loss", "metric"):
                others: dict[str, Any] = {name: [0] if name == "target_class_ids" else 1 for name in place.needed}
                with pytest.raises(ValueError, match="True or False" if isinstance(place.argument.kind, Flag) else in_python):
                    cast(Any, classes[place.callee])(**{**others, place.argument.name: value})
            tried += 1
    assert tried > 450


@pytest.mark.parametrize(
    "made",
    [
        metrics.AUC(curve="PR", summation_method="majoring"),
        metrics.AUC(curve="PRGAIN", summation_method="minoring", num_thresholds=2),
        metrics.AUC(thresholds=[0.0, 0.5, 1.0], multi_label=True, label_weights=[0, 1, 2, 3, 4, 5]),
        metrics.Precision(thresholds=0, top_k=6, class_id=5),
        metrics.Recall(thresholds=[1]),
        metrics.FBetaScore(average=None, beta=0.5, threshold=1),
        *(metrics.F1Score(average=each) for each in ("micro", "macro", "weighted")),
        *(metrics.R2Score(class_aggregation=each) for each in (None, "uniform_average", "variance_weighted_average")),
        metrics.R2Score(num_regressors=3),
        metrics.BinaryAccuracy(threshold=-1.5),
        metrics.TopKCategoricalAccuracy(k=6),
        metrics.OneHotIoU(num_classes=2, target_class_ids=1),
        metrics.BinaryIoU(target_class_ids=[0, 1], threshold=0.3),
        losses.CategoricalFocalCrossentropy(alpha=cast(Any, [1, 2, 3, 4, 5, 6]), gamma=0),
        losses.CategoricalCrossentropy(label_smoothing=1),
        losses.SparseCategoricalCrossentropy(ignore_class=-1),
    ],
    ids=repr,
)
def test_what_keras_accepts_is_accepted(made: losses.NamedLoss | metrics.NamedMetric) -> None:
    """Keras 3.15's values at the edges, from its documentation."""
    family = "loss" if isinstance(made, losses.NamedLoss) else "metric"
    config = config_of(family, made.config, NOTHING_OWN, WIDTH, made.name.startswith("sparse"))
    if family == "loss":
        assert loss_step(config, WIDTH, NOTHING_OWN).output.shape.dimensions == (1,)
    else:
        assert metric_steps(config, WIDTH, NOTHING_OWN).rows.output.shape.stepwise


@pytest.mark.parametrize(
    ("made", "width", "problem"),
    [
        (metrics.Precision(class_id=3), 3, "metric precision: `class_id` expects a whole number of at least 0 and of at most 2, got 3"),
        (metrics.Recall(top_k=4), 3, "metric recall: `top_k` expects a whole number of at least 1 and of at most 3, got 4"),
        (metrics.TopKCategoricalAccuracy(), 4, "expects a whole number of at least 1 and of at most 4, got 5; `width"),
        (metrics.AUC(label_weights=[1, 2]), 3, "or a list of 3, got"),
        (losses.CategoricalFocalCrossentropy(alpha=cast(Any, [1, 2])), 3, "or a list of 3, got"),
    ],
    ids=repr,
)
def test_bounds_by_the_width(made: losses.NamedLoss | metrics.NamedMetric, width: int, problem: str) -> None:
    """Python's objects don't know the model that they are for: they are held to it where they meet it."""
    model = rnnspec.compile(f"model M {{ input x: float[2] Dense({width}, activation = softmax) }}")
    with pytest.raises(ValueError, match=re.escape(problem)):
        if isinstance(made, losses.NamedLoss):
            model.configure(loss=made)
        else:
            model.configure(loss="mse", metrics=[made])


def test_bounds_by_another_argument() -> None:
    """They are known where the object is made."""
    with pytest.raises(ValueError, match=re.escape("of at most 2, got 3; `num_classes` is 3 here")):
        metrics.IoU(num_classes=3, target_class_ids=[0, 3])


def test_a_declared_parameter_of_a_function_is_a_constant() -> None:
    text = "function f(v, k: float > 0) = v * k\nmodel M { input x: float[time, 2] C(2) }\n"
    text += "cell C(units) { state h [units] h' = f(x, VALUE) + h return h' }"
    checked(text.replace("VALUE", "1.5"))
    with pytest.raises(SpecError, match="needs a constant for `k`, a number above 0"):
        checked(text.replace("VALUE", "h"))
    with pytest.raises(SpecError, match="`k` of f expects a number above 0"):
        checked(text.replace("VALUE", "0"))


def test_a_bound_that_is_none_limits_nothing() -> None:
    text = "loss l(most: none or int = none, k: int <= most = 9) { return mean(target - prediction) * k }\n"
    text += "model M { input x: float[2] Dense(2) train { loss = l(MOST) } }"
    checked(text.replace("(MOST)", ""))
    checked(text.replace("MOST", "9"))
    with pytest.raises(SpecError, match="`k` of l expects a whole number of at most 8"):
        checked(text.replace("MOST", "8"))


def test_a_parameter_of_which_nothing_is_said_is_taken_as_before() -> None:
    """Specs and model files from before declarations had kinds."""
    text = 'loss l(how = "a", k = 1.0, some = none) { return mean(target - prediction) * (k if how == "a" else 2) }\n'
    checked(text + 'model M { input x: float[2] Dense(2) train { loss = l("anything", k = -3, some = [1, 2]) } }')


CHOSEN = """function g(v) = v * 2
function f(v, act: activation = g) = act(v)
loss l(act: activation = g, how: "mean" or "largest" = "mean") {
    return mean(act(target - prediction)) if how == "mean" else max(target - prediction)
}

model M(a: activation = relu, how: "mean" or "largest" = "mean") {
    input x: float[3]

    Dense(3, activation = f(relu(negative_slope = 0.5)), use_bias = false)
    Dense(3, activation = a, use_bias = false)
    train {
        loss = l(a, how)
    }
}
"""


def test_activations_and_texts_as_parameters_of_all(tmp_path: Path) -> None:
    """A function of the spec as a parameter of a model, a loss and a function; the file of the model knows them."""
    x, y = np.array([[1.0, -2.0, 0.5]]), np.array([[1.0, 2.0, 4.0]])
    model = rnnspec.compile(CHOSEN, dtype="float64", a="g")
    first, second = model.weights.values()
    inner = x @ first
    output = 2 * (np.where(inner > 0, inner, inner / 2) @ second)
    np.testing.assert_allclose(model.predict(x), output, rtol=1e-12)
    assert model.evaluate(x, y)["loss"] == pytest.approx(np.mean(2 * (y - output)), rel=1e-6)
    model.save(tmp_path / "model.rnnc")
    np.testing.assert_array_equal(rnnspec.load(tmp_path / "model.rnnc").predict(x), model.predict(x))
    model.configure(loss="l")
    assert model.evaluate(x, y)["loss"] == pytest.approx(np.mean(2 * (y - output)), rel=1e-6)


# Drawn declarations, against their meaning once more.


@dataclass(frozen=True)
class Drawn:
    """An alternative of a declaration: a text, `none`, or a sort with bounds."""

    word: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False

    @property
    def text(self) -> str:
        low, high = ["" if each is None else f"{each:g}" for each in (self.low, self.high)]
        below, above = "<" if self.above else "<=", "<" if self.below else "<="
        return f"{f'{low} {below} ' if low else ''}{self.word}{f' {above} {high}' if high else ''}"

    @property
    def numeric(self) -> bool:
        return self.word in ("int", "ints", "float", "floats")

    def number(self, value: object) -> bool:
        """Whether a number is one of the sort, between the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.word.startswith("int") and value != round(value)):
            return False
        low = self.low is None or value > self.low or (value == self.low and not self.above)
        return low and (self.high is None or value < self.high or (value == self.high and not self.below))

    def takes(self, value: object) -> bool:
        if not self.numeric:
            return value is None if self.word == "none" else isinstance(value, str) and literal(value) == self.word
        if isinstance(value, list):
            items = cast("list[object]", value)
            return self.word.endswith("s") and bool(items) and all(map(self.number, items))
        return self.number(value)

    @property
    def empty(self) -> bool:
        steps = range(-20, 21) if self.word.startswith("int") else [each / 8 for each in range(-80, 81)]
        return self.numeric and not any(map(self.number, steps))


BOUND = st.none() | st.integers(-6, 6).map(lambda each: each / 2)
SORT = st.builds(Drawn, st.sampled_from(["int", "ints", "float", "floats"]), BOUND, BOUND, st.booleans(), st.booleans())
ALTERNATIVES = st.lists(SORT | st.sampled_from([Drawn("none"), Drawn('"a"'), Drawn('"bb"')]), min_size=1, max_size=3, unique=True)
NUMBER = st.integers(-8, 8).map(lambda each: each / 2 if each % 2 else each // 2)
VALUES: st.SearchStrategy[Any] = st.lists(
    st.none() | st.sampled_from(["a", "bb", "c", True]) | NUMBER | st.lists(NUMBER, max_size=3), min_size=3, max_size=3
)

LOSS = "loss l(p: KIND) { return mean(target - prediction) }\nmodel M { input x: float[2] Dense(2) train { loss = l(VALUE) } }"
MODEL = "model M(p: KIND) { input x: float[2] Dense(2) }"


def refused(text: str, parameters: dict[str, ParameterValue] | None = None) -> bool:
    try:
        checked(text, parameters)
    except SpecError as error:
        (fault,) = error.diagnostics
        assert isinstance(fault, errors.names.WrongValue)
        return True
    return False


@given(ALTERNATIVES, VALUES)
def test_a_drawn_declaration_takes_what_it_says(alternatives: list[Drawn], values: list[Any]) -> None:
    """In a spec and from outside, and its canonical form says the same."""
    kind = " or ".join(each.text for each in alternatives)
    formatted = format_spec(SourceFile.of_text(LOSS.replace("KIND", kind).replace("VALUE", "1")))
    assert format_spec(SourceFile.of_text(formatted)) == formatted
    if any(each.empty for each in alternatives):
        with pytest.raises(SpecError, match="no number is between these bounds"):
            checked(MODEL.replace("KIND", kind), {"p": 1})
        return
    for value in values:
        taken = any(each.takes(value) for each in alternatives)
        assert refused(LOSS.replace("KIND", kind).replace("VALUE", literal(value))) is not taken, (kind, value)
        assert refused(MODEL.replace("KIND", kind), {"p": value}) is not taken, (kind, value)
