"""The `.rnnc` file: round trip, every kind of damage, and writes that fail without taking the old file along."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnspec.diagnostics import InternalError
from rnnspec.runtime.storage import model_file as module
from rnnspec.runtime.storage.model_file import (
    FORMAT,
    MANIFEST,
    SPEC,
    WEIGHTS,
    Artifact,
    ArtifactError,
    decode,
    encode,
    load,
    save,
    write_atomically,
)
from rnnspec.version import __version__

SMALL = Artifact(
    "Tiny",
    "model Tiny() {}\n",
    {"units": 2, "rate": 0.5, "activation": "tanh", "flag": True, "nothing": None},
    "float32",
    {"dense/kernel": np.array([[1.5, -2.0]], np.float32), "dense/bias": np.array([np.nan, np.inf], np.float32)},
)


def same(found: Artifact, expected: Artifact) -> bool:
    return (
        (found.name, found.text, dict(found.parameters), found.dtype, list(found.weights))
        == (expected.name, expected.text, dict(expected.parameters), expected.dtype, list(expected.weights))
    ) and all(
        found.weights[name].tobytes() == value.tobytes() and found.weights[name].shape == value.shape
        for name, value in expected.weights.items()
    )  # fmt: skip


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tiny.rnnc"
    save(SMALL, path)
    assert same(load(path), SMALL)
    assert same(load(str(path)), SMALL)
    assert all(value.dtype == np.float32 and value.flags.writeable for value in load(path).weights.values())


def test_the_same_artifact_gives_the_same_bytes() -> None:
    content = encode(SMALL)
    assert encode(SMALL) == content
    assert encode(decode(content)) == content


def test_what_a_round_trip_keeps() -> None:
    text = "model Ünïcode() {}\r\n\t# 日本語\n"
    strange = Artifact(
        "Ü", text, {}, "float64", {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.zeros((0, 3)), "c": np.array(2.0)}
    )
    assert same(decode(encode(strange)), strange)


def test_no_weights_at_all() -> None:
    empty = Artifact("Empty", "", {}, "float32", {})
    assert same(decode(encode(empty)), empty)


def test_numbers_of_numpy_are_parameters() -> None:
    given = {"units": np.int64(3), "rate": np.float32(0.5), "sizes": (1, np.int8(2)), "flag": True}
    parameters = decode(encode(Artifact("Tiny", "", given, "float32", {}))).parameters  # type: ignore[arg-type]
    assert dict(parameters) == {"units": 3, "rate": 0.5, "sizes": [1, 2], "flag": True}
    with pytest.raises(InternalError, match="a parameter of type object"):
        encode(Artifact("Tiny", "", {"units": object()}, "float32", {}))  # type: ignore[dict-item]


def test_what_is_in_the_file() -> None:
    """Any zip tool and any safetensors reader can open it; nothing in it is code or pickle."""
    with zipfile.ZipFile(io.BytesIO(encode(SMALL))) as archive:
        assert archive.namelist() == [MANIFEST, SPEC, WEIGHTS]
        assert archive.testzip() is None
        assert archive.read(SPEC).decode() == SMALL.text
        manifest = json.loads(archive.read(MANIFEST))
    assert manifest["format"] == 1, "as long as it holds no lists of texts, older versions read it"
    assert manifest["rnnspec"] == __version__
    assert manifest["weights"] == [{"name": "dense/kernel", "shape": [1, 2]}, {"name": "dense/bias", "shape": [2]}]


# Damage


def outcome(content: bytes) -> str:
    """ "same" or "refused"; anything but an ArtifactError comes through, and so does a file that reads as something else."""
    try:
        found = decode(content)
    except ArtifactError as error:
        assert str(error).strip()
        return "refused"
    assert same(found, SMALL)
    return "same"


def test_truncated_anywhere() -> None:
    content = encode(SMALL)
    assert {outcome(content[:length]) for length in range(len(content))} == {"refused"}


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_byte_flipped(flip: int) -> None:
    """What isn't refused is the same: a zip's dates and attributes mean nothing; all of a member's content is covered."""
    content = encode(SMALL)
    outcomes = [outcome(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]) for place in range(len(content))]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            assert set(outcomes[start : start + entry.file_size]) == {"refused"}, entry.filename


