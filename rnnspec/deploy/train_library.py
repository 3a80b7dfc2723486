"""A model's training as a library does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rnnspec.backend.protocol import ForwardExport, GradientExport, TrainedOutput, TrainExport
from rnnspec.contract.dimensions import BATCH, Dim
from rnnspec.contract.objective import Objective, loss_name, target_name
from rnnspec.contract.signature import OutputSignature, frozen_weights, weight_ranges
from rnnspec.contract.update_rule import UpdateRule
from rnnspec.deploy.constants import Constants
from rnnspec.deploy.forward_layout import in_c
from rnnspec.deploy.step_layout import CannotBuild, Field
from rnnspec.deploy.train_layout import TrainLayout
from rnnspec.deploy.train_texts import TrainFacts
from rnnspec.driver.compilation import Compilation
from rnnspec.kernel.forward_memory import TAPE, index_shape, largest
from rnnspec.kernel.nodes import Buffer
from rnnspec.kernel.train_memory import gradient_memory, predict_memory, train_memory
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
    weights = dict(zip([output.name for output in signature.outputs], loss_weights_of(made), strict=True))
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
        None if layout.derived is None else _gradient_export(made, layout.derived),
    )


def _gradient_export(made: Compilation, derived: Sequence[Field]) -> GradientExport:
    wanted = replace(made.trained("record"), objective=())
    record, backward = made.kernels(wanted), made.kernels(replace(wanted, name="backward"))
    memory = gradient_memory(record, backward, made.signature, made.machine())
    names = [each.name for each in made.signature.inputs]
    return GradientExport(ForwardExport(record, made.signature, memory, {}), backward, tuple(names.index(each.source) for each in derived))


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


def loss_weights_of(model: Compilation) -> tuple[float, ...]:
    """The weight of each output's loss."""
    given = model.signature.train.loss_weights
    return loss_weights_for([output.name for output in model.signature.outputs], 1.0 if given is None else given)


def _trained(
    model: Compilation, layout: TrainLayout, number: int, buffers: Mapping[str, Buffer], weights: Mapping[str, float]
) -> TrainedOutput:
    each = layout.outputs[number]
    output = each.output
    return TrainedOutput(
        model.signature.outputs.index(output),
        buffers[f"input.{target_name(output.name)}"],
        buffers[f"output.{loss_name(output.name)}"],
        buffers[f"cotangent.{loss_name(output.name)}"],
        1 if each.kind == "class" else output.width,
        each.kind,
        output.width,
        each.unlabelled,
        output.index if output.is_sequence else None,
        _time(model, output),
        output.flip,
        each.of_sequences,
        weights[output.name],
    )


def _time(model: Compilation, output: OutputSignature) -> Dim | None:
    if not output.is_sequence or output.index is None:
        return None
    return index_shape(model.signature, output.index).time


def train_facts(model: Compilation, exports: Iterable[TrainExport | None]) -> TrainFacts | None:
    """What the texts say of a training, from that of each target; None without one."""
    made = [each for each in exports if each is not None]
    if not made:
        return None
    step, predict = largest(each.record.memory.bytes for each in made), largest(each.predict.memory.bytes for each in made)
    gradient = largest(each.gradient.record.memory.bytes for each in made if each.gradient is not None)
    return TrainFacts(model.signature, rule_of(model), step, predict, gradient)


def train_sizes(layout: TrainLayout | None, exports: Iterable[TrainExport | None]) -> Mapping[str, str | int] | None:
    """The bytes that a training takes, see `TargetReport`; None without one."""
    made = [each for each in exports if each is not None]
    if layout is None or not made:
        return None
    names, numbers = layout.forward.names, layout.forward.bytes * layout.weights
    tapes = [next((area.rows for area in each.record.memory.areas if area.key == TAPE), 0) for each in made]
    return {
        "workspace": in_c(largest(each.record.memory.bytes for each in made), names),
        "tape": in_c(largest(tapes), names),
        "weights": numbers,
        "gradient": numbers,
        "optimizer": 8 + numbers * len(made[0].rule.starts),
    }
