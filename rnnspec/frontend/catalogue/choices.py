"""Catalogues of choices: activations, initializers, losses and the like, with Keras's argument names, order and defaults (3.15)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rnnspec.contract.arguments import Argument, Flag, Float, Unused
from rnnspec.contract.optimizer_arguments import OPTIMIZER_ARGUMENTS
from rnnspec.contract.schedule_arguments import SCHEDULE_ARGUMENTS
from rnnspec.frontend.catalogue.argument_types import (
    ArgumentSpec,
    Axes,
    ChoiceOf,
    DataColumns,
    DefaultOnly,
    Entry,
    Family,
    Floats,
    Int,
    ListOf,
    OneOf,
    PerOutput,
    Texts,
)
from rnnspec.frontend.catalogue.callbacks import CALLBACKS, REFUSED_CALLBACKS
from rnnspec.frontend.catalogue.entries import Catalogue, Refusal, catalogue

# Activations, whose arguments stand in their text, `rnnspec/stdlib/activations.rnn`: Keras's, after the value that they are applied to.

ACTIVATIONS = catalogue(
    [
        Entry("linear"),
        Entry("relu"),
        Entry("relu6"),
        Entry("leaky_relu"),
        Entry("elu"),
        Entry("celu"),
        Entry("selu"),
        Entry("gelu"),
        Entry("silu", spellings=("swish",)),
        Entry("hard_silu", spellings=("hard_swish",)),
        Entry("mish"),
        Entry("softplus"),
        Entry("softsign"),
        Entry("softmax"),
        Entry("log_softmax"),
        Entry("sparsemax"),
        Entry("exponential"),
        Entry("sigmoid"),
        Entry("log_sigmoid"),
        Entry("hard_sigmoid"),
        Entry("tanh"),
        Entry("tanh_shrink"),
        Entry("hard_tanh"),
        Entry("hard_shrink"),
        Entry("soft_shrink"),
        Entry("squareplus"),
        Entry("threshold"),
        Entry("sparse_plus"),
        Entry("sparse_sigmoid"),
    ]
)

# Initializers, by function name and by class name.

_SEED = ArgumentSpec("seed", Int(0), None, optional=True)
_GAIN = ArgumentSpec("gain", Float(), 1.0)


def _seeded(name: str, class_name: str, *spellings: str) -> Entry:
    return Entry(name, (_SEED,), (class_name, *spellings))


INITIALIZERS = catalogue(
    [
        Entry("zeros", spellings=("Zeros", "zero")),
        Entry("ones", spellings=("Ones", "one")),
        Entry("constant", (ArgumentSpec("value", Float(), 0.0),), ("Constant",)),
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
                ArgumentSpec("scale", Float(0.0, above_minimum=True), 1.0),
                ArgumentSpec("mode", OneOf(("fan_in", "fan_out", "fan_avg")), "fan_in"),
                ArgumentSpec("distribution", OneOf(("truncated_normal", "untruncated_normal", "uniform")), "truncated_normal"),
                _SEED,
            ),
            ("VarianceScaling",),
        ),
        Entry(
            "random_uniform",
            (ArgumentSpec("minval", Float(), -0.05), ArgumentSpec("maxval", Float(), 0.05), _SEED),
            ("RandomUniform", "uniform"),
        ),
        Entry(
            "random_normal",
            (ArgumentSpec("mean", Float(), 0.0), ArgumentSpec("stddev", Float(0.0), 0.05), _SEED),
            ("RandomNormal", "normal"),
        ),
        Entry(
            "truncated_normal",
            (ArgumentSpec("mean", Float(), 0.0), ArgumentSpec("stddev", Float(0.0), 0.05), _SEED),
            ("TruncatedNormal",),
        ),
    ]
)

# Regularizers and constraints, by class name and by function name. `L1L2` has other defaults than the two alone, in Keras too.


def _factor(name: str, default: float) -> ArgumentSpec:
    return ArgumentSpec(name, Float(0.0), default)


_AXIS = ArgumentSpec("axis", Axes(), 0)

REGULARIZERS = catalogue(
    [
        Entry("L1", (_factor("l1", 0.01),), ("l1",)),
        Entry("L2", (_factor("l2", 0.01),), ("l2",)),
        Entry("L1L2", (_factor("l1", 0.0), _factor("l2", 0.0)), ("l1_l2", "l1l2")),
        Entry(
            "OrthogonalRegularizer",
            (_factor("factor", 0.01), ArgumentSpec("mode", OneOf(("rows", "columns")), "rows")),
            ("orthogonal_regularizer",),
        ),
    ]
)

CONSTRAINTS = catalogue(
    [
        Entry("MaxNorm", (ArgumentSpec("max_value", Float(0.0), 2.0), _AXIS), ("max_norm",)),
        Entry("NonNeg", (), ("non_neg",)),
        Entry("UnitNorm", (_AXIS,), ("unit_norm",)),
        Entry(
            "MinMaxNorm",
            (
                ArgumentSpec("min_value", Float(0.0), 0.0),
                ArgumentSpec("max_value", Float(0.0), 1.0),
                ArgumentSpec("rate", Float(0.0, 1.0), 1.0),
                _AXIS,
            ),
            ("min_max_norm",),
        ),
    ]
)

RISING: Mapping[str, tuple[str, str]] = MappingProxyType({"random_uniform": ("minval", "maxval"), "MinMaxNorm": ("min_value", "max_value")})
"""Arguments of initializers and constraints of which the first isn't above the second."""

