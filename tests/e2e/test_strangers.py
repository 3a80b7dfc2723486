"""Model files and specs from strangers: they read no other file, and whatever is wrong with them is a ValueError, soon."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import spec_files
from rnnspec.diagnostics import SpecError
from rnnspec.driver import commands
from rnnspec.files import SPEC_LIMIT
from rnnspec.frontend.syntax import limits
from rnnspec.interop.safetensors import read_weights
from rnnspec.runtime.model import memory_check
from rnnspec.runtime.storage.model_file import MANIFEST, SPEC, WEIGHTS, ArtifactError

SECRET = "hunter2"
TEXT = "model Strange(units = 2, rate = 0.5) {\n    input x: float[time, 3]\n    LSTM(units)\n    Dense(1)\n}\n"


@pytest.fixture(scope="module")
def sound() -> bytes:
    file = io.BytesIO()
    rnnspec.compile(TEXT, seed=1).save(file)
    return file.getvalue()


def edited(content: bytes, text: str | None = None, **changes: object) -> bytes:
    """A file with another spec, or another manifest, and digests that are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
        members = {SPEC: archive.read(SPEC) if text is None else text.encode(), WEIGHTS: archive.read(WEIGHTS)}
    manifest.update(changes)
    manifest["sha256"] = {name: hashlib.sha256(member).hexdigest() for name, member in members.items()}
    manifest["sha256"][MANIFEST] = hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in {MANIFEST: json.dumps(manifest).encode(), **members}.items():
            archive.writestr(name, member)
    return buffer.getvalue()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with things that a stranger might like to read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text(f"{SECRET} here {{\n")
    (tmp_path / "secret.rnn").write_text(f"# {SECRET}\nblock Part() {{\n    Dense(1)\n}}\n")
    (tmp_path / "link.rnn").symlink_to("secret.txt")
    (tmp_path / "zeros.rnn").symlink_to("/dev/zero")
    (tmp_path / "folder.rnn").mkdir()
    (tmp_path / "loop.rnn").symlink_to("loop.rnn")
    os.mkfifo(tmp_path / "pipe.rnn")
    return tmp_path


WANTED = ("secret.txt", "secret.rnn", "link.rnn", "zeros.rnn", "folder.rnn", "loop.rnn", "pipe.rnn", "gone.rnn", "/dev/zero", "/etc/passwd")


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("form", ['import "{}"\n', '# a remark\nimport\n\n  "{}"', 'import "{}" import "{}"\n', '\ufeffimport "{}"\n'])
def test_a_model_file_imports_nothing(sound: bytes, place: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, form: str) -> None:
    content = edited(sound, form.format(wanted, wanted) + TEXT)
    (place / "model.rnnc").write_bytes(content)
    monkeypatch.setattr(spec_files, "read_file", lambda *arguments: pytest.fail(f"read {arguments}"))
    for file in (content, "model.rnnc"):
        with pytest.raises(ValueError, match="can't be imported: a model file holds all of its spec") as raised:
            rnnspec.load(file)
        assert SECRET not in str(raised.value)


