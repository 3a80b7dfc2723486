"""Calls of ATen that are written as their equations, computed by ONNX's own reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from rnnspec.contract.executable import Array
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.torch_programs.calls import Argument, Call, Nodes, Ref
from rnnspec.interop.torch_programs.operators import OPERATORS

X = np.random.default_rng(7).normal(size=(2, 5, 4)).astype(np.float32)


def called(target: str, **arguments: Argument) -> Array:
    """What the nodes of a call give for `X`, whose steps may differ in number."""
    nodes = Nodes({}, {"x": (2, "time", 4)})
    nodes.names["x"] = "x"
    result = OPERATORS[target](Call(nodes, "call", target, arguments, 1))
    assert isinstance(result, str)
    made: list[Any] = [onnx.helper.make_node(each.op, each.inputs, each.outputs, **each.attributes) for each in nodes.made]
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in nodes.constants.items()]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", result)]
    graph = onnx.helper.make_graph(made, "call", ends[:1], ends[1:], constants)
    given: Any = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": X})
    return np.asarray(given[0])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_a_gated_unit_is_half_of_an_axis() -> None:
    assert np.allclose(called("aten.glu.default", self=Ref("x")), X[..., :2] * sigmoid(X[..., 2:]), atol=1e-6)


@pytest.mark.parametrize(("form", "arguments", "less"), [
    ("correction", {}, 1), ("correction", {"correction": 0}, 0), ("dim", {"unbiased": True}, 1), ("dim", {"unbiased": False}, 0),
])  # fmt: skip
def test_variances_have_their_correction(form: str, arguments: dict[str, Argument], less: int) -> None:
    """torch's is by one number less, numpy's by all."""
    found = [called(f"aten.{name}.{form}", self=Ref("x"), dim=(-1,), **arguments) for name in ("var", "std")]
    assert np.allclose(found[0], X.var(-1, ddof=less), atol=1e-6) and np.allclose(found[1], X.std(-1, ddof=less), atol=1e-6)


def test_a_variance_keeps_its_axes_if_it_is_told() -> None:
    found = called("aten.var.correction", self=Ref("x"), dim=(1,), correction=0, keepdim=True)
    assert np.allclose(found, X.var(1, keepdims=True), atol=1e-6)


def test_a_corrected_variance_needs_the_number_of_steps() -> None:
    with pytest.raises(Unfit, match="an axis whose size isn't known"):
        called("aten.var.correction", self=Ref("x"), dim=(1,))
    with pytest.raises(Unfit, match="a variance of 4 numbers with a correction of 4"):
        called("aten.var.correction", self=Ref("x"), dim=(2,), correction=4)


def test_a_causal_query_sees_no_later_keys() -> None:
    found = called("aten.scaled_dot_product_attention.default", query=Ref("x"), key=Ref("x"), value=Ref("x"), is_causal=True)
    products = np.where(np.tri(5, dtype=bool), X @ X.transpose(0, 2, 1) / 2, -np.inf)
    shares = np.exp(products) / np.exp(products).sum(-1, keepdims=True)
    assert np.allclose(found, shares @ X, atol=1e-6)
