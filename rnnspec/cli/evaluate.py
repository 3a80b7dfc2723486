"""`rnnspec evaluate`."""

from __future__ import annotations

from rnnspec import kept
from rnnspec.cli.console import print_results
from rnnspec.cli.options import ArtifactPath, DataPath
from rnnspec.training.data import load_data


def evaluate(model: ArtifactPath, data: DataPath) -> None:
    """Print a model's loss and metrics on the test set of the data, or on all of it if it has no sets."""
    loaded = kept.load(model)
    test = load_data(data).for_testing
    print_results("test", loaded.evaluate(test.x, test.y, mask=test.mask))
