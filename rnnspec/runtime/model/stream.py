"""Streams: a model step by step, with states carried from call to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.dimensions import value_of
from rnnspec.contract.executable import NOTHING_DUE, Array, Executable, FastPath, PreparedCall
from rnnspec.contract.signature import EVERY_STEP, Clock, Signature
from rnnspec.locks import is_held, new_lock, renewed_after_fork
from rnnspec.runtime.data.batches import ALL_ROWS, CallBatch, CheckedInputs
from rnnspec.runtime.data.columns import PaddedArray, array_of_short_list, as_numbers
from rnnspec.runtime.data.validate import check_inputs, inputs_by_name, whole_number
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.fast_call import no_fast_path
from rnnspec.runtime.native.stateful import zero_states

Result = TypeVar("Result")


class Stream:
    """A stream of a model, `Model.stream`: each step returns, bit for bit, `forward`'s output at that step of the whole sequence.

    Several threads' steps take turns, in no order that is known. Each step uses the model's weights of that moment.
    """

    def __init__(self, signature: Signature, executable: Executable, parameters: Parameters, batch: int, inputs: object = None) -> None:
        if signature.stream.refusal:
            raise ValueError(f"model {signature.model} can't stream: {signature.stream.refusal}")
        self._signature = signature = signature.of_step
        self._parameters = parameters
        self._batch = whole_number("batch", batch, 1)
        self._of_sequences = replace(signature, inputs=tuple(spec for spec in signature.inputs if spec.is_sequence))
        self._rows = tuple(spec for spec in signature.inputs if not spec.is_sequence)
        given = self._checked_rows(inputs, self._batch)
        self._stay = bool(given)
        self._prepared = _prepared_step(signature, executable, self._batch)
        self._keep(np.arange(self._batch), given)
        steps = (self._prepared.outputs[output.name] for output in signature.outputs)
        self._shown = tuple(step.reshape(self._batch, step.shape[-1]) for step in steps)
        self._clocks = signature.stream.outputs
        self._direct: FastPath = no_fast_path
        self._made: FastPath = no_fast_path
        self._version = -1
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """Makes the lock anew, in a fork's child."""
        self._turn = new_lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream can't be pickled or copied: copy the model, and make a stream of the copy with `model.stream()`")

    @property
    def state(self) -> Mapping[str, Array]:
        """Copies of the carried states, by name, (batch, width) each."""
        return self._alone(lambda: {name: value.copy() for name, value in self._prepared.states.items()})

    @property
    def due(self) -> Mapping[str, Array]:
        """By output, the rows that have had a value in the last step, bool (batch,): all of them unless a layer waits for several steps."""
        names = [output.name for output in self._signature.outputs]
        return self._alone(lambda: {name: self._prepared.due(clock)[:, 0].copy() for name, clock in zip(names, self._clocks, strict=True)})

    def _alone(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, with no step at the same time. RuntimeError in the middle of a step, for a signal handler."""
        if is_held(self._turn):
            raise RuntimeError("this stream is in the middle of a step, which this call has interrupted")
        with self._turn:
            self._direct = no_fast_path
            try:
                return work()
            finally:
                self._direct = self._made

    def reset(self, rows: object = None, inputs: object = None) -> None:
        """Sets states back to zeros: of all rows, or of the given row numbers, for the next sequences in their place.

        `inputs`: of those rows, values that stay, see `Model.stream`; without them a layer with `initial_state` starts from the same
        values again. ValueError for numbers that aren't integers from 0 to batch - 1, and for values that stay of a stream that began
        without.
        """
        if rows is None:
            chosen = np.arange(self._batch)
        else:
            chosen = np.atleast_1d(np.asarray(rows))
            if chosen.shape == (0,):  # an empty list has no integers, and no others
                chosen = chosen.astype(np.intp)
            if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or ((chosen < 0) | (chosen >= self._batch)).any():
                raise ValueError(f"rows: expected numbers from 0 to {self._batch - 1}, got {rows!r}")
        given = self._checked_rows(inputs, len(chosen))
        if given and not self._stay:
            raise ValueError(f"inputs: this stream takes {', '.join(given)} with each step; `model.stream(inputs = ...)` makes them stay")
        self._alone(lambda: self._begin(chosen, given))

    def _begin(self, rows: NDArray[np.intp], given: Mapping[str, Array]) -> None:
        self._prepared.reset(rows)
        self._keep(rows, given)

    def _keep(self, rows: NDArray[np.intp], given: Mapping[str, Array]) -> None:
        """Has values stay."""
        for name, value in given.items():
            self._prepared.inputs[name][rows] = value

    def _checked_rows(self, inputs: object, rows: int) -> Mapping[str, Array]:
        """Values that stay, of the model's dtype, of so many rows; empty for None."""
        if inputs is None:
            return {}
        if not self._rows:
            raise ValueError(f"inputs: all inputs of model {self._signature.model} are sequences, which steps take")
        reduced = replace(self._signature, inputs=self._rows, indices=())
        checked = check_inputs(reduced, inputs)
        if checked.samples != rows:
            raise ValueError(f"inputs: expected values of {rows} row{'' if rows == 1 else 's'}, got {checked.samples}")
        return checked.batch().inputs

    def step(self, x: object) -> Any:
        """The output of the next step, newly allocated; a tuple if the model has several outputs.

        `x`: (batch, features), or ids (batch,); a mapping from input names if there are several, of the sequences alone where values of
        the others stay (`Model.stream`). A step that the model masks leaves the states as they are, and a sequence output shows its value
        at masked steps. ValueError for a bad input; then no step is made.

        An output behind a layer of windows has a value when a window has all that it sees, and is None in the steps between. Rows that
        were reset at other steps than the rest wait for themselves: one that has no value yet holds NaN, see `due`.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
        >>> stream = model.stream(batch=2)
        >>> stream.step(np.zeros((2, 3))).shape
        (2, 1)
        >>> sorted(stream.state)
        ['lstm/c', 'lstm/h', 'lstm/return']
        """
        shown = self._direct(x)
        if shown is None:
            return self._step_in_turn(x)
        return None if shown is NOTHING_DUE else shown

    def steps(self, x: object) -> Any:
        """The values of `step` that aren't None over several steps, (batch, values, units); a tuple if the model has several outputs.

        `x`: (batch, steps, features), or ids (batch, steps); a mapping from input names as `step` takes it. ValueError for a bad input;
        then no step is made.

        >>> import numpy as np
        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  Conv1D(8, 4, strides = 2) }", seed=1)
        >>> stream = model.stream()
        >>> stream.steps(np.zeros((1, 7, 3))).shape
        (1, 2, 8)
        >>> stream.step(np.zeros((1, 3))).shape
        (1, 8)
        """
        checked = self._checked(self._with_steps(x))
        given = {name: column.cut(ALL_ROWS) for name, column in checked.columns.items() if isinstance(column, PaddedArray)}
        if self._stay:
            rows = {spec.name: given.pop(spec.name) for spec in self._rows}
            self._alone(lambda: self._keep(np.arange(self._batch), rows))
        found = [self.step(each) for each in self._each_step(given)]
        outputs = [[value] for value in found] if len(self._shown) == 1 else found
        values = ([each[place] for each in outputs if each[place] is not None] for place in range(len(self._shown)))
        stacked = tuple(
            np.stack(each, axis=1) if each else np.zeros((self._batch, 0, shown.shape[1]), shown.dtype)
            for each, shown in zip(values, self._shown, strict=True)
        )
        return stacked[0] if len(stacked) == 1 else stacked

    def _each_step(self, given: Mapping[str, Array]) -> Iterator[object]:
        """What `step` takes, for each step of the sequences."""
        sequences = [spec.name for spec in self._signature.inputs if spec.is_sequence]
        for number in range(given[sequences[0]].shape[1]):
            step = {name: value[:, number] if name in sequences else value for name, value in given.items()}
            yield step if len(step) > 1 else step[sequences[0]]

    def _named(self, x: object) -> Mapping[str, object]:
        """Each input under its name; those that stay, unless a mapping gives them anew, as they are."""
        rows = [spec.name for spec in self._rows]
        if not self._stay or _names(x).intersection(rows):
            return inputs_by_name(self._signature, x)
        return {**inputs_by_name(self._of_sequences, x), **{name: self._prepared.inputs[name] for name in rows}}

    def _with_steps(self, x: object) -> dict[str, object]:
        """The inputs of several steps: as many for each sequence, in arrays."""
        given: dict[str, object] = dict(self._named(x))
        counts: dict[str, int] = {}
        for spec in self._signature.inputs:
            if spec.is_sequence:
                array = given[spec.name] = as_numbers(given[spec.name], f"input {spec.name}")
                if array.ndim != 1 + len(spec.shape):
                    axes = ", ".join(map(str, (self._batch, "steps", *spec.shape[1:])))
                    raise ValueError(f"input {spec.name}: expected steps of shape ({axes}), got {array.shape}")
                counts[spec.name] = array.shape[1]
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise ValueError(f"expected as many steps of each input, {shown}")
        return given

    def _checked(self, named: Mapping[str, object]) -> CheckedInputs:
        checked = check_inputs(self._signature, dict(named))
        if checked.samples != self._batch:
            raise ValueError(f"this stream has a batch of {self._batch}, got {checked.samples} samples")
        return checked

    def _step_in_turn(self, x: object) -> Any:
        # Not in `step`: what a lambda takes from there would make each direct step a tenth slower.
        array = array_of_short_list(x)
        if array is not None and (shown := self._direct(array)) is not None:
            return None if shown is NOTHING_DUE else shown
        batch = self._checked(self._with_time(x)).batch()
        return self._alone(lambda: self._stepped(batch))

    def _stepped(self, batch: CallBatch) -> Any:
        prepared = self._prepared
        if self._version != self._parameters.version or self._parameters.shared:
            self._parameters.read(self._take_weights)
            direct = prepared.fast_path(self._shown, self._parameters.version_now, clocks=self._clocks, stay=self._stay)
            self._made = no_fast_path if self._parameters.shared else direct
        prepared.take(batch.inputs, batch.indices)
        prepared.run()
        copies = tuple(self._value(clock, value) for clock, value in zip(self._clocks, self._shown, strict=True))
        return copies[0] if len(copies) == 1 else copies

    def _value(self, clock: Clock, output: Array) -> Array | None:
        """A copy of an output, NaN in the rows that have no value in this step; None if no row has one."""
        if clock == EVERY_STEP:
            return output.copy()
        due = self._prepared.due(clock)
        return np.where(due, output, np.array(np.nan, output.dtype)) if due.any() else None

    def _take_weights(self, weights: Array, version: int) -> None:
        self._prepared.set_weights(weights, version)
        self._version = version

    def _with_time(self, x: object) -> dict[str, object]:
        """The inputs with a time of one step."""
        named = self._named(x)
        sequences = {spec.name: spec for spec in self._signature.inputs if spec.is_sequence}
        given: dict[str, object] = {}
        for name, value in named.items():
            if name in sequences:
                array = as_numbers(value, f"input {name}")
                expected = sequences[name].shape[1:]
                if array.ndim != 1 + len(expected):
                    shown = f"({', '.join(map(str, (self._batch, *expected)))}{',' if not expected else ''})"
                    raise ValueError(f"input {name}: expected one step of shape {shown}, got {array.shape}")
                value = array[:, None]
            given[name] = value
        return given


def _names(x: object) -> set[str]:
    """The inputs that a mapping names."""
    return set(cast(Mapping[str, object], x)) if isinstance(x, Mapping) else set()


def _prepared_step(signature: Signature, executable: Executable, batch: int) -> PreparedCall:
    """The step of a stream, with all that it needs, for so many sequences."""
    dtype = np.dtype(signature.dtype)
    inputs = {
        spec.name: np.zeros(
            (batch, *(1 if place == 0 and spec.is_sequence else value_of(extent, {}) for place, extent in enumerate(spec.shape))),
            np.int32 if spec.integer else dtype,
        )
        for spec in signature.inputs
    }
    indices = check_inputs(signature, inputs).batch().indices
    return executable.prepare_step(inputs, zero_states(signature.stream.states, batch, dtype), indices)
