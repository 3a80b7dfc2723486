"""Models of other frameworks' files, run by these frameworks where they are installed, so that an import can be compared with them."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.originals.original import CantRun, Original, first_line, needs

_BACK_ENDS = ("torch", "jax")
"""Of Keras where TensorFlow isn't installed; JAX computes in float32 alone unless it is told otherwise."""

_ROUNDING = 2e-5
"""Of Keras in models of float64, too: its back ends compute parts of them in float32."""


def original(path: Path, fixed: Mapping[str, float | int | str]) -> Original:
    """The model in a file of Keras or ONNX, loaded by that framework; `fixed`: values of inputs that are fixed, by name.

    Keras loads in its safe mode, in which no code of the file is run; a graph of ONNX has none. `CantRun` says what isn't installed, or
    that a file holds weights alone.
    """
    match path.suffix.lower():
        case ".onnx":
            return _of_onnx(path, fixed)
        case ".keras" | ".h5" | ".hdf5" if not path.name.lower().endswith(".weights.h5"):
            return _of_keras(path)
        case ending:
            raise CantRun(f"no framework runs a {ending or 'file'} by itself")


def _of_onnx(path: Path, fixed: Mapping[str, float | int | str]) -> Original:
    needs("onnxruntime", "ONNX Runtime")
    runtime = import_module("onnxruntime")
    try:
        session: Any = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CantRun(f"ONNX Runtime {runtime.__version__} doesn't load the file ({first_line(error)})") from error
    inputs = {each.name: each for each in session.get_inputs()}
    held = {name: _fixed(inputs[name], value) for name, value in fixed.items() if name in inputs}
    named = {name: value for name, value in fixed.items() if name not in inputs}
    shapes = {name: tuple(_size(size, named) for size in each.shape) for name, each in inputs.items() if name not in held}

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        typed = {name: array.astype(_TYPES[inputs[name].type]) for name, array in given.items()}
        return list(session.run(None, {**typed, **held}))

    return Original("ONNX Runtime", shapes, run)


_TYPES: Mapping[str, type[Any]] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
}  # fmt: skip


def _fixed(source: Any, value: float | int | str) -> Array:
    return np.full([1] * len(source.shape), float(value), _TYPES[source.type])


def _size(size: object, named: Mapping[str, float | int | str]) -> int | None:
    if isinstance(size, int):
        return size
    told = named.get(str(size))
    return told if isinstance(told, int) else None


def _of_keras(path: Path) -> Original:
    needs("keras", "Keras")
    with _back_end():
        keras = import_module("keras")
        try:
            model: Any = keras.saving.load_model(path, compile=False)
        except Exception as error:  # of any kind: a layer that this version doesn't know, say
            raise CantRun(f"Keras {keras.__version__} doesn't load the file ({first_line(error)})") from error
    tensors = list(model.inputs)
    shapes = {tensor.name: tuple(tensor.shape) for tensor in tensors}

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        arrays = [given[tensor.name].astype(str(tensor.dtype)) for tensor in tensors]
        found: Any = model(arrays if len(arrays) > 1 else arrays[0], training=False)
        return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(found)]

    return Original("Keras", shapes, run, _ROUNDING)


@contextmanager
def _back_end() -> Generator[None]:
    """An installed back end for Keras, where nobody has chosen one: its default, TensorFlow, needn't be there."""
    chosen = "KERAS_BACKEND" in os.environ or find_spec("tensorflow") is not None
    found = None if chosen else next((name for name in _BACK_ENDS if find_spec(name) is not None), None)
    if found is not None:
        os.environ["KERAS_BACKEND"] = found
    try:
        yield
    finally:
        if found is not None:
            del os.environ["KERAS_BACKEND"]
