"""The test set of `rnnspec train`, looked at before the first step."""

from __future__ import annotations

from rnnspec.cli.data import examples_of
from rnnspec.datafiles.places import placed
from rnnspec.datafiles.sets import DataSet
from rnnspec.training.callbacks import Callback, Logs


class LooksAtTest(Callback):
    """Checks a set when a training is about to begin: then what `fit` takes has been checked, and the names of classes are known."""

    def __init__(self, test: DataSet) -> None:
        self._test = test

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """ValueError, with its place, for what `evaluate` would refuse."""
        with placed(self._test.origin):
            self.model.check_examples(**examples_of(self._test))
