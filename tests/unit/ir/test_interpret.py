"""The interpreter, the oracle of everything else, against numpy in a few words and numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rnnspec.contract.packing import pack
from rnnspec.diagnostics import InternalError
from rnnspec.ir.interpret import Packing, interpret, pack_mask, shown_tokens
from rnnspec.ir.ops import Role
from rnnspec.ir.parser import parse_module
from rnnspec.ir.random import uniform
from rnnspec.ir.verify import verify
from tests.unit.ir.test_text import EVERYTHING

Array = NDArray[Any]

RANDOM = np.random.default_rng(0)
ROW = RANDOM.normal(size=(3, 4))
OTHER = RANDOM.normal(size=(3, 6))
W = RANDOM.normal(size=(4, 6))
V = RANDOM.normal(size=4)
FLAGS = RANDOM.random((3, 4)) < 0.5
IDS = np.array([[2], [0], [2]], np.int32)
KEY = np.array(-5, np.int32)

PARAMETERS: Mapping[str, tuple[str, Array]] = {
    "row": ("input %row: f32[batch, 4]", ROW),
    "other": ("input %other: f32[batch, 6]", OTHER),
    "w": ("weight %w: f32[4, 6]", W),
    "v": ("weight %v: f32[4]", V),
    "flags": ("residual %flags: i1[batch, 4]", FLAGS),
    "ids": ("residual %ids: i32[batch, 1]", IDS),
    "key": ("key %key: i32[]", KEY),
}


def evaluate(body: str, role: str = "residual", parameters: Mapping[str, tuple[str, Array]] = PARAMETERS) -> Array:
    """The value %0 after the operations of `body`."""
    text = f'module m\nfunc @f({", ".join(declared for declared, _ in parameters.values())}) {{\n{body}\nreturn {role} "y" %0\n}}'
    module = parse_module(text)
    verify(module)
    result = interpret(module.functions[0], {name: array for name, (_, array) in parameters.items()})[Role(role), "y"]
    assert isinstance(result, np.ndarray)
    return result


def erf(x: Array) -> Array:
    return np.array([[math.erf(value) for value in row] for row in x])


OPERATIONS: Mapping[str, Callable[[], Array]] = {
    "%0 = constant {value = 1.5} : f32[batch, 2]": lambda: np.array([[1.5, 1.5]] * 3),
    "%0 = constant {value = nan} : f32[]": lambda: np.array(math.nan),
    "%0 = constant {value = 1.0} : i1[batch, 1]": lambda: np.array([[True]] * 3),
    "%0 = constant {value = -2.0} : i32[3]": lambda: np.array([-2, -2, -2], np.int32),
    "%0 = positions : f32[4]": lambda: np.array([0.0, 1.0, 2.0, 3.0]),
    "%0 = neg %row : f32[batch, 4]": lambda: -ROW,
    "%0 = abs %row : f32[batch, 4]": lambda: np.where(ROW < 0, -ROW, ROW),
    "%0 = sign %row : f32[batch, 4]": lambda: (ROW > 0) * 1.0 - (ROW < 0) * 1.0,
    "%1 = abs %row : f32[batch, 4]\n%0 = sqrt %1 : f32[batch, 4]": lambda: np.abs(ROW) ** 0.5,
    "%0 = exp %row : f32[batch, 4]": lambda: np.e**ROW,
    "%0 = expm1 %row : f32[batch, 4]": lambda: np.e**ROW - 1,
    "%1 = abs %row : f32[batch, 4]\n%0 = log %1 : f32[batch, 4]": lambda: np.log2(np.abs(ROW)) * math.log(2),
    "%1 = abs %row : f32[batch, 4]\n%0 = log1p %1 : f32[batch, 4]": lambda: np.log(1 + np.abs(ROW)),
    "%0 = tanh %row : f32[batch, 4]": lambda: (np.exp(2 * ROW) - 1) / (np.exp(2 * ROW) + 1),
    "%0 = sigmoid %row : f32[batch, 4]": lambda: np.exp(ROW) / (1 + np.exp(ROW)),
    "%0 = erf %row : f32[batch, 4]": lambda: erf(ROW),
    "%0 = stop_gradient %row : f32[batch, 4]": lambda: ROW,
    "%0 = add %row, %row : f32[batch, 4]": lambda: 2 * ROW,
    "%1 = neg %row : f32[batch, 4]\n%0 = sub %row, %1 : f32[batch, 4]": lambda: 2 * ROW,
    "%0 = mul %row, %row : f32[batch, 4]": lambda: ROW**2,
    "%1 = exp %row : f32[batch, 4]\n%0 = div %row, %1 : f32[batch, 4]": lambda: ROW * np.exp(-ROW),
    "%1 = neg %row : f32[batch, 4]\n%0 = max %row, %1 : f32[batch, 4]": lambda: np.abs(ROW),
    "%1 = neg %row : f32[batch, 4]\n%0 = min %row, %1 : f32[batch, 4]": lambda: -np.abs(ROW),
    "%1 = lt %row, %row : i1[batch, 4]\n%0 = and %flags, %1 : i1[batch, 4]": lambda: FLAGS & False,
    "%1 = le %row, %row : i1[batch, 4]\n%0 = and %flags, %1 : i1[batch, 4]": lambda: FLAGS,
    "%0 = select %flags, %row, %1 : f32[batch, 4]": lambda: np.where(FLAGS, ROW, -ROW),
    "%0 = broadcast %v : f32[batch, 4]": lambda: np.stack([V, V, V]),
    "%0 = reshape %v : f32[4, 1]": lambda: V[:, None],
    "%1, %0 = split %row {axis = 1} : f32[batch, 1], f32[batch, 3]": lambda: ROW[:, 1:],
    "%0, %1 = split %w {axis = 0} : f32[3, 6], f32[1, 6]": lambda: W[:3],
    "%1, %0, %2 = split %w {axis = 1} : f32[4, 1], f32[4, 2], f32[4, 3]": lambda: W[:, 1:3],
    "%0 = concat %row, %other {axis = 1} : f32[batch, 10]": lambda: np.hstack([ROW, OTHER]),
    "%0 = concat %w, %w {axis = 0} : f32[8, 6]": lambda: np.vstack([W, W]),
    "%0 = matmul %row, %w : f32[batch, 6]": lambda: np.einsum("ij,jk->ik", ROW, W),
    "%0 = matmul %other, transpose %w : f32[batch, 4]": lambda: np.einsum("ij,kj->ik", OTHER, W),
    "%0 = matmul %row, %w from %other : f32[batch, 6]": lambda: OTHER + np.einsum("ij,jk->ik", ROW, W),
    "%0 = matmul transpose %row, %other : f32[4, 6]": lambda: np.einsum("ji,jk->ik", ROW, OTHER),
    "%1 = matmul transpose %row, %row : f32[4, 4]\n%0 = matmul transpose %1, transpose %1 : f32[4, 4]": (
        lambda: np.einsum("ji,kj->ik", ROW.T @ ROW, ROW.T @ ROW)
    ),
    "%0 = reduce_sum %row {axis = 1} : f32[batch, 1]": lambda: np.array([[sum(row)] for row in ROW]),
    "%0 = reduce_sum %row {axis = 0} : f32[4]": lambda: ROW[0] + ROW[1] + ROW[2],
    "%0 = reduce_sum %v {axis = 0} : f32[1]": lambda: np.array([sum(V)]),
    "%0 = reduce_max %row {axis = 1} : f32[batch, 1]": lambda: np.array([[max(row)] for row in ROW]),
    "%0 = reduce_min %row {axis = 0} : f32[4]": lambda: np.array([min(column) for column in ROW.T]),
    "%0 = take %w, %ids : f32[batch, 6]": lambda: np.stack([W[2], W[0], W[2]]),
    "%d = distinct %ids : index[1, 4, once]\n%0 = distinct_ids %d : i32[once, 1]": lambda: np.array([[0], [2]], np.int32),
    "%d = distinct %ids : index[1, 4, once]\n%0 = places %ids, %d : i32[batch, 1]": lambda: np.array([[1], [0], [1]], np.int32),
    "%0 = scatter_add %ids, %row : f32[4, 4]": lambda: np.stack([ROW[1], 0 * V, ROW[0] + ROW[2], 0 * V]),
    "%0 = random %key {stream = 3} : f32[batch, 2]": lambda: uniform(-5, 3, (3, 2)),
}


@pytest.mark.parametrize("body", OPERATIONS)
def test_operations(body: str) -> None:
    before = "%1 = neg %row : f32[batch, 4]\n" if "%1" in body and "%1 =" not in body and "%1," not in body else ""
    actual, expected = evaluate(before + body), OPERATIONS[body]()
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-15, strict=True)


COMPARISONS = {
    "lt": [True, False, False, False],
    "le": [True, True, False, False],
    "gt": [False, False, True, False],
    "ge": [False, True, True, False],
    "eq": [False, True, False, False],
    "ne": [True, False, True, True],
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name: str) -> None:
    """Less, equal, greater, and NaN, which only differs."""
    parameters = {
        "a": ("weight %a: f32[4]", np.array([1.0, 2.0, 3.0, math.nan])),
        "b": ("weight %b: f32[4]", np.array([2.0, 2.0, 2.0, 2.0])),
    }
    assert evaluate(f"%0 = {name} %a, %b : i1[4]", parameters=parameters).tolist() == COMPARISONS[name]


@pytest.mark.parametrize(("name", "number"), [("max", 2.0), ("min", 1.0)])
def test_extremes_keep_nan_from_either_side(name: str, number: float) -> None:
    parameters = {
        "a": ("weight %a: f32[3]", np.array([1.0, math.nan, 1.0])),
        "b": ("weight %b: f32[3]", np.array([2.0, 2.0, math.nan])),
    }
    np.testing.assert_array_equal(evaluate(f"%0 = {name} %a, %b : f32[3]", parameters=parameters), [number, math.nan, math.nan])


@pytest.mark.parametrize(("name", "number"), [("sum", 0.0), ("max", -math.inf), ("min", math.inf)])
def test_reductions_over_nothing(name: str, number: float) -> None:
    parameters = {"row": ("input %row: f32[batch, 2]", np.zeros((0, 2)))}
    assert evaluate(f"%0 = reduce_{name} %row {{axis = 0}} : f32[2]", parameters=parameters).tolist() == [number, number]


def test_floats_are_computed_in_double_precision() -> None:
    parameters = {"row": ("input %row: f32[batch, 1]", np.array([[1e-20]], np.float32))}
    body = "%1 = constant {value = 1.0} : f32[batch, 1]\n%2 = add %1, %row : f32[batch, 1]\n%0 = sub %2, %1 : f32[batch, 1]"
    assert evaluate(body, parameters=parameters).dtype == np.float64
    parameters["row"] = ("input %row: f32[batch, 1]", np.array([[1e-12]], np.float32))
    assert evaluate(body, parameters=parameters)[0, 0] > 0


# Packing

#                 t = 0      1      2      3
MASK = np.array(
    [
        [False, False, True, True],  # left padded
        [True, False, False, False],  # right padded
        [True, False, True, True],  # holed
        [False, False, False, False],  # empty
        [True, True, True, True],  # full
    ]
)
PACKING = Packing(
    5,
    4,
    [4, 2, 0, 1, 3],
    [(4, 0), (2, 0), (0, 2), (1, 0), (4, 1), (2, 2), (0, 3), (4, 2), (2, 3), (4, 3)],
    [range(4), range(4, 7), range(7, 9), range(9, 10)],
)
SEQUENCE = np.array([[[10.0 * row + t] for t in range(4)] for row in range(5)])
"""Each step says where it stands: 10 * row + t."""

MASKED: Mapping[str, tuple[str, Array]] = {
    "x": ("input %x: f32[batch, time, 1]", SEQUENCE),
    "m": ("mask %m: i1[batch, time]", MASK),
    "g": ("input %g: f32[batch, time, 1]", SEQUENCE + 1),
    "row": ("input %row: f32[batch, 1]", np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])),
}
INDEX = "%i = index %m : index[batch, time, tokens]\n"
PACK = f"{INDEX}%p = pack %x, %i : f32[tokens, 1]\n%f = constant {{value = -1.0}} : f32[1, 1]\n"


def masked(body: str, **arrays: Array) -> Array:
    return evaluate(body, parameters={name: (text, arrays.get(name, array)) for name, (text, array) in MASKED.items()})


def test_a_packing_worked_out_by_hand() -> None:
    assert pack_mask(MASK) == PACKING


def test_empty_packings() -> None:
    assert pack_mask(np.zeros((0, 4), bool)) == Packing(0, 4, [], [], [])
    assert pack_mask(np.zeros((2, 0), bool)) == Packing(2, 0, [0, 1], [], [])
    assert pack_mask(np.zeros((2, 3), bool)) == Packing(2, 3, [0, 1], [], [])


def test_pack_is_step_major() -> None:
    expected = [[40.0], [20.0], [2.0], [10.0], [41.0], [22.0], [3.0], [42.0], [23.0], [43.0]]
    assert masked(PACK + "%0 = stop_gradient %p : f32[tokens, 1]").tolist() == expected


def test_masked_steps_are_never_read() -> None:
    x = np.where(MASK[..., None], SEQUENCE, math.nan)
    assert not np.isnan(masked(PACK + "%0 = stop_gradient %p : f32[tokens, 1]", x=x)).any()


def test_a_mask_is_where_any_feature_differs() -> None:
    x = np.array([[[0.0, 0.0], [0.0, 1.0]], [[math.nan, 0.0], [-0.0, 0.0]]])
    parameters = {"x": ("input %x: f32[batch, time, 2]", x)}
    assert evaluate("%0 = mask %x {value = 0.0} : i1[batch, time]", parameters=parameters).tolist() == [[False, True], [True, False]]
    ids = {"x": ("input %x: i32[batch, time, 1]", np.array([[[3], [0]]], np.int32))}
    assert evaluate("%0 = mask %x {value = 3.0} : i1[batch, time]", parameters=ids).tolist() == [[False, True]]


SHOWN: Mapping[tuple[str, str], list[list[float]]] = {
    ("true", "false"): [[-1, -1, 2, 3], [10, 10, 10, 10], [20, 20, 22, 23], [-1, -1, -1, -1], [40, 41, 42, 43]],
    ("false", "false"): [[-1, -1, 2, 3], [10, -1, -1, -1], [20, -1, 22, 23], [-1, -1, -1, -1], [40, 41, 42, 43]],
    ("true", "true"): [[3, 2, 2, 2], [-1, -1, -1, 10], [23, 22, 22, 20], [-1, -1, -1, -1], [43, 42, 41, 40]],
    ("false", "true"): [[3, 2, -1, -1], [-1, -1, -1, 10], [23, 22, -1, 20], [-1, -1, -1, -1], [43, 42, 41, 40]],
}
"""What unpack shows, by hold and flip; -1 is the fill."""


@pytest.mark.parametrize(("hold", "flip"), SHOWN)
def test_unpack(hold: str, flip: str) -> None:
    body = f"{PACK}%0 = unpack %p, %f, %i {{hold = {hold}, flip = {flip}}} : f32[batch, time, 1]"
    assert masked(body)[..., 0].tolist() == SHOWN[hold, flip]


@pytest.mark.parametrize(("hold", "flip"), SHOWN)
def test_sums_by_hand(hold: str, flip: str) -> None:
    """Each token gets what stands where unpack shows it, and so does the fill."""
    shown = np.array(SHOWN[hold, flip])
    attributes = f"{{hold = {hold}, flip = {flip}}}"
    tokens = masked(f"{PACK}%0 = pack_sum %g, %i {attributes} : f32[tokens, 1]")
    given_ = SEQUENCE[..., 0] + 1
    assert tokens[:, 0].tolist() == [given_[shown == 10 * row + t].sum() for row, t in PACKING.tokens]
    assert masked(f"{PACK}%0 = fill_sum %g, %i {attributes} : f32[1, 1]").tolist() == [[given_[shown == -1].sum()]]


def test_rows_are_sorted_by_length_and_restored() -> None:
    assert masked(f"{INDEX}%0 = sort_rows %row, %i : f32[batch, 1]")[:, 0].tolist() == [4, 2, 0, 1, 3]
    assert masked(f"{INDEX}%0 = restore_rows %row, %i : f32[batch, 1]")[:, 0].tolist() == [2, 3, 1, 4, 0]
    both = f"{INDEX}%s = sort_rows %row, %i : f32[batch, 1]\n%0 = restore_rows %s, %i : f32[batch, 1]"
    assert masked(both)[:, 0].tolist() == [0, 1, 2, 3, 4]


masks = st.tuples(st.integers(0, 5), st.integers(0, 6)).flatmap(lambda shape: hnp.arrays(np.bool_, shape))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(masks, st.booleans(), st.booleans())
def test_the_runtime_packs_the_same_way(mask: NDArray[np.bool_], hold: bool, flip: bool) -> None:
    slow, quick = pack_mask(mask), pack(mask)
    assert slow.order == quick.order.tolist()
    assert [row * quick.time + t for row, t in slow.tokens] == quick.source.tolist()
    assert [step.stop for step in slow.steps] == quick.offsets[1:].tolist()
    shown = [-1 if token is None else token for token in shown_tokens(slow, hold, flip).values()]
    assert shown == quick.shown(hold, flip).tolist()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(masks, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_sums_are_the_adjoints_of_unpack(mask: NDArray[np.bool_], hold: bool, flip: bool, seed: int) -> None:
    """<unpack(x, fill), y> = <x, pack_sum(y)> + <fill, fill_sum(y)>."""
    random = np.random.default_rng(seed)
    tokens, width = int(mask.sum()), 3
    x, fill, y = random.normal(size=(tokens, width)), random.normal(size=(1, width)), random.normal(size=(*mask.shape, width))
    parameters = {
        "m": ("mask %m: i1[batch, time]", mask),
        "i": ("residual %i: index[batch, time, tokens]", pack_mask(mask)),
        "x": ("residual %x: f32[tokens, 3]", x),
        "fill": ("weight %fill: f32[1, 3]", fill),
        "y": ("input %y: f32[batch, time, 3]", y),
    }
    attributes = f"{{hold = {str(hold).lower()}, flip = {str(flip).lower()}}}"
    unpacked = evaluate(f"%0 = unpack %x, %fill, %i {attributes} : f32[batch, time, 3]", parameters=parameters)
    to_tokens = evaluate(f"%0 = pack_sum %y, %i {attributes} : f32[tokens, 3]", parameters=parameters)
    to_fill = evaluate(f"%0 = fill_sum %y, %i {attributes} : f32[1, 3]", parameters=parameters)
    np.testing.assert_allclose(np.sum(unpacked * y), np.sum(x * to_tokens) + np.sum(fill * to_fill), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(masks, st.booleans(), st.integers(0, 2**32 - 1))
def test_pack_undoes_unpack(mask: NDArray[np.bool_], hold: bool, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(int(mask.sum()), 2))
    parameters = {
        "i": ("residual %i: index[batch, time, tokens]", pack_mask(mask)),
        "x": ("residual %x: f32[tokens, 2]", x),
    }
    body = f"""%f = constant {{value = 9.0}} : f32[1, 2]