# Training.

_LOSSES = (
    Entry("mean_squared_error", spellings=("MeanSquaredError", "mse", "MSE")),
    Entry("mean_absolute_error", spellings=("MeanAbsoluteError", "mae", "MAE")),
    Entry("mean_absolute_percentage_error", spellings=("MeanAbsolutePercentageError", "mape", "MAPE")),
    Entry("mean_squared_logarithmic_error", spellings=("MeanSquaredLogarithmicError", "msle", "MSLE")),
    Entry("huber", spellings=("Huber",)),
    Entry("log_cosh", spellings=("LogCosh", "logcosh", "LogCoshError")),
    Entry("pinball"),
    Entry("cosine_similarity", spellings=("CosineSimilarity",)),
    Entry("hinge", spellings=("Hinge",)),
    Entry("squared_hinge", spellings=("SquaredHinge",)),
    Entry("categorical_hinge", spellings=("CategoricalHinge",)),
    Entry("poisson", spellings=("Poisson",)),
    Entry("kl_divergence", spellings=("KLDivergence", "kld", "KLD", "kullback_leibler_divergence")),
    Entry("binary_crossentropy", spellings=("BinaryCrossentropy", "bce", "BCE")),
    Entry("binary_focal_crossentropy", spellings=("BinaryFocalCrossentropy",)),
    Entry("categorical_crossentropy", spellings=("CategoricalCrossentropy",)),
    Entry("categorical_focal_crossentropy", spellings=("CategoricalFocalCrossentropy",)),
    Entry("sparse_categorical_crossentropy", spellings=("SparseCategoricalCrossentropy",)),
    Entry("categorical_generalized_cross_entropy", spellings=("CategoricalGeneralizedCrossEntropy",)),
    Entry("dice", spellings=("Dice",)),
    Entry("tversky", spellings=("Tversky",)),
)
"""Losses of rows, each of which is a metric, too."""

LOSSES = catalogue(
    [
        *_LOSSES,
        Entry("crf", spellings=("CRF",)),
        Entry(
            "ctc",
            (
                ArgumentSpec("reduction", OneOf(("sum_over_batch_size", "sum", "mean")), "sum_over_batch_size"),
                ArgumentSpec("blank", Int(0), 0),
                ArgumentSpec("zero_infinity", Flag(), False),
            ),
            ("CTC",),
        ),
    ]
)


def _of(argument: Argument) -> ArgumentSpec:
    """An argument that Python shares, in a spec."""
    kind = argument.kind
    if isinstance(kind, Unused):
        return ArgumentSpec(argument.name, DefaultOnly(kind.reason, kind.advice), None, positional=argument.positional)
    return ArgumentSpec(argument.name, kind, argument.default, optional=argument.optional, positional=argument.positional)


def _shared(arguments: Mapping[str, tuple[Argument, ...]], *, lower: bool) -> Catalogue:
    return catalogue([Entry(name, tuple(map(_of, each)), (name.lower(),) if lower else ()) for name, each in arguments.items()])


OPTIMIZERS = _shared(OPTIMIZER_ARGUMENTS, lower=True)

SCHEDULES = _shared(SCHEDULE_ARGUMENTS, lower=False)

