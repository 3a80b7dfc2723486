"""Arguments in Keras's configurations as constants of a spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from rnnspec.contract.arguments import Flag, Float, Floats, Int, OneOf, Rate, Required
from rnnspec.frontend.binding.library_arguments import activation_arguments, library_arguments
from rnnspec.frontend.catalogue.argument_types import (
    ArgumentSpec,
    AtBothEnds,
    Axes,
    ChoiceOf,
    DefaultOnly,
    Entry,
    Family,
    Integers,
    ListOf,
    Numbers,
    Position,
)
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.archive import Config

OLD_HARD_SIGMOID = "keras2_hard_sigmoid"
OLD_HARD_SIGMOID_TEXT = f"""# Keras's hard_sigmoid before version 3, whose slope is 0.2 and not 1/6.
function {OLD_HARD_SIGMOID}(x) = clip(0.2 * x + 0.5, 0, 1)"""

_LAYERS_AS_ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "Softmax": "softmax"}
_NO_ARGUMENTS = frozenset({"name", "trainable", "dtype", "axis"})
_WRAPPERS = frozenset({"MeanMetricWrapper", "LossFunctionWrapper", "SumOverBatchSizeMetricWrapper"})
"""Objects of Keras around a function, which they name."""
_OF_TRAINING = frozenset({Family.LOSS, Family.METRIC, Family.OPTIMIZER, Family.SCHEDULE})
_MEANINGLESS = frozenset({"name", "dtype", "fn", "jit_compile", "is_legacy_optimizer", "num_labels"})
_UNSAID: Mapping[str, tuple[object, ...]] = {
    "reduction": ("sum_over_batch_size", "auto", "mean", "mean_with_sample_weight"), "axis": (-1,), "decay": (0, 0.0),
}  # fmt: skip
"""Arguments that the language hasn't, with the values that it means without them."""
_ALPHAS = frozenset({"LeakyReLU", "leaky_relu"})


class Unsaid(Exception):
    """A value that a spec can't have; the reason in words."""


