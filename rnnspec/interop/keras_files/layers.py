"""Layers of Keras's configurations as layers of the language; the catalogue says what a layer takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from rnnspec.contract.arguments import Flag, Int, OneOf
from rnnspec.frontend.catalogue.argument_types import AnyValue, ArgumentSpec, ChoiceOf, DefaultOnly, Family
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.standard_library import CellLibrary
from rnnspec.frozen import frozen
from rnnspec.interop.graph.cells import RMS_NORM, RMS_NORM_CELL
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import Constants, Unsaid, constant_text, plain, shown, shown_name
from rnnspec.interop.keras_files.foreign import HARMLESS, TRAINING, Foreign
from rnnspec.interop.keras_files.weight_names import expected
from rnnspec.interop.spec_text.arguments import accepted

_RECURRENT = {
    "output_dim": "units", "init": "kernel_initializer", "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer", "U_regularizer": "recurrent_regularizer", "b_regularizer": "bias_regularizer",
    "dropout_W": "dropout", "dropout_U": "recurrent_dropout",
}  # fmt: skip

RENAMED: Mapping[str, Mapping[str, str]] = {
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "SimpleRNN": _RECURRENT,
    "LeakyReLU": {"alpha": "negative_slope"},
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "Dense": {"output_dim": "units", "init": "kernel_initializer", "bias": "use_bias", "W_regularizer": "kernel_regularizer",
              "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint"},
    "Embedding": {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer", "W_constraint": "embeddings_constraint"},
    "Conv1D": {"nb_filter": "filters", "filter_length": "kernel_size", "border_mode": "padding", "subsample_length": "strides",
               "init": "kernel_initializer", "bias": "use_bias", "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
               "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint"},
    "MaxPooling1D": {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"},
    "AveragePooling1D": {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"},
    "UpSampling1D": {"length": "size"},
    "BatchNormalization": {"gamma_init": "gamma_initializer", "beta_init": "beta_initializer"},
}  # fmt: skip
"""Names that arguments had before."""

_OF_TEXTS = frozenset(
    {"TextVectorization", "StringLookup", "IntegerLookup", "Hashing", "Discretization", "CategoryEncoding", "HashedCrossing"}
)

CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "SimpleRNN"}
_MODES = {
    "concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "dot": "Dot", "cos": "Dot",
}  # fmt: skip
FUSED = {"CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"}
SAME = {
    "Convolution1D": "Conv1D", "TimeDistributedDense": "Dense", "MaxPool1D": "MaxPooling1D", "AvgPool1D": "AveragePooling1D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D", "GlobalAvgPool1D": "GlobalAveragePooling1D", "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization", "LSTMV1": "LSTM", "GRUV1": "GRU",
}  # fmt: skip
_NEVER_TAKEN = frozenset({"name", "seed", "unroll", "weights"})
"""Arguments that the language has, and that a file's values say nothing for."""

_AT_EACH_STEP = """Dense Activation ReLU LeakyReLU ELU PReLU Softmax ThresholdedReLU Rescaling LayerNormalization UnitNormalization
BatchNormalization Dropout GaussianDropout AlphaDropout GaussianNoise Add Subtract Multiply Average Maximum Minimum Concatenate"""
AT_EACH_STEP = frozenset(_AT_EACH_STEP.split())
"""Layers that compute at each step of a sequence as of a row."""

LAYER_LEVEL = ("return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask", "activity_regularizer", "trainable")


@frozen
class Converted:
    """A layer of the language for one of Keras's. `weights`: the names of its weights, those of inner layers behind a prefix each.

    `fused`: the units of a layer whose weights lie as the graphics processor's library has them, else 0. `results`: values that it gives.
    `own`: whether a cell of the user's takes the place of the file's class.
    """

    layer: str
    arguments: Mapping[str, Value]
    weights: tuple[str, ...] = ()
    fused: int = 0
    results: int = 1
    own: bool = False


