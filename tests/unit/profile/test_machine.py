"""The machine's rates: that they are measured and used, not how large they are."""

from __future__ import annotations

import pytest

from rnnspec.backend.llvm_cpu.math import FUNCTIONS
from rnnspec.ir.elementwise import ELEMENTARY
from rnnspec.ir.types import DType
from rnnspec.profile.machine import SIZES, Rates, measure


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
def test_every_rate_is_measured(dtype: DType) -> None:
    rates = measure(dtype)
    assert rates.peak > 0
    assert tuple(rates.reading) == SIZES
    assert rates.elementary.keys() == {kind.value for kind in ELEMENTARY}
    assert all(rate > 0 for rate in (*rates.reading.values(), *rates.elementary.values(), rates.ticks))


def test_what_is_counted_as_elementary_is_what_has_a_function() -> None:
    assert {kind.value for kind in ELEMENTARY} == FUNCTIONS.keys()


def test_a_buffer_is_read_at_the_rate_of_the_next_size() -> None:
    rates = Rates(1.0, {16: 4.0, 64: 2.0, 256: 1.0}, {}, 1.0)
    assert [rates.reading_of(size) for size in (0, 16, 17, 64, 256, 1000)] == [4.0, 4.0, 2.0, 2.0, 1.0, 1.0]
