"""E02xx: inputs, layers, shapes and masks; E04xx: the train section."""

from __future__ import annotations

from dataclasses import dataclass

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownElement(Diagnostic):
    code = "E0201"
    title = "unknown element type `{name}`"
    label = "`float` for numbers, `int` for token ids"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitInput(Diagnostic):
    code = "E0202"
    title = "an input can't have this shape"
    label = "{problem}"
    advice = "write `float[time, 12]` for a sequence of frames with 12 features, `int[time]` for a sequence of ids, `float[12]` for one row"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesNotFixed(Diagnostic):
    code = "E0203"
    title = "{layer} expects its input's last dimension to be fixed"
    label = "needs a fixed number of features, got `{extent}`"

    layer: str
    extent: Dim


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsSequence(Diagnostic):
    code = "E0204"
    title = "{layer} expects a sequence"
    label = "got {found}"

    layer: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsIds(Diagnostic):
    code = "E0205"
    title = "Embedding expects token ids"
    label = "got {found}"
    advice = "an input of ids is written `int[time]`"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsFeatures(Diagnostic):
    code = "E0206"
    title = "{layer} expects numbers, not token ids"
    label = "got {found}"

    layer: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTooLate(Diagnostic):
    code = "E0207"
    title = "Masking must come before the layers that compute"
    label = "what it compares is already computed by {layer}"
    advice = "move it to the front: masked steps are left out from there on"

    layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoInput(Diagnostic):
    code = "E0208"
    title = "the model {model} has no input"
    label = "needs an `input`"
    advice = "for example `input x: float[time, 12]`"

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLayers(Diagnostic):
    code = "E0209"
    title = "the model {model} has no layers"
    label = "does nothing with its input"

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBeforeInput(Diagnostic):
    code = "E0210"
    title = "an input after the first layer"
    label = "the layers above have nothing to work on"
    advice = "move it to the top of the model"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRecurrent(Diagnostic):
    code = "E0212"
    title = "Bidirectional expects a recurrent layer"
    label = "{found} isn't one"
    advice = "write a cell with its arguments, such as `Bidirectional(LSTM(64))`"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotACell(Diagnostic):
    code = "E0225"
    title = "RNN expects a cell, or a list of cells"
    label = "{found} isn't one"
    advice = "write cells with their arguments, such as `RNN([LSTM(64), GRU(32)])`"

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackwardLayer(Diagnostic):
    code = "E0219"
    title = "the `backward_layer` doesn't fit the layer that it goes with"
    label = "{problem}"

    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerOption(Diagnostic):
    code = "E0213"
    title = "`{option}` has no meaning inside of {layer}"
    label = "{layer} decides it for {parts}"

    option: str
    layer: str
    parts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTooLarge(Diagnostic):
    code = "E0214"
    title = "a weight of {layer} is too large"
    label = "{shape} is more than 2^31 - 1 elements"

    layer: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerName(Diagnostic):
    code = "E0215"
    title = "two layers are named `{name}`"
    label = "the name is taken"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNotCalled(Diagnostic):
    code = "E0216"
    title = "the layer {name} without its arguments"
    label = "write `{name}(...)`"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsRow(Diagnostic):
    code = "E0217"
    title = "{layer} expects a row, not a sequence"
    label = "got {found}"
    advice = "a recurrent layer, or GlobalAveragePooling1D, makes one row of a sequence"

    layer: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDistributed(Diagnostic):
    code = "E0218"
    title = "TimeDistributed expects a layer that works on rows"
    label = "{found} isn't one"
    advice = (
        "Dense, LayerNormalization, UnitNormalization, PReLU, Dropout, GaussianDropout, AlphaDropout, GaussianNoise and the "
        "activations are; BatchNormalization takes the sequence itself"
    )

    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownSetting(Diagnostic):
    code = "E0401"
    title = "`train` has no setting `{name}`"
    label = "unknown setting"

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCount(Diagnostic):
    code = "E0402"
    title = "`{setting}` has {found} for {outputs}"
    label = "a list has one for each output"

    setting: str
    found: str
    outputs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLoss(Diagnostic):
    code = "E0404"
    title = "no output has a loss"
    label = "`none` for every output"
    advice = "leave `loss` out of a model that isn't trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricWithoutLoss(Diagnostic):
    code = "E0405"
    title = "metrics of the output {output}, which has no loss"
    label = "need the targets that come with a loss"
    advice = "give {output} a loss, with a weight of 0 in `loss_weights` if it isn't to be trained by it"

    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMisfit(Diagnostic):
    code = "E0406"
    title = "{metric} doesn't fit the loss of {output}"
    label = "needs targets that are {wanted}; {loss} takes {given}"
    advice = "`accuracy` is the one that fits its loss"

    metric: str
    loss: str
    output: str
    wanted: str
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWidth(Diagnostic):
    code = "E0403"
    title = "{loss} needs one output for each class"
    label = "{problem}"

    loss: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongAxis(Diagnostic):
    code = "E0233"
    title = "{layer} works on {works_on}"
    label = "axis {given} of {found} {wrong}"

    layer: str
    given: str
    found: str
    works_on: str
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskDropped(Diagnostic):
    code = "W0201"
    title = "{layer} drops the mask"
    label = "from here on masked steps count as real ones"

    layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LossExpectsProbabilities(Diagnostic):
    code = "W0401"
    title = "{loss} expects probabilities, but {layer} ends with {activation}"
    label = "probabilities come from {expected}"
    advice = "end the model with {expected}, or write `{loss}(from_logits = true)`"

    loss: str
    layer: str
    activation: str
    expected: str
