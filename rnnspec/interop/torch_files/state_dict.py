"""The state dict in a checkpoint: weights by their names in the module."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import cast

from rnnspec.contract.executable import Array
from rnnspec.files import large_limit, read_file
from rnnspec.frozen import frozen
from rnnspec.interop.torch_files.archive import CheckpointError, read_archive
from rnnspec.interop.torch_files.pickle_machine import Call, Named, Value, values_of
from rnnspec.interop.torch_files.tensors import ELEMENTS, Tensors, is_tensor

MOST_ENTRIES = 1_000_000
DEEPEST = 8

_USUAL = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params")
"""Under which checkpoints have the model's weights, the usual ones first."""

_OTHERS = ("optimizer", "scheduler", "scaler", "ema", "callbacks", "loops", "rng")
"""What else they have, by what its key begins with or has in it."""

_WRAPPERS = ("_orig_mod.", "module.", "model.")
"""What torch.compile, DataParallel and Lightning put before each name."""

_INNER = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, sharding and checkpointing put before the names of a module anywhere in another one."""

_COLLECTIONS = ("params", "batch_stats")
"""Of Flax: the weights, and beside them the moving statistics of the same modules."""

_PLAIN_OBJECTS = frozenset(
    {"_codecs", "argparse", "collections", "copyreg", "datetime", "pathlib", "typing", "uuid"}
    | {"lightning", "lightning_fabric", "omegaconf", "pytorch_lightning"}
)
"""Packages whose objects stand beside the weights in usual checkpoints; they are passed over, and nothing of them is imported."""

_OF_NUMPY = frozenset({"numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"})
_OF_PYTHON = frozenset(
    {
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
    }
)


@frozen
class StateDict:
    """Weights by name, in the file's order, and what was passed over, in sentences."""

    weights: Mapping[str, Array]
    notes: tuple[str, ...] = ()


def read_state_dict(path: str | os.PathLike[str], part: str | None = None) -> StateDict:
    """The weights of a `.pt` file, read without torch: OSError if it can't be read, ValueError, which names it, if it isn't sound.

    `part`: the key, or the keys with dots between them, under which a checkpoint has them, if it has several models. Nothing in the file
    is executed: its pickle is taken for data, and one that calls anything but what tensors and plain containers are made of is refused.
    """
    name = os.fspath(path)
    content = read_file(path, large_limit())
    try:
        return state_dict_of(content, part)
    except CheckpointError as error:
        raise ValueError(f"{name}: {error}") from None


def state_dict_of(content: bytes, part: str | None = None) -> StateDict:
    """As `read_state_dict`, of a file's bytes; CheckpointError has no path."""
    archive = read_archive(content)
    root = values_of(archive.pickle)
    _check_calls(root)
    chosen, beside = _chosen(root, part)
    tensors = Tensors(archive)
    found: dict[str, Array] = {}
    notes: list[str] = []
    passed: list[str] = []
    for key, value in _entries(chosen):
        if is_tensor(value):
            found[key] = tensors.array(value)
        else:
            passed.append(key)
    if not found:
        raise CheckpointError("there is no tensor in it")
    if passed:
        notes.append(f"passed over, since it isn't a tensor: {_listed(passed)}")
    if beside:
        notes.append(f"passed over, beside the weights: {_listed(beside)}")
    return unwrapped(StateDict(found, tuple(notes)))


def unwrapped(stored: StateDict) -> StateDict:
    """Weights by their names in the module itself: without what wrappers of it put before all of them, and Flax's collections as one."""
    weights, notes = stored.weights, [*stored.notes]
    for wrapper in _WRAPPERS:
        if weights and all(name.startswith(wrapper) and len(name) > len(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): value for name, value in weights.items()}
            notes.append(f"all names began with `{wrapper}`, which was left out")
    inner = {_INNER.sub("", name): value for name, value in weights.items()}
    if len(inner) == len(weights) and list(inner) != list(weights):
        wrappers = ", ".join(f"`{each}`" for each in dict.fromkeys(match[1] for name in weights for match in _INNER.finditer(name)))
        notes.append(f"{wrappers} in the names was left out")
        weights = inner
    parts = {name: re.split("[./]", name, maxsplit=1) for name in weights}
    if weights and all(len(each) == 2 and each[0] in _COLLECTIONS for each in parts.values()):
        inner = {parts[name][1]: value for name, value in weights.items()}
        if len(inner) == len(weights):
            there = " and ".join(f"`{name}`" for name in dict.fromkeys(first for first, _ in parts.values()))
            notes.append(f"all names began with {there}, which was left out")
            weights = inner
    return StateDict(weights, tuple(notes))


