"""Training and evaluation on one batch, for a training loop of one's own."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal, overload

from rnnspec.diagnostics import NotFiniteWarning
from rnnspec.runtime.data.batches import ALL_ROWS
from rnnspec.runtime.data.sources import Batch
from rnnspec.training.layers import LayeredModel

if TYPE_CHECKING:
    from rnnspec.training.examples import Examples
    from rnnspec.training.loop import Trainer
    from rnnspec.training.updates import Updates


class BatchCalls(LayeredModel):
    """A compiled model whose subclass has a loss and an optimizer."""

    @abstractmethod
    def _loss_ready(self) -> Trainer:
        """The trainer; ValueError without a loss."""

    @abstractmethod
    def _ready(self) -> tuple[Trainer, Updates]:
        """The trainer and the updates; ValueError without a loss or an optimizer."""

    @overload
    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        return_dict: Literal[False] = False,
        *,
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> float | list[Any]: ...

    @overload
    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        *,
        return_dict: Literal[True],
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> dict[str, Any]: ...

    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: object = None,
        return_dict: bool = False,
        *,
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> float | list[Any] | dict[str, Any]:
        """One update on all samples at once, as Keras's `train_on_batch`; returns the loss and the metrics before the update.

        With `truncate` it is an update on each part of the sequences. `x`, `y`, `sample_weight`, `class_weight`, `mask`, `lengths`,
        `allow_nan` and errors as for `fit`; an update that would spoil the weights isn't made here either, which a warning tells. The loss,
        penalties included, and the metrics are means over this batch alone. They are a dict by name with `return_dict`. Else the loss alone
        is a float; with metrics or several losses they are a list: the loss, each output's own, the metrics, the weighted metrics; for a
        model with several outputs all metrics in the order of the alphabet.

        >>> import numpy as np
        >>> import rnnspec
        >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = SGD() } }"
        >>> model = rnnspec.compile(spec, seed=1)
        >>> x, y = np.ones((4, 5, 3)), np.ones((4, 1))
        >>> first, second = model.train_on_batch(x, y), model.train_on_batch(x, y)
        >>> second < first
        True
        """
        from rnnspec.training import setup

        as_dict = setup.true_or_false("return_dict", return_dict)
        with self._changing:
            trainer, updates = self._ready()
            trainer = trainer.allowing(allow_nan)
            examples = self._examples(trainer, Batch(x, y, sample_weight, mask, lengths), at_once=True)
            of_classes = setup.class_weights_for(trainer.objectives, class_weight, self.signature.train.class_weight)
            examples = examples.weighted_by_class(of_classes)
            totals = setup.Totals(trainer.objectives, trainer.executable)
            try:
                trainer.train(examples, ALL_ROWS, updates, self._draw_key, totals)
            except setup.NotFinite as found:
                warnings.warn(f"no update was made: {found}", NotFiniteWarning, stacklevel=2)
        return totals.logs() if as_dict else setup.batch_values(trainer.objectives, totals.logs())

    @overload
    def test_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        return_dict: Literal[False] = False,
        *,
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> float | list[Any]: ...

    @overload
    def test_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        *,
        return_dict: Literal[True],
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> dict[str, Any]: ...

    def test_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        return_dict: bool = False,
        *,
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> float | list[Any] | dict[str, Any]:
        """The loss and the metrics of all samples at once, as Keras's `test_on_batch`; the form as of `train_on_batch`.

        `x`, `y`, `sample_weight`, `mask`, `lengths`, `allow_nan` and errors as for `fit`; no optimizer is needed.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> model.configure(loss="mse", metrics=["mae"])
        >>> x, y = np.ones((4, 5, 3)), np.ones((4, 1))
        >>> loss, error = model.test_on_batch(x, y)
        >>> model.test_on_batch(x, y, return_dict=True) == {"loss": loss, "mean_absolute_error": error}
        True
        """
        trainer = self._loss_ready().allowing(allow_nan)
        from rnnspec.training import setup

        as_dict = setup.true_or_false("return_dict", return_dict)
        examples = self._examples(trainer, Batch(x, y, sample_weight, mask, lengths), at_once=True)
        logs = trainer.evaluate(setup.ArrayFeed(examples, range(examples.samples), examples.samples))
        return logs if as_dict else setup.batch_values(trainer.objectives, logs)

    def check_examples(
        self,
        x: object,
        y: object = None,
        *,
        sample_weight: object = None,
        mask: object = None,
        lengths: object = None,
        allow_nan: bool | None = None,
    ) -> None:
        """ValueError for arrays that `fit` and `evaluate` would refuse; nothing is computed. Arguments as for `evaluate`.

        What is wrong in one sample is a `rnnspec.runtime.data.sample_errors.SampleError`, whose fields have its place.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse } }", seed=1)
        >>> model.check_examples(np.ones((4, 5, 3)), [0.0, 1.0, np.nan, 0.0])
        Traceback (most recent call last):
            ...
        rnnspec.runtime.data.sample_errors.SampleError: targets, sample 2, feature 0: expected a finite float32, got nan
        """
        trainer = self._loss_ready().allowing(allow_nan)
        self._examples(trainer, Batch(x, y, sample_weight, mask, lengths))

    def _examples(self, trainer: Trainer, data: Batch, *, at_once: bool = False) -> Examples:
        from rnnspec.training import setup

        inputs = self._checked(data.x, data.mask, data.lengths, at_once=at_once)
        if not inputs.samples:
            raise ValueError("there are no samples to train or evaluate on")
        if not trainer.allow_nan:
            setup.refuse_not_finite(self.signature.inputs, inputs)
        with self._classes.unless_refused():
            return setup.check_examples(inputs, trainer.objectives, self.signature.dtype, data.y, data.sample_weight, self._classes)
