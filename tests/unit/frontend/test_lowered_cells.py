"""Equations that no cell of the library has, lowered and interpreted, against the same equations in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rnnspec.frontend.model.lower import lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import Role
from rnnspec.ir.verify import verify
from rnnspec.source import SourceFile

Array = np.ndarray
Update = Callable[[Array, Array, Array], Array]
"""The state after the step, of the step's input, the state before it and the weight `w` of four rows."""

EQUATIONS: dict[str, tuple[str, Update]] = {
    "first row": ("h' = h + x * w[0]", lambda x, h, w: h + x * w[0]),
    "inner rows": ("h' = h * w[1] + x * w[2]", lambda x, h, w: h * w[1] + x * w[2]),
    "last row": ("h' = x + h * w[3]", lambda x, h, w: x + h * w[3]),
    "row at a constant": ("n = 2 last = n + 1 h' = x + h * w[last]", lambda x, h, w: x + h * w[3]),
    "named numbers": ("half = 0.5 both = -half * 4 h' = half * h + both * x + w[0]", lambda x, h, w: 0.5 * h - 2 * x + w[0]),
    "number for a state": ("h' = 0.25 * 2 + 0 * w[0]", lambda x, h, w: np.full_like(h, 0.5)),
    "named condition": ("deep = features > 1 h' = x * w[1] if deep else h", lambda x, h, w: x * w[1]),
    "extremes of numbers": ("low = max(0.1, 0.2) h' = clip(x + h, low, min(1, 0.9)) + 0 * w[0]", lambda x, h, w: np.clip(x + h, 0.2, 0.9)),
    "parts at a constant": ("n = 2 a, b = split(concat(x, h), n) h' = a - b * w[0]", lambda x, h, w: x - h * w[0]),
    "width one": ("m = mean(x) h' = h + m * w[0]", lambda x, h, w: h + x.mean(-1, keepdims=True) * w[0]),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations(name: str) -> None:
    equations, update = EQUATIONS[name]
    cell = f"cell Own(units) {{ weight w [4, units] = ones state h [units] {equations} return h' }}"
    module = lower(
        resolve(parse(SourceFile.of_text(f"{cell} model Case {{ input x: float[time, 2] Own(2) }}"))), dtype="float64", training=False
    )
    verify(module)

    random = np.random.default_rng(7)
    x, w = random.normal(size=(3, 5, 2)), random.normal(size=(4, 2))
    results = interpret(module.function("forward"), {"x": x, "x.mask": np.ones((3, 5), bool), "own/w": w})
    h = np.zeros((3, 2))
    for step in range(5):
        h = update(x[:, step], h, w)
    actual = results[Role.OUTPUT, "own"]
    assert isinstance(actual, np.ndarray)
    np.testing.assert_allclose(actual, h, rtol=0.0, atol=1e-14)
