"""A model's training as a library does it, and the same training by this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnspec.backend.protocol import ForwardExport, TrainedOutput, TrainExport
from rnnspec.contract.dimensions import BATCH, Dim
from rnnspec.contract.objective import Objective, loss_name, target_name
from rnnspec.contract.signature import OutputSignature, frozen_weights, weight_ranges
from rnnspec.contract.update_rule import UpdateRule
from rnnspec.deploy.constants import Constants
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.deploy.train_layout import TrainLayout
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.forward_memory import index_shape
from rnnspec.kernel.nodes import Buffer
from rnnspec.kernel.train_memory import predict_memory, train_memory
from rnnspec.runtime.native.executable import Variant
from rnnspec.training.optimizer import Optimizer
from rnnspec.training.settings import loss_weights_for, make_optimizer
from rnnspec.training.update_rule import update_rule


def trained_variant(model: Compilation, name: str) -> Variant:
    """The native function of a step by the spec's train section, "record" or "backward", without metrics."""
    wanted = model.trained(name)
    objective: Objective = tuple(replace(each, metrics=(), shown=False) for each in wanted.objective if each.loss is not None)
    return replace(wanted, objective=objective, input_gradients=False)


def train_export(made: Compilation, layout: TrainLayout, constants: Constants) -> TrainExport:
    """What the back end makes the functions of; CannotBuild for an optimizer that isn't one of a library."""
    target, signature = made.machine(), made.signature
    record, backward = (made.kernels(trained_variant(made, name)) for name in ("record", "backward"))
    predict = made.kernels(Variant("forward", False))
    buffers = {buffer.name: buffer for kernels in (record, backward) for buffer in kernels.function.buffers}
    weights = dict(zip([output.name for output in signature.outputs], _loss_weights(made), strict=True))
    outputs = tuple(_trained(made, layout, place, buffers, weights) for place in range(len(layout.outputs)))
    counted = [each.index for each in outputs if each.index is not None]
    rows = [BATCH * (1 if each.time is None else each.time) for each in outputs]
    memory = train_memory(record, backward, signature, target, weights=layout.weights, rows=rows, counted=counted)
    ranges = weight_ranges(signature.weights)
    moved = [name for name in signature.updates if f"update.{name}" in buffers]
    return TrainExport(
        ForwardExport(predict, signature, predict_memory(predict, signature, target), {}),
        ForwardExport(record, signature, memory, {}),
        backward,
        outputs,
        tuple((buffers[f"update.{name}"], ranges[name].start) for name in moved),
        layout.weights,
        constants.flat_place(),
        rule_of(made),
    )


def optimizer_of(model: Compilation) -> Optimizer:
    """The optimizer of the spec's train section, new."""
    return make_optimizer(model.signature.train.optimizer)


def rule_of(model: Compilation) -> UpdateRule:
    """The optimizer of the spec's train section as data; CannotBuild for one that can't be."""
    signature = model.signature
    frozen = frozen_weights([weight.name for weight in signature.weights], signature.frozen)
    try:
        return update_rule(optimizer_of(model), signature, frozen)
    except ValueError as error:
        raise CannotBuild(f"model {signature.model}: train: {error}") from None


def _loss_weights(model: Compilation) -> tuple[float, ...]:
    given = model.signature.train.loss_weights
    return loss_weights_for([output.name for output in model.signature.outputs], 1.0 if given is None else given)


def _trained(
    model: Compilation, layout: TrainLayout, number: int, buffers: Mapping[str, Buffer], weights: Mapping[str, float]
) -> TrainedOutput:
    _, output, loss = layout.outputs[number]
    known = model.equations("loss", loss, output.width)
    classes = known.target == "class"
    return TrainedOutput(
        model.signature.outputs.index(output),
        buffers[f"input.{target_name(output.name)}"],
        buffers[f"output.{loss_name(output.name)}"],
        buffers[f"cotangent.{loss_name(output.name)}"],
        1 if classes else output.width,
        known.target,
        output.width,
        known.unlabelled,
        output.index if output.is_sequence else None,
        _time(model, output),
        output.flip,
        known.of_sequences,
        weights[output.name],
    )


def _time(model: Compilation, output: OutputSignature) -> Dim | None:
    if not output.is_sequence or output.index is None:
        return None
    return index_shape(model.signature, output.index).time
