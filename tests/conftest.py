"""Options that the tests share."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests.quick_code import make_code_quickly
from tests.thorough import ALL

settings.register_profile("rnnspec", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.register_profile("shrink", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("rnnspec")
"""The same examples in every run, and no shrinking: an example that compiles costs a second. `--hypothesis-profile shrink` shrinks;
`fuzz` (see `make fuzz`) draws others in every run, and shrinks."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite golden files instead of comparing with them")


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore interrupts
    config.addinivalue_line("markers", "every(n): of so many cases of a test `make test` takes one; `make test-all` takes all")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Searches for garbage needn't go through the tests themselves."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every n-th case of the tests that say so, one further along in each group of n: of stacked parameters, other values each time."""
    if ALL:
        return
    seen: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        mark = item.get_closest_marker("every")
        if mark is None:
            kept.append(item)
            continue
        (size,) = mark.args
        test = item.nodeid.partition("[")[0]
        number = seen[test]
        seen[test] += 1
        (left if (number - number // size) % size else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--regenerate"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled objects of a run stay in the run, for all its workers: neither read from nor left in the user's cache.

    Tests of several threads say how many; for the others half of the code needn't be compiled. What is compiled is compiled quickly.
    Processes that tests start keep what Python compiles of their modules, as they do for a user.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("RNNSPEC_THREADS", "1")
        base = tmp_path_factory.getbasetemp()
        patch.setenv("RNNSPEC_CACHE", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
        if not ALL:
            make_code_quickly(patch)
        yield
