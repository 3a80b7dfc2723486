"""Any mask packs into its real tokens, step by step, and comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnspec.contract.dimensions import Windows, value_of
from rnnspec.contract.packing import distinct, pack, stretches, window_ids, window_mask
from rnnspec.runtime.data.batches import full_index

masks = st.tuples(st.integers(0, 6), st.integers(0, 7)).flatmap(lambda shape: hnp.arrays(np.bool_, shape))


@given(masks)
def test_every_real_step_is_packed_once_in_the_order_of_its_row(mask: np.ndarray) -> None:
    index = pack(mask)
    assert sorted(index.source.tolist()) == np.flatnonzero(mask).tolist()
    lengths = mask.sum(axis=1)
    assert index.order.tolist() == sorted(range(index.batch), key=lambda row: -lengths[row])
    assert index.order[index.rank].tolist() == list(range(index.batch))
    for step in range(index.steps):
        tokens = index.source[index.offsets[step] : index.offsets[step + 1]]
        rows = index.order[: len(tokens)]
        assert tokens.tolist() == [row * index.time + np.flatnonzero(mask[row])[step] for row in rows]
    assert index.offsets[-1] == index.tokens


@given(masks)
def test_position_is_the_inverse_of_source(mask: np.ndarray) -> None:
    index = pack(mask)
    assert index.position[index.source].tolist() == list(range(index.tokens))
    assert (index.position.reshape(mask.shape) >= 0).tolist() == mask.tolist()


def ids_below(rows: int) -> st.SearchStrategy[tuple[int, np.ndarray]]:
    return st.tuples(st.just(rows), hnp.arrays(np.int32, st.integers(0, 12), elements=st.integers(0, rows - 1)))


@given(st.integers(1, 9).flatmap(ids_below))
def test_distinct_ids_are_the_packing_of_the_rows_that_are_named(drawn: tuple[int, np.ndarray]) -> None:
    rows, ids = drawn
    quick, slow = distinct(ids, rows), pack(np.isin(np.arange(rows), ids)[None, :])
    for name in ("order", "rank", "offsets", "source", "position"):
        assert getattr(quick, name).dtype == np.int32
        np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))
    assert (quick.batch, quick.time, quick.tokens, quick.steps) == (slow.batch, slow.time, slow.tokens, slow.steps)
    np.testing.assert_array_equal(quick.source[quick.position[ids]], ids)


@given(masks, st.booleans(), st.booleans())
def test_shown_is_the_masked_loop_written_out(mask: np.ndarray, hold: bool, flip: bool) -> None:
    index = pack(mask)
    expected: list[int] = []
    for row in range(index.batch):
        last = -1
        for time in reversed(range(index.time)) if flip else range(index.time):
            token = int(index.position[row * index.time + time])
            last = token if token >= 0 else last if hold else -1
            expected.append(last)
    assert index.shown(hold, flip).tolist() == expected


windows = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"])).map(
    lambda drawn: Windows(*drawn[:3], (1 - drawn[0]) * drawn[2] if drawn[3] == "causal" else 0, same=drawn[3] == "same")
)


def seen(count: int, over: Windows) -> list[list[int]]:
    """The steps that each window over `count` steps of its own sees, beyond the ends as well."""
    number = -(-(count - over.ahead) // over.stride) if count else 0
    lacking = max((number - 1) * over.stride + over.span - count, 0) if over.same else 0
    starts = [place * over.stride + over.start - lacking // 2 for place in range(max(number, 0))]
    return [[start + place * over.dilation for place in range(over.size)] for start in starts]


@given(masks, windows, st.booleans())
def test_windows_over_the_steps_from_the_first_to_the_last_real_one(mask: np.ndarray, over: Windows, flip: bool) -> None:
    time = max(value_of(over.length(mask.shape[1]), {}), 0)
    found, given = window_mask(mask, over, time, flip=flip), mask[:, ::-1] if flip else mask
    assert found.shape == (len(mask), time)
    index, source = pack(found), pack(given)
    ids = [
        window_ids(source, index, over.stride, over.start + place * over.dilation, over.span if over.same else 0,
                   clamp=False, at_end=False, own=True)
        for place in range(over.size)
    ]  # fmt: skip
    for row, real in enumerate(given):
        steps = np.flatnonzero(real)
        first, count = (steps[0], steps[-1] + 1 - steps[0]) if len(steps) else (0, 0)
        assert [int(each[row]) for each in stretches(given)] == [first, count]
        wanted, shown = np.zeros(time, bool), {}
        for number, places in enumerate(seen(int(count), over)):
            inside = [step for step in places if 0 <= step < count]
            wanted[first // over.stride + number] = not inside or any(real[first + step] for step in inside)
            shown[first // over.stride + number] = [first + step if step in inside and real[first + step] else -1 for step in places]
        assert found[row].tolist() == wanted.tolist()
        for step in np.flatnonzero(wanted):
            token = index.position[row * time + step]
            tokens = [-1 if place < 0 else source.position[row * mask.shape[1] + place] for place in shown[step]]
            assert [each[token] for each in ids] == tokens


@given(windows, st.integers(0, 12))
def test_all_windows_over_steps_that_are_real_are_real(over: Windows, time: int) -> None:
    number = max(value_of(over.length(time), {}), 0)
    assert window_mask(np.ones((2, time), bool), over, number, flip=False).all()


@pytest.mark.parametrize("batch, time", [(0, 0), (0, 3), (3, 0), (1, 1), (4, 5)])
def test_full_index_is_the_packing_of_a_full_mask(batch: int, time: int) -> None:
    quick, slow = full_index(batch, time), pack(np.ones((batch, time), np.bool_))
    for name in ("order", "rank", "offsets", "source"):
        assert getattr(quick, name).dtype == np.int32
        np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))
    assert (quick.tokens, quick.steps) == (slow.tokens, slow.steps)