def test_parts_cut_out_doubled_or_zeroed() -> None:
    content = encode(SMALL)
    for start in range(0, len(content), 7):
        stop = start + 16
        assert outcome(content[:start] + content[stop:]) == "refused"
        outcome(content[:stop] + content[start:])
        outcome(content[:start] + bytes(len(content[start:stop])) + content[stop:])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"hello" * 100, b"\x00" * 1000, b"PK" * 500])
def test_other_files(content: bytes) -> None:
    assert outcome(content) == "refused"


def test_a_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.rnnc"
    path.write_bytes(encode(SMALL)[:-10])
    with pytest.raises(ArtifactError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: truncated, damaged or not a compiled model (")
    assert isinstance(raised.value, ValueError)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.rnnc")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


# Edited by hand, with digests that are right


def parts() -> tuple[dict[str, Any], dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(encode(SMALL))) as archive:
        return json.loads(archive.read(MANIFEST)), {SPEC: archive.read(SPEC), WEIGHTS: archive.read(WEIGHTS)}


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def signed(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
    """The file with every digest made anew."""
    if isinstance(manifest.get("sha256"), dict):
        manifest["sha256"] = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
        manifest["sha256"][MANIFEST] = hashlib.sha256(content.encode()).hexdigest()
    return zipped({MANIFEST: json.dumps(manifest).encode(), **members})


def refused(content: bytes) -> str:
    with pytest.raises(ArtifactError) as raised:
        decode(content)
    return str(raised.value)


def test_signing_anew_gives_a_sound_file() -> None:
    assert same(decode(signed(*parts())), SMALL)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "name": (lambda m: m.update(model=3), "manifest.json: model is missing or not a str"),
    "parameters": (lambda m: m.update(parameters=[]), "manifest.json: parameters is missing or not a dict"),
    "no weights": (lambda m: m.pop("weights"), "manifest.json: weights is missing or not a list"),
    "no digests": (lambda m: m.pop("sha256"), "manifest.json: sha256 is missing or not a dict"),
    "dtype": (lambda m: m.update(dtype="float16"), "manifest.json: unknown dtype float16"),
    "no format": (lambda m: m.pop("format"), "manifest.json has no format number"),
    "format zero": (lambda m: m.update(format=0), "manifest.json has no format number"),
    "format text": (lambda m: m.update(format="1"), "manifest.json has no format number"),
    "format true": (lambda m: m.update(format=True), "manifest.json has no format number"),
    "format fraction": (lambda m: m.update(format=1.0), "manifest.json has no format number"),
    "weights of numbers": (lambda m: m.update(weights=[1]), "manifest.json: weights should be a list of names with shapes"),
    "weights without shape": (lambda m: m["weights"][0].pop("shape"), "manifest.json: weights should be a list of names with shapes"),
    "shape of text": (lambda m: m["weights"][0].update(shape=["1", 2]), "manifest.json: weights should be a list of names with shapes"),
    "shape of a list": (lambda m: m["weights"][0].update(shape=3), "manifest.json: weights should be a list of names with shapes"),
    "name of a list": (lambda m: m["weights"][0].update(name=[]), "manifest.json: weights should be a list of names with shapes"),
    "other shape": (
        lambda m: m["weights"][0].update(shape=[2, 1]), "weight dense/kernel is (1, 2) float32, the manifest says (2, 1) float32",
    ),
    "other dtype": (lambda m: m.update(dtype="float64"), "weight dense/kernel is (1, 2) float32, the manifest says (1, 2) float64"),
    "fewer weights": (lambda m: m["weights"].pop(), "weights.safetensors holds dense/bias, dense/kernel, the manifest says dense/kernel"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_edited_manifest(name: str) -> None:
    edit, message = EDITS[name]
    manifest, members = parts()
    edit(manifest)
    assert refused(signed(manifest, members)) == message


def test_edits_that_nobody_signed() -> None:
    manifest, members = parts()
    for name in (SPEC, WEIGHTS):
        changed = {**members, name: members[name] + b" "}
        whole = {MANIFEST: json.dumps(manifest).encode(), **changed}
        assert refused(zipped(whole)) == f"{name} isn't what was saved: its digest differs from the manifest's"
    manifest["parameters"]["units"] = 3
    assert refused(zipped({MANIFEST: json.dumps(manifest).encode(), **members})) == "manifest.json isn't what was saved: its digest differs"


def test_newer_format_is_said_before_anything_else() -> None:
    newer = {"format": FORMAT + 1, "rnnspec": "9.9"}
    message = f"format {FORMAT + 1}, written by rnnspec 9.9; version {__version__} reads up to format {FORMAT}: upgrade rnnspec"
    assert refused(zipped({MANIFEST: json.dumps(newer).encode(), "other.bin": b"x"})) == message
    assert "written by rnnspec ?;" in refused(zipped({MANIFEST: b'{"format": 7}'}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "manifest.json isn't JSON: "),
        (b"\xff\xfe", "manifest.json isn't JSON: "),
        (b"[" * 100_000, "manifest.json isn't JSON: "),
        (b"[]", "manifest.json isn't an object"),
        (b'{"format": ' + b"9" * 5000 + b"}", "manifest.json isn't JSON: "),
        (b'{"format": NaN}', "manifest.json has no format number"),
    ],
)
def test_manifest_that_is_none(content: bytes, message: str) -> None:
    _, members = parts()
    assert refused(zipped({MANIFEST: content, **members})).startswith(message)


def test_nesting_at_any_depth_is_an_artifact_error() -> None:
    manifest, members = parts()
    for depth in range(900, 1000, 3):
        text = json.dumps({**manifest, "parameters": {"a": "@"}}).replace('"@"', "[" * depth + "]" * depth)
        refused(zipped({MANIFEST: text.encode(), **members}))


def test_members_that_do_not_belong() -> None:
    manifest, members = parts()
    text = json.dumps(manifest).encode()
    expected = f"expected the members {MANIFEST}, {SPEC}, {WEIGHTS}, found "
    assert refused(zipped({MANIFEST: text, **members, "evil.py": b""})) == f"{expected}evil.py, {MANIFEST}, {SPEC}, {WEIGHTS}"
    assert refused(zipped({MANIFEST: text, SPEC: members[SPEC]})) == f"{expected}{MANIFEST}, {SPEC}"
    assert refused(zipped(members)) == f"a zip file without {MANIFEST}, not a model"
    twice = io.BytesIO(zipped({MANIFEST: text, **members}))
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(SPEC, "other")
    assert refused(twice.getvalue()).startswith(expected)


def test_text_that_is_not_utf_8() -> None:
    manifest, members = parts()
    assert refused(signed(manifest, {**members, SPEC: b"model \xff"})).startswith(f"{SPEC} isn't UTF-8 text: ")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}x", b"\x02\0\0\0\0\0\0\0{"])
def test_weights_that_are_none(content: bytes) -> None:
    manifest, members = parts()
    assert refused(signed(manifest, {**members, WEIGHTS: content})).startswith(f"{WEIGHTS} can't be read: ")


def test_weights_of_a_type_that_numpy_lacks() -> None:
    header = json.dumps({"dense/bias": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    manifest, members = parts()
    assert refused(signed(manifest, {**members, WEIGHTS: len(header).to_bytes(8, "little") + header + b"\0\0"})).startswith(WEIGHTS)


# Bombs


def test_compressed_members_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    _, members = parts()
    bomb = zipped({MANIFEST: b" " * 10_000_000, **members}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000

    def read(*arguments: object, **named: object) -> bytes:
        raise AssertionError("nothing may be unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    assert refused(bomb) == "its members are compressed or larger than the file, which a model's never are"


def test_sizes_that_lie() -> None:
    """A member that says it's larger than the whole file, stored, is refused before memory is taken for it."""
    content = bytearray(zipped({MANIFEST: b"{}", SPEC: b"abcd", WEIGHTS: b""}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = (2**31).to_bytes(4, "little") * 2
    assert refused(bytes(content)) == "its members are compressed or larger than the file, which a model's never are"


def test_large_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPEC_LIMIT", 10)
    assert refused(encode(SMALL)) == "model.rnn is larger than 10 bytes"


def test_a_file_larger_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = tmp_path / "model.rnnc", encode(SMALL)
    path.write_bytes(content)
    for limit in (len(content), len(content) - 1):
        monkeypatch.setattr(module, "large_limit", lambda limit=limit: limit)
        if limit == len(content):
            assert same(load(path), SMALL) and same(load(io.BytesIO(content)), SMALL)
    with pytest.raises(OSError, match="it is larger than 0 MiB, the most that is read here"):
        load(path)
    with pytest.raises(ArtifactError, match="<model>: it is larger than 0 MiB, the most that is read here"):
        load(io.BytesIO(content))


def test_large_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MANIFEST_LIMIT", 100)
    assert refused(encode(SMALL)) == "manifest.json is larger than 100 bytes"


# Writing


def failing(number: int) -> Callable[..., int]:
    def fail(*arguments: object, **named: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


class FullDisk(io.RawIOBase):
    """A file that takes some bytes and no more."""

    def __init__(self, descriptor: int, room: int) -> None:
        self._descriptor = descriptor
        self._room = room

    def write(self, content: Any) -> int:
        if len(content) > self._room:
            os.write(self._descriptor, bytes(content[: self._room]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(self._descriptor, content)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@contextmanager
def broken(step: str, number: int = errno.ENOSPC) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        match step:
            case "write":
                patch.setattr(os, "fdopen", lambda descriptor, mode: FullDisk(descriptor, 10))
            case "open" | "fsync":
                patch.setattr(os, step, failing(number))
            case _:
                patch.setattr(Path, "replace", failing(number))
        yield


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("old", [b"the old file", None])
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, step: str, old: bytes | None) -> None:
    path = tmp_path / "model.rnnc"
    if old is not None:
        path.write_bytes(old)
    with broken(step), pytest.raises(OSError) as raised:
        save(SMALL, path)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ([] if old is None else ["model.rnnc"])
    assert old is None or path.read_bytes() == old
    save(SMALL, path)
    assert same(load(path), SMALL)


def test_no_permission(tmp_path: Path) -> None:
    with broken("open", errno.EACCES), pytest.raises(PermissionError, match=r"Permission denied: '.*model\.rnnc'"):
        save(SMALL, tmp_path / "model.rnnc")


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(SMALL, tmp_path / "model.rnnc")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="exists and isn't a regular file"):
        write_atomically(tmp_path, b"")
    with pytest.raises(FileNotFoundError) as raised:
        write_atomically(tmp_path / "absent" / "model.rnnc", b"")
    assert raised.value.filename == str(tmp_path / "absent" / "model.rnnc")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_atomically(tmp_path / "file" / "model.rnnc", b"")


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(OSError, match=r"/dev/null exists and isn't a regular file"):
        write_atomically(Path("/dev/null"), b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250 + ".rnnc")
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.rnnc", tmp_path / "link.rnnc"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_others_may_read_as_the_mask_of_the_process_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "model.rnnc", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.rnnc").stat().st_mode) == 0o640
