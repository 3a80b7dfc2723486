"""Diagnostics for unknown names, by their likely origin: Keras's names, names of another family, misspellings, and any other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from rnnspec.diagnostics import Diagnostic, listed, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.syntax.standard_library import FILES
from rnnspec.keras_names import advice
from rnnspec.keras_names.names import families_of, foreign_spellings, keras_name, settings, spellings
from rnnspec.source import Span

LAYER = "layer"

_AS_ACTIVATION: Mapping[str, str] = MappingProxyType(
    {
        "Activation": "name the activation itself",
        "ELU": "the activation is `elu`",
        "LeakyReLU": "the activation is `leaky_relu`, whose slope is 0.2 if none is given; the layer's is 0.3",
        "PReLU": "its slopes are weights: write the layer behind this one",
        "ReLU": "the activation is `relu`",
        "Softmax": "the activation is `softmax`",
    }
)
"""Layers that an activation is easily taken for."""


def unknown_layer(name: str, span: Span, known: Collection[str], otherwise: str = "") -> Diagnostic:
    """The diagnostic of an unknown layer. `known`: the cells, blocks and layers that can stand at this place.

    `otherwise`: advice for a name that resembles nothing known.
    """
    if (found := _keras(LAYER, name, span, known)) is not None:
        return found
    help_ = advice.OLD_LAYERS.get(name, "")
    if not help_ and (activation := _spelled(name, FAMILIES[Family.ACTIVATION])) is not None:
        wanted = f"write `Activation({activation})`"
        return errors.names.OtherFamily(span=span, name=name, found="an activation", expected="a layer", help=wanted)
    if not help_ and (other := _other_family(LAYER, name)) is not None:
        return errors.names.OtherFamily(span=span, name=name, found=_article(other), expected="a layer")
    help_ = help_ or nearest(name, known, foreign_spellings(LAYER, {*known, *LAYERS, *FILES})) or otherwise or listed(known)
    return errors.names.UnknownLayer(span=span, name=name, help=help_)


def unknown_choice(family: Family, name: str, span: Span, more: Collection[str], otherwise: str) -> Diagnostic:
    """The diagnostic of an unknown member of a family.

    `more`: other names that can stand at this place. `otherwise`: advice for a name that resembles nothing known.
    """
    catalogue = FAMILIES[family]
    if name not in more and (found := _keras(family.value, name, span, catalogue)) is not None:
        return found
    old = advice.OLD_LOSSES.get(name, "") if family is Family.LOSS else ""
    if not old and name not in more and (other := _other_family(family.value, name)) is not None:
        help_ = _AS_ACTIVATION.get(name, "") if family is Family.ACTIVATION else ""
        expected = _article(family.value)
        return errors.names.OtherFamily(span=span, name=name, found=_article(other), expected=expected, help=help_)
    members = sorted({entry.name for entry in catalogue.values()})
    others = foreign_spellings(family.value, catalogue)
    guess = nearest(name, [*members, *more], others) or nearest(name, catalogue, others)
    longer = [member for member in members if len(name) > 1 and member.startswith(name)]
    help_ = old or guess or otherwise or listed(longer or members)
    return errors.names.UnknownChoice(span=span, family=family.value, name=name, help=help_)


def is_schedule(name: str) -> bool:
    """Whether a bare name in the place of a learning rate is a schedule's, here or in Keras."""
    return name in FAMILIES[Family.SCHEDULE] or name in spellings(Family.SCHEDULE.value)


def keras_argument(family: str, callee: str, name: str, span: Span) -> Diagnostic | None:
    """The diagnostic of an argument that only Keras has, None for any other; a cell of the spec's counts as an LSTM."""
    member = keras_name(family, callee) or (keras_name(family, "LSTM") if family == LAYER else None)
    if member is None or name not in member.arguments:
        return None
    return errors.names.KerasArgument(span=span, callee=callee, name=name, help=advice.instead_of_argument(name))


def old_argument(name: str, arguments: Iterable[str]) -> tuple[str | None, str]:
    """The current argument behind a name of an older Keras or of PyTorch, None if there is none, and advice on it."""
    today = advice.named_today(name, frozenset(arguments))
    return today, f"it is called `{today}` here" if today is not None else advice.OTHER_ARGUMENTS.get(name, "")


def unknown_setting(name: str, known: Collection[str]) -> str:
    """Advice on an unknown setting of `train`."""
    today, help_ = old_argument(name, known)
    if today is not None:
        return help_
    if name in ("learning_rate", "lr"):
        return "it is an argument of the optimizer: `optimizer = Adam(learning_rate = 0.001)`"
    if name in settings():
        return advice.instead_of_setting(name) or "Keras's `compile` and `fit` have it, this version doesn't"
    return nearest(name, known, settings()) or f"there are {', '.join(known)}"


def _keras(family: str, name: str, span: Span, known: Collection[str]) -> Diagnostic | None:
    """The diagnostic of a name of Keras's; None for any other name, and for a misspelling of a known one."""
    found = keras_name(family, name)
    if found is None:
        return None
    of_keras = spellings(family)
    anywhere = {*known, *LAYERS, *FILES} if family == LAYER else known
    same = [each for each in anywhere if of_keras.get(each) == found.name]
    if not same:
        return errors.names.KerasOnly(span=span, family=family, name=name, help=advice.instead(found))
    if name not in of_keras:
        return None
    canonical = found.name if family == LAYER else FAMILIES[Family(family)][same[0]].name
    help_ = f"write `[a, b] -> {canonical}()`" if family == LAYER and name.islower() else ""
    return errors.names.KerasSpelling(span=span, family=family, name=name, known=canonical, help=help_)


def _other_family(family: str, name: str) -> str | None:
    """Another family than `family` that has an entry `name`; None if there isn't any."""
    if name in LAYERS or name in FILES:
        return LAYER
    here = [other.value for other, catalogue in FAMILIES.items() if name in catalogue]
    return next((other for other in (*here, *families_of(name)) if other != family), None)


def _spelled(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled so but for capitals and underscores."""
    plain = name.replace("_", "").lower()
    return next((each for each in known if each.replace("_", "").lower() == plain), None)


def _article(family: str) -> str:
    return f"{'an' if family[0] in 'aeiou' else 'a'} {family}"
