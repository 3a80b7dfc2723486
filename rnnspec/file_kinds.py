"""Kinds of files by their first bytes and their ending, for advice where a spec, a model and data are mixed up."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import PurePath
from typing import Literal, TypeAlias

from rnnspec.frozen import frozen

DataFormat: TypeAlias = Literal["npz", "npy", "csv", "tsv", "jsonl", "parquet"]

DATA_FORMATS: tuple[DataFormat, ...] = ("npz", "npy", "csv", "tsv", "jsonl", "parquet")
"""The formats of data files, each the ending of their names."""


class Kind(Enum):
    """In words, as a sentence about the file has it."""

    MODEL = "a compiled model"
    SPEC = "a spec"
    WEIGHTS = "weights alone, in the format safetensors"
    DATA = "a data file of numpy"
    KERAS = "a model file of Keras"
    PYTORCH = "a file of PyTorch, or another pickle"
    ONNX = "an ONNX model"
    TFLITE = "a TFLite model"
    PYTHON = "a Python file"
    NOTEBOOK = "a notebook"
    TABLE = "a table"


@frozen
class Mistaken:
    """A file of another kind than expected: its kind, and advice."""

    kind: Kind
    advice: str


_ENDINGS = {
    ".csv": Kind.TABLE,
    ".h5": Kind.KERAS,
    ".hdf5": Kind.KERAS,
    ".ipynb": Kind.NOTEBOOK,
    ".jsonl": Kind.TABLE,
    ".ndjson": Kind.TABLE,
    ".keras": Kind.KERAS,
    ".npy": Kind.DATA,
    ".npz": Kind.DATA,
    ".onnx": Kind.ONNX,
    ".parquet": Kind.TABLE,
    ".pkl": Kind.PYTORCH,
    ".pt": Kind.PYTORCH,
    ".pt2": Kind.PYTORCH,
    ".pth": Kind.PYTORCH,
    ".py": Kind.PYTHON,
    ".rnn": Kind.SPEC,
    ".rnnc": Kind.MODEL,
    ".safetensors": Kind.WEIGHTS,
    ".tflite": Kind.TFLITE,
    ".tsv": Kind.TABLE,
    ".xlsx": Kind.TABLE,
}

_SPEC = re.compile(rb"(\xef\xbb\xbf)?\s*(#[^\n]*\n\s*)*(model|cell|block|import)\s")

CURVES_ENDING = ".svg"
"""The ending of a drawing of curves."""


def curves_problem(path: PurePath) -> str | None:
    """Why no curves are written under that name; None if they are."""
    if path.suffix.lower() == CURVES_ENDING:
        return None
    return f"`{path}`: curves are written as {CURVES_ENDING}, so the name has to end in it"


LOOKED_AT = 4096
"""Bytes at the start of a file."""


def kind_of(path: str, content: bytes) -> Kind | None:
    """The kind of a file by its content, else by its ending; None for an unknown one."""
    start = content[:LOOKED_AT]
    if start.startswith(b"PK\x03\x04"):
        return _archive(start)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return Kind.KERAS
    if start.startswith(b"\x93NUMPY"):
        return Kind.DATA
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32:
        return Kind.WEIGHTS
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Kind.PYTORCH
    if start[4:8] == b"TFL3":
        return Kind.TFLITE
    ending = _ENDINGS.get(PurePath(path).suffix.lower())
    return Kind.SPEC if ending in (None, Kind.MODEL) and _SPEC.match(start) else ending


def _archive(start: bytes) -> Kind | None:
    """The kind of a zip file, by the name of its first member."""
    first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
    if first == b"manifest.json":
        return Kind.MODEL
    if first in (b"metadata.json", b"config.json", b"model.weights.h5"):
        return Kind.KERAS
    if _TORCH.fullmatch(first) or _PROGRAM.match(first):
        return Kind.PYTORCH
    if first.endswith(b".npy"):
        return Kind.DATA
    return Kind.TABLE if first.startswith((b"[Content_Types]", b"xl/")) else None


def is_program(path: str, start: bytes) -> bool:
    """Whether a file of PyTorch is a program of `torch.export`, by the name of the first member, or else by the ending."""
    first = start[30 : 30 + int.from_bytes(start[26:28], "little")] if start.startswith(b"PK\x03\x04") else b""
    return bool(_PROGRAM.match(first)) or (bool(first) and PurePath(path).suffix.lower() == ".pt2")


_TORCH = re.compile(rb"[^/]+/(data\.pkl|data/\d+|\.format_version|byteorder)")
"""First members of what torch.save writes, and of TorchScript's archives."""

