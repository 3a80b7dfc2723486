"""The model that users hold: a compiled model that can be trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from rnnspec.contract.executable import Executable, UpdateCompiler
from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.sequence_loss import LossCompiler
from rnnspec.contract.signature import Config, Signature
from rnnspec.contract.thread_count import default_threads
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import caller_level
from rnnspec.locks import LLVM
from rnnspec.runtime.data.prefetch import awaiting_under
from rnnspec.runtime.data.sources import Batch
from rnnspec.runtime.data.validate import shows, whole_number
from rnnspec.runtime.model.random_streams import generator
from rnnspec.runtime.storage import model_file
from rnnspec.training.configuration import Beside, Configuration
from rnnspec.training.saved_model import LOSS_HELP
from rnnspec.training.scored_model import ScoredModel

if TYPE_CHECKING:
    from rnnspec.training.callbacks import Callback, History
    from rnnspec.training.choices import LossChoice, MetricChoice
    from rnnspec.training.feeds import Feed
    from rnnspec.training.loop import Trainer
    from rnnspec.training.optimizers import Optimizer
    from rnnspec.training.reports import Report
    from rnnspec.training.updates import Updates

Value = TypeVar("Value")

Restore: TypeAlias = Callable[[bytes, dict[str, Any]], "Model"]
"""A model from its file's bytes and from what is beside them, see `Beside.as_plain`; a function that pickle finds by its name."""


