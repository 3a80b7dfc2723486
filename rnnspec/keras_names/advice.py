"""Substitutes for names that aren't here: an equivalent under another name, or the difference.

An entry says no more than is true: a name without a substitute has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rnnspec.keras_names.names import KerasName

_BEFORE = "change the data before the model"
_NUMBERS = "turn texts into numbers before the model"
_OWN_LAYER = "a layer of your own is a cell or a block in the spec"
_SHAPE = "the shape stands at the input: `input x: float[time, 12]`"

_LAYERS = {
    "ActivityRegularization": "write `activity_regularizer = L1L2(...)` in the layer before it",
    "AdditiveAttention": "`Attention` is there; its scores are products of queries and keys",
    "CategoryEncoding": f"{_BEFORE}, by `np.eye(classes)[ids]`; ids go into an `Embedding`",
    "Discretization": f"{_BEFORE}, by `np.digitize`",
    "EinsumDense": "`Dense` multiplies the last axis, which is `...x,xy->...y`",
    "FlaxLayer": _OWN_LAYER,
    "GRUCell": "a cell is written like its layer: `RNN(GRU(64))`, `RNN([GRU(64), GRU(32)])`",
    "HashedCrossing": _NUMBERS,
    "Hashing": _NUMBERS,
    "Identity": "leave it out, or write `Activation(linear)`",
    "Input": _SHAPE,
    "InputLayer": _SHAPE,
    "InputSpec": _SHAPE,
    "IntegerLookup": f"{_BEFORE}: ids are counted from 0",
    "JaxLayer": _OWN_LAYER,
    "LSTMCell": "a cell is written like its layer: `RNN(LSTM(64))`, `RNN([LSTM(64), LSTM(32)])`",
    "Lambda": "a function of single numbers is `Activation(...)`; one over the steps is a cell",
    "Layer": _OWN_LAYER,
    "MelSpectrogram": _BEFORE,
    "MultiHeadAttention": "`Attention` is there: one head, without projections, scores not divided by the root of the width",
    "GroupQueryAttention": "`Attention` is there: one head, without projections, scores not divided by the root of the width",
    "Pipeline": "layers in a row are a block",
    "RMSNormalization": "`LayerNormalization(rms_scaling = true)` is there; it divides by the deviation from the mean",
    "Rescaling": f"{_BEFORE}: `x * scale + offset`",
    "STFTSpectrogram": _BEFORE,
    "SimpleRNNCell": "a cell is written like its layer: `RNN(SimpleRNN(64))`, `RNN([SimpleRNN(64), SimpleRNN(32)])`",
    "StackedRNNCells": "stacked cells are a list in `RNN`: `RNN([LSTM(64), LSTM(32)])`",
    "StringLookup": _NUMBERS,
    "TFSMLayer": _OWN_LAYER,
    "TextVectorization": _NUMBERS,
    "TorchModuleWrapper": _OWN_LAYER,
    "Wrapper": _OWN_LAYER,
}

_IMAGES = "a value here is a sequence of rows, or a row: there are no images"
_OF_IMAGES = (
    "2D", "3D", "Crop", "Random", "Solarization", "Equalization", "MixUp", "CutMix", "AugMix", "AutoContrast", "RandAugment", "Resizing",
    "BoundingBoxes",
)  # fmt: skip

_LOSS = "where it is the model's loss, it is among the results by itself, as `loss`"

_METRICS = {"crossentropy": _LOSS}

_OPTIMIZERS = {
    "LossScaleOptimizer": "float32 and float64 need no scaling: leave it out",
}

_ADVICE: Mapping[str, Mapping[str, str]] = MappingProxyType({"layer": _LAYERS, "metric": _METRICS, "optimizer": _OPTIMIZERS})

_ELSE: Mapping[str, str] = MappingProxyType(
    {
        "loss": "in Python a loss of your own is a class with `rows`, for `model.configure(loss = ...)`: see docs/language.md",
        "metric": "compute it from what `model.predict` gives",
        "callback": "in Python a class of your own that inherits `Callback` can do it",
        "learning-rate schedule": "in Python one of your own is a class that inherits it, from `rnnspec.schedules`",
    }
)
"""What can be said of any member of a family."""


def instead(name: KerasName) -> str:
    """The substitute for a member of a family that isn't here; empty if there is none."""
    advice = _ADVICE.get(name.family, {}).get(name.name)
    if advice is None and name.family == "layer" and any(part in name.name for part in _OF_IMAGES):
        return _IMAGES
    return _ELSE.get(name.family, "") if advice is None else advice


_GIVEN = "leave it out: there is nothing to choose here"
_CALL = "it is an argument of the calls from Python: "

_ARGUMENTS = {
    "autocast": _GIVEN,
    "axis": "the last axis is taken",
    "batch_shape": _SHAPE,
    "batch_size": "the number of samples is left open; `batch_size` stands in `train`",
    "dtype": 'a model has one precision: `rnnspec.compile(..., dtype="float64")` in Python, `--dtype float64` for the command',
    "input_dtype": _SHAPE,
    "input_shape": _SHAPE,
    "input_tensor": "bring it a value by an arrow: `value -> Dense(4)`",
    "lora_alpha": _GIVEN,
    "mask": f"{_CALL}`model.fit(x, y, mask = ...)`; in the spec `Masking` and `mask_zero` mask",
    "name": "leave it out: only layers have names",
    "num_labels": "it is the output's width",
    "optional": "every input is needed",
    "quantization_config": _GIVEN,
    "reduction": "a loss is the mean over the samples, or over all real steps",
    "sparse": "inputs are plain arrays",
    "sparse_y_pred": "a prediction has a number for each class, of which the largest is taken",
    "sparse_y_true": "`iou` and `mean_iou` take class numbers, `one_hot_iou` and `one_hot_mean_iou` one-hot targets",
    "training": f"{_CALL}`fit` trains, `predict` doesn't, and `model.forward(x, training = True)` does as training does",
    "use_cudnn": _GIVEN,
}

