"""A program that makes a small model's code for a target of one's own, in a process that LLVM may end: `python -m` this module.

Its input is JSON, with the `base` and the `changes` of `described`. It ends with 1 and the reason on its output if it can't be done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnspec.deploy.library import library
from rnnspec.deploy.step_layout import step_layout
from rnnspec.driver import backends
from rnnspec.driver.compilation import compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.target import Target

FORMATS = ("ELF", "COFF", "MachO", "Wasm")
"""The kinds of objects that archives are written of."""

MODEL = "model Trial { input x: float[time, 3]\n GRU(5)\n LayerNormalization()\n Dense(2, activation = softmax) }"


def described(base: str, changes: Mapping[str, Any]) -> Target:
    """A target like the described one named `base`, with changed fields; ValueError for a triple without code."""
    return backends.DEFAULT.of_triple(replace(BUILD_TARGETS[base], **changes))


def main() -> int:
    """The exit status: 0 if there is code."""
    asked = json.load(sys.stdin)
    compilation = compilation_of(MODEL)
    weights = {weight.name: np.zeros(weight.shape, np.float32) for weight in compilation.signature.weights}
    try:
        library(compilation, weights, described(asked["base"], asked["changes"]), step=step_layout(compilation.signature, "trial"))
    except ValueError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
