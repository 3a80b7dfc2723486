"""A model as a function of partitions, for engines that score more than one machine's memory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rnnspec.locks import LLVM
from rnnspec.training.saved_model import SavedModel

if TYPE_CHECKING:
    from rnnspec.scorer import Scorer

Columns = Mapping[str, str | Sequence[str]]

_AS_CALLED: Columns = MappingProxyType({})


class ScoredModel(SavedModel):
    """A compiled model that gives the predictions of partitions."""

    def scorer(self, *, columns: Columns = _AS_CALLED, ids: str | Sequence[str] = ()) -> Scorer:
        """A function of a part of a table that gives its predictions, for Dask, Ray Data, Spark or a loop of one's own.

        argument  type                   meaning                                                                   default
        --------  ---------------------  ------------------------------------------------------------------------  -------
        columns   dict                   the column, or columns side by side, of an input, or of `length`, `mask`  by name
        ids       str or list of str     columns to keep in front of the predictions                               none

        The function takes a pandas DataFrame, a dict of numpy arrays or a list of dicts, and gives the same kind, in the same order; a
        DataFrame keeps its index. A column of the result is called as an output, and has a number for each sample, a list of numbers, or
        of a sequence a list with one of these for each real step; `name.class` has names of classes. Columns that aren't an input's are
        left aside. `scorer.map_in_pandas` is for Spark's `DataFrame.mapInPandas`. ValueError for columns that the model doesn't have, and
        for a stateful model.

        The function pickles as the model's file: each process makes the model once. No score depends on the partition that it is in.

        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> score = model.scorer(columns={"x": "series"}, ids="name")
        >>> [sorted(row) for row in score([{"name": "a", "series": [[1, 2, 3], [4, 5, 6]]}])]
        [['dense', 'name']]
        """
        with LLVM:  # a fork waits for who imports
            from rnnspec.scorer import Scorer

        return Scorer(self, columns=columns, ids=ids)

    def map_partitions(self, collection: Any, *, columns: Columns = _AS_CALLED, ids: str | Sequence[str] = ()) -> Any:
        """The predictions of a Dask DataFrame, as a DataFrame, or of a Dask Bag of dicts, as a Bag; lazy, as all of Dask's.

        `columns`, `ids` and the columns of the result as for `scorer`. TypeError for anything else.
        """
        score = self.scorer(columns=columns, ids=ids)
        if not hasattr(collection, "map_partitions"):
            raise TypeError(f"expected a DataFrame or a Bag of Dask, got {type(collection).__name__}")
        if hasattr(collection, "_meta"):
            return collection.map_partitions(score, meta=score(collection._meta))
        return collection.map_partitions(score)

    def map_batches(self, dataset: Any, *, columns: Columns = _AS_CALLED, ids: str | Sequence[str] = (), **options: Any) -> Any:
        """The predictions of a Ray Dataset, as a Dataset; lazy, as all of Ray Data's.

        `columns`, `ids` and the columns of the result as for `scorer`; `options`: further ones of Ray's `Dataset.map_batches`, such as
        `batch_size`. TypeError for anything else.
        """
        score = self.scorer(columns=columns, ids=ids)
        if not hasattr(dataset, "map_batches"):
            raise TypeError(f"expected a Dataset of Ray, got {type(dataset).__name__}")
        return dataset.map_batches(score.__call__, **{"batch_format": "pandas", **options})
