"""Losses of rows, by Keras's names and arguments (keras.src.losses, 3.15); their equations are text, `rnnspec/stdlib/losses.rnn`.

A loss looks at counted rows only, samples or real steps: masked steps are left out. The objects here name one, with its arguments:

>>> from rnnspec.training.losses import BinaryCrossentropy, Huber
>>> Huber(delta=2.0)
Huber(delta=2.0)
>>> BinaryCrossentropy(from_logits=True).config
Config(name='binary_crossentropy', arguments=(('from_logits', True), ('label_smoothing', 0.0)))

A loss of one's own is text in a spec, `loss tilted(quantile = 0.5) { ... }`, or an object in Python with `rows`, see `Loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, NoReturn, Protocol, cast, runtime_checkable

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.frozen import frozen
from rnnspec.training.constructors import absent, check_equation_arguments, clear_arguments
from rnnspec.training.sequence_losses import CTC as CTC

RowLoss = Callable[[Array, Array], tuple[Array, Array]]
"""(predictions (rows, width), targets) to (each row's loss (rows,), its gradient (rows, width)), float64."""


@runtime_checkable
class Loss(Protocol):
    """A loss over rows that is written in Python, with its gradient.

    `classes`: whether targets are class numbers, int64 (rows,), or values, float64 (rows, width).
    `from_logits`: whether predictions are logits rather than probabilities.
    """

    @property
    def classes(self) -> bool:
        """Whether targets are class numbers, int (rows,), rather than values (rows, width)."""
        ...

    @property
    def from_logits(self) -> bool:
        """Whether predictions are logits rather than probabilities."""
        ...

    def rows(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """Each row's loss and its gradient, see `RowLoss`."""
        ...


def value_and_gradient(
    loss: Loss, predictions: Array, targets: Array, weights: Array | None = None, of_batch: int | None = None
) -> tuple[float, Array]:
    """The loss Σ l·w / rows, 0 if there is no row, and its gradient by the predictions, of their shape and dtype.

    `predictions` (rows, width); `targets` as the loss wants them; `weights` (rows,), sample weights
    that multiply in without entering the divisor, as in Keras. `of_batch`: the rows to divide by, of a batch that these are a part of.
    """
    count = max(len(predictions) if of_batch is None else of_batch, 1)
    with np.errstate(all="ignore"):
        losses, gradient = _checked(loss, loss.rows(predictions.astype(np.float64), targets.copy()), predictions.shape)
        if weights is not None:
            losses = losses * weights
            gradient = gradient * weights[:, None]
        return float(losses.sum()) / count, (gradient / count).astype(predictions.dtype)


def mean_of_rows(losses: Array, weights: Array | None = None, of_batch: int | None = None) -> tuple[float, Array]:
    """The loss Σ l·w / rows, 0 if there is no row, and its derivative by each row's loss, float64 (rows,); see `value_and_gradient`."""
    count = max(len(losses) if of_batch is None else of_batch, 1)
    factors = np.ones(len(losses)) if weights is None else weights.astype(np.float64)
    with np.errstate(all="ignore"):
        return float((losses.astype(np.float64) * factors).sum()) / count, factors / count


def _checked(loss: Loss, given: object, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The result of a loss's `rows`, as two arrays of numbers of the right shapes; ValueError, naming the loss, for any other."""
    name = type(loss).__name__
    expected = f"expected two arrays, each row's loss, shape {shape[:1]}, and its gradient by the predictions, shape {shape}"
    values = cast("tuple[object, ...]", given) if isinstance(given, (tuple, list)) else ()
    if len(values) != 2:
        found = f"{len(values)} values" if isinstance(given, (tuple, list)) else type(given).__name__
        raise ValueError(f"loss {name}: rows gave {found}; {expected}")
    made: list[Array] = []
    for what, value, wanted in (("losses", values[0], shape[:1]), ("gradient", values[1], shape)):
        try:
            array: Array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            raise ValueError(f"loss {name}: what rows gave as {what} is no array; {expected}") from None
        if array.dtype.kind not in "biuf" or array.shape != wanted:
            found = f"shape {array.shape}" if array.dtype.kind in "biuf" else f"dtype {array.dtype}"
            raise ValueError(f"loss {name}: rows gave a {what} of {found}; {expected}".replace("a losses", "losses"))
        made.append(array)
    return made[0], made[1]


class NamedLoss:
    """A loss whose equations are text: its name, and its arguments in its fields."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_equation_arguments("loss", self)

    @property
    def config(self) -> Config:
        """The loss as the compiler looks it up."""
        return Config(self.name, tuple((each.name, getattr(self, each.name)) for each in fields(cast(Any, self))))


@frozen(slots=False)
class Named(NamedLoss):
    """A loss by its name, with what arguments were given: one of the spec's own, or one of the library."""

    given: Config

    def __post_init__(self) -> None:
        """The name is looked up with its output, and the arguments are checked then."""

    @property
    def config(self) -> Config:
        """The name with its arguments."""
        return self.given


@clear_arguments("loss")
@frozen(slots=False)
class MeanSquaredError(NamedLoss):
    """Squared differences."""

    name: ClassVar[str] = "mean_squared_error"


@clear_arguments("loss")
@frozen(slots=False)
class MeanAbsoluteError(NamedLoss):
    """Absolute differences."""

    name: ClassVar[str] = "mean_absolute_error"


@clear_arguments("loss")
@frozen(slots=False)
class MeanAbsolutePercentageError(NamedLoss):
    """Absolute differences in percent of the target."""

    name: ClassVar[str] = "mean_absolute_percentage_error"


@clear_arguments("loss")
@frozen(slots=False)
class MeanSquaredLogarithmicError(NamedLoss):
    """Squared differences of log(1 + value), for values of 0 and above."""

    name: ClassVar[str] = "mean_squared_logarithmic_error"


@clear_arguments("loss")
@frozen(slots=False)
class Huber(NamedLoss):
    """Squared where the error is small, absolute where it is large (Huber 1964)."""

    name: ClassVar[str] = "huber"
    delta: float = 1.0


@clear_arguments("loss")
@frozen(slots=False)
class LogCosh(NamedLoss):
    """Log(cosh(error)), in a form that doesn't overflow."""

    name: ClassVar[str] = "log_cosh"


@clear_arguments("loss")
@frozen(slots=False)
class Pinball(NamedLoss):
    """A quantile's loss (Koenker and Bassett 1978): 0.5 is half the absolute difference."""

    name: ClassVar[str] = "pinball"
    quantile: float = 0.5


@clear_arguments("loss")
@frozen(slots=False)
class CosineSimilarity(NamedLoss):
    """The cosine of the angle between the rows, with a minus."""

    name: ClassVar[str] = "cosine_similarity"


@clear_arguments("loss")
@frozen(slots=False)
class Hinge(NamedLoss):
    """The margin of 1 around the boundary; a target is -1 or 1, and 0 counts as -1."""

    name: ClassVar[str] = "hinge"


@clear_arguments("loss")
@frozen(slots=False)
class SquaredHinge(NamedLoss):
    """The square of the hinge."""

    name: ClassVar[str] = "squared_hinge"


@clear_arguments("loss")
@frozen(slots=False)
class CategoricalHinge(NamedLoss):
    """The margin of 1 between the target's class and the largest other one (Crammer and Singer 2001)."""

    name: ClassVar[str] = "categorical_hinge"


@clear_arguments("loss")
@frozen(slots=False)
class Poisson(NamedLoss):
    """A Poisson distribution's negative log-likelihood, without what the prediction doesn't change."""

    name: ClassVar[str] = "poisson"


@clear_arguments("loss")
@frozen(slots=False)
class KLDivergence(NamedLoss):
    """The divergence from prediction to target (Kullback and Leibler 1951)."""

    name: ClassVar[str] = "kl_divergence"


@clear_arguments("loss")
@frozen(slots=False)
class BinaryCrossentropy(NamedLoss):
    """Each unit a probability of its own."""

    name: ClassVar[str] = "binary_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0


@clear_arguments("loss")
@frozen(slots=False)
class BinaryFocalCrossentropy(NamedLoss):
    """A binary crossentropy that counts what is already right less (Lin et al. 2017)."""

    name: ClassVar[str] = "binary_focal_crossentropy"
    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0


@clear_arguments("loss")
@frozen(slots=False)
class CategoricalCrossentropy(NamedLoss):
    """The crossentropy of a distribution over the classes, often one-hot."""

    name: ClassVar[str] = "categorical_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0


@clear_arguments("loss")
@frozen(slots=False)
class CategoricalFocalCrossentropy(NamedLoss):
    """A categorical crossentropy that counts what is already right less (Lin et al. 2017)."""

    name: ClassVar[str] = "categorical_focal_crossentropy"
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0


@clear_arguments("loss")
@frozen(slots=False)
class SparseCategoricalCrossentropy(NamedLoss):
    """The crossentropy of one class."""

    name: ClassVar[str] = "sparse_categorical_crossentropy"
    from_logits: bool = False
    ignore_class: int | None = None


@clear_arguments("loss")
@frozen(slots=False)
class CategoricalGeneralizedCrossEntropy(NamedLoss):
    """Between a crossentropy and an absolute error, for labels that may be wrong (Zhang and Sabuncu 2018)."""

    name: ClassVar[str] = "categorical_generalized_cross_entropy"
    q: float = 0.5


@clear_arguments("loss")
@frozen(slots=False)
class Dice(NamedLoss):
    """1 less the overlap of the row (Milletari et al. 2016)."""

    name: ClassVar[str] = "dice"


@clear_arguments("loss")
@frozen(slots=False)
class Tversky(NamedLoss):
    """1 less the row's overlap, with weights for what is missed and what is too much (Salehi et al. 2017)."""

    name: ClassVar[str] = "tversky"
    alpha: float = 0.5
    beta: float = 0.5


@clear_arguments("loss")
@frozen(slots=False)
class CRF(NamedLoss):
    """The negative log-likelihood of a linear-chain conditional random field (Lafferty et al. 2001), a loss of sequences.

    Its weights, scores of neighbours and, with `boundaries`, of first and last steps, are the model's: it stands in the train section.
    """

    name: ClassVar[str] = "crf"
    boundaries: bool = True


LOSSES: dict[str, type[NamedLoss]] = {
    made.name: made
    for made in (
        MeanSquaredError,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError,
        Huber,
        LogCosh,
        Pinball,
        CosineSimilarity,
        Hinge,
        SquaredHinge,
        CategoricalHinge,
        Poisson,
        KLDivergence,
        BinaryCrossentropy,
        BinaryFocalCrossentropy,
        CategoricalCrossentropy,
        CategoricalFocalCrossentropy,
        SparseCategoricalCrossentropy,
        CategoricalGeneralizedCrossEntropy,
        Dice,
        Tversky,
        CRF,
    )
}
"""By the names in a spec."""


def __getattr__(name: str) -> NoReturn:
    raise absent(__name__, "loss", name)
