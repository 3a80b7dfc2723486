"""Layers that a spec can name, with Keras's argument names, order and defaults (Keras 3.15)."""

from __future__ import annotations

from rnnspec.frontend.catalogue import unsupported_arguments
from rnnspec.frontend.catalogue.argument_types import (
    Argument,
    Axes,
    Cells,
    Chosen,
    Entry,
    Family,
    Flag,
    Free,
    InnerLayer,
    Integers,
    Label,
    Named,
    OneOf,
    Real,
    RecurrentLayer,
    Whole,
)
from rnnspec.frontend.catalogue.entries import FRACTION, catalogue


def _option(name: str, kind: Whole | Real | Flag | OneOf | Label, default: float | int | bool | str | None) -> Argument:
    """An argument that must be named."""
    return Argument(name, kind, default, optional=default is None, positional=False)


def _activation(default: str | None) -> Argument:
    return Argument("activation", Chosen(Family.ACTIVATION), default, optional=True)


def _initializer(name: str, default: str) -> Argument:
    return Argument(name, Chosen(Family.INITIALIZER), default)


def _weight_options(*names: str, positional: bool = True) -> tuple[Argument, ...]:
    """What training does to a layer's weights of these names; "activity" is none of them, but what the layer gives."""
    regularizers = [_chosen(f"{name}_regularizer", Family.REGULARIZER, positional) for name in names]
    return (*regularizers, *(_chosen(f"{name}_constraint", Family.CONSTRAINT, positional) for name in names if name != "activity"))


def _chosen(name: str, family: Family, positional: bool) -> Argument:
    return Argument(name, Chosen(family), None, optional=True, positional=positional)


NAME = _option("name", Label(), None)

CARRY_MASK = _option("carry_mask", Flag(), False)
"""Not Keras's: whether windows leave masked steps out, and hand the mask on."""

LAST_AXIS = Argument("axis", Axes(), -1)

# Layers. The arguments of a recurrent layer are its cell's parameters, then these.

