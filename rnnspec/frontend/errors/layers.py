"""E02xx: inputs, layers, shapes and masks; E04xx: the train section."""

from __future__ import annotations

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import Diagnostic
from rnnspec.frozen import frozen


@frozen(kw_only=True)
class UnknownElement(Diagnostic):
    """An element type other than `float`, `int` and `text`."""

    code = "E0201"
    title = "unknown element type `{name}`"
    label = "`float` for numbers, `int` for token ids, `text` for texts"

    name: str


@frozen(kw_only=True)
class UnfitInput(Diagnostic):
    """An input of the wrong rank, or with a dimension that is neither a name nor an integer from 1 to 2^31 - 1."""

    code = "E0202"
    title = "an input can't have this shape"
    label = "{problem}"
    advice = "write `float[time, 12]` for a sequence of frames with 12 features, `int[time]` for one of ids, `float[12]` for one row"

    problem: str


@frozen(kw_only=True)
class FeaturesNotFixed(Diagnostic):
    """A layer with weights behind a tensor whose number of features is symbolic, so that the weights have no shape."""

    code = "E0203"
    title = "{layer} expects its input's last dimension to be fixed"
    label = "needs a fixed number of features, got `{extent}`"

    layer: str
    extent: Dim


@frozen(kw_only=True)
class NeedsSequence(Diagnostic):
    """A row, (features,), where a layer works along the time axis."""

    code = "E0204"
    title = "{layer} expects a sequence"
    label = "got {found}"

    layer: str
    found: str


@frozen(kw_only=True)
class NeedsIds(Diagnostic):
    """An `Embedding` of numbers; its operand is a sequence of integer ids."""

    code = "E0205"
    title = "Embedding expects token ids"
    label = "got {found}"
    advice = "an input of ids is written `int[time]`"

    found: str


@frozen(kw_only=True)
class NoStepsToMask(Diagnostic):
    """`mask_zero` of ids that are one a sample."""

    code = "E0220"
    title = "`mask_zero` masks steps"
    label = "{found} has none"

    found: str


@frozen(kw_only=True)
class NeedsFeatures(Diagnostic):
    """Integer ids where a layer computes with numbers."""

    code = "E0206"
    title = "{layer} expects numbers, not token ids"
    label = "got {found}"

    layer: str
    found: str


@frozen(kw_only=True)
class MaskTooLate(Diagnostic):
    """A `Masking` behind a computing layer; its mask is made from the model's input, before anything is computed."""

    code = "E0207"
    title = "Masking must come before the layers that compute"
    label = "what it compares is already computed by {layer}"
    advice = "move it to the front: masked steps are left out from there on"

    layer: str


@frozen(kw_only=True)
class NoInput(Diagnostic):
    """A model without an `input` declaration."""

    code = "E0208"
    title = "the model {model} has no input"
    label = "needs an `input`"
    advice = "for example `input x: float[time, 12]`"

    model: str


@frozen(kw_only=True)
class NoLayers(Diagnostic):
    """A model whose graph is empty."""

    code = "E0209"
    title = "the model {model} has no layers"
    label = "does nothing with its input"

    model: str


@frozen(kw_only=True)
class LayerBeforeInput(Diagnostic):
    """An `input` declared below the first layer."""

    code = "E0210"
    title = "an input after the first layer"
    label = "the layers above have nothing to work on"
    advice = "move it to the top of the model"


@frozen(kw_only=True)
class NotRecurrent(Diagnostic):
    """A `Bidirectional` around something other than a recurrent layer."""

    code = "E0212"
    title = "Bidirectional expects a recurrent layer"
    label = "{found} isn't one"
    advice = "write a cell with its arguments, such as `Bidirectional(LSTM(64))`"

    found: str


@frozen(kw_only=True)
class NotACell(Diagnostic):
    """An `RNN` of something other than a cell or a list of cells."""

    code = "E0225"
    title = "RNN expects a cell, or a list of cells"
    label = "{found} isn't one"
    advice = "write cells with their arguments, such as `RNN([LSTM(64), GRU(32)])`"

    found: str


@frozen(kw_only=True)
class BackwardLayer(Diagnostic):
    """A `backward_layer` with the same direction as the forward one, or with other options that shape the output."""

    code = "E0219"
    title = "the `backward_layer` doesn't fit the layer that it goes with"
    label = "{problem}"

    problem: str


