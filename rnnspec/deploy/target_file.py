"""Targets of one's own: a small TOML file that names a described one, and says what differs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from rnnspec.contract.target_names import ALL_LEVELS, BUILD_TARGET_NAMES
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.deploy.target_trial import FORMATS, described
from rnnspec.diagnostics import no_such_name
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.target import Target

Value: TypeAlias = "str | int | bool"

SECONDS = 120
"""The most that a trial of a target may take."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAKEN = frozenset({*BUILD_TARGET_NAMES, ALL_LEVELS, "include", "src", "examples"})
"""Names of other targets, and of other folders beside a target's."""


@frozen
class _Field:
    """What a field takes: the words for it, and whether a value is that."""

    expected: str
    takes: Callable[[object], bool]


def _number(least: int, most: int, *, power: bool = False, of: int = 1) -> _Field:
    """A whole number in a range, as a power of two or a multiple."""

    def takes(value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most or value % of:
            return False
        return not power or value.bit_count() == 1

    kind = "a power of two" if power else "a whole number" if of == 1 else f"a multiple of {of}"
    return _Field(f"{kind} from {least} to {most}", takes)


def _text(expected: str, pattern: str) -> _Field:
    return _Field(expected, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


_BOOL = _Field("true or false", lambda value: isinstance(value, bool))

FIELDS: Mapping[str, _Field] = {
    "triple": _text('LLVM\'s name of a machine, such as "thumbv8m.main-unknown-none-eabihf"', r"[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)+"),
    "cpu": _text("LLVM's name of a processor", r"[A-Za-z0-9][A-Za-z0-9_.+-]*"),
    "features": _text(
        'LLVM\'s names of features, each after + or -, such as "+fp16,-mve"', r"([+-][A-Za-z0-9_.-]+(,[+-][A-Za-z0-9_.-]+)*)?"
    ),
    "abi": _text("LLVM's name of a calling convention", r"[a-z0-9-]*"),
    "relocation": _Field('"pic" or "static"', lambda value: value in ("pic", "static")),
    "vector_bytes": _number(8, 64, power=True),
    "registers": _number(2, 64),
    "fused_multiply_add": _BOOL,
    "widens_half": _BOOL,
    "first_level_bytes": _number(2**10, 2**30),
    "second_level_bytes": _number(2**10, 2**30),
    "slot_alignment": _number(8, 4096, power=True),
    "slot_gap": _number(0, 2**16, of=8),
}
"""The fields of `Target` that a file may change; what else is different follows from the triple."""

_OWN = ("name", "base")
"""The other keys of a file."""


def chosen_targets(given: Sequence[str | os.PathLike[str]]) -> Mapping[str, Target | None]:
    """The targets by their names, in the order given; None for the name of all levels of x86-64.

    `given`: names of described targets, and paths of `.toml` files. CannotBuild for a name that there isn't, and for a file with a fault.
    """
    found: dict[str, Target | None] = {}
    own: dict[str, Path] = {}
    for each in given:
        if isinstance(each, str) and not each.endswith(".toml"):
            if each != ALL_LEVELS and each not in BUILD_TARGETS:
                raise CannotBuild(no_such_name("target", each, (*BUILD_TARGET_NAMES, ALL_LEVELS)))
            found[each] = None if each == ALL_LEVELS else BUILD_TARGETS[each]
            continue
        path = Path(each)
        if path in own.values():
            continue
        target = read_target(path)
        if target.name in own:
            raise CannotBuild(f"{path}: name: {own[target.name]} describes a target named {target.name}, too")
        found[target.name], own[target.name] = target, path
    return found


def read_target(path: Path) -> Target:
    """The target that a file describes; CannotBuild, with the file and the field, for what doesn't fit.

    A process of its own makes a small model's code for it first, since LLVM ends the process on some processors and features that
    contradict each other, and takes no notice of names that it doesn't know.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotBuild(f"{path}: this isn't TOML: {error}") from None
    known = (*_OWN, *FIELDS)
    for key in read:
        if key not in known:
            raise CannotBuild(f"{path}: {no_such_name('field', key, known)}")
    base = read.get("base")
    if not isinstance(base, str):
        raise CannotBuild(f"{path}: base: expected the name of the described target that this one is like, got {_shown(base)}")
    if base not in BUILD_TARGETS:
        raise CannotBuild(f"{path}: base: {no_such_name('target', base, BUILD_TARGET_NAMES)}")
    name = read.get("name", path.stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
        expected = "letters, digits, dots, dashes and underscores, and not the name of another target or folder of the library"
        raise CannotBuild(f"{path}: name: expected {expected}, got {_shown(name)}")
    for key, field in FIELDS.items():
        if key in read and not field.takes(read[key]):
            raise CannotBuild(f"{path}: {key}: expected {field.expected}, got {_shown(read[key])}")
    changes = cast("dict[str, Value]", {key: read[key] for key in FIELDS if key in read})
    _try(path, base, {"name": name, **changes})
    target = described(base, {"name": name, **changes})
    _check_triple(path, target, str(read.get("triple", "")))
    return target


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]


def _check_triple(path: Path, target: Target, spelled: str) -> None:
    """CannotBuild for a kind of objects that libraries aren't written of, and a triple whose parts LLVM would take for others."""
    if target.object_format not in FORMATS:
        raise CannotBuild(f"{path}: triple: objects for {target.triple} are {target.object_format}; libraries are of {', '.join(FORMATS)}")
    if target.object_format == "ELF" and spelled and spelled.count("-") != 3:
        raise CannotBuild(f"{path}: triple: expected four parts, as in {BUILD_TARGETS['cortex-m4'].triple}, got {spelled}")


def _try(path: Path, base: str, changes: Mapping[str, Value]) -> None:
    """CannotBuild if LLVM makes no code for the target, or leaves out a part of its description."""
    asked = json.dumps({"base": base, "changes": changes})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    command = [sys.executable, "-m", "rnnspec.deploy.target_trial"]
    try:
        done = subprocess.run(
            command, input=asked, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{path}: the target couldn't be tried: {error}") from None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if ignored := [line for line in lines if "(ignoring " in line]:
        raise CannotBuild(f"{path}: LLVM says: {ignored[0]}")
    if done.returncode:
        said = done.stdout.strip() or (lines[-1] if lines else f"it ended with {done.returncode}")
        raise CannotBuild(f"{path}: no code can be made for this target: {said[:400]}")