SEQUENCE_OPTIONS = (
    _option("return_sequences", Flag(), False),
    _option("go_backwards", Flag(), False),
    _option("zero_output_for_mask", Flag(), False),
    _option("return_state", Flag(), False),
    _option("stateful", Flag(), False),
    _option("dropout", FRACTION, 0.0),
    _option("recurrent_dropout", FRACTION, 0.0),
    Argument("initial_state", Named(), None, optional=True, positional=False),
    *_weight_options("kernel", "recurrent", "bias", "activity", positional=False),
    NAME,
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
"""Those that `RNN` has; the others are the cells' in it."""


def _pooling(name: str, pool_size: Argument) -> Entry:
    strides = Argument("strides", Whole(), None, optional=True)
    padding = Argument("padding", OneOf(("valid", "same")), "valid")
    return Entry(name, (pool_size, strides, padding, unsupported_arguments.DATA_FORMAT, CARRY_MASK, NAME))


LAYERS = catalogue(
    [
        Entry(
            "Embedding",
            (
                Argument("input_dim", Whole()),
                Argument("output_dim", Whole()),
                _initializer("embeddings_initializer", "uniform"),
                *_weight_options("embeddings"),
                Argument("mask_zero", Flag(), False),
                unsupported_arguments.GIVEN_WEIGHTS,
                unsupported_arguments.LORA_RANK,
                *_weight_options("activity", positional=False),
                NAME,
            ),
        ),
        Entry("Masking", (Argument("mask_value", Real(), 0.0), NAME)),
        Entry(
            "Bidirectional",
            (
                Argument("layer", RecurrentLayer()),
                Argument("merge_mode", OneOf(("concat", "sum", "mul", "ave", None)), "concat"),
                unsupported_arguments.GIVEN_WEIGHTS,
                Argument("backward_layer", RecurrentLayer(), None, optional=True, positional=False),
                Argument("initial_state", Named(), None, optional=True, positional=False),
                NAME,
            ),
        ),
        Entry("RNN", (Argument("cell", Cells()), *LAYER_OPTIONS, NAME)),
        Entry(
            "Dense",
            (
                Argument("units", Whole()),
                _activation(None),
                Argument("use_bias", Flag(), True),
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
                Argument("rate", Real(0.0, 1.0, below_maximum=True)),
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
                Argument("epsilon", Real(0.0), 0.001),
                Argument("center", Flag(), True),
                Argument("scale", Flag(), True),
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
                Argument("filters", Whole()),
                Argument("kernel_size", Whole()),
                Argument("strides", Whole(), 1),
                Argument("padding", OneOf(("valid", "same", "causal")), "valid"),
                unsupported_arguments.DATA_FORMAT,
                Argument("dilation_rate", Whole(), 1),
                unsupported_arguments.GROUPS,
                _activation(None),
                Argument("use_bias", Flag(), True),
                _initializer("kernel_initializer", "glorot_uniform"),
                _initializer("bias_initializer", "zeros"),
                *_weight_options("kernel", "bias", "activity"),
                CARRY_MASK,
                NAME,
            ),
        ),
        _pooling("MaxPooling1D", Argument("pool_size", Whole(), 2)),
        _pooling("AveragePooling1D", Argument("pool_size", Whole())),
        Entry("Flatten", (unsupported_arguments.DATA_FORMAT, NAME)),
        Entry("Reshape", (Argument("target_shape", Integers("[20, 12]")), NAME)),
        Entry("Permute", (Argument("dims", Integers("[2, 1]")), NAME)),
        Entry(
            "BatchNormalization",
            (
                LAST_AXIS,
                Argument("momentum", Real(0.0, 1.0), 0.99),
                Argument("epsilon", Real(0.0), 0.001),
                Argument("center", Flag(), True),
                Argument("scale", Flag(), True),
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
        Entry("GlobalAveragePooling1D", (unsupported_arguments.DATA_FORMAT, Argument("keepdims", Flag(), False), NAME)),
        Entry("GlobalMaxPooling1D", (unsupported_arguments.DATA_FORMAT, Argument("keepdims", Flag(), False), NAME)),
        Entry("RepeatVector", (Argument("n", Whole()), NAME)),
        Entry("SpatialDropout1D", (Argument("rate", Real(0.0, 1.0, below_maximum=True)), unsupported_arguments.SEED, NAME)),
        Entry("GaussianNoise", (Argument("stddev", Real(0.0, 1.0)), unsupported_arguments.SEED, NAME)),
        Entry("TimeDistributed", (Argument("layer", InnerLayer()), NAME)),
        Entry(
            "PReLU",
            (
                _initializer("alpha_initializer", "zeros"),
                *_weight_options("alpha"),
                Argument("shared_axes", Free(), None, optional=True),
                NAME,
            ),
        ),
        Entry("Softmax", (LAST_AXIS, NAME)),
        Entry(
            "ReLU",
            (
                Argument("max_value", Real(0.0), None, optional=True),
                Argument("negative_slope", Real(0.0), 0.0),
                Argument("threshold", Real(0.0), 0.0),
                NAME,
            ),
        ),
        Entry("LeakyReLU", (Argument("negative_slope", Real(), 0.3), NAME)),
        Entry("ELU", (Argument("alpha", Real(), 1.0), NAME)),
        Entry("Concatenate", (LAST_AXIS, NAME)),
        Entry("Dot", (Argument("axes", Integers("[2, 1]")), Argument("normalize", Flag(), False), NAME)),
        Entry(
            "Attention",
            (
                Argument("use_scale", Flag(), False),
                unsupported_arguments.SCORE_MODE,
                Argument("dropout", FRACTION, 0.0),
                unsupported_arguments.SEED,
                _option("use_causal_mask", Flag(), False),
                NAME,
            ),
        ),
        *(Entry(kind, (NAME,)) for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    ]
)
