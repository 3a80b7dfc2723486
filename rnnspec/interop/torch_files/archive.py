"""The zip around a checkpoint, as `torch.save` writes it since version 1.6."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from zipfile import ZIP_STORED, BadZipFile, LargeZipFile, ZipFile

from rnnspec.frozen import frozen

OLD_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""The first bytes of a file that torch wrote before version 1.6: a pickled number."""


class CheckpointError(ValueError):
    """A file that isn't a state dict, or not a sound one; the message has no path."""


@frozen
class Archive:
    """The members of a checkpoint: the pickle, the storages by their keys, and whether the last byte of a number comes first."""

    pickle: bytes
    storages: Mapping[str, bytes]
    little: bool = True


def read_archive(content: bytes) -> Archive:
    """The members of a file that `torch.save` wrote; CheckpointError for another one, with its kind where it is known."""
    members = stored_members(content, _check_kind)
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise CheckpointError("no file of torch.save: it should have one member data.pkl in a folder")
    top = pickles[0].removesuffix("data.pkl")
    order = members.get(f"{top}byteorder", b"little").strip()
    if order not in (b"little", b"big"):
        raise CheckpointError(f"damaged: its byte order is {order[:20]!r}")
    data = f"{top}data/"
    storages = {name.removeprefix(data): member for name, member in members.items() if name.startswith(data)}
    return Archive(members[pickles[0]], storages, order == b"little")


def stored_members(content: bytes, check: Callable[[list[str]], None] = lambda _: None) -> dict[str, bytes]:
    """The members of a zip by their names, once `check` has seen these; CheckpointError for compressed or damaged ones.

    They are stored as they are and no larger together than the file, so that nothing can be larger than it says.
    """
    if not content.startswith(b"PK\x03\x04"):
        raise CheckpointError(_no_archive(content))
    try:
        with ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names):
                raise CheckpointError("damaged: a member's name stands twice in it")
            check(names)
            stored = all(entry.compress_type == ZIP_STORED and entry.compress_size == entry.file_size for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > len(content):
                raise CheckpointError("its members are compressed or larger than the file, which those that torch.save writes never are")
            return {name: archive.read(name) for name in names}
    except CheckpointError:
        raise
    except (BadZipFile, LargeZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise CheckpointError(f"truncated or damaged ({error})") from None


SCRIPT_ADVICE = (
    "and is imported as one: with torch installed and trusted=True, or --trusted, if you trust it as a program that you run; "
    'of a module in torch, torch.export.save(torch.export.export(module, inputs), "net.pt2") writes a program that is read without'
)
"""A sentence's end about an archive of TorchScript."""


def is_script(names: Iterable[str]) -> bool:
    """Whether an archive with these members is one of TorchScript."""
    return any(name.endswith("/constants.pkl") or "/code/" in name for name in names)


def _check_kind(names: list[str]) -> None:
    """CheckpointError for archives of torch that hold code or a graph."""
    advice = "save its weights alone: torch.save(module.state_dict(), path)"
    if is_script(names):
        raise CheckpointError(f"a TorchScript archive, which is code, not weights; {advice}; {SCRIPT_ADVICE}")
    if any(name.endswith("serialized_exported_program.json") for name in names):
        raise CheckpointError(f"a program of torch.export of a version before 2.9; load it with torch and save it anew, or {advice}")


def _no_archive(content: bytes) -> str:
    again = "load it with torch, and write it anew: torch.save(torch.load(path), new)"
    if content.startswith(OLD_MAGIC):
        return f"it was written by torch before version 1.6, in a format that only running its pickle can read; {again}"
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a bare pickle, which a program may hide in and which isn't read here; of tensors torch.save writes a zip file"
    return "no file of torch.save, which is a zip file"
