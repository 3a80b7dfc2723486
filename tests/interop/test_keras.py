"""A model as a layer of Keras, with each back end that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("back_end", ["numpy", *(name for name in ("jax", "tensorflow", "torch") if find_spec(name) is not None)])
def test_a_program_with_a_layer_runs(back_end: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": back_end, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    program = Path(__file__).with_name("keras_program.py")
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
