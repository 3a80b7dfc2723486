"""Advice on the shape of an input, followed: what it says to write is taken."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.signature import InputSignature
from rnnspec.runtime.data.validate import check_inputs
from tests.unit.runtime.fake import signature

ONE = InputSignature("x", (Name("time"), 1))
FIXED_ONE = InputSignature("x", (7, 1))
FRAMES = InputSignature("x", (Name("time"), 3))
FIXED = InputSignature("x", (4, 3))
IDS = InputSignature("x", (Name("time"),), integer=True, vocabulary=100)
ONE_ID = InputSignature("x", (1,), integer=True, vocabulary=100)
ROW = InputSignature("x", (3,))
NUMBER = InputSignature("x", (1,))


def ids(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int64)


class Frame:
    """A table that is no array, but gives one: what pandas has."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return self._values


RAGGED = [np.ones(3), np.ones(5)]

CASES: dict[str, tuple[InputSignature, Any, tuple[str, ...]]] = {
    "one feature, (samples, steps)": (ONE, np.ones((4, 7)), ("x[..., None]",)),
    "one feature, fixed time": (FIXED_ONE, np.ones((4, 7)), ("x[..., None]",)),
    "one feature, nothing fits": (FIXED_ONE, np.ones((4, 6)), ()),
    "one feature, batch axis in vain": (ONE, np.ones((1, 4, 7)), ("x[0][..., None]",)),
    "one feature, one series": (ONE, np.ones(7), ("x[None, :, None]",)),
    "one feature, both ways": (ONE, np.ones((4, 1)), ("x[None]", "x[..., None]")),
    "one feature, integers": (ONE, ids(4, 7), ("x[..., None]",)),
    "one feature, an axis too many": (ONE, np.ones((4, 7, 1, 1)), ("x[..., 0]",)),
    "a single sample": (FRAMES, np.ones((7, 3)), ("x[None]",)),
    "a single sample, fixed time": (FIXED, np.ones((4, 3)), ("x[None]",)),
    "a single sample, another time": (FIXED, np.ones((5, 3)), ()),
    "transposed": (FRAMES, np.ones((2, 3, 7)), ("np.swapaxes(x, 1, 2)",)),
    "transposed, fixed time": (FIXED, np.ones((2, 3, 4)), ("np.swapaxes(x, 1, 2)",)),
    "transposed, nothing fits": (FRAMES, np.ones((2, 5, 7)), ()),
    "transposed single sample": (FRAMES, np.ones((3, 7)), ("x.T[None]",)),
    "flat": (FIXED, np.ones((2, 12)), ("x.reshape(2, 4, 3)",)),
    "flat, time open": (FRAMES, np.ones((2, 12)), ("x.reshape(2, 4, 3)",)),
    "flat, nothing fits": (FRAMES, np.ones((2, 11)), ()),
    "features only": (FRAMES, np.ones(7), ()),
    "one series of ids": (IDS, ids(7), ("x[None]",)),
    "ids with an axis of features": (IDS, ids(4, 7, 1), ("x[..., 0]",)),
    "one id a sample": (ONE_ID, ids(5), ("x[..., None]",)),
    "one row": (ROW, np.ones(3), ("x[None]",)),
    "one row, a list": (ROW, [1.0, 2.0, 3.0], ("np.asarray(x)[None]",)),
    "one number a sample, a list": (NUMBER, [1.0, 2.0], ("np.asarray(x)[..., None]",)),
    "one feature, a table": (ONE, Frame(np.ones((4, 7))), ("np.asarray(x)[..., None]",)),
    "a row with steps": (ROW, np.ones((4, 1, 3)), ("x.reshape(4, 3)",)),
    "one number a sample": (NUMBER, np.ones(5), ("x[..., None]",)),
    "list, one feature": (ONE, RAGGED, ("[np.reshape(s, (-1, 1)) for s in x]",)),
    "list of lists, one feature": (ONE, [[1.0, 2.0], [3.0]], ("[np.reshape(s, (-1, 1)) for s in x]",)),
    "list, one feature, both ways": (ONE, [[1.0], [3.0]], ("[x]", "[np.reshape(s, (-1, 1)) for s in x]")),
    "list of numbers": (ONE, [1.0, 2.0, 3.0], ("np.reshape(x, (1, -1, 1))",)),
    "list of ids": (IDS, [1, 2, 3], ("[x]",)),
    "list of rows": (FRAMES, [[1, 2, 3], [4, 5, 6]], ("[x]",)),
    "list, transposed": (FRAMES, [np.ones((3, 5)), np.ones((3, 6))], ("[np.transpose(s) for s in x]",)),
    "list with batch axes": (FRAMES, [np.ones((1, 5, 3)), np.ones((1, 6, 3))], ("[s[0] for s in x]",)),
    "list of ids with an axis": (IDS, [ids(3, 1), ids(5, 1)], ("[np.ravel(s) for s in x]",)),
    "list, nothing fits": (FRAMES, [np.ones((5, 2)), np.ones((6, 3))], ()),
}

EXPRESSION = re.compile(r": ((?:np\.\w+\(|\[|x\b).*?)(?=; or |$)")


def refused(spec: InputSignature, x: object) -> str:
    with pytest.raises(ValueError) as raised:
        check_inputs(signature(dtype="float32", inputs=(spec,)), x)
    return str(raised.value)


@pytest.mark.parametrize("name", CASES)
def test_the_advice_is_taken(name: str) -> None:
    spec, x, expected = CASES[name]
    message = refused(spec, x)
    hints = message.partition("; ")[2]
    given = tuple(EXPRESSION.findall(f"; {hints}")) if hints else ()
    assert given == expected if len(expected) != 2 or len(given) == 2 else given[0] in expected
    for expression in given:
        made = eval(expression, {"np": np, "x": x})
        assert check_inputs(signature(dtype="float32", inputs=(spec,)), made).samples >= 1


def test_of_several_inputs_the_one_is_named() -> None:
    several = signature(dtype="float32", inputs=(FRAMES, InputSignature("load", ("hour", 1))))
    with pytest.raises(ValueError, match=r"input load: expected .*: load\[\.\.\., None\]$"):
        check_inputs(several, {"x": np.ones((2, 4, 3)), "load": np.ones((2, 5))})
    with pytest.raises(ValueError, match=r"input load, sample 0: expected .* for s in load\]$"):
        check_inputs(several, {"x": np.ones((2, 4, 3)), "load": [np.ones(5), np.ones(5)]})
