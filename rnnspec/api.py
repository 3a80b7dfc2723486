"""The public `compile` and `load`; the compiler is imported only for a spec or a function that the cache doesn't have."""

from __future__ import annotations

import gc
import warnings as python_warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.compile_cache import CachedSpec, find, keep, kept_code, kept_data, keys_of, package_state
from rnnspec.contract.executable import Array, Executable, Family, Formula, NativeUpdate
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.objective import RowEquations
from rnnspec.contract.sequence_loss import NativeLoss
from rnnspec.contract.signature import ArgumentValue, Config, Signature
from rnnspec.contract.thread_count import default_threads
from rnnspec.contract.tuning import DEFAULT_TUNING, Tuning, checked_tuning
from rnnspec.contract.weight_storage import StorageName, WeightStorage, checked_storage
from rnnspec.diagnostics import SpecError, SpecWarning
from rnnspec.frozen import frozen
from rnnspec.locks import LLVM
from rnnspec.runtime.model.weights import checked_weights
from rnnspec.runtime.native.executable import NativeExecutable, Variant
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.native.jit import host_identity
from rnnspec.runtime.native.stateful import StatefulExecutable
from rnnspec.runtime.storage import model_file
from rnnspec.runtime.storage.object_cache import ObjectCache
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec, Unreadable, read_source
from rnnspec.training.configuration import Beside, beside_of
from rnnspec.training.model import Model

if TYPE_CHECKING:
    from rnnspec.driver.compilation import Compilation, Compiled

Weights = Sequence[object] | Mapping[str, object] | None
Made = TypeVar("Made")


def compile(
    spec: Spec,
    *,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    weights: Weights = None,
    parameters: Mapping[str, ArgumentValue] | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    **named: ArgumentValue,
) -> Model:
    """The model of a spec, with drawn or given weights. A native function is compiled at its first call, or taken from the cache.

    argument    type                    meaning                                                          default
    ----------  ----------------------  ---------------------------------------------------------------  ---------
    spec        str or path             path of a `.rnn` file, or text with a brace or several lines     required
    dtype       "float32" or "float64"  element type of every float input, weight and output             "float32"
    seed        int from 0              source of weights, dropout and shuffling; None asks the system   None
    weights     as for `set_weights`    values in place of drawn weights                                 None
    parameters  dict, or keywords       values of the model's parameters, as in `units=64`               the spec's
    tuning      `Tuning`                thresholds that only the model's speed depends on                as measured

    SpecError, a ValueError, for a spec that can't be read or compiled: all faults at once, with their places. ValueError for other
    arguments that don't fit. MemoryError for weights beyond the machine's memory.

    >>> import numpy as np
    >>> import rnnspec
    >>> spec = "model Tiny(units = 4) { input x: float[time, 3]  LSTM(units)  Dense(1) }"
    >>> model = rnnspec.compile(spec, units=8, seed=1)
    >>> model
    <Model Tiny, float32, 393 weights>
    >>> model.predict(np.zeros((2, 5, 3))).shape  # two samples, five steps, three features
    (2, 1)
    """
    given = {**(parameters or {}), **named}
    try:
        source = read_source(spec)
    except Unreadable as error:
        with LLVM:
            from rnnspec.driver import source_files
        raise source_files.told(spec, error) from None
    model = _model(source, given, dtype, seed, weights, tuning=checked_tuning(tuning))
    model.take_texts(source.path, None)
    return model


def load(file: model_file.Source, *, tuning: Tuning = DEFAULT_TUNING, self_test: bool = False, weights: StorageName | None = None) -> Model:
    """The model in a file that `Model.save` wrote, compiled for this machine or taken from the cache.

    `file`: its path, its bytes, or a binary file, which is read to its end. No other file is read: a spec in it that imports is
    refused. OSError for a file that can't be read or isn't a regular one, ValueError for a file that is damaged, edited or from a newer
    version. `tuning`: as for `compile`. `self_test`: the model computes what an import with a check has written into its file, and
    ValueError says if that isn't what its origin gives, or if there is nothing of the kind in the file. `weights`: "float16", "bfloat16"
    or "int8" for a model of float32 whose inference keeps the matrices that it multiplies by, and tables of embeddings, in fewer bits, and
    reads less memory for them; they are widened in registers and all sums are float32. `weights` of the model, training and the model's
    file stay float32.

    >>> import io
    >>> import numpy as np
    >>> import rnnspec
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> file = io.BytesIO()
    >>> model.save(file)
    >>> x = np.ones((2, 5, 3))
    >>> np.array_equal(rnnspec.load(file.getvalue()).predict(x), model.predict(x))
    True
    """
    default_threads()  # a wrong variable isn't the file's fault
    return _loaded(file, checked_tuning(tuning), warn_at=4, self_test=self_test, storage=weights)


def restored(content: bytes, beside: object = None) -> Model:
    """The copy of a model, from its file's bytes and what is beside them; without warnings, which the model itself has given."""
    found = beside_of(beside)
    model = _loaded(content, found.tuning, warn_at=None, beside=found, storage=found.storage)
    model.take_beside(found)
    return model


