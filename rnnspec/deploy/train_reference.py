"""The losses and weights of a training as a library for any machine has them, computed by this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.dimensions import BATCH, Size, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.signature import frozen_weights
from rnnspec.deploy.checked_batch import batch_file, checked_batch, checked_sizes
from rnnspec.deploy.constants import flat_weights, on_this_machine
from rnnspec.deploy.forward_library import PaddedBatch
from rnnspec.deploy.library import fitting
from rnnspec.deploy.train_layout import TrainLayout
from rnnspec.deploy.train_library import loss_weights_of, optimizer_of
from rnnspec.deploy.train_texts import CHECKED_UPDATES
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.target import Target
from rnnspec.runtime.data.batches import ALL_ROWS
from rnnspec.runtime.data.class_names import ClassNames
from rnnspec.runtime.data.validate import check_inputs
from rnnspec.runtime.model.weights import Parameters
from rnnspec.runtime.native.executable import NativeExecutable
from rnnspec.training import setup


def train_reference(
    model: Compilation, weights: Mapping[str, Array], target: Target, batch: PaddedBatch, targets: Sequence[Array], rates: Sequence[float]
) -> tuple[Array, Array]:
    """The loss of each update, float64, and all weights at the end, as the target's library has them, bit for bit, by Python's training.

    An update's key is its number, from 0; `rates`: the learning rates. `targets`: one for each output with a loss.
    """
    host = on_this_machine(model, fitting(target, np.dtype(model.dtype).itemsize))
    signature, train = host.signature, host.signature.train
    frozen = frozen_weights([weight.name for weight in signature.weights], signature.frozen)
    parameters = Parameters(signature.weights, signature.dtype)
    parameters.change(lambda flat: np.copyto(flat, flat_weights(host, weights)))
    executable = NativeExecutable(signature, host.native, host.print, scores=host)
    executable.threads.number = 1
    names = [output.name for output in signature.outputs]
    none = setup.metrics_for(names, ())
    losses = setup.losses_for(names, train.loss)
    trained = setup.objectives(signature.outputs, losses, loss_weights_of(host), none, none, executable)
    native = setup.native_objective(trained)
    trainer = setup.Trainer(
        executable,
        parameters,
        trained,
        setup.penalties(signature, frozen),
        signature.dtype,
        tuple(name for each in native for name in each.results),
        native,
        checkpoint=train.checkpoint or 0,
        frozen=frozen,
    )
    optimizer = optimizer_of(host)
    updates = setup.Updates(optimizer, parameters, None)
    updates.freeze(frozen)
    inputs = check_inputs(signature, batch.inputs, batch.masks or None, batch.lengths or None)
    y = targets[0] if len(targets) == 1 else list(targets)
    examples = setup.check_examples(inputs, trained, signature.dtype, y, None, ClassNames(signature))
    found: list[float] = []
    for key, rate in enumerate(rates):
        optimizer.start_from(rate)
        totals = setup.Totals(trained, executable)
        found.append(trainer.step(examples.batch(ALL_ROWS), updates, key, totals))
    return np.array(found), parameters.read(lambda flat, _: flat.copy())


def checked_targets(layout: TrainLayout, sizes: Mapping[Size, int]) -> list[Array]:
    """Targets of each output with a loss: of all classes, of both signs, some of them without a label."""
    random, forward = np.random.default_rng(1), layout.forward
    found: list[Array] = []
    for each in layout.outputs:
        lead = (sizes[BATCH],)
        if each.output.is_sequence:
            lead = (*lead, value_of(forward.times[each.field.name], sizes))
        rows = (*lead, each.field.width)
        match each.kind:
            case "class":
                target = random.integers(0, each.output.width, lead).astype(np.int32)
                if each.unlabelled is not None:
                    target[random.random(lead) < 0.2] = each.unlabelled
            case "values":
                target = random.normal(size=rows)
            case "probabilities":
                target = random.dirichlet(np.ones(each.field.width), lead)
            case "binary":
                target = random.integers(0, 2, rows).astype(np.float64)
        found.append(target if each.kind == "class" else target.astype(np.float64 if forward.bytes == 8 else np.float32))
    return found


def train_check(model: Compilation, weights: Mapping[str, Array], target: Target, layout: TrainLayout) -> bytes:
    """The content of `check_train.bin`: a batch as of a forward call, targets, learning rates, the losses, and the weights at the end."""
    batch = checked_batch(model.signature, layout.forward)
    given = batch_file(batch, layout.forward, ())
    named = checked_sizes(model.signature, layout.forward)
    sizes = {size: named[name] for size, name in layout.forward.names.items()}
    targets = checked_targets(layout, sizes)
    optimizer = optimizer_of(model)
    rates = [optimizer.rate_after(update) for update in range(CHECKED_UPDATES)]
    losses, after = train_reference(model, weights, target, batch, targets, rates)
    arrays = (*targets, np.array(rates), losses, after)
    return given + b"".join(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays)