%u = unpack %x, %f, %i {{hold = {str(hold).lower()}, flip = false}} : f32[batch, time, 2]
%0 = pack %u, %i : f32[tokens, 2]"""
    np.testing.assert_array_equal(evaluate(body, parameters=parameters), x)


# Scans

SCAN = """
func @f(input %x: f32[batch, time, 1], mask %m: i1[batch, time], input %start: f32[batch, 1], weight %decay: f32[1]) {
  %i = index %m : index[batch, time, tokens]
  %p = pack %x, %i : f32[tokens, 1]
  %init = sort_rows %start, %i : f32[batch, 1]
  %last, %count_last, %before, %sum = scan %i {reverse = REVERSE} carry(%h = %init, %n = %init) over(%step = %p) {
    %shown = broadcast %decay : f32[rows, 1]
    %less = mul %h, %shown : f32[rows, 1]
    %next = add %less, %step : f32[rows, 1]
    %one = constant {value = 1.0} : f32[rows, 1]
    %more = add %n, %one : f32[rows, 1]
    %total = reduce_sum %step {axis = 0} : f32[1]
    yield carry(%next, %more) stack(%h) sum(%total)
  } : f32[batch, 1], f32[batch, 1], f32[tokens, 1], f32[1]
  %final = restore_rows %last, %i : f32[batch, 1]
  %counted = restore_rows %count_last, %i : f32[batch, 1]
  %fill = constant {value = 0.0} : f32[1, 1]
  %shown_before = unpack %before, %fill, %i {hold = false, flip = false} : f32[batch, time, 1]
  return output "final" %final, output "counted" %counted, output "before" %shown_before, output "sum" %sum
}
"""


def run_scan(mask: Array, x: Array, start: Array, reverse: bool) -> dict[str, Array]:
    module = parse_module("module m" + SCAN.replace("REVERSE", str(reverse).lower()))
    verify(module)
    arguments = {"x": x, "m": mask, "start": start, "decay": np.array([0.5])}
    return {name: np.asarray(held) for (_, name), held in interpret(module.functions[0], arguments).items()}


def test_a_scan_by_hand() -> None:
    """h' = h / 2 + x over each row's real steps; rows leave after their last."""
    x = np.ones((5, 4, 1))
    start = np.array([[8.0], [8.0], [8.0], [8.0], [8.0]])
    results = run_scan(MASK, x, start, False)
    assert results["final"][:, 0].tolist() == [3.5, 5.0, 2.75, 8.0, 2.375]
    assert results["counted"][:, 0].tolist() == [10.0, 9.0, 11.0, 8.0, 12.0]
    assert results["sum"].tolist() == [10.0]
    assert results["before"][..., 0].tolist() == [[0, 0, 8, 5], [8, 0, 0, 0], [8, 0, 5, 3.5], [0, 0, 0, 0], [8, 5, 3.5, 2.75]]
    assert run_scan(MASK, x, start, True)["before"][..., 0].tolist() == [
        [0, 0, 5, 8],
        [8, 0, 0, 0],
        [3.5, 0, 5, 8],
        [0, 0, 0, 0],
        [2.75, 3.5, 5, 8],
    ]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(masks, st.booleans(), st.integers(0, 2**32 - 1))
def test_a_scan_is_the_masked_loop_of_each_row(mask: NDArray[np.bool_], reverse: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    batch, time = mask.shape
    x, start = random.normal(size=(batch, time, 1)), random.normal(size=(batch, 1))
    final, before = start.copy(), np.zeros((batch, time, 1))
    for row in range(batch):
        for t in reversed(range(time)) if reverse else range(time):
            if mask[row, t]:
                before[row, t] = final[row]
                final[row] = 0.5 * final[row] + x[row, t]
    results = run_scan(mask, x, start, reverse)
    np.testing.assert_allclose(results["final"], final, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(results["before"], before, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(results["counted"][:, 0], start[:, 0] + mask.sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(results["sum"], [x[mask].sum()], rtol=1e-12, atol=1e-12)


def test_a_scan_doesn_t_touch_its_inits() -> None:
    start = np.ones((5, 1))
    run_scan(MASK, SEQUENCE, start, False)
    assert start.tolist() == [[1.0]] * 5


def test_every_operation_runs() -> None:
    """The golden module that holds them all; residuals of the caller's own making."""
    module = parse_module(EVERYTHING.read_text(encoding="utf-8"))
    random = np.random.default_rng(1)
    arguments: dict[str, Array | Packing] = {
        "x": SEQUENCE + np.arange(4.0),
        "x.mask": MASK,
        "due": MASK,
        "ids": random.integers(0, 4, (5, 4, 1)),
        "cell/kernel": W,
        "b": random.normal(size=6),
        "fixed": random.normal(size=(5, 3, 4)),
        "key": KEY,
        "cell/h": random.normal(size=(5, 6)),
        "index": PACKING,
        "row": np.abs(random.normal(size=(5, 6))),
        "y": random.normal(size=(5, 6)),
    }
    results = interpret(module.functions[0], arguments)
    assert {role for role, _ in results} == {Role.OUTPUT, Role.STATE, Role.UPDATE, Role.RESIDUAL, Role.GRADIENT}


