"""Specs that nobody wrote before: what is accepted compiles, runs, differentiates and agrees with its oracles; what isn't is told where.

A few dozen in every run; `make fuzz` draws FUZZ_MODELS of each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.model.lower import Precision
from rnnspec.frontend.syntax.standard_library import NAMES
from tests.property.agreement import check_damaged, check_model
from tests.property.bounds import FUZZ, bounded
from tests.property.damage import damaged_models
from tests.property.drawn_model import DrawnModel
from tests.property.layers import ENTRIES
from tests.property.models import drawn_models

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")

MODELS = int(os.environ.get("FUZZ_MODELS", "20"))
DAMAGED = MODELS if FUZZ else 50

PRECISIONS: tuple[Precision, ...] = ("float64", "float64", "float32")
counts: Counter[str] = Counter()
slowly = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Says how many specs ran, in a long run."""
    yield
    manager = request.config.pluginmanager
    reporter, capture = manager.getplugin("terminalreporter"), manager.getplugin("capturemanager")
    if FUZZ and reporter is not None and capture is not None:
        with capture.global_and_fixture_disabled():
            reporter.write_line("")
            for what, count in sorted(counts.items()):
                reporter.write_line(f"{what}: {count}")


@settings(slowly, max_examples=MODELS)
@given(drawn_models(), st.sampled_from(PRECISIONS), st.booleans(), st.integers(0, 3))
def test_what_is_accepted_agrees_with_its_oracles(drawn: DrawnModel, dtype: Precision, training: bool, quarter: int) -> None:
    """A spec that was drawn to be right is accepted. Some are held to more: see `check_agreement`."""
    with bounded(drawn):
        outcome = check_model(drawn, dtype=dtype, training=training, thorough=quarter == 3)
    counts[f"drawn models that were {outcome}"] += 1


@settings(slowly, max_examples=DAMAGED)
@given(damaged_models(), st.booleans())
def test_a_damaged_spec_is_told_where_or_works(drawn: DrawnModel, compiled: bool) -> None:
    with bounded(drawn):
        outcome = check_damaged(drawn, compiled=compiled and FUZZ)
    counts[f"damaged specs that were {outcome}"] += 1


def test_every_layer_is_drawn() -> None:
    assert set(ENTRIES) - {"Drawn"} <= {*LAYERS, "LSTM", "GRU", "SimpleRNN"}
    assert set(LAYERS) <= set(ENTRIES)
    assert len(NAMES) == 3, "a cell of the library that the table doesn't know"
