"""Operations between the layers of a functional model, `x * 2`, `x[:, -1]`, `keras.ops.relu(x)`, as layers of the language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from rnnspec.frontend.catalogue.argument_types import Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.catalogue.layers import LAYERS
from rnnspec.interop.graph.graph import Word
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import Constants, Unsaid, constant_text, plain, shown
from rnnspec.interop.keras_files.layers import Converted, class_of, settings_of
from rnnspec.interop.spec_text.names import snake_case

_MERGES = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"})

_SIGNS = {"Add": "+", "Subtract": "-", "Multiply": "*", "TrueDivide": "/", "Divide": "/", "Power": "**"}
_NAMES = {"Add": "shifted", "Subtract": "shifted", "Multiply": "scaled", "TrueDivide": "scaled", "Divide": "scaled", "Power": "power"}

_FUNCTIONS = {
    "Absolute": ("absolute", "abs(x)"),
    "Negative": ("negative", "-x"),
    "Square": ("squared", "x * x"),
    "Sqrt": ("square_root", "sqrt(x)"),
    "Log": ("logarithm", "log(x)"),
    "Log1p": ("logarithm_of_1_and", "log1p(x)"),
    "Sin": ("sine", "sin(x)"),
    "Cos": ("cosine", "cos(x)"),
}

_ACTIVATIONS = {"Exp": "exponential", "Elu": "elu", "Selu": "selu", "Celu": "celu", "Gelu": "gelu"}

_POOLINGS = {"Mean": "GlobalAveragePooling1D", "Max": "GlobalMaxPooling1D", "Amax": "GlobalMaxPooling1D"}

_KNOWN = frozenset(
    {*_MERGES, *_SIGNS, *_FUNCTIONS, *_ACTIVATIONS, *_POOLINGS, "GetItem", "Softmax", "ExpandDims", "Squeeze", "Reshape", "Transpose"}
)


def is_operation(config: Config, call: Sequence[object]) -> bool:
    """Whether an entry among the layers is an operation: by its module, or (`.h5`) by its class and the lack of a layer's settings."""
    module, kind, settings = config.get("module"), class_of(config), settings_of(config)
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    known = kind in _KNOWN or (snake_case(kind) in FAMILIES[Family.ACTIVATION] and kind not in LAYERS)
    return known and bool(call) and not {"trainable", "dtype"} & settings.keys()


def layers_for(config: Config, call: Sequence[object], constants: Constants) -> tuple[Converted, ...]:
    """One layer behind the other for an operation; `call`: what it is called with, by place. Unsaid for one that can't be said."""
    kind, settings = class_of(config), {key: value for key, value in settings_of(config).items() if key != "name"}
    shapes = [shape for each in call for shape in _shapes(each)]
    if kind in _MERGES and len(shapes) > 1:
        return (Converted(kind, {"axis": plain(settings["axis"])} if kind == "Concatenate" and "axis" in settings else {}),)
    if kind in _SIGNS and len(call) == 2 and len(shapes) == 1:
        texts = ["x" if _shapes(each) else constant_text(each) for each in call]
        return (_function(constants, _NAMES[kind], f" {_SIGNS[kind]} ".join(texts)),)
    if kind in _FUNCTIONS and len(shapes) == 1:
        return (_function(constants, *_FUNCTIONS[kind]),)
    if kind in _POOLINGS and len(shapes) == 1:
        if len(shapes[0]) != 3 or settings.get("axis") not in (1, -2, [1], [-2]):
            raise Unsaid("it is supported over the steps of a sequence alone, `axis = 1`")
        return (Converted(_POOLINGS[kind], {"keepdims": True} if settings.get("keepdims") is True else {}),)
    if kind == "GetItem" and shapes:
        return _item(shapes[0], call[1:])
    if kind in ("ExpandDims", "Squeeze", "Reshape") and len(shapes) == 1:
        return (Converted("Reshape", {"target_shape": _reshaped(kind, shapes[0], settings)}),)
    if kind == "Transpose" and len(shapes) == 1 and len(shapes[0]) == 3 and settings.get("axes") == [0, 2, 1]:
        return (Converted("Permute", {"dims": (2, 1)}),)
    name = _ACTIVATIONS.get(kind, snake_case(kind))
    if name in FAMILIES[Family.ACTIVATION] and len(shapes) == 1:
        if settings.get("axis", -1) not in (-1, len(shapes[0]) - 1):
            raise Unsaid(f"it is along the axis {shown(settings['axis'])}, and here the features are the last one")
        given = {key: value for key, value in settings.items() if key != "axis"}
        return (Converted("Activation", {"activation": constants.activation({"class_name": name, "config": given})}),)
    raise Unsaid(f"the operation `{kind}` isn't supported between layers")