def _check_calls(root: Value) -> None:
    """CheckpointError if anything in the pickle would be called or made that isn't a tensor, a container or a plain object beside them."""
    seen: set[int] = set()
    waiting: list[Value] = [root]
    refused: dict[str, None] = {}
    while waiting:
        value = waiting.pop()
        if isinstance(value, (str, bytes, int, float, type(None))) or id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case Call(called=called, arguments=arguments, state=state):
                if not is_tensor(value) and not _is_plain(called):
                    refused[str(called)] = None
                waiting += [*arguments, state]
            case Named() if not _is_plain(value):
                refused[str(value)] = None
            case dict():
                waiting += cast("dict[Value, Value]", value).values()
            case list() | tuple():
                waiting += cast("list[Value]", value)
            case _:
                pass
    if refused:
        advice = "save its weights alone: torch.save(module.state_dict(), path)"
        raise CheckpointError(f"its pickle isn't of weights alone, it wants {_listed(list(refused))}, which isn't executed here; {advice}")


def _is_plain(named: Named) -> bool:
    package = named.module.partition(".")[0]
    match package:
        case "torch":
            return named.module in ("torch", "torch.storage") and (
                named.name in ("Size", "device") or named.name in ELEMENTS or named.name.endswith("Storage")
            )
        case "numpy":
            return named.module in _OF_NUMPY
        case "builtins" | "__builtin__":
            return named.name in _OF_PYTHON
        case _:
            return package in _PLAIN_OBJECTS


def _chosen(root: Value, part: str | None) -> tuple[Mapping[Value, Value], list[str]]:
    """The dict of the weights, and the keys of what stands beside it."""
    if not isinstance(root, dict):
        shown = str(root.called) if isinstance(root, Call) else type(root).__name__
        what = "one tensor" if is_tensor(root) else f"an object of {shown}"
        raise CheckpointError(f"it is {what}, not a state dict: torch.save(module.state_dict(), path) writes one")
    whole = cast("dict[Value, Value]", root)
    if part is not None:
        return _by_keys(whole, part), []
    tensors = sum(is_tensor(value) for value in whole.values())
    inner = {str(key): _inner(value) for key, value in whole.items() if isinstance(key, str)}
    candidates = {key: value for key, value in inner.items() if value is not None and not any(other in key.lower() for other in _OTHERS)}
    if tensors and (not candidates or tensors == len(whole)):
        return whole, []
    if not candidates:
        return whole, []
    usual = [key for key in _USUAL if key in candidates]
    if not usual and len(candidates) > 1:
        raise CheckpointError(f"it has several state dicts: {_listed(list(candidates))}; say which: --input part={next(iter(candidates))}")
    taken = usual[0] if usual else next(iter(candidates))
    return candidates[taken], [str(key) for key in whole if key != taken]


def _inner(value: Value) -> Mapping[Value, Value] | None:
    """The tensors by name below a key of a checkpoint; None for anything else."""
    if isinstance(value, dict) and value:
        entries = cast("dict[Value, Value]", value)
        if all(isinstance(key, str) for key in entries) and any(is_tensor(each) for each in entries.values()):
            return entries
    return None


def _by_keys(whole: Mapping[Value, Value], part: str) -> Mapping[Value, Value]:
    if part in whole and isinstance(whole[part], dict):
        return cast("Mapping[Value, Value]", whole[part])
    here: Value = whole
    for key in part.split("."):
        if not isinstance(here, dict) or key not in here:
            there = _listed([str(each) for each in whole if isinstance(each, str)])
            raise CheckpointError(f"it has no part {part}; its keys are {there}")
        here = cast("dict[Value, Value]", here)[key]
    if not isinstance(here, dict):
        raise CheckpointError(f"its part {part} isn't a state dict")
    return cast("Mapping[Value, Value]", here)


def _entries(chosen: Mapping[Value, Value]) -> Iterator[tuple[str, Value]]:
    """The entries by their names; those of a dict in it have its key and a dot before theirs."""
    count = 0
    waiting: list[tuple[str, Value, int]] = [("", chosen, 0)]
    while waiting:
        prefix, value, depth = waiting.pop()
        count += len(cast("dict[Value, Value]", value)) if isinstance(value, dict) else 0
        if count > MOST_ENTRIES or depth > DEEPEST:
            raise CheckpointError("its dicts are nested deeper, or have more entries, than a state dict's")
        if isinstance(value, dict) and not (prefix and not value):
            inner = [
                (f"{prefix}.{key}" if prefix else str(key), each, depth + 1) for key, each in cast("dict[Value, Value]", value).items()
            ]
            if any(len(name) > 1000 for name, _, _ in inner):
                raise CheckpointError("damaged: a name in it has more than 1000 characters")
            waiting += reversed(inner)
        else:
            yield prefix, value


def _listed(names: list[str], most: int = 6) -> str:
    shown = ", ".join(name if len(name) <= 80 else f"{name[:80]}..." for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
