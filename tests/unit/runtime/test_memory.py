"""Weights that don't fit into the machine are refused before they are made."""

from __future__ import annotations

import numpy as np
import pytest

from rnnspec.contract.signature import WeightSignature
from rnnspec.runtime.model import memory_check
from tests.unit.runtime.fake import model, signature

WEIGHTS = (WeightSignature("a", (3, 4), ()), WeightSignature("b", (5,), ()))


def test_bytes_of_drawn_and_of_given_weights() -> None:
    """17 elements: the flat array, the checked values, the drawn ones in float64; three more float64 for the largest at work."""
    assert memory_check.bytes_for(WEIGHTS, 4, drawn=False) == 17 * (4 + 4)
    assert memory_check.bytes_for(WEIGHTS, 4, drawn=True) == 17 * (4 + 4 + 8) + 12 * 3 * 8
    assert memory_check.bytes_for((), 4, drawn=True) == 0


def test_the_limit_is_the_machine_s_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    itemsize = np.dtype(signature().dtype).itemsize
    needed = memory_check.bytes_for(signature().weights, itemsize, drawn=True)
    monkeypatch.setattr(memory_check, "physical_memory", lambda: needed)
    model()
    monkeypatch.setattr(memory_check, "physical_memory", lambda: needed - 1)
    with pytest.raises(MemoryError, match=r"^model \w+: making its \d+ weights takes about 0\.0 GiB, this machine has 0\.0 GiB$"):
        model()


def test_a_system_that_does_not_say_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "physical_memory", lambda: None)
    model()


def test_the_machine_says() -> None:
    found = memory_check.physical_memory()
    assert found is None or found > 2**26
