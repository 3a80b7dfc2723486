"""Every public name of Keras 3.15 compiles, or is told as Keras's, and no other name is proposed for one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rnnspec.contract.metric_names import COMPUTED, SEQUENCE_LOSSES
from rnnspec.diagnostics import Diagnostic, SpecError
from rnnspec.driver import commands
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.catalogue.choices import FAMILIES, REFUSALS
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.syntax.standard_library import FILES, row_equations, standard_cell
from rnnspec.frontend.syntax.standard_library import functions as standard_functions
from rnnspec.keras_names import names
from rnnspec.resources import read_resource
from tests.keras_cases import FOLDER

DATA: dict[str, Any] = json.loads(read_resource("keras_names", "names.json"))
"""What `tests/fixtures/keras/make_keras_names.py` found in Keras."""

OLDER: dict[str, list[str]] = json.loads((FOLDER / "names.json").read_text(encoding="utf-8"))
"""Of four modules, as `tests/fixtures/keras/make_fixtures.py` found them by another way."""

LEAST = {"layers": 150, "losses": 50, "metrics": 90, "optimizers": 30, "activations": 30, "initializers": 30, "schedules": 6}

TOLD = (errors.names.KerasOnly, errors.names.KerasSpelling, errors.names.ChoiceRefused)

PLACES: Mapping[str, str] = {
    "activation": "Dense(2, activation = {})",
    "initializer": "Dense(2, kernel_initializer = {})",
    "regularizer": "Dense(2, kernel_regularizer = {})",
    "constraint": "Dense(2, kernel_constraint = {})",
    "loss": "Dense(2) train {{ loss = {} }}",
    "optimizer": "Dense(2) train {{ loss = mse optimizer = {} }}",
    "metric": "Dense(2) train {{ loss = mse metrics = [{}] }}",
    "callback": "Dense(2) train {{ loss = mse callbacks = [{}] }}",
    "learning-rate schedule": "Dense(2) train {{ loss = mse optimizer = Adam(learning_rate = {}) }}",
    "layer": "{}(2)",
}
"""What follows the input where a member of a family stands."""

NOT_IN_KERAS = ("Last", "Slice")
"""Layers for which Keras has no name."""

EVERY = [(family, spelling) for family in names.FAMILIES for spelling in names.spellings(family)]


def found(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a model of these lines."""
    try:
        commands.check(f"model M {{ input x: float[time, 3], i: int[time]  x -> {text} }}")
    except SpecError as error:
        return error.diagnostics
    return ()


def is_here(family: str, spelling: str) -> bool:
    """Whether a spec can use the name."""
    if family == "layer":
        return spelling in LAYERS or spelling in FILES
    return spelling in FAMILIES[Family(family)]


@pytest.mark.parametrize(("family", "spelling"), EVERY, ids=[f"{family}-{spelling}" for family, spelling in EVERY])
def test_every_name_is_here_or_told(family: str, spelling: str) -> None:
    diagnostics = found(PLACES[family].format(spelling))
    told = [each for each in diagnostics if isinstance(each, TOLD)]
    others = (errors.names.UnknownLayer, errors.names.UnknownChoice, errors.names.UnknownName, errors.names.OtherFamily)
    assert not [each for each in diagnostics if isinstance(each, others)]
    assert "did you mean" not in "".join(each.render() for each in diagnostics)
    if is_here(family, spelling):
        assert not told
        return
    (only,) = told
    assert only.span.text.startswith(spelling)
    if isinstance(only, errors.names.KerasSpelling):
        assert is_here(family, only.known)
        assert names.spellings(family)[only.known] == names.spellings(family)[spelling]


@pytest.mark.parametrize("family", names.FAMILIES)
def test_what_means_the_same_has_the_same_entry_here(family: str) -> None:
    """Two spellings of one thing in Keras are never two things here."""
    if family == "layer":
        return
    catalogue = FAMILIES[Family(family)]
    meant: dict[str, set[str]] = {}
    for spelling, name in names.spellings(family).items():
        if spelling in catalogue and spelling != "Accuracy":  # as a text it means what `accuracy` does: see get_metric
            meant.setdefault(name, set()).add(catalogue[spelling].name)
    assert {name: entries for name, entries in meant.items() if len(entries) > 1} == {}


