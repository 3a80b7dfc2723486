"""What a library's training has in C: the names of targets and weights, and what of a model's training can't be there."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.contract.executable import Scores
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.objective import TargetKind
from rnnspec.contract.signature import Config, OutputSignature, Signature, weight_ranges
from rnnspec.deploy.forward_layout import ForwardLayout, forward_layout
from rnnspec.deploy.step_layout import CannotBuild, Field, identifier, refuse_clashes
from rnnspec.frozen import frozen
from rnnspec.runtime.storage import dataclass_json
from rnnspec.training.saved_training import SavedTraining

PARAMETERS = ("weights", "optimizer", "learning_rate", "key", "loss")
"""The names of a training step's parameters that a forward call hasn't."""


@frozen
class TrainedField:
    """An output with a loss: its name in C, what its targets must be, and of class numbers the one of rows without a label."""

    field: Field
    output: OutputSignature
    kind: TargetKind
    unlabelled: int | None
    of_sequences: bool


@frozen
class TrainLayout:
    """The C side of training: what it has of a forward call, and `weights` numbers. `outputs`: those that have a loss."""

    forward: ForwardLayout
    weights: int
    outputs: tuple[TrainedField, ...]
    derived: tuple[Field, ...] | None = None
    """The inputs that a gradient is of, where the library has the parts of an update one by one; None where it hasn't."""

    @property
    def prefix(self) -> str:
        """How all names begin."""
        return self.forward.prefix


def train_layout(signature: Signature, scores: Scores, prefix: str) -> TrainLayout:
    """The C side of a model's training by the spec's train section; CannotBuild for what a library can't do, or where names clash."""
    if problem := train_problem(signature):
        raise CannotBuild(f"model {signature.model}: train: {problem}")
    forward = forward_layout(signature, prefix)
    outputs: list[TrainedField] = []
    for field, output, loss in zip(forward.outputs, signature.outputs, losses_of(signature), strict=True):
        if loss is not None:
            known = scores.equations("loss", loss, output.width)
            outputs.append(TrainedField(field, output, known.target, known.unlabelled, known.of_sequences))
    targets = (target_name(each.field) for each in outputs)
    names = (*(each.name for each in (*forward.inputs, *forward.outputs)), *(each.name for each in forward.lengths))
    refuse_clashes("inputs, outputs and what a training step takes", (*names, *targets, *PARAMETERS))
    ranges = weight_ranges(signature.weights)
    return TrainLayout(forward, max((each.stop for each in ranges.values()), default=0), tuple(outputs))


def with_gradient(layout: TrainLayout, signature: Signature) -> TrainLayout:
    """The same with the parts of an update; CannotBuild for a model whose forward call moves weights, or where names clash."""
    if signature.updates:
        moved = f"a recorded call gives {signature.updates[0]} a new value, and what an update does with it only train does"
        raise CannotBuild(f"model {signature.model}: gradient: {moved}")
    forward = layout.forward
    # Where some weights have no gradient, inputs have none either.
    derived = () if signature.frozen else tuple(each for each in forward.inputs if each.vocabulary is None)
    gradients = (gradient_name(each) for each in (*forward.outputs, *derived))
    names = (*(each.name for each in (*forward.inputs, *forward.outputs)), *(each.name for each in forward.lengths))
    refuse_clashes("inputs, outputs and their gradients", (*names, *gradients, "gradient", *PARAMETERS))
    return replace(layout, derived=derived)


def gradient_name(field: Field) -> str:
    """The parameter with the gradient of an input or an output."""
    return f"{field.name}_gradient"


def check_saved_training(model: str, training: bytes) -> None:
    """CannotBuild for a model that Python has given another training than its spec's; `training`: of its file."""
    try:
        saved = dataclass_json.from_json(SavedTraining, training) if training else None
    except dataclass_json.Unfit as error:
        raise CannotBuild(f"model {model}: train: its file's state of a training can't be read: {error}") from None
    if saved is not None and (saved.configuration is not None or saved.frozen is not None):
        other = "model.configure" if saved.configuration is not None else "trainable"
        raise CannotBuild(f"model {model}: train: {other} has changed its training, and libraries have that of the spec: change the spec")


def target_name(field: Field) -> str:
    """The parameter with an output's targets."""
    return f"{field.name}_target"


def weight_macro(prefix: str, name: str) -> str:
    """The macro of a weight's first place among all."""
    return f"{prefix.upper()}_AT_{identifier(name).upper()}"


def losses_of(signature: Signature) -> tuple[Config | None, ...]:
    """The loss of each output."""
    loss = signature.train.loss
    return loss if isinstance(loss, tuple) else (loss,) * len(signature.outputs)


def train_problem(signature: Signature) -> str:
    """The reason why a library can't train a model as Python does; empty if it can."""
    train = signature.train
    trained = [weight for weight in signature.weights if weight.trainable]
    if train.loss is None or train.optimizer is None:
        return "the spec needs a train section with a loss and an optimizer"
    if signature.states:
        return f"stateful layers hand {signature.states[0].name} on from call to call, and a library's step keeps nothing"
    if named := next((loss.name for loss in losses_of(signature) if loss is not None and loss.name in SEQUENCE_LOSSES), ""):
        return f"the loss {named} takes whole sequences of labels, which libraries don't"
    if weight := next((weight for weight in trained if weight.regularizer is not None), None):
        return f"weight {weight.name} has a regularizer, whose penalty libraries don't add: use weight_decay of the optimizer"
    if signature.activities:
        return "a layer has an activity regularizer, whose penalty libraries don't add"
    if weight := next((weight for weight in trained if weight.constraint is not None), None):
        return f"weight {weight.name} has a constraint, which libraries don't apply"
    if train.truncate:
        return "truncate carries states from part to part, and a library's step keeps nothing: train on shorter sequences"
    if train.class_weight is not None:
        return "class_weight isn't among what libraries do: leave it out"
    return ""
