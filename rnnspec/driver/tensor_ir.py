"""Tensor IR as text: read, taken through passes by name, printed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rnnspec.diagnostics import InternalError
from rnnspec.file_kinds import Kind, kind_of
from rnnspec.files import read_file
from rnnspec.ir.ops import Module
from rnnspec.ir.parser import IRSyntaxError, parse_module
from rnnspec.ir.printer import print_module
from rnnspec.ir.verify import verify
from rnnspec.passes.pipeline import Pipeline, UnsuitableModule
from rnnspec.passes.registry import PASSES, options_of, parse_passes
from rnnspec.source import SourceFile

TEXT_LIMIT = 2**26
"""Bytes of tensor IR that are read at all: a thousand times what a large model has."""


def read_ir(path: str | os.PathLike[str]) -> SourceFile:
    """The text of a file; OSError if it can't be read, ValueError if it isn't text or is known to be something else."""
    return ir_of_bytes(os.fspath(path), read_file(path, TEXT_LIMIT))


def ir_of_bytes(name: str, content: bytes) -> SourceFile:
    """The text in `content`, which messages call `name`; ValueError if it is too long, isn't text or is known to be something else."""
    if len(content) > TEXT_LIMIT:
        raise ValueError(f"{name}: it is longer than {TEXT_LIMIT // 2**20} MiB")
    kind = kind_of(name, content)
    if kind is Kind.SPEC:
        raise ValueError(f"{name}: it is {kind.value}, not tensor IR; `rnnspec inspect {name} --after lower` prints its tensor IR")
    if kind is not None:
        raise ValueError(f"{name}: it is {kind.value}, not tensor IR")
    try:
        return SourceFile(name, content.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: it isn't UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02X}") from None


def run_passes(source: SourceFile, passes: Sequence[str] = (), *, locations: bool = False) -> str:
    """The printed module of `source` after passes in their order; each text of `passes` is as `passes.registry.parse_passes` takes it.

    `locations`: with the lines of the spec that each operation comes from, if the text has them.

    ValueError, which names the file, for text that isn't tensor IR, for a module that breaks a rule of the IR and for one that a
    pass isn't made for; ValueError, too, for passes and options that don't exist. A pass that breaks a rule is an InternalError.
    """
    pipeline = Pipeline(tuple(step for text in passes for step in parse_passes(text)))
    module = _verified(source)
    try:
        return print_module(pipeline.run(module), locations=locations)
    except UnsuitableModule as error:
        raise ValueError(f"{source.path}: {error.args[0]}") from None


def _verified(source: SourceFile) -> Module:
    try:
        module = parse_module(source.text)
        verify(module)
    except IRSyntaxError as error:
        raise ValueError(f"{source.path}: {error}") from None
    except InternalError as error:
        raise ValueError(f"{source.path}: the module breaks a rule of the tensor IR: {error.args[0]}") from None
    except RecursionError:
        raise ValueError(f"{source.path}: regions are nested too deeply") from None
    return module


def list_passes() -> str:
    """A line for each pass, and one for each of its options with the values that it may have and its default."""
    lines: list[str] = []
    for name, kind in PASSES.items():
        lines.append(name)
        lines += [f"  :{option.name}={option.default_text}  ({option.type.expected})" for option in options_of(kind).values()]
    return "\n".join(lines)