_PROGRAM = re.compile(rb"[^/]+/(archive_format$|archive_version$|models/|data/(weights|constants)/)")

_TAKE_OVER = "write its layers as a spec, then take its weights over by `model.set_weights(...)`"
_SPEC_IS = "a spec is a text in a file with the ending .rnn: see docs/language.md"


def no_spec(path: str, kind: Kind | None) -> Mistaken | None:
    """A file where a spec is expected; None if it may be one."""
    match kind:
        case None | Kind.SPEC:
            return None
        case Kind.MODEL:
            taken = "`rnnspec train`, `evaluate` and `predict` take it, in Python `rnnspec.load`"
            advice = f"{taken}; its spec is in it: `unzip -p {path} model.rnn`"
        case Kind.WEIGHTS:
            advice = f"`rnnspec compile model.rnn --weights {path}` gives them to a spec's model"
        case Kind.DATA:
            advice = f"the command takes it behind `--data`: `rnnspec train model.rnn --data {path} -o model.rnnc`"
        case Kind.KERAS | Kind.PYTORCH | Kind.ONNX:
            advice = f"`rnnspec import {path} -o folder` writes its spec, and its weights beside it"
        case Kind.TFLITE:
            advice = _TAKE_OVER
        case Kind.PYTHON | Kind.NOTEBOOK | Kind.TABLE:
            advice = _SPEC_IS
    return Mistaken(kind, advice)


def no_model(path: str, kind: Kind | None) -> Mistaken | None:
    """A file where a compiled model is expected; None if it may be one."""
    match kind:
        case None | Kind.MODEL:
            return None
        case Kind.SPEC:
            advice = f"`rnnspec train {path}` and `rnnspec compile {path}` make a model of it, in Python `rnnspec.compile`"
        case Kind.WEIGHTS:
            advice = f"`rnnspec compile model.rnn --weights {path} -o model.rnnc` makes a model of them and a spec"
        case Kind.DATA:
            advice = "the command takes it behind `--data`"
        case Kind.KERAS | Kind.PYTORCH | Kind.ONNX:
            advice = f"`rnnspec import {path} -o model.rnnc` makes a compiled model of it"
        case Kind.TFLITE:
            advice = _TAKE_OVER
        case Kind.PYTHON | Kind.NOTEBOOK | Kind.TABLE:
            advice = "a compiled model is what `rnnspec train`, `rnnspec compile` and `Model.save` write, with the ending .rnnc"
    return Mistaken(kind, advice)


def no_weights(path: str, kind: Kind | None) -> Mistaken | None:
    """A file where weights are expected; None if it may be of weights."""
    match kind:
        case None | Kind.WEIGHTS:
            return None
        case Kind.MODEL:
            return Mistaken(kind, f"its weights are in it: `unzip -p {path} weights.safetensors > weights.safetensors`")
        case Kind.KERAS | Kind.PYTORCH:
            return Mistaken(kind, f"`rnnspec import {path} --into model.rnn -o model.rnnc` gives its weights to a spec")
        case Kind.ONNX | Kind.TFLITE:
            return Mistaken(kind, "take its weights over in Python, by `model.set_weights(...)`")
        case _:
            return Mistaken(kind, "weights are a file in the format safetensors, under the names that `model.weights` has")
