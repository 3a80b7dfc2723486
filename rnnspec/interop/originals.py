"""Models of other frameworks' files, run by these frameworks where they are installed, so that an import can be compared with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import InputSignature
from rnnspec.frozen import frozen

SAMPLES, STEPS = 2, 5
"""The size of drawn inputs, where the file leaves it open."""

_BACK_ENDS = ("torch", "jax")
"""Of Keras where TensorFlow isn't installed; JAX computes in float32 alone unless it is told otherwise."""


ADVICE = ": compute outputs with the original, and give them with --check"


class CantRun(ValueError):
    """A file that no installed framework runs."""


@frozen
class Original:
    """A file's model in its own framework. `shapes`: of its inputs by name, the batch first, None where any size goes.

    `run`: from arrays by the inputs' names to the outputs in the file's order.
    """

    framework: str
    shapes: Mapping[str, tuple[int | None, ...]]
    run: Callable[[Mapping[str, Array]], Sequence[Array]]


def original(path: Path, fixed: Mapping[str, float | int | str]) -> Original:
    """The model in a file, loaded by the framework that wrote it; `fixed`: values of inputs that are fixed, by name.

    Keras loads in its safe mode, in which no code of the file is run; a graph of ONNX has none. `CantRun` says what isn't installed, or
    that a file holds weights alone.
    """
    match path.suffix.lower():
        case ".onnx":
            return _of_onnx(path, fixed)
        case ".keras" | ".h5" | ".hdf5" if not path.name.lower().endswith(".weights.h5"):
            return _of_keras(path)
        case ending:
            raise CantRun(f"no framework runs a {ending or 'file'} by itself{ADVICE}")


def drawn_inputs(source: Original, names: Mapping[str, str], signature: Sequence[InputSignature]) -> dict[str, Array]:
    """Inputs that are drawn, the same each time, by the file's names. `names`: theirs to the model's.

    `CantRun` for a model whose inputs in the file aren't those of the import, such as states of one step.
    """
    random, own = np.random.default_rng(0), {each.name: each for each in signature}
    if set(names) != set(source.shapes) or set(names.values()) != set(own):
        further = ", ".join(sorted(set(source.shapes) - set(names)))
        raise CantRun(f"in {source.framework} it has further inputs, {further}{ADVICE}")
    drawn: dict[str, Array] = {}
    for name, sizes in source.shapes.items():
        spec = own[names[name]]
        extents = (SAMPLES, *(each if isinstance(each, int) else STEPS for each in spec.shape))
        if len(sizes) != len(extents):
            raise CantRun(f"input {name} has {len(sizes)} axes in {source.framework}, and {len(extents)} in the import{ADVICE}")
        shape = tuple(size if size is not None else extent for size, extent in zip(sizes, extents, strict=True))
        drawn[name] = random.integers(0, spec.vocabulary or 2, shape) if spec.integer else random.normal(size=shape)
    return drawn


def _of_onnx(path: Path, fixed: Mapping[str, float | int | str]) -> Original:
    _needs("onnxruntime", "ONNX Runtime")
    runtime = import_module("onnxruntime")
    try:
        session: Any = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CantRun(f"ONNX Runtime {runtime.__version__} doesn't load the file ({_first_line(error)}){ADVICE}") from error
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
    _needs("keras", "Keras")
    with _back_end():
        keras = import_module("keras")
        try:
            model: Any = keras.saving.load_model(path, compile=False)
        except Exception as error:  # of any kind: a layer that this version doesn't know, say
            raise CantRun(f"Keras {keras.__version__} doesn't load the file ({_first_line(error)}){ADVICE}") from error
    tensors = list(model.inputs)
    shapes = {tensor.name: tuple(tensor.shape) for tensor in tensors}

    def run(given: Mapping[str, Array]) -> Sequence[Array]:
        arrays = [given[tensor.name].astype(str(tensor.dtype)) for tensor in tensors]
        found: Any = model(arrays if len(arrays) > 1 else arrays[0], training=False)
        return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(found)]

    return Original("Keras", shapes, run)


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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _needs(module: str, name: str) -> None:
    if find_spec(module) is None:
        raise CantRun(f"{name} isn't installed (pip install {module}): without it, compute outputs elsewhere, and give them with --check")