def test_no_row_is_looked_up_for_a_negative_id() -> None:
    text = (
        'module m\nfunc @f(input %t: f32[batch, 2], input %i: i32[time, 1]) {\n%0 = take %t, %i : f32[time, 2]\nreturn residual "y" %0\n}'
    )
    function = parse_module(text).functions[0]
    for rows in (0, 1):
        (found,) = interpret(function, {"t": np.ones((rows, 2)), "i": np.full((3, 1), -1)}).values()
        np.testing.assert_array_equal(found, np.zeros((3, 2)))


# What can't be run

FUNCTION = "func @f(input %a: f32[batch, 2], input %b: f32[batch, 2], residual %i: index[batch, time, tokens]) {\nreturn \n}"
RIGHT: Mapping[str, Any] = {"a": np.zeros((5, 2)), "b": np.zeros((5, 2)), "i": PACKING}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"c": np.zeros(1)}, "@f takes ['a', 'b', 'i'], not ['a', 'b', 'c', 'i']"),
    ({"a": np.zeros((5, 3))}, "%a is f32[batch, 2] with 2 = 2, not of shape (5, 3)"),
    ({"a": np.zeros(5)}, "%a is f32[batch, 2], not of shape (5,)"),
    ({"b": np.zeros((4, 2))}, "%b is f32[batch, 2] with batch = 5, not of shape (4, 2)"),
    ({"a": PACKING}, "%a is f32[batch, 2], not a packing"),
    ({"i": np.zeros((5, 2))}, "%i is index[batch, time, tokens], not an array"),
    ({"i": pack_mask(MASK[:4])}, "%i is index[batch, time, tokens] with batch = 5, not of shape (4, 4, 6)"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments(changed: dict[str, Any], message: str) -> None:
    function = parse_module(f"module m\n{FUNCTION}").functions[0]
    assert interpret(function, RIGHT) == {}
    with pytest.raises(InternalError) as caught:
        interpret(function, {**RIGHT, **changed})
    assert caught.value.args[0] == message


def test_a_missing_argument() -> None:
    function = parse_module(f"module m\n{FUNCTION}").functions[0]
    with pytest.raises(InternalError, match=r"@f takes \['a', 'b', 'i'\], not \['a', 'b'\]"):
        interpret(function, {"a": RIGHT["a"], "b": RIGHT["b"]})


def test_results_are_rounded_to_their_types_if_asked() -> None:
    text = """module m
func @forward(input %x: f32[batch, 1]) {
  %one = constant {value = 1.0} : f32[batch, 1]
  %sum = add %x, %one : f32[batch, 1]
  %rest = sub %sum, %one : f32[batch, 1]
  return output "rest" %rest
}
"""
    function = parse_module(text).function("forward")
    x = np.array([[2.0**-30]])
    assert interpret(function, {"x": x})[Role.OUTPUT, "rest"] == x
    rounded = np.asarray(interpret(function, {"x": x}, rounded=True)[Role.OUTPUT, "rest"])
    assert rounded.dtype == np.float32
    assert rounded == 0.0
