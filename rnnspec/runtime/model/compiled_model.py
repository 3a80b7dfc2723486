"""A compiled model in its user's hands: forward, backward, weights, predictions, its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from rnnspec.contract.executable import Array, CallRequest, Executable, NativeTape
from rnnspec.contract.model_source import ModelSource, summary_text
from rnnspec.contract.signature import Signature, frozen_weights
from rnnspec.contract.thread_count import bounded
from rnnspec.contract.tuning import Tuning, checked_tuning
from rnnspec.locks import Lock, cached_property, new_lock, renewed_after_fork
from rnnspec.runtime.data.batches import CallBatch, CheckedInputs, Mask
from rnnspec.runtime.data.class_names import ClassNames, chosen, counted_steps, of_real_steps, refuse_without_class, texts_of, threshold_of
from rnnspec.runtime.data.dropped_masks import DroppedMasks
from rnnspec.runtime.data.prefetch import refuse_if_awaited
from rnnspec.runtime.data.sources import Batch, Source, source_of
from rnnspec.runtime.data.texts import TextInputs
from rnnspec.runtime.data.validate import check_inputs, shows, whole_number
from rnnspec.runtime.model.call_cache import CallCache
from rnnspec.runtime.model.initializers import initial_value
from rnnspec.runtime.model.learning import Learning
from rnnspec.runtime.model.memory_check import require_memory
from rnnspec.runtime.model.predictions import MOST_ROWS, counted, predicted, rows_at_once
from rnnspec.runtime.model.random_streams import draw_key, fresh_seed, generator, unlocked
from rnnspec.runtime.model.stream import Stream
from rnnspec.runtime.model.tape import Gradients, Tape
from rnnspec.runtime.model.weights import Parameters, PartialWeights, WeightView, checked_weights, fitting_weights
from rnnspec.runtime.native.stateful import StatefulExecutable
from rnnspec.runtime.storage import model_file

Outputs: TypeAlias = Any
"""The model's output, an array; a tuple of them, in the signature's order, if it has several."""


class CompiledModel(Learning):
    """Native code with its weights, callable from several threads; `training.model.Model` adds training.

    Inputs are as `check_inputs` describes: a padded array, a list of arrays of different lengths, or a
    mapping from input names. An array that is C-contiguous and of the model's dtype isn't copied.
    An empty batch, sequences of no steps and rows without a real step are legal in all methods, and
    go through native code like any others.
    """

    def __init__(
        self,
        signature: Signature,
        executable: Executable,
        source: ModelSource,
        *,
        seed: int | None = None,
        weights: Sequence[object] | Mapping[str, object] | None = None,
    ) -> None:
        """`weights` as for `set_weights`; None draws them from `seed`, and that from the system if it is None.

        MemoryError if they don't fit into the machine.
        """
        self.signature = signature
        self.source = source
        self._executable = executable
        self._frozen = frozenset(signature.frozen)
        """The names of layers that aren't trained, nor what is in them."""
        self._dropped_masks = DroppedMasks(signature)
        self._texts = TextInputs(signature)
        self._classes = ClassNames(signature)
        require_memory(signature, drawn=weights is None)
        self._parameters = Parameters(signature.weights, signature.dtype)
        self._calls = CallCache(signature, executable, self._parameters)
        self.renew_locks()
        renewed_after_fork(self)
        self._seed = fresh_seed() if seed is None else whole_number("seed", seed, 0)
        drawn = {weight.name: initial_value(weight, self._seed) for weight in signature.weights} if weights is None else weights
        self.set_weights(drawn)

    def renew_locks(self) -> None:
        """Makes the locks anew, in a fork's child: the other threads, which may have held them, are gone."""
        self._change_lock = new_lock()
        self._drawing = new_lock()
        if "_random" in self.__dict__:
            self.__dict__["_random"] = unlocked(self._random)

    @property
    def _changing(self) -> Lock:
        """Held by who changes the weights by what they were; RuntimeError in a thread that the holder waits for."""
        refuse_if_awaited(self._change_lock)
        return self._change_lock

    @cached_property
    def _random(self) -> np.random.Generator:
        """Made, under `_drawing`, when it is first needed: numpy.random isn't imported for a model that draws nothing."""
        return generator(self._seed, "dropout and shuffling")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.signature.model}, {self.signature.dtype}, {self._parameters.size:,} weights>"

    @overload
    def forward(
        self, x: object, mask: object = None, lengths: object = None, training: bool = False, record: Literal[False] = False
    ) -> Outputs: ...

    @overload
    def forward(
        self, x: object, mask: object = None, lengths: object = None, training: bool = False, *, record: Literal[True]
    ) -> tuple[Outputs, Tape]: ...

    @overload
    def forward(self, x: object, mask: object = None, lengths: object = None, training: bool = False, record: bool = False) -> Outputs: ...

    def forward(self, x: object, mask: object = None, lengths: object = None, training: bool = False, record: bool = False) -> Outputs:
        """The output of a batch, padded and newly allocated; with `record` also the tape for `backward`.

        argument  shape, type                      meaning                                                       default
        --------  -------------------------------  ------------------------------------------------------------  --------
        x         (batch, ...), or list of arrays  padded input, or samples of different lengths; dict by input  required
        mask      (batch, time), bool or 0 and 1   True or 1 for a step that counts; dict by input               None
        lengths   (batch,), int                    number of steps that count, from the start; dict by input     None
        training  bool                             dropout, noise and BatchNormalization as in training          False
        record    bool                             whether (output, tape) is returned                            False

        A model with several outputs returns a tuple of them. A call in training also moves the statistics of BatchNormalization.
        ValueError for a bad input names its place, its value and the expectation, before native code runs.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> model.forward(np.ones((2, 5, 3)), lengths=[5, 2]).shape
        (2, 1)
        """
        infers, x = not training and not record, self._texts.of_one(x)
        if infers and (given_out := self._direct(x, mask, lengths)) is not None:
            return given_out
        batch = self._batch(x, mask, lengths, infers)
        key = self._draw_key() if training else 0
        still = self._still if training else ()
        with self._changing if training and self.signature.updates else nullcontext():
            if not record:
                outputs = self._parameters.read(
                    lambda weights, version: self._executable.forward(
                        CallRequest(batch.inputs, batch.indices, weights, version, training, key, frozen=still)
                    )
                )
                return self._given_out(self._updated(outputs, still))
            owned = batch.owned()

            def recorded(weights: Array, version: int) -> tuple[tuple[Array, ...], NativeTape, int]:
                request = CallRequest(owned.inputs, owned.indices, weights, version, training, key, frozen=still)
                outputs, native = self._executable.record(request)
                return outputs, native, self._parameters.basis if training else version

            outputs, native, basis = self._parameters.read(recorded)
            outputs = self._updated(outputs, still)
        tape = Tape(native, basis, tuple(output.shape for output in outputs))
        return self._given_out(outputs), tape

    def backward(self, tape: Tape, dy: object) -> Gradients:
        """The gradients of Σ y·dy by the weights and by the float inputs, at the recorded call.

        `tape`: of `forward(record=True)`, for any number of calls. `dy`: an array of the padded output's shape; a list of them if the
        model has several outputs. Returns `Gradients`: `weights` and `inputs` by name, each in its value's shape. ValueError if a shape
        doesn't fit, or if weights have changed since the recorded call.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> y, tape = model.forward(np.ones((2, 5, 3)), record=True)
        >>> gradients = model.backward(tape, 2 * y)  # of the sum of squares
        >>> gradients.weights["lstm/kernel"].shape, gradients.inputs["x"].shape
        ((3, 32), (2, 5, 3))
        """
        if not isinstance(tape, Tape):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"tape: expected what forward(record=True) gave, got {type(tape).__name__}")
        cotangents = tape.cotangents(dy, [output.name for output in self.signature.outputs], self._parameters.dtype)

        def derived(weights: Array, version: int) -> tuple[Array, dict[str, Array]]:
            basis = self._parameters.basis if tape.native.training else version
            if basis != tape.weights_version and not self._parameters.shared:
                raise ValueError(
                    "this tape can't be used: it was recorded with other weights. They have changed since "
                    "(set_weights, train_on_batch, fit, or BatchNormalization in a forward with training=True), "
                    "or it is another model's; call forward(record=True) again"
                )
            return self._executable.backward(tape.native, cotangents, weights, version, input_gradients=True)

        flat, inputs = self._parameters.read(derived)
        scalars = [spec.name for spec in self.signature.inputs if not spec.shape]
        inputs = {name: array.reshape(-1) if name in scalars else array for name, array in inputs.items()}
        return Gradients(self._parameters.split(flat), inputs)

    @property
    def threads(self) -> int:
        """The number of threads that a call with enough work may use; results don't depend on it.

        The default is `RNNSPEC_THREADS`, or else the number of processors that this process may use. At most eight for each of these
        processors; a larger number becomes that.
        """
        return self._executable.threads.number

    @threads.setter
    def threads(self, number: object) -> None:
        self._executable.threads.number = bounded(whole_number("threads", number, 1))

    @property
    def threads_used(self) -> int:
        """How many threads took part in the last call that was worth sharing; 1 before the first."""
        return self._executable.threads.participants

    @property
    def tuning(self) -> Tuning:
        """The thresholds that calls are made by; results don't depend on them."""
        return self._executable.threads.tuning

    @tuning.setter
    def tuning(self, tuning: object) -> None:
        self._executable.threads.tuning = checked_tuning(tuning)

    @property
    def weights(self) -> Mapping[str, Array]:
        """The weights by name in Keras's order, layout and shapes; read-only, each array a copy of this moment's."""
        return WeightView(self._parameters)

    def get_weights(self) -> list[Array]:
        """Copies of the weights in Keras's order."""
        return list(self._parameters.copies().values())

    @overload
    def set_weights(self, weights: Sequence[object] | Mapping[str, object], *, strict: Literal[True] = True) -> None: ...

    @overload
    def set_weights(self, weights: Mapping[str, object], *, strict: Literal[False]) -> PartialWeights: ...

    def set_weights(self, weights: Sequence[object] | Mapping[str, object], *, strict: bool = True) -> PartialWeights | None:
        """Replaces all weights, as Keras's `set_weights`; without `strict` those that are given by name.

        `weights`: arrays in Keras's order, or a mapping from all names to arrays; copied and converted to the model's dtype. ValueError
        names the weight that is missing, unknown, of another shape or not of numbers; then nothing has changed. `strict`: False takes
        what there is in a mapping under a name and in the shape of the model's, and returns what it took, and what not.

        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> [value.shape for value in model.get_weights()]
        [(3, 32), (8, 32), (32,), (8, 1), (1,)]
        >>> model.set_weights([0 * value for value in model.get_weights()])
        >>> model.weights["dense/bias"]
        array([0.], dtype=float32)
        >>> model.set_weights({"dense/bias": [1.0], "dense_1/bias": [2.0]}, strict=False).unknown
        ('dense_1/bias',)
        """
        partial: PartialWeights | None = None
        if strict:
            checked = checked_weights(self.signature.weights, self._parameters.dtype, weights)
        else:
            checked, partial = fitting_weights(self.signature.weights, self._parameters.dtype, weights)
        with self._changing:
            self._parameters.assign(checked)
        return partial

    def share_weights(self) -> dict[str, Array]:
        """The weights by name as views of the model's own memory, for another owner that trains them: see `rnnspec.torch`.

        From now on each call looks at the weights anew, which costs it the time of going through them once, and whoever writes to them
        while a call runs changes what it computes. A copy of the model, and its file, are without this.
        """
        return self._parameters.share()

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        *,
        mask: object = None,
        lengths: object = None,
        steps: int | None = None,
        verbose: bool | int = False,
    ) -> Outputs:
        """The output of all samples, computed `batch_size` samples at a time, without dropout: equal to `forward`'s.

        No bit depends on `batch_size`; by default it is chosen for speed, from 32 on.

        `x`, `mask` and `lengths` as for `forward`; or `x` alone, what gives batches x, (x, y) or (x, y, sample_weight), as for
        `Model.fit`, of which the first `steps` are taken, by default one pass. `verbose`, as in Keras: whether a terminal shows a bar, of
        which each batch is a step. ValueError for a bad input or a `batch_size` below 1.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> model.predict([np.ones((5, 3)), np.ones((2, 3))]).shape  # samples of different lengths
        (2, 1)
        """
        if batch_size is not None:
            batch_size = whole_number("batch_size", batch_size, 1)
        if verbose is not False:
            shows("verbose", verbose)
        x = self._texts.of_one(x)
        if (given_out := self._direct(x, mask, lengths, batch_size)) is not None:
            return given_out
        is_bare = mask is None and lengths is None
        known = self._calls.batch(x) if is_bare else None
        if known is not None and known.size <= (batch_size or MOST_ROWS):
            self._calls.repeat(x, known)
            return self._given_out(self._inferred(known))
        if (source := source_of(x, lists=False)) is not None or steps is not None:
            return self._predicted(source, steps, is_bare and batch_size is None, verbose)
        inputs = self._checked(x, mask, lengths, at_once=False)
        batch_size = batch_size or rows_at_once(self.signature, inputs)
        self._executable.check_samples(inputs.samples, batch_size)
        if inputs.samples <= batch_size:
            return self._given_out(self._inferred(self._looked_at(x, inputs, is_bare, True)))
        starts = range(0, max(inputs.samples, 1), batch_size)
        with counted(self._inferred, len(starts), verbose) as infer:
            parts = [infer(inputs.batch(slice(start, min(start + batch_size, inputs.samples)))) for start in starts]
        return self._given_out(parts[0] if len(parts) == 1 else tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))

    def _predicted(self, source: Source | None, steps: int | None, alone: bool, verbose: bool | int) -> Outputs:
        if source is None:
            raise ValueError("steps: it is of what gives batches one after the other; arrays are cut into batches by batch_size")
        if not alone:
            raise ValueError(f"batch_size, mask and lengths: {source.name} gives batches, they are in these: rnnspec.data.Batch(...)")

        def check(given: Batch) -> CheckedInputs:
            return self._checked(given.x, given.mask, given.lengths)

        with counted(self._inferred, source.length if steps is None else steps, verbose) as infer:
            return self._given_out(predicted(self.signature, source, check, infer, steps))

    def predict_classes(self, x: object, batch_size: int | None = None, *, mask: object = None, lengths: object = None) -> Outputs:
        """The class of each sample, or of each real step of a sequence: its name, or its number where the classes have no names.

        It is the place of the largest output, of an output of one unit whether that is above one half, or above 0 with a loss of logits
        or a hinge. An array (samples,) of str or int64; of a sequence output a list with an array of steps for each sample.
        Arguments and errors as for `predict`; ValueError, naming the sample, where a prediction is NaN, which is of no class.

        >>> import rnnspec
        >>> spec = "model Tone { input t: text[time]  Embedding(9, 4, mask_zero = true)  LSTM(4)  Dense(2, activation = softmax) }"
        >>> model = rnnspec.compile(spec, seed=1)
        >>> model.adapt(["so good", "so bad"])
        >>> model.set_classes(["negative", "positive"])
        >>> model.predict_classes(["good"])[0] in model.classes["dense"]
        True
        """
        signatures = self.signature.outputs
        sequences = any(output.is_sequence for output in signatures)
        reals = self.real_steps(x, mask, lengths) if sequences else [None] * len(signatures)
        given = self.predict(x, batch_size, mask=mask, lengths=lengths)
        found: list[Any] = []
        for output, values, real in zip(signatures, given if len(signatures) > 1 else (given,), reals, strict=True):
            refuse_without_class(output.name, values, real)
            classes = chosen(values, self.classes.get(output.name), self.class_thresholds[output.name])
            found.append(of_real_steps(classes, real) if output.is_sequence else classes)
        return self._given_out(tuple(found))

    @property
    def class_thresholds(self) -> Mapping[str, float]:
        """By output the value above which one unit is of class 1; it is that of the output's loss."""
        given = self.signature.train.loss
        losses = given if isinstance(given, tuple) else (given,) * len(self.signature.outputs)
        return {output.name: threshold_of(loss) for output, loss in zip(self.signature.outputs, losses, strict=True)}

    def real_steps(self, x: object, mask: object = None, lengths: object = None) -> list[Mask | None]:
        """Of each output the steps that count in a loss, (samples, time); None where all do. Arguments and errors as for `predict`."""
        return counted_steps(self.signature, self._checked(x, mask, lengths, at_once=False))

    def stream(self, batch: int = 1, inputs: object = None) -> Stream:
        """A stream: the model step by step, for `batch` sequences at once, with states that start from zeros.

        `inputs`: values of the inputs that are no sequences, (batch, features), by name if there are several: the values that a layer's
        `initial_state` comes from, say. They stay until `Stream.reset` gives others, and steps then take the sequences alone.

        ValueError for a model that can't stream, such as one with a backward layer, with the reason.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> x = np.random.default_rng(0).normal(size=(2, 5, 3))
        >>> stream = model.stream(batch=2)
        >>> for t in range(5):
        ...     y = stream.step(x[:, t])
        >>> np.array_equal(y, model.predict(x))
        True
        """
        return Stream(self.signature, self._executable, self._parameters, batch, inputs)

    def reset_states(self) -> None:
        """Sets the states of stateful layers back to zeros; the next call may have another number of samples."""
        if isinstance(self._executable, StatefulExecutable):
            self._executable.reset()

    def check_samples(self, samples: int, batch_size: int = 32) -> None:
        """ValueError if a stateful model, from states of zeros on, couldn't take so many samples in batches of that size.

        >>> import rnnspec
        >>> rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8, stateful = true) }", seed=1).check_samples(64, batch_size=16)
        """
        self._executable.apart().check_samples(samples, batch_size)

    def summary(self) -> None:
        """Prints the layer table: names, types, output shapes, masks and numbers of weights."""
        print(summary_text(self.source))

    def inspect(self, stage: str, after: str | None = None) -> str:
        """The printed form of a compiler's stage, or of the tensor IR after the pass `after`; ValueError for unknown names."""
        return self._executable.inspect(stage, after)

    def save(self, file: model_file.Target) -> None:
        """Writes spec, parameters and weights to one file, without code; OSError leaves an older file as it was."""
        model_file.save(self._artifact(), file)

    def _artifact(self) -> model_file.Artifact:
        source = self.source
        texts = texts_of(self._texts.vocabularies, self._classes.names)
        return model_file.Artifact(source.name, source.text, source.parameters, source.dtype, self._parameters.copies(), texts)

    def _randomness(self) -> tuple[int, dict[str, Any] | None]:
        """The seed, and where the stream of random numbers is; None if it is at its beginning."""
        with self._drawing:
            begun = "_random" in self.__dict__
            return self._seed, dict(self._random.bit_generator.state) if begun else None

    def _set_randomness(self, seed: int, state: dict[str, Any] | None) -> None:
        with self._drawing:
            self._seed = seed
            self.__dict__.pop("_random", None)
            if state is not None:
                self._random.bit_generator.state = state

    def _direct(self, x: object, mask: object, lengths: object, most: int | None = None) -> Outputs | None:
        """The outputs of a direct call; None where there is none, and where masks may be dropped that there is no warning of yet."""
        if mask is None and lengths is None:
            return self._calls.outputs(x, None, None, most)
        return None if self._dropped_masks.untold else self._calls.outputs(x, mask, lengths, most)

    def _batch(self, x: object, mask: object, lengths: object, infers: bool) -> CallBatch:
        """All inputs, checked, as one batch. `infers`: for inference alone."""
        is_bare = mask is None and lengths is None
        batch = self._calls.batch(x) if is_bare else None
        if batch is None:
            return self._looked_at(x, self._checked(x, mask, lengths), is_bare, infers)
        if infers:
            self._calls.repeat(x, batch)
        return batch

    def _looked_at(self, x: object, inputs: CheckedInputs, is_bare: bool, infers: bool) -> CallBatch:
        """The batch of all inputs, remembered for calls of the same shapes."""
        batch = inputs.batch()
        if is_bare:
            self._calls.keep(x, batch)
        if infers:
            self._calls.repeat(x, batch, masked=not is_bare)
        return batch

    def _checked(self, x: object, mask: object = None, lengths: object = None, *, at_once: bool = True) -> CheckedInputs:
        """The checked inputs, see `check_inputs`; warns, once, of masks that the model drops."""
        inputs = check_inputs(self.signature, self._texts.encoded(x), mask, lengths, at_once=at_once)
        self._dropped_masks.tell(inputs)
        return inputs

    def _inferred(self, batch: CallBatch) -> tuple[Array, ...]:
        return self._parameters.read(
            lambda weights, version: self._executable.forward(CallRequest(batch.inputs, batch.indices, weights, version))
        )

    @property
    def _still(self) -> tuple[str, ...]:
        """The moving statistics of frozen layers: these layers work in training as they do in inference."""
        return frozen_weights(self.signature.updates, self._frozen)

    def _updated(self, outputs: tuple[Array, ...], still: tuple[str, ...] = ()) -> tuple[Array, ...]:
        """The model's own outputs, once the updated weights behind them have their new values."""
        count = len(self.signature.outputs)
        if len(outputs) > count:
            self._parameters.change(lambda weights: self._parameters.put_updates(weights, outputs[count:], still), only_updated=True)
        return outputs[:count]

    def _given_out(self, outputs: tuple[Array, ...]) -> Outputs:
        return outputs[0] if len(outputs) == 1 else outputs

    def _draw_key(self) -> int:
        with self._drawing:
            return draw_key(self._random)
