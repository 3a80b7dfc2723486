"""ONNX models for tests: made by the package `onnx`, run by its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

FIXTURES = Path(__file__).parent / "fixtures" / "interop" / "onnx"

Array = NDArray[Any]


def info(name: str, shape: Sequence[int | str] | None, kind: Any = np.float32) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 18,
    functions: Sequence[Any] = (),
    domains: Sequence[str] = (),
) -> Any:
    """A model whose outputs have no shapes."""
    made = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "made", list(inputs), [info(name, None) for name in outputs], made)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=8)


def saved(folder: Path, made: Any, name: str = "made") -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), list(outputs), name=f"the_{kind.lower()}", **attributes)


def run(path: Path, arrays: Mapping[str, Array]) -> list[Array]:
    return ReferenceEvaluator(onnx.load(str(path))).run(None, dict(arrays))
