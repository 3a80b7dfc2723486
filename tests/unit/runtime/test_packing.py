"""Any mask packs into its real tokens, step by step, and comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnspec.runtime.batches import full_index
from rnnspec.runtime.packing import distinct, pack

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


@pytest.mark.parametrize("batch, time", [(0, 0), (0, 3), (3, 0), (1, 1), (4, 5)])
def test_full_index_is_the_packing_of_a_full_mask(batch: int, time: int) -> None:
    quick, slow = full_index(batch, time), pack(np.ones((batch, time), np.bool_))
    for name in ("order", "rank", "offsets", "source"):
        assert getattr(quick, name).dtype == np.int32
        np.testing.assert_array_equal(getattr(quick, name), getattr(slow, name))
    assert (quick.tokens, quick.steps) == (slow.tokens, slow.steps)
