"""What a column is for, by its name, or by the name that the command or the spec gives it.

A name says a kind, a set and a part of the model: `x`, `y`, `length`, `mask` or `sample_weight`; nothing, `_train`, `_val` or `_test`;
nothing, or a dot and the name of an input or an output. The name of an input alone is its `x`, that of an output its `y`. A number behind
another dot makes one of several columns side by side. `test`, `split` and `classes` are for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from types import MappingProxyType

from rnnspec.contract.data_roles import KINDS, ROWS, WHOLE
from rnnspec.contract.signature import Signature
from rnnspec.datafiles.table import Column, Table, is_list
from rnnspec.diagnostics import nearest
from rnnspec.frozen import frozen

SETS: Mapping[str, str] = MappingProxyType({"": "whole", "_train": "train", "_val": "val", "_test": "test"})
"""The sets by the ends of their keys."""

MEANT: Mapping[str, str] = MappingProxyType({"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"})
"""Other libraries' names of the sets."""

_SET = "(_train|_val|_test)?"
_NUMBERED = re.compile(r"(.+)\.([0-9]{1,9})", re.DOTALL)


@frozen
class Role:
    """What a column is for. `end`: the set, as keys end; `of`: an input or an output, empty for the only one or for all of them."""

    kind: str
    end: str = ""
    of: str = ""


