"""Exported files by ONNX Runtime, in the oldest version of the standard that is written and the newest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.e2e.test_onnx_export import MODELS, OWN, exported, series


def newest() -> int:
    """The newest version that the package writes."""
    return int(onnx.defs.onnx_opset_version())


@pytest.mark.parametrize("opset", [14, newest()])
@pytest.mark.parametrize("name", MODELS)
def test_onnx_runtime_gives_the_same(name: str, opset: int, tmp_path: Path) -> None:
    path, x = tmp_path / "model.onnx", series()
    model = exported(f"{OWN}\nmodel Out {{\n{MODELS[name]}\n}}", path, "float32", opset)
    result: Any = model.predict(x)
    session = onnxruntime.InferenceSession(str(path))
    for ours, theirs in zip(result if isinstance(result, tuple) else [result], session.run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-5)
