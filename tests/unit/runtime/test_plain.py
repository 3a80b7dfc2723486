"""Inputs of known shapes: the batch that checks gave, and for all others none."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.contract.dimensions import Name
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import InputSignature
from rnnspec.runtime.data.batch_cache import MOST_SHAPES, ValidatedBatchCache
from rnnspec.runtime.data.validate import check_inputs
from tests.unit.runtime.fake import signature


def sequence(batch: int = 2, time: int = 4) -> np.ndarray:
    return np.ones((batch, time, 3), np.float32)


def known(*kept: np.ndarray, mask_values: tuple[float, ...] = ()) -> ValidatedBatchCache:
    described = signature(dtype="float32", mask_values=mask_values)
    plain = ValidatedBatchCache(described)
    for x in kept:
        plain.keep(x, check_inputs(described, x).batch())
    return plain


def test_a_known_shape_gives_the_very_indices_of_the_checked_batch() -> None:
    x = sequence()
    found, checked = known(sequence()).batch(x), check_inputs(signature(dtype="float32"), x).batch()
    assert found is not None
    assert np.shares_memory(found.inputs["x"], x)
    x.shape = (x.size,)
    assert found.inputs["x"].shape == sequence().shape, "nobody else changes it"
    assert found.indices[0] is checked.indices[0]
    assert (found.size, found.reals, found.borrowed) == (checked.size, checked.reals, checked.borrowed)


def test_inputs_by_name_are_found_too() -> None:
    found = known(sequence()).batch({"x": sequence()})
    assert found is not None and found.inputs["x"].shape == (2, 4, 3)


@pytest.mark.parametrize(
    "x",
    [
        sequence(time=5),
        sequence(batch=3),
        sequence().astype(np.float64),
        sequence().astype(">f4"),
        sequence()[:, ::-1],
        np.asfortranarray(sequence()),
        sequence().tolist(),
        list(sequence()),
        np.ma.masked_array(sequence()),
        {"y": sequence()},
        {"x": sequence(), "y": sequence()},
        {"x": sequence().tolist()},
        None,
    ],
    ids=lambda x: type(x).__name__,
)
def test_whatever_is_to_be_looked_at_is_unknown(x: object) -> None:
    assert known(sequence()).batch(x) is None


def test_models_that_mask_and_ids_are_always_looked_at() -> None:
    assert known(sequence(), mask_values=(0.0,)).batch(sequence()) is None
    described = signature(inputs=(InputSignature("x", (Name("time"),), integer=True, vocabulary=5),))
    ids, plain = np.zeros((2, 4), np.int32), ValidatedBatchCache(described)
    plain.keep(ids, check_inputs(described, ids).batch())
    assert plain.batch(ids) is None


def test_many_shapes_are_forgotten_and_large_ones_never_kept() -> None:
    plain = known(*(sequence(time=time) for time in range(1, MOST_SHAPES + 2)))
    assert plain.batch(sequence(time=1)) is None
    assert plain.batch(sequence(time=MOST_SHAPES + 1)) is not None
    assert known(sequence(time=2**18)).batch(sequence(time=2**18)) is None


def test_an_index_is_kept_for_its_sizes_or_says_that_it_is_not() -> None:
    def index(time: int) -> PackedIndex:
        return check_inputs(signature(dtype="float32"), sequence(time=time)).batch().indices[0]

    assert index(4).kept and index(4) is index(4)
    assert not index(2**18).kept
