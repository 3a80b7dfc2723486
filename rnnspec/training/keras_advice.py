"""Advice on unknown names: whether Keras has them, and the replacement here. Imported at the first unknown name."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rnnspec.contract.metric_names import computed_name
from rnnspec.diagnostics import nearest
from rnnspec.keras_names.advice import instead, instead_of_argument, named_today
from rnnspec.keras_names.names import KerasName, families_of, foreign_spellings, keras_name
from rnnspec.training import losses


def unknown_argument(family: str, callee: str, name: str, known: list[str]) -> str:
    """A message on an argument that the class `callee` of one of Keras's families doesn't have."""
    found = keras_name(family, callee)
    if (today := named_today(name, frozenset(known))) is not None:
        return f"{callee} has no argument {name}: it is called {today} here"
    if found is not None and name in found.arguments:
        advice = instead_of_argument(name)
        return f"{callee}: Keras has the argument {name}, this version doesn't{f'; {advice}' if advice else ''}"
    guess = nearest(name, known)
    return f"{callee} has no argument {name}; {f'{guess} ' if guess else ''}it has {', '.join(known) or 'none'}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A message on an unknown name: whether Keras has it, or what was probably meant, and all there are."""
    names = list(known)
    there_are = f"there are {', '.join(names)}"
    if (found := keras_name(kind, name)) is not None:
        advice = instead(found)
        return f"Keras has the {kind} {name}, this version doesn't{f': {advice}' if advice else ''}; {there_are}"
    if (others := families_of(name)) and kind not in others:
        return f"{name} is {'an' if others[0][0] in 'aeiou' else 'a'} {others[0]} and no {kind}; {there_are}"
    called = name.partition("(")[0].strip()
    if called != name and called in names:
        return f"{called} is the name of a {kind}, and `{name}` isn't: arguments stand in the spec, or are those of an object"
    guess = nearest(name, names, foreign_spellings(kind, names))
    return f"no {kind} is called {name}; {f'{guess} ' if guess else ''}{there_are}"


def absent(module: str, family: str, name: str, *, imported: bool) -> AttributeError | ImportError:
    """The error to raise for a name that a module lacks, with advice if Keras has it.

    An AttributeError, so that `hasattr` is False; in an import, which would lose the advice, an ImportError instead.
    """
    if name.startswith("_") or (found := keras_name(family, name)) is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    if (here := _class_here(found, vars(sys.modules[module]))) is not None:
        message = f"Keras has the {family} {name}; here it is the class {here}"
    elif family == "metric" and (here := _class_here(found, vars(losses))) is not None:
        message = f"Keras has the metric {name}; here the loss rnnspec.losses.{here} is a metric as well"
    elif family == "metric" and computed_name(name) is not None:
        message = f"Keras has the metric {name}; here metrics=[{name!r}] stands for one of several by the targets"
    else:
        advice = instead(found)
        message = f"Keras has the {family} {name}, this version doesn't{f': {advice}' if advice else ''}"
    return ImportError(message, name=module) if imported else AttributeError(message)


def _class_here(wanted: KerasName, names: Iterable[str]) -> str | None:
    """The class among these names that is one of Keras's, but for underscores, capitals and an `Error` at its end."""
    plain = wanted.name.replace("_", "").lower()
    return next((name for name in names if name[:1].isupper() and name.lower() in (plain, plain.removesuffix("error"))), None)
