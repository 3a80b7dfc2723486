"""Every activation, initializer, regularizer and constraint of Keras 3.15 is here by its name, or refused with a reason."""

from __future__ import annotations

import json

import pytest

from rnnspec.frontend.catalogue import FAMILIES, REFUSALS
from rnnspec.frontend.kinds import Family
from tests.keras_cases import FOLDER

NAMES: dict[str, list[str]] = json.loads((FOLDER / "names.json").read_text(encoding="utf-8"))
"""By Keras's module, as `tests/fixtures/keras/make_fixtures.py` found them."""


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_known_or_refused(module: str) -> None:
    family = Family(module.removesuffix("s"))
    known, refused = FAMILIES[family].keys(), REFUSALS.get(family, {}).keys()
    assert set(NAMES[module]) - known - refused == set()
    assert known & refused == set()
    assert refused <= set(NAMES[module])
    assert len(NAMES[module]) >= 8