@frozen(kw_only=True)
class InnerOption(Diagnostic):
    """An option of a whole recurrent layer on a cell inside of `RNN`, or on a half of `Bidirectional`, where the outer layer sets it."""

    code = "E0213"
    title = "`{option}` has no meaning inside of {layer}"
    label = "{layer} decides it for {parts}"

    option: str
    layer: str
    parts: str


@frozen(kw_only=True)
class LayerTooLarge(Diagnostic):
    """A weight of a layer with more elements than a 32-bit index reaches, 2^31 - 1."""

    code = "E0214"
    title = "a weight of {layer} is too large"
    label = "{shape} is more than 2^31 - 1 elements"

    layer: str
    shape: str


@frozen(kw_only=True)
class LayerName(Diagnostic):
    """Two layers with one name; weights are saved under their layer's name."""

    code = "E0215"
    title = "two layers are named `{name}`"
    label = "the name is taken"

    name: str


@frozen(kw_only=True)
class LayerNotCalled(Diagnostic):
    """A layer, cell or block without parentheses where its call is needed."""

    code = "E0216"
    title = "the layer {name} without its arguments"
    label = "write `{name}(...)`"

    name: str


@frozen(kw_only=True)
class NeedsRow(Diagnostic):
    """A sequence, (time, features), where a layer works on one row of features."""

    code = "E0217"
    title = "{layer} expects a row, not a sequence"
    label = "got {found}"
    advice = "a recurrent layer, or GlobalAveragePooling1D, makes one row of a sequence"

    layer: str
    found: str


@frozen(kw_only=True)
class NotDistributed(Diagnostic):
    """A `TimeDistributed` around a layer that isn't a function of one step alone."""

    code = "E0218"
    title = "TimeDistributed expects a layer that works on rows"
    label = "{found} isn't one"
    advice = (
        "Dense, LayerNormalization, UnitNormalization, PReLU, Dropout, GaussianDropout, AlphaDropout, GaussianNoise and the "
        "activations are; BatchNormalization takes the sequence itself"
    )

    found: str


@frozen(kw_only=True)
class UnknownSetting(Diagnostic):
    """A setting that the train section doesn't have."""

    code = "E0401"
    title = "`train` has no setting `{name}`"
    label = "unknown setting"

    name: str


@frozen(kw_only=True)
class CheckpointEnding(Diagnostic):
    """A checkpoint's file with another ending than that of what is saved."""

    code = "E0413"
    title = "`filepath` of ModelCheckpoint must end in `{ending}`"
    label = "got {path}"
    advice = "whole models are `.rnnc` files, with `save_weights_only = true` weights are `.safetensors` files"

    path: str
    ending: str


@frozen(kw_only=True)
class OutputCount(Diagnostic):
    """A list in the train section with another length than the model's number of outputs."""

    code = "E0402"
    title = "`{setting}` has {found} for {outputs}"
    label = "a list has one for each output"

    setting: str
    found: str
    outputs: str


@frozen(kw_only=True)
class ClassWeightOutputs(Diagnostic):
    """Class weights of one output in a train section where several have a loss."""

    code = "E0407"
    title = "one list of class weights for the outputs {outputs}"
    label = "the weights of one output's classes"
    advice = "write a list with one for each output, `[[1, 2.5], none]`"

    outputs: str


@frozen(kw_only=True)
class ClassWeightCount(Diagnostic):
    """More class weights than the output has classes."""

    code = "E0408"
    title = "{found} class weights for {classes} classes"
    label = "{output} has {classes} classes, one a unit"

    found: int
    classes: int
    output: str


@frozen(kw_only=True)
class ClassNameCount(Diagnostic):
    """Another number of class names than the output has classes."""

    code = "E0418"
    title = "{found} class names for {classes} classes"
    label = "{output} has {classes} classes: one a unit, or two where there is one unit"

    found: int
    classes: int
    output: str


@frozen(kw_only=True)
class NoLoss(Diagnostic):
    """A train section in which the loss of every output is `none`."""

    code = "E0404"
    title = "no output has a loss"
    label = "`none` for every output"
    advice = "leave `loss` out of a model that isn't trained"


