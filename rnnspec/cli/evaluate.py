"""`rnnspec evaluate`."""

from __future__ import annotations

from rnnspec.cli.options import ArtifactPath, DataPath


def evaluate(model: ArtifactPath, data: DataPath) -> None:
    """Print a model's loss and metrics on the test set of the data, or on all of it if it has no sets."""
    from rnnspec import api
    from rnnspec.cli.data import open_data, with_targets
    from rnnspec.cli.results import print_results

    loaded = api.load(model)
    file = open_data(data, loaded.signature)
    test = with_targets(file, file.for_testing, loaded.signature)
    print_results("test", loaded.evaluate(test.x, test.y, sample_weight=test.weights, mask=test.mask, lengths=test.lengths))