def test_nor_does_one_whose_text_was_compiled_before(sound: bytes, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec of the very path and text that a model file's has, which may import, is in the cache."""
    monkeypatch.setenv("RNNSPEC_CACHE", str(place / "cache"))
    text = f'import "secret.rnn"\n{TEXT}'
    (place / "model.rnnc!model.rnn").write_text(text)
    (place / "model.rnnc").write_bytes(edited(sound, text))
    for _ in range(2):
        rnnspec.compile("model.rnnc!model.rnn")
        with pytest.raises(SpecError, match="a model file holds all of its spec"):
            rnnspec.load("model.rnnc")


def test_the_word_may_stand_in_a_model_file(sound: bytes, place: Path) -> None:
    text = TEXT.replace("Dense(1)", 'Dense(1, name = "import")') + '# import "secret.txt"\n'
    model = rnnspec.compile(text, seed=1)
    model.save("model.rnnc")
    assert rnnspec.load("model.rnnc").source.text == text


def test_what_a_model_imported_is_in_its_file(place: Path) -> None:
    (place / "main.rnn").write_text('import "secret.rnn"\nmodel Main {\n    input x: float[3]\n    Part()\n}\n')
    rnnspec.compile("main.rnn", seed=1).save("model.rnnc")
    (place / "secret.rnn").unlink()
    assert rnnspec.load("model.rnnc").predict(np.ones((1, 3))).shape == (1, 1)


REFUSED = {
    "secret.txt": "what is imported are files whose names end in `.rnn`",
    "/etc/passwd": "what is imported are files whose names end in `.rnn`",
    "/dev/zero": "what is imported are files whose names end in `.rnn`",
    "secret.rnn/../secret.txt": "what is imported are files whose names end in `.rnn`",
    "link.rnn": "it is a link to a file whose name doesn't end in `.rnn`",
    "zeros.rnn": "it is a device, not a regular file",
    "pipe.rnn": "it is a named pipe, not a regular file",
    "folder.rnn": "Is a directory",
    "folder": "what is imported are files whose names end in `.rnn`",
    "": "Is a directory",
    "loop.rnn": "Too many levels of symbolic links",
    "gone.rnn": "No such file or directory",
    "nul\0.rnn": "embedded null byte",
}


@pytest.mark.parametrize("wanted", REFUSED)
def test_a_spec_imports_specs_alone(place: Path, wanted: str) -> None:
    for call in (rnnspec.compile, commands.check, commands.inspect):
        with pytest.raises(SpecError) as raised:
            call(f'import "{wanted}"\n{TEXT}')
        (error,) = raised.value.diagnostics
        assert error.message == f"`{wanted}` can't be imported: {REFUSED[wanted]}"
        assert SECRET not in str(raised.value)


def test_a_spec_that_is_imported_is_quoted_for_its_author(place: Path) -> None:
    (place / "torn.rnn").write_text("block Torn( {\n")
    (place / "name.rnn").symlink_to("torn.rnn")
    for name in ("torn.rnn", "name.rnn", str(place / "torn.rnn"), f"../{place.name}/torn.rnn"):
        with pytest.raises(SpecError, match=r"1 \| block Torn\( \{"):
            rnnspec.compile(f'import "{name}"\n{TEXT}')


@pytest.mark.parametrize("name", ["zeros.rnn", "pipe.rnn", "folder.rnn", "loop.rnn", "gone.rnn", "/dev/null"])
def test_what_is_no_regular_file_is_no_spec_no_model_and_no_weights(place: Path, name: str) -> None:
    for call in (rnnspec.compile, commands.check, commands.inspect, commands.format):
        with pytest.raises(SpecError, match="the spec can't be read: "):
            call(name)
    for call in (rnnspec.load, read_weights):
        with pytest.raises(OSError, match=name):
            call(name)


def test_a_spec_of_any_kind_has_a_largest_size(place: Path, sound: bytes) -> None:
    for length, fits in ((limits.BYTES, True), (limits.BYTES + 1, False)):
        text = TEXT + "#" * (length - len(TEXT))
        (place / "main.rnn").write_text(text)
        calls = (partial(rnnspec.compile, text), partial(commands.check, place / "main.rnn"), partial(rnnspec.load, edited(sound, text)))
        outcomes = [refusal(call) for call in calls]
        assert [outcome is None for outcome in outcomes] == [fits] * 3, outcomes
        (place / "half.rnn").write_text("#" * (length - len(TEXT) - len('import "half.rnn"\n')))
        assert (refusal(lambda: rnnspec.compile(f'import "half.rnn"\n{TEXT}')) is None) == fits


def test_of_a_file_that_is_no_spec_by_its_size_nothing_is_read(place: Path, sound: bytes) -> None:
    text = TEXT + "#" * SPEC_LIMIT
    (place / "main.rnn").write_text(text)
    (place / "part.rnn").write_text("#" * (SPEC_LIMIT + 1))
    for call in (
        lambda: rnnspec.compile(place / "main.rnn"),
        lambda: commands.check(place / "main.rnn"),
        lambda: rnnspec.load(edited(sound, text)),
        lambda: commands.check(f'import "part.rnn"\n{TEXT}'),
    ):
        said = refusal(call)
        assert said is not None and ("larger than" in said), said


def refusal(call: Callable[[], object]) -> str | None:
    """What a ValueError says; None if there is none."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def test_imports_in_a_row_have_an_end(place: Path) -> None:
    count = limits.IMPORT_DEPTH + 1
    for number in range(count):
        (place / f"{number}.rnn").write_text(f'import "{number + 1}.rnn"\n')
    (place / f"{count}.rnn").write_text("")
    assert refusal(lambda: commands.check(f'import "2.rnn"\n{TEXT}')) is None
    said = refusal(lambda: commands.check(f'import "1.rnn"\n{TEXT}'))
    assert said is not None and str(limits.IMPORT_DEPTH) in said


# Parameters

NO_PARAMETERS: dict[str, object] = {
    "400 digits": 10**400,
    "minus 400 digits": -(10**400),
    "4000 digits": 10**4000,
    "64 bits": 2**63,
    "infinite": float("inf"),
    "nan": float("nan"),
    "an object": {},
    "lists in lists": [[[[[[[[[1]]]]]]]]],
    "an object in a list": [{}],
}


@pytest.mark.parametrize("name", NO_PARAMETERS)
def test_a_parameter_that_is_none_is_refused_in_a_file(sound: bytes, name: str) -> None:
    for parameter in ("units", "rate"):
        with pytest.raises(ArtifactError, match=rf"^<model>: manifest\.json: parameter {parameter} isn't a finite number"):
            rnnspec.load(edited(sound, parameters={parameter: NO_PARAMETERS[name]}))


@pytest.mark.parametrize("name", [*NO_PARAMETERS, "5000 digits", "deep", "itself"])
def test_a_parameter_that_is_none_is_refused_in_a_call(name: str) -> None:
    itself: list[object] = []
    itself.append(itself)
    deep: object = 1
    for _ in range(3000):
        deep = [deep]
    value = {**NO_PARAMETERS, "5000 digits": 10**5000, "deep": deep, "itself": itself}[name]
    for parameter in ("units", "rate"):
        with pytest.raises(SpecError, match=f"the parameter `{parameter}` can't be "):
            rnnspec.compile(TEXT, parameters={parameter: value})  # type: ignore[dict-item]


def test_what_a_file_says_beside_its_parameters(sound: bytes) -> None:
    """Whatever it is, it's a ValueError."""
    for change in (
        {"model": "\ud800"},
        {"weights": [{"name": "a", "shape": [10**400]}]},
        {"weights": [{"name": "a", "shape": [-1]}] * 5},
        {"parameters": {"units": 10**6}},
        {"parameters": {"units": 2.5}},
        {"parameters": {"units": "tanh"}},
        {"parameters": {"absent": 1}},
        {"format": 10**400},
        {"dtype": "object"},
    ):
        said = refusal(lambda change=change: rnnspec.load(edited(sound, **change)))
        assert said is not None or change == {"model": "\ud800"}


def test_a_name_that_stands_twice_in_a_manifest(sound: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MANIFEST] = members[MANIFEST].replace(b'"model":', b'"model": "Other", "model":')
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    with pytest.raises(ArtifactError, match="a name stands twice in it"):
        rnnspec.load(buffer.getvalue())


def test_no_memory_is_taken_for_weights_that_are_not_in_the_file(sound: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec of a few bytes may ask for more than any machine has; the file says what there is."""
    monkeypatch.setattr(memory_check, "physical_memory", lambda: 2**20)
    with pytest.raises(ValueError, match="lstm/kernel"):
        rnnspec.load(edited(sound, parameters={"units": 20_000}))