def _loaded(
    file: model_file.Source,
    tuning: Tuning,
    warn_at: int | None,
    *,
    beside: Beside | None = None,
    self_test: bool = False,
    storage: str | None = None,
) -> Model:
    name, saved = model_file.name_of(file), model_file.load(file)
    kept = WeightStorage.FULL if storage is None else checked_storage(storage, saved.dtype)
    source = SourceFile(f"{name}!{model_file.SPEC}", saved.text)
    try:
        model = _model(
            source, saved.parameters, saved.dtype, None, saved.weights, saved=saved.weights, tuning=tuning, warn_at=warn_at, storage=kept
        )
        model.take_texts(source.path, saved.texts)
        model.take_training(saved, beside=beside)
        if self_test:
            if not saved.proof:
                raise ValueError("it has no proof: `rnnspec import --check` writes one")
            from rnnspec.training import proof

            proof.prove(model, proof.proof_in(saved.proof))
        return model
    except SpecError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise model_file.ArtifactError(f"{name}: {error}") from None


def _name(dtype: DTypeLike) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return ""


def _model(
    source: SourceFile,
    parameters: Mapping[str, Any],
    dtype: DTypeLike,
    seed: int | None,
    weights: Weights,
    *,
    saved: Mapping[str, Array] | None = None,
    tuning: Tuning,
    warn_at: int | None = 3,
    storage: WeightStorage = WeightStorage.FULL,
) -> Model:
    """A model from the cache; the compiler is imported on a miss, or to print a stage.

    `saved`: the weights beside the spec in a model file, None for another spec. `warn_at`: the stack level of warnings, None for none.
    `storage`: how inference keeps matrices.
    """
    keys = keys_of(source, parameters, _name(dtype))
    kept = None if keys is None else find(keys, saved is not None)
    if kept is None:
        compiled = _uncollected(lambda: _built(source, parameters, dtype, imports=saved is None))
        kept, compilation = (
            CachedSpec(compiled.signature, compiled.source, compiled.warnings, compiled.imported),
            lambda: compiled.compilation,
        )
        if keys is not None:
            keep(keys, kept)
    else:
        compilation = partial(_compilation, SourceFile(source.path, kept.source.text), parameters, dtype)
    if kept.warnings and warn_at is not None:
        python_warnings.warn(SpecWarning(kept.warnings), stacklevel=warn_at)
    if saved is not None:
        _check_shapes(kept.signature, saved)
    key = None if keys is None else ObjectCache.key(keys.anywhere, repr(kept.imported))

    def compile_native(wanted: Variant) -> NativeFunction:
        return _uncollected(lambda: compilation().native(wanted))

    def native(wanted: Variant) -> NativeFunction:
        build = partial(compile_native, wanted)
        return build() if key is None else kept_code(NativeFunction, ObjectCache.key(key, repr(wanted), host_identity()), build)

    def print_stage(stage: str, after: str | None) -> str:
        return compilation().print(stage, after, storage=storage)

    def update(formula: Formula, states: int, constants: int) -> NativeUpdate:
        return compilation().update(formula, states, constants)

    def sequence_loss(name: str) -> NativeLoss:
        return compilation().sequence_loss(name)

    scores = _Scores(key, compilation)
    executable: Executable = NativeExecutable(kept.signature, native, print_stage, _python_call, tuning, scores, storage)
    if kept.signature.states:
        executable = StatefulExecutable(executable, kept.signature.states, kept.signature.dtype)
    return Model(
        kept.signature,
        executable,
        kept.source,
        seed=seed,
        weights=weights,
        compile_update=update,
        compile_loss=sequence_loss,
        restore=restored,
        storage=storage,
    )


@frozen
class _Scores:
    """The losses and metrics of a spec, asked of the compiler once; `key`: of the spec in the cache, None for one that isn't kept."""

    key: str | None
    compilation: Callable[[], Compilation]

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """See `contract.executable.Scores`."""

        def build() -> RowEquations:
            return _uncollected(lambda: self.compilation().equations(family, config, width, classes=classes))

        if self.key is None:
            return build()
        return kept_data(RowEquations, ObjectCache.key(self.key, "equations", family, repr(config), str(width), str(classes)), build)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """See `contract.executable.Scores`."""
        return self.compilation().result(metric, width, totals)


def _check_shapes(signature: Signature, weights: Mapping[str, Array]) -> None:
    """ValueError for weights of other names or shapes than the spec's, before memory is taken for those."""
    if {name: value.shape for name, value in weights.items()} != {weight.name: weight.shape for weight in signature.weights}:
        checked_weights(signature.weights, np.dtype(signature.dtype), weights)


def _python_call() -> PythonCall:
    """The native code behind direct calls from Python, which all models share."""

    def build() -> PythonCall:
        with LLVM:
            from rnnspec.driver import compilation
        return compilation.python_call()

    return kept_code(PythonCall, ObjectCache.key("Python call", package_state(), host_identity()), build)


def _uncollected(work: Callable[[], Made]) -> Made:
    """The result of `work`, with Python's search for cyclic garbage off meanwhile.

    A compiler makes many objects that live on, and going through them is a tenth of its time.
    """
    enabled = gc.isenabled()
    try:
        gc.disable()
        return work()
    finally:
        if enabled:
            gc.enable()


def _built(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike, *, imports: bool) -> Compiled:
    # A fork waits for who imports: of what another thread has begun to import, the lock would stay taken in the child.
    with LLVM:
        from rnnspec.driver import compilation
    return compilation.build(source, parameters, dtype, imports=imports)


def _compilation(source: SourceFile, parameters: Mapping[str, Any], dtype: DTypeLike) -> Compilation:
    """The compilation of a text without imports."""
    return _built(source, parameters, dtype, imports=False).compilation