class Layers:
    """Converts layers. `cells`: by classes of the file, cells of the user's, which `library` has with the standard ones."""

    def __init__(self, constants: Constants, cells: Mapping[str, str], library: CellLibrary) -> None:
        self.constants = constants
        self._findings = constants.findings
        self._cells = cells
        self._library = library
        self._foreign = Foreign(constants.findings)

    def converted(self, config: Config, place: str, *, each_step: bool = False) -> Converted | None:
        """The layer; None where there is none, which the findings then say. `each_step`: for a row at each step of a sequence."""
        kind, given = class_of(config), settings_of(config)
        before = len(self._findings.found)
        if each_step and SAME.get(kind, kind) not in AT_EACH_STEP:
            self._findings.add(place, "", f"a model in TimeDistributed may have Dense, Dropout and the like, and no {shown_name(kind)}")
        made = self._converted(kind, given, config, place)
        if each_step and made is not None and made.layer == "PReLU":
            made = replace(made, arguments={**made.arguments, "shared_axes": (1,)})
        return made if len(self._findings.found) == before else None

    def is_own(self, kind: str) -> bool:
        """Whether a class has a cell of the user's in its place."""
        return kind in self._cells

    def tell(self) -> None:
        """What is said of all layers together, when all are converted."""
        self._foreign.tell()

    def _converted(self, kind: str, given: Config, config: Config, place: str) -> Converted | None:
        kind = SAME.get(kind, kind)
        if kind in self._cells or kind in FUSED or kind in ("LSTM", "GRU", "SimpleRNN"):
            return self._recurrent(kind, given, place)
        match kind:
            case "RNN" | "Recurrent":
                return self._rnn(given, place)
            case "Bidirectional":
                return self._bidirectional(given, place)
            case "Merge":
                return self._merge(given, place)
            case "TimeDistributed":
                return self._distributed(given, place)
            case "ThresholdedReLU":
                threshold = Word("threshold", (("threshold", plain(given.get("theta", 1.0))), ("default_value", 0)))
                return Converted("Activation", {"activation": threshold})
            case "Rescaling":
                return self._rescaling(given, place)
            case "RMSNormalization":
                return self._rms_normalization(given, place)
            case _ if kind in LAYERS and kind not in ("Last", "Slice"):
                arguments = self._arguments(kind, given, place)
                if kind.endswith("Pooling1D") and arguments.get("strides") == arguments.get("pool_size", 2):
                    arguments.pop("strides", None)  # what it is without
                return Converted(kind, arguments, expected(kind, arguments))
            case _:
                self._findings.add(place, "", self._no_layer(kind, config))
                return None

    def _merge(self, given: Config, place: str) -> Converted | None:
        """Keras 1's layer for all ways to merge."""
        mode = given.get("mode")
        kind = _MODES.get(mode) if isinstance(mode, str) else None
        if kind is None or given.get("layers"):
            told = "its branches stand in it" if given.get("layers") else f"its mode is {shown(mode)}"
            self._findings.add(place, "", f"{told}: it is supported in functional models with {', '.join(_MODES)}")
            return None
        axis = given.get("concat_axis", -1) if kind == "Concatenate" else given.get("dot_axes", -1)
        settings = {"axis": axis} if kind == "Concatenate" else {"axes": axis, "normalize": mode == "cos"} if kind == "Dot" else {}
        return Converted(kind, self._arguments(kind, settings, place))

    def _rms_normalization(self, given: Config, place: str) -> Converted:
        """The cell that it is here: at each step of a sequence, over the features."""
        for key, value in given.items():
            if key == "axis" and value not in (-1, [-1]):
                self._findings.add(place, "axis", f"it is supported along the last axis, -1, and is {shown(value)}")
            elif key not in ("axis", "epsilon", "trainable"):
                self._foreign.take(RMS_NORM, place, key, value)
        self.constants.declarations[RMS_NORM_CELL] = None
        frozen: dict[str, Value] = {"trainable": False} if given.get("trainable") is False else {}
        return Converted(RMS_NORM, {"epsilon": plain(given.get("epsilon", 1e-6)), "return_sequences": True, **frozen}, ("scale",))

    def _rescaling(self, given: Config, place: str) -> Converted | None:
        try:
            scale, offset = constant_text(given.get("scale", 1)), constant_text(given.get("offset", 0))
        except Unsaid as error:
            self._findings.add(place, "", f"{error}: it is supported with one scale and one offset for all features")
            return None
        body = f"x * {scale}" if offset in ("0", "0.0") else f"x * {scale} + {offset}"
        return Converted("Activation", {"activation": Word(self.constants.function("rescaled", body))})

    def _no_layer(self, kind: str, config: Config) -> str:
        if kind == "Lambda":
            return "it is a function of Python's, which isn't executed: write it as a layer, or as a cell in the language"
        if str(config.get("module", "")).startswith(("keras.src.ops", "keras.ops")) or "OpLambda" in kind:
            name = shown_name(str(settings_of(config).get("function", kind)))
            return f"the operation `{name}` isn't supported between layers"
        if kind in _OF_TEXTS:
            return "it makes numbers of an input before the model: do so in Python, and remove it from the model"
        if (registered := config.get("registered_name")) is not None and config.get("module") not in (None, "keras.layers"):
            advice = f'give a cell for it, `cells = {{"{shown_name(kind)}": "cell.rnn"}}`'
            return f"it is a class of its own, {shown_name(str(registered))}: {advice}"
        return f"the language has no layer `{shown_name(kind)}`"

    # Arguments.

    def _arguments(self, layer: str, given: Config, place: str) -> dict[str, Value]:
        """The arguments that the language has, converted; what it hasn't is refused, unless it changes nothing."""
        specs = {argument.name: argument.spec or _kind_of(argument.name) for argument in accepted(layer, self._library)}
        names = RENAMED.get(layer, {})
        found: dict[str, Value] = {}
        for key, value in given.items():
            name = names.get(key, key) if names.get(key, key) in specs else key
            spec = specs.get(name)
            if key == "trainable":
                if value is False:
                    found["trainable"] = False
            elif spec is None or key in _NEVER_TAKEN or (key in TRAINING and isinstance(spec.kind, DefaultOnly)):
                self._foreign.take(layer, place, key, value)
            else:
                self._take(found, layer, place, spec, value)
        return found

    def _take(self, found: dict[str, Value], layer: str, place: str, spec: ArgumentSpec, value: object) -> None:
        try:
            converted = self.constants.by_kind(place, spec, value)
        except Unsaid as error:
            regularizes = isinstance(spec.kind, ChoiceOf) and spec.kind.family in (Family.REGULARIZER, Family.CONSTRAINT)
            if regularizes:
                self._findings.drop(f"{place}: `{spec.name}` was left out: {error}")
            else:
                self._findings.add(place, spec.name, str(error))
            return
        if isinstance(spec.kind, DefaultOnly):
            return
        nothing = spec.optional or (isinstance(spec.kind, OneOf) and None in spec.kind.words)
        if converted is None and (value is not None or not nothing):
            return
        found[spec.name] = converted

    # Recurrent layers.

    def _recurrent(self, kind: str, given: Config, place: str, *, inner: bool = False) -> Converted | None:
        """A cell as a layer; with `inner` as a cell in another layer."""
        if kind in self._cells:
            return self._own_cell(self._cells[kind], given, place)
        layer = FUSED.get(kind) or CELLS[kind]
        given = {key: value for key, value in given.items() if not (key == "states" and value is None)}
        if kind in FUSED:
            given = {**given, "recurrent_activation": "sigmoid", **({"reset_after": True} if layer == "GRU" else {})}
        elif layer == "GRU" and "reset_after" not in given:
            given = {**given, "reset_after": False}
        if kind not in FUSED and layer in ("LSTM", "GRU") and not {"recurrent_activation", "inner_activation"} & given.keys():
            given = {**given, "recurrent_activation": "hard_sigmoid" if self.constants.major < 3 else "sigmoid"}
        if "forget_bias_init" in given:  # of Keras 1
            given = {"unit_forget_bias": given["forget_bias_init"] in ("one", "ones"), **given}
            del given["forget_bias_init"]
        arguments = self._arguments(layer, given, place)
        count = {"LSTM": 2}.get(layer, 1) if arguments.get("return_state") is True else 0
        units = arguments.get("units")
        fused = units if kind in FUSED and isinstance(units, int) else 0
        return Converted(layer, arguments, expected(layer, arguments), fused, 1 + count)

    def _own_cell(self, cell: str, given: Config, place: str) -> Converted:
        """A cell of the user's: it takes what it has a parameter for."""
        specs = {argument.name: argument.spec or _kind_of(argument.name) for argument in accepted(cell, self._library)}
        found: dict[str, Value] = {}
        for key, value in given.items():
            if key == "trainable":
                if value is False:
                    found["trainable"] = False
            elif key == "dtype":
                self._foreign.take(cell, place, key, value)
            elif key in specs and key not in ("name", "seed", "unroll"):
                self._take(found, cell, place, specs[key], value)
            elif key not in HARMLESS:
                self._findings.note(f"{place}: `{key}` was dropped, for which the cell {cell} has no parameter")
        return Converted(cell, found, self._weights_of(cell, found), own=True)

    def _weights_of(self, cell: str, found: Mapping[str, Value]) -> tuple[str, ...]:
        """The names of a user's cell's weights in their order, without those that a parameter takes away (`if use_bias`)."""
        given = {argument.name: argument.default for argument in accepted(cell, self._library)} | dict(found)
        return tuple(
            each.name.text
            for each in self._library[cell].statements
            if isinstance(each, ast.Weight)
            and not (isinstance(each.condition, ast.Name) and given.get(each.condition.text) in (False, None))
        )

    def _rnn(self, given: Config, place: str) -> Converted | None:
        cells = self._cell_list(given.get("cell"), place)
        if cells is None:
            return None
        own = {key: value for key, value in given.items() if key in LAYER_LEVEL}
        rest = {key: value for key, value in given.items() if key not in (*LAYER_LEVEL, "cell", "cells")}
        for key, value in rest.items():
            self._foreign.take("RNN", place, key, value)
        options = self._arguments("RNN", own, place)
        states = sum(2 if cell.layer == "LSTM" else 1 for cell in cells) if options.get("return_state") is True else 0
        if len(cells) == 1:
            return replace(cells[0], arguments={**cells[0].arguments, **options}, results=1 + states)
        stack = tuple(Word(cell.layer, tuple(cell.arguments.items()), True) for cell in cells)
        weights = tuple(f"{number}/{name}" for number, cell in enumerate(cells) for name in cell.weights)
        return Converted("RNN", {"cell": stack, **options}, weights, 0, 1 + states)

    def _cell_list(self, config: object, place: str) -> list[Converted] | None:
        """The cells of an `RNN`, those in a stack one by one; None where one can't be said."""
        found: list[Converted] = []
        for each in self._stacked(config):
            kind = class_of(each)
            if kind not in self._cells and kind not in CELLS:
                reason = (
                    f'the cell `{shown_name(kind)}` isn\'t in the language: give one for it, `cells = {{"{shown_name(kind)}": "cell.rnn"}}`'
                )
                self._findings.add(place, "cell", reason)
                return None
            made = self._recurrent(kind, settings_of(each), place, inner=True)
            if made is None:
                return None
            found.append(made)
        if not found:
            self._findings.add(place, "cell", "it has no cell")
        return found or None

    def _stacked(self, config: object) -> Iterator[Config]:
        if isinstance(config, list):
            for each in cast(list[object], config):
                yield from self._stacked(each)
        elif isinstance(config, dict):
            given = cast(Config, config)
            if class_of(given) == "StackedRNNCells":
                yield from self._stacked(settings_of(given).get("cells", []))
            else:
                yield given

    def _bidirectional(self, given: Config, place: str) -> Converted | None:
        forward = self._inner(given.get("layer"), place)
        if forward is None:
            return None
        arguments: dict[str, Value] = {"layer": _call(forward)}
        other = given.get("backward_layer")
        backward = forward
        if other is not None:
            backward = self._inner(other, place) or forward
            if not _is_mirrored(forward.arguments, backward.arguments):
                arguments["backward_layer"] = _call(backward)
        rest = {key: value for key, value in given.items() if key not in ("layer", "backward_layer")}
        arguments |= self._arguments("Bidirectional", rest, place)
        weights = tuple(f"{way}/{name}" for way, half in (("forward", forward), ("backward", backward)) for name in half.weights)
        outputs = 2 if arguments.get("merge_mode", "") is None else 1
        return Converted("Bidirectional", arguments, weights, forward.fused, outputs + forward.results + backward.results - 2)

    def _distributed(self, given: Config, place: str) -> Converted | None:
        inner = self._inner(given.get("layer"), place)
        if inner is None:
            return None
        rest = {key: value for key, value in given.items() if key != "layer"}
        if inner.layer == "BatchNormalization":  # which takes the sequence itself, and normalizes each step alike
            frozen: dict[str, Value] = {"trainable": False} if given.get("trainable") is False else {}
            return replace(inner, arguments={**inner.arguments, **frozen})
        arguments = {"layer": _call(inner), **self._arguments("TimeDistributed", rest, place)}
        return Converted("TimeDistributed", arguments, tuple(f"layer/{name}" for name in inner.weights))

    def _inner(self, config: object, place: str) -> Converted | None:
        """A layer in another, without a name of its own."""
        if not isinstance(config, dict) or class_of(cast(Config, config)) in ("Sequential", "Functional", "Model"):
            self._findings.add(place, "layer", "a model in another layer isn't supported")
            return None
        return self.converted(cast(Config, config), place)


