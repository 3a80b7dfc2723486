"""State dicts and modules that are written here, as torch reads and runs them. Run by `make interop`."""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnspec.interop.torch_files.state_dict import state_dict_of
from rnnspec.interop.torch_files.writing import state_dict_bytes
from tests.e2e.test_torch_exports import CASES, exported, x_of

DTYPES = """float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 uint32 uint64
float8_e5m2 float8_e4m3fn"""


@pytest.mark.parametrize("dtype", DTYPES.split())
def test_all_types_are_read_as_torch_reads_them(dtype: str) -> None:
    torch.manual_seed(1)
    numbers = torch.randn(6, 8).mul(50).abs().to(getattr(torch, dtype))
    views = {"whole": numbers, "turned": numbers.t()[2:5, ::2], "row": numbers[3], "scalar": numbers[2, 2], "empty": numbers[:0]}
    file = io.BytesIO()
    torch.save(views, file)
    found = state_dict_of(file.getvalue()).weights
    for name, tensor in views.items():
        expected = (tensor.float() if dtype in ("bfloat16", "float8_e5m2", "float8_e4m3fn") else tensor).numpy()
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(expected).tobytes()


def test_all_patterns_of_floats_of_few_bits() -> None:
    bits = {"float8_e5m2": torch.uint8, "float8_e4m3fn": torch.uint8, "bfloat16": torch.int16}
    for name, kind in bits.items():
        codes = torch.arange(256, dtype=kind) if kind is torch.uint8 else torch.arange(-(2**15), 2**15).to(kind)
        tensor = codes.view(getattr(torch, name))
        file = io.BytesIO()
        torch.save({"a": tensor}, file)
        found, expected = state_dict_of(file.getvalue()).weights["a"], tensor.float().numpy()
        real = ~np.isnan(expected)
        assert found[real].tobytes() == expected[real].tobytes() and np.isnan(found[~real]).all()


def test_state_dicts_that_are_written_here_are_loaded_by_torch() -> None:
    weights = {
        "a.weight": np.random.default_rng(1).normal(size=(3, 4)),
        "a.bias": np.zeros(3, np.float32),
        "n": np.array(7),
        "e": np.zeros((0, 3)),
    }
    found = torch.load(io.BytesIO(state_dict_bytes(weights)), weights_only=True)
    assert list(found) == list(weights)
    for name, value in weights.items():
        assert found[name].numpy().dtype == value.dtype and np.array_equal(found[name].numpy(), value)
    assert state_dict_of(state_dict_bytes(weights)).weights.keys() == weights.keys()


def loaded(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("net", folder / "net.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    name = re.search(r"^class (\w+)\(nn.Module\):\n    \"\"\"\w+ \(batch", (folder / "net.py").read_text(), re.MULTILINE)
    assert name is not None
    return getattr(module, name[1]).load(folder / "net.pt")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_a_module_that_is_written_gives_what_the_model_gives(name: str, dtype: str, tmp_path: Path) -> None:
    model = exported(name, tmp_path, dtype)
    x = x_of(model)
    with torch.no_grad():
        found = loaded(tmp_path)(*(torch.from_numpy(each) for each in x))
    expected = model.predict(x if len(x) > 1 else x[0])
    tolerance = 2e-5 if dtype == "float32" else 1e-9
    for one, other in zip(
        found if isinstance(found, tuple) else [found], expected if isinstance(expected, tuple) else [expected], strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other, atol=tolerance, rtol=tolerance)
