"""The sets of a table, bound to a model's inputs and outputs: what `fit`, `evaluate` and `predict` take.

A table holds one set, or one for each of `_train`, `_val` and `_test` at the end of its names (see `roles`); or `split`, a text a
sample, or `test`, true or false, cuts one set. Sequences are padded arrays, with `length` or `mask`; lists with one sequence a
sample; or an array of all of them one after the other, with `length`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature, Signature
from rnnspec.datafiles import values
from rnnspec.datafiles.groups import Keys, grouped, keys_by
from rnnspec.datafiles.places import NOWHERE, Origin, parts_of
from rnnspec.datafiles.roles import LONGEST, MEANT, MOST, SETS, Role, Roles, listed
from rnnspec.datafiles.table import Column, Samples, Table, flags_of, texts_of
from rnnspec.diagnostics import nearest
from rnnspec.frozen import frozen
from rnnspec.runtime.data.columns import Rows
from rnnspec.runtime.data.validate import whole_number

_READ = "what is read is x, y, length, mask and sample_weight, each also with _train, _val or _test, and test, split and classes"

SampleTargets: TypeAlias = Samples | Mapping[str, Samples] | None
"""The targets of the one trained output, or of each by name; None if the file has no targets."""


@frozen
class DataSet:
    """Inputs by name, with their targets and sample weights, as `Model.fit` takes them; masks and lengths are of some inputs."""

    x: Mapping[str, Samples]
    y: SampleTargets = None
    mask: Mapping[str, Array] | None = None
    lengths: Mapping[str, Array] | None = None
    weights: SampleTargets = None
    origin: Origin = NOWHERE
    keys: Keys | None = None

    @property
    def samples(self) -> int:
        """The number of samples of the first input."""
        return len(next(iter(self.x.values())))

    def first(self, count: int) -> DataSet:
        """The first samples."""
        return self.only(slice(whole_number("count", count, 0)))

    def only(self, rows: Rows) -> DataSet:
        """The chosen samples."""

        def taken(given: Samples) -> Samples:
            if not isinstance(given, list):
                return given[rows]
            return given[rows] if isinstance(rows, slice) else [given[row] for row in rows]

        def of_outputs(given: SampleTargets) -> SampleTargets:
            if isinstance(given, Mapping):
                return {output: taken(each) for output, each in given.items()}
            return None if given is None else taken(given)

        def of_inputs(given: Mapping[str, Array] | None) -> dict[str, Array] | None:
            return None if given is None else {name: each[rows] for name, each in given.items()}

        x = {name: taken(each) for name, each in self.x.items()}
        origin = self.origin.only(rows, self.samples)
        keys = None if self.keys is None else self.keys.only(rows)
        return DataSet(x, of_outputs(self.y), of_inputs(self.mask), of_inputs(self.lengths), of_outputs(self.weights), origin, keys)

    def steps_of(self, sample: int, name: str) -> int:
        """How many of a sample's steps in an input are real by the file."""
        lengths, masks = self.lengths or {}, self.mask or {}
        steps = int(lengths[name][sample]) if name in lengths else len(self.x[name][sample])
        return int(np.count_nonzero(masks[name][sample][:steps])) if name in masks else steps

    def targets_of(self, output: str) -> Samples | None:
        """The targets of one output; targets without names are every output's."""
        return self.y.get(output) if isinstance(self.y, Mapping) else self.y