def _call(made: Converted) -> Word:
    return Word(made.layer, tuple((key, value) for key, value in made.arguments.items() if key != "zero_output_for_mask"), True)


def _is_mirrored(forward: Mapping[str, Value], backward: Mapping[str, Value]) -> bool:
    """Whether the backward layer is the forward one, but for the direction, as where none is given."""

    def without(arguments: Mapping[str, Value]) -> dict[str, Value]:
        return {key: value for key, value in arguments.items() if key not in ("go_backwards", "zero_output_for_mask")}

    return without(forward) == without(backward) and forward.get("go_backwards", False) is not backward.get("go_backwards", False)


def _kind_of(name: str) -> ArgumentSpec:
    """The kind of a cell's own parameter, by its name."""
    if name.endswith("activation"):
        return ArgumentSpec(name, ChoiceOf(Family.ACTIVATION), None, optional=True)
    if name.endswith("initializer"):
        return ArgumentSpec(name, ChoiceOf(Family.INITIALIZER), None)
    if name in ("use_bias", "unit_forget_bias", "reset_after"):
        return ArgumentSpec(name, Flag(), None)
    if name == "units":
        return ArgumentSpec(name, Int())
    return ArgumentSpec(name, AnyValue(), None, optional=True)


def class_of(config: Mapping[str, Any]) -> str:
    """The class of a layer, without the package that it is registered in."""
    return str(config.get("class_name", "")).rpartition(">")[2]


def settings_of(config: Mapping[str, Any]) -> Config:
    """The settings of a layer."""
    found = config.get("config")
    return cast(Config, found) if isinstance(found, dict) else {}
