"""A model's predictions as a file: text with commas, or numpy's own formats."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import OutputSignature
from rnnspec.runtime.data.batches import Mask

CSV, NPY, NPZ = ".csv", ".npy", ".npz"


def check_format(ending: str, outputs: Sequence[OutputSignature]) -> None:
    """ValueError if a file with that ending can't hold these outputs."""
    names = ", ".join(output.name for output in outputs)
    if ending == NPY and len(outputs) > 1:
        raise ValueError(f"a {NPY} file holds one array, the model's outputs are {names}: write {NPZ}")
    rows = {(output.is_sequence, output.index, output.flip, output.shape[0] if output.is_sequence else None) for output in outputs}
    if ending == CSV and len(rows) > 1:
        raise ValueError(f"a {CSV} file has one line for all outputs, and {names} don't have the same steps: write {NPZ}")


def encode(ending: str, outputs: Sequence[OutputSignature], arrays: Sequence[Array], real: Mask | None = None) -> bytes:
    """The file's bytes; `arrays` as the model gives them, (samples, ...), `real` as for `as_csv`."""
    if ending == CSV:
        return as_csv(outputs, arrays, real).encode()
    buffer = io.BytesIO()
    if ending == NPY:
        np.save(buffer, arrays[0], allow_pickle=False)
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            for output, array in zip(outputs, arrays, strict=True):
                with archive.open(f"{output.name}.npy", "w", force_zip64=True) as member:
                    np.save(member, array, allow_pickle=False)
    return buffer.getvalue()


def as_csv(outputs: Sequence[OutputSignature], arrays: Sequence[Array], real: Mask | None = None) -> str:
    """A line a sample, in their order, or one a real step of a sample with the two's numbers in front; a heading above.

    A column is an output's number of that name, of several numbers `name.0`, `name.1` and so on. Each number
    is written with all digits that a float64 needs, so that reading gives the same number back. `real`
    (samples, time): the steps of sequence outputs to write, None for all.
    """
    axes = 2 if outputs[0].is_sequence else 1
    tails = [array.shape[axes:] for array in arrays]
    columns = [column for output, tail in zip(outputs, tails, strict=True) for column in _columns(output.name, tail)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if axes == 1:
        writer.writerow(columns)
        writer.writerows(_rows(arrays, tails))
        return text.getvalue()
    samples, steps = np.nonzero(np.ones(arrays[0].shape[:2], bool) if real is None else real)
    writer.writerow(["sample", "step", *columns])
    rows = _rows([array[samples, steps] for array in arrays], tails)
    writer.writerows([sample, step, *row] for sample, step, row in zip(samples.tolist(), steps.tolist(), rows, strict=True))
    return text.getvalue()


def _columns(name: str, tail: tuple[int, ...]) -> Iterator[str]:
    """The headings of one output, whose samples or steps have that shape."""
    if math.prod(tail) == 1:
        yield name
        return
    for place in product(*map(range, tail)):
        yield ".".join([name, *map(str, place)])


def _rows(arrays: Sequence[Array], tails: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """The rows of all, side by side, as Python's floats: their text is exact."""
    flat = [array.reshape(len(array), math.prod(tail)).astype(np.float64) for array, tail in zip(arrays, tails, strict=True)]
    rows: list[list[float]] = np.concatenate(flat, axis=1).tolist()
    return rows