@frozen
class DataFile:
    """The sets of a table: `train`, `val` and `test`, or `whole` where it doesn't tell them apart.

    `classes`: names of classes by output, or under "" those of all. `names`: all columns that the table has, of which
    some are `unused`.
    """

    path: str
    sets: Mapping[str, DataSet]
    roles: Roles
    classes: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def for_training(self) -> DataSet:
        """The training set; ValueError if the file has only others."""
        return self.named("train")

    @property
    def for_testing(self) -> DataSet:
        """The test set; ValueError if the file has only others."""
        return self.named("test")

    @property
    def for_validation(self) -> DataSet:
        """The validation set of a file that is given for that alone; ValueError if the file has only others."""
        return self.named("val")

    def class_names(self, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The names of classes by output: those that are known, and where there are none the file's."""
        alone = {name: self.classes[""] for name in self.roles.outputs[:1] if "" in self.classes}
        return {**alone, **{name: names for name, names in self.classes.items() if name}, **known}

    def with_targets(self, data: DataSet, outputs: Sequence[str] = ()) -> DataSet:
        """`data`, one of the sets; ValueError with the columns to add if targets are missing.

        `outputs`: the names of the outputs with targets, if there are several.
        """
        if data.y is None or (outputs and (not isinstance(data.y, Mapping) or set(data.y) != set(outputs))):
            end = next((end for end, name in SETS.items() if self.sets.get(name) is data and self._has_inputs(end)), "")
            wanted = [Role("y", end, output) for output in outputs] or [self._target_role(end)]
            keys = ", ".join(self.roles.key_of(role) for role in wanted)
            advice = next((found for role in wanted if (found := nearest(self.roles.key_of(role), self.unused))), "")
            if not advice and self.unused:
                advice = f"`--columns {self.roles.key_of(wanted[0])}=NAME` says which column has them"
            told = f"; {advice}" if advice else ""
            raise ValueError(f"{self.path}: the targets should be in {keys}; found {listed(self.names)}{told}")
        return data

    def _target_role(self, end: str) -> Role:
        """The role of the only targets, under the name that was given for them."""
        roles = [Role("y", end), *(Role("y", end, name) for name in self.roles.outputs)]
        return next((role for role in roles if role in self.roles.given), roles[0])

    def _has_inputs(self, end: str) -> bool:
        known = [self.roles.of_column(name) for name in self.names]
        return any(each is not None and (each[0].kind, each[0].end) == ("x", end) for each in known)

    def named(self, name: str) -> DataSet:
        """The set of that name, or the whole file; ValueError if there are only others."""
        chosen = self.sets.get(name, self.sets.get("whole"))
        if chosen is None:
            raise ValueError(f"{self.path}: there is no {name} set; it has {', '.join(self.sets)}")
        return chosen


def bound(
    table: Table,
    signature: Signature,
    roles: Roles,
    classes: Mapping[str, tuple[str, ...]],
    *,
    ids: Sequence[str] = (),
    unused: bool = True,
) -> DataFile:
    """The sets of a table for a model; ValueError that names the file and the place of what is wrong.

    `classes`: the names of the outputs' classes that the model knows. `ids`: the columns that tell samples apart, which predictions keep as
    they keep those of `group_by`. `unused`: whether a warning names unused columns.
    """
    found = {role: columns for role, columns in roles.assigned(table).items() if _means_something(role, columns, signature)}
    of_samples, keys = grouped(found, signature, classes)
    if ids:
        if keys is not None:
            raise ValueError(
                f"{table.path}: the predictions keep {', '.join(keys.names)} of group_by; other columns have several values a sample"
            )
        keys = keys_by(table, ids)
    sets = {
        SETS[end]: _data_set(table, signature, roles, classes, of_samples, end, keys) for end in SETS if _inputs_there(roles, found, end)
    }
    if not sets:
        raise ValueError(f"{table.path}: {_expected(table, roles)}; found {listed(table.names) or 'none'}{_meant(table, roles)}")
    cut = [kind for kind in ("test", "split") if Role(kind) in found]
    if cut and "whole" in sets:
        if others := [
            roles.key_of(Role("x", end, roles.inputs[0])) for end, name in SETS.items() if end and name in sets and name != "val"
        ]:
            raise ValueError(f"{table.path}: {cut[0]} cuts x in two, and there is {' and '.join(others)} as well")
        if len(cut) > 1:
            raise ValueError(f"{table.path}: test and split both cut x: it has both")
        sets |= _cut(table.path, sets.pop("whole"), of_samples[Role(cut[0])][0], by_name=cut[0] == "split")
    elif "train" in sets and "test" in sets:
        sets.pop("whole", None)
    left = _tell_unused(table, roles, found, "" if "whole" in sets or cut else "x_train and x_test") if unused else ()
    named = {role.of: _class_names(table.path, columns[0]) for role, columns in found.items() if role.kind == "classes"}
    return DataFile(table.path, sets, roles, named, table.names, left)


def _means_something(role: Role, columns: Sequence[Column], signature: Signature) -> bool:
    """Whether a role is one in this table: names of classes stand beside arrays, lengths and masks are of sequences."""
    match role.kind:
        case "classes":
            return columns[0].array is not None
        case "length" | "mask":
            return any(spec.is_sequence and role.of in ("", spec.name) for spec in signature.inputs)
        case _:
            return True


def _inputs_there(roles: Roles, found: Mapping[Role, object], end: str) -> bool:
    return any(Role("x", end, name) in found for name in roles.inputs)


def _expected(table: Table, roles: Roles) -> str:
    if len(roles.inputs) == 1:
        name = roles.inputs[0]
        also = "" if name == "x" else f" or {name}"
        return f"expected the {table.noun} x{also}, or x_train and x_test"
    return f"expected the {table.noun}s {', '.join(roles.inputs)}"


def _meant(table: Table, roles: Roles) -> str:
    advice = next((f"; {found}" for name in roles.inputs if (found := nearest(name, table.names))), "")
    example = f"--columns {roles.inputs[0]}=NAME says which it is"
    return advice or ("" if table.noun == "key" else f"; {example}")


def _tell_unused(table: Table, roles: Roles, found: Mapping[Role, Sequence[Column]], instead: str) -> tuple[str, ...]:
    """The unused columns, of which a warning tells; `instead`: those that are read in place of a set without an ending, if any."""
    used = {column.name for columns in found.values() for column in columns}
    reasons: dict[str, str] = {}
    there = set(table.names)
    for name in table.names:
        known = roles.of_column(name)
        role = None if known is None else known[0]
        if name not in used:
            reasons[name] = roles.why_unused(name, there)
        elif role is not None and role.kind != "classes":
            if not _inputs_there(roles, found, role.end):
                reasons[name] = f"there is no {roles.key_of(Role('x', role.end, roles.inputs[0]))}"
            elif instead and not role.end:
                reasons[name] = f"there are {instead}"
    if reasons:
        told = [f"{key[:LONGEST]} ({reason})" if reason else key[:LONGEST] for key, reason in [*reasons.items()][:MOST]]
        tail = f"; {_READ}" if table.noun == "key" else ""
        warnings.warn(f"{table.path}: not used: {listed([*told, *[*reasons][MOST:]])}{tail}", stacklevel=4)
    return tuple(reasons)


def _class_names(path: str, column: Column) -> tuple[str, ...]:
    """The names of the classes, in the order of their numbers."""
    given = column.array
    if given is None:
        return tuple(dict.fromkeys(texts_of(column)))
    if given.ndim != 1 or given.dtype.kind not in "USiu":
        found = f"{given.dtype} of shape {given.shape}"
        raise ValueError(f"{path}: {column.name} should be names as text or whole numbers, one a class; it is {found}")
    return tuple(value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in given.tolist())


def _data_set(
    table: Table,
    signature: Signature,
    roles: Roles,
    classes: Mapping[str, tuple[str, ...]],
    found: Mapping[Role, Sequence[Column]],
    end: str,
    keys: Keys | None,
) -> DataSet:
    path = table.path
    missing = [roles.key_of(Role("x", end, name)) for name in roles.inputs if Role("x", end, name) not in found]
    if missing:
        there = f"found {listed(table.names)}"
        advice = nearest(missing[0].rpartition(".")[2], table.names)
        raise ValueError(f"{path}: there is no {', '.join(missing)}, and the model takes it; {f'{advice} ' if advice else ''}{there}")
    x: dict[str, Samples] = {}
    masks: dict[str, Array] = {}
    lengths: dict[str, Array] = {}
    flat: dict[str, values.Flat] = {}
    for spec in signature.inputs:
        columns = found[Role("x", end, spec.name)]
        key, given = columns[0].name, values.input_of(spec, columns)
        lengths_here, mask = (_of_input(roles, found, kind, end, spec, signature) for kind in ("length", "mask"))
        if isinstance(given, np.ndarray) and given.ndim == 0:
            raise ValueError(f"{path}: {key} is a single number")
        if lengths_here is not None:
            steps = values.checked_lengths(path, lengths_here)
            if isinstance(given, np.ndarray) and not values.is_padded(given, steps, spec):
                if mask is not None:
                    name = mask[0].name
                    raise ValueError(
                        f"{path}: {name} is for padded arrays; by its {lengths_here[0].name}, {key} is sequences one after the other"
                    )
                flat[spec.name] = values.Flat(path, key, given, steps, lengths_here[0].name)
                x[spec.name] = flat[spec.name].pieces()
                continue
            if isinstance(given, np.ndarray):
                values.check_padded(path, key, given, steps, lengths_here[0].name)
            lengths[spec.name] = steps
        if mask is not None:
            masks[spec.name] = values.mask_of(mask[0])
        x[spec.name] = given
    spec = signature.inputs[0]
    first, value = spec.name, x[spec.name]
    flat_without = isinstance(value, np.ndarray) and first not in lengths and spec.is_sequence and value.ndim == len(spec.shape)
    advice = f"; sequences one after the other need {roles.key_of(Role('length', end))}" if flat_without else ""
    for name, given in x.items():
        if len(given) != len(x[first]):
            inputs = [found[Role("x", end, each)][0].name for each in (first, name)]
            raise ValueError(f"{path}: {inputs[0]} has {len(x[first])} samples, {inputs[1]} has {len(given)}")
    layout = values.Layout(path, signature, classes, len(x[first]), found[Role("x", end, first)][0].name, flat.get(first), advice)
    y, weights = (_of_outputs(path, roles, found, kind, end, layout) for kind in ("y", "sample_weight"))
    if keys is not None and (wrong := next((each for each in keys.of_samples if len(each) != len(x[first])), None)) is not None:
        raise ValueError(f"{path}: {layout.key} has {len(x[first])} samples, {keys.names[keys.of_samples.index(wrong)]} has {len(wrong)}")
    return DataSet(x, y, masks or None, lengths or None, weights, Origin(parts_of(found, signature, end)), keys)


def _of_input(
    roles: Roles, found: Mapping[Role, Sequence[Column]], kind: str, end: str, spec: InputSignature, signature: Signature
) -> Sequence[Column] | None:
    """The lengths or the mask of an input: its own, or what is for all sequences."""
    own = found.get(Role(kind, end, spec.name))
    return own if own is not None or not spec.is_sequence else found.get(Role(kind, end))


def _of_outputs(
    path: str, roles: Roles, found: Mapping[Role, Sequence[Column]], kind: str, end: str, layout: values.Layout
) -> SampleTargets:
    """A set's targets, or their weights: `y` alone, or those of each output under its name."""
    named = {name: found[Role(kind, end, name)] for name in roles.outputs if Role(kind, end, name) in found}
    alone = found.get(Role(kind, end))
    if alone is not None and named:
        several = ", ".join(columns[0].name for columns in named.values())
        raise ValueError(f"{path}: {alone[0].name} is for one output, {several} for several; it has both")
    if alone is not None:
        output = layout.only_output
        return layout.targets(alone, output) if kind == "y" else layout.weights(alone)
    if not named:
        return None
    made = {name: layout.targets(columns, name) if kind == "y" else layout.weights(columns) for name, columns in named.items()}
    return made if len(roles.outputs) > 1 else next(iter(made.values()))


def _cut(path: str, whole: DataSet, column: Column, *, by_name: bool) -> dict[str, DataSet]:
    if not by_name:
        test = flags_of(column)
        if test.dtype != np.bool_ or test.shape != (whole.samples,):
            raise ValueError(f"{path}: {column.name} should be bool of shape ({whole.samples},); it is {test.dtype} of shape {test.shape}")
        return {"train": whole.only(np.flatnonzero(~test)), "test": whole.only(np.flatnonzero(test))}
    names = texts_of(column)
    if len(names) != whole.samples:
        raise ValueError(f"{path}: x has {whole.samples} samples, {column.name} has {len(names)}")
    known = {name: name for name in ("train", "val", "test")} | dict(MEANT)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name not in known:
            problem = f"expected train, val or test, got {name[:LONGEST]!r}"
            raise column.fault(row, problem) if column.array is None else ValueError(f"{path}: {column.name}, sample {row}: {problem}")
        rows.setdefault(known[name], []).append(row)
    return {name: whole.only(np.array(rows[name], np.intp)) for name in ("train", "val", "test") if name in rows}