def _function(constants: Constants, name: str, body: str) -> Converted:
    return Converted("Activation", {"activation": Word(constants.function(name, body))})


def _shapes(value: object) -> list[list[Any]]:
    """The shape, batch first, of a tensor or of those in a list."""
    if isinstance(value, dict):
        given = cast(Mapping[str, Any], value)
        config = given.get("config")
        is_tensor = given.get("class_name") == "__keras_tensor__" and isinstance(config, dict)
        return [list(cast(Config, config).get("shape") or ())] if is_tensor else []
    return [shape for each in cast(list[object], value) for shape in _shapes(each)] if isinstance(value, list) else []


def _reshaped(kind: str, shape: Sequence[Any], settings: Config) -> tuple[int, ...]:
    rest = list(shape[1:])
    if kind == "Reshape":
        rest = list(settings.get("newshape") or ())[1:]
    else:
        axis: Any = settings.get("axis")
        if isinstance(axis, list):
            (axis,) = cast(list[Any], axis)[:1] or [None]
        rank = len(shape) + (kind == "ExpandDims")
        if type(axis) is not int or not -rank < axis < rank or axis % rank == 0:
            raise Unsaid(f"it is along the axis {shown(axis)}")
        if kind == "ExpandDims":
            rest.insert(axis % rank - 1, 1)
        elif rest.pop(axis % rank - 1) != 1:
            raise Unsaid("it takes out an axis that isn't 1 long")
    if not 1 <= len(rest) <= 2 or not all(type(each) is int for each in rest):
        raise Unsaid(f"it makes the shape {shown(rest)}, and here a shape is one or two known numbers besides the batch")
    return tuple(rest)


def _item(shape: Sequence[Any], given: Sequence[object]) -> tuple[Converted, ...]:
    """`x[:, -1]`, `x[:, 2:5]`, `x[..., :3]` as parts of a sequence or of its features."""
    parts = list(cast(list[object], given[0])) if len(given) == 1 and isinstance(given[0], list) else list(given)
    if any(_is_ellipsis(each) for each in parts):
        place = next(number for number, each in enumerate(parts) if _is_ellipsis(each))
        parts[place : place + 1] = [None] * max(0, len(shape) - len(parts) + 1)
    found: list[Converted] = []
    for axis, each in enumerate(parts):
        if isinstance(each, int) and not isinstance(each, bool):
            if axis != 1 or len(shape) != 3:
                raise Unsaid("a part by one number is supported for the steps of a sequence alone, `x[:, -1]`")
            last = [Converted("Last", {})]
            found += last if each == -1 else [Converted("Slice", {"start": each, "stop": each + 1}), Converted("Flatten", {})]
        elif not _is_all(each):
            start, stop = _bounds(each)
            if axis == 0 or axis >= len(shape):
                raise Unsaid("a part of the batch isn't supported")
            along = {} if axis == 1 and len(shape) == 3 else {"axis": -1}
            found.append(Converted("Slice", {"start": start, **({} if stop is None else {"stop": stop}), **along}))
    return tuple(found) or (Converted("Activation", {"activation": Word("linear")}),)


def _is_ellipsis(value: object) -> bool:
    return isinstance(value, dict) and cast(Config, value).get("class_name") == "__ellipsis__"


def _is_all(value: object) -> bool:
    return value is None or (isinstance(value, dict) and _slice_of(cast(Config, value)) in ((None, None, None), (0, None, None)))


def _slice_of(value: Config) -> tuple[Any, Any, Any]:
    config = cast(Config, value.get("config") or {})
    if value.get("class_name") != "__slice__":
        raise Unsaid(f"a part by {shown(value)} isn't supported")
    return config.get("start"), config.get("stop"), config.get("step")


def _bounds(value: object) -> tuple[int, int | None]:
    if not isinstance(value, dict):
        raise Unsaid(f"a part by {shown(value)} isn't supported")
    start, stop, step = _slice_of(cast(Config, value))
    if step not in (None, 1) or not all(each is None or type(each) is int for each in (start, stop)):
        raise Unsaid(f"a part by steps of {shown(step)} isn't supported")
    return start or 0, stop