def arguments() -> Iterator[tuple[str, str, str]]:
    """Each argument in Keras of each callee here: the family, the callee, the argument."""
    for layer in (*LAYERS, *FILES):
        member = names.keras_name("layer", layer)
        if layer in NOT_IN_KERAS:
            assert member is None
            continue
        assert member is not None, layer
        yield from (("layer", layer, argument) for argument in sorted(member.arguments))
    for family, catalogue in FAMILIES.items():
        for entry in {entry.name: entry for entry in catalogue.values()}.values():
            member = names.keras_name(family.value, entry.name)
            if member is not None:
                yield from ((family.value, entry.name, argument) for argument in sorted(member.arguments))


def known_arguments(family: str, callee: str) -> set[str]:
    if callee in FILES:
        return {parameter.name.text for parameter in standard_cell(callee).parameters} | {option.name for option in SEQUENCE_OPTIONS}
    if family in ("loss", "metric") and callee not in COMPUTED.keys() | SEQUENCE_LOSSES:
        return {parameter.name.text for parameter in row_equations(family == "metric")[callee].parameters}
    if family == "activation" and callee in standard_functions({}):
        return {parameter.name.text for parameter in standard_functions({})[callee].parameters[1:]}
    entry = LAYERS[callee] if family == "layer" else FAMILIES[Family(family)][callee]
    return {argument.name for argument in entry.arguments}


def test_every_argument_is_here_or_told() -> None:
    """An unknown argument is reported whatever else is wrong with the call."""
    seen = 0
    for family, callee, argument in arguments():
        text = f"{callee}({argument} = none)" if family == "layer" else PLACES[family].format(f"{callee}({argument} = none)")
        about = [each for each in found(text) if each.span.text == argument]
        assert not [each for each in about if isinstance(each, errors.names.UnknownArgument)], (callee, argument)
        told = [each for each in about if isinstance(each, errors.names.KerasArgument)]
        assert (argument in known_arguments(family, callee)) is not bool(told), (callee, argument)
        assert not told or "did you mean" not in told[0].render()
        seen += bool(told)
    assert seen > 500


@pytest.mark.parametrize("setting", sorted(names.settings()))
def test_settings_of_keras_are_told(setting: str) -> None:
    diagnostics = found(f"Dense(2) train {{ loss = mse {setting} = 1 }}")
    for each in diagnostics:
        assert "did you mean" not in each.render()
        assert not isinstance(each, errors.layers.UnknownSetting) or each.help


def test_functions_of_keras_get_no_other_function() -> None:
    """In an equation: what isn't here is refused, and never taken for a slip."""
    for name in sorted(names.functions()):
        text = f"cell C(units) {{ state h [units]  h' = {name}(x) + h  return h' }} model M {{ input x: float[time, 3] C(3) }}"
        try:
            commands.check(text)
        except SpecError as error:
            assert "did you mean" not in str(error), name


def test_the_list_is_whole() -> None:
    assert DATA["keras"].startswith("3.15")
    for family, least in LEAST.items():
        assert len(DATA[family]["names"]) + len(DATA[family]["spellings"]) >= least, family
    for module, every in OLDER.items():
        family = next(member for member, plural in names.FAMILIES.items() if plural == module)
        assert set(every) <= names.spellings(family).keys()


@pytest.mark.parametrize("module", OLDER)
def test_what_is_refused_for_a_reason_is_of_keras_and_not_here(module: str) -> None:
    family = Family(module.removesuffix("s"))
    known, refused = FAMILIES[family].keys(), REFUSALS.get(family, {}).keys()
    assert set(OLDER[module]) - known - refused == set()
    assert known & refused == set()
    assert refused <= set(OLDER[module])
