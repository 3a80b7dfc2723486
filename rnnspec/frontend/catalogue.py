"""Everything that a spec can name, with Keras's argument names, order and defaults (Keras 3.15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rnnspec.frontend import fixed
from rnnspec.frontend.kinds import (
    Argument,
    Axes,
    Cells,
    Chosen,
    Entry,
    Family,
    Flag,
    Free,
    Integers,
    Label,
    Later,
    ListOf,
    Named,
    OneOf,
    PerOutput,
    Real,
    RecurrentLayer,
    Whole,
)

Catalogue = Mapping[str, Entry]


def _catalogue(entries: Sequence[Entry]) -> Catalogue:
    return MappingProxyType({spelling: entry for entry in entries for spelling in (entry.name, *entry.spellings)})


def _option(name: str, kind: Whole | Real | Flag | OneOf | Label, default: float | int | bool | str | None) -> Argument:
    """An argument that must be named."""
    return Argument(name, kind, default, optional=default is None, positional=False)


def _later(name: str, default: float | int | bool | str | None = None) -> Argument:
    return Argument(name, Later(), default, optional=True)


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

LAST_AXIS = Argument("axis", Axes(), -1)

# Layers. The arguments of a recurrent layer are its cell's parameters, then these.

_FRACTION = Real(0.0, 1.0, below_maximum=True)

SEQUENCE_OPTIONS = (
    _option("return_sequences", Flag(), False),
    _option("go_backwards", Flag(), False),
    _option("zero_output_for_mask", Flag(), False),
    _option("return_state", Flag(), False),
    _option("stateful", Flag(), False),
    _option("dropout", _FRACTION, 0.0),
    _option("recurrent_dropout", _FRACTION, 0.0),
    Argument("initial_state", Named(), None, optional=True, positional=False),
    *_weight_options("kernel", "recurrent", "bias", "activity", positional=False),
    NAME,
    _option("unroll", Flag(), False),
    fixed.SEED,
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
    return Entry(name, (pool_size, strides, Argument("padding", OneOf(("valid", "same")), "valid"), fixed.DATA_FORMAT, NAME))


LAYERS = _catalogue(
    [
        Entry(
            "Embedding",
            (
                Argument("input_dim", Whole()),
                Argument("output_dim", Whole()),
                _initializer("embeddings_initializer", "uniform"),
                *_weight_options("embeddings"),
                Argument("mask_zero", Flag(), False),
                fixed.GIVEN_WEIGHTS,
                fixed.LORA_RANK,
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
                fixed.GIVEN_WEIGHTS,
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
                fixed.LORA_RANK,
                NAME,
            ),
        ),
        Entry(
            "Dropout",
            (
                Argument("rate", Real(0.0, 1.0, below_maximum=True)),
                fixed.NOISE_SHAPE,
                fixed.SEED,
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
                fixed.DATA_FORMAT,
                Argument("dilation_rate", Whole(), 1),
                fixed.GROUPS,
                _activation(None),
                Argument("use_bias", Flag(), True),
                _initializer("kernel_initializer", "glorot_uniform"),
                _initializer("bias_initializer", "zeros"),
                *_weight_options("kernel", "bias", "activity"),
                NAME,
            ),
        ),
        _pooling("MaxPooling1D", Argument("pool_size", Whole(), 2)),
        _pooling("AveragePooling1D", Argument("pool_size", Whole())),
        Entry("Flatten", (fixed.DATA_FORMAT, NAME)),
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
                *fixed.RENORM,
                fixed.SYNCHRONIZED,
                NAME,
            ),
        ),
        Entry("GlobalAveragePooling1D", (fixed.DATA_FORMAT, Argument("keepdims", Flag(), False), NAME)),
        Entry("GlobalMaxPooling1D", (fixed.DATA_FORMAT, Argument("keepdims", Flag(), False), NAME)),
        Entry("RepeatVector", (Argument("n", Whole()), NAME)),
        Entry("SpatialDropout1D", (Argument("rate", Real(0.0, 1.0, below_maximum=True)), fixed.SEED, NAME)),
        Entry("GaussianNoise", (Argument("stddev", Real(0.0, 1.0)), fixed.SEED, NAME)),
        Entry("TimeDistributed", (Argument("layer", RecurrentLayer()), NAME)),
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
                fixed.SCORE_MODE,
                Argument("dropout", _FRACTION, 0.0),
                fixed.SEED,
                _option("use_causal_mask", Flag(), False),
                NAME,
            ),
        ),
        *(Entry(kind, (NAME,)) for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    ]
)

KERAS_LAYERS_NOT_YET = frozenset(
    {
        "AdditiveAttention", "AlphaDropout", "Conv2D", "StackedRNNCells", "UnitNormalization", "ZeroPadding1D",
    }
)  # fmt: skip

# Activations. Their arguments are Keras's, after the value that they are applied to.

ACTIVATIONS = _catalogue(
    [
        Entry("linear"),
        Entry(
            "relu",
            (
                Argument("negative_slope", Real(0.0), 0.0),
                Argument("max_value", Real(0.0), None, optional=True),
                Argument("threshold", Real(0.0), 0.0),
            ),
        ),
        Entry("relu6"),
        Entry("leaky_relu", (Argument("negative_slope", Real(), 0.2),)),
        Entry("elu", (Argument("alpha", Real(), 1.0),)),
        Entry("celu", (Argument("alpha", Real(0.0, above_minimum=True), 1.0),)),
        Entry("selu"),
        Entry("gelu", (Argument("approximate", Flag(), False),)),
        Entry("silu", spellings=("swish",)),
        Entry("hard_silu", spellings=("hard_swish",)),
        Entry("mish"),
        Entry("softplus"),
        Entry("softsign"),
        Entry("softmax"),
        Entry("log_softmax"),
        Entry("exponential"),
        Entry("sigmoid"),
        Entry("log_sigmoid"),
        Entry("hard_sigmoid"),
        Entry("tanh"),
        Entry("tanh_shrink"),
        Entry("hard_tanh"),
        Entry("hard_shrink", (Argument("threshold", Real(0.0), 0.5),)),
        Entry("soft_shrink", (Argument("threshold", Real(0.0), 0.5),)),
        Entry("squareplus", (Argument("b", Real(0.0), 4.0),)),
        Entry("threshold", (Argument("threshold", Real()), Argument("default_value", Real()))),
        Entry("sparse_plus"),
        Entry("sparse_sigmoid"),
    ]
)

# Initializers, by function name and by class name.

_SEED = Argument("seed", Whole(0), None, optional=True)
_GAIN = Argument("gain", Real(), 1.0)


def _seeded(name: str, class_name: str, *spellings: str) -> Entry:
    return Entry(name, (_SEED,), (class_name, *spellings))


INITIALIZERS = _catalogue(
    [
        Entry("zeros", spellings=("Zeros", "zero")),
        Entry("ones", spellings=("Ones", "one")),
        Entry("constant", (Argument("value", Real(), 0.0),), ("Constant",)),
        Entry("identity", (_GAIN,), ("Identity", "IdentityInitializer")),
        Entry("orthogonal", (_GAIN, _SEED), ("Orthogonal", "OrthogonalInitializer")),
        _seeded("glorot_uniform", "GlorotUniform"),
        _seeded("glorot_normal", "GlorotNormal"),
        _seeded("he_uniform", "HeUniform"),
        _seeded("he_normal", "HeNormal"),
        _seeded("lecun_uniform", "LecunUniform"),
        _seeded("lecun_normal", "LecunNormal"),
        Entry(
            "variance_scaling",
            (
                Argument("scale", Real(0.0, above_minimum=True), 1.0),
                Argument("mode", OneOf(("fan_in", "fan_out", "fan_avg")), "fan_in"),
                Argument("distribution", OneOf(("truncated_normal", "untruncated_normal", "uniform")), "truncated_normal"),
                _SEED,
            ),
            ("VarianceScaling",),
        ),
        Entry(
            "random_uniform",
            (Argument("minval", Real(), -0.05), Argument("maxval", Real(), 0.05), _SEED),
            ("RandomUniform", "uniform"),
        ),
        Entry(
            "random_normal",
            (Argument("mean", Real(), 0.0), Argument("stddev", Real(0.0), 0.05), _SEED),
            ("RandomNormal", "normal"),
        ),
        Entry(
            "truncated_normal",
            (Argument("mean", Real(), 0.0), Argument("stddev", Real(0.0), 0.05), _SEED),
            ("TruncatedNormal",),
        ),
    ]
)

# Regularizers and constraints, by class name and by function name. `L1L2` has other defaults than the two alone, in Keras too.


def _factor(name: str, default: float) -> Argument:
    return Argument(name, Real(0.0), default)


_AXIS = Argument("axis", Axes(), 0)

REGULARIZERS = _catalogue(
    [
        Entry("L1", (_factor("l1", 0.01),), ("l1",)),
        Entry("L2", (_factor("l2", 0.01),), ("l2",)),
        Entry("L1L2", (_factor("l1", 0.0), _factor("l2", 0.0)), ("l1_l2", "l1l2")),
        Entry(
            "OrthogonalRegularizer",
            (_factor("factor", 0.01), Argument("mode", OneOf(("rows", "columns")), "rows")),
            ("orthogonal_regularizer",),
        ),
    ]
)

CONSTRAINTS = _catalogue(
    [
        Entry("MaxNorm", (Argument("max_value", Real(0.0), 2.0), _AXIS), ("max_norm",)),
        Entry("NonNeg", (), ("non_neg",)),
        Entry("UnitNorm", (_AXIS,), ("unit_norm",)),
        Entry(
            "MinMaxNorm",
            (Argument("min_value", Real(0.0), 0.0), Argument("max_value", Real(0.0), 1.0), Argument("rate", Real(0.0, 1.0), 1.0), _AXIS),
            ("min_max_norm",),
        ),
    ]
)

# Training.

_FROM_LOGITS = Argument("from_logits", Flag(), False)

LOSSES = _catalogue(
    [
        Entry("mean_squared_error", spellings=("MeanSquaredError", "mse", "MSE")),
        Entry("mean_absolute_error", spellings=("MeanAbsoluteError", "mae", "MAE")),
        Entry("binary_crossentropy", (_FROM_LOGITS,), ("BinaryCrossentropy",)),
        Entry("categorical_crossentropy", (_FROM_LOGITS,), ("CategoricalCrossentropy",)),
        Entry("sparse_categorical_crossentropy", (_FROM_LOGITS,), ("SparseCategoricalCrossentropy",)),
    ]
)

_CLIPPING = (
    Argument("clipnorm", Real(0.0, above_minimum=True), None, optional=True, positional=False),
    Argument("clipvalue", Real(0.0, above_minimum=True), None, optional=True, positional=False),
    Argument("global_clipnorm", Real(0.0, above_minimum=True), None, optional=True, positional=False),
)


def _rate(default: float) -> Argument:
    return Argument("learning_rate", Real(0.0), default)


OPTIMIZERS = _catalogue(
    [
        Entry(
            "SGD",
            (
                _rate(0.01),
                Argument("momentum", Real(0.0, 1.0), 0.0),
                Argument("nesterov", Flag(), False),
                _later("weight_decay"),
                *_CLIPPING,
            ),
            ("sgd",),
        ),
        Entry(
            "RMSprop",
            (
                _rate(0.001),
                Argument("rho", Real(0.0, 1.0), 0.9),
                Argument("momentum", Real(0.0, 1.0), 0.0),
                Argument("epsilon", Real(0.0), 1e-7),
                Argument("centered", Flag(), False),
                _later("weight_decay"),
                *_CLIPPING,
            ),
            ("rmsprop",),
        ),
        Entry(
            "Adam",
            (
                _rate(0.001),
                Argument("beta_1", _FRACTION, 0.9),
                Argument("beta_2", _FRACTION, 0.999),
                Argument("epsilon", Real(0.0), 1e-7),
                Argument("amsgrad", Flag(), False),
                _later("weight_decay"),
                *_CLIPPING,
            ),
            ("adam",),
        ),
        Entry(
            "AdamW",
            (
                _rate(0.001),
                Argument("weight_decay", Real(0.0), 0.004),
                Argument("beta_1", _FRACTION, 0.9),
                Argument("beta_2", _FRACTION, 0.999),
                Argument("epsilon", Real(0.0), 1e-7),
                Argument("amsgrad", Flag(), False),
                *_CLIPPING,
            ),
            ("adamw",),
        ),
    ]
)

METRICS = _catalogue(
    [
        Entry("accuracy", spellings=("acc", "Accuracy")),
        Entry("binary_accuracy", spellings=("BinaryAccuracy",)),
        Entry("categorical_accuracy", spellings=("CategoricalAccuracy",)),
        Entry("sparse_categorical_accuracy", spellings=("SparseCategoricalAccuracy",)),
        Entry("mean_squared_error", spellings=("MeanSquaredError", "mse", "MSE")),
        Entry("mean_absolute_error", spellings=("MeanAbsoluteError", "mae", "MAE")),
    ]
)

FAMILIES: Mapping[Family, Catalogue] = MappingProxyType(
    {
        Family.ACTIVATION: ACTIVATIONS,
        Family.INITIALIZER: INITIALIZERS,
        Family.REGULARIZER: REGULARIZERS,
        Family.CONSTRAINT: CONSTRAINTS,
        Family.LOSS: LOSSES,
        Family.OPTIMIZER: OPTIMIZERS,
        Family.METRIC: METRICS,
    }
)


def names_a_member(name: str) -> bool:
    """Whether a bare name means something in any of the catalogues."""
    return any(name in catalogue for catalogue in FAMILIES.values())


SETTINGS: Mapping[str, Argument] = MappingProxyType(
    {
        argument.name: argument
        for argument in (
            Argument("loss", PerOutput(Chosen(Family.LOSS)), None),
            Argument("loss_weights", PerOutput(Real()), None),
            Argument("optimizer", Chosen(Family.OPTIMIZER), None),
            Argument("metrics", PerOutput(ListOf(Family.METRIC)), None),
            Argument("batch_size", Whole(), None),
            Argument("epochs", Whole(0), None),
            Argument("validation_split", Real(0.0, 1.0, below_maximum=True), None),
            Argument("shuffle", Flag(), None),
            Argument("seed", Whole(0), None),
        )
    }
)