class Roles:
    """The roles of columns for a model's inputs and outputs.

    `given`: the columns of a role, by the role's name, in the place of those that are called so, or that the spec names for it.
    """

    def __init__(self, signature: Signature, given: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        """ValueError for a role that the model doesn't have, or that is given twice."""
        self.inputs = tuple(spec.name for spec in signature.inputs)
        self.outputs = tuple(spec.name for spec in signature.outputs)
        self._parts = {"x": self.inputs, "length": self.inputs, "mask": self.inputs, "y": self.outputs, "sample_weight": self.outputs}
        self._required = self._read(given, "--columns")
        self.given = self._read(dict(signature.train.data), "data of the spec's train section") | self._required
        self._taken = {column for columns in self.given.values() for column in columns}

    def _read(self, given: Mapping[str, Sequence[str]], where: str) -> dict[Role, tuple[str, ...]]:
        found: dict[Role, tuple[str, ...]] = {}
        for key, columns in given.items():
            role = self._named(key)
            if role is None:
                advice = nearest(key, self.keys())
                there = f"there are {', '.join(dict.fromkeys((*self.inputs, *self.outputs, *KINDS, *WHOLE)))}"
                raise ValueError(f"{where}: the model has nothing called `{key}`; {f'{advice} ' if advice else ''}{there}")
            if role in found:
                raise ValueError(f"{where}: `{key}` is given twice")
            found[role] = tuple(columns)
        return found

    def is_wanted(self, name: str) -> bool:
        """Whether a column of that name may be used."""
        return name in self._taken or self.of_column(name) is not None

    def is_input(self, name: str) -> bool:
        """Whether a column of that name may say what the inputs are: not one of targets, weights or sets."""
        known = self.of_column(name)
        roles = [role for role, columns in self.given.items() if name in columns] + ([] if known is None else [known[0]])
        return any(role.kind in ("x", "length", "mask", *ROWS) for role in roles)

    def of_column(self, name: str) -> tuple[Role, int | None] | None:
        """A column's role by its own name, and its number among several; None if it has none."""
        if name in self._taken:
            return None
        role, number = self._named(name), None
        if role is None and (numbered := _NUMBERED.fullmatch(name)):
            role, number = self._named(numbered[1]), int(numbered[2])
        return None if role is None else (role, number)

    def _named(self, key: str) -> Role | None:
        if key in WHOLE:
            return Role(key)
        if key.startswith("classes.") and key.removeprefix("classes.") in self.outputs:
            return Role("classes", of=key.removeprefix("classes."))
        kind, end, of = "", "", ""
        if found := re.fullmatch(rf"({'|'.join(KINDS)}){_SET}(?:\.(.+))?", key, re.DOTALL):
            kind, end, of = found[1], found[2] or "", found[3] or ""
        else:
            for names, each in ((self.inputs, "x"), (self.outputs, "y")):
                for name in names:
                    if not kind and (found := re.fullmatch(rf"{re.escape(name)}{_SET}", key)):
                        kind, end, of = each, found[1] or "", name
        if not kind:
            return None
        parts = self._parts[kind]
        if of and of not in parts:
            return None
        if kind == "x" and not of:
            of = self.inputs[0] if len(self.inputs) == 1 else "x" if "x" in self.inputs else ""
            return Role(kind, end, of) if of else None
        return Role(kind, end, of if kind == "x" or len(parts) > 1 else "")

    def keys(self) -> Iterator[str]:
        """The names that columns may have for a role."""
        for end in SETS:
            for kind in KINDS:
                if kind != "x" or len(self.inputs) == 1 or "x" in self.inputs:
                    yield f"{kind}{end}"
            if len(self.inputs) > 1:
                yield from (f"x{end}.{name}" for name in self.inputs)
            if len(self.outputs) > 1:
                yield from (f"{kind}{end}.{name}" for kind in ("y", "sample_weight") for name in self.outputs)
            yield from (f"{name}{end}" for name in (*self.inputs, *self.outputs))
        yield from WHOLE

    def key_of(self, role: Role) -> str:
        """The name of the columns of a role, as users are told."""
        if role in self.given:
            return ", ".join(self.given[role])
        single = len(self.inputs) == 1 if role.kind == "x" else not role.of
        return f"{role.kind}{role.end}" if single else f"{role.kind}{role.end}.{role.of}"

    def assigned(self, table: Table) -> dict[Role, tuple[Column, ...]]:
        """The columns of each role that the table has.

        A column that the spec names and that isn't there may have the role's own name. ValueError for one of an input, or one that was
        given, that is missing, and for two names of one role.
        """
        found: dict[Role, tuple[Column, ...]] = {}
        for role, columns in self.given.items():
            missing = [name for name in columns if name not in table.columns]
            if not missing:
                found[role] = tuple(table.columns[name] for name in columns)
            elif role in self._required:
                raise _missing(table, missing[0])
        by_given = set(found)
        several: dict[Role, dict[int, Column]] = {}
        for name in table.columns:
            known = self.of_column(name)
            if known is None:
                continue
            role, number = known
            if role in by_given:
                continue
            if number is not None:
                several.setdefault(role, {})[number] = table.columns[name]
            elif role in found:
                raise ValueError(f"{table.path}: {found[role][0].name} and {name} are both {self.key_of(role)}")
            else:
                found[role] = (table.columns[name],)
        for role, numbered in several.items():
            if role in found:
                raise ValueError(f"{table.path}: {found[role][0].name} and {numbered[min(numbered)].name} are both {self.key_of(role)}")
            places = sorted(numbered)
            if (gap := next((place for place, number in enumerate(places) if place != number), None)) is not None:
                stem = numbered[places[0]].name.rpartition(".")[0]
                raise ValueError(f"{table.path}: there is no {table.noun} {stem}.{gap}; it has {numbered[places[-1]].name}")
            found[role] = tuple(numbered[place] for place in places)
        self._check_inputs(table, found)
        return found

    def _check_inputs(self, table: Table, found: Mapping[Role, Sequence[Column]]) -> None:
        """ValueError for a column that the spec names and that isn't there: of an input, or of a key where values aren't sequences by
        themselves."""
        alone = any(not is_list(column) and column.array is None for role in found if role.kind == "x" for column in found[role])
        inputs = {role.of for role in found if role.kind == "x"}
        for role, columns in self.given.items():
            if role not in found and (role.of not in inputs if role.kind == "x" else role.kind in ROWS and alone):
                raise _missing(table, next(name for name in columns if name not in table.columns))

    def why_unused(self, key: str, there: Set[str]) -> str:
        """A few words about a column that has no role, none where nothing is known."""
        kind, under, end = key.rpartition("_")
        meant = f"{kind}_{MEANT.get(end, end)}" if under else key
        known = set(self.keys()) - there
        return f"did you mean `{meant}`?" if meant in known else nearest(key, known)


def _missing(table: Table, name: str) -> ValueError:
    advice, there = nearest(name, table.names), f"found {listed(table.names) or 'none'}"
    return ValueError(f"{table.path}: there is no {table.noun} `{name}`; {f'{advice} ' if advice else ''}{there}")


MOST = 12
"""The most keys that a message lists."""

LONGEST = 80
"""Letters that a message shows of a key."""


def listed(names: Sequence[str]) -> str:
    """Some of them, where there are many."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(name[: 2 * LONGEST] for name in names[:MOST]) + more
