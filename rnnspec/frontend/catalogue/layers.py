"""Layers that a spec can name, with Keras's argument names, order and defaults (Keras 3.15)."""

from __future__ import annotations

from rnnspec.contract.arguments import FRACTION
from rnnspec.frontend.catalogue import unsupported_arguments
from rnnspec.frontend.catalogue.argument_types import (
    AnyValue,
    ArgumentSpec,
    AtBothEnds,
    Axes,
    CellList,
    ChoiceOf,
    Entry,
    Family,
    Flag,
    Float,
    InnerLayer,
    Int,
    Integers,
    LayerName,
    Named,
    Numbers,
    OneOf,
    Position,
    RecurrentLayer,
)
from rnnspec.frontend.catalogue.entries import catalogue


def _option(name: str, kind: Int | Float | Flag | OneOf | LayerName, default: float | int | bool | str | None) -> ArgumentSpec:
    """An argument that must be named."""
    return ArgumentSpec(name, kind, default, optional=default is None, positional=False)


def _activation(default: str | None) -> ArgumentSpec:
    return ArgumentSpec("activation", ChoiceOf(Family.ACTIVATION), default, optional=True)


def _initializer(name: str, default: str) -> ArgumentSpec:
    return ArgumentSpec(name, ChoiceOf(Family.INITIALIZER), default)


def _weight_options(*names: str, positional: bool = True) -> tuple[ArgumentSpec, ...]:
    """What training does to a layer's weights of these names; "activity" is none of them, but what the layer gives."""
    regularizers = [_chosen(f"{name}_regularizer", Family.REGULARIZER, positional) for name in names]
    return (*regularizers, *(_chosen(f"{name}_constraint", Family.CONSTRAINT, positional) for name in names if name != "activity"))


def _chosen(name: str, family: Family, positional: bool) -> ArgumentSpec:
    return ArgumentSpec(name, ChoiceOf(family), None, optional=True, positional=positional)


NAME = _option("name", LayerName(), None)

TRAINABLE = _option("trainable", Flag(), True)

CARRY_MASK = _option("carry_mask", Flag(), False)
"""Not Keras's: whether windows leave masked steps out, and hand the mask on."""

AT_BOTH_ENDS = AtBothEnds(Int(0, 1_000_000))

LAST_AXIS = ArgumentSpec("axis", Axes(), -1)

# Layers. The arguments of a recurrent layer are its cell's parameters, then these.

SEQUENCE_OPTIONS = (
    _option("return_sequences", Flag(), False),
    _option("go_backwards", Flag(), False),
    _option("zero_output_for_mask", Flag(), False),
    _option("return_state", Flag(), False),
    _option("stateful", Flag(), False),
    _option("dropout", FRACTION, 0.0),
    _option("recurrent_dropout", FRACTION, 0.0),
    ArgumentSpec("initial_state", Named(), None, optional=True, positional=False),
    *_weight_options("kernel", "recurrent", "bias", "activity", positional=False),
    NAME,
    TRAINABLE,
    unsupported_arguments.UNROLL,
    unsupported_arguments.SEED,
)

_OF_THE_LAYER = frozenset(
    {
        "return_sequences",
        "go_backwards",
        "zero_output_for_mask",
        "return_state",
        "stateful",
        "initial_state",
        "unroll",
        "activity_regularizer",
    }
)

LAYER_OPTIONS = tuple(option for option in SEQUENCE_OPTIONS if option.name in _OF_THE_LAYER)
"""Options of the layer as a whole: the arguments of `RNN`. The other options belong to the cells in it."""


def _pooling(name: str, pool_size: ArgumentSpec) -> Entry:
    strides = ArgumentSpec("strides", Int(), None, optional=True)
    padding = ArgumentSpec("padding", OneOf(("valid", "same")), "valid")
    return Entry(name, (pool_size, strides, padding, unsupported_arguments.DATA_FORMAT, CARRY_MASK, NAME))


