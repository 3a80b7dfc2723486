"""Programs and archives of PyTorch, run by torch."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.interop.originals.original import CantRun, Original, first_line, needs

Fixed = Mapping[str, float | int | str]
Tensors = Mapping[str, Any]


def of_program(path: Path, fixed: Fixed) -> Original:
    """A program of `torch.export`, a `.pt2`."""
    needs("torch", "PyTorch")
    torch = cast(Any, import_module("torch"))
    program = _loaded(torch, lambda: torch.export.load(path))
    tensors = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    names = [name for name in program.graph_signature.user_inputs if name in tensors]
    module, structure = program.module(check_guards=False), program.call_spec.in_spec

    def call(given: Tensors) -> object:
        positional, named = structure.unflatten([given.get(name, name) for name in program.graph_signature.user_inputs])
        return module(*positional, **named)

    shapes = {name: tuple(size if isinstance(size, int) else None for size in tensors[name].shape) for name in names}
    return _original(torch, shapes, {name: tensors[name].dtype for name in names}, fixed, call)


def of_script(path: Path, fixed: Fixed) -> Original:
    """An archive of TorchScript, whose inputs' types are told, as `float[batch, time, 3]`."""
    needs("torch", "PyTorch")
    torch = cast(Any, import_module("torch"))
    module = _loaded(torch, lambda: torch.jit.load(str(path), map_location="cpu")).eval()
    floats = [each.dtype for each in module.state_dict().values() if each.is_floating_point()]
    elements = {"float": floats[0] if floats else torch.float32, "int": torch.int64, "bool": torch.bool}
    types = {name: re.findall(r"\w+", text) for name, text in fixed.items() if isinstance(text, str) and "[" in text}
    shapes = {name: tuple(int(size) if size.isdecimal() else None for size in sizes) for name, (_, *sizes) in types.items()}
    values = {name: value for name, value in fixed.items() if name not in types}
    dtypes = {name: elements[element] for name, (element, *_) in types.items()}
    return _original(torch, shapes, dtypes, values, lambda given: module(**given))


def of_module(path: Path, signature: Signature) -> Original:
    """A module that was exported from here, with that signature: the file of Python beside its weights is run."""
    needs("torch", "PyTorch")
    torch = cast(Any, import_module("torch"))
    text = path.with_suffix(".py")
    names: dict[str, Any] = {"__name__": path.stem}
    exec(compile(text.read_text("utf-8"), text, "exec"), names)
    dtypes = {each.name: torch.int64 if each.integer else getattr(torch, signature.dtype) for each in signature.inputs}
    module = names[signature.model].load(path.with_suffix(".pt"))
    order = list(dtypes)
    shapes = {each.name: (None, *(size if isinstance(size, int) else None for size in each.shape)) for each in signature.inputs}
    return _original(torch, shapes, dtypes, {}, lambda given: module(*(given[name] for name in order)))


def _loaded(torch: Any, load: Callable[[], Any]) -> Any:
    logger = logging.getLogger("torch.export")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    except Exception as error:  # of any kind: an operation that this version doesn't know, say
        raise CantRun(f"PyTorch {torch.__version__} doesn't load the file ({first_line(error)})") from error
    finally:
        logger.disabled = before


def _original(
    torch: Any,
    shapes: Mapping[str, tuple[int | None, ...]],
    dtypes: Mapping[str, Any],
    fixed: Fixed,
    call: Callable[[Mapping[str, Any]], object],
) -> Original:
    held = {
        name: torch.full([size or 1 for size in shapes[name]], float(value), dtype=dtypes[name])
        for name, value in fixed.items()
        if name in shapes
    }

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        tensors = {name: torch.tensor(np.ascontiguousarray(array)).to(dtypes[name]) for name, array in given.items()}
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call({**held, **tensors})
        return [each.detach().numpy() for each in _tensors(torch, found)]

    return Original("PyTorch", {name: sizes for name, sizes in shapes.items() if name not in held}, run)


def _tensors(torch: Any, found: object) -> Iterator[Any]:
    """The tensors of nested tuples, lists and dicts, in their order."""
    match found:
        case tuple() | list():
            for each in cast("Sequence[object]", found):
                yield from _tensors(torch, each)
        case dict():
            for each in cast("Mapping[object, object]", found).values():
                yield from _tensors(torch, each)
        case _ if isinstance(found, torch.Tensor):
            yield found
        case _:
            pass
