"""A model with the state of its training in its file, so that a training goes on to the bit after `load`."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.diagnostics import UnsavedWarning
from rnnspec.locks import LLVM
from rnnspec.runtime.data.class_names import threshold_of
from rnnspec.runtime.model.weights import PartialWeights
from rnnspec.runtime.native.stateful import StatefulExecutable
from rnnspec.runtime.storage import dataclass_json, model_file
from rnnspec.training.batch_calls import BatchCalls
from rnnspec.training.configuration import Beside, Configuration

if TYPE_CHECKING:
    from rnnspec.contract.signature import Config
    from rnnspec.training.callbacks import Callback
    from rnnspec.training.loop import Trainer
    from rnnspec.training.optimizers import Optimizer
    from rnnspec.training.schedules import LearningRateSchedule
    from rnnspec.training.updates import Updates

LOSS_HELP = "write `train { loss = mse  optimizer = Adam() }` in the spec, or call model.configure(loss=..., optimizer=...)"

_OPTIMIZER, _STATES, _RUN = "optimizer/", "states/", "run"


class SavedModel(BatchCalls):
    """A compiled model whose file has what `configure` set, the optimizer's state, the random numbers and the carried states."""

    _updates: Updates | None
    _chosen: Configuration | None
    _outputs: list[str]
    _trainer: Trainer | None

    @property
    def class_thresholds(self) -> Mapping[str, float]:
        """By output the value above which one unit is of class 1; it is that of the output's loss, as `configure` has it."""
        if self._chosen is None or self._trainer is None:
            return super().class_thresholds
        return dict.fromkeys(self._outputs, 0.5) | {each.output.name: threshold_of(each.loss) for each in self._trainer.objectives}

    def _called(self, given: object) -> tuple[Callback, ...]:
        """The callbacks of a fit: those that `configure` chose, or new ones of those in the spec, then the given ones."""
        from rnnspec.training import setup

        called = setup.checked_callbacks(given)
        chosen = self.signature.train.callbacks if self._chosen is None or self._chosen.callbacks is None else self._chosen.callbacks
        if not chosen:
            return called
        with LLVM:  # a fork waits for who imports
            from rnnspec.training import named_callbacks
        return setup.checked_callbacks((*named_callbacks.made_callbacks(chosen), *called))

    @abstractmethod
    def _set_up(self) -> None:
        """Makes the trainer of the spec's train section."""

    @abstractmethod
    def _set_optimizer(self, optimizer: str | Config | Optimizer) -> None:
        """Begins with an optimizer."""

    @abstractmethod
    def _take_configuration(self, chosen: Configuration, missing: str) -> None:
        """Takes what `configure` set. `missing`: losses of one's own that the file hasn't, in words."""

    def save(self, file: model_file.Target) -> None:
        """Writes the model to one file, `.rnnc`: spec, parameters, weights and the state of its training, without code.

        `rnnspec.load` reads it, and a training goes on to the bit: what `configure` set, the optimizer's state, where the streams of
        random numbers are, and the states of stateful layers are in it. A loss, a metric, a schedule, a callback or an optimizer of
        your own can't be written: a warning, `rnnspec.diagnostics.UnsavedWarning`, names it. `file`: a path, or an open binary file.
        OSError leaves an older file as it was. An older file's mode is kept.

        >>> import io
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> file = io.BytesIO()  # or a path, "tiny.rnnc"
        >>> model.save(file)
        >>> rnnspec.load(file.getvalue())
        <Model Tiny, float32, 393 weights>
        """
        artifact, left_out = self.state_artifact()
        if left_out:
            what = ", ".join(left_out)
            advice = "after loading, give it to model.configure again"
            warnings.warn(UnsavedWarning(f"{what} can't be written to a model's file: {advice}"), stacklevel=2)
        model_file.save(artifact, file)

    def state_artifact(self, run: Any = None, *, copied: bool = False) -> tuple[model_file.Artifact, tuple[str, ...]]:
        """The contents of the model's file, of one moment, and what can't be written, in words.

        `run`: plain data of a checkpoint. `copied`: an optimizer that can't be written goes along, so that its state is kept.
        """
        plain = super()._artifact()
        seed, random = self._randomness()
        carried = self.carried_states
        frozen = None if self._frozen == frozenset(self.signature.frozen) else tuple(sorted(self._frozen))
        idle = random is None and not carried and run is None and frozen is None
        if self._updates is None and self._chosen is None and idle:
            return plain, ()
        from rnnspec.training import saved_training

        updates = self._updates

        def both(flat: Array, _: int) -> tuple[Array, dict[str, Array]]:
            states = {} if updates is None else {name: np.array(value) for name, value in updates.optimizer.states().items()}
            return flat.copy(), states

        flat, states = self._parameters.read(both)
        configuration, left_out = (None, ()) if self._chosen is None else saved_training.saved_configuration(self._chosen)
        optimizer, more = (None, ()) if updates is None else saved_training.optimizer_config(updates.optimizer)
        left_out = (*left_out, *more)
        stays = optimizer is not None or run is not None or copied
        arrays = {f"{_OPTIMIZER}{name}": value for name, value in states.items() if stays}
        arrays |= {f"{_STATES}{name}": value for name, value in carried.items()}
        trained = updates is not None and (updates.optimizer.batches > 0 or self._chosen is not None or self._has_new_settings)
        if not trained and configuration is None and idle:
            return plain, ()
        saved = saved_training.SavedTraining(
            seed,
            saved_training.text_of(random),
            configuration,
            optimizer,
            saved_training.text_of(saved_training.apart(run, _RUN, arrays)),
            frozen,
        )
        training = dataclass_json.to_json(saved)
        weights = self._parameters.split(flat)
        return (
            model_file.Artifact(plain.name, plain.text, plain.parameters, plain.dtype, weights, plain.texts, training, arrays),
            left_out,
        )

    @property
    def carried_states(self) -> Mapping[str, Array]:
        """Copies of the states that the next call of a stateful model goes on from, by name; empty before its first call."""
        return self._executable.states if isinstance(self._executable, StatefulExecutable) else {}

    def save_weights(self, file: str | os.PathLike[str]) -> None:
        """Writes the weights alone, under their names, to a `.safetensors` file; an older one stays until the new one is whole.

        ValueError for another ending, OSError for a file that can't be written.

        >>> import tempfile
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8, name = \\"encoder\\")  Dense(1) }", seed=1)
        >>> other = rnnspec.compile("model Other { input x: float[time, 3]  LSTM(8, name = \\"encoder\\")  Dense(2) }", seed=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_weights(folder + "/tiny.safetensors")
        ...     told = other.load_weights(folder + "/tiny.safetensors", strict=False)
        >>> told.taken
        ('encoder/kernel', 'encoder/recurrent_kernel', 'encoder/bias')
        >>> told.misfits
        {'dense/kernel': (8, 1), 'dense/bias': (1,)}
        """
        with LLVM:  # a fork waits for who imports
            from rnnspec.contract.written_paths import CHECKPOINT_ENDINGS
            from rnnspec.interop.safetensors import write_weights
        ending = CHECKPOINT_ENDINGS[1]
        if not os.fspath(file).endswith(ending):
            raise ValueError(f"save_weights: expected a name that ends in {ending}, got {os.fspath(file)!r}; `save` writes a whole model")
        write_weights(file, self._parameters.copies())

    @overload
    def load_weights(self, file: str | os.PathLike[str], *, strict: Literal[True] = True) -> None: ...

    @overload
    def load_weights(self, file: str | os.PathLike[str], *, strict: Literal[False]) -> PartialWeights: ...

    def load_weights(self, file: str | os.PathLike[str], *, strict: bool = True) -> PartialWeights | None:
        """Takes the weights of a file that `save_weights` wrote, or of a model's, `.rnnc`, by their names.

        `strict` as for `set_weights`: False takes what there is under a name and in the shape of the model's, and returns what it took, and
        what not. OSError for a file that can't be read, ValueError for one of something else, and for weights that don't fit; then nothing
        has changed. Only weights are taken, of a model's file no state of its training.
        """
        with LLVM:  # a fork waits for who imports
            from rnnspec.interop.safetensors import read_weights
        name = os.fspath(file)
        weights = model_file.load(file).weights if name.endswith(".rnnc") else read_weights(file)
        try:
            return self.set_weights(weights) if strict else self.set_weights(weights, strict=False)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def _own_parts(self) -> tuple[Configuration | None, Optimizer | None]:
        """What `configure` set and the optimizer without its state, where something of them can't be written to a file."""
        from rnnspec.training import saved_training

        chosen, updates = self._chosen, self._updates
        with_own = chosen is not None and bool(saved_training.saved_configuration(chosen)[1])
        own_rule = updates is not None and bool(saved_training.optimizer_config(updates.optimizer)[1])
        given = replace(chosen, optimizer=None) if chosen is not None and with_own else None
        return given, updates.optimizer.fresh() if updates is not None and own_rule else None

    def take_beside(self, beside: Beside) -> None:
        """Takes what a copy has beside its file, once the model has taken the file's state."""
        self._set_randomness(beside.seed, beside.random)
        if beside.threads is not None:
            self.threads = beside.threads

    def take_training(self, saved: model_file.Artifact, *, running: bool = False, beside: Beside | None = None) -> Any:
        """Goes on from a file's state; the `run` of a checkpoint, None of any other file. ValueError for a state that doesn't fit.

        `running`: in a training with its own loss, metrics and optimizer, which stay; the optimizer takes the settings and the state.
        `beside`: of a copy, with the parts that the file couldn't hold.
        """
        if not saved.training:
            return None
        self._set_up()
        from rnnspec.training import saved_training

        found = dataclass_json.from_json(saved_training.SavedTraining, saved.training)
        with self._changing:
            self._set_randomness(found.seed, saved_training.read_text(found.random))
            if beside is not None and beside.configuration is not None:
                self._take_configuration(beside.configuration, "")
            elif (chosen := found.configuration) is not None and not running:
                fields = saved_training.configuration_of(chosen, self._outputs)
                self._take_configuration(Configuration(**fields), ", ".join(chosen.own_losses))
            if not running:
                self._take_frozen(self.signature.frozen if found.frozen is None else found.frozen)
            if beside is not None and beside.optimizer is not None:
                self._set_optimizer(beside.optimizer)
            elif found.optimizer is not None:
                current = None if self._updates is None else self._updates.optimizer
                if not running:
                    if current is None or saved_training.optimizer_config(current)[0] != found.optimizer:
                        self._set_optimizer(found.optimizer)
                elif current is None or type(current).__name__ != found.optimizer.name:
                    raise ValueError(f"it is of a training by {found.optimizer.name}, this one has another optimizer")
                else:
                    saved_training.set_settings(current, found.optimizer)
            self._restore_arrays(saved.arrays, own=found.optimizer is None)
            return saved_training.together(saved_training.read_text(found.run), saved.arrays)

    def _restore_arrays(self, arrays: Mapping[str, Array], *, own: bool) -> None:
        """`own`: the optimizer that they are of couldn't be written, and may have left no state."""
        states = {name.removeprefix(_OPTIMIZER): value for name, value in arrays.items() if name.startswith(_OPTIMIZER)}
        if self._updates is not None and (states or not own):
            optimizer = self._updates.optimizer
            self._parameters.change(lambda _: optimizer.restore(states))
        states = {name.removeprefix(_STATES): value for name, value in arrays.items() if name.startswith(_STATES)}
        if isinstance(self._executable, StatefulExecutable):
            self._executable.set_states(states)
        elif states:
            raise ValueError("the file has states, and the model isn't stateful")

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that trains the model; its settings may be changed at any time. ValueError for a model without one."""
        self._set_up()
        if self._updates is None:
            raise ValueError(f"model {self.signature.model} has no optimizer: {LOSS_HELP}")
        return self._updates.optimizer

    @property
    def learning_rate(self) -> float:
        """The rate of the next update; a new one, or a schedule, acts from then on, also inside of `fit`.

        ValueError for a model without an optimizer, and for a number where a schedule sets the rate.
        """
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float | LearningRateSchedule) -> None:
        self.optimizer.learning_rate = rate

    @property
    def _has_new_settings(self) -> bool:
        """Whether the optimizer's settings are others than those in the spec."""
        given = self.signature.train.optimizer
        if self._updates is None or given is None:
            return False
        from rnnspec.training.settings import make_optimizer

        return make_optimizer(given).settings() != self._updates.optimizer.settings()

    @property
    def iterations(self) -> int:
        """The number of updates that the optimizer has made; 0 without an optimizer."""
        return 0 if self._updates is None else self._updates.optimizer.iterations
