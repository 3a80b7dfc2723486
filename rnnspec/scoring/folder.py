"""The files of a run: which are read, what is written for each, and what of an earlier run is whole and kept.

The folder of predictions has `rnnspec-score.json`, which says which model, which options and which inputs they are of. A file of
predictions is written aside and moved into its place, so that one that is there is whole.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, cast

from rnnspec.datafiles.content import GZIP
from rnnspec.datafiles.formats import Reading, format_of
from rnnspec.datafiles.roles import listed
from rnnspec.file_kinds import DataFormat
from rnnspec.files import SPEC_LIMIT, is_part, read_file, write_atomically
from rnnspec.frozen import frozen
from rnnspec.scoring.partition import How, ModelFile, Partition, Stamp

MANIFEST = "rnnspec-score.json"

WRITTEN_AS: Mapping[DataFormat, str] = {
    "parquet": ".parquet",
    "csv": ".csv",
    "tsv": ".csv",
    "jsonl": ".jsonl",
    "npz": ".npz",
    "npy": ".npz",
}
"""The endings of predictions by the format of the data, where nothing else is said."""

_INPUTS = "inputs"


@frozen
class Plan:
    """A run: the partitions to do, and how many are there already, of the same model and the same inputs."""

    partitions: tuple[Partition, ...]
    kept: int


def files_of(patterns: Sequence[str]) -> dict[str, str]:
    """The files that patterns such as `in/*.parquet` match, sorted, each with its name in the folder of predictions, without ending.

    The name is the path below the first folder of the pattern that has a wildcard. ValueError for a pattern without a match, an empty
    one, a folder, and two files of one name.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        if not pattern:
            raise ValueError("an empty name is no file: name files, 'in/*.parquet'")
        if Path(pattern).is_dir():
            raise ValueError(f"{pattern}: it is a folder: name its files, '{Path(pattern) / '*.parquet'}'")
        base, below = _divided(pattern)
        if any("**" in part and part != "**" for part in PurePath(below).parts):
            raise ValueError(f"{pattern}: ** is any depth of folders and stands alone between slashes: 'in/**/*.parquet'")
        files = [path for path in sorted(base.glob(below)) if not path.is_dir()]
        if not files:
            raise ValueError(f"{pattern}: no file is called so")
        for path in files:
            found.setdefault(str(path.absolute()), _stem(path.relative_to(base)))
    taken: dict[str, str] = {}
    for path, name in found.items():
        if (other := taken.setdefault(name, path)) != path:
            raise ValueError(f"{path} and {other}: the predictions of both would be called {name}")
    return found


def _divided(pattern: str) -> tuple[Path, str]:
    """The folder in which all files of a pattern are, and the rest of it; of a file's own name, whatever letters it has, that name."""
    path = PurePath(pattern)
    if Path(pattern).exists() or not glob.has_magic(pattern):
        return Path(path.parent), glob.escape(path.name)
    fixed = next(place for place, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:fixed]), str(PurePath(*path.parts[fixed:]))


def _stem(name: PurePath) -> str:
    plain = name.with_suffix("") if name.suffix.lower() == GZIP else name
    return str(plain.with_suffix(""))


def ending_for(paths: Sequence[str], reading: Reading) -> str:
    """The ending of all files of predictions, by the format of the first data file."""
    return WRITTEN_AS[format_of(paths[0], reading)]


def plan(files: Mapping[str, str], folder: Path, model: ModelFile, how: How, *, overwrite: bool) -> Plan:
    """What is to be done in a folder, which is made if there is none; its manifest is written.

    What is there is kept if the manifest says that it is of the same model, options and input. The predictions of an input that has
    changed are removed. ValueError for a folder with other files, and for one of another model or of other options, unless `overwrite`
    says that its predictions are to be done anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = _said(model, how)
    before = _manifest(folder)
    known: dict[str, Any] = before.get(_INPUTS, {})
    _check_own(folder, before, {f"{name}{before.get('ending', '')}" for name in known})
    same = {key: value for key, value in before.items() if key != _INPUTS} == said
    if before and not same and not overwrite:
        different = next(key for key in (*said, *before) if key != _INPUTS and said.get(key) != before.get(key))
        raise ValueError(
            f"{folder}: its predictions are of another run: {_words(different)}; choose another folder, or `--overwrite` to do all again"
        )
    keeps = same and not overwrite
    if not keeps:
        for name in known:
            (folder / f"{name}{before.get('ending', '')}").unlink(missing_ok=True)
    stamps = {name: Stamp.of(path) for path, name in files.items()}
    partitions: list[Partition] = []
    for path, name in files.items():
        target = folder / f"{name}{how.ending}"
        if keeps and target.is_file():
            if known[name] == _as_json(path, stamps[name]):
                continue
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        partitions.append(Partition(path, stamps[name], str(target.absolute()), model, how))
    inputs = (known if keeps else {}) | {name: _as_json(path, stamps[name]) for path, name in files.items()}
    write_atomically(folder / MANIFEST, json.dumps({**said, _INPUTS: inputs}, indent=1, ensure_ascii=False).encode())
    return Plan(tuple(partitions), len(files) - len(partitions))


def _said(model: ModelFile, how: How) -> dict[str, Any]:
    """What the predictions depend on beside the inputs, as the manifest has it."""
    return {
        "model": model.digest,
        "weights": model.weights,
        "columns": {role: list(names) for role, names in how.columns},
        "ids": list(how.ids),
        "format": how.reading.format,
        "header": how.reading.header,
        "ending": how.ending,
    }


def _words(key: str) -> str:
    return "of another model" if key == "model" else f"with another `{key}`"


def _as_json(path: str, stamp: Stamp) -> dict[str, Any]:
    return {"path": path, "size": stamp.size, "modified": stamp.modified}


def _manifest(folder: Path) -> dict[str, Any]:
    """What the manifest says, nothing if there is none; ValueError if it isn't one."""
    place = folder / MANIFEST
    try:
        found = json.loads(read_file(place, 64 * SPEC_LIMIT))
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    said = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    if not isinstance(said.get(_INPUTS), dict) or not isinstance(said.get("ending"), str):
        raise ValueError(f"{place}: it isn't what `rnnspec score` has written: choose another folder, or remove it")
    return said


def _check_own(folder: Path, before: Mapping[str, Any], own: set[str]) -> None:
    """ValueError if there is a file in the folder that no run wrote."""
    others = [
        name
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and (name := str(path.relative_to(folder))) != MANIFEST and name not in own and not is_part(path.name)
    ]
    if others:
        why = f"which no run of `rnnspec score` has written: {listed(others)}"
        raise ValueError(f"{folder}: there are files in the folder {why}; choose another one")