_IN_TRAIN = {
    "jit_compile": "leave it out: a model is always compiled",
    "run_eagerly": "leave it out: a model is always compiled",
    "sample_weight": f"{_CALL}`model.fit(x, y, sample_weight = ...)`",
    "validation_data": f"{_CALL}`model.fit(x, y, validation_data = (x, y))`",
    "verbose": f"{_CALL}`model.fit(x, y, verbose = False)`",
    "x": f"{_CALL}`model.fit(x, y)`",
    "y": f"{_CALL}`model.fit(x, y)`",
}


def instead_of_argument(name: str) -> str:
    """The substitute for an argument that isn't here; empty if there is none."""
    return _ARGUMENTS.get(name, "")


def instead_of_setting(name: str) -> str:
    """The substitute for an argument of `compile` or `fit` that isn't in `train`; empty if there is none."""
    return _IN_TRAIN.get(name, "")


OLD_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "BiGRU": "write `Bidirectional(GRU(64))`",
        "BiLSTM": "write `Bidirectional(LSTM(64))`",
        "BidirectionalGRU": "write `Bidirectional(GRU(64))`",
        "BidirectionalLSTM": "write `Bidirectional(LSTM(64))`",
        "CuDNNGRU": "write `GRU(...)`: every layer is compiled for its machine",
        "CuDNNLSTM": "write `LSTM(...)`: every layer is compiled for its machine",
        "Linear": "write `Dense(...)`",
        "Merge": "write `[a, b] -> Concatenate()`, or with `Add`, `Multiply`, `Average`, `Maximum`, `Dot`",
        "ThresholdedReLU": "write `ReLU(threshold = ...)`",
        "TimeDistributedDense": "write `Dense(...)`, which works on every step",
    }
)
"""Names of older versions of Keras, and of PyTorch, for what is here."""

OLD_LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "BCELoss": "write `binary_crossentropy`",
        "BCEWithLogitsLoss": "write `binary_crossentropy(from_logits = true)`",
        "CrossEntropyLoss": "write `sparse_categorical_crossentropy(from_logits = true)`",
        "L1Loss": "write `mean_absolute_error`",
        "MSELoss": "write `mean_squared_error`",
    }
)

OLD_ARGUMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "U_constraint": ("recurrent_constraint",),
        "U_regularizer": ("recurrent_regularizer",),
        "W_constraint": ("kernel_constraint", "embeddings_constraint"),
        "W_regularizer": ("kernel_regularizer", "embeddings_regularizer"),
        "alpha": ("negative_slope",),
        "b_constraint": ("bias_constraint",),
        "b_regularizer": ("bias_regularizer",),
        "bias": ("use_bias",),
        "border_mode": ("padding",),
        "concat_axis": ("axis",),
        "dropout_U": ("recurrent_dropout",),
        "dropout_W": ("dropout",),
        "embedding_dim": ("output_dim",),
        "eps": ("epsilon",),
        "filter_length": ("kernel_size",),
        "hidden_size": ("units",),
        "init": ("kernel_initializer", "embeddings_initializer"),
        "inner_activation": ("recurrent_activation",),
        "inner_init": ("recurrent_initializer",),
        "keep_dims": ("keepdims",),
        "lr": ("learning_rate",),
        "nb_epoch": ("epochs",),
        "nb_filter": ("filters",),
        "num_embeddings": ("input_dim",),
        "out_features": ("units",),
        "output_dim": ("units",),
        "p": ("rate",),
        "pool_length": ("pool_size",),
        "sigma": ("stddev",),
        "stride": ("strides",),
        "subsample_length": ("strides",),
    }
)
"""Arguments' names in older versions of Keras, and in PyTorch, with those of today that mean the same."""

OTHER_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "batch_first": "leave it out: the batch is always first",
        "batch_input_shape": _SHAPE,
        "bidirectional": "write `Bidirectional(LSTM(64))`",
        "constants": "what a cell reads comes with `x`: join it to each step by `[a, b] -> Concatenate()`",
        "consume_less": "leave it out: there is one implementation",
        "decay": "write `learning_rate = InverseTimeDecay(0.01, 1, 0.001)`, which is `decay = 0.001`",
        "implementation": "leave it out: there is one implementation",
        "input_dim": _SHAPE,
        "input_length": _SHAPE,
        "input_size": _SHAPE,
        "in_features": _SHAPE,
        "num_layers": "write the layer as often, or `RNN([LSTM(64), LSTM(64)])`",
        "return_attention_scores": "",
        "time_major": "leave it out: the batch is first, the steps are second",
    }
)
"""Arguments of other versions, and of PyTorch, that no single argument stands for here."""


def named_today(name: str, arguments: frozenset[str]) -> str | None:
    """The current argument behind an older name, if it is among `arguments`; None otherwise."""
    return next((today for today in OLD_ARGUMENTS.get(name, ()) if today in arguments), None)