@frozen(kw_only=True)
class MetricWithoutLoss(Diagnostic):
    """A metric of an output without a loss, and so without targets to compare to."""

    code = "E0405"
    title = "metrics of the output {output}, which has no loss"
    label = "need the targets that come with a loss"
    advice = "give {output} a loss, with a weight of 0 in `loss_weights` if it isn't to be trained by it"

    output: str


@frozen(kw_only=True)
class MetricMisfit(Diagnostic):
    """A metric that reads targets in another form (class numbers, one-hot rows, values) than the output's loss."""

    code = "E0406"
    title = "{metric} doesn't fit the loss of {output}"
    label = "needs targets that are {wanted}; {loss} takes {given}"
    advice = "`accuracy` is the one that fits its loss"

    metric: str
    loss: str
    output: str
    wanted: str
    given: str


@frozen(kw_only=True)
class MetricOfRows(Diagnostic):
    """A metric beside a loss whose targets are sequences of labels, where no row has a target of its own."""

    code = "E0409"
    title = "{metric} is a metric of rows, and the loss of {output} takes whole sequences"
    label = "{loss} has a sequence of labels for each sample"
    advice = "leave it out; decode what `model.predict` gives by `rnnspec.decoding`"

    metric: str
    loss: str
    output: str


@frozen(kw_only=True)
class LossNeedsSequence(Diagnostic):
    """A loss over whole sequences on an output that is one row a sample."""

    code = "E0410"
    title = "{loss} needs a sequence"
    label = "{output} is one row a sample"
    advice = "`return_sequences = true` in the last recurrent layer gives one a step"

    loss: str
    output: str


@frozen(kw_only=True)
class TruncateRefused(Diagnostic):
    """A model whose sequences can't be trained part by part."""

    code = "E0412"
    title = "this model can't be trained by truncated back-propagation"
    label = "{problem}"
    advice = "leave `truncate` out: gradients then go through whole sequences"

    problem: str


@frozen(kw_only=True)
class LossMisfit(Diagnostic):
    """A loss over whole sequences on an output whose rows aren't what it takes them for."""

    code = "E0411"
    title = "{loss} doesn't fit the rows of {output}, which have {width} values"
    label = "{problem}"

    loss: str
    output: str
    width: int
    problem: str


@frozen(kw_only=True)
class LossWidth(Diagnostic):
    """A loss over classes on an output that has one unit only."""

    code = "E0403"
    title = "{loss} needs one output for each class"
    label = "{problem}"

    loss: str
    problem: str


@frozen(kw_only=True)
class WrongAxis(Diagnostic):
    """An `axis` on which a layer doesn't work; 0 is the batch."""

    code = "E0233"
    title = "{layer} works on {works_on}"
    label = "axis {given} of {found} {wrong}"

    layer: str
    given: str
    found: str
    works_on: str
    wrong: str


@frozen(kw_only=True)
class MaskDropped(Diagnostic):
    """A layer behind a mask that computes with masked steps too, as in Keras."""

    code = "W0201"
    title = "{layer} drops the mask"
    label = "from here on masked steps count as real ones"

    layer: str


@frozen(kw_only=True)
class LossExpectsLogits(Diagnostic):
    """A loss that takes logits on an output whose activation gives probabilities, of which it would take the softmax again."""

    code = "W0402"
    title = "{loss} expects logits, but {layer} ends with {activation}"
    label = "takes the softmax itself"
    advice = "leave the activation out"

    loss: str
    layer: str
    activation: str


@frozen(kw_only=True)
class MetricFromLogits(Diagnostic):
    """A metric that reads an output as logits beside a loss that reads it as probabilities, or the other way round."""

    code = "W0403"
    title = "`from_logits` of {metric} isn't that of {loss}"
    label = "reads what the model gives in another way than its loss"
    advice = "write `from_logits = {written}` here, as in the loss"

    metric: str
    loss: str
    written: str


@frozen(kw_only=True)
class LossExpectsProbabilities(Diagnostic):
    """A cross-entropy of probabilities on an output whose activation gives none, without `from_logits`."""

    code = "W0401"
    title = "{loss} expects probabilities, but {layer} ends with {activation}"
    label = "probabilities come from {expected}"
    advice = "end the model with {expected}, or write `{loss}(from_logits = true)`"

    loss: str
    layer: str
    activation: str
    expected: str