LAYERS = catalogue(
    [
        Entry(entry.name, (*entry.arguments, TRAINABLE), entry.spellings)
        for entry in (
            Entry(
                "Embedding",
                (
                    ArgumentSpec("input_dim", Int()),
                    ArgumentSpec("output_dim", Int()),
                    _initializer("embeddings_initializer", "uniform"),
                    *_weight_options("embeddings"),
                    ArgumentSpec("mask_zero", Flag(), False),
                    unsupported_arguments.GIVEN_WEIGHTS,
                    unsupported_arguments.LORA_RANK,
                    *_weight_options("activity", positional=False),
                    NAME,
                ),
            ),
            Entry("Masking", (ArgumentSpec("mask_value", Float(), 0.0), NAME)),
            Entry(
                "Bidirectional",
                (
                    ArgumentSpec("layer", RecurrentLayer()),
                    ArgumentSpec("merge_mode", OneOf(("concat", "sum", "mul", "ave", None)), "concat"),
                    unsupported_arguments.GIVEN_WEIGHTS,
                    ArgumentSpec("backward_layer", RecurrentLayer(), None, optional=True, positional=False),
                    ArgumentSpec("initial_state", Named(), None, optional=True, positional=False),
                    NAME,
                ),
            ),
            Entry("RNN", (ArgumentSpec("cell", CellList()), *LAYER_OPTIONS, NAME)),
            Entry(
                "Dense",
                (
                    ArgumentSpec("units", Int()),
                    _activation(None),
                    ArgumentSpec("use_bias", Flag(), True),
                    _initializer("kernel_initializer", "glorot_uniform"),
                    _initializer("bias_initializer", "zeros"),
                    *_weight_options("kernel", "bias", "activity"),
                    unsupported_arguments.LORA_RANK,
                    NAME,
                ),
            ),
            Entry(
                "Dropout",
                (
                    ArgumentSpec("rate", Float(0.0, 1.0, below_maximum=True)),
                    unsupported_arguments.NOISE_SHAPE,
                    unsupported_arguments.SEED,
                    NAME,
                ),
            ),
            Entry("Activation", (_activation("linear"), NAME)),
            Entry(
                "LayerNormalization",
                (
                    LAST_AXIS,
                    ArgumentSpec("epsilon", Float(0.0), 0.001),
                    ArgumentSpec("center", Flag(), True),
                    ArgumentSpec("scale", Flag(), True),
                    _initializer("beta_initializer", "zeros"),
                    _initializer("gamma_initializer", "ones"),
                    *_weight_options("beta", "gamma"),
                    _option("rms_scaling", Flag(), False),
                    NAME,
                ),
            ),
            Entry(
                "Conv1D",
                (
                    ArgumentSpec("filters", Int()),
                    ArgumentSpec("kernel_size", Int()),
                    ArgumentSpec("strides", Int(), 1),
                    ArgumentSpec("padding", OneOf(("valid", "same", "causal")), "valid"),
                    unsupported_arguments.DATA_FORMAT,
                    ArgumentSpec("dilation_rate", Int(), 1),
                    unsupported_arguments.GROUPS,
                    _activation(None),
                    ArgumentSpec("use_bias", Flag(), True),
                    _initializer("kernel_initializer", "glorot_uniform"),
                    _initializer("bias_initializer", "zeros"),
                    *_weight_options("kernel", "bias", "activity"),
                    CARRY_MASK,
                    NAME,
                ),
            ),
            _pooling("MaxPooling1D", ArgumentSpec("pool_size", Int(), 2)),
            _pooling("AveragePooling1D", ArgumentSpec("pool_size", Int())),
            Entry("Flatten", (unsupported_arguments.DATA_FORMAT, NAME)),
            Entry("Reshape", (ArgumentSpec("target_shape", Integers("[20, 12]")), NAME)),
            Entry("Permute", (ArgumentSpec("dims", Integers("[2, 1]")), NAME)),
            Entry(
                "BatchNormalization",
                (
                    LAST_AXIS,
                    ArgumentSpec("momentum", Float(0.0, 1.0), 0.99),
                    ArgumentSpec("epsilon", Float(0.0), 0.001),
                    ArgumentSpec("center", Flag(), True),
                    ArgumentSpec("scale", Flag(), True),
                    _initializer("beta_initializer", "zeros"),
                    _initializer("gamma_initializer", "ones"),
                    _initializer("moving_mean_initializer", "zeros"),
                    _initializer("moving_variance_initializer", "ones"),
                    *_weight_options("beta", "gamma"),
                    *unsupported_arguments.RENORM,
                    unsupported_arguments.SYNCHRONIZED,
                    NAME,
                ),
            ),
            Entry(
                "Normalization",
                (
                    ArgumentSpec("axis", Axes(), -1, optional=True),
                    ArgumentSpec("mean", Numbers(), None, optional=True),
                    ArgumentSpec("variance", Numbers(), None, optional=True),
                    ArgumentSpec("invert", Flag(), False),
                    NAME,
                ),
            ),
            Entry("GlobalAveragePooling1D", (unsupported_arguments.DATA_FORMAT, ArgumentSpec("keepdims", Flag(), False), NAME)),
            Entry("GlobalMaxPooling1D", (unsupported_arguments.DATA_FORMAT, ArgumentSpec("keepdims", Flag(), False), NAME)),
            Entry("Last", (NAME,)),
            Entry(
                "RepeatVector",
                (
                    ArgumentSpec("n", Int(), None, optional=True),
                    ArgumentSpec("like", Named(), None, optional=True, positional=False),
                    NAME,
                ),
            ),
            Entry("ZeroPadding1D", (ArgumentSpec("padding", AT_BOTH_ENDS, 1), unsupported_arguments.DATA_FORMAT, CARRY_MASK, NAME)),
            Entry("Cropping1D", (ArgumentSpec("cropping", AT_BOTH_ENDS, (1, 1)), CARRY_MASK, NAME)),
            Entry(
                "Slice",
                (
                    ArgumentSpec("start", Position(), 0),
                    ArgumentSpec("stop", Position(), None, optional=True),
                    ArgumentSpec("axis", Axes(), 1),
                    CARRY_MASK,
                    NAME,
                ),
            ),
            Entry("UpSampling1D", (ArgumentSpec("size", Int(1, 100), 2), NAME)),
            Entry("SpatialDropout1D", (ArgumentSpec("rate", Float(0.0, 1.0, below_maximum=True)), unsupported_arguments.SEED, NAME)),
            Entry("GaussianNoise", (ArgumentSpec("stddev", Float(0.0, 1.0)), unsupported_arguments.SEED, NAME)),
            Entry("GaussianDropout", (ArgumentSpec("rate", FRACTION), unsupported_arguments.SEED, NAME)),
            Entry("AlphaDropout", (ArgumentSpec("rate", FRACTION), unsupported_arguments.EACH_NUMBER, unsupported_arguments.SEED, NAME)),
            Entry("UnitNormalization", (LAST_AXIS, NAME)),
            Entry("TimeDistributed", (ArgumentSpec("layer", InnerLayer()), NAME)),
            Entry(
                "PReLU",
                (
                    _initializer("alpha_initializer", "zeros"),
                    *_weight_options("alpha"),
                    ArgumentSpec("shared_axes", AnyValue(), None, optional=True),
                    NAME,
                ),
            ),
            Entry("Softmax", (LAST_AXIS, NAME)),
            Entry(
                "ReLU",
                (
                    ArgumentSpec("max_value", Float(0.0), None, optional=True),
                    ArgumentSpec("negative_slope", Float(0.0), 0.0),
                    ArgumentSpec("threshold", Float(0.0), 0.0),
                    NAME,
                ),
            ),
            Entry("LeakyReLU", (ArgumentSpec("negative_slope", Float(), 0.3), NAME)),
            Entry("ELU", (ArgumentSpec("alpha", Float(), 1.0), NAME)),
            Entry("Concatenate", (LAST_AXIS, NAME)),
            Entry("Dot", (ArgumentSpec("axes", Integers("[2, 1]")), ArgumentSpec("normalize", Flag(), False), NAME)),
            Entry(
                "Attention",
                (
                    ArgumentSpec("use_scale", Flag(), False),
                    unsupported_arguments.SCORE_MODE,
                    ArgumentSpec("dropout", FRACTION, 0.0),
                    unsupported_arguments.SEED,
                    _option("use_causal_mask", Flag(), False),
                    NAME,
                ),
            ),
            *(Entry(kind, (NAME,)) for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
        )
    ]
)