class Constants:
    """Converts values, collecting what can't be said. `major`: the first number of Keras's version."""

    def __init__(self, findings: Findings, major: int) -> None:
        self.findings = findings
        self.major = major
        self.declarations: dict[str, None] = {}

    def by_kind(self, place: str, spec: ArgumentSpec, value: object) -> Value:
        """The value of an argument of the catalogue; Unsaid for one of another type."""
        if value is None:
            return None
        match spec.kind:
            case Flag():
                return self._flag(value)
            case Int() | Position():
                return self._whole(value)
            case Float() | Rate():
                return number(value)
            case OneOf():
                return Word(_word(value))
            case ChoiceOf(family=Family.ACTIVATION):
                return self.activation(value)
            case ChoiceOf(family=family):
                return self.choice(place, family, value)
            case ListOf(family=family):
                return tuple(self.choice(place, family, each) for each in _items(value))
            case DefaultOnly():
                return self._default_only(spec, value)
            case Integers() | Axes() | AtBothEnds() | Numbers() | Floats():
                return self._numbers(value)
            case _:
                return plain(value)

    def _default_only(self, spec: ArgumentSpec, value: object) -> Value:
        kind = spec.kind
        if isinstance(kind, DefaultOnly) and plain(value) not in (spec.default, *kind.others):
            raise Unsaid(f"{shown(value)} isn't supported: {kind.reason}")
        return None if isinstance(spec.default, Required) or not isinstance(spec.default, (int, float, bool)) else spec.default

    def _flag(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise Unsaid(f"expected true or false, found {shown(value)}")

    def _whole(self, value: object) -> int:
        if isinstance(value, list) and len(cast(list[object], value)) == 1:
            value = cast(list[object], value)[0]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unsaid(f"expected a whole number, found {shown(cast(object, value))}")
        return value

    def _numbers(self, value: object) -> Value:
        if isinstance(value, list):
            items = tuple(self._numbers(each) for each in cast(list[object], value))
            return items[0] if len(items) == 1 and isinstance(items[0], int) else items
        return number(value)

    def activation(self, value: object) -> Value:
        """An activation: a name, or an object of Keras's with a configuration; Unsaid for one that isn't in the language."""
        name, config = _named(value)
        name = _LAYERS_AS_ACTIVATIONS.get(name, name)
        entry = FAMILIES[Family.ACTIVATION].get(name)
        if entry is None:
            raise Unsaid(f"there is no activation `{shown_name(name)}` in the language; write it as a function of a spec")
        if entry.name == "hard_sigmoid" and self.major < 3:
            self.declarations[OLD_HARD_SIGMOID_TEXT] = None
            return Word(OLD_HARD_SIGMOID)
        given = {("negative_slope" if key == "alpha" and name in _ALPHAS else key): each for key, each in config.items()}
        known = {spec.name: spec for spec in activation_arguments(entry.name)}
        arguments = [(key, self.by_kind("", known[key], each)) for key, each in given.items() if key in known]
        if unknown := sorted(given.keys() - known.keys() - _NO_ARGUMENTS):
            raise Unsaid(f"`{name}` has no argument `{shown_name(unknown[0])}` in the language")
        if name == "leaky_relu" and _named(value)[0] == "LeakyReLU" and "negative_slope" not in dict(arguments):
            arguments.append(("negative_slope", 0.3))
        return Word(entry.name, tuple(arguments))

    def function(self, name: str, body: str) -> str:
        """The name of a function of the spec with that body, of `x`: the given one, with a number behind it where that is another's."""
        number, made = 1, name
        while f"function {made}(x) = {body}" not in self.declarations and any(f" {made}(" in each for each in self.declarations):
            number += 1
            made = f"{name}_{number}"
        self.declarations[f"function {made}(x) = {body}"] = None
        return made

    def choice(self, place: str, family: Family, value: object) -> Value:
        """An initializer, a regularizer, an optimizer or the like; what only training needs is left out where it can't be said."""
        name, config = _named(value)
        if name in _WRAPPERS:
            name, config = _named(config.get("fn") or config.get("name"))[0], {}
        entry = FAMILIES[family].get(name) or FAMILIES[family].get(name[:1].upper() + name[1:])
        if entry is None:
            if family is Family.INITIALIZER:
                self.findings.note(f"{place}: the initializer `{shown_name(name)}` was left out; the weights are the file's")
                return None
            raise Unsaid(f"there is no {family.value} `{shown_name(name)}` in the language")
        if entry.name == "variance_scaling" and [config.get(key) for key in ("scale", "mode", "distribution")] == [
            1.0,
            "fan_avg",
            "uniform",
        ]:
            return Word("glorot_uniform")  # as Keras 2.2 writes it
        return Word(entry.name, tuple(self._arguments(place, family, entry, config)), bool(config) and family is Family.OPTIMIZER)

    def _arguments(self, place: str, family: Family, entry: Entry, config: Config) -> list[tuple[str, Value]]:
        """Those that can be said; in training each other one that isn't its default is dropped, and told."""
        known = {spec.name: spec for spec in (*entry.arguments, *library_arguments(family, entry.name))}
        found: list[tuple[str, Value]] = []
        for key, each in config.items():
            spec = known.get(key)
            if each is None or (spec is None and (family not in _OF_TRAINING or key in _MEANINGLESS or each in _UNSAID.get(key, ()))):
                continue
            try:
                if spec is None:
                    raise Unsaid(f"`{entry.name}` has no such argument in the language ({shown(each)})")
                value = self.by_kind(place, spec, each)
            except Unsaid as error:
                if family not in _OF_TRAINING:
                    raise
                self.findings.drop(f"{place}: `{key}` was left out: {error}")
                continue
            if not isinstance(spec.kind, DefaultOnly):
                found.append((key, _short(value) if isinstance(value, float) else value))
        return found


def _short(value: float) -> float:
    """A number that float32 made longer as it was written: 0.009999999776482582 is 0.01."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return float(str(single)) if float(single) == value and math.isfinite(value) else value


def number(value: object) -> int | float:
    """A finite number; Unsaid for anything else. Keras 3 writes numbers of numpy as objects."""
    if isinstance(value, dict):
        value = cast(Mapping[str, object], value).get("config", {})
        value = cast(Mapping[str, object], value).get("value") if isinstance(value, dict) else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1e300:
        raise Unsaid(f"expected a number, found {shown(value)}")
    return value


def constant_text(value: object) -> str:
    """A number in an equation."""
    text = repr(number(value)).replace("e+", "e")
    return f"({text})" if text.startswith("-") else text


def plain(value: object) -> Value:
    """A number, a flag, a word or a list of these; Unsaid for an object."""
    match value:
        case None | bool():
            return value
        case int() | float():
            return number(value)
        case str():
            return value
        case list():
            return tuple(plain(each) for each in cast(list[object], value))
        case _:
            raise Unsaid(f"expected a constant, found {shown(value)}")


def shown(value: object) -> str:
    """A value in a message, in short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def shown_name(name: str) -> str:
    """A name in a message."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _word(value: object) -> str:
    if isinstance(value, str) and value.isidentifier():
        return value
    raise Unsaid(f"expected a word, found {shown(value)}")


def _items(value: object) -> list[object]:
    return cast(list[object], value) if isinstance(value, list) else [value]


def _named(value: object) -> tuple[str, Config]:
    """The name and the configuration of something that is chosen by name, or is an object of Keras's."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict):
        given = cast(dict[str, Any], value)
        name, config = given.get("class_name", given.get("name")), given.get("config", {})
        if name == "function" and isinstance(config, str):
            return config, {}
        if isinstance(config, dict) and name == "function":
            name, config = cast(dict[str, Any], config).get("name"), {}
        if isinstance(name, str) and isinstance(config, str):
            return config, {}
        if isinstance(name, str):
            return name.rpartition(">")[2], cast(Config, config) if isinstance(config, dict) else {}
        if "l1" in given or "l2" in given:
            return "L1L2", given
    raise Unsaid(f"expected a name or an object of Keras, found {shown(cast(object, value))}")
