"""Executables in numpy, with exact gradients, in the place of native code; they look at real steps through the index only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from weakref import WeakKeyDictionary

import numpy as np

from rnnspec.contract.dimensions import Name
from rnnspec.contract.executable import Array, CallRequest, Family, NativeTape, PreparedCall, StateBank
from rnnspec.contract.model_source import LayerRow, ModelSource
from rnnspec.contract.objective import RowEquations, loss_name
from rnnspec.contract.packing import PackedIndex
from rnnspec.contract.signature import (
    Config,
    IndexSignature,
    InitializerPart,
    InputSignature,
    OutputSignature,
    Signature,
    TrainSettings,
    WeightSignature,
)
from rnnspec.contract.thread_count import ThreadCount
from rnnspec.training.losses import Loss, NamedLoss
from rnnspec.training.metrics import MetricNames
from rnnspec.training.model import Model
from rnnspec.training.objectives import Objective, objectives
from rnnspec.training.sequence_losses import SequenceLoss
from tests.row_equations import equation_rows, handing_on

FEATURES, WIDTH, VOCABULARY = 3, 4, 10
GLOROT, ZEROS = Config("glorot_uniform"), Config("zeros")


def weight(name: str, *shape: int, initializer: Config = GLOROT, trainable: bool = True) -> WeightSignature:
    return WeightSignature(name, shape, (InitializerPart(0, shape[-1], initializer),), trainable)


def signature(
    *,
    dtype: str = "float64",
    inputs: Sequence[InputSignature] = (InputSignature("x", (Name("time"), FEATURES)),),
    mask_values: tuple[float, ...] = (),
    sequence: bool = False,
    width: int = WIDTH,
    flip: bool = False,
    train: TrainSettings | None = None,
) -> Signature:
    """`mask_values`: of the first input, whose steps the only index packs if it is a sequence."""
    index = 0 if sequence else None
    output = OutputSignature("dense", (Name("time"), width) if sequence else (width,), sequence, index, flip, hold=sequence)
    indices = (IndexSignature(((inputs[0].name, mask_values),)),) if inputs[0].is_sequence else ()
    rows = VOCABULARY if inputs[0].integer else inputs[0].shape[-1]
    assert isinstance(rows, int)
    weights = (weight("dense/kernel", rows, width), weight("dense/bias", width, initializer=ZEROS))
    return Signature("Fake", dtype, tuple(inputs), (output,), weights, train or TrainSettings(), indices)


class FakeExecutable:
    """Dense on the mean of a row's real steps, or with `sequence` on every real step (held); half dropout of the inputs in training.

    Ids are looked up as one-hot rows. `calls` keeps the inputs and the indices of every call. Losses and metrics are the library's own, on
    the rows that are real.
    """

    def __init__(self, made_for: Signature, softmax: bool = False) -> None:
        self.signature = made_for
        self.softmax = softmax
        self.threads = ThreadCount()
        self.calls: list[tuple[str, Mapping[str, Array], Sequence[PackedIndex]]] = []

    def forward(self, request: CallRequest) -> tuple[Array, ...]:
        self.calls.append(("forward", request.inputs, request.indices))
        output, _ = self._run(request)
        return self._scored(request, output)[0]

    def record(self, request: CallRequest) -> tuple[tuple[Array, ...], NativeTape]:
        self.calls.append(("record", request.inputs, request.indices))
        output, rows = self._run(request)
        results, slopes = self._scored(request, output)
        residuals = np.concatenate([rows.reshape(-1), output.reshape(-1), slopes.reshape(-1)])
        return results, NativeTape.of(request, residuals, request.indices)

    def apart(self) -> FakeExecutable:
        return self

    def carrying(self) -> FakeExecutable:
        return self

    began_with: Mapping[str, np.ndarray] = MappingProxyType({})

    def undo(self) -> None:
        pass

    def go_on_from(self, other: object) -> None:
        pass

    def check_samples(self, samples: int, batch_size: int) -> None:
        pass

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        return handing_on(width, "float64").equations(family, config, width, classes=classes)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        return handing_on(width, "float64").result(metric, width, totals)

    def prepare_step(self, inputs: Mapping[str, Array], states: Mapping[str, Array], indices: Sequence[PackedIndex]) -> PreparedCall:
        raise NotImplementedError

    def prepare_call(
        self, inputs: Mapping[str, Array], indices: Sequence[PackedIndex], *, packs: bool, bank: StateBank | None = None
    ) -> PreparedCall | None:
        return None

    def backward(
        self,
        tape: NativeTape,
        cotangents: Sequence[Array],
        weights: Array,
        version: int,
        *,
        input_gradients: bool,
        gradient: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        kernel, _ = self._weights(weights)
        spec = self.signature.inputs[0]
        x = tape.inputs[spec.name]
        index, batch = tape.indices[0] if tape.indices else None, len(x)
        count = self._row_count(batch, index)
        rows = tape.residuals[: count * len(kernel)].reshape(count, len(kernel))
        shape = (
            (batch, index.time, kernel.shape[1])
            if index is not None and self.signature.outputs[0].is_sequence
            else (batch, kernel.shape[1])
        )
        y = tape.residuals[rows.size : rows.size + math.prod(shape)].reshape(shape)
        dy = np.zeros_like(y)
        for objective in tape.objective:
            of_results = dict(zip(objective.results, cotangents, strict=True))
            if objective.loss is not None:
                slopes = tape.residuals[rows.size + y.size :].reshape(shape)
                dy += self._turned(of_results[loss_name(objective.output)]) * slopes
            if objective.shown:
                dy += of_results[objective.output]
        if not tape.objective:
            (dy,) = cotangents
        if self.softmax:
            dy = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
        d_rows = dy
        if self.signature.outputs[0].is_sequence:
            assert index is not None
            shown = index.shown(True, self.signature.outputs[0].flip)
            d_rows = np.zeros((count, dy.shape[-1]), dy.dtype)
            np.add.at(d_rows, shown[shown >= 0], dy.reshape(-1, dy.shape[-1])[shown >= 0])
        with np.errstate(all="ignore"):  # as native code does
            computed = np.concatenate([(rows.T @ d_rows).reshape(-1), d_rows.sum(axis=0)]).astype(weights.dtype)
        gradient = np.zeros_like(weights) if gradient is None else gradient
        gradient += computed
        if not input_gradients or spec.integer:
            return gradient, {}
        d_x = d_rows @ kernel.T
        if index is not None:
            d_tokens = d_x
            if not self.signature.outputs[0].is_sequence:
                row_of = index.source // index.time
                d_tokens = (d_x / np.maximum(np.bincount(row_of, minlength=batch), 1)[:, None])[row_of]
            d_x = np.zeros((batch * index.time, len(kernel)), x.dtype)
            d_x[index.source] = d_tokens * self._dropout(d_tokens.shape, tape.training, tape.key)
        return gradient, {spec.name: d_x.reshape(x.shape).astype(x.dtype)}

    def inspect(self, stage: str, after: str | None = None) -> str:
        return f"{stage} after {after}"

    def _turned(self, steps: Array) -> Array:
        """The output's order of steps from the layer's own, or back."""
        return steps[:, ::-1] if self.signature.outputs[0].flip else steps

    def _scored(self, request: CallRequest, output: Array) -> tuple[tuple[Array, ...], Array]:
        """The results, and the derivative of each row's loss by the output, of its shape."""
        slopes = np.zeros_like(output)
        if not request.objective:
            return (output,), slopes
        (objective,) = request.objective
        width = output.shape[-1]
        rows = self._turned(output).reshape(-1, width)
        real = request.indices[0].source if output.ndim == 3 else np.arange(len(rows))

        def placed(numbers: Array) -> Array:
            found = np.zeros((len(rows), numbers.shape[1]), output.dtype)
            found[real] = numbers
            return found.reshape(*output.shape[:-1], numbers.shape[1])

        results: list[Array] = []
        if objective.loss is not None or objective.metrics:
            target = request.targets[objective.output].reshape(len(rows), objective.target)[real]
            numbers, of_rows = equation_rows(objective, rows[real], target)
            results += [placed(each) for each in numbers]
            slopes = self._turned(placed(of_rows))
        return (*results, output) if objective.shown else tuple(results), slopes

    def _weights(self, weights: Array) -> tuple[Array, Array]:
        (rows, width), _ = (weight.shape for weight in self.signature.weights)
        return weights[: rows * width].reshape(rows, width), weights[rows * width :]

    def _row_count(self, batch: int, index: PackedIndex | None) -> int:
        return index.tokens if index is not None and self.signature.outputs[0].is_sequence else batch

    def _dropout(self, shape: tuple[int, ...], training: bool, key: int) -> Array:
        return 2.0 * (np.random.default_rng(key).random(shape) >= 0.5) if training else np.ones(shape)

    def _run(self, request: CallRequest) -> tuple[Array, Array]:
        weights = request.weights
        spec, output = self.signature.inputs[0], self.signature.outputs[0]
        index = request.indices[0] if request.indices else None
        kernel, bias = self._weights(weights)
        rows = request.inputs[spec.name]
        batch = len(rows)
        if index is not None:
            steps = rows.reshape(batch * index.time, 1 if spec.integer else len(kernel))[index.source]
            tokens = np.eye(len(kernel))[steps[:, 0]] if spec.integer else steps
            tokens = tokens * self._dropout(tokens.shape, request.training, request.key)
            if output.is_sequence:
                rows = tokens
            else:
                row_of = index.source // index.time
                rows = np.zeros((batch, len(kernel)))
                np.add.at(rows, row_of, tokens)
                rows /= np.maximum(np.bincount(row_of, minlength=batch), 1)[:, None]
        y = rows @ kernel + bias
        if output.is_sequence:
            assert index is not None
            shown = index.shown(True, output.flip)
            values = np.zeros((batch * index.time, y.shape[-1]))
            values[shown >= 0] = y[shown[shown >= 0]]
            y = values.reshape(batch, index.time, y.shape[-1])
        if self.softmax:
            y = np.exp(y - y.max(axis=-1, keepdims=True))
            y /= y.sum(axis=-1, keepdims=True)
        return y.astype(weights.dtype), rows


def trained(outputs: Sequence[OutputSignature], losses: Sequence[NamedLoss | Loss | SequenceLoss | None]) -> tuple[Objective, ...]:
    """The objectives of outputs with these losses of the library, and without metrics."""
    none = MetricNames(((),) * len(outputs))
    return objectives(outputs, losses, [1.0] * len(outputs), none, none, FakeExecutable(signature()))


SOURCE = ModelSource("Fake", "model Fake() {}\n", {"units": 4}, "float64", (LayerRow("dense", "Dense", "(batch, 4)", "-", 16),))


def model(made_for: Signature | None = None, *, softmax: bool = False, seed: int | None = 0) -> Model:
    made_for = made_for or signature()
    fake = FakeExecutable(made_for, softmax)
    made = Model(made_for, fake, SOURCE, seed=seed)
    _EXECUTABLES[made] = fake
    return made


_EXECUTABLES: WeakKeyDictionary[Model, FakeExecutable] = WeakKeyDictionary()


def executable(of: Model) -> FakeExecutable:
    """Of a model that was made here."""
    return _EXECUTABLES[of]