class Model(ScoredModel):
    """A compiled model with training.

    Loss, optimizer, metrics and the defaults of `fit` come from the spec's train section; `configure`
    replaces the first three. The optimizer keeps its state over calls of `fit` and `train_on_batch`.

    A model can be pickled and copied (`pickle`, `copy`, process pools). A copy is what `save` writes, with weights of its own, and
    goes on to the bit as a model that was saved and loaded does; `threads` and `tuning` are kept too. A loss, a metric, a schedule, a
    callback or an optimizer of one's own, which `save` can't write, goes along as pickle has it: it must be one that pickle finds by its
    name.
    """

    def __init__(
        self,
        signature: Signature,
        executable: Executable,
        source: ModelSource,
        *,
        seed: int | None = None,
        weights: Sequence[object] | Mapping[str, object] | None = None,
        compile_update: UpdateCompiler | None = None,
        compile_loss: LossCompiler | None = None,
        restore: Restore | None = None,
        storage: WeightStorage = WeightStorage.FULL,
    ) -> None:
        """`compile_update`: without it no part of an update waits until it is needed (see `Updates`). `compile_loss`: for losses of whole
        sequences. `restore`: for copies, which keep matrices as `storage` says."""
        self._restore = restore
        self._storage = None if storage is WeightStorage.FULL else storage.value
        self._chosen: Configuration | None = None
        super().__init__(signature, executable, source, seed=seed, weights=weights)
        self._outputs = [output.name for output in signature.outputs]
        self._compile_update = compile_update
        self._compile_loss = compile_loss
        self._updates: Updates | None = None
        self._mark = object()
        """By which an optimizer knows its model."""
        self._fitting = False
        self._is_set_up = False
        self._missing = ""
        """Losses of one's own with which the model was saved, and which it lacks now."""
        self.stop_training = False
        """Set by a callback, ends `fit` behind the batch or the epoch at hand, with the history kept."""
        self.history: History | None = None
        """The record of the last `fit`, also of one that was broken off."""
        train = signature.train
        if train.loss is not None or train.optimizer is not None:
            self._set_up()

    @property
    def weight_storage(self) -> str:
        """The elements in which inference keeps the matrices that it multiplies by, see `rnnspec.load`."""
        return self._storage or self.signature.dtype

    def _set_up(self) -> None:
        """Makes the trainer of the spec's train section; a model that never trains goes without it."""
        if self._is_set_up:
            return
        with LLVM:  # a fork waits for who imports, as in `rnnspec.api`
            from rnnspec.training import setup
        train = self.signature.train
        with self._changing:
            if self._is_set_up:  # by another thread, which may have trained since
                return
            self._penalties = setup.penalties(self.signature)
            self._configured = Configuration(
                None if train.loss is None else setup.losses_for(self._outputs, train.loss),
                setup.loss_weights_for(self._outputs, 1.0 if train.loss_weights is None else train.loss_weights),
                setup.metrics_for(self._outputs, train.metrics),
                setup.metrics_for(self._outputs, train.weighted_metrics, "weighted_metrics"),
                truncate=train.truncate,
                checkpoint=train.checkpoint,
                allow_nan=train.allow_nan,
                shards=train.shards,
            )
            self._trainer = self._trainer_for(self._configured)
            if train.optimizer is not None:
                self._set_optimizer(train.optimizer)
            self._is_set_up = True

    def configure(
        self,
        loss: LossChoice | Sequence[LossChoice | None] | Mapping[str, LossChoice | None] | None = None,
        optimizer: str | Config | Optimizer | None = None,
        metrics: Sequence[MetricChoice] | Mapping[str, MetricChoice] | None = None,
        loss_weights: float | Sequence[float] | Mapping[str, float] | None = None,
        weighted_metrics: Sequence[MetricChoice] | Mapping[str, MetricChoice] | None = None,
        truncate: int | None = None,
        checkpoint: int | None = None,
        allow_nan: bool | None = None,
        callbacks: Sequence[Callback] | None = None,
        shards: int | None = None,
    ) -> None:
        """Replaces the loss, the optimizer, the metrics or another setting of the spec's train section, as Keras's `compile`.

        argument          type                                     meaning                                                   default
        ----------------  ---------------------------------------  --------------------------------------------------------  ---------
        loss              name, `Loss`; list or dict by output     "mse", or an object of `rnnspec.losses`; the              unchanged
                                                                   spec's own by name; None for an output without a loss
        optimizer         name or `Optimizer`                      "Adam", or an object of `rnnspec.optimizers`, which        unchanged
                                                                   trains this model from now on; its state starts anew
        metrics           list of names; list or dict by output    "accuracy", or an object of `rnnspec.metrics`;            unchanged
                                                                   of all rows alike, whatever they weigh
        loss_weights      float; list or dict by output            factor of each loss in the sum that is trained            unchanged
        weighted_metrics  as `metrics`                             of rows by their weights, `sum(w * v) / sum(w)`; in       unchanged
                                                                   logs `weighted_` stands before one that is in `metrics`
        truncate          int from 0                               steps of a part of each sequence: gradients end there,    unchanged
                                                                   and weights are updated; 0: whole sequences
        checkpoint        int from 0                               steps between kept states: the gradient computes again    unchanged
                                                                   what lies between, in little memory; 0: all is kept
        allow_nan         bool                                     whether unmasked steps of inputs may have NaN or          unchanged
                                                                   infinity in training and evaluation
        callbacks         list of `Callback`                       objects of `rnnspec.callbacks` for every `fit` from now   unchanged
                                                                   on, in the place of the spec's; []: none
        shards            int from 1                               parts of a batch whose gradients are summed in one        unchanged
                                                                   order, on one process or several; 1: whole batches

        ValueError for an unknown name, or for a metric whose output has no loss or one with other targets, a model that `truncate`
        or `shards` isn't for, an optimizer of another model, or inside of `fit`; then nothing has changed.

        >>> import rnnspec
        >>> from rnnspec.optimizers import Adam
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> model.configure(loss="mse", optimizer=Adam(learning_rate=0.01), metrics=["mae"])
        """
        self._set_up()
        from rnnspec.training import setup

        given_optimizer = None if optimizer is None else setup.make_optimizer(optimizer)
        with self._changing:
            if self._fitting:
                raise ValueError("configure: a training is under way: set model.learning_rate, or settings of model.optimizer")
            chosen = self._configured
            if loss is not None:
                chosen = replace(chosen, losses=setup.losses_for(self._outputs, loss))
            if loss_weights is not None:
                chosen = replace(chosen, loss_weights=setup.loss_weights_for(self._outputs, loss_weights))
            if metrics is not None:
                chosen = replace(chosen, metrics=setup.metrics_for(self._outputs, metrics))
            if weighted_metrics is not None:
                chosen = replace(chosen, weighted_metrics=setup.metrics_for(self._outputs, weighted_metrics, "weighted_metrics"))
            if given_optimizer is not None:
                chosen = replace(chosen, optimizer=given_optimizer)
            if truncate is not None:
                chosen = replace(chosen, truncate=truncate)
            if checkpoint is not None:
                chosen = replace(chosen, checkpoint=whole_number("checkpoint", checkpoint, 0))
            if allow_nan is not None:
                chosen = replace(chosen, allow_nan=setup.true_or_false("allow_nan", allow_nan))
            if shards is not None:
                chosen = replace(chosen, shards=whole_number("shards", shards, 1))
            if callbacks is not None:
                chosen = replace(chosen, callbacks=setup.checked_callbacks(callbacks))
            trainer = self._trainer_for(chosen)
            if given_optimizer is not None:
                self._set_optimizer(given_optimizer)
            self._trainer = trainer
            self._configured = self._chosen = chosen

    def __reduce__(self) -> tuple[Restore, tuple[bytes, dict[str, Any]]]:
        if self._restore is None:
            raise TypeError("only models that rnnspec.compile or rnnspec.load gave can be copied or pickled")
        artifact, left_out = self.state_artifact(copied=True)
        threads = None if self.threads == default_threads() else self.threads
        configuration, optimizer = self._own_parts() if left_out else (None, None)
        beside = Beside(*self._randomness(), threads, self.tuning, configuration, optimizer, self._storage)
        return self._restore, (model_file.encode(artifact), beside.as_plain())

    def fit(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        validation_data: object = None,
        validation_split: float | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        verbose: bool | int = True,
        *,
        mask: object = None,
        lengths: object = None,
        sample_weight: object = None,
        class_weight: object = None,
        validation_mask: object = None,
        validation_lengths: object = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        initial_epoch: int = 0,
        allow_nan: bool | None = None,
        distributed: bool = False,
    ) -> History:
        """Trains for a number of epochs, as Keras's `fit`; `history` of the result has each epoch's loss and metrics by name.

        argument            shape, type                   meaning                                                          default
        ------------------  ----------------------------  ---------------------------------------------------------------  ----------
        x                   as for `forward`              inputs of n samples                                              required
                            iterable, callable, indexed   batches (x, y[, sample_weight]), without `y`: see docs/data.md   -
        y                   (n,) or (n, 1), int           targets of a loss over classes: class numbers                    required
                            (n, width), float             targets of any other loss; (n,) if the width is 1
                            (n, time, ...), or list       the same at each step of a sequence output
        batch_size          int from 1                    samples of an update                                             spec, 32
        epochs              int from 0                    passes over all samples                                          spec, 1
        validation_data     (x, y[, sample_weight])       samples to evaluate after each epoch, or what gives batches      None
        validation_split    float from 0 to below 1       fraction to evaluate instead of training on it: the last         spec, 0.0
                                                          samples, before shuffling; unused with `validation_data`
        shuffle             bool                          whether each epoch has an order of its own                       spec, True
        seed                int from 0                    source of order, dropout and noise; None: the model's stream     spec, None
        verbose             bool, or 0, 1, 2, "auto"      whether progress is shown; 2: a line an epoch, without a bar       True
        mask                as for `forward`              steps that count                                                 None
        lengths             as for `forward`              number of steps that count, from the start                       None
        sample_weight       (n,), (n, time), or list      factors of the loss, of samples or steps                         None
        class_weight        dict, or list of numbers      factors of the loss, by the class of a row's target, which       spec, None
                                                          multiply with `sample_weight`: `{1: 2.5}`, or one a class;
                                                          a class without one weighs 1
        validation_mask     as for `forward`              steps of `validation_data` that count                            None
        validation_lengths  as for `forward`              number of steps of `validation_data` that count                  None
        steps_per_epoch     int from 1                    batches of an epoch; None: all that x gives in one pass          None
        validation_steps    int from 1                    the same of `validation_data` that gives batches                 None
        callbacks           list of `Callback`            objects of `rnnspec.callbacks`, called on the way, in order,     None
                                                          behind those of `configure`, or new ones of those in the spec
        initial_epoch       int from 0                    epoch, from 0, to begin with: of a training that goes on         0
        allow_nan           bool                          whether unmasked steps of x may have NaN or infinity             spec, False
        distributed         bool                          whether this process is one of those of `mpiexec`, which train   False
                                                          the model together: see docs/distributed-training.md

        A default "spec, 32" is the setting of the spec's train section, or else 32. Of several outputs, `y`, `sample_weight` and
        `class_weight` are lists with an entry for each output that has a loss, or dicts by output name; None, or no name, is an output
        without weights; a single `sample_weight` is for all. A list of weights has one array of steps a sample. The class of a row of
        values is the place of the largest, of a single value the nearest whole number. The same seed, weights and optimizer state give
        the same bits. ValueError, before the first step, names the argument, sample, step, value and expectation;
        also for a model without a loss or an optimizer.

        A loss, a gradient or a weight that isn't finite ends the training before it reaches the weights, which stay those before its batch,
        with `rnnspec.diagnostics.NotFiniteWarning`: epoch, batch and weight. The hooks for the epoch's and the training's end are called,
        and `not_finite` of the result has the reason.

        >>> import numpy as np
        >>> import rnnspec
        >>> spec = "model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1)  train { loss = mse  optimizer = Adam() } }"
        >>> model = rnnspec.compile(spec, seed=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 5, 3))
        >>> history = model.fit(x, x.sum(axis=(1, 2)), epochs=3, validation_split=0.25, verbose=False)
        >>> list(history.history)
        ['loss', 'val_loss']
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
        """
        self._set_up()
        from rnnspec.training import setup

        exchange = setup.connected() if setup.true_or_false("distributed", distributed) else setup.ALONE
        # The lock is taken before anything is looked at: another thread may call `configure`.
        with setup.telling(exchange), self._changing, awaiting_under(self._changing):
            train = self.signature.train
            called = self._called(callbacks)
            begin = whole_number("initial_epoch", initial_epoch, 0)
            shuffled = setup.true_or_false("shuffle", _first(shuffle, train.shuffle, True))
            shown = (setup.progress(lines=verbose == 2),) if shows("verbose", verbose) else ()
            with self._classes.unless_refused():
                trainer, updates = self._ready()
                trainer = trainer.allowing(allow_nan).among(exchange)
                epochs = whole_number("epochs", _first(epochs, train.epochs, 1), 0)
                seed = train.seed if seed is None else whole_number("seed", seed, 0)
                feed, validation = setup.training_feeds(
                    partial(self._examples, trainer),
                    [each.rule for each in trainer.objectives],
                    setup.class_weights_for(trainer.objectives, class_weight, train.class_weight),
                    Batch(x, y, sample_weight, mask, lengths),
                    setup.held_out(validation_data, validation_mask, validation_lengths),
                    setup.cutting(batch_size, train.batch_size, epochs),
                    steps=steps_per_epoch,
                    validation_steps=validation_steps,
                    split=_first(validation_split, train.validation_split, 0.0),
                    shuffle=shuffled,
                )
                setup.check_states(self.signature, trainer.executable, feed, validation)
                history = setup.History()
                with self._drawing:
                    random = self._random if seed is None else generator(seed, "fit")
                fit = setup.Fit(trainer, updates, feed, epochs, random, validation)
                watching = setup.CallbackList((*called, history, *shown), self, fit.params | {"verbose": int(bool(shown))}, begin, random)
            setup.compare(fit, self.source, begin)
            if self.signature.moments:
                setup.tell_unadapted(self.signature, self._parameters.copy_of)
            self.history, self.stop_training = history, False
            outer, self._fitting = self._fitting, True
            try:
                fit.run(watching)
            finally:
                self._fitting = outer
        return history

    def evaluate(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        *,
        steps: int | None = None,
        sample_weight: object = None,
        mask: object = None,
        lengths: object = None,
        callbacks: Sequence[Callback] | None = None,
        allow_nan: bool | None = None,
        verbose: bool | int = False,
    ) -> dict[str, Any]:
        """The loss, penalties included, and the metrics by name: of all samples, or all unmasked steps of a sequence output.

        `x`, `y`, `batch_size`, `sample_weight`, `mask`, `lengths`, `callbacks`, `allow_nan` and errors as for `fit`; `steps` as
        `validation_steps`; no optimizer is needed. Class weights are of training alone. `verbose`: 1 or True shows a bar on a terminal
        and a line at the end, 2 the line alone. Values are floats, those of metrics with several numbers float64 arrays (numbers,).

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> model.configure(loss="mse", metrics=["mae"])
        >>> list(model.evaluate(np.ones((4, 5, 3)), np.ones((4, 1))))
        ['loss', 'mean_absolute_error']
        """
        trainer = self._loss_ready().allowing(allow_nan)
        from rnnspec.training import setup

        called = setup.checked_callbacks(callbacks)
        shown = (setup.evaluation(lines=verbose == 2),) if shows("verbose", verbose) else ()
        feed = self._evaluation_feed(trainer, Batch(x, y, sample_weight, mask, lengths), batch_size, steps)
        if not (called or shown):
            return trainer.evaluate(feed)
        params = {"epochs": 1, "steps": feed.batches, "verbose": int(bool(shown)), "metrics": setup.directions(trainer.objectives)}
        with setup.CallbackList((*called, *shown), self, params) as watching:
            return trainer.evaluate(feed, callbacks=watching)

    def report(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        *,
        steps: int | None = None,
        sample_weight: object = None,
        mask: object = None,
        lengths: object = None,
    ) -> Report:
        """An evaluation, and a report of each output with a loss: how often each class is taken for which, or the errors of values.

        Arguments and errors as for `evaluate`, whose values are the report's `results`. `outputs` of the report has, by the outputs' names,
        of classes the confusion matrix and each class's precision, recall, F1 and support, of values the mean absolute error, the root
        of the mean squared error and R² of each unit; see `rnnspec.training.reports`. The numbers are scikit-learn's, by the rows'
        weights; masked steps aren't rows. Printed, it is tables with four digits; `as_dict()` is as scikit-learn's with
        `output_dict=True`.

        A row is of the class of its largest value. Of one unit it is of class 1 above 0.5, or above 0 for a loss of logits or a hinge.
        With a binary crossentropy each of several units is a yes or no of its own; after the loss `crf` the likeliest classes of the
        whole sequence are taken. ValueError for the loss `ctc`, whose steps have no class, and for predictions of classes that are NaN.

        >>> import numpy as np
        >>> import rnnspec
        >>> spec = "model Tiny { input x: float[2]  Dense(2, activation = softmax)  train { loss = sparse_categorical_crossentropy } }"
        >>> model = rnnspec.compile(spec, weights=[np.eye(2), np.zeros(2)])
        >>> model.set_classes(["left", "right"])
        >>> report = model.report([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1])
        >>> print(report)
                      precision  recall  f1-score  support
        ------------  ---------  ------  --------  -------
        left             0.5000  1.0000    0.6667        1
        right            1.0000  0.5000    0.6667        2
        accuracy                           0.6667        3
        macro avg        0.7500  0.7500    0.6667        3
        weighted avg     0.8333  0.6667    0.6667        3
        <BLANKLINE>
        true, by predicted  left  right
        ------------------  ----  -----
        left                   1      0
        right                  1      1
        >>> report.outputs["dense"].confusion
        array([[1., 0.],
               [1., 1.]])
        """
        trainer = self._loss_ready()
        from rnnspec.training import reports

        feed = self._evaluation_feed(trainer, Batch(x, y, sample_weight, mask, lengths), batch_size, steps)
        return reports.reported(trainer, feed, self._classes.names)

    def _evaluation_feed(self, trainer: Trainer, data: Batch, batch_size: int | None, steps: int | None) -> Feed:
        from rnnspec.training import setup

        rules, cuts = [each.rule for each in trainer.objectives], setup.cutting(batch_size, self.signature.train.batch_size)
        feed = setup.feed_of(partial(self._examples, trainer), rules, data, cuts, steps)
        feed.check_samples(trainer.executable)
        return feed

    def _loss_ready(self) -> Trainer:
        self._set_up()
        from rnnspec.training import setup

        if self._trainer is None and self._missing:
            help_ = "its file can't hold it: call model.configure(loss=...) again"
            raise ValueError(f"model {self.signature.model} was saved with the loss {self._missing}; {help_}")
        if self._trainer is None:
            raise ValueError(f"model {self.signature.model} has no loss: {LOSS_HELP}")
        frozen = self._frozen_weights()
        if self._trainer.frozen != frozen:
            self._trainer = replace(self._trainer, frozen=frozen, penalties=setup.penalties(self.signature, frozen))
        return self._trainer

    def _ready(self) -> tuple[Trainer, Updates]:
        trainer = self._loss_ready()
        self.optimizer  # noqa: B018 - without one it is told
        assert self._updates is not None
        self._updates.freeze(trainer.frozen)
        if not trainer.trains:
            why = ": its layers are frozen" if trainer.frozen else ""
            warnings.warn(f"model {self.signature.model} has no weights that are trained{why}", stacklevel=caller_level())
        return trainer, self._updates

    def _take_configuration(self, chosen: Configuration, missing: str) -> None:
        self._trainer = self._trainer_for(chosen)
        self._configured = self._chosen = chosen
        self._missing = missing

    def _trainer_for(self, by: Configuration) -> Trainer | None:
        """None without a loss."""
        from rnnspec.training import setup

        if by.losses is None:
            setup.checked_truncate(self.signature, (), by.truncate)
            return None
        scores = by.losses, by.loss_weights, by.metrics, by.weighted_metrics
        trained = setup.objectives(self.signature.outputs, *scores, self._executable)
        truncate = setup.checked_truncate(self.signature, trained, by.truncate)
        native = setup.native_objective(trained)
        names = tuple(name for each in native for name in each.results) if native else tuple(self._outputs)
        sequences = setup.NativeLosses(self._compile_loss)
        settings = names, native, sequences, truncate, by.checkpoint or 0, bool(by.allow_nan)
        shards = setup.Shards(setup.checked_shards(self.signature, by.shards, truncate))
        places = self._executable, self._parameters, trained, self._penalties, self.signature.dtype
        return setup.Trainer(*places, *settings, shards=shards)

    def _set_optimizer(self, optimizer: str | Config | Optimizer) -> None:
        """Begins with an optimizer, without state; ValueError, nothing having changed, for one of another model."""
        from rnnspec.training import setup

        made = setup.make_optimizer(optimizer)
        before = None if self._updates is None else self._updates.optimizer
        made.check_weights([weight.name for weight in self._parameters.signatures])
        made.belong_to(self._mark)
        self._parameters.flush()
        self._updates = setup.Updates(made, self._parameters, self._compile_update, self.tuning)
        if before is not None and before is not made:
            before.release()


def _first(*choices: Value | None) -> Value:
    """The first that isn't None; the last must not be."""
    return next(choice for choice in choices if choice is not None)