_METRICS = (
    Entry("accuracy", spellings=("acc", "Accuracy")),
    Entry("crossentropy", spellings=("ce",)),
    Entry("binary_accuracy", spellings=("BinaryAccuracy",)),
    Entry("categorical_accuracy", spellings=("CategoricalAccuracy",)),
    Entry("sparse_categorical_accuracy", spellings=("SparseCategoricalAccuracy",)),
    Entry("top_k_categorical_accuracy", spellings=("TopKCategoricalAccuracy",)),
    Entry("sparse_top_k_categorical_accuracy", spellings=("SparseTopKCategoricalAccuracy",)),
    Entry("perplexity", spellings=("Perplexity",)),
    Entry("cosine_similarity", spellings=("CosineSimilarity",)),
    Entry("root_mean_squared_error", spellings=("RootMeanSquaredError", "rmse", "RMSE")),
    Entry("r2_score", spellings=("R2Score",)),
    Entry("pearson_correlation", spellings=("PearsonCorrelation",)),
    Entry("concordance_correlation", spellings=("ConcordanceCorrelation",)),
    Entry("true_positives", spellings=("TruePositives",)),
    Entry("false_positives", spellings=("FalsePositives",)),
    Entry("true_negatives", spellings=("TrueNegatives",)),
    Entry("false_negatives", spellings=("FalseNegatives",)),
    Entry("precision", spellings=("Precision",)),
    Entry("recall", spellings=("Recall",)),
    Entry("fbeta_score", spellings=("FBetaScore", "f_beta_score")),
    Entry("f1_score", spellings=("F1Score",)),
    Entry("sensitivity_at_specificity", spellings=("SensitivityAtSpecificity",)),
    Entry("specificity_at_sensitivity", spellings=("SpecificityAtSensitivity",)),
    Entry("precision_at_recall", spellings=("PrecisionAtRecall",)),
    Entry("recall_at_precision", spellings=("RecallAtPrecision",)),
    Entry("auc", spellings=("AUC",)),
    Entry("confusion_matrix"),
    Entry("iou", spellings=("IoU", "io_u")),
    Entry("mean_iou", spellings=("MeanIoU", "mean_io_u")),
    Entry("one_hot_iou", spellings=("OneHotIoU", "one_hot_io_u")),
    Entry("one_hot_mean_iou", spellings=("OneHotMeanIoU", "one_hot_mean_io_u")),
    Entry("binary_iou", spellings=("BinaryIoU", "binary_io_u")),
)
"""Metrics that are no loss, or another number than the loss of their name; a loss is a metric besides, its mean."""

METRICS = catalogue([*_LOSSES, *_METRICS])

FAMILIES: Mapping[Family, Catalogue] = MappingProxyType(
    {
        Family.ACTIVATION: ACTIVATIONS,
        Family.INITIALIZER: INITIALIZERS,
        Family.REGULARIZER: REGULARIZERS,
        Family.CONSTRAINT: CONSTRAINTS,
        Family.LOSS: LOSSES,
        Family.OPTIMIZER: OPTIMIZERS,
        Family.METRIC: METRICS,
        Family.CALLBACK: CALLBACKS,
        Family.SCHEDULE: SCHEDULES,
    }
)


_GLU = Refusal(
    "it halves the width, and an activation keeps it",
    "write `[a, b] -> Multiply()` of two layers, b with `activation = sigmoid`; in a cell `a, b = split(v, 2)`, then `a * sigmoid(b)`",
)
_STFT = Refusal(
    "it is for Keras's layer STFTSpectrogram, which isn't here",
    "transform the data before the model, or set a weight in Python by `model.set_weights(...)`",
)

REFUSALS: Mapping[Family, Mapping[str, Refusal]] = MappingProxyType(
    {
        Family.ACTIVATION: {"glu": _GLU},
        Family.INITIALIZER: dict.fromkeys(("stft", "STFT", "STFTInitializer"), _STFT),
        Family.CALLBACK: REFUSED_CALLBACKS,
    }
)
"""Names of Keras's that no spec can use, by family."""


def names_a_member(name: str) -> bool:
    """Whether a bare name means something in any of the catalogues."""
    return any(name in members for members in FAMILIES.values())


SETTINGS: Mapping[str, ArgumentSpec] = MappingProxyType(
    {
        argument.name: argument
        for argument in (
            ArgumentSpec("loss", PerOutput(ChoiceOf(Family.LOSS)), None),
            ArgumentSpec("loss_weights", PerOutput(Float()), None),
            ArgumentSpec("optimizer", ChoiceOf(Family.OPTIMIZER), None),
            ArgumentSpec("metrics", PerOutput(ListOf(Family.METRIC)), None),
            ArgumentSpec("weighted_metrics", PerOutput(ListOf(Family.METRIC)), None),
            ArgumentSpec("class_weight", PerOutput(Floats()), None),
            ArgumentSpec("classes", PerOutput(Texts()), None),
            ArgumentSpec("data", DataColumns(), None),
            ArgumentSpec("callbacks", ListOf(Family.CALLBACK), None),
            ArgumentSpec("batch_size", Int(), None),
            ArgumentSpec("epochs", Int(0), None),
            ArgumentSpec("validation_split", Float(0.0, 1.0, below_maximum=True), None),
            ArgumentSpec("shuffle", Flag(), None),
            ArgumentSpec("seed", Int(0), None),
            ArgumentSpec("truncate", Int(0), None),
            ArgumentSpec("checkpoint", Int(0), None),
            ArgumentSpec("shards", Int(1), None),
            ArgumentSpec("allow_nan", Flag(), None),
        )
    }
)
